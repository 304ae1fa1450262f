#include "text/special.h"

#include "base/mem.h"
#include "text/tok.h"

#include <stdlib.h>

/* Tokens of one text differ in id and type, so a node keeps two: the first in the order of
 * the rule, and the first that is user-defined. */
struct special_node {
    uint32_t child, sibling; /* 0: none; node 0 is not used */
    uint32_t any, user;      /* index into special.text + 1; 0: no token ends here */
    unsigned char byte;
};

/* -- building ------------------------------------------------------------------------ */

struct entry {
    struct str text;
    int32_t id;
};

static int by_rule(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->text.n != y->text.n)
        return x->text.n > y->text.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int is_special(const struct vocab *v, int id)
{
    return v->text[id].n > 0 && (v->type[id] == TOK_CONTROL || v->type[id] == TOK_UNKNOWN ||
                                 v->type[id] == TOK_USER);
}

static int collect(struct special *s, const struct vocab *v)
{
    struct entry *all;
    uint32_t n = 0, i = 0;

    for (int id = 0; id < v->n; id++)
        n += (uint32_t)is_special(v, id);
    if (!n)
        return 0;
    all = mem_alloc(n * sizeof(*all));
    s->text = mem_alloc(n * sizeof(*s->text));
    s->id = mem_alloc(n * sizeof(*s->id));
    s->user = mem_alloc(n);
    s->strip = mem_alloc(n);
    if (!all || !s->text || !s->id || !s->user || !s->strip) {
        mem_free(all);
        return E_NOMEM;
    }
    for (int id = 0; id < v->n; id++) {
        if (is_special(v, id))
            all[i++] = (struct entry){v->text[id], id};
    }
    qsort(all, n, sizeof(*all), by_rule);
    for (i = 0; i < n; i++) {
        s->text[i] = all[i].text;
        s->id[i] = all[i].id;
        s->user[i] = v->type[all[i].id] == TOK_USER;
        s->strip[i] = v->flags[all[i].id] & (VOCAB_LSTRIP | VOCAB_RSTRIP);
    }
    s->n = n;
    mem_free(all);
    return 0;
}

static uint32_t new_node(struct special *s, unsigned char byte)
{
    if (s->n_node == s->cap_node) {
        uint32_t cap = s->cap_node ? s->cap_node * 2 : 256;
        struct special_node *node =
            cap > s->cap_node ? mem_realloc(s->node, cap * sizeof(*node)) : NULL;

        if (!node)
            return 0;
        s->node = node;
        s->cap_node = cap;
        if (!s->n_node)
            s->node[s->n_node++] = (struct special_node){0};
    }
    s->node[s->n_node] = (struct special_node){.byte = byte};
    return s->n_node++;
}

static inline uint32_t find_child(const struct special *s, uint32_t node, unsigned char byte)
{
    uint32_t c = s->node[node].child;

    while (c && s->node[c].byte != byte)
        c = s->node[c].sibling;
    return c;
}

/* The node of that text, made where it is missing; 0: no memory. */
static uint32_t insert(struct special *s, struct str text)
{
    unsigned char byte = (unsigned char)text.p[0];
    uint32_t node = s->root[byte], child;

    if (!node)
        node = s->root[byte] = new_node(s, byte);
    for (size_t i = 1; node && i < text.n; i++) {
        byte = (unsigned char)text.p[i];
        child = find_child(s, node, byte);
        if (!child) {
            child = new_node(s, byte);
            if (child) {
                s->node[child].sibling = s->node[node].child;
                s->node[node].child = child;
            }
        }
        node = child;
    }
    return node;
}

int special_init(struct special *s, const struct vocab *v)
{
    *s = (struct special){0};
    if (collect(s, v) < 0)
        goto fail;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t node = insert(s, s->text[i]);

        if (!node)
            goto fail;
        if (!s->node[node].any)
            s->node[node].any = i + 1;
        if (!s->node[node].user && v->type[s->id[i]] == TOK_USER)
            s->node[node].user = i + 1;
    }
    return 0;
fail:
    special_done(s);
    return E_NOMEM;
}

void special_done(struct special *s)
{
    mem_free(s->text);
    mem_free(s->id);
    mem_free(s->user);
    mem_free(s->strip);
    mem_free(s->node);
    *s = (struct special){0};
}

/* -- splitting ----------------------------------------------------------------------- */

/* A stretch of text in which tokens from number `first` on may still take places, or one
 * whose taker is known. */
struct part {
    size_t at, end;
    uint32_t first;
    int taken;
};

struct split {
    const struct special *s;
    const struct special_sink *sink;
    const struct marked *marks;
    const char *p;
    size_t n;
    size_t text_at;      /* ordinary text that the sink has not got yet begins here */
    size_t gap, gap_end; /* the run of spaces that was looked at last */

    /* The group of overlapping places being collected. */
    size_t at, end;
    uint32_t n_place, place; /* how many; the first one's token */
    uint64_t *seen;          /* a bit for each token that has a place in the group */
    uint32_t lo, hi;         /* words of seen that may have bits */

    struct part *stack;
    size_t n_stack, cap_stack;
};

/* 1 when these bytes are all the template's. */
static int is_template(const struct marked *m, size_t at, size_t end)
{
    size_t lo = 0, hi = m->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (m->mark[mid].end > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < m->n && !m->mark[lo].user && m->mark[lo].end >= end;
}

static int may_stand(const struct split *x, size_t at, uint32_t k)
{
    return !x->marks || x->s->user[k] || is_template(x->marks, at, at + x->s->text[k].n);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Widens a place of token k by the spaces that it takes along, inside from and to. */
static void take_spaces(struct split *x, uint32_t k, size_t from, size_t to, size_t *at,
                        size_t *end)
{
    if ((x->s->strip[k] & VOCAB_RSTRIP) && *end < to && is_space(x->p[*end])) {
        if (*end < x->gap || *end >= x->gap_end) {
            x->gap = *end;
            for (x->gap_end = *end; x->gap_end < x->n && is_space(x->p[x->gap_end]);)
                x->gap_end++;
        }
        *end = x->gap_end < to ? x->gap_end : to;
    }
    if ((x->s->strip[k] & VOCAB_LSTRIP) && *at > from && is_space(x->p[*at - 1])) {
        if (*at <= x->gap || *at > x->gap_end) {
            x->gap_end = *at;
            for (x->gap = *at; x->gap > x->text_at && is_space(x->p[x->gap - 1]);)
                x->gap--;
        }
        *at = x->gap > from ? x->gap : from;
    }
}

static int emit(struct split *x, size_t at, size_t end, uint32_t k)
{
    int rc = 0;

    if (at > x->text_at)
        rc = x->sink->text(x->sink->ctx, (struct str){x->p + x->text_at, at - x->text_at});
    x->text_at = end;
    return rc < 0 ? rc : x->sink->token(x->sink->ctx, x->s->id[k]);
}

static int push(struct split *x, struct part part)
{
    if (part.at == part.end)
        return 0;
    if (x->n_stack == x->cap_stack) {
        size_t cap = x->cap_stack ? x->cap_stack * 2 : 64;
        struct part *stack = mem_realloc(x->stack, cap * sizeof(*stack));

        if (!stack)
            return E_NOMEM;
        x->stack = stack;
        x->cap_stack = cap;
    }
    x->stack[x->n_stack++] = part;
    return 0;
}

/* Where token k stands next, from *at on. */
static int find_place(const struct split *x, uint32_t k, size_t end, size_t *at)
{
    struct str t = x->s->text[k];
    const char *hit = memmem(x->p + *at, end - *at, t.p, t.n);

    if (hit)
        *at = (size_t)(hit - x->p);
    return hit != NULL;
}

/* The best token that has a place in the part: 1, and which and where; or 0. */
static int best_in(const struct split *x, const struct part *part, uint32_t *k, size_t *at)
{
    uint64_t mask = ~(uint64_t)0 << (part->first % 64);

    for (uint32_t w = part->first / 64; w <= x->hi; w++, mask = ~(uint64_t)0) {
        for (uint64_t bits = x->seen[w] & mask; bits; bits &= bits - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);
            *k = i;
            for (*at = part->at; find_place(x, i, part->end, at); ++*at) {
                if (may_stand(x, *at, i))
                    return 1;
            }
        }
    }
    return 0;
}

/* Gives the places of a group by the rule. What lies left of a taken place has none for that
 * token any more; what lies right of it may. */
static int settle_group(struct split *x)
{
    int rc = push(x, (struct part){x->at, x->end, x->lo * 64, 0});

    while (rc >= 0 && x->n_stack) {
        struct part part = x->stack[--x->n_stack];
        uint32_t k;
        size_t at, end;

        if (part.taken) {
            rc = emit(x, part.at, part.end, part.first);
            continue;
        }
        if (!best_in(x, &part, &k, &at))
            continue;
        end = at + x->s->text[k].n;
        take_spaces(x, k, part.at, part.end, &at, &end);
        rc = push(x, (struct part){end, part.end, k, 0});
        if (rc >= 0)
            rc = push(x, (struct part){at, end, k, 1});
        if (rc >= 0)
            rc = push(x, (struct part){part.at, at, k + 1, 0});
    }
    return rc;
}

static int settle(struct split *x)
{
    int rc = 0;

    if (x->n_place == 1)
        rc = emit(x, x->at, x->end, x->place);
    else if (x->n_place > 1)
        rc = settle_group(x);
    if (x->n_place)
        memset(x->seen + x->lo, 0, (x->hi - x->lo + 1) * sizeof(*x->seen));
    x->n_place = 0;
    return rc;
}

/* Token k has a place at `at`. */
static int add_place(struct split *x, size_t at, uint32_t k)
{
    size_t end = at + x->s->text[k].n;
    uint32_t w = k / 64;
    int rc;

    take_spaces(x, k, x->text_at, x->n, &at, &end);
    if (x->n_place && at >= x->end) {
        rc = settle(x);
        if (rc < 0)
            return rc;
    }
    if (!x->n_place) {
        x->at = at;
        x->end = end;
        x->place = k;
        x->lo = x->hi = w;
    }
    x->n_place += x->n_place < 2;
    x->seen[w] |= (uint64_t)1 << k % 64;
    x->lo = w < x->lo ? w : x->lo;
    x->hi = w > x->hi ? w : x->hi;
    x->at = at < x->at ? at : x->at;
    x->end = end > x->end ? end : x->end;
    return 0;
}

/* All tokens that have a place at `at`. */
static int add_places(struct split *x, uint32_t node, size_t at, int control)
{
    const struct special *s = x->s;
    int rc = 0;

    for (size_t i = at + 1; node; i++) {
        uint32_t k = s->node[node].user, any = control ? s->node[node].any : 0;

        if (any && may_stand(x, at, any - 1))
            k = any;

        if (k) {
            rc = add_place(x, at, k - 1);
            if (rc < 0)
                return rc;
        }
        node = i < x->n ? find_child(s, node, (unsigned char)x->p[i]) : 0;
    }
    return rc;
}

int special_split(const struct special *s, struct str text, int control,
                  const struct marked *marks, const struct special_sink *sink)
{
    struct split x = {.s = s, .sink = sink, .marks = marks, .p = text.p, .n = text.n};
    int rc = 0;

    if (!text.n)
        return 0;
    if (!s->n)
        return sink->text(sink->ctx, text);
    x.seen = mem_calloc(s->n / 64 + 1, sizeof(*x.seen));
    if (!x.seen)
        return E_NOMEM;
    for (size_t at = 0; rc >= 0 && at < text.n; at++) {
        uint32_t node = s->root[(unsigned char)text.p[at]];

        if (node)
            rc = add_places(&x, node, at, control);
    }
    if (rc >= 0)
        rc = settle(&x);
    if (rc >= 0 && x.text_at < text.n)
        rc = sink->text(sink->ctx, (struct str){text.p + x.text_at, text.n - x.text_at});
    mem_free(x.seen);
    mem_free(x.stack);
    return rc;
}
