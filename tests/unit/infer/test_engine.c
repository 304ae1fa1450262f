/* The engine through its public header, on tiny random models: what a sequence computes is the
 * same bits whoever else is in the step, however its text is cut, whatever pages it took over.
 */
#include "engine_test.h"

#include "infer/engine.h"

#include <pthread.h>

/* -- the same bits --------------------------------------------------------------------- */

enum { N_SEQ = 5, LEN_MAX = 230 };

struct text {
    int32_t id[LEN_MAX];
    int n;      /* in all */
    float *row; /* of each position, computed alone */
};

/* Lengths around pages and batches; the last text begins as the first. */
static void texts_make(struct text t[N_SEQ], struct hearth_model *m, int kv, struct rng *r)
{
    static const int len[N_SEQ] = {200, 3, 64, 129, LEN_MAX};

    for (int i = 0; i < N_SEQ; i++) {
        t[i].n = len[i];
        random_ids(r, t[i].id, (size_t)len[i]);
    }
    memcpy(t[N_SEQ - 1].id, t[0].id, 150 * sizeof(int32_t));
    for (int i = 0; i < N_SEQ; i++)
        t[i].row = rows_alone(m, kv, t[i].id, (size_t)t[i].n);
}

static void texts_free(struct text t[N_SEQ])
{
    for (int i = 0; i < N_SEQ; i++)
        mem_free(t[i].row);
}

/* Feeds each text in random pieces, single tokens beside long ones, all in one engine. */
static void check_together(struct hearth_model *m, const struct text *t,
                           struct hearth_engine_options opt, struct rng *r)
{
    struct hearth_engine *en = engine_make(m, opt);
    struct hearth_seq *s[N_SEQ];
    size_t n_byte = vocab_of(m) * sizeof(float);
    int open = N_SEQ, checked = 0, waits[N_SEQ] = {0};

    for (int i = 0; i < N_SEQ; i++)
        s[i] = seq_make(en);
    while (open > 0) {
        open = 0;
        for (int i = 0; i < N_SEQ; i++) {
            int at = hearth_seq_len(s[i]), left = t[i].n - at,
                n = (int)(rng_u64(r) % 3 ? 1 : 1 + rng_u64(r) % 100);

            if (!waits[i] && left > 0 && (at > 0 || rng_u64(r) % 4 == 0)) {
                (void)feed(s[i], t[i].id + at, (size_t)(n < left ? n : left));
                waits[i] = 1;
            }
            open += left > 0 || waits[i];
        }
        FINE(hearth_engine_step(en, &fine));
        for (int i = 0; i < N_SEQ; i++) {
            const float *row = hearth_seq_logits(s[i]);

            if (!row)
                continue;
            waits[i] = 0;
            checked++;
            assert_memory_equal(
                row, t[i].row + (size_t)(hearth_seq_len(s[i]) - 1) * vocab_of(m), n_byte);
        }
    }
    assert_true(checked > 2 * N_SEQ);
    for (int i = 0; i < N_SEQ; i++)
        hearth_seq_close(s[i]);
    hearth_engine_free(en);
}

/* Windows of layers; 0: all positions. */
static void set_windows(struct hearth_model *m, int first, int others)
{
    for (int i = 0; i < m->m->p.n_layer; i++) {
        m->m->layer[i].window = WINDOW_LAST;
        m->m->layer[i].n_window = i ? others : first;
    }
}

static void check_windows(const struct tiny *tiny, int tier, int kv, uint64_t seed, int first,
                          int others)
{
    static const int n_batch[] = {32, 47, 512};
    struct hearth_model *m = model_make(tiny, tier, 1);
    struct text t[N_SEQ];
    struct rng r;

    rng_seed(&r, seed);
    set_windows(m, first, others);
    texts_make(t, m, kv, &r);
    for (size_t i = 0; i < sizeof(n_batch) / sizeof(*n_batch); i++)
        check_together(m, t,
                       (struct hearth_engine_options){.n_ctx = LEN_MAX,
                                                      .n_seq_max = N_SEQ,
                                                      .n_batch = n_batch[i],
                                                      .n_thread = 1 + (int)i,
                                                      .kv_type = kv},
                       &r);
    texts_free(t);
    hearth_model_close(m);
}

static void check_batches(const struct tiny *tiny, int tier, int kv, uint64_t seed)
{
    check_windows(tiny, tier, kv, seed, 0, 0);
}

static void test_batches(void **state)
{
    struct tiny f32 = tiny_of(QUANT_F32), q4 = tiny_of(QUANT_Q4_K), q8 = tiny_of(QUANT_Q8_0);

    (void)state;
    q8.arch = "qwen3";
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        check_batches(&f32, tier, tier % 2 ? HEARTH_KV_F32 : HEARTH_KV_F16, 1);
        check_batches(&q8, tier, HEARTH_KV_F16, 2);
        if (tier == kern_tier_best())
            check_batches(&q4, tier, HEARTH_KV_F32, 3);
    }
}

/* A model whose heads fill the blocks of quantised caches. */
static struct tiny tiny_wide(int type)
{
    struct tiny t = tiny_of(type);

    t.n_head = 2;
    t.n_head_kv = 1;
    return t;
}

static void test_quantised_cache(void **state)
{
    struct tiny t = tiny_wide(QUANT_F32);

    (void)state;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        check_batches(&t, tier, HEARTH_KV_Q8_0, 31);
        check_batches(&t, tier, HEARTH_KV_Q4_0, 32);
    }
}

static void test_windows(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);

    (void)state;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (kern_tier_here(tier))
            check_windows(&t, tier, HEARTH_KV_F16, 33, 20, tier % 2 ? 0 : 65);
    }
}

/* What is before all windows may be anything: a window of n makes a text's last row in a model
 * of one layer that of its last n tokens, at their positions. */
static void test_window_forgets(void **state)
{
    enum { N = 150, WINDOW = 40 };
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_model *m;
    int32_t ids[N], other[N];
    float *a, *b;
    struct rng r;

    (void)state;
    t.n_layer = 1;
    m = model_make(&t, kern_tier_best(), 1);
    rng_seed(&r, 34);
    random_ids(&r, ids, N);
    memcpy(other, ids, sizeof(other));
    random_ids(&r, other, N - WINDOW);
    set_windows(m, WINDOW, 0);
    a = last_alone(m, HEARTH_KV_F16, ids, N);
    b = last_alone(m, HEARTH_KV_F16, other, N);
    assert_memory_equal(a, b, vocab_of(m) * sizeof(*a));
    mem_free(b);
    other[N - WINDOW] = (ids[N - WINDOW] + 1) % TINY_VOCAB;
    b = last_alone(m, HEARTH_KV_F16, other, N);
    assert_memory_not_equal(a, b, vocab_of(m) * sizeof(*a));
    mem_free(a);
    mem_free(b);
    hearth_model_close(m);
}

/* Experts see another set of tokens in every step; some get none, some all. Widths that fill
 * neither groups of rows nor panels. */
static void test_experts(void **state)
{
    struct tiny f32 = tiny_of(QUANT_F32), q8 = tiny_of(QUANT_Q8_0), q4 = tiny_of(QUANT_Q4_K);

    (void)state;
    f32.arch = "qwen2moe";
    f32.n_expert = 5;
    f32.n_used = 2;
    f32.n_ff = 40;
    q8.arch = "qwen3moe";
    q8.n_expert = 11;
    q8.n_used = 3;
    q4.n_expert = 4; /* llama */
    q4.n_used = 4;
    q4.n_layer = 1;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        check_batches(&f32, tier, HEARTH_KV_F32, 21);
        check_batches(&q8, tier, HEARTH_KV_F16, 22);
        if (tier == kern_tier_best())
            check_batches(&q4, tier, HEARTH_KV_F16, 23);
    }
}

/* Rows that share a key/value head are computed side by side: more than a call holds. */
static void test_many_heads(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);

    (void)state;
    t.n_embd = 8 * 56;
    t.n_head = 56;
    t.n_head_kv = 1;
    t.n_layer = 1;
    check_batches(&t, kern_tier_best(), HEARTH_KV_F16, 4);
}

static void test_threads(void **state)
{
    struct tiny tiny = tiny_of(QUANT_Q4_0);
    struct hearth_model *m = model_make(&tiny, kern_tier_best(), 2);
    size_t n_vocab = vocab_of(m);
    int32_t ids[150];
    float *one, *row;
    struct rng r;

    (void)state;
    rng_seed(&r, 5);
    random_ids(&r, ids, 150);
    one = rows_alone(m, HEARTH_KV_F16, ids, 150);
    for (int n = 2; n <= 4; n++) {
        struct hearth_engine *en =
            engine_make(m, (struct hearth_engine_options){.n_thread = n, .pin = n == 3});
        struct hearth_seq *s = seq_make(en);
        struct kept_rows k = {row = mem_alloc(150 * n_vocab * sizeof(*row)), n_vocab};

        FINE(hearth_seq_logits_all(s, ids, 150, keep_row, &k, &fine));
        assert_memory_equal(row, one, 150 * n_vocab * sizeof(*row));
        mem_free(row);
        hearth_seq_close(s);
        hearth_engine_free(en);
    }
    mem_free(one);
    hearth_model_close(m);
}

/* A long text: one thread goes through its segments, several share them. All at once, in
 * pieces, and token by token at the end, with and without windows. */
static void check_segments(int tier, int kv, int window)
{
    enum { N = 1020, LAST = 12 };
    struct tiny tiny = tiny_wide(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, tier, 1);
    size_t n_byte = vocab_of(m) * sizeof(float);
    int32_t ids[N];
    float *row;
    struct rng r;

    rng_seed(&r, 35);
    random_ids(&r, ids, N);
    set_windows(m, window, 0);
    row = rows_alone(m, kv, ids, N);
    for (int n = 1; n <= 4; n += 3) {
        struct hearth_engine *en =
            engine_make(m, (struct hearth_engine_options){
                               .n_ctx = N, .n_thread = n, .n_batch = 100 * n, .kv_type = kv});
        struct hearth_seq *s = seq_make(en);

        for (int at = 0; at < N; at = hearth_seq_len(s)) {
            int few = (at >= 505 && at < 515) || at >= N - LAST,
                piece = at == 0 ? 505
                        : few   ? 1
                                : (N - LAST - at + 1) / 2;

            (void)feed(s, ids + at, (size_t)piece);
            assert_memory_equal(catch_up(en, s), row + (size_t)(at + piece - 1) * vocab_of(m),
                                n_byte);
        }
        hearth_seq_close(s);
        hearth_engine_free(en);
    }
    mem_free(row);
    hearth_model_close(m);
}

static void test_segments(void **state)
{
    (void)state;
    for (int tier = 1; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        check_segments(tier, HEARTH_KV_F16, 0);
        check_segments(tier, HEARTH_KV_Q8_0, 300);
    }
}

static double error_of(const float *got, const float *want, size_t n)
{
    double diff = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        diff += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        all += (double)want[i] * (double)want[i];
    }
    return diff / all;
}

/* Rows of a text with a type for the keys and one for the values. */
static float *rows_typed(struct hearth_model *m, int keys, int values, const int32_t *ids,
                         size_t n)
{
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_thread = 1, .kv_type = keys, .kv_type_v = values});
    struct hearth_seq *s = seq_make(en);
    struct kept_rows k = {mem_alloc(n * vocab_of(m) * sizeof(float)), vocab_of(m)};

    FINE(hearth_seq_logits_all(s, ids, n, keep_row, &k, &fine));
    hearth_seq_close(s);
    hearth_engine_free(en);
    return k.at;
}

/* Each type is used, for keys and for values, and its error is of its size. */
static void test_cache_types(void **state)
{
    static const struct {
        int keys, values;
        double least, most;
    } c[] = {
        {HEARTH_KV_F16, HEARTH_KV_AUTO, 1e-12, 1e-6},
        {HEARTH_KV_AUTO, HEARTH_KV_F32, 1e-12, 1e-6},
        {HEARTH_KV_Q8_0, HEARTH_KV_AUTO, 1e-7, 1e-4},
        {HEARTH_KV_Q8_0, HEARTH_KV_F32, 1e-8, 1e-4},
        {HEARTH_KV_F32, HEARTH_KV_Q8_0, 1e-7, 1e-4},
        {HEARTH_KV_Q4_0, HEARTH_KV_F32, 1e-6, 1e-2},
        {HEARTH_KV_F32, HEARTH_KV_Q4_0, 1e-4, 3e-2},
        {HEARTH_KV_Q4_0, HEARTH_KV_AUTO, 1e-4, 3e-2},
    };
    struct tiny tiny = tiny_wide(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, kern_tier_best(), 1);
    size_t n = 100 * vocab_of(m);
    int32_t ids[100];
    float *full, *got;
    struct rng r;

    (void)state;
    rng_seed(&r, 6);
    random_ids(&r, ids, 100);
    full = rows_typed(m, HEARTH_KV_F32, HEARTH_KV_F32, ids, 100);
    for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
        double error;

        got = rows_typed(m, c[i].keys, c[i].values, ids, 100);
        error = error_of(got, full, n);
        if (!(error > c[i].least && error < c[i].most))
            fail_msg("keys %d, values %d: error %g, expected %g to %g", c[i].keys, c[i].values,
                     error, c[i].least, c[i].most);
        mem_free(got);
    }
    got = rows_typed(m, HEARTH_KV_F32, HEARTH_KV_AUTO, ids, 100);
    assert_memory_equal(got, full, n * sizeof(*got));
    mem_free(got);
    mem_free(full);
    hearth_model_close(m);
}

/* -- pages that are shared ------------------------------------------------------------- */

struct rig {
    int kv; /* enum hearth_kv_type */
    struct hearth_model *m;
    struct hearth_engine *en;
    size_t n_byte; /* of a row */
};

static struct rig rig_of_type(int kv, int n_seq, int n_ctx, int n_batch)
{
    struct tiny tiny = tiny_wide(QUANT_F32);
    struct rig g = {.kv = kv, .m = model_make(&tiny, kern_tier_best(), 1)};

    g.en = engine_make(
        g.m, (struct hearth_engine_options){
                 .n_ctx = n_ctx, .n_seq_max = n_seq, .n_batch = n_batch, .kv_type = kv});
    g.n_byte = vocab_of(g.m) * sizeof(float);
    return g;
}

static struct rig rig_make(int n_seq, int n_ctx, int n_batch)
{
    return rig_of_type(HEARTH_KV_F16, n_seq, n_ctx, n_batch);
}

static void rig_free(struct rig *g)
{
    hearth_engine_free(g->en);
    hearth_model_close(g->m);
}

/* The sequence's last row is that of this text. */
static void check_text(const struct rig *g, const struct hearth_seq *s, const int32_t *ids,
                       size_t n)
{
    float *want = last_alone(g->m, g->kv, ids, n);

    assert_int_equal(hearth_seq_len(s), n);
    assert_memory_equal(catch_up(g->en, s), want, g->n_byte);
    mem_free(want);
}

static void check_prefix(int kv)
{
    struct rig g = rig_of_type(kv, 3, 512, 0);
    struct hearth_seq *a = seq_make(g.en), *b, *c;
    struct hearth_engine_info info;
    int32_t ids[260];
    struct rng r;

    rng_seed(&r, 10);
    random_ids(&r, ids, 260);
    assert_int_equal(feed(a, ids, 200), 0);
    check_text(&g, a, ids, 200);
    b = seq_make(g.en);
    assert_int_equal(feed(b, ids, 260), 192);
    check_text(&g, b, ids, 260);
    hearth_engine_info(g.en, &info);
    assert_int_equal(info.pages_used, 4 + 2); /* 200 and 260 tokens, the first 192 shared */
    assert_int_equal(info.pages_cached, 0);
    /* Pages stay when nobody holds them. */
    hearth_seq_close(a);
    hearth_seq_close(b);
    hearth_engine_info(g.en, &info);
    assert_int_equal(info.pages_used, 0);
    assert_int_equal(info.pages_cached, 4);
    /* The last token is always computed: of 192, two pages. */
    c = seq_make(g.en);
    assert_int_equal(feed(c, ids, 192), 128);
    check_text(&g, c, ids, 192);
    hearth_seq_close(c);
    /* One token differs in the second page. */
    c = seq_make(g.en);
    ids[70]++;
    assert_int_equal(feed(c, ids, 200), 64);
    check_text(&g, c, ids, 200);
    hearth_seq_close(c);
    rig_free(&g);
}

static void test_prefix(void **state)
{
    (void)state;
    for (int kv = HEARTH_KV_F16; kv <= HEARTH_KV_Q4_0; kv++)
        check_prefix(kv);
}

static void check_copy_on_write(int kv)
{
    struct rig g = rig_of_type(kv, 3, 512, 0);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en);
    int32_t ids[300], other[300];
    struct rng r;

    rng_seed(&r, 11);
    random_ids(&r, ids, 300);
    random_ids(&r, other, 300);
    memcpy(other, ids, 100 * sizeof(*ids));
    (void)feed(a, ids, 200);
    (void)catch_up(g.en, a);
    assert_int_equal(feed(b, ids, 200), 192);
    check_text(&g, b, ids, 200);
    /* b leaves the shared text in the middle of its second page. */
    FINE(hearth_seq_truncate(b, 100, &fine));
    assert_null(hearth_seq_logits(b));
    (void)feed(b, other + 100, 200);
    check_text(&g, b, other, 300);
    (void)feed(a, ids + 200, 100);
    check_text(&g, a, ids, 300);
    /* Now the one that computed the page first. */
    FINE(hearth_seq_truncate(a, 130, &fine));
    (void)feed(a, other + 130, 70);
    memcpy(ids + 130, other + 130, 70 * sizeof(*ids));
    check_text(&g, a, ids, 200);
    (void)feed(b, ids, 1);
    other[299] = ids[0];
    FINE(hearth_seq_truncate(b, 299, &fine));
    (void)feed(b, ids, 1);
    check_text(&g, b, other, 300);
    hearth_seq_close(a);
    hearth_seq_close(b);
    rig_free(&g);
}

static void test_copy_on_write(void **state)
{
    (void)state;
    for (int kv = HEARTH_KV_F16; kv <= HEARTH_KV_Q4_0; kv++)
        check_copy_on_write(kv);
}

/* Two sequences compute the same page; one of them then changes its copy. What follows in it
 * must not be found behind the page that was there before. */
static void test_stale_parent(void **state)
{
    struct rig g = rig_make(3, 512, 0);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en), *c;
    int32_t ids[200], other[200];
    struct rng r;

    (void)state;
    rng_seed(&r, 12);
    random_ids(&r, ids, 200);
    random_ids(&r, other, 200);
    (void)feed(a, ids, 64);
    (void)feed(b, ids, 64);
    (void)catch_up(g.en, a);
    (void)catch_up(g.en, b);
    FINE(hearth_seq_truncate(b, 32, &fine));
    (void)feed(b, other, 32);
    (void)feed(b, ids + 64, 64);
    (void)catch_up(g.en, b);
    c = seq_make(g.en);
    (void)feed(c, ids, 130);
    check_text(&g, c, ids, 130);
    hearth_seq_close(a);
    hearth_seq_close(b);
    hearth_seq_close(c);
    rig_free(&g);
}

/* Texts from a few tokens, so that prefixes meet often: feeding, cutting off, closing and
 * opening at random, in few pages. */
static void test_random_life(void **state)
{
    enum { N = 4, CTX = 300 };
    struct rig g = rig_make(N, CTX, 0);
    struct hearth_seq *s[N] = {0};
    int32_t text[N][CTX], stock[3][CTX];
    struct rng r;

    (void)state;
    rng_seed(&r, 13);
    for (int i = 0; i < 3; i++)
        random_ids(&r, stock[i], CTX);
    for (int round = 0; round < 300; round++) {
        int i = (int)(rng_u64(&r) % N), len, n;
        const int32_t *from = stock[rng_u64(&r) % 3];

        if (!s[i])
            s[i] = seq_make(g.en);
        len = hearth_seq_len(s[i]);
        n = (int)(rng_u64(&r) % 150);
        switch (rng_u64(&r) % 8) {
        case 0:
            hearth_seq_close(s[i]);
            s[i] = NULL;
            continue;
        case 1:
        case 2:
            n = len ? (int)(rng_u64(&r) % (uint64_t)len) : 0;
            n = rng_u64(&r) % 4 ? n : n / 64 * 64;
            FINE(hearth_seq_truncate(s[i], n, &fine));
            continue;
        case 3:
            FINE(hearth_engine_step(g.en, &fine));
            continue;
        default:
            n = n < CTX - len ? n : CTX - len;
            memcpy(text[i] + len, from + len, (size_t)n * sizeof(**text));
            (void)feed(s[i], from + len, (size_t)n);
        }
        if (len + n && round % 2 && !(n == 0 && !hearth_seq_logits(s[i])))
            check_text(&g, s[i], text[i], (size_t)(len + n));
    }
    for (int i = 0; i < N; i++)
        hearth_seq_close(s[i]);
    rig_free(&g);
}

/* -- limits ---------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    struct rig g = rig_make(1, 100, 0);
    struct hearth_seq *s = seq_make(g.en), *t;
    struct hearth_error e = {0};
    int32_t ids[101];
    struct rng r;

    (void)state;
    rng_seed(&r, 14);
    random_ids(&r, ids, 101);
    assert_int_equal(hearth_seq_open(&t, g.en, &e), HEARTH_E_BUSY);
    assert_int_equal(e.code, HEARTH_E_BUSY);
    assert_int_equal(hearth_seq_feed(s, ids, 101, NULL, &e), HEARTH_E_TOO_LONG);
    assert_non_null(strstr(e.message, "101"));
    assert_non_null(strstr(e.message, "100"));
    assert_int_equal(hearth_seq_len(s), 0);
    ids[5] = TINY_VOCAB;
    assert_int_equal(hearth_seq_feed(s, ids, 10, NULL, &e), HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "320"));
    ids[5] = -3;
    assert_int_equal(hearth_seq_feed(s, ids, 10, NULL, &e), HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "-3"));
    assert_int_equal(hearth_seq_len(s), 0);
    assert_int_equal(hearth_engine_step(g.en, &e), 0);
    assert_null(hearth_seq_logits(s));
    ids[5] = 5;
    (void)feed(s, ids, 100);
    check_text(&g, s, ids, 100);
    assert_int_equal(hearth_seq_feed(s, ids, 1, NULL, &e), HEARTH_E_TOO_LONG);
    assert_int_equal(hearth_seq_truncate(s, 101, &e), HEARTH_E_INVALID);
    assert_int_equal(hearth_seq_truncate(s, -1, &e), HEARTH_E_INVALID);
    check_text(&g, s, ids, 100); /* refusals changed nothing */
    assert_int_equal(hearth_engine_step(g.en, &e), 0);
    check_text(&g, s, ids, 100); /* nor did a step with nothing to do */
    hearth_seq_close(s);
    rig_free(&g);
}

static void test_bad_options(void **state)
{
    static const struct {
        struct hearth_engine_options opt;
        int code;
        const char *word;
    } bad[] = {
        {{.n_ctx = -1}, HEARTH_E_INVALID, "n_ctx"},
        {{.n_ctx = 1 << 30}, HEARTH_E_INVALID, "n_ctx"},
        {{.n_seq_max = -1}, HEARTH_E_INVALID, "n_seq_max"},
        {{.n_seq_max = 100000}, HEARTH_E_INVALID, "n_seq_max"},
        {{.n_batch = -5}, HEARTH_E_INVALID, "n_batch"},
        {{.n_batch = 1 << 20}, HEARTH_E_INVALID, "n_batch"},
        {{.kv_type = 7}, HEARTH_E_INVALID, "kv_type"},
        {{.kv_type = -1}, HEARTH_E_INVALID, "kv_type"},
        {{.kv_type_v = 5}, HEARTH_E_INVALID, "kv_type_v"},
        {{.kv_type = HEARTH_KV_Q8_0}, HEARTH_E_UNSUPPORTED, "keys of 16"},
        {{.kv_type_v = HEARTH_KV_Q4_0}, HEARTH_E_UNSUPPORTED, "values of 16"},
        {{.n_thread = -1}, HEARTH_E_INVALID, "thread"},
        {{.n_thread = 100000}, HEARTH_E_INVALID, "thread"},
        {{.n_ctx = 1 << 24, .n_seq_max = 1024}, HEARTH_E_NOMEM, "context"},
        {{.kv_bytes = 1}, HEARTH_E_INVALID, "kv_bytes"},
        {{.kv_bytes = UINT64_MAX}, HEARTH_E_NOMEM, "kv_bytes"},
    };
    struct tiny tiny = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, KERN_REF, 1);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct hearth_engine *en = NULL;
        struct hearth_error e = {0};

        assert_int_equal(hearth_engine_new(&en, m, &bad[i].opt, &e), bad[i].code);
        assert_null(en);
        if (!strstr(e.message, bad[i].word))
            fail_msg("'%s' does not name %s", e.message, bad[i].word);
    }
    hearth_model_close(m);
}

/* The public options give each sequence pages enough, so the test takes the rest itself. */
static void test_cache_full(void **state)
{
    struct rig g = rig_make(3, 256, 0);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en), *c = seq_make(g.en);
    struct hearth_engine_info info;
    struct hearth_error e = {0};
    int32_t ids[256], other[256];
    int page[64], n = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 15);
    random_ids(&r, ids, 256);
    random_ids(&r, other, 256);
    hearth_engine_info(g.en, &info);
    assert_in_range(info.pages, 8, 64);
    (void)feed(a, ids, 64);
    (void)catch_up(g.en, a);
    while (n < info.pages - 1 - 2)
        page[n++] = kv_take(g.en->kv, NULL);
    (void)feed(b, other, 256); /* needs four pages of two */
    assert_int_equal(hearth_engine_step(g.en, &e), HEARTH_E_BUSY);
    assert_non_null(strstr(e.message, "pages"));
    assert_null(hearth_seq_logits(b));
    assert_int_equal(hearth_seq_len(b), 256);
    /* Another sequence that can run is not held up. It has its page, b has the others. */
    FINE(hearth_seq_truncate(a, 63, &fine));
    (void)feed(a, ids + 63, 1);
    hearth_seq_close(c);
    kv_unref(g.en->kv, page[--n]);
    while (n > 0)
        kv_unref(g.en->kv, page[--n]);
    check_text(&g, a, ids, 64);
    check_text(&g, b, other, 256);
    hearth_seq_close(a);
    hearth_seq_close(b);
    rig_free(&g);
}

/* A sequence that waits for pages does not keep the others from theirs. */
static void test_full_for_one(void **state)
{
    struct rig g = rig_make(2, 256, 0);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en);
    struct hearth_engine_info info;
    int32_t ids[256], id = 9;
    int page[64], n = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 16);
    random_ids(&r, ids, 256);
    (void)feed(a, ids, 10);
    (void)catch_up(g.en, a);
    hearth_engine_info(g.en, &info);
    assert_in_range(info.pages, 2, 64);
    while (n < info.pages - 1)
        page[n++] = kv_take(g.en->kv, NULL);
    (void)feed(b, ids, 256);
    for (int i = 0; i < 5; i++) {
        (void)feed(a, &id, 1);
        assert_int_equal(hearth_engine_step(g.en, NULL), 1);
        assert_non_null(hearth_seq_logits(a));
        ids[10 + i] = id;
    }
    check_text(&g, a, ids, 15);
    assert_int_equal(hearth_engine_step(g.en, NULL), HEARTH_E_BUSY);
    hearth_seq_close(a);
    while (n > 0)
        kv_unref(g.en->kv, page[--n]);
    hearth_seq_close(b);
    rig_free(&g);
}

/* -- steps ----------------------------------------------------------------------------- */

static void test_no_allocation(void **state)
{
    struct rig g = rig_make(2, 512, 64);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en);
    int32_t ids[200];
    uint64_t before;
    struct rng r;

    (void)state;
    rng_seed(&r, 17);
    random_ids(&r, ids, 200);
    (void)feed(a, ids, 70);
    (void)catch_up(g.en, a);
    before = mem_count();
    assert_true(before > 0);
    (void)feed(b, ids, 200); /* a prompt meanwhile: takes over a page, publishes others */
    for (int i = 0; i < 100; i++) {
        (void)feed(a, ids + i, 1);
        FINE(hearth_engine_step(g.en, &fine));
    }
    FINE(hearth_seq_truncate(b, 70, &fine));
    (void)feed(b, ids, 100);
    (void)catch_up(g.en, b);
    assert_int_equal(mem_count(), before);
    hearth_seq_close(a);
    hearth_seq_close(b);
    rig_free(&g);
}

static void test_no_starvation(void **state)
{
    struct rig g = rig_make(4, 1000, 32);
    struct hearth_seq *one[3], *prompt = seq_make(g.en);
    int32_t ids[1000];
    int steps = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 18);
    random_ids(&r, ids, 1000);
    for (int i = 0; i < 3; i++)
        one[i] = seq_make(g.en);
    (void)feed(prompt, ids, 900);
    while (!hearth_seq_logits(prompt)) {
        int n;

        for (int i = 0; i < 3; i++)
            (void)feed(one[i], ids + steps, 1);
        n = hearth_engine_step(g.en, NULL);
        steps++;
        for (int i = 0; i < 3; i++)
            assert_non_null(hearth_seq_logits(one[i]));
        assert_in_range(n, 4, 32); /* and the prompt moves on in each */
    }
    assert_int_equal(steps, (900 + 28) / 29);
    check_text(&g, prompt, ids, 900);
    hearth_seq_close(prompt);
    for (int i = 0; i < 3; i++)
        hearth_seq_close(one[i]);
    rig_free(&g);
}

/* -- stopping -------------------------------------------------------------------------- */

static void test_cancel_before(void **state)
{
    struct rig g = rig_make(1, 256, 0);
    struct hearth_seq *s = seq_make(g.en);
    struct hearth_error e = {0};
    int32_t ids[200];
    struct rng r;

    (void)state;
    rng_seed(&r, 19);
    random_ids(&r, ids, 200);
    (void)feed(s, ids, 200);
    hearth_engine_cancel(g.en);
    assert_int_equal(hearth_engine_step(g.en, &e), HEARTH_E_CANCELLED);
    assert_int_equal(e.code, HEARTH_E_CANCELLED);
    assert_null(hearth_seq_logits(s));
    assert_int_equal(hearth_seq_len(s), 200);
    check_text(&g, s, ids, 200);
    hearth_seq_close(s);
    rig_free(&g);
}

struct canceller {
    struct hearth_engine *en;
    atomic_int stop;
};

static void *cancel_often(void *arg)
{
    struct canceller *c = arg;

    while (!atomic_load(&c->stop)) {
        hearth_engine_cancel(c->en);
        (void)usleep(200);
    }
    return NULL;
}

/* Another thread cancels all the time; in the end the text is right. */
static void test_cancel_thread(void **state)
{
    struct rig g = rig_make(1, 1000, 0);
    struct hearth_seq *s = seq_make(g.en);
    struct canceller c = {.en = g.en};
    int32_t ids[1000];
    int cancelled = 0;
    pthread_t thread;
    struct rng r;

    (void)state;
    rng_seed(&r, 20);
    random_ids(&r, ids, 1000);
    assert_int_equal(pthread_create(&thread, NULL, cancel_often, &c), 0);
    for (int i = 0; i < 1000000 && cancelled < 5; i++) {
        int rc;

        if (hearth_seq_logits(s) || hearth_seq_len(s) == 0) {
            FINE(hearth_seq_truncate(s, 0, &fine));
            (void)feed(s, ids, 1000);
        }
        rc = hearth_engine_step(g.en, NULL);
        assert_true(rc >= 0 || rc == HEARTH_E_CANCELLED);
        cancelled += rc == HEARTH_E_CANCELLED;
    }
    atomic_store(&c.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(cancelled, 5);
    while (!hearth_seq_logits(s))
        (void)hearth_engine_step(g.en, NULL);
    check_text(&g, s, ids, 1000);
    hearth_seq_close(s);
    rig_free(&g);
}

/* -- rows and embeddings --------------------------------------------------------------- */

static int stop_at_two(void *ctx, size_t i, const float *logits)
{
    (void)ctx;
    (void)logits;
    return i == 2;
}

static void test_rows(void **state)
{
    struct rig g = rig_make(1, 256, 0);
    struct hearth_seq *s = seq_make(g.en);
    struct hearth_error e = {0};
    int32_t ids[100];
    struct rng r;

    (void)state;
    rng_seed(&r, 21);
    random_ids(&r, ids, 100);
    assert_int_equal(hearth_seq_logits_all(s, ids, 100, stop_at_two, NULL, &e),
                     HEARTH_E_CANCELLED);
    FINE(hearth_seq_truncate(s, 0, &fine));
    (void)feed(s, ids, 1);
    assert_int_equal(hearth_seq_logits_all(s, ids, 9, stop_at_two, NULL, &e), HEARTH_E_INVALID);
    (void)catch_up(g.en, s);
    hearth_seq_close(s);
    rig_free(&g);
}

static void test_embed(void **state)
{
    struct rig g = rig_make(1, 256, 0);
    struct hearth_seq *s = seq_make(g.en);
    float once[64], again[64], sum = 0;
    int32_t ids[100];
    struct rng r;

    (void)state;
    rng_seed(&r, 22);
    random_ids(&r, ids, 100);
    FINE(hearth_seq_embed(s, ids, 100, once, &fine));
    assert_int_equal(hearth_seq_len(s), 0);
    FINE(hearth_seq_embed(s, ids, 100, again, &fine));
    assert_memory_equal(once, again, sizeof(once));
    for (int i = 0; i < 64; i++)
        sum += once[i] * once[i];
    assert_true(sum > 1 && sum < 1000); /* the final norm's output: about 1 for each number */
    FINE(hearth_seq_embed(s, ids, 99, again, &fine));
    assert_memory_not_equal(once, again, sizeof(once));
    assert_int_equal(hearth_seq_embed(s, ids, 0, once, NULL), HEARTH_E_INVALID);
    (void)feed(s, ids, 100);
    assert_int_equal(hearth_seq_embed(s, ids, 1, once, NULL), HEARTH_E_INVALID);
    check_text(&g, s, ids, 100);
    hearth_seq_close(s);
    rig_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),       cmocka_unit_test(test_experts),
        cmocka_unit_test(test_many_heads),    cmocka_unit_test(test_quantised_cache),
        cmocka_unit_test(test_windows),       cmocka_unit_test(test_window_forgets),
        cmocka_unit_test(test_segments),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_cache_types),   cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_copy_on_write), cmocka_unit_test(test_stale_parent),
        cmocka_unit_test(test_random_life),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_options),   cmocka_unit_test(test_cache_full),
        cmocka_unit_test(test_full_for_one),  cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_no_starvation), cmocka_unit_test(test_cancel_before),
        cmocka_unit_test(test_cancel_thread), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_embed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
