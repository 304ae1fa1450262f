/* mask_top.c - one terminal and the whole vocabulary: which tokens stay inside, which end it.
 */
#include "text/gram/mask_priv.h"

#include "base/mem.h"

#include <stdlib.h>

int mask_full(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for the mask of tokens");
}

/* -- stretches of tokens, as bits in the trie's order --------------------------------- */

static void set_stretch(uint32_t *bits, uint32_t lo, uint32_t hi)
{
    for (; lo < hi && lo % 32; lo++)
        bits[lo / 32] |= 1u << (lo % 32);
    for (; lo + 32 <= hi; lo += 32)
        bits[lo / 32] = ~0u;
    for (; lo < hi; lo++)
        bits[lo / 32] |= 1u << (lo % 32);
}

/* 1: all of them are set. */
static int is_set(const uint32_t *bits, uint32_t lo, uint32_t hi)
{
    for (; lo < hi && lo % 32; lo++) {
        if (!(bits[lo / 32] >> (lo % 32) & 1))
            return 0;
    }
    for (; lo + 32 <= hi; lo += 32) {
        if (bits[lo / 32] != ~0u)
            return 0;
    }
    for (; lo < hi; lo++) {
        if (!(bits[lo / 32] >> (lo % 32) & 1))
            return 0;
    }
    return 1;
}

/* -- walking -------------------------------------------------------------------------- */

static int note_end(struct mask *m, uint32_t pay, uint32_t node, struct err *e)
{
    if (gram_room(m->g, &m->ends, 1, sizeof(struct mask_end)) < 0)
        return mask_full(e);
    GRAM_AT(struct mask_end, m->ends)[m->ends.n++] = (struct mask_end){pay, node};
    return 0;
}

/* The tokens that stay inside as bits in m->stay, the ends in m->ends. */
static int walk(struct mask *m, uint32_t bs, struct err *e)
{
    const struct mask_vocab *v = m->v;
    uint32_t i = 1;
    int rc = gram_bs_make(m->g, bs, e);

    memset(m->stay, 0, ((size_t)v->n_text / 32 + 1) * sizeof(*m->stay));
    m->ends.n = 0;
    m->stack[0] = bs;
    if (rc == 0)
        rc = gram_bs_even(m->g, bs, v->has[0], v->tall[0], e);
    if (rc > 0) {
        set_stretch(m->stay, 0, v->n_text);
        return 0;
    }
    while (rc == 0 && i < v->n_node) {
        unsigned d = v->depth[i];
        uint32_t next = gram_bs_next(gram_bs_at(m->g, m->stack[d - 1]), v->byte[i]);
        const struct gram_bs *s;

        if (!next) {
            i = v->skip[i];
            continue;
        }
        set_stretch(m->stay, v->first[i], v->first[i + 1]);
        if (v->skip[i] == i + 1) {
            i++;
            continue;
        }
        if (!gram_bs_at(m->g, next)->made)
            rc = gram_bs_make(m->g, next, e);
        if (rc == 0)
            rc = gram_bs_even(m->g, next, v->has[i], v->tall[i], e);
        if (rc > 0) {
            set_stretch(m->stay, v->first[i + 1], v->first[v->skip[i]]);
            i = v->skip[i];
            rc = 0;
            continue;
        }
        s = gram_bs_at(m->g, next);
        if (rc == 0 && s->accept)
            rc = note_end(m, s->accept - 1, i, e);
        m->stack[d] = next;
        i = s->row ? i + 1 : v->skip[i];
    }
    return rc;
}

/* -- what is left behind the ends ----------------------------------------------------- */

static int by_pay(const void *a, const void *b)
{
    const struct mask_end *x = a, *y = b;

    if (x->pay != y->pay)
        return x->pay < y->pay ? -1 : 1;
    return (x->exit > y->exit) - (x->exit < y->exit);
}

/* An exit with these nodes, which it takes; 0: no memory. */
static uint32_t new_exit(struct mask *m, uint32_t *node, uint32_t n, uint32_t byte)
{
    struct mask_exit x = {.node = node, .n = n, .byte = byte};

    if (!node || gram_room(m->g, &m->exit, 1, sizeof(x)) < 0) {
        mem_free(node);
        return 0;
    }
    m->bytes += sizeof(x) + n * sizeof(*node);
    GRAM_AT(struct mask_exit, m->exit)[m->exit.n] = x;
    return (uint32_t)m->exit.n++;
}

static int take_ends(struct mask *m, struct mask_top *t, struct err *e)
{
    const struct mask_vocab *v = m->v;
    struct mask_end *end = m->ends.p;
    size_t n = 0, groups = 0;

    for (size_t i = 0; i < m->ends.n; i++) {
        uint32_t node = end[i].exit;

        /* Tokens that stay inside need no other way. */
        if (!is_set(m->stay, v->first[node + 1], v->first[v->skip[node]]))
            end[n++] = end[i];
    }
    if (n == 0)
        return 0;
    qsort(end, n, sizeof(*end), by_pay);
    for (size_t i = 0; i < n; i++)
        groups += i == 0 || end[i].pay != end[i - 1].pay;
    t->end = mem_alloc(groups * sizeof(*t->end));
    if (!t->end)
        return mask_full(e);
    m->bytes += groups * sizeof(*t->end);
    for (size_t i = 0, k; i < n; i = k) {
        uint32_t *node, id;

        for (k = i; k < n && end[k].pay == end[i].pay;)
            k++;
        node = mem_alloc((k - i) * sizeof(*node));
        for (size_t j = i; node && j < k; j++)
            node[j - i] = end[j].exit;
        id = new_exit(m, node, (uint32_t)(k - i), 0);
        if (!id)
            return mask_full(e);
        t->end[t->n_end++] = (struct mask_end){end[i].pay, id};
    }
    return 0;
}

/* From the trie's order to numbers of tokens: a list when they are few. */
static int take_stay(struct mask *m, struct mask_top *t, struct err *e)
{
    const struct mask_vocab *v = m->v;
    uint32_t n = 0, words = v->n_text / 32 + 1;

    for (uint32_t i = 0; i < words; i++)
        n += (uint32_t)__builtin_popcount(m->stay[i]);
    if (n < v->n_word)
        t->id = mem_alloc((n + (size_t)1) * sizeof(*t->id));
    else
        t->bits = mem_calloc(v->n_word, sizeof(*t->bits));
    if (!t->id && !t->bits)
        return mask_full(e);
    m->bytes += (n < v->n_word ? n + 1 : v->n_word) * sizeof(uint32_t);
    for (uint32_t i = 0; i < words; i++) {
        for (uint32_t w = m->stay[i]; w; w &= w - 1) {
            int32_t id = v->tok[i * 32 + (uint32_t)__builtin_ctz(w)];

            if (t->id)
                t->id[t->n_id++] = id;
            else
                t->bits[id / 32] |= 1u << (id % 32);
        }
    }
    return 0;
}

int mask_top(struct mask *m, uint32_t bs, struct mask_top **out, struct err *e)
{
    struct mask_top t = {0};
    uint32_t at;
    int rc;

    if (map64_get(&m->tops, bs, &at)) {
        *out = &GRAM_AT(struct mask_top, m->top)[at];
        return 0;
    }
    rc = walk(m, bs, e);
    if (rc == 0)
        rc = take_stay(m, &t, e);
    if (rc == 0)
        rc = take_ends(m, &t, e);
    if (rc == 0 && (gram_room(m->g, &m->top, 1, sizeof(t)) < 0 ||
                    map64_put(&m->tops, bs, (uint32_t)m->top.n) < 0))
        rc = mask_full(e);
    if (rc < 0) {
        mem_free(t.bits);
        mem_free(t.id);
        mem_free(t.end);
        return rc;
    }
    m->bytes += sizeof(t) + sizeof(struct map64_slot);
    GRAM_AT(struct mask_top, m->top)[m->top.n++] = t;
    *out = &GRAM_AT(struct mask_top, m->top)[m->top.n - 1];
    return 0;
}

/* -- exits, a byte further ------------------------------------------------------------ */

/* Calls for each child of the exit's nodes with a byte that is wanted: counts it, or puts it
 * where the count says. */
static void children(const struct mask *m, uint32_t exit, const uint64_t want[4],
                     uint32_t count[256], uint32_t *put[256])
{
    const struct mask_vocab *v = m->v;
    const struct mask_exit *x = mask_exit_at(m, exit);

    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t end = v->skip[x->node[i]];

        for (uint32_t c = x->node[i] + 1; c < end; c = v->skip[c]) {
            unsigned b = v->byte[c];

            if (!(want[b / 64] >> (b % 64) & 1))
                continue;
            if (put)
                put[b][count[b]++] = c;
            else
                count[b]++;
        }
    }
}

int mask_exits(struct mask *m, uint32_t exit, const uint64_t want[4], struct err *e)
{
    struct mask_exit *x = mask_exit_at(m, exit);
    uint64_t fresh[4], any = 0;
    uint32_t count[256] = {0}, *put[256];

    for (int i = 0; i < 4; i++) {
        fresh[i] = want[i] & ~x->done[i];
        any |= fresh[i];
        x->done[i] |= want[i];
    }
    if (!any)
        return 0;
    children(m, exit, fresh, count, NULL);
    for (unsigned b = 0; b < 256; b++) {
        uint32_t id;

        if (!count[b])
            continue;
        put[b] = mem_alloc(count[b] * sizeof(*put[b]));
        id = new_exit(m, put[b], count[b], b);
        if (!id)
            return mask_full(e);
        x = mask_exit_at(m, exit);
        mask_exit_at(m, id)->next = x->child;
        x->child = id;
        count[b] = 0;
    }
    children(m, exit, fresh, count, put);
    return 0;
}
