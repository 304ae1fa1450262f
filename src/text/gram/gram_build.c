/* gram_build.c - expressions: made bottom up, equal ones once. */
#include "text/gram/gram_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

int gram_add(struct gram *g, const struct gram_node *n, gram_ref *out)
{
    if (g->node.n >= g->limits.nodes)
        return gram_fail(g, E_TOO_LONG, "the grammar has more than %u expressions",
                         (unsigned)g->limits.nodes);
    if (gram_room(g, &g->node, 1, sizeof(*n)) < 0)
        return gram_full(g, &g->failed);
    *out = (gram_ref)g->node.n;
    GRAM_AT(struct gram_node, g->node)[g->node.n++] = *n;
    return 0;
}

struct rx *gram_rx(struct gram *g)
{
    return g->rx;
}

/* -- expressions that are found again ------------------------------------------------- */

/* What makes an expression, as its record begins; its parts follow. */
struct shape {
    uint32_t kind, plain, a, n;
    uint64_t min, max;
};

static gram_ref make(struct gram *g, const struct shape *s, const gram_ref *part)
{
    size_t n_byte = sizeof(*s) + s->n * sizeof(*part);
    struct gram_node node = {.kind = (uint8_t)s->kind,
                             .plain = (uint8_t)s->plain,
                             .a = s->a,
                             .n = s->n,
                             .min = s->min,
                             .max = s->max};
    char *rec = mem_alloc(n_byte);
    gram_ref r = GRAM_NEVER;
    uint32_t id;
    int fresh;

    if (!rec) {
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
        return GRAM_NEVER;
    }
    memcpy(rec, s, sizeof(*s));
    if (s->n)
        memcpy(rec + sizeof(*s), part, s->n * sizeof(*part));
    id = gram_intern(g, &g->same, &g->kept, rec, n_byte, &fresh);
    mem_free(rec);
    if (!id || (fresh && gram_room(g, &g->by_node, 1, sizeof(uint32_t)) < 0)) {
        (void)gram_full(g, &g->failed);
        return GRAM_NEVER;
    }
    if (!fresh)
        return GRAM_AT(uint32_t, g->by_node)[id];
    node.part = (const gram_ref *)((const char *)GRAM_REC(void, g->same, id) + sizeof(*s));
    (void)gram_add(g, &node, &r);
    GRAM_AT(uint32_t, g->by_node)[g->by_node.n++] = r;
    return r;
}

static int valid(struct gram *g, gram_ref r)
{
    if (g->finished)
        (void)gram_fail(g, E_INTERNAL, "the grammar is finished, nothing can be added");
    else if (r >= g->node.n)
        (void)gram_fail(g, E_INTERNAL, "no expression %u", (unsigned)r);
    return g->failed.code == 0;
}

/* -- terminals ------------------------------------------------------------------------ */

static int by_bytes(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return gram_text_order(*x, *y);
}

/* A set of texts, which the grammar owns already; sorts them where they are. */
static gram_ref make_lits(struct gram *g, struct str *s, size_t n)
{
    struct gram_lits set;
    struct str *own;
    size_t kept = 0;

    qsort(s, n, sizeof(*s), by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !str_eq(s[kept - 1], s[i]))
            s[kept++] = s[i];
    }
    own = gram_keep(g, &g->kept, s, kept * sizeof(*s));
    if (!own || gram_room(g, &g->lits, 1, sizeof(set)) < 0) {
        (void)gram_full(g, &g->failed);
        return GRAM_NEVER;
    }
    set = (struct gram_lits){own, (uint32_t)kept};
    GRAM_AT(struct gram_lits, g->lits)[g->lits.n++] = set;
    return make(g, &(struct shape){.kind = GRAM_K_LIT, .a = (uint32_t)g->lits.n - 1}, NULL);
}

gram_ref gram_bytes(struct gram *g, struct str bytes)
{
    struct shape s = {.kind = GRAM_K_LIT};
    uint32_t id, set;

    if (!valid(g, GRAM_EMPTY) || bytes.n == 0)
        return g->failed.code ? GRAM_NEVER : GRAM_EMPTY;
    if (bytes.n > UINT32_MAX / 2) {
        (void)gram_fail(g, E_TOO_LONG, "a literal of %zu bytes", bytes.n);
        return GRAM_NEVER;
    }
    id = gram_key(g, bytes);
    if (!id) {
        (void)gram_full(g, &g->failed);
        return GRAM_NEVER;
    }
    bytes = gram_key_text(g, id);
    /* One set for each text, found by the text's number. */
    if (map64_get(&g->lone, id, &set)) {
        s.a = set;
        return make(g, &s, NULL);
    }
    if (map64_put(&g->lone, id, (uint32_t)g->lits.n) < 0) {
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
        return GRAM_NEVER;
    }
    return make_lits(g, &bytes, 1);
}

static gram_ref of_rx(struct gram *g, uint32_t kind, rx_id rx, int plain)
{
    if (!valid(g, GRAM_EMPTY))
        return GRAM_NEVER;
    if (rx == RX_NONE)
        return GRAM_NEVER;
    if (rx == RX_EMPTY && kind == GRAM_K_TEXT)
        return GRAM_EMPTY;
    return make(g, &(struct shape){.kind = kind, .plain = plain != 0, .a = rx}, NULL);
}

gram_ref gram_text(struct gram *g, rx_id rx)
{
    return of_rx(g, GRAM_K_TEXT, rx, 0);
}

gram_ref gram_json_string(struct gram *g, rx_id rx, int plain)
{
    return of_rx(g, GRAM_K_JSON, rx, plain);
}

gram_ref gram_until(struct gram *g, struct str end)
{
    struct rx *r = g->rx;
    rx_id any, ends, more;

    if (end.n == 0)
        return GRAM_EMPTY;
    if (!utf8_valid(end.p, end.n)) {
        (void)gram_fail(g, E_INVALID, "the text that ends another is not UTF-8");
        return GRAM_NEVER;
    }
    /* What ends with it, but not what goes on behind it. */
    any = rx_repeat(r, rx_any(r), 0, RX_INF);
    ends = rx_seq(r, any, rx_text(r, end));
    more = rx_seq(r, ends, rx_repeat(r, rx_any(r), 1, RX_INF));
    return gram_text(g, rx_and(r, ends, rx_not(r, more)));
}

/* -- sequences, choices, repetitions -------------------------------------------------- */

static const struct gram_lits *lone(const struct gram *g, gram_ref r)
{
    const struct gram_node *n = gram_at(g, r);
    const struct gram_lits *s;

    if (n->kind != GRAM_K_LIT)
        return NULL;
    s = &GRAM_AT(struct gram_lits, g->lits)[n->a];
    return s->n == 1 ? s : NULL;
}

/* Two literals beside each other are one. */
static gram_ref join(struct gram *g, const struct gram_lits *a, const struct gram_lits *b)
{
    struct buf text;
    gram_ref r = GRAM_NEVER;

    buf_init(&text, g->limits.bytes);
    if (buf_put(&text, a->s[0].p, a->s[0].n) < 0 || buf_put(&text, b->s[0].p, b->s[0].n) < 0)
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
    else
        r = gram_bytes(g, (struct str){text.p, text.n});
    buf_done(&text);
    return r;
}

gram_ref gram_seq(struct gram *g, const gram_ref *part, size_t n)
{
    gram_ref *kept = mem_alloc((n + 1) * sizeof(*kept)), r = GRAM_NEVER;
    size_t k = 0;
    int never = 0;

    if (!kept) {
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
        return GRAM_NEVER;
    }
    for (size_t i = 0; i < n && valid(g, part[i]); i++) {
        const struct gram_lits *a = k ? lone(g, kept[k - 1]) : NULL, *b = lone(g, part[i]);

        never |= part[i] == GRAM_NEVER;
        if (part[i] == GRAM_EMPTY)
            continue;
        /* Long ones are left alone: joining one by one must not take quadratic time. */
        if (a && b && a->s[0].n < 256)
            kept[k - 1] = join(g, a, b);
        else
            kept[k++] = part[i];
    }
    if (!valid(g, GRAM_EMPTY) || never)
        r = GRAM_NEVER;
    else if (k <= 1)
        r = k ? kept[0] : GRAM_EMPTY;
    else
        r = make(g, &(struct shape){.kind = GRAM_K_SEQ, .n = (uint32_t)k}, kept);
    mem_free(kept);
    return r;
}

static int by_number(const void *a, const void *b)
{
    const gram_ref *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The literals among n parts become one set; returns how many parts are left. */
static size_t merge_lits(struct gram *g, gram_ref *part, size_t n)
{
    size_t n_lit = 0, n_text = 0, kept = 0, at = 0;
    struct str *all;

    for (size_t i = 0; i < n; i++) {
        const struct gram_node *node = gram_at(g, part[i]);

        if (node->kind == GRAM_K_LIT) {
            n_lit++;
            n_text += GRAM_AT(struct gram_lits, g->lits)[node->a].n;
        }
    }
    if (n_lit < 2)
        return n;
    all = mem_alloc(n_text * sizeof(*all));
    if (!all) {
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        const struct gram_node *node = gram_at(g, part[i]);
        const struct gram_lits *s;

        if (node->kind != GRAM_K_LIT) {
            part[kept++] = part[i];
            continue;
        }
        s = &GRAM_AT(struct gram_lits, g->lits)[node->a];
        memcpy(all + at, s->s, s->n * sizeof(*all));
        at += s->n;
    }
    part[kept++] = make_lits(g, all, n_text);
    mem_free(all);
    return kept;
}

gram_ref gram_alt(struct gram *g, const gram_ref *part, size_t n)
{
    gram_ref *kept = mem_alloc((n + 1) * sizeof(*kept)), r = GRAM_NEVER;
    size_t k = 0, m = 0;

    if (!kept) {
        (void)gram_fail(g, E_NOMEM, "no memory for a grammar");
        return GRAM_NEVER;
    }
    for (size_t i = 0; i < n && valid(g, part[i]); i++) {
        if (part[i] != GRAM_NEVER)
            kept[k++] = part[i];
    }
    if (valid(g, GRAM_EMPTY)) {
        k = merge_lits(g, kept, k);
        qsort(kept, k, sizeof(*kept), by_number);
        for (size_t i = 0; i < k; i++) {
            if (m == 0 || kept[m - 1] != kept[i])
                kept[m++] = kept[i];
        }
        if (m <= 1)
            r = m ? kept[0] : GRAM_NEVER;
        else
            r = make(g, &(struct shape){.kind = GRAM_K_ALT, .n = (uint32_t)m}, kept);
    }
    mem_free(kept);
    return r;
}

gram_ref gram_repeat(struct gram *g, gram_ref a, uint64_t min, uint64_t max)
{
    struct shape s = {.kind = GRAM_K_REP, .n = 1, .min = min, .max = max};

    if (!valid(g, a) || min > max)
        return GRAM_NEVER;
    if (max == 0 || a == GRAM_EMPTY || (a == GRAM_NEVER && min == 0))
        return GRAM_EMPTY;
    if (a == GRAM_NEVER || (min == 1 && max == 1))
        return a;
    return make(g, &s, &a);
}

gram_ref gram_list(struct gram *g, gram_ref a, gram_ref sep, uint64_t min, uint64_t max)
{
    gram_ref more[2] = {sep, a}, all[2];

    if (!valid(g, a) || !valid(g, sep) || min > max)
        return GRAM_NEVER;
    if (max == 0)
        return GRAM_EMPTY;
    all[0] = a;
    all[1] = gram_repeat(g, gram_seq(g, more, 2), min > 1 ? min - 1 : 0,
                         max == GRAM_INF ? GRAM_INF : max - 1);
    a = gram_seq(g, all, 2);
    all[0] = GRAM_EMPTY;
    all[1] = a;
    return min > 0 ? a : gram_alt(g, all, 2);
}

gram_ref gram_rule(struct gram *g)
{
    gram_ref r = GRAM_NEVER;

    if (valid(g, GRAM_EMPTY))
        (void)gram_add(g, &(struct gram_node){.kind = GRAM_K_RULE}, &r);
    return r;
}

void gram_rule_set(struct gram *g, gram_ref rule, gram_ref body)
{
    gram_ref *own;

    if (!valid(g, rule) || !valid(g, body))
        return;
    if (gram_at(g, rule)->kind != GRAM_K_RULE || gram_at(g, rule)->n) {
        (void)gram_fail(g, E_INTERNAL, "expression %u is no rule, or is set already",
                        (unsigned)rule);
        return;
    }
    own = gram_keep(g, &g->kept, &body, sizeof(body));
    if (!own) {
        (void)gram_full(g, &g->failed);
        return;
    }
    gram_at(g, rule)->part = own;
    gram_at(g, rule)->n = 1;
}

void gram_rule_name(struct gram *g, gram_ref rule, struct str name)
{
    uint32_t key = valid(g, rule) ? gram_key(g, name) : 0;

    if (key && gram_at(g, rule)->kind == GRAM_K_RULE)
        gram_at(g, rule)->a = key;
}

/* -- arrays --------------------------------------------------------------------------- */

/* What follows the first n items, from the back: so each item's expression is made once. */
static gram_ref after_items(struct gram *g, const struct gram_array *a, uint32_t n,
                            gram_ref rest)
{
    gram_ref seq[3] = {a->comma, GRAM_NEVER, rest}, opt[2] = {GRAM_EMPTY, GRAM_NEVER};

    if (n < a->n_prefix && n < a->max) {
        seq[1] = a->prefix[n];
        opt[1] = gram_seq(g, seq + (n == 0), n == 0 ? 2 : 3);
    }
    return n >= a->min ? gram_alt(g, opt, 2) : opt[1];
}

gram_ref gram_array(struct gram *g, const struct gram_array *a)
{
    gram_ref more[2] = {a->comma, a->items}, all[3] = {a->open, GRAM_NEVER, a->close}, rest;
    uint64_t done = a->n_prefix < a->max ? a->n_prefix : a->max;
    uint64_t least = a->min > done ? a->min - done : 0;
    uint64_t most = a->max == GRAM_INF ? GRAM_INF : a->max - done;

    if (a->min > a->max)
        return GRAM_NEVER;
    if (done == 0) {
        rest = gram_list(g, a->items, a->comma, a->min, a->items ? a->max : 0);
        rest = a->items || a->min == 0 ? rest : GRAM_NEVER;
    } else {
        rest = gram_repeat(g, gram_seq(g, more, 2), least, most);
    }
    for (uint64_t i = done; i-- > 0;)
        rest = after_items(g, a, (uint32_t)i, rest);
    all[1] = rest;
    return gram_seq(g, all, 3);
}
