/* Attention and the cache it reads, each tier against the reference: random shapes and
 * positions, rows that do not feel each other, and slots that nobody has written. */
#include "kern_test.h"

enum { PAGES = 5, POS_MAX = PAGES * KERN_PAGE };

/* Pages of one head with random keys and values up to position n; what is not written is NaN:
 * nothing may come of it. */
struct cache {
    int kv, d_k, d_v;
    size_t off_v, n_byte;
    unsigned char *page[PAGES];
};

static void cache_make(struct cache *c, const struct kern *k, int kv, int d_k, int d_v, int n,
                       struct rng *r)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15, size = kv == KERN_KV_F32 ? 4 : 2;
    float *key = test_alloc((size_t)d_k * 4), *value = test_alloc((size_t)d_v * 4);

    *c = (struct cache){.kv = kv, .d_k = d_k, .d_v = d_v};
    c->off_v = (size_t)d_k * KERN_PAGE * size;
    c->n_byte = c->off_v + wide * KERN_PAGE * size;
    for (int i = 0; i < PAGES; i++) {
        c->page[i] = test_alloc(c->n_byte);
        memset(c->page[i], 0xff, c->n_byte);
    }
    for (int p = 0; p < n; p++) {
        unsigned char *page = c->page[p / KERN_PAGE];

        fill_normal(r, key, (size_t)d_k, 1);
        fill_normal(r, value, (size_t)d_v, 1);
        k->kv_put(kv, key, value, d_k, d_v, p % KERN_PAGE, page, page + c->off_v);
    }
    mem_free(key);
    mem_free(value);
}

static void cache_free(struct cache *c)
{
    for (int i = 0; i < PAGES; i++)
        mem_free(c->page[i]);
}

/* Rows [i0, i0 + n) of q into out, in one call. */
static void attend(const struct kern *k, const struct cache *c, const float *q,
                   const int32_t *pos, int i0, int n, int first, float *out)
{
    const float *rows[KERN_ATTN_ROWS];
    float *outs[KERN_ATTN_ROWS];
    struct kern_attn a = {.kv = c->kv,
                          .n_q = n,
                          .d_k = c->d_k,
                          .d_v = c->d_v,
                          .q = rows,
                          .out = outs,
                          .pos = pos + i0,
                          .first = first,
                          .page = (const unsigned char *const *)c->page,
                          .off_v = c->off_v,
                          .scale = 1 / sqrtf((float)c->d_k)};
    void *scratch = test_alloc(kern_attn_scratch(c->d_v));

    for (int i = 0; i < n; i++) {
        rows[i] = q + (size_t)(i0 + i) * (size_t)c->d_k;
        outs[i] = out + (size_t)(i0 + i) * (size_t)c->d_v;
    }
    memset(scratch, 0xff, kern_attn_scratch(c->d_v));
    k->attn(&a, scratch);
    mem_free(scratch);
}

static double worst;

static void check_shape(const struct kern *k, int kv, int d_k, int d_v, int n_q, struct rng *r)
{
    struct kern ref;
    struct cache c;
    int32_t pos[KERN_ATTN_ROWS];
    int last = n_q - 1 + (int)(rng_u64(r) % (uint64_t)(POS_MAX - n_q)), first = 0;
    size_t n_out = (size_t)n_q * (size_t)d_v;
    float *q = test_alloc((size_t)n_q * (size_t)d_k * 4), *want = test_alloc(n_out * 4),
          *got = test_alloc(n_out * 4), *one = test_alloc(n_out * 4);

    kern_init(&ref, KERN_REF);
    cache_make(&c, &ref, kv, d_k, d_v, last + 1, r);
    fill_normal(r, q, (size_t)n_q * (size_t)d_k, 1);
    for (int i = 0; i < n_q; i++) /* a run of positions, or queries of a few */
        pos[i] = rng_u64(r) % 2 ? last - n_q + 1 + i : last - (int)(rng_u64(r) % (uint64_t)n_q);
    if (rng_u64(r) % 2)
        first = (int)(rng_u64(r) % (uint64_t)(last - n_q + 2));
    attend(&ref, &c, q, pos, 0, n_q, first, want);
    attend(k, &c, q, pos, 0, n_q, first, got);
    for (size_t i = 0; i < n_out; i++) {
        double diff = fabs((double)got[i] - (double)want[i]);

        if (!(diff < 1e-5))
            fail_msg("kv %d d_k %d d_v %d n_q %d first %d: row %zu: %.9g, want %.9g", kv, d_k,
                     d_v, n_q, first, i / (size_t)d_v, (double)got[i], (double)want[i]);
        worst = diff > worst ? diff : worst;
    }
    for (int i = 0; i < n_q; i++)
        attend(k, &c, q, pos, i, 1, first, one);
    assert_memory_equal(one, got, n_out * 4);
    cache_free(&c);
    mem_free(q);
    mem_free(want);
    mem_free(got);
    mem_free(one);
}

static void shapes_of_tier(const struct kern *k)
{
    static const int size[] = {1, 8, 15, 24, 64, 80, 96, 128, 130};
    struct rng r;

    rng_seed(&r, 21);
    worst = 0;
    for (int kv = KERN_KV_F16; kv <= KERN_KV_F32; kv++) {
        for (size_t i = 0; i < sizeof(size) / sizeof(*size); i++) {
            check_shape(k, kv, size[i], size[i], 1 + (int)(i % 7), &r);
            check_shape(k, kv, size[i], size[i], KERN_ATTN_ROWS, &r);
        }
        for (int n_q = 1; n_q <= KERN_ATTN_ROWS; n_q++)
            check_shape(k, kv, 1 + (int)(rng_u64(&r) % 130), 1 + (int)(rng_u64(&r) % 130), n_q,
                        &r);
    }
    print_message("# %s: largest difference %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_shapes(void **state)
{
    (void)state;
    each_tier(shapes_of_tier);
}

/* A value that overflowed at a later position is not seen by the rows before it. */
static void later_of_tier(const struct kern *k)
{
    enum { D = 32, N = 12 };
    struct cache c;
    struct rng r;
    float q[N * D], got[N * D], key[D] = {0}, value[D];
    int32_t pos[N];

    rng_seed(&r, 22);
    cache_make(&c, k, KERN_KV_F16, D, D, 60, &r);
    fill_normal(&r, q, sizeof(q) / sizeof(*q), 1);
    for (int i = 0; i < D; i++)
        value[i] = 1e6f; /* infinite as a half */
    k->kv_put(KERN_KV_F16, key, value, D, D, 55, c.page[0], c.page[0] + c.off_v);
    for (int i = 0; i < N; i++)
        pos[i] = 48 + i;
    attend(k, &c, q, pos, 0, N, 0, got);
    for (int i = 0; i < N * D; i++) {
        if (pos[i / D] < 55)
            assert_true(isfinite(got[i]));
        else
            assert_false(isfinite(got[i]));
    }
    cache_free(&c);
}

static void test_later_positions(void **state)
{
    (void)state;
    each_tier(later_of_tier);
}

/* Two positions with scores 0 and -s and values 0 and 1: the result is 1 / (1 + exp(s)). */
static void exp_of_tier(const struct kern *k)
{
    double most = 0;

    for (float s = 0; s < 80; s += 0.173f) {
        struct cache c;
        struct rng r;
        float q = 1, key[] = {0, -s}, value[] = {0, 1}, got;
        int32_t pos = 1;
        double want = 1 / (1 + exp((double)s)), error;

        rng_seed(&r, 1);
        cache_make(&c, k, KERN_KV_F32, 1, 1, 0, &r);
        for (int i = 0; i < 2; i++)
            k->kv_put(KERN_KV_F32, &key[i], &value[i], 1, 1, i, c.page[0], c.page[0] + c.off_v);
        attend(k, &c, &q, &pos, 0, 1, 0, &got);
        error = fabs((double)got - want) / want;
        most = error > most ? error : most;
        cache_free(&c);
    }
    print_message("# %s: exp within %.2g\n", kern_tier_name(k->tier), most);
    assert_true(most < 1e-6);
}

static void test_exp(void **state)
{
    (void)state;
    each_tier(exp_of_tier);
}

static void put_of_tier(const struct kern *k)
{
    static const float odd[] = {0,     -0.0f,   1e6f,    -1e6f,      65519.9f, 65520.0f,
                                6e-8f, 2.9e-8f, -1e-30f, 1.0004883f, INFINITY, 1 / 3.0f};
    struct kern ref;
    struct rng r;

    kern_init(&ref, KERN_REF);
    rng_seed(&r, 23);
    for (int d = 1; d <= 130; d++) {
        for (int kv = KERN_KV_F16; kv <= KERN_KV_F32; kv++) {
            int d_v = 131 - d, slot = (int)(rng_u64(&r) % KERN_PAGE);
            size_t n_key = (size_t)d * KERN_PAGE * 4,
                   n_value = (((size_t)d_v + 15) & ~(size_t)15) * KERN_PAGE * 4;
            float *key = test_alloc((size_t)d * 4), *value = test_alloc((size_t)d_v * 4);
            unsigned char *a = test_alloc(n_key + n_value), *b = test_alloc(n_key + n_value);

            fill_normal(&r, key, (size_t)d, 3);
            fill_normal(&r, value, (size_t)d_v, 3);
            for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
                key[rng_u64(&r) % (uint64_t)d] = odd[i];
                value[rng_u64(&r) % (uint64_t)d_v] = odd[i];
            }
            memset(a, 0xab, n_key + n_value);
            memset(b, 0xab, n_key + n_value);
            ref.kv_put(kv, key, value, d, d_v, slot, a, a + n_key);
            k->kv_put(kv, key, value, d, d_v, slot, b, b + n_key);
            assert_memory_equal(a, b, n_key + n_value);
            mem_free(key);
            mem_free(value);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_later_positions),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
