/* What a model wrote as a call's arguments: whatever it is and wherever it was cut, an object
 * on one line comes of it, and what is whole stays the same. Input: the text. */
#include "serve/api/arguments.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *load(const char *p, size_t n)
{
    return json_loadb(p, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    int whole = arguments_whole(text);
    struct buf out;
    json_t *v;

    buf_init(&out, size + 2);
    if (arguments_put(&out, text) < 0 || memchr(out.p, '\n', out.n))
        abort();
    v = load(out.p, out.n);
    if (!json_is_object(v))
        abort();
    if (whole) {
        json_t *same = load(text.p, text.n);

        if (!json_equal(v, same))
            abort();
        json_decref(same);
    }
    json_decref(v);
    buf_done(&out);
    return 0;
}
