/* numset_make.c - the sets that others are made of: ranges, multiples, lists. */
#include "base/mem.h"
#include "text/gram/numset.h"

#include <assert.h>

/* What a text looks like so far. Packed into the low bits of a state; a generator adds its own
 * in front. The first state is 1. */
enum phase { P_START = 1, P_NEG, P_ZERO, P_INT, P_POINT, P_FRAC, P_N = 8 };

/* The phase after a symbol; 0: no number begins so. */
static int phase_step(int phase, int symbol)
{
    switch (phase) {
    case P_START:
    case P_NEG:
        if (symbol == NUMSET_MINUS)
            return phase == P_START ? P_NEG : 0;
        return symbol == NUMSET_POINT ? 0 : symbol == 0 ? P_ZERO : P_INT;
    case P_ZERO:
    case P_INT:
        if (symbol < 10)
            return phase == P_INT ? P_INT : 0;
        return symbol == NUMSET_POINT ? P_POINT : 0;
    default:
        return symbol < 10 ? P_FRAC : 0;
    }
}

static int phase_accepts(int phase)
{
    return phase == P_ZERO || phase == P_INT || phase == P_FRAC;
}

static uint64_t all_step(const void *ctx, uint64_t state, int symbol)
{
    (void)ctx;
    return (uint64_t)phase_step((int)state, symbol);
}

static int all_accepts(const void *ctx, uint64_t state)
{
    (void)ctx;
    return phase_accepts((int)state);
}

int numset_all(struct numset_room *m, struct numset *out, struct err *e)
{
    struct numset_gen g = {NULL, all_step, all_accepts};

    out->must = out->may = NUMSET_E_ALL;
    return numset_build(m, &g, out, e);
}

static uint64_t int_step(const void *ctx, uint64_t state, int symbol)
{
    uint64_t to = all_step(ctx, state, symbol);

    return to == P_FRAC && symbol != 0 ? 0 : to;
}

int numset_integers(struct numset_room *m, struct numset *out, struct err *e)
{
    struct numset_gen g = {NULL, int_step, all_accepts};

    out->must = NUMSET_E_ZERO | NUMSET_E_WHOLE | NUMSET_E_NEG_WHOLE;
    out->may = NUMSET_E_ALL;
    return numset_build(m, &g, out, e);
}

/* -- as long as this ------------------------------------------------------------------- */

struct shortness {
    uint32_t whole, broken;
};

/* phase | digits so far << 3 */
static uint64_t short_step(const void *ctx, uint64_t state, int symbol)
{
    const struct shortness *most = ctx;
    uint64_t digits = state / P_N + (symbol < 10);
    int now = phase_step((int)(state % P_N), symbol);

    if (now == P_NEG)
        digits = 0;
    if (!now || (now == P_POINT && digits >= most->broken) ||
        digits > (now == P_FRAC || now == P_POINT ? most->broken : most->whole))
        return 0;
    return (uint64_t)now | digits * P_N;
}

static int short_accepts(const void *ctx, uint64_t state)
{
    (void)ctx;
    return phase_accepts((int)(state % P_N));
}

int numset_short(struct numset_room *m, uint32_t whole, uint32_t broken, struct numset *out,
                 struct err *e)
{
    struct shortness most = {whole, broken};
    struct numset_gen g = {&most, short_step, short_accepts};

    out->must = out->may = 0;
    return numset_build(m, &g, out, e);
}

/* -- comparing ------------------------------------------------------------------------- */

/* A text beside a number x: how its digits compare with those of x so far, how many of x's were
 * used up (one more than there are: the text has more), its sign, and whether all were 0. */
struct beside {
    int phase, neg, nonzero;
    int cmp; /* 0 equal, 1 less, 2 more: magnitudes */
    uint32_t at;
};

static struct beside beside_of(uint64_t s)
{
    return (struct beside){.phase = (int)(s % 8),
                           .neg = (int)(s / 8 % 2),
                           .nonzero = (int)(s / 16 % 2),
                           .cmp = (int)(s / 32 % 4),
                           .at = (uint32_t)(s / 128)};
}

static uint64_t beside_pack(const struct beside *b)
{
    return (uint64_t)b->phase | (uint64_t)b->neg * 8 | (uint64_t)b->nonzero * 16 |
           (uint64_t)b->cmp * 32 | (uint64_t)b->at * 128;
}

struct against {
    const struct decimal *x;
    int which;
};

static void beside_digit(struct beside *b, const struct decimal *x, int digit, uint32_t end)
{
    int other = b->at < end ? x->d[b->at] - '0' : 0;

    if (b->cmp == 0 && b->at <= end)
        b->cmp = digit < other ? 1 : digit > other ? 2 : 0;
    if (b->at <= end)
        b->at++;
    b->nonzero |= digit != 0;
}

/* All digits before the point have been read. */
static void beside_point(struct beside *b, const struct decimal *x)
{
    if (b->at != x->n_int)
        b->cmp = b->at < x->n_int ? 1 : 2;
    b->at = x->n_int;
}

static uint64_t compare_step(const void *ctx, uint64_t state, int symbol)
{
    const struct against *c = ctx;
    struct beside b = beside_of(state);

    b.phase = phase_step(b.phase, symbol);
    if (!b.phase)
        return 0;
    if (symbol == NUMSET_MINUS) {
        b.neg = 1;
    } else if (symbol == NUMSET_POINT) {
        beside_point(&b, c->x);
    } else if (b.phase == P_FRAC) {
        uint32_t end = (uint32_t)c->x->n_int + c->x->n_frac;

        beside_digit(&b, c->x, symbol, end);
        if (b.at > end)
            b.at = end;
    } else {
        /* A digit more than x has decides when the point comes: lengths go first. */
        int cmp = b.cmp;

        beside_digit(&b, c->x, symbol, c->x->n_int);
        if (b.at > c->x->n_int)
            b.cmp = cmp;
    }
    return beside_pack(&b);
}

static int compare_accepts(const void *ctx, uint64_t state)
{
    const struct against *c = ctx;
    struct beside b = beside_of(state);
    int r;

    if (!phase_accepts(b.phase))
        return 0;
    if (b.phase != P_FRAC)
        beside_point(&b, c->x);
    if (b.cmp == 0 && b.at < (uint32_t)c->x->n_int + c->x->n_frac)
        b.cmp = 1;
    if (b.neg && !b.nonzero)
        b.neg = 0;
    if (b.neg != c->x->neg)
        r = b.neg ? NUMSET_LESS : NUMSET_MORE;
    else if (b.cmp == 0)
        r = NUMSET_EQUAL;
    else
        r = (b.cmp == 1) != b.neg ? NUMSET_LESS : NUMSET_MORE;
    return (r & c->which) != 0;
}

/* How numbers of each class of texts with an exponent may compare with x: positive whole ones
 * are at least 1, the others more than 0. */
static void compare_exponents(const struct decimal *x, int which, struct numset *out)
{
    const struct decimal zero = {.n_int = 1, .d = {'0'}}, one = {.n_int = 1, .d = {'1'}};
    const struct decimal less = {.neg = 1, .n_int = 1, .d = {'1'}};
    const int all = NUMSET_LESS | NUMSET_EQUAL | NUMSET_MORE;
    int c0 = decimal_cmp(x, &zero), c1 = decimal_cmp(x, &one), cm = decimal_cmp(x, &less);
    int can[5];

    can[0] = c0 < 0 ? NUMSET_MORE : c0 == 0 ? NUMSET_EQUAL : NUMSET_LESS;
    can[1] = c1 < 0 ? NUMSET_MORE : c1 == 0 ? NUMSET_MORE | NUMSET_EQUAL : all;
    can[2] = c0 <= 0 ? NUMSET_MORE : all;
    can[3] = cm > 0 ? NUMSET_LESS : cm == 0 ? NUMSET_LESS | NUMSET_EQUAL : all;
    can[4] = c0 >= 0 ? NUMSET_LESS : all;
    out->must = out->may = 0;
    for (int i = 0; i < 5; i++) {
        if (!(can[i] & ~which))
            out->must |= (uint8_t)(1 << i);
        if (can[i] & which)
            out->may |= (uint8_t)(1 << i);
    }
}

int numset_compare(struct numset_room *m, const struct decimal *x, int which,
                   struct numset *out, struct err *e)
{
    struct against c = {x, which};
    struct numset_gen g = {&c, compare_step, compare_accepts};

    compare_exponents(x, which, out);
    return numset_build(m, &g, out, e);
}

/* -- multiples ------------------------------------------------------------------------- */

/* Of m * 10^zeros, or m / 10^places. */
struct factor {
    uint64_t m;
    uint32_t zeros, places;
};

/* The remainder of the digits so far (without `held` zeros at the end, which are needed there),
 * digits after the point, whether a digit but 0 came. */
struct remain {
    int phase, nonzero;
    uint32_t held;
    uint64_t r;
};

static struct remain remain_of(uint64_t s)
{
    return (struct remain){.phase = (int)(s % 8),
                           .nonzero = (int)(s / 8 % 2),
                           .held = (uint32_t)(s / 16 % 1024),
                           .r = s / 16384};
}

static uint64_t remain_pack(const struct remain *r)
{
    return (uint64_t)r->phase | (uint64_t)r->nonzero * 8 | (uint64_t)r->held * 16 |
           r->r * 16384;
}

static uint64_t remain_digit(uint64_t r, int digit, uint64_t m)
{
    return (r * 10 + (uint64_t)digit) % m;
}

static int multiple_accepts(const void *ctx, uint64_t state)
{
    const struct factor *f = ctx;
    struct remain r = remain_of(state);

    if (!phase_accepts(r.phase))
        return 0;
    if (!r.nonzero)
        return 1;
    if (!f->places)
        return r.r == 0 && r.held == f->zeros;
    for (uint32_t k = r.phase == P_FRAC ? r.held : 0; k < f->places; k++)
        r.r = remain_digit(r.r, 0, f->m);
    return r.r == 0;
}

static void whole_digit(const struct factor *f, struct remain *r, int digit)
{
    if (digit == 0 && r->held < f->zeros) {
        r->held++;
        return;
    }
    if (digit != 0) {
        for (; r->held; r->held--)
            r->r = remain_digit(r->r, 0, f->m);
    }
    r->r = remain_digit(r->r, digit, f->m);
}

static uint64_t multiple_step(const void *ctx, uint64_t state, int symbol)
{
    const struct factor *f = ctx;
    struct remain r = remain_of(state);

    if (symbol == NUMSET_POINT && !f->places && !multiple_accepts(ctx, state))
        return 0;
    r.phase = phase_step(r.phase, symbol);
    if (!r.phase)
        return 0;
    if (symbol >= 10)
        return remain_pack(&r);
    if (r.phase != P_FRAC) {
        whole_digit(f, &r, symbol);
    } else if (r.held < f->places) {
        r.r = remain_digit(r.r, symbol, f->m);
        r.held++;
    } else if (symbol != 0) {
        return 0;
    }
    r.nonzero |= symbol != 0;
    return remain_pack(&r);
}

int numset_multiples(struct numset_room *m, const struct decimal *x, struct numset *out,
                     struct err *e)
{
    struct factor f = {.places = x->n_frac};
    struct numset_gen g = {&f, multiple_step, multiple_accepts};
    uint32_t n = (uint32_t)x->n_int + x->n_frac;
    uint64_t unit = 1;

    while (!f.places && n > 1 && x->d[n - 1] == '0') {
        n--;
        f.zeros++;
    }
    for (uint32_t i = 0; i < n && f.m <= NUMSET_STATES; i++)
        f.m = f.m * 10 + (uint64_t)(x->d[i] - '0');
    if (f.m > NUMSET_STATES)
        return err_set(e, E_TOO_LONG, "multiples of a number with so many digits");
    assert(f.m > 0);
    for (uint32_t i = 0; i < f.places; i++)
        unit = unit * 10 % f.m;
    out->may = NUMSET_E_ALL;
    out->must = NUMSET_E_ZERO;
    if (!f.zeros && unit % f.m == 0)
        out->must |= NUMSET_E_WHOLE | NUMSET_E_NEG_WHOLE;
    return numset_build(m, &g, out, e);
}

/* -- lists ----------------------------------------------------------------------------- */

/* A tree of texts; its root is node 1. Zeros at the end of a number are added to the tree as
 * far as others go there, and as a loop behind that. */
struct tree {
    uint32_t (*next)[NUMSET_SYMBOLS];
    uint8_t *accept; /* 2: with zeros behind */
    uint32_t n;
};

enum { LOOP = 0xFFFFFFFF };

static uint64_t tree_step(const void *ctx, uint64_t state, int symbol)
{
    const struct tree *t = ctx;

    if (state == LOOP)
        return symbol == 0 ? LOOP : 0;
    return t->next[state][symbol];
}

static int tree_accepts(const void *ctx, uint64_t state)
{
    const struct tree *t = ctx;

    return state == LOOP || t->accept[state];
}

static uint32_t tree_child(struct tree *t, uint32_t at, int symbol)
{
    if (!t->next[at][symbol])
        t->next[at][symbol] = t->n++;
    return t->next[at][symbol];
}

static void tree_add(struct tree *t, const struct decimal *x, int neg)
{
    uint32_t at = neg ? tree_child(t, 1, NUMSET_MINUS) : 1;

    for (uint32_t i = 0; i < x->n_int; i++)
        at = tree_child(t, at, x->d[i] - '0');
    if (!x->n_frac) {
        t->accept[at] = 1;
        at = tree_child(t, at, NUMSET_POINT);
        at = tree_child(t, at, 0);
        t->accept[at] = 2;
        return;
    }
    at = tree_child(t, at, NUMSET_POINT);
    for (uint32_t i = 0; i < x->n_frac; i++)
        at = tree_child(t, at, x->d[x->n_int + i] - '0');
    t->accept[at] = 2;
}

static int list_build(struct numset_room *m, struct tree *t, const struct decimal *x, size_t n,
                      struct numset *out, struct err *e)
{
    struct numset_gen g = {t, tree_step, tree_accepts};

    t->n = 2;
    out->must = out->may = 0;
    for (size_t i = 0; i < n; i++) {
        int zero = decimal_is_zero(&x[i]);

        tree_add(t, &x[i], x[i].neg);
        if (zero)
            tree_add(t, &x[i], 1);
        out->must |= zero ? NUMSET_E_ZERO : 0;
        out->may |= zero ? NUMSET_E_ZERO : (uint8_t)(NUMSET_E_ALL & ~NUMSET_E_ZERO);
    }
    /* Children come behind their parents. */
    for (uint32_t i = 1; i < t->n; i++) {
        if (t->accept[i] != 2)
            continue;
        if (t->next[i][0])
            t->accept[t->next[i][0]] = 2;
        else
            t->next[i][0] = LOOP;
    }
    return numset_build(m, &g, out, e);
}

int numset_list(struct numset_room *m, const struct decimal *x, size_t n, struct numset *out,
                struct err *e)
{
    struct tree t = {0};
    size_t nodes = 2;
    int rc;

    for (size_t i = 0; i < n; i++)
        nodes += 2 * ((size_t)x[i].n_int + x[i].n_frac + 3);
    t.next = mem_calloc(nodes, sizeof(*t.next));
    t.accept = mem_calloc(nodes, 1);
    rc = t.next && t.accept ? list_build(m, &t, x, n, out, e)
                            : err_set(e, E_NOMEM, "no memory for %zu numbers", n);
    mem_free(t.next);
    mem_free(t.accept);
    return rc;
}
