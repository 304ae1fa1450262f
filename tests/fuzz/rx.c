/* Whatever a pattern is: it is parsed or refused; what is parsed can be walked with any text,
 * and never enters what cannot be finished.
 *
 * The input is a byte of flags, the pattern, a NUL, and a text; a second pattern after another
 * NUL is intersected with the first, complemented if a flag says so. */
#include "text/gram/rx.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to a NUL; *rest: what is behind it. */
static struct str piece(struct str *rest)
{
    const char *end = rest->n ? memchr(rest->p, 0, rest->n) : NULL;
    struct str s = {rest->p, end ? (size_t)(end - rest->p) : rest->n};

    *rest = (struct str){s.p + s.n + (end ? 1 : 0), rest->n - s.n - (end ? 1 : 0)};
    return s;
}

static void must_say(int rc, const struct err *e)
{
    if (rc < 0 && (e->code != rc || rc == E_INTERNAL || !e->msg[0]))
        abort();
}

/* Edges are sorted, disjoint, and lead where steps do. */
static int check_edges(struct rx *r, rx_id id)
{
    const struct rx_edge *edge;
    struct err e;
    size_t n;
    int rc = rx_edges(r, id, &edge, &n, &e);

    must_say(rc, &e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (edge[i].lo > edge[i].hi || edge[i].hi > RX_CP_MAX || edge[i].to == RX_NONE ||
            (i > 0 && edge[i].lo <= edge[i - 1].hi))
            abort();
    }
    return rc;
}

static void walk(struct rx *r, rx_id id, struct str text)
{
    struct err e;
    int rc = rx_live(r, id, &e), live = rc;

    must_say(rc, &e);
    for (size_t i = 0; i < text.n && rc >= 0 && id != RX_NONE;) {
        int32_t cp;

        if (check_edges(r, id) < 0)
            return;
        i += (size_t)utf8_next(text.p + i, text.n - i, &cp);
        rc = rx_step(r, id, cp < 0 ? 0xFFFDu : (uint32_t)cp, &id, &e);
        must_say(rc, &e);
        if (rc == 0 && id != RX_NONE) {
            if (live == 0)
                abort();
            rc = rx_live(r, id, &e);
            must_say(rc, &e);
            if (rc == 0)
                abort();
        }
    }
    if (rc >= 0)
        must_say(rx_finite(r, id, &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rx_limits limits = {.nodes = 5000, .bytes = 1 << 20};
    struct str rest = {(const char *)data + (size > 0), size - (size > 0)}, one, text;
    int flags = size ? data[0] : 0, rc;
    struct rx *r = NULL;
    rx_id id, other;
    struct err e;

    if (rx_new(&r, &limits, &e) < 0)
        abort();
    one = piece(&rest);
    text = piece(&rest);
    rc = rx_parse(r, one, flags & 1 ? RX_SEARCH : 0, &id, &e);
    must_say(rc, &e);
    if (rc == 0 && rest.n > 0) {
        rc = rx_parse(r, rest, flags & 2 ? RX_SEARCH : 0, &other, &e);
        must_say(rc, &e);
        if (rc == 0)
            id = rx_and(r, id, flags & 4 ? rx_not(r, other) : other);
    }
    if (rc == 0)
        walk(r, id, text);
    rx_free(r);
    return 0;
}
