/* Models whose layers keep a state beside pages: what is taken over, cut off, stopped or
 * guessed ahead gives the same bits as a text that is computed alone and from its beginning;
 * and not from the beginning where a copy of the state is there. */
#include "engine_test.h"

#include "infer/engine.h"

#include <pthread.h>

enum { CTX = 1024 };

struct rig {
    struct hearth_model *m;
    struct hearth_engine *en;
    size_t n_byte; /* of a row */
};

static struct tiny tiny_with(const char *arch, int type)
{
    struct tiny t = tiny_of(type);

    t.arch = arch;
    if (strcmp(arch, "qwen3next") == 0) {
        t.n_expert = 3;
        t.n_used = 2;
    }
    return t;
}

static struct rig rig_typed(const char *arch, int type, int tier,
                            struct hearth_engine_options opt)
{
    struct tiny t = tiny_with(arch, type);
    struct rig g = {.m = model_make(&t, tier, 1)};

    opt.n_ctx = opt.n_ctx ? opt.n_ctx : CTX;
    g.en = engine_make(g.m, opt);
    g.n_byte = vocab_of(g.m) * sizeof(float);
    return g;
}

static struct rig rig_of(const char *arch, int tier, struct hearth_engine_options opt)
{
    return rig_typed(arch, QUANT_F32, tier, opt);
}

static struct rig rig_make(int n_seq)
{
    return rig_of("qwen35", kern_tier_best(),
                  (struct hearth_engine_options){.n_seq_max = n_seq});
}

static void rig_free(struct rig *g)
{
    hearth_engine_free(g->en);
    hearth_model_close(g->m);
}

/* Steps until s has logits; returns how many tokens were computed. */
static int computed(const struct rig *g, const struct hearth_seq *s)
{
    int n = 0;

    while (!hearth_seq_logits(s)) {
        struct hearth_error e = {0};
        int rc = hearth_engine_step(g->en, &e);

        if (rc <= 0 && rc != HEARTH_E_CANCELLED)
            fail_msg("step: %d %s", rc, e.message);
        n += rc > 0 ? rc : 0;
    }
    return n;
}

/* The sequence's last row is that of this text; returns how many tokens were computed. */
static int check_text(const struct rig *g, const struct hearth_seq *s, const int32_t *ids,
                      size_t n)
{
    float *want = last_alone(g->m, HEARTH_KV_AUTO, ids, n);
    int made = computed(g, s);

    assert_int_equal(hearth_seq_len(s), n);
    assert_memory_equal(hearth_seq_logits(s), want, g->n_byte);
    mem_free(want);
    return made;
}

/* -- the same bits --------------------------------------------------------------------- */

/* Two texts in pieces, beside each other, in one step and in many. */
static void check_pieces(const char *arch, int type, int tier, int n_batch)
{
    struct rig g = rig_typed(
        arch, type, tier,
        (struct hearth_engine_options){.n_seq_max = 2, .n_batch = n_batch, .n_thread = 2});
    struct hearth_seq *s[2] = {seq_make(g.en), seq_make(g.en)};
    int32_t ids[2][200];
    float *row[2];
    struct rng r;
    int at[2] = {0, 0}, waits[2] = {0, 0};

    rng_seed(&r, 31);
    for (int i = 0; i < 2; i++) {
        random_ids(&r, ids[i], 200);
        row[i] = rows_alone(g.m, HEARTH_KV_AUTO, ids[i], 200);
    }
    while (at[0] + at[1] < 400 || waits[0] || waits[1]) {
        for (int i = 0; i < 2; i++) {
            int left = 200 - at[i], n = (int)(rng_u64(&r) % 90) * (int)(rng_u64(&r) % 2) + 1;

            n = n < left ? n : left;
            if (waits[i] || n == 0)
                continue;
            (void)feed(s[i], ids[i] + at[i], (size_t)n);
            at[i] += n;
            waits[i] = 1;
        }
        FINE(hearth_engine_step(g.en, &fine));
        for (int i = 0; i < 2; i++) {
            const float *got = hearth_seq_logits(s[i]);

            if (!got)
                continue;
            assert_memory_equal(got, row[i] + (size_t)(at[i] - 1) * vocab_of(g.m), g.n_byte);
            waits[i] = 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        mem_free(row[i]);
        hearth_seq_close(s[i]);
    }
    rig_free(&g);
}

static void test_pieces(void **state)
{
    static const char *const arch[] = {"mamba2", "qwen35", "qwen3next"};

    (void)state;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        for (size_t i = 0; i < sizeof(arch) / sizeof(*arch); i++) {
            check_pieces(arch[i], QUANT_Q8_0, tier, 0);
            check_pieces(arch[i], QUANT_F32, tier, 32);
        }
    }
}

/* -- going on from the middle ---------------------------------------------------------- */

static void check_reuse(const char *arch)
{
    struct rig g =
        rig_of(arch, kern_tier_best(), (struct hearth_engine_options){.n_seq_max = 3});
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en), *c;
    int32_t ids[700], other[300];
    struct rng r;

    rng_seed(&r, 32);
    random_ids(&r, ids, 700);
    assert_int_equal(feed(a, ids, 200), 0);
    assert_int_equal(check_text(&g, a, ids, 200), 200);
    /* Behind the last whole page of what was fed there is a copy. */
    assert_int_equal(feed(b, ids, 260), 192);
    assert_int_equal(check_text(&g, b, ids, 260), 260 - 192);
    hearth_seq_close(a);
    /* Of a text that differs in the third page, the first two have none. */
    memcpy(other, ids, sizeof(other));
    other[150]++;
    c = seq_make(g.en);
    assert_int_equal(feed(c, other, 300), 0);
    assert_int_equal(check_text(&g, c, other, 300), 300);
    hearth_seq_close(c);
    /* The same again is computed from its last page on. */
    c = seq_make(g.en);
    assert_int_equal(feed(c, ids, 260), 256);
    assert_int_equal(check_text(&g, c, ids, 260), 4);
    /* Also in a sequence that has begun, and the long one has a copy on its way. */
    (void)feed(c, ids + 260, 440);
    (void)check_text(&g, c, ids, 700);
    hearth_seq_close(c);
    hearth_seq_close(b);
    c = seq_make(g.en);
    assert_int_equal(feed(c, ids, 600), 512);
    (void)check_text(&g, c, ids, 600);
    hearth_seq_close(c);
    rig_free(&g);
}

static void test_reuse(void **state)
{
    (void)state;
    check_reuse("qwen35");
    check_reuse("mamba2"); /* pages with nothing in them */
}

static void test_truncate(void **state)
{
    struct rig g = rig_make(2);
    struct hearth_seq *s = seq_make(g.en);
    int32_t ids[600], other[600];
    struct rng r;

    (void)state;
    rng_seed(&r, 33);
    random_ids(&r, ids, 600);
    random_ids(&r, other, 600);
    (void)feed(s, ids, 600);
    (void)check_text(&g, s, ids, 600);
    /* An answer is cut off, and another prompt goes on. */
    FINE(hearth_seq_truncate(s, 590, &fine));
    assert_null(hearth_seq_logits(s));
    memcpy(ids + 590, other, 10 * sizeof(*ids));
    (void)feed(s, other, 10);
    assert_int_equal(check_text(&g, s, ids, 600), 600 - 576);
    /* Before the last copy: from the one behind 8 pages. */
    FINE(hearth_seq_truncate(s, 570, &fine));
    (void)feed(s, other, 1);
    ids[570] = other[0];
    assert_int_equal(check_text(&g, s, ids, 571), 571 - 512);
    /* Before all of them. */
    FINE(hearth_seq_truncate(s, 100, &fine));
    (void)feed(s, other + 100, 50);
    memcpy(ids + 100, other + 100, 50 * sizeof(*ids));
    (void)check_text(&g, s, ids, 150);
    FINE(hearth_seq_truncate(s, 0, &fine));
    (void)feed(s, other, 3);
    (void)check_text(&g, s, other, 3);
    hearth_seq_close(s);
    rig_free(&g);
}

/* More texts than copies: those that were asked for longest ago are computed again. */
static void test_exhausted(void **state)
{
    enum { TEXTS = 10, LEN = 70 };
    struct rig g = rig_make(1);
    int32_t ids[TEXTS][LEN];
    struct rng r;

    (void)state;
    rng_seed(&r, 34);
    for (int i = 0; i < TEXTS; i++) {
        struct hearth_seq *s = seq_make(g.en);

        random_ids(&r, ids[i], LEN);
        assert_int_equal(feed(s, ids[i], LEN), 0);
        (void)check_text(&g, s, ids[i], LEN);
        hearth_seq_close(s);
    }
    /* 8 are left: of 2 to 9. What is computed again takes the place of the oldest. */
    for (int i = 0; i < TEXTS; i++) {
        static const int kept[TEXTS] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
        int which = TEXTS - 1 - i;
        struct hearth_seq *s = seq_make(g.en);

        assert_int_equal(feed(s, ids[which], LEN), kept[which] ? 64 : 0);
        (void)check_text(&g, s, ids[which], LEN);
        hearth_seq_close(s);
    }
    rig_free(&g);
}

/* A sequence whose positions do not begin at 0 shares nothing, and goes back to its start. */
static void test_other_start(void **state)
{
    struct rig g = rig_make(2);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en);
    float *want;
    int32_t ids[200];
    struct rng r;

    (void)state;
    rng_seed(&r, 35);
    random_ids(&r, ids, 200);
    FINE(hearth_seq_set_position(a, 5, &fine));
    FINE(hearth_seq_set_position(b, 5, &fine));
    (void)feed(a, ids, 150);
    want = mem_alloc(g.n_byte);
    assert_non_null(want);
    memcpy(want, catch_up(g.en, a), g.n_byte);
    assert_int_equal(feed(b, ids, 200), 0);
    (void)catch_up(g.en, b);
    FINE(hearth_seq_truncate(b, 150, &fine));
    assert_int_equal(computed(&g, b), 150);
    assert_memory_equal(hearth_seq_logits(b), want, g.n_byte);
    mem_free(want);
    hearth_seq_close(a);
    hearth_seq_close(b);
    rig_free(&g);
}

/* As test_random_life of test_engine.c: prefixes meet often, pages and copies are few. */
static void test_random_life(void **state)
{
    enum { N = 3, LEN = 300 };
    struct rig g =
        rig_of("qwen35", kern_tier_best(),
               (struct hearth_engine_options){.n_ctx = LEN, .n_seq_max = N, .n_batch = 48});
    struct hearth_seq *s[N] = {0};
    int32_t text[N][LEN], stock[3][LEN];
    struct rng r;

    (void)state;
    rng_seed(&r, 36);
    for (int i = 0; i < 3; i++)
        random_ids(&r, stock[i], LEN);
    for (int round = 0; round < 300; round++) {
        int i = (int)(rng_u64(&r) % N), len, n;
        const int32_t *from = stock[rng_u64(&r) % 3];

        if (!s[i])
            s[i] = seq_make(g.en);
        len = hearth_seq_len(s[i]);
        n = (int)(rng_u64(&r) % 150);
        switch (rng_u64(&r) % 9) {
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
            hearth_engine_cancel(g.en);
            (void)hearth_engine_step(g.en, NULL);
            continue;
        case 4:
            (void)hearth_engine_step(g.en, NULL);
            continue;
        default:
            n = n < LEN - len ? n : LEN - len;
            memcpy(text[i] + len, from + len, (size_t)n * sizeof(**text));
            (void)feed(s[i], from + len, (size_t)n);
        }
        if (len + n && round % 2 && !(n == 0 && !hearth_seq_logits(s[i])))
            (void)check_text(&g, s[i], text[i], (size_t)(len + n));
    }
    for (int i = 0; i < N; i++)
        hearth_seq_close(s[i]);
    rig_free(&g);
}

/* -- stopping -------------------------------------------------------------------------- */

struct canceller {
    struct hearth_engine *en;
    atomic_int stop;
};

static void *cancel_often(void *arg)
{
    struct canceller *c = arg;

    while (!atomic_load(&c->stop)) {
        hearth_engine_cancel(c->en);
        (void)usleep(300);
    }
    return NULL;
}

/* Another thread cancels in the middle of steps: state that is half written is not used. */
static void test_cancel(void **state)
{
    struct rig g = rig_make(1);
    struct hearth_seq *s = seq_make(g.en);
    struct canceller c = {.en = g.en};
    int32_t ids[1000];
    int cancelled = 0;
    pthread_t thread;
    struct rng r;

    (void)state;
    rng_seed(&r, 37);
    random_ids(&r, ids, 1000);
    assert_int_equal(pthread_create(&thread, NULL, cancel_often, &c), 0);
    for (int i = 0; i < 1000000 && cancelled < 8; i++) {
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
    assert_int_equal(cancelled, 8);
    while (!hearth_seq_logits(s))
        (void)hearth_engine_step(g.en, NULL);
    (void)check_text(&g, s, ids, 1000);
    hearth_seq_close(s);
    rig_free(&g);
}

/* -- limits ---------------------------------------------------------------------------- */

static void test_no_allocation(void **state)
{
    struct rig g = rig_make(2);
    struct hearth_seq *a = seq_make(g.en), *b = seq_make(g.en);
    int32_t ids[200];
    uint64_t before;
    struct rng r;

    (void)state;
    rng_seed(&r, 38);
    random_ids(&r, ids, 200);
    (void)feed(a, ids, 70);
    (void)catch_up(g.en, a);
    before = mem_count();
    assert_int_equal(feed(b, ids, 200), 64);
    for (int i = 0; i < 100; i++) {
        (void)feed(a, ids + i, 1);
        FINE(hearth_engine_step(g.en, &fine));
    }
    FINE(hearth_seq_truncate(b, 70, &fine));
    (void)catch_up(g.en, b);
    assert_int_equal(mem_count(), before);
    hearth_seq_close(a);
    hearth_seq_close(b);
    rig_free(&g);
}

/* -- guessing ahead -------------------------------------------------------------------- */

struct seen {
    int32_t id[200];
    float logprob[200];
    int n;
};

static int see(void *ctx, const struct hearth_piece *p)
{
    struct seen *s = ctx;

    if (p->id >= 0) {
        assert_true(s->n < 200);
        s->id[s->n] = p->id;
        s->logprob[s->n++] = p->logprob;
    }
    return 0;
}

/* A guide that allows a few tokens of each place, and is certain of some places. */
static int32_t narrow_id(int n, int k)
{
    return (int32_t)((unsigned)n * 7919U + (unsigned)k * 104729U) % (TINY_VOCAB - 3) + 3;
}

static int narrow_mask(void *ctx, uint32_t *bits, struct hearth_error *e)
{
    const int *n = ctx;

    (void)e;
    for (int k = 0; k < (*n % 5 == 3 ? 1 : 3); k++)
        bits[narrow_id(*n, k) / 32] |= 1u << (narrow_id(*n, k) % 32);
    return 1;
}

static int narrow_accept(void *ctx, int32_t id, struct hearth_error *e)
{
    int *n = ctx, ok = 0;

    (void)e;
    for (int k = 0; k < (*n % 5 == 3 ? 1 : 3); k++)
        ok |= id == narrow_id(*n, k);
    assert_true(ok);
    ++*n;
    return 0;
}

static int narrow_forced(void *ctx, int32_t *ids, int max, struct hearth_error *e)
{
    const int *n = ctx;

    (void)e;
    if (*n % 5 != 3 || max < 1)
        return 0;
    ids[0] = narrow_id(*n, 0);
    return 1;
}

static struct hearth_stats generate_with(struct hearth_model *m, int n_draft, int narrow,
                                         struct seen *seen)
{
    int taken = 0;
    const struct hearth_guide guide = {
        .ctx = &taken, .mask = narrow_mask, .accept = narrow_accept, .forced = narrow_forced};
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_thread = 1, .n_draft = n_draft});
    struct hearth_seq *s = seq_make(en);
    struct hearth_sampling sampling;
    struct hearth_stats st;
    int32_t ids[100];
    struct rng r;

    rng_seed(&r, 39);
    random_ids(&r, ids, 100);
    hearth_sampling_defaults(&sampling);
    sampling.seed = 3;
    seen->n = 0;
    FINE(hearth_generate(s, ids, 100,
                         &(struct hearth_generate_options){
                             .n_predict = 150,
                             .sampling = &sampling,
                             .n_logprobs = !narrow,
                             .ignore_eog = !narrow,
                             .guide = narrow ? &guide : NULL,
                         },
                         &st, see, seen, &fine));
    hearth_seq_close(s);
    hearth_engine_free(en);
    return st;
}

static struct hearth_stats generate(struct hearth_model *m, int n_draft, struct seen *seen)
{
    return generate_with(m, n_draft, 0, seen);
}

/* Guesses of a random model are wrong nearly always, so the state goes back all the time. */
static void test_guesses(void **state)
{
    struct tiny t = tiny_with("qwen35", QUANT_F32);
    struct seen plain, ahead;
    struct hearth_stats st;
    struct hearth_model *m;

    (void)state;
    t.n_nextn = 1;
    m = model_make(&t, kern_tier_best(), 1);
    (void)generate(m, 0, &plain);
    assert_int_equal(plain.n, 150);
    for (int n = 1; n <= 5; n += 2) {
        st = generate(m, n, &ahead);
        assert_true(st.n_drafted > 50);
        assert_int_equal(ahead.n, plain.n);
        assert_memory_equal(ahead.id, plain.id, sizeof(plain.id[0]) * 150);
        assert_memory_equal(ahead.logprob, plain.logprob, sizeof(plain.logprob[0]) * 150);
    }
    hearth_model_close(m);
}

/* Under a guide, too, also where it knows the next token itself; the guesses do not know it. */
static void test_guided_guesses(void **state)
{
    struct tiny t = tiny_with("qwen35", QUANT_F32);
    struct seen plain, ahead;
    struct hearth_stats st;
    struct hearth_model *m;

    (void)state;
    t.n_nextn = 1;
    m = model_make(&t, kern_tier_best(), 1);
    st = generate_with(m, 0, 1, &plain);
    assert_int_equal(plain.n, 150);
    assert_int_equal(st.n_forced, 30);
    for (int n = 1; n <= 5; n += 2) {
        st = generate_with(m, n, 1, &ahead);
        assert_true(st.n_drafted > 50);
        assert_int_equal(ahead.n, plain.n);
        assert_memory_equal(ahead.id, plain.id, sizeof(plain.id[0]) * 150);
    }
    hearth_model_close(m);
}

/* Tokens of a text that is made in pieces without a new prompt, each piece ended by its length;
 * cancelled by the callback after `stop` tokens in all, -1: never. */
struct piecewise {
    struct hearth_engine *en;
    int32_t id[64];
    int n, stop;
};

static int see_and_stop(void *ctx, const struct hearth_piece *p)
{
    struct piecewise *w = ctx;

    if (p->id >= 0) {
        w->id[w->n++] = p->id;
        if (w->n == w->stop)
            hearth_engine_cancel(w->en);
    }
    return 0;
}

static void make_in_pieces(struct hearth_model *m, int n_draft, int stop, struct piecewise *w)
{
    struct hearth_sampling greedy;
    struct hearth_seq *s;
    int32_t ids[20];
    struct rng r;

    *w = (struct piecewise){.stop = stop};
    w->en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 200, .n_thread = 1, .n_draft = n_draft});
    s = seq_make(w->en);
    rng_seed(&r, 40);
    random_ids(&r, ids, 20);
    hearth_sampling_defaults(&greedy);
    greedy.temperature = 0;
    for (int piece = 0; piece < 12; piece++) {
        FINE(hearth_generate(s, ids, piece ? 0 : 20,
                             &(struct hearth_generate_options){
                                 .n_predict = 3, .sampling = &greedy, .ignore_eog = 1},
                             NULL, see_and_stop, w, &fine));
        /* Every token that was shown is in the text, and nothing else. */
        assert_int_equal(hearth_seq_len(s), 20 + w->n);
    }
    hearth_seq_close(s);
    hearth_engine_free(w->en);
}

static void test_guesses_in_pieces(void **state)
{
    struct tiny t = tiny_with("qwen35", QUANT_F32);
    struct piecewise plain, ahead;
    struct hearth_model *m;

    (void)state;
    t.n_nextn = 1;
    m = model_make(&t, kern_tier_best(), 1);
    make_in_pieces(m, 0, -1, &plain);
    assert_int_equal(plain.n, 36);
    for (int stop = -1; stop < 8; stop++) {
        make_in_pieces(m, 4, stop, &ahead);
        assert_memory_equal(ahead.id, plain.id, sizeof(plain.id[0]) * (size_t)ahead.n);
    }
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_other_start),
        cmocka_unit_test(test_random_life),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_guided_guesses),
        cmocka_unit_test(test_guesses_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
