/* rx_edge.c - edges: where each class of code points leads from a state.
 *
 * The edges of a node come from those of its parts, which are worked out first, in an order
 * that a stack of our own keeps. A sequence or a complement has the partition of its part and
 * other targets; alternatives and intersections are swept from left to right.
 */
#include "text/gram/rx_priv.h"

#include <stdlib.h>

static int edges_set(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    int rc = rx_count(r, n.b);

    r->out.n = 0;
    for (uint32_t i = 0; i < n.b && rc == 0; i++) {
        struct rx_range c = RX_AT(struct rx_range, r->range)[n.a + i];

        rc = rx_out_only(r, c.lo, c.hi, RX_EMPTY);
    }
    return rc < 0 ? rc : rx_out_take(r, id);
}

static int edges_text(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t len, cp = rx_text_char(r, n.a, n.b, &len);
    rx_id rest = rx_text_at(r, n.a + len, n.b - len);
    int rc;

    r->out.n = 0;
    rc = rx_out_only(r, cp, cp, rest);
    if (r->failed.code)
        return r->failed.code;
    return rc < 0 ? rc : rx_out_take(r, id);
}

/* -- sweeping -------------------------------------------------------------------------- */

static int event_put(struct rx *r, uint32_t lo, uint32_t hi, rx_id to)
{
    int rc = to == RX_NONE ? 0 : rx_room(r, &r->event, 1, sizeof(struct rx_span));

    if (rc == 0 && to != RX_NONE)
        RX_AT(struct rx_span, r->event)[r->event.n++] = (struct rx_span){lo, hi, to};
    return rc;
}

/* The edges of a node, with `then` behind each target, join the events. */
static int event_edges(struct rx *r, rx_id id, rx_id then)
{
    struct rx_part p = *rx_part_of(r, id);
    int rc = rx_count(r, p.n);

    r->target.n = 0;
    for (uint32_t i = 0; i < p.n_class && rc == 0; i++)
        rc = rx_push(r, &r->target, rx_join(r, rx_targets(r, id)[i], then));
    for (uint32_t i = 0; i < p.n && rc == 0; i++) {
        const uint32_t *w = RX_AT(uint32_t, r->word) + p.at;

        rc = event_put(r, w[i], i + 1 < p.n ? w[i + 1] - 1 : RX_SQ_MAX,
                       RX_AT(uint32_t, r->target)[w[p.n + i]]);
    }
    return rc;
}

static int event_text(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t len, cp = rx_text_char(r, n.a, n.b, &len);

    return event_put(r, cp, cp, rx_text_at(r, n.a + len, n.b - len));
}

static int by_begin(const void *a, const void *b)
{
    const struct rx_span *x = a, *y = b;

    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Where the active events lead together: all of `need` must be there in an intersection. */
static rx_id together(struct rx *r, enum rx_kind kind, size_t need)
{
    const struct rx_span *a = r->active.p;
    size_t n = r->active.n;

    if (n == 0 || (kind == RX_K_AND && n < need))
        return RX_NONE;
    if (n == 1)
        return a[0].to;
    r->ids.n = 0;
    if (rx_count(r, n) < 0 || rx_room(r, &r->ids, n, sizeof(uint32_t)) < 0)
        return RX_NONE;
    for (size_t i = 0; i < n; i++)
        RX_AT(uint32_t, r->ids)[i] = a[i].to;
    return (kind == RX_K_AND ? rx_ands : rx_alts)(r, r->ids.p, n);
}

/* From r->event to r->out. */
static int sweep(struct rx *r, enum rx_kind kind, size_t need)
{
    size_t n = r->event.n, next = 0;
    uint32_t pos = 0;
    int rc = rx_room(r, &r->active, n, sizeof(struct rx_span));

    if (n > 1)
        qsort(r->event.p, n, sizeof(struct rx_span), by_begin);
    r->active.n = r->out.n = 0;
    while (pos <= RX_SQ_MAX && rc == 0) {
        const struct rx_span *event = r->event.p;
        struct rx_span *active = r->active.p;
        uint32_t end = RX_SQ_MAX;
        size_t k = 0;

        for (size_t i = 0; i < r->active.n; i++) {
            if (active[i].hi >= pos)
                active[k++] = active[i];
        }
        while (next < n && event[next].lo == pos)
            active[k++] = event[next++];
        r->active.n = k;
        for (size_t i = 0; i < k; i++)
            end = active[i].hi < end ? active[i].hi : end;
        if (next < n && event[next].lo <= end)
            end = event[next].lo - 1;
        rc = rx_count(r, k + 1);
        if (rc == 0)
            rc = rx_out(r, pos, together(r, kind, need));
        if (r->failed.code)
            rc = r->failed.code;
        pos = end + 1;
    }
    return rc;
}

static int edges_group(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    rx_id texts = n.kind == RX_K_ALT && n.b >= RX_TRIE_MIN ? rx_trie_of(r, id) : RX_NONE;
    int rc = r->failed.code;

    if (texts != RX_NONE && !rx_at(r, texts)->edges)
        rc = rx_trie_edges(r, texts);
    r->event.n = 0;
    if (rc == 0 && texts != RX_NONE)
        rc = event_edges(r, texts, RX_EMPTY);
    for (uint32_t i = 0; i < n.b && rc == 0; i++) {
        rx_id kid = RX_AT(uint32_t, r->word)[n.a + i];

        if (rx_at(r, kid)->kind != RX_K_TEXT)
            rc = event_edges(r, kid, RX_EMPTY);
        else if (texts == RX_NONE)
            rc = event_text(r, kid);
    }
    if (rc == 0)
        rc = sweep(r, n.kind, n.b);
    return rc < 0 ? rc : rx_out_take(r, id);
}

/* -- nodes of one part ----------------------------------------------------------------- */

/* The part's partition, and its targets with `then` behind them, or their complements. */
static int edges_like(struct rx *r, rx_id id, rx_id part, rx_id then)
{
    uint32_t n = rx_part_of(r, part)->n_class, number;
    int not = rx_at(r, id)->kind == RX_K_NOT, rc = rx_count(r, n);

    r->target.n = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rx_id to = rx_targets(r, part)[i];

        rc = rx_push(r, &r->target, not ? rx_not(r, to) : rx_join(r, to, then));
    }
    if (rc < 0 || r->failed.code)
        return r->failed.code;
    number = RX_AT(uint32_t, r->word)[rx_at(r, part)->edges];
    return rx_set_edges(r, id, number, r->target.p, n);
}

static int edges_not(struct rx *r, rx_id id)
{
    return edges_like(r, id, rx_at(r, id)->a, RX_EMPTY);
}

static int edges_seq(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    int rc;

    if (!(rx_at(r, n.a)->flags & RX_NULLABLE))
        return edges_like(r, id, n.a, n.b);
    r->event.n = 0;
    rc = event_edges(r, n.a, n.b);
    if (rc == 0)
        rc = event_edges(r, n.b, RX_EMPTY);
    if (rc == 0)
        rc = sweep(r, RX_K_ALT, 0);
    return rc < 0 ? rc : rx_out_take(r, id);
}

static int edges_repeat(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t max = n.c == RX_INF ? RX_INF : n.c - 1;
    rx_id then = rx_repeat(r, n.a, n.b ? n.b - 1 : 0, max);

    return r->failed.code ? r->failed.code : edges_like(r, id, n.a, then);
}

static int edges_nothing(struct rx *r, rx_id id)
{
    r->out.n = 0;
    if (rx_out(r, 0, RX_NONE) < 0)
        return r->failed.code;
    return rx_out_take(r, id);
}

static int (*const edges_by_kind[])(struct rx *r, rx_id id) = {
    [RX_K_NONE] = edges_nothing,  [RX_K_EMPTY] = edges_nothing, [RX_K_SET] = edges_set,
    [RX_K_TEXT] = edges_text,     [RX_K_TRIE] = rx_trie_edges,  [RX_K_SEQ] = edges_seq,
    [RX_K_ALT] = edges_group,     [RX_K_AND] = edges_group,     [RX_K_NOT] = edges_not,
    [RX_K_REPEAT] = edges_repeat, [RX_K_MOD] = rx_mod_edges,
};

/* -- in order -------------------------------------------------------------------------- */

/* Puts the parts of a node that must have their edges first on the stack. */
static int push_parts(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t one[2] = {n.a, n.b};
    uint32_t count = 0;
    int group = n.kind == RX_K_ALT || n.kind == RX_K_AND, rc = 0;

    if (n.kind == RX_K_SEQ)
        count = rx_at(r, n.a)->flags & RX_NULLABLE ? 2 : 1;
    else if (n.kind == RX_K_NOT || n.kind == RX_K_REPEAT)
        count = 1;
    else if (n.kind == RX_K_ALT || n.kind == RX_K_AND)
        count = n.b;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rx_id kid = group ? RX_AT(uint32_t, r->word)[n.a + i] : one[i];

        if (rx_at(r, kid)->edges || (group && rx_at(r, kid)->kind == RX_K_TEXT))
            continue;
        rc = rx_push(r, &r->todo, kid);
    }
    return rc < 0 ? rc : rx_count(r, count);
}

int rx_ensure(struct rx *r, rx_id id)
{
    int rc = r->failed.code;

    if (rc < 0 || rx_at(r, id)->edges)
        return rc;
    r->todo.n = 0;
    rc = rx_push(r, &r->todo, id);
    while (r->todo.n > 0 && rc == 0) {
        size_t n = r->todo.n;
        rx_id top = RX_AT(uint32_t, r->todo)[n - 1];

        if (rx_at(r, top)->edges) {
            r->todo.n--;
            continue;
        }
        rc = push_parts(r, top);
        if (rc < 0 || r->todo.n > n)
            continue;
        r->todo.n--;
        rc = edges_by_kind[rx_at(r, top)->kind](r, top);
    }
    return rc;
}

int rx_ready(struct rx *r, rx_id id)
{
    int rc = rx_ensure(r, id);

    if (rc < 0 || (rx_at(r, id)->flags & RX_CUT))
        return rc;
    for (uint32_t i = 0; i < rx_part_of(r, id)->n_class; i++) {
        rx_id to = rx_targets(r, id)[i];
        int live = to == RX_NONE ? 0 : rx_alive(r, to);

        if (live < 0)
            return live;
        if (!live)
            rx_targets(r, id)[i] = RX_NONE;
    }
    rx_at(r, id)->flags |= RX_CUT;
    return 0;
}
