/* gram_bytes.c - states over bytes: literals, UTF-8, and the ways that JSON writes strings.
 *
 * Inside a character a state keeps where the rest of its bytes may lead, as ranges counted from
 * the first code point that is still possible: so characters that differ in their first byte
 * only share the states behind it. There is a next state only if some character completes it,
 * and from each state over code points some text can be completed; so none is a dead end.
 *
 * The row of a state, its next states by byte, is worked out when the state is first left.
 */
#include "text/gram/gram_priv.h"

uint32_t gram_class(unsigned char c)
{
    static const char alone[] = "\t\n\r \"\\_-.,:{}[]<>/'=+";
    const char *at = c ? strchr(alone, c) : NULL;

    if (at)
        return 1u << (8 + (at - alone));
    if (c < 32)
        return 1u << 0;
    if (c >= '0' && c <= '9')
        return 1u << 1;
    if (c >= 'a' && c <= 'z')
        return c <= 'f' ? 1u << 2 : 1u << 3;
    if (c >= 'A' && c <= 'Z')
        return c <= 'F' ? 1u << 4 : 1u << 5;
    return c == '(' || c == ')' ? 1u << 6 : 1u << 7;
}

/* -- states --------------------------------------------------------------------------- */

static uint32_t lit_accepts(const struct gram *g, const struct gram_bs_key *k)
{
    return GRAM_AT(struct gram_lits, g->lits)[k->x].s[k->lo].n == k->depth;
}

uint32_t gram_bs(struct gram *g, const struct gram_bs_key *key, struct err *e)
{
    struct gram_bs s = {.key = *key};
    int fresh;
    uint32_t id = gram_intern(g, &g->bs_keys, &g->kept, key, sizeof(*key), &fresh);

    if (!id || (fresh && gram_room(g, &g->bs, 1, sizeof(s)) < 0)) {
        (void)gram_full(g, e);
        return 0;
    }
    if (!fresh)
        return id;
    if (key->kind == GRAM_BS_LIT)
        s.accept = lit_accepts(g, key);
    else if (key->kind == GRAM_BS_TEXT)
        s.accept = (uint32_t)gram_cs_accepts(g, key->x);
    else if (key->kind == GRAM_BS_END)
        s.accept = 1 + key->x;
    GRAM_AT(struct gram_bs, g->bs)[g->bs.n++] = s;
    return id;
}

uint32_t gram_bs_start(struct gram *g, gram_ref terminal, struct err *e)
{
    struct gram_node *n = gram_at(g, terminal);
    struct gram_bs_key key = {.x = n->a};

    if (n->start)
        return n->start;
    if (n->kind == GRAM_K_LIT) {
        key.kind = GRAM_BS_LIT;
        key.hi = GRAM_AT(struct gram_lits, g->lits)[n->a].n;
    } else {
        key.kind = n->kind == GRAM_K_TEXT ? GRAM_BS_TEXT : GRAM_BS_OPEN;
        key.to = n->kind == GRAM_K_TEXT ? GRAM_TO_TEXT
                 : n->plain             ? GRAM_TO_PLAIN
                                        : GRAM_TO_JSON;
        key.x = gram_cs(g, &(struct gram_cs){.kind = GRAM_CS_RX, .a = n->a}, e);
        if (!key.x)
            return 0;
    }
    n->start = gram_bs(g, &key, e);
    return n->start;
}

/* -- rows ----------------------------------------------------------------------------- */

/* A row while it is made. */
struct row {
    struct gram *g;
    struct gram_bs_key key; /* of the state that it belongs to */
    uint32_t self;
    uint32_t next[256];
    uint32_t last_cs, last_bs; /* of set_between */
    struct err *e;
};

static int set_next(struct row *w, unsigned b, const struct gram_bs_key *to)
{
    w->next[b] = gram_bs(w->g, to, w->e);
    return w->next[b] ? 0 : w->e->code;
}

/* The state in which code point state cs stands between two characters. */
static int set_between(struct row *w, unsigned b, uint32_t cs)
{
    struct gram_bs_key to = {.kind = w->key.to == GRAM_TO_TEXT ? GRAM_BS_TEXT : GRAM_BS_BODY,
                             .to = w->key.to,
                             .x = cs};
    int rc = 0;

    if (cs == w->last_cs) {
        w->next[b] = w->last_bs;
        return 0;
    }
    rc = set_next(w, b, &to);
    w->last_cs = rc == 0 ? cs : 0;
    w->last_bs = w->next[b];
    return rc;
}

static struct gram_bs_key pend(const struct row *w, int kind, unsigned k)
{
    return (struct gram_bs_key){.kind = (uint8_t)kind, .k = (uint8_t)k, .to = w->key.to};
}

/* A state with ranges: those of r[0..n-1] in lo..hi, counted from base. None: no state. */
static int set_ranges(struct row *w, unsigned b, struct gram_bs_key to,
                      const struct gram_range *r, size_t n, uint32_t base, uint32_t lo,
                      uint32_t hi)
{
    struct gram_vec *v = &w->g->range2;

    v->n = 0;
    if (gram_room(w->g, v, n, sizeof(*r)) < 0)
        return gram_full(w->g, w->e);
    for (size_t i = 0; i < n && r[i].lo <= hi; i++) {
        if (r[i].hi < lo)
            continue;
        GRAM_AT(struct gram_range, *v)
        [v->n++] = (struct gram_range){(r[i].lo > lo ? r[i].lo : lo) - base,
                                       (r[i].hi < hi ? r[i].hi : hi) - base, r[i].to};
    }
    if (!v->n)
        return 0;
    to.x = gram_intern(w->g, &w->g->ranges, &w->g->kept, v->p, v->n * sizeof(*r), NULL);
    if (!to.x)
        return gram_full(w->g, w->e);
    to.lo = (uint32_t)v->n;
    return set_next(w, b, &to);
}

/* The ranges that a state carries. */
static const struct gram_range *carried(const struct row *w, size_t *n)
{
    *n = w->key.lo;
    return GRAM_REC(struct gram_range, w->g->ranges, w->key.x);
}

/* Where a code point leads: 0 nowhere. */
static uint32_t point(const struct gram_range *r, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (r[mid].hi < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && r[lo].lo <= cp ? r[lo].to : 0;
}

static const struct gram_range *edges(const struct row *w, size_t *n)
{
    *n = w->g->range.n;
    return w->g->range.p;
}

/* The first bytes of characters that are more than one byte long. */
static int lead_bytes(struct row *w)
{
    size_t n, i = 0;
    const struct gram_range *r = edges(w, &n);
    int rc = 0;

    for (unsigned b = 0xC2; rc == 0 && b <= 0xF4; b++) {
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        unsigned k = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
        uint32_t base = (b & (0x3Fu >> k)) << (6 * k), hi = base + (1u << (6 * k)) - 1;
        uint32_t lo = base > least[k] ? base : least[k]; /* nothing overlong */

        while (i < n && r[i].hi < lo)
            i++;
        rc = set_ranges(w, b, pend(w, GRAM_BS_PEND, k), r + i, n - i, base, lo, hi);
    }
    return rc;
}

/* A byte inside a character. */
static int row_pend(struct row *w)
{
    unsigned k = w->key.k - 1u;
    uint32_t unit = 1u << (6 * k);
    size_t n;
    const struct gram_range *r = carried(w, &n);
    int rc = 0;

    for (unsigned c = 0; rc == 0 && c < 64; c++) {
        uint32_t to = k ? 0 : point(r, n, c), lo = c * unit;

        if (to)
            rc = set_between(w, 0x80 + c, to);
        else if (k)
            rc = set_ranges(w, 0x80 + c, pend(w, GRAM_BS_PEND, k), r, n, lo, lo, lo + unit - 1);
    }
    return rc;
}

/* ASCII characters that stand for themselves. */
static int plain_bytes(struct row *w, int json)
{
    size_t n;
    const struct gram_range *r = edges(w, &n);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n && r[i].lo < 0x80; i++) {
        for (unsigned c = r[i].lo; rc == 0 && c < 0x80 && c <= r[i].hi; c++) {
            if (!json || (c >= 0x20 && c != '"' && c != '\\'))
                rc = set_between(w, c, r[i].to);
        }
    }
    return rc == 0 ? lead_bytes(w) : rc;
}

static int row_text(struct row *w)
{
    int rc = gram_cs_edges(w->g, w->key.x, w->e);

    return rc == 0 ? plain_bytes(w, 0) : rc;
}

static int row_lit(struct row *w)
{
    const struct str *s = GRAM_AT(struct gram_lits, w->g->lits)[w->key.x].s;
    uint32_t i = w->key.lo, j;
    int rc = 0;

    if (s[i].n == w->key.depth)
        i++; /* it ends here */
    for (; rc == 0 && i < w->key.hi; i = j) {
        struct gram_bs_key to = w->key;
        unsigned char b = (unsigned char)s[i].p[to.depth];

        for (j = i + 1; j < w->key.hi && (unsigned char)s[j].p[to.depth] == b;)
            j++;
        to.lo = i;
        to.hi = j;
        to.depth++;
        rc = set_next(w, b, &to);
    }
    return rc;
}

/* -- JSON strings --------------------------------------------------------------------- */

static const char short_from[] = "\"\\bfnrt/", short_to[] = "\"\\\b\f\n\r\t/";

static int set_kind(struct row *w, unsigned b, int kind)
{
    return set_next(
        w, b, &(struct gram_bs_key){.kind = (uint8_t)kind, .to = w->key.to, .x = w->key.x});
}

static int row_open(struct row *w)
{
    return set_kind(w, '"', GRAM_BS_BODY);
}

/* 1: some character of the ranges must be escaped. */
static int must_escape(const struct gram_range *r, size_t n)
{
    return n && (r[0].lo < 0x20 || point(r, n, '"') || point(r, n, '\\'));
}

static int row_body(struct row *w)
{
    int rc = gram_cs_edges(w->g, w->key.x, w->e), accept;
    size_t n;
    const struct gram_range *r = edges(w, &n);

    if (rc == 0)
        rc = plain_bytes(w, 1);
    if (rc == 0 && (w->key.to == GRAM_TO_JSON ? n > 0 : must_escape(r, n)))
        rc = set_kind(w, '\\', GRAM_BS_ESC);
    accept = gram_cs_accepts(w->g, w->key.x);
    if (rc == 0 && accept)
        rc = set_next(w, '"',
                      &(struct gram_bs_key){.kind = GRAM_BS_END, .x = (uint32_t)accept - 1});
    return rc;
}

/* Plain: only controls without a short form are written with digits. */
static int controls(struct row *w)
{
    struct gram_range kept[32];
    size_t n, k = 0;
    const struct gram_range *r = edges(w, &n);

    for (uint32_t c = 0; c < 0x20; c++) {
        uint32_t to = point(r, n, c);

        if (to && (c == 0 || !strchr(short_to, (int)c)))
            kept[k++] = (struct gram_range){c, c, to};
    }
    return set_ranges(w, 'u', pend(w, GRAM_BS_HEX, 4), kept, k, 0, 0, 0xFFFF);
}

static int row_esc(struct row *w)
{
    int rc = gram_cs_edges(w->g, w->key.x, w->e);
    int plain = w->key.to == GRAM_TO_PLAIN;
    size_t n;
    const struct gram_range *r = edges(w, &n);

    for (int i = 0; rc == 0 && i < (plain ? 7 : 8); i++) {
        uint32_t to = point(r, n, (unsigned char)short_to[i]);

        if (to)
            rc = set_between(w, (unsigned char)short_from[i], to);
    }
    if (rc == 0 && plain)
        return controls(w);
    return rc == 0 ? set_kind(w, 'u', GRAM_BS_U) : rc;
}

/* Digit d of a number, in both cases of letters. */
static int set_digit(struct row *w, unsigned d, struct gram_bs_key to,
                     const struct gram_range *r, size_t n, uint32_t lo, uint32_t size)
{
    int rc =
        set_ranges(w, (unsigned char)"0123456789abcdef"[d], to, r, n, lo, lo, lo + size - 1);

    if (d >= 10)
        w->next['A' + d - 10] = w->next['a' + d - 10];
    return rc;
}

static int row_u(struct row *w)
{
    int rc = gram_cs_edges(w->g, w->key.x, w->e);
    size_t n;
    const struct gram_range *r = edges(w, &n);

    for (unsigned d = 0; rc == 0 && d < 16; d++) {
        if (d != 0xD)
            rc = set_digit(w, d, pend(w, GRAM_BS_HEX, 3), r, n, d << 12, 1u << 12);
    }
    /* Pairs for what is above 16 bits begin as what is below the gap of the surrogates. */
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (r[i].hi >= 0x10000 || (r[i].hi >= 0xD000 && r[i].lo <= 0xD7FF)) {
            rc = set_kind(w, 'd', GRAM_BS_UD);
            w->next['D'] = w->next['d'];
            break;
        }
    }
    return rc;
}

static int row_ud(struct row *w)
{
    int rc = gram_cs_edges(w->g, w->key.x, w->e);
    size_t n;
    const struct gram_range *r = edges(w, &n);

    for (unsigned d = 0; rc == 0 && d < 0xC; d++) {
        if (d < 8)
            rc = set_digit(w, d, pend(w, GRAM_BS_HEX, 2), r, n, 0xD000 + (d << 8), 1u << 8);
        else
            rc = set_digit(w, d, pend(w, GRAM_BS_HIGH, 2), r, n, 0x10000 + ((d - 8) << 18),
                           1u << 18);
    }
    return rc;
}

static int row_hex(struct row *w)
{
    unsigned k = w->key.k - 1u;
    size_t n;
    const struct gram_range *r = carried(w, &n);
    int rc = 0;

    for (unsigned d = 0; rc == 0 && d < 16; d++) {
        uint32_t to = k ? 0 : point(r, n, d);

        if (k)
            rc = set_digit(w, d, pend(w, GRAM_BS_HEX, k), r, n, d << (4 * k), 1u << (4 * k));
        else if (to)
            rc = set_between(w, (unsigned char)"0123456789abcdef"[d], to);
        if (d >= 10)
            w->next['A' + d - 10] = w->next['a' + d - 10];
    }
    return rc;
}

static int row_high(struct row *w)
{
    unsigned k = w->key.k;
    size_t n;
    const struct gram_range *r = carried(w, &n);
    int rc = 0;

    if (k == 0)
        return set_ranges(w, '\\', pend(w, GRAM_BS_LOW, 1), r, n, 0, 0, 0x3FF);
    k--;
    for (unsigned d = 0; rc == 0 && d < 16; d++)
        rc = set_digit(w, d, pend(w, GRAM_BS_HIGH, k), r, n, d << (4 * k + 10),
                       1u << (4 * k + 10));
    return rc;
}

static int row_low(struct row *w)
{
    size_t n;
    const struct gram_range *r = carried(w, &n);
    int rc = 0;

    if (w->key.k == 1)
        return set_ranges(w, 'u', pend(w, GRAM_BS_LOW, 2), r, n, 0, 0, 0x3FF);
    if (w->key.k == 2)
        return set_digit(w, 0xD, pend(w, GRAM_BS_LOW, 3), r, n, 0, 0x400);
    for (unsigned d = 0xC; rc == 0 && d < 16; d++)
        rc = set_digit(w, d, pend(w, GRAM_BS_HEX, 2), r, n, (d - 0xC) << 8, 1u << 8);
    return rc;
}

static int row_end(struct row *w)
{
    (void)w;
    return 0;
}

/* -- a row is kept -------------------------------------------------------------------- */

/* Which classes of characters lead to one and the same state. */
static void find_even(const struct row *w, struct gram_bs *s)
{
    uint32_t all = 0, not = 0, to = w->next['a'] ? w->next['a'] : w->next[' '];
    size_t n, points = 0;
    const struct gram_range *r = edges(w, &n);

    if (!to || (w->key.kind != GRAM_BS_TEXT && w->key.kind != GRAM_BS_BODY))
        return;
    for (unsigned b = 0; b < 128; b++) {
        all |= gram_class((unsigned char)b);
        not |= w->next[b] == to ? 0 : gram_class((unsigned char)b);
    }
    for (size_t i = 0; i < n; i++) {
        if (r[i].to == gram_bs_at(w->g, to)->key.x && r[i].hi >= 0x80)
            points += r[i].hi - (r[i].lo > 0x80 ? r[i].lo : 0x80) + 1;
    }
    s->even = (all & ~not ) | (points == 0x110000 - 0x80 - 0x800 ? GRAM_WIDE : 0);
    s->step = s->far_at = to;
    s->far = 1;
}

int gram_bs_even(struct gram *g, uint32_t bs, uint32_t classes, uint32_t n, struct err *e)
{
    struct gram_bs *s = gram_bs_at(g, bs);

    if (classes & ~s->even)
        return 0;
    if (s->step == bs)
        return 1;
    while (s->far < n && !s->ends) {
        uint32_t at = s->far_at;
        int rc = gram_bs_make(g, at, e);

        if (rc < 0)
            return rc;
        s = gram_bs_at(g, bs);
        if (s->even & ~gram_bs_at(g, at)->even)
            s->ends = 1;
        else if (gram_bs_at(g, at)->step == at)
            s->far = UINT32_MAX;
        else
            s->far++;
        s->far_at = gram_bs_at(g, at)->step;
    }
    return s->far >= n;
}

int gram_bs_make(struct gram *g, uint32_t bs, struct err *e)
{
    static int (*const rows[])(struct row *) = {
        [GRAM_BS_LIT] = row_lit,   [GRAM_BS_TEXT] = row_text, [GRAM_BS_PEND] = row_pend,
        [GRAM_BS_OPEN] = row_open, [GRAM_BS_BODY] = row_body, [GRAM_BS_ESC] = row_esc,
        [GRAM_BS_U] = row_u,       [GRAM_BS_UD] = row_ud,     [GRAM_BS_HEX] = row_hex,
        [GRAM_BS_HIGH] = row_high, [GRAM_BS_LOW] = row_low,   [GRAM_BS_END] = row_end};
    struct row w = {.g = g, .key = gram_bs_at(g, bs)->key, .self = bs, .e = e};
    unsigned lo = 0, hi = 256;
    struct gram_bs *s;
    int rc;

    if (gram_bs_at(g, bs)->made)
        return 0;
    rc = rows[w.key.kind](&w);
    if (rc < 0)
        return rc;
    while (lo < 256 && !w.next[lo])
        lo++;
    while (hi > lo && !w.next[hi - 1])
        hi--;
    s = gram_bs_at(g, bs);
    if (lo < hi) {
        s->row = gram_keep(g, &g->kept, w.next + lo, (hi - lo) * sizeof(*w.next));
        if (!s->row)
            return gram_full(g, e);
        s->lo = (uint8_t)lo;
        s->hi = (uint8_t)(hi - 1);
    }
    find_even(&w, s);
    s->made = 1;
    return 0;
}
