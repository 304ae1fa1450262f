/* rx_part.c - how edges are kept: a partition of the code points, shared, and targets.
 */
#include "text/gram/rx_priv.h"

#include "base/map.h"
#include "base/mem.h"

static int more_part_slots(struct rx *r)
{
    size_t cap = r->part_slot.cap ? r->part_slot.cap * 2 : 64;
    uint32_t *slot;

    if (r->part.n * 3 < r->part_slot.cap * 2)
        return 0;
    slot = rx_zeroed(r, cap);
    if (!slot)
        return r->failed.code;
    for (size_t i = 0; i < r->part.n; i++) {
        size_t k = RX_AT(struct rx_part, r->part)[i].hash & (cap - 1);

        while (slot[k])
            k = (k + 1) & (cap - 1);
        slot[k] = (uint32_t)i + 1;
    }
    mem_free(r->part_slot.p);
    r->bytes -= r->part_slot.cap * sizeof(*slot);
    r->part_slot.p = slot;
    r->part_slot.cap = cap;
    return 0;
}

static void fill_ascii(struct rx_part *p, const uint32_t *lo, const uint32_t *cls)
{
    uint32_t i = 0;

    for (uint32_t cp = 0; cp < 128; cp++) {
        while (i + 1 < p->n && lo[i + 1] <= cp)
            i++;
        p->ascii[cp] = (uint8_t)cls[i];
    }
}

/* The partition whose n begins and then n classes are the 2 n words; *at: its number. */
static int part_of(struct rx *r, const uint32_t *word, size_t n, uint32_t n_class, uint32_t *at)
{
    struct rx_part p = {.n = (uint32_t)n, .n_class = n_class};
    size_t bytes = 2 * n * sizeof(*word), i;
    uint32_t *slot;
    int rc;

    rc = more_part_slots(r);
    if (rc < 0)
        return rc;
    p.hash = (uint32_t)map_hash(word, bytes);
    slot = r->part_slot.p;
    for (i = p.hash & (r->part_slot.cap - 1); slot[i]; i = (i + 1) & (r->part_slot.cap - 1)) {
        const struct rx_part *q = &RX_AT(struct rx_part, r->part)[slot[i] - 1];

        if (q->hash == p.hash && q->n == p.n &&
            memcmp(RX_AT(uint32_t, r->word) + q->at, word, bytes) == 0) {
            *at = slot[i] - 1;
            return 0;
        }
    }
    rc = rx_room(r, &r->word, 2 * n, sizeof(*word));
    if (rc == 0)
        rc = rx_room(r, &r->part, 1, sizeof(p));
    if (rc < 0)
        return rc;
    p.at = (uint32_t)r->word.n;
    memcpy(RX_AT(uint32_t, r->word) + p.at, word, bytes);
    r->word.n += 2 * n;
    fill_ascii(&p, word, word + n);
    *at = (uint32_t)r->part.n;
    RX_AT(struct rx_part, r->part)[r->part.n++] = p;
    slot[i] = *at + 1;
    return 0;
}

int rx_set_edges(struct rx *r, rx_id id, uint32_t part, const uint32_t *target, size_t n)
{
    int rc = rx_room(r, &r->word, n + 1, sizeof(*target));
    uint32_t *w;

    if (rc < 0)
        return rc;
    w = RX_AT(uint32_t, r->word) + r->word.n;
    w[0] = part;
    memcpy(w + 1, target, n * sizeof(*target));
    rx_at(r, id)->edges = (uint32_t)r->word.n;
    r->word.n += n + 1;
    return 0;
}

/* -- from intervals -------------------------------------------------------------------- */

int rx_out(struct rx *r, uint32_t lo, rx_id to)
{
    struct rx_span *s = RX_AT(struct rx_span, r->out);

    if (r->out.n > 0 && s[r->out.n - 1].to == to)
        return 0;
    if (rx_room(r, &r->out, 1, sizeof(*s)) < 0)
        return r->failed.code;
    RX_AT(struct rx_span, r->out)[r->out.n++] = (struct rx_span){.lo = lo, .to = to};
    return 0;
}

/* Makes edges of r->out, whose intervals reach from one begin to the next. */
int rx_out_take(struct rx *r, rx_id id)
{
    const struct rx_span *s = r->out.p;
    size_t n = r->out.n, n_class = 0;
    uint32_t *word, *target, part = 0;
    int rc;

    r->target.n = 0;
    rc = rx_room(r, &r->target, 3 * n, sizeof(*word));
    if (rc < 0)
        return rc;
    target = RX_AT(uint32_t, r->target);
    word = target + n;
    for (size_t i = 0; i < n; i++) {
        struct rx_node *to = rx_at(r, s[i].to);

        if (!to->mark) {
            target[n_class++] = s[i].to;
            to->mark = (uint32_t)n_class;
        }
        word[i] = s[i].lo;
        word[n + i] = to->mark - 1;
    }
    for (size_t i = 0; i < n_class; i++)
        rx_at(r, target[i])->mark = 0;
    rc = part_of(r, word, n, (uint32_t)n_class, &part);
    return rc < 0 ? rc : rx_set_edges(r, id, part, target, n_class);
}

/* An interval, and none around it so far. */
int rx_out_only(struct rx *r, uint32_t lo, uint32_t hi, rx_id to)
{
    struct rx_span *s = r->out.p;
    int rc = 0;

    /* What was the end of the last one may be the begin of this one. */
    if (r->out.n > 0 && s[r->out.n - 1].lo == lo)
        r->out.n--;
    else if (r->out.n == 0 && lo > 0)
        rc = rx_out(r, 0, RX_NONE);
    if (rc == 0)
        rc = rx_out(r, lo, to);
    if (rc == 0 && hi < RX_SQ_MAX)
        rc = rx_out(r, hi + 1, RX_NONE);
    return rc;
}
