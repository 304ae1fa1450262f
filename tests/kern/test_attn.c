/* Attention and the cache it reads, each tier against the reference: random shapes, types,
 * windows and positions, rows that do not feel each other, and slots that nobody has written.
 */
#include "kern_test.h"

enum { PAGES = 19, POS_MAX = PAGES * KERN_PAGE };

static const char *kv_name(int kv)
{
    return kern_kv_quant(kv)->name;
}

/* -- pages ------------------------------------------------------------------------------- */

/* Pages of one head with random keys and values at positions [from, to); what is not written
 * is NaN, or as large as the type goes: nothing may come of it. */
struct cache {
    int kv_k, kv_v, d_k, d_v;
    size_t off_v, n_byte;
    unsigned char *page[PAGES];
};

static void cache_make(struct cache *c, const struct kern *k, int kv_k, int kv_v, int d_k,
                       int d_v, int from, int to, struct rng *r)
{
    float *key = test_alloc((size_t)d_k * 4), *value = test_alloc((size_t)d_v * 4);

    *c = (struct cache){.kv_k = kv_k, .kv_v = kv_v, .d_k = d_k, .d_v = d_v};
    c->off_v = kern_kv_bytes(kv_k, d_k);
    c->n_byte = c->off_v + kern_kv_bytes(kv_v, d_v);
    for (int i = 0; i < PAGES; i++) {
        c->page[i] = test_alloc(c->n_byte);
        memset(c->page[i], 0xff, c->n_byte);
    }
    for (int p = from; p < to; p++) {
        unsigned char *page = c->page[p / KERN_PAGE];

        fill_normal(r, key, (size_t)d_k, 1);
        fill_normal(r, value, (size_t)d_v, 1);
        k->key_put(kv_k, key, d_k, p % KERN_PAGE, page);
        k->value_put(kv_v, value, d_v, p % KERN_PAGE, page + c->off_v);
    }
    mem_free(key);
    mem_free(value);
}

static void cache_free(struct cache *c)
{
    for (int i = 0; i < PAGES; i++)
        mem_free(c->page[i]);
}

/* Rows of a call; pos and first point into the caller's arrays. */
struct call {
    struct kern_attn a;
    const float *q[KERN_ATTN_ROWS];
    float *out[KERN_ATTN_ROWS];
    void *scratch;
};

/* What some models add to the scores; NULL: nothing. */
struct extra {
    float cap;
    const float *sink; /* of each row */
};

static void call_make(struct call *l, const struct cache *c, const float *q,
                      const int32_t *first, const int32_t *pos, int n, const struct extra *x,
                      float *out)
{
    size_t n_byte = kern_attn_scratch(c->d_k, c->d_v);

    l->a = (struct kern_attn){.kv_k = c->kv_k,
                              .kv_v = c->kv_v,
                              .n_q = n,
                              .d_k = c->d_k,
                              .d_v = c->d_v,
                              .q = l->q,
                              .first = first,
                              .pos = pos,
                              .page = (const unsigned char *const *)c->page,
                              .off_v = c->off_v,
                              .scale = 1 / sqrtf((float)c->d_k),
                              .cap = x ? x->cap : 0,
                              .sink = x ? x->sink : NULL};
    for (int i = 0; i < n; i++) {
        l->q[i] = q + (size_t)i * (size_t)c->d_k;
        l->out[i] = out + (size_t)i * (size_t)c->d_v;
    }
    l->scratch = test_alloc(n_byte);
    memset(l->scratch, 0xff, n_byte);
}

static void attend(const struct kern *k, const struct cache *c, const float *q,
                   const int32_t *first, const int32_t *pos, int n, const struct extra *x,
                   float *out)
{
    struct call l;

    call_make(&l, c, q, first, pos, n, x, out);
    kern_attn_all(k, &l.a, l.out, l.scratch);
    mem_free(l.scratch);
}

/* The same with the segments computed apart, the last first, and folded afterwards. */
static void attend_apart(const struct kern *k, const struct cache *c, const float *q,
                         const int32_t *first, const int32_t *pos, int n, const struct extra *x,
                         float *out)
{
    enum { SEGS = (POS_MAX + KERN_SEG - 1) / KERN_SEG };
    size_t n_part = (size_t)n * kern_attn_part(c->d_v);
    float *part = test_alloc(SEGS * n_part * sizeof(*part));
    int lo = SEGS, hi = 0;
    struct call l;

    call_make(&l, c, q, first, pos, n, x, out);
    for (int i = 0; i < n; i++) {
        lo = first[i] / KERN_SEG < lo ? first[i] / KERN_SEG : lo;
        hi = pos[i] / KERN_SEG > hi ? pos[i] / KERN_SEG : hi;
    }
    for (int seg = hi; seg >= lo; seg--)
        k->attn(&l.a, seg, part + (size_t)seg * n_part, l.scratch);
    for (int seg = lo + 1; seg <= hi; seg++)
        k->attn_fold(part + (size_t)lo * n_part, part + (size_t)seg * n_part, n, c->d_v, NULL,
                     NULL);
    k->attn_fold(part + (size_t)lo * n_part, NULL, n, c->d_v, l.out, l.a.sink);
    mem_free(part);
    mem_free(l.scratch);
}

/* -- shapes ------------------------------------------------------------------------------ */

static double worst;

struct shape {
    int kv_k, kv_v, d_k, d_v, n_q;
    int window; /* 0: all positions */
    int last;   /* the last row's position; -1: random */
    float cap;  /* 0: none */
    int sinks;  /* 1: rows have one */
};

static void check_shape(const struct kern *k, const struct shape *s, struct rng *r)
{
    struct kern ref;
    struct cache c;
    int32_t pos[KERN_ATTN_ROWS], first[KERN_ATTN_ROWS];
    int n_q = s->n_q, from = POS_MAX,
        last = s->last >= 0 ? s->last : n_q - 1 + (int)(rng_u64(r) % (uint64_t)(POS_MAX - n_q));
    size_t n_out = (size_t)n_q * (size_t)s->d_v;
    float sink[KERN_ATTN_ROWS];
    struct extra x = {s->cap, s->sinks ? sink : NULL};
    float *q = test_alloc((size_t)n_q * (size_t)s->d_k * 4), *want = test_alloc(n_out * 4),
          *got = test_alloc(n_out * 4), *one = test_alloc(n_out * 4);

    for (int i = 0; i < n_q; i++) { /* a run of positions, or queries of a few */
        pos[i] = rng_u64(r) % 2 ? last - n_q + 1 + i : last - (int)(rng_u64(r) % (uint64_t)n_q);
        first[i] = s->window && pos[i] >= s->window ? pos[i] - s->window + 1 : 0;
        from = first[i] < from ? first[i] : from;
    }
    fill_normal(r, sink, (size_t)n_q, 3);
    kern_init(&ref, KERN_REF);
    cache_make(&c, &ref, s->kv_k, s->kv_v, s->d_k, s->d_v, from, last + 1, r);
    fill_normal(r, q, (size_t)n_q * (size_t)s->d_k, 1);
    attend(&ref, &c, q, first, pos, n_q, &x, want);
    attend(k, &c, q, first, pos, n_q, &x, got);
    for (size_t i = 0; i < n_out; i++) {
        double diff = fabs((double)got[i] - (double)want[i]);

        if (!(diff < 1e-5))
            fail_msg("keys %s of %d, values %s of %d, %d rows to %d, window %d, cap %g, sinks "
                     "%d: row %zu: %.9g, want %.9g",
                     kv_name(s->kv_k), s->d_k, kv_name(s->kv_v), s->d_v, n_q, last, s->window,
                     (double)s->cap, s->sinks, i / (size_t)s->d_v, (double)got[i],
                     (double)want[i]);
        worst = diff > worst ? diff : worst;
    }
    attend_apart(k, &c, q, first, pos, n_q, &x, one);
    assert_memory_equal(one, got, n_out * 4);
    for (int i = 0; i < n_q; i++) {
        struct extra x1 = {s->cap, s->sinks ? &sink[i] : NULL};

        attend(k, &c, q + (size_t)i * (size_t)s->d_k, first + i, pos + i, 1, &x1,
               one + (size_t)i * (size_t)s->d_v);
    }
    assert_memory_equal(one, got, n_out * 4);
    cache_free(&c);
    mem_free(q);
    mem_free(want);
    mem_free(got);
    mem_free(one);
}

static int head_size(int kv, struct rng *r)
{
    int block = kern_kv_quant(kv)->block;

    return block * (1 + (int)(rng_u64(r) % (uint64_t)(130 / block)));
}

static void shapes_of_tier(const struct kern *k)
{
    static const int size[] = {1, 8, 15, 24, 64, 80, 96, 128, 130};
    struct rng r;

    rng_seed(&r, 21);
    worst = 0;
    for (int kv = 0; kv < KERN_KV_N; kv++) {
        for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
            if (size[i] % kern_kv_quant(kv)->block)
                continue;
            for (int n_q = 1 + (int)(i % 7); n_q <= KERN_ATTN_ROWS; n_q += KERN_ATTN_ROWS - 7)
                check_shape(k, &(struct shape){kv, kv, size[i], size[i], n_q, 0, -1, 0, 0}, &r);
        }
        for (int n_q = 1 + kv % 3; n_q <= KERN_ATTN_ROWS; n_q += 3) {
            int kv_v = (int)(rng_u64(&r) % KERN_KV_N);

            check_shape(k,
                        &(struct shape){kv, kv_v, head_size(kv, &r), head_size(kv_v, &r), n_q,
                                        (int)(rng_u64(&r) % 2) * (1 + (int)(rng_u64(&r) % 700)),
                                        -1, 0, 0},
                        &r);
        }
    }
    print_message("# %s: largest difference %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_shapes(void **state)
{
    (void)state;
    each_tier(shapes_of_tier);
}

/* Heads as models have them, keys wider than values among them, and the largest: all rows in
 * a window, a few rows without one, one with all that there is. */
static void heads_of_tier(const struct kern *k)
{
    static const int head[][2] = {{576, 512}, {256, 256}, {192, 128}, {80, 80}, {1024, 1024}};
    struct rng r;

    rng_seed(&r, 27);
    worst = 0;
    for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++) {
        int d_k = head[i][0], d_v = head[i][1];

        for (int kv = 0; kv < KERN_KV_N; kv++) {
            if (d_k % kern_kv_quant(kv)->block)
                continue;
            check_shape(k, &(struct shape){kv, kv, d_k, d_v, KERN_ATTN_ROWS, 70, 540, 0, 0},
                        &r);
            check_shape(k, &(struct shape){kv, kv, d_k, d_v, 5 + kv, 0, 516, 0, 0}, &r);
            check_shape(k, &(struct shape){kv, kv, d_k, d_v, 1, 0, 516, 1.5f, 1}, &r);
        }
    }
    print_message("# %s: largest difference %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_heads(void **state)
{
    (void)state;
    each_tier(heads_of_tier);
}

/* Caps and sinks, in windows and over several segments. */
static void extras_of_tier(const struct kern *k)
{
    static const float caps[] = {0, 0.5f, 2, 50};
    struct rng r;

    rng_seed(&r, 28);
    worst = 0;
    for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++) {
        for (int sinks = 0; sinks < 2; sinks++) {
            for (int n_q = 1; n_q <= KERN_ATTN_ROWS; n_q += 11 + (int)i) {
                int kv = (int)(rng_u64(&r) % KERN_KV_N);

                check_shape(
                    k,
                    &(struct shape){kv, kv, 64, 32, n_q, (n_q % 3) * 130, -1, caps[i], sinks},
                    &r);
            }
        }
    }
    print_message("# %s: largest difference %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_extras(void **state)
{
    (void)state;
    each_tier(extras_of_tier);
}

/* Windows that cut pages and segments, or end with them; positions around their bounds. */
static void windows_of_tier(const struct kern *k)
{
    static const int window[] = {1,   2,   63,  64,  65,  127, 128,
                                 129, 448, 511, 512, 513, 576, 1024};
    static const int last[] = {63,  64,  65,   127,  500,  511,  512,
                               513, 575, 1023, 1024, 1025, 1100, POS_MAX - 1};
    struct rng r;

    rng_seed(&r, 24);
    for (size_t i = 0; i < sizeof(window) / sizeof(*window); i++) {
        for (size_t j = 0; j < sizeof(last) / sizeof(*last); j++) {
            int kv = (int)(rng_u64(&r) % KERN_KV_N), n_q = 1 + (int)(rng_u64(&r) % 13);

            check_shape(k, &(struct shape){kv, kv, 32, 32, n_q, window[i], last[j], 0, 0}, &r);
        }
    }
}

static void test_windows(void **state)
{
    (void)state;
    each_tier(windows_of_tier);
}

/* What is outside of all windows is not read: there are no such pages. */
static void skipped_of_tier(const struct kern *k)
{
    enum { D = 32, N = 13 };
    struct cache c;
    struct rng r;
    float q[N * D], want[N * D], got[N * D];
    int32_t pos[N], first[N];
    unsigned char *page[PAGES];

    rng_seed(&r, 25);
    cache_make(&c, k, KERN_KV_F16, KERN_KV_F16, D, D, 0, POS_MAX, &r);
    fill_normal(&r, q, N * D, 1);
    for (int i = 0; i < N; i++) {
        pos[i] = 700 + i;
        first[i] = pos[i] - 100;
    }
    attend(k, &c, q, first, pos, N, NULL, want);
    memcpy(page, c.page, sizeof(page));
    for (int i = 0; i < PAGES; i++) {
        if (i < 600 / KERN_PAGE || i > 712 / KERN_PAGE)
            c.page[i] = NULL;
    }
    attend(k, &c, q, first, pos, N, NULL, got);
    assert_memory_equal(got, want, sizeof(want));
    memcpy(c.page, page, sizeof(page));
    cache_free(&c);
}

static void test_skipped_pages(void **state)
{
    (void)state;
    each_tier(skipped_of_tier);
}

/* A value that overflowed is not seen by the rows before it, nor by those whose window has
 * passed it. */
static void overflow_of_tier(const struct kern *k)
{
    enum { D = 32, N = 24, AT = 55, WINDOW = 5 };
    struct cache c;
    struct rng r;
    float q[N * D], got[N * D], key[D] = {0}, value[D];
    int32_t pos[N], first[N];

    rng_seed(&r, 22);
    cache_make(&c, k, KERN_KV_F16, KERN_KV_F16, D, D, 0, 80, &r);
    fill_normal(&r, q, sizeof(q) / sizeof(*q), 1);
    for (int i = 0; i < D; i++)
        value[i] = 1e6f; /* infinite as a half */
    k->key_put(KERN_KV_F16, key, D, AT, c.page[0]);
    k->value_put(KERN_KV_F16, value, D, AT, c.page[0] + c.off_v);
    for (int n = 1; n <= N; n += N - 1) { /* alone, and beside others */
        for (int i = 0; i < N; i++) {
            pos[i] = 44 + i;
            first[i] = pos[i] - WINDOW + 1;
        }
        for (int i = 0; i < N; i += n)
            attend(k, &c, q + (size_t)i * D, first + i, pos + i, n, NULL, got + (size_t)i * D);
        for (int i = 0; i < N * D; i++) {
            if (pos[i / D] < AT || first[i / D] > AT)
                assert_true(isfinite(got[i]));
            else
                assert_false(isfinite(got[i]));
        }
    }
    cache_free(&c);
}

static void test_overflow(void **state)
{
    (void)state;
    each_tier(overflow_of_tier);
}

/* Two positions with scores 0 and -s and values 0 and 1: the result is 1 / (1 + exp(s)). In one
 * segment, and in two, where folding takes the exponential. An exponent that is a rounded float
 * has an error that grows with it. */
static void exp_of_tier(const struct kern *k)
{
    double most = 0;

    for (int apart = 0; apart < 2; apart++) {
        for (float s = 0; s < 80; s += 0.173f) {
            struct cache c;
            struct rng r;
            float q = 1, key[] = {0, -s}, value[] = {0, 1}, got;
            int32_t first = KERN_SEG - 1 - !apart, pos = first + 1;
            double want = 1 / (1 + exp((double)s)), error;

            rng_seed(&r, 1);
            cache_make(&c, k, KERN_KV_F32, KERN_KV_F32, 1, 1, 0, 0, &r);
            for (int i = 0; i < 2; i++) {
                int at = first + i;

                k->key_put(KERN_KV_F32, &key[i], 1, at % KERN_PAGE, c.page[at / KERN_PAGE]);
                k->value_put(KERN_KV_F32, &value[i], 1, at % KERN_PAGE,
                             c.page[at / KERN_PAGE] + c.off_v);
            }
            attend(k, &c, &q, &first, &pos, 1, NULL, &got);
            error = fabs((double)got - want) / want / (1 + (double)s);
            most = error > most ? error : most;
            cache_free(&c);
        }
    }
    print_message("# %s: exp(-s) within (1 + s) %.2g\n", kern_tier_name(k->tier), most);
    assert_true(most < 3e-7);
}

static void test_exp(void **state)
{
    (void)state;
    each_tier(exp_of_tier);
}

/* Two positions, scores 3 and 1, values 0 and 1, in one segment and in two: what the formula
 * says, with a cap, with sinks below and above the scores, and one that is not there. */
static void formula_of_tier(const struct kern *k)
{
    static const float cap[] = {0, 2, 30}, sink[] = {-INFINITY, -300, 0, 2.5f, 7, 300};

    for (int apart = 0; apart < 2; apart++) {
        struct cache c;
        struct rng r;
        float q = 1, key[] = {3, 1}, value[] = {0, 1}, got;
        int32_t first = KERN_SEG - 1 - !apart, pos = first + 1;

        rng_seed(&r, 1);
        cache_make(&c, k, KERN_KV_F32, KERN_KV_F32, 1, 1, 0, 0, &r);
        for (int i = 0; i < 2; i++) {
            int at = first + i;

            k->key_put(KERN_KV_F32, &key[i], 1, at % KERN_PAGE, c.page[at / KERN_PAGE]);
            k->value_put(KERN_KV_F32, &value[i], 1, at % KERN_PAGE,
                         c.page[at / KERN_PAGE] + c.off_v);
        }
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 6; j++) {
                double t = (double)cap[i], a = i ? t * tanh(3 / t) : 3,
                       b = i ? t * tanh(1 / t) : 1,
                       want = exp(b) / (exp(a) + exp(b) + exp((double)sink[j]));

                attend(k, &c, &q, &first, &pos, 1, &(struct extra){cap[i], &sink[j]}, &got);
                assert_true(fabs((double)got - want) <= 1e-6 * want + 1e-38);
            }
        }
        cache_free(&c);
    }
}

static void test_formula(void **state)
{
    (void)state;
    each_tier(formula_of_tier);
}

/* -- rows of the cache ------------------------------------------------------------------- */

static void fill_odd(struct rng *r, float *x, int n)
{
    static const float odd[] = {0,      -0.0f,   1e6f,      -1e6f,      65519.9f, 65520.0f,
                                6e-8f,  2.9e-8f, -1e-30f,   1.0004883f, INFINITY, 1 / 3.0f,
                                -1e10f, 3e9f,    -INFINITY, 1e-12f,     9e-13f,   8e6f};

    fill_normal(r, x, (size_t)n, 3);
    for (size_t i = rng_u64(r) % 3; i < sizeof(odd) / sizeof(*odd); i += 3)
        x[rng_u64(r) % (uint64_t)n] = odd[i];
    if (rng_u64(r) % 4 == 0) { /* the largest twice, with both signs */
        x[rng_u64(r) % (uint64_t)n] = 20;
        x[rng_u64(r) % (uint64_t)n] = -20;
    }
}

static void put_of_tier(const struct kern *k)
{
    struct kern ref;
    struct rng r;

    kern_init(&ref, KERN_REF);
    rng_seed(&r, 23);
    for (int kv = 0; kv < KERN_KV_N; kv++) {
        int block = kern_kv_quant(kv)->block;

        for (int i = 0; i < 160; i++) {
            int d = block == 1 ? i + 1 : block * (1 + i % 5);
            size_t n = kern_kv_bytes(kv, d);
            int slot = (int)(rng_u64(&r) % KERN_PAGE);
            float *x = test_alloc((size_t)d * 4);
            unsigned char *a = test_alloc(n + 8), *b = test_alloc(n + 8);

            fill_odd(&r, x, d);
            memset(a, 0xab, n + 8);
            memset(b, 0xab, n + 8);
            ref.key_put(kv, x, d, slot, a);
            k->key_put(kv, x, d, slot, b);
            assert_memory_equal(a, b, n + 8);
            ref.value_put(kv, x, d, slot, a);
            k->value_put(kv, x, d, slot, b);
            assert_memory_equal(a, b, n + 8);
            mem_free(x);
            mem_free(a);
            mem_free(b);
        }
    }
}

static void test_put(void **state)
{
    (void)state;
    each_tier(put_of_tier);
}

/* A copied position is what had been put there. */
static void test_copy(void **state)
{
    struct kern ref;
    struct rng r;

    (void)state;
    kern_init(&ref, KERN_REF);
    rng_seed(&r, 24);
    for (int i = 0; i < KERN_KV_N * 20; i++) {
        int kv = i % KERN_KV_N, block = kern_kv_quant(kv)->block,
            d = block == 1 ? i + 1 : block * (1 + i % 5), from = (i * 7) % KERN_PAGE,
            to = (i * 11 + 5) % KERN_PAGE;
        size_t n = kern_kv_bytes(kv, d);
        float *x = test_alloc((size_t)d * 4);
        unsigned char *page = test_alloc(n), *a = test_alloc(n), *b = test_alloc(n);

        fill_odd(&r, x, d);
        for (int values = 0; values < 2; values++) {
            void (*put)(int, const float *, int, int, void *) =
                values ? ref.value_put : ref.key_put;

            memset(page, 0x11, n);
            memset(a, 0xab, n);
            memset(b, 0xab, n);
            put(kv, x, d, from, page);
            put(kv, x, d, to, a);
            if (values)
                kern_value_copy(kv, d, page, from, b, to);
            else
                kern_key_copy(kv, d, page, from, b, to);
            assert_memory_equal(a, b, n);
        }
        mem_free(x);
        mem_free(page);
        mem_free(a);
        mem_free(b);
    }
}

/* What comes out of the cache is what the format's writer and reader make of a row: one
 * position has weight 1 whatever its score, and a query that is 1 in one place asks for one
 * number of the key, against a position whose key is 0. */
static void read_of_tier(const struct kern *k)
{
    enum { D = 96 };
    struct rng r;

    rng_seed(&r, 26);
    for (int kv = 0; kv < KERN_KV_N; kv++) {
        const struct quant *quant = kern_kv_quant(kv);

        for (int round = 0; round < 40; round++) {
            float x[D], want[D], got[D * 2], part[KERN_ATTN_ROWS * 160], q[D] = {0};
            unsigned char block[D * 4];
            int32_t first = (int)(rng_u64(&r) % 130), pos = first;
            struct cache c;
            struct call l;

            fill_normal(&r, x, D, round % 2 ? 1 : 1e-3f);
            quant->from_f32(x, block, D);
            quant->to_f32(block, want, D);
            cache_make(&c, k, kv, kv, D, D, 0, 0, &r);
            k->key_put(kv, x, D, pos % KERN_PAGE, c.page[pos / KERN_PAGE]);
            k->value_put(kv, x, D, pos % KERN_PAGE, c.page[pos / KERN_PAGE] + c.off_v);
            attend(k, &c, q, &first, &pos, 1, NULL, got);
            for (int d = 0; d < D; d++)
                assert_true(got[d] == want[d]);
            for (int d = 0; d < D; d++) { /* the largest score of one is the score */
                q[d] = 1;
                call_make(&l, &c, q, &first, &pos, 1, NULL, got);
                l.a.scale = 1;
                k->attn(&l.a, pos / KERN_SEG, part, l.scratch);
                assert_true(part[kern_attn_part(D) - 16] == want[d]);
                mem_free(l.scratch);
                q[d] = 0;
            }
            cache_free(&c);
        }
    }
}

static void test_read(void **state)
{
    (void)state;
    each_tier(read_of_tier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_skipped_pages), cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_exp),           cmocka_unit_test(test_put),
        cmocka_unit_test(test_read),          cmocka_unit_test(test_heads),
        cmocka_unit_test(test_copy),          cmocka_unit_test(test_extras),
        cmocka_unit_test(test_formula),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
