/* JSON with whole numbers of any size: what is taken is written as the same again, and what
 * jansson takes is taken. Input: a text. */
#include "fmt/jbig.h"
#include "fmt/jtext.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES };

static void write_twice(const json_t *v)
{
    struct err e = {0};
    json_t *again = NULL;
    struct buf a, b;

    buf_init(&a, (size_t)16 << 20);
    buf_init(&b, (size_t)16 << 20);
    if (jtext_put(&a, v, 0) < 0)
        abort();
    if (jbig_load(&again, (struct str){a.p, a.n}, FLAGS, &e) == 0) {
        if (jtext_put(&b, again, 0) < 0 || a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
            abort();
    } else if (!strstr(e.msg, "too big")) { /* a NUL in a string beside such a number */
        abort();
    }
    json_decref(again);
    buf_done(&a);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    json_t *v = NULL, *plain = json_loadb((const char *)data, size, FLAGS, NULL);
    int rc = jbig_load(&v, (struct str){(const char *)data, size}, FLAGS, &e);

    if ((rc == 0) != (v != NULL) || (rc < 0 && (e.code != rc || !e.msg[0])))
        abort();
    if (plain && (!v || !json_equal(plain, v)))
        abort();
    if (v)
        write_twice(v);
    json_decref(plain);
    json_decref(v);
    return 0;
}
