/* rx_walk.c - walking along edges. */
#include "text/gram/rx_priv.h"

/* Class of a code point past ASCII. */
static uint32_t class_of(const struct rx *r, const struct rx_part *p, uint32_t sq)
{
    const uint32_t *lo = RX_AT(uint32_t, r->word) + p->at;
    uint32_t a = 0, b = p->n;

    while (b - a > 1) {
        uint32_t mid = a + (b - a) / 2;

        if (lo[mid] <= sq)
            a = mid;
        else
            b = mid;
    }
    return lo[p->n + a];
}

static int begin(struct rx *r, rx_id state, struct err *e)
{
    int rc = r->failed.code;

    if (rc == 0 && state < r->node.n) {
        r->work = 0;
        rc = rx_ready(r, state);
    } else if (rc == 0) {
        return err_set(e, E_INTERNAL, "%u is no expression", (unsigned)state);
    }
    return rc < 0 ? rx_error(r, e) : 0;
}

int rx_step(struct rx *r, rx_id state, uint32_t cp, rx_id *to, struct err *e)
{
    const struct rx_part *p;

    if (state >= r->node.n || r->failed.code || !(rx_at(r, state)->flags & RX_CUT)) {
        int rc = begin(r, state, e);

        if (rc < 0)
            return rc;
    }
    p = rx_part_of(r, state);
    if (cp < 128)
        *to = rx_targets(r, state)[p->ascii[cp]];
    else if (cp > RX_CP_MAX || (cp >= 0xD800 && cp <= 0xDFFF))
        *to = RX_NONE;
    else
        *to = rx_targets(r, state)[class_of(r, p, rx_squeeze(cp))];
    return 0;
}

static void flat_put(struct rx *r, uint32_t lo, uint32_t hi, rx_id to)
{
    struct rx_edge *f = r->flat.p;
    size_t n = r->flat.n;

    if (n > 0 && f[n - 1].to == to && f[n - 1].hi + 1 == lo)
        f[n - 1].hi = hi;
    else
        f[r->flat.n++] = (struct rx_edge){lo, hi, to};
}

int rx_edges(struct rx *r, rx_id state, const struct rx_edge **out, size_t *n, struct err *e)
{
    int rc = begin(r, state, e);
    const struct rx_part *p;
    const uint32_t *w;

    if (rc < 0)
        return rc;
    p = rx_part_of(r, state);
    r->flat.n = 0;
    if (rx_room(r, &r->flat, (size_t)p->n + 1, sizeof(struct rx_edge)) < 0)
        return rx_error(r, e);
    w = RX_AT(uint32_t, r->word) + p->at;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t lo = w[i], hi = i + 1 < p->n ? w[i + 1] - 1 : RX_SQ_MAX;
        rx_id to = rx_targets(r, state)[w[p->n + i]];

        if (to == RX_NONE)
            continue;
        if (lo < 0xD800 && hi >= 0xD800) { /* around the surrogates */
            flat_put(r, lo, 0xD7FF, to);
            lo = 0xD800;
        }
        flat_put(r, rx_spread(lo), rx_spread(hi), to);
    }
    *out = r->flat.p;
    *n = r->flat.n;
    return 0;
}
