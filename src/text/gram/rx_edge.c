/* rx_edge.c - edges: where each class of code points leads from a state.
 *
 * The edges of a node come from those of its parts, which are worked out first, in an order
 * that a stack of our own keeps. A sequence or a complement has the partition of its part and
 * other targets; alternatives and intersections are swept from left to right.
 */
#include "text/gram/rx_priv.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

/* -- partitions ------------------------------------------------------------------------ */

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

static int set_edges(struct rx *r, rx_id id, uint32_t part, const uint32_t *target, size_t n)
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

static int out_put(struct rx *r, uint32_t lo, rx_id to)
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
static int out_take(struct rx *r, rx_id id)
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
    return rc < 0 ? rc : set_edges(r, id, part, target, n_class);
}

/* An interval, and none around it so far. */
static int out_only(struct rx *r, uint32_t lo, uint32_t hi, rx_id to)
{
    struct rx_span *s = r->out.p;
    int rc = 0;

    /* What was the end of the last one may be the begin of this one. */
    if (r->out.n > 0 && s[r->out.n - 1].lo == lo)
        r->out.n--;
    else if (r->out.n == 0 && lo > 0)
        rc = out_put(r, 0, RX_NONE);
    if (rc == 0)
        rc = out_put(r, lo, to);
    if (rc == 0 && hi < RX_SQ_MAX)
        rc = out_put(r, hi + 1, RX_NONE);
    return rc;
}

static int edges_set(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    int rc = rx_count(r, n.b);

    r->out.n = 0;
    for (uint32_t i = 0; i < n.b && rc == 0; i++) {
        struct rx_range c = RX_AT(struct rx_range, r->range)[n.a + i];

        rc = out_only(r, c.lo, c.hi, RX_EMPTY);
    }
    return rc < 0 ? rc : out_take(r, id);
}

static int edges_text(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t len, cp = rx_text_char(r, n.a, n.b, &len);
    rx_id rest = rx_text_at(r, n.a + len, n.b - len);
    int rc;

    r->out.n = 0;
    rc = out_only(r, cp, cp, rest);
    if (r->failed.code)
        return r->failed.code;
    return rc < 0 ? rc : out_take(r, id);
}

/* -- tries ----------------------------------------------------------------------------- */

/* The texts of entries [at, at + 2 count) in words, of which `done` bytes are behind us. */
static rx_id trie(struct rx *r, uint32_t at, uint32_t count, uint32_t done)
{
    const uint32_t *e = RX_AT(uint32_t, r->word) + at;
    struct rx_node want = {.kind = RX_K_TRIE, .a = at, .b = count, .c = done};
    rx_id id;

    if (count == 1)
        return rx_text_at(r, e[0] + done, e[1] - done);
    if (r->failed.code)
        return RX_NONE;
    want.flags = e[1] == done ? RX_NULLABLE : 0;
    want.least = e[1] == done ? 0 : 1;
    want.hash = want.shape = rx_mix(rx_mix(RX_K_TRIE, at), rx_mix(count, done));
    id = rx_find(r, &want, NULL);
    return id ? id : rx_add(r, &want);
}

static int edges_trie(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    uint32_t i = n.flags & RX_NULLABLE ? 1 : 0, k, len, other;
    int rc = rx_count(r, n.b);

    r->out.n = 0;
    for (; i < n.b && rc == 0; i = k) {
        const uint32_t *e = RX_AT(uint32_t, r->word) + n.a;
        uint32_t cp = rx_text_char(r, e[2 * i] + n.c, e[2 * i + 1] - n.c, &len);

        for (k = i + 1; k < n.b; k++) {
            if (rx_text_char(r, e[2 * k] + n.c, e[2 * k + 1] - n.c, &other) != cp)
                break;
        }
        rc = out_only(r, cp, cp, trie(r, n.a + 2 * i, k - i, n.c + len));
        if (r->failed.code)
            rc = r->failed.code;
    }
    return rc < 0 ? rc : out_take(r, id);
}

struct entry {
    struct str text;
    uint32_t at;
};

static int by_text(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    int c = memcmp(x->text.p, y->text.p, n);

    return c ? c : x->text.n < y->text.n ? -1 : x->text.n > y->text.n;
}

/* The texts among the kids of an alternation as a trie; RX_NONE when those are too few. */
static rx_id trie_of(struct rx *r, rx_id alt)
{
    struct rx_node n = *rx_at(r, alt);
    struct entry *e;
    uint32_t at, count = 0;

    r->event.n = 0;
    /* Spans and entries share their scratch: entries are used up before spans begin. */
    if (rx_room(r, &r->event,
                n.b * ((sizeof(*e) + sizeof(struct rx_span) - 1) / sizeof(struct rx_span)),
                sizeof(struct rx_span)) < 0)
        return RX_NONE;
    e = r->event.p;
    for (uint32_t i = 0; i < n.b; i++) {
        const struct rx_node *k = rx_at(r, RX_AT(uint32_t, r->word)[n.a + i]);

        if (k->kind == RX_K_TEXT)
            e[count++] = (struct entry){{RX_AT(char, r->text) + k->a, k->b}, k->a};
    }
    if (count < RX_TRIE_MIN || rx_count(r, count) < 0 ||
        rx_room(r, &r->word, (size_t)count * 2, sizeof(uint32_t)) < 0)
        return RX_NONE;
    qsort(e, count, sizeof(*e), by_text);
    at = (uint32_t)r->word.n;
    for (uint32_t i = 0; i < count; i++) {
        RX_AT(uint32_t, r->word)[r->word.n++] = e[i].at;
        RX_AT(uint32_t, r->word)[r->word.n++] = (uint32_t)e[i].text.n;
    }
    return trie(r, at, count, 0);
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
            rc = out_put(r, pos, together(r, kind, need));
        if (r->failed.code)
            rc = r->failed.code;
        pos = end + 1;
    }
    return rc;
}

static int edges_group(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    rx_id texts = n.kind == RX_K_ALT && n.b >= RX_TRIE_MIN ? trie_of(r, id) : RX_NONE;
    int rc = r->failed.code;

    if (texts != RX_NONE && !rx_at(r, texts)->edges)
        rc = edges_trie(r, texts);
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
    return rc < 0 ? rc : out_take(r, id);
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
    return set_edges(r, id, number, r->target.p, n);
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
    return rc < 0 ? rc : out_take(r, id);
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
    if (out_put(r, 0, RX_NONE) < 0)
        return r->failed.code;
    return out_take(r, id);
}

static int (*const edges_by_kind[])(struct rx *r, rx_id id) = {
    [RX_K_NONE] = edges_nothing,  [RX_K_EMPTY] = edges_nothing, [RX_K_SET] = edges_set,
    [RX_K_TEXT] = edges_text,     [RX_K_TRIE] = edges_trie,     [RX_K_SEQ] = edges_seq,
    [RX_K_ALT] = edges_group,     [RX_K_AND] = edges_group,     [RX_K_NOT] = edges_not,
    [RX_K_REPEAT] = edges_repeat,
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
