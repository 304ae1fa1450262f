/* Grammars in GBNF from strangers, and texts under them. Input: a grammar up to the first NUL,
 * then a text. A state that is not rejected can end or go on. */
#include "text/gram/gbnf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_alive(struct gram *g, gram_state s)
{
    struct err e;
    gram_state to;

    if (gram_may_end(g, s))
        return;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;

        if (gram_put(g, s, &c, 1, &to, NULL, &e) < 0 || to)
            return;
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, 0, size) : NULL;
    struct gram_limits limits = {.nodes = 5000, .width = 500, .bytes = 8 << 20};
    size_t n = end ? (size_t)(end - text) : size, ok = 0, more = size > n ? size - n - 1 : 0;
    struct gram *g;
    gram_ref root;
    gram_state s;
    struct err e;

    if (gram_new(&g, &limits, &e) < 0)
        return 0;
    if (gbnf_parse(g, (struct str){text, n}, &root, &e) == 0 && gram_finish(g, root, &e) == 0) {
        s = gram_start(g);
        if (!s)
            abort();
        for (size_t i = 0; s && i < more; i++) {
            if (i < 20)
                check_alive(g, s);
            if (gram_put(g, s, end + 1 + i, 1, &s, NULL, &e) < 0)
                break;
            ok += s != 0;
        }
        if (ok > more)
            abort();
    }
    gram_free(g);
    return 0;
}
