/* Stop strings and a text cut into pieces, against the same text in one piece. Input: how
 * many strings, each as a length and its bytes, the size of the pieces, then the text. */
#include "infer/stop.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const char *const *strings, int n, const char *text, size_t n_text, size_t piece,
               struct buf *out)
{
    struct stop *s = NULL;
    int rc = stop_new(&s, strings, n, NULL), which;

    if (rc < 0)
        return -2;
    for (size_t i = 0; i < n_text && rc == 0; i += piece)
        rc = stop_put(s, text + i, n_text - i < piece ? n_text - i : piece, out);
    if (rc < 0 || stop_end(s, out) < 0)
        abort();
    which = stop_which(s);
    stop_free(s);
    return which;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char mem[8][16] = {{0}};
    const char *strings[8];
    struct buf whole, cut;
    size_t at = 1, piece;
    int n, a, b;

    if (size < 1)
        return 0;
    n = data[0] % 9;
    for (int i = 0; i < n; i++) {
        size_t len = at < size ? data[at++] % 16u : 0;

        for (size_t k = 0; k < len && at < size; k++)
            mem[i][k] = (char)data[at++];
        strings[i] = mem[i];
    }
    piece = at < size ? data[at++] % 7u + 1 : 1;
    buf_init(&whole, size + 1);
    buf_init(&cut, size + 1);
    a = run(strings, n, (const char *)data + at, size - at, size + 1, &whole);
    b = run(strings, n, (const char *)data + at, size - at, piece, &cut);
    if (a != b || whole.n != cut.n || (cut.n && memcmp(whole.p, cut.p, cut.n) != 0))
        abort();
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
