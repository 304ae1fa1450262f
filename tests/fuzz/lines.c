/* A stream of events cut into pieces, against the same in one piece. Input: the kind and the
 * size of the pieces in one byte (0: sizes from the text itself), the most bytes of an event,
 * then the stream. */
#include "net/lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int note(void *ctx, struct str event, struct str data)
{
    struct buf *out = ctx;

    if (buf_fmt(out, "%zu:%zu:", event.n, data.n) < 0 || buf_put(out, event.p, event.n) < 0 ||
        buf_put(out, data.p, data.n) < 0)
        abort();
    return 0;
}

static int run(int kind, size_t max, const char *p, size_t n, size_t piece, struct buf *out)
{
    struct lines l;
    struct err e = {0};
    int rc = 0;

    lines_init(&l, kind, max, note, out);
    for (size_t i = 0, k; i < n && rc == 0; i += k) {
        k = piece ? piece : (size_t)(unsigned char)p[i] % 5 + 1;
        k = k < n - i ? k : n - i;
        rc = lines_put(&l, p + i, k, &e);
    }
    if (rc == 0)
        rc = lines_end(&l, &e);
    if (rc < 0 && e.code != rc)
        abort();
    lines_done(&l);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    const char *text;
    size_t max, n;
    int kind, a, b;

    if (size < 2)
        return 0;
    kind = data[0] % 2;
    max = data[1];
    text = (const char *)data + 2;
    n = size - 2;
    buf_init(&whole, 64 * size + 64);
    buf_init(&cut, 64 * size + 64);
    a = run(kind, max, text, n, size, &whole);
    b = run(kind, max, text, n, data[0] / 2 % 8, &cut);
    if (a != b || whole.n != cut.n || (cut.n && memcmp(whole.p, cut.p, cut.n) != 0))
        abort();
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
