/* Generation on a tiny random model: when it ends, what it shows, what it leaves behind. */
#include "engine_test.h"

#include <math.h>

enum { N_TEXT = 4096, N_PIECE = 300 };

/* What the callback saw. */
struct seen {
    char text[N_TEXT];
    size_t n_text;
    int32_t id[N_PIECE];
    float logprob[N_PIECE];
    struct hearth_token_logprob top[N_PIECE][20];
    int n_top, n, ended, stop_at; /* stop_at: pieces until the callback stops; 0: never */
};

static int see(void *ctx, const struct hearth_piece *p)
{
    struct seen *s = ctx;

    assert_false(s->ended);
    assert_int_equal(p->text[p->n_text], '\0');
    assert_true(s->n_text + p->n_text < N_TEXT);
    memcpy(s->text + s->n_text, p->text, p->n_text + 1);
    s->n_text += p->n_text;
    if (p->id < 0) {
        s->ended = 1;
        return 1; /* too late to matter */
    }
    assert_true(s->n < N_PIECE);
    s->id[s->n] = p->id;
    s->logprob[s->n] = p->logprob;
    s->n_top = p->n_top;
    for (int i = 0; i < p->n_top; i++)
        s->top[s->n][i] = p->top[i];
    return ++s->n == s->stop_at;
}

struct rig {
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct hearth_sampling sampling; /* the tests' own: random, seed 1 */
};

static struct rig rig_make(int n_ctx)
{
    struct tiny tiny = tiny_of(QUANT_F32);
    struct rig g = {.m = model_make(&tiny, kern_tier_best(), 1)};

    g.en = engine_make(g.m, (struct hearth_engine_options){.n_ctx = n_ctx, .n_seq_max = 2});
    g.s = seq_make(g.en);
    hearth_sampling_defaults(&g.sampling);
    g.sampling.seed = 1;
    g.sampling.temperature = 2;
    return g;
}

static void rig_free(struct rig *g)
{
    hearth_seq_close(g->s);
    hearth_engine_free(g->en);
    hearth_model_close(g->m);
}

static const int32_t prompt[] = {TINY_BOS, TINY_WORD + 3, TINY_WORD + 30, TINY_WORD + 8};
enum { N_PROMPT = sizeof(prompt) / sizeof(*prompt) };

static struct hearth_stats generate(struct rig *g, const struct hearth_generate_options *opt,
                                    struct seen *seen)
{
    struct hearth_stats st;
    struct hearth_generate_options o = *opt;

    o.sampling = &g->sampling;
    FINE(hearth_seq_truncate(g->s, 0, &fine));
    FINE(hearth_generate(g->s, prompt, N_PROMPT, &o, &st, see, seen, &fine));
    assert_true(seen->ended);
    assert_int_equal(st.n_prompt, N_PROMPT);
    return st;
}

/* The text of ids, as one string. */
static size_t text_of(const struct rig *g, const int32_t *ids, int n, char *out)
{
    int64_t rc = hearth_decode(g->m, ids, (size_t)n, 0, out, N_TEXT - 1, NULL);

    assert_in_range(rc, 0, N_TEXT - 1);
    out[rc] = '\0';
    return (size_t)rc;
}

/* A seed whose text of n tokens has only words, so that texts are plain letters and spaces:
 * no control tokens, which show nothing, and no bytes, which may not be UTF-8. */
static void find_words(struct rig *g, int n, struct seen *seen)
{
    for (g->sampling.seed = 1; g->sampling.seed < 20000; g->sampling.seed++) {
        int words = 0;

        memset(seen, 0, sizeof(*seen));
        (void)generate(g, &(struct hearth_generate_options){.n_predict = n, .ignore_eog = 1},
                       seen);
        for (int i = 0; i < seen->n; i++)
            words += seen->id[i] >= TINY_WORD;
        if (words == n)
            return;
    }
    fail_msg("no seed gives %d words alone", n);
}

static void test_length(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a, b;
    struct hearth_stats st;

    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    st = generate(&g, &(struct hearth_generate_options){.n_predict = 20, .ignore_eog = 1}, &a);
    assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
    assert_int_equal(st.n_output, 20);
    assert_int_equal(a.n, 20);
    assert_int_equal(hearth_seq_len(g.s), N_PROMPT + 20);
    /* Until the context is full: the last token is shown, though there is no place for it. */
    st = generate(&g, &(struct hearth_generate_options){.ignore_eog = 1}, &b);
    assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
    assert_int_equal(hearth_seq_len(g.s), 256);
    assert_in_range(st.n_output, 256 - N_PROMPT, 256 - N_PROMPT + 1);
    assert_memory_equal(a.id, b.id, 20 * sizeof(*a.id)); /* the same seed */
    rig_free(&g);
}

static void test_seeds(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a, b;
    struct hearth_generate_options o = {.n_predict = 30, .ignore_eog = 1};

    (void)state;
    memset(&a, 0, sizeof(a));
    (void)generate(&g, &o, &a);
    memset(&b, 0, sizeof(b));
    (void)generate(&g, &o, &b);
    assert_memory_equal(a.id, b.id, 30 * sizeof(*a.id));
    memset(&b, 0, sizeof(b));
    g.sampling.seed = 2;
    (void)generate(&g, &o, &b);
    assert_memory_not_equal(a.id, b.id, 30 * sizeof(*a.id));
    g.sampling.temperature = 0; /* greedy needs no seed */
    memset(&a, 0, sizeof(a));
    (void)generate(&g, &o, &a);
    g.sampling.seed = 3;
    memset(&b, 0, sizeof(b));
    (void)generate(&g, &o, &b);
    assert_memory_equal(a.id, b.id, 30 * sizeof(*a.id));
    rig_free(&g);
}

static void test_stop(void **state)
{
    struct rig g = rig_make(256);
    static struct seen whole, part;
    char all[N_TEXT], stop[8] = {0}, *at;
    const char *stops[] = {"never this", stop};
    struct hearth_stats st;
    int n = 0;

    (void)state;
    find_words(&g, 4, &whole);
    (void)text_of(&g, whole.id, 4, all);
    /* From the end of the second token's text into the third's. */
    at = all + text_of(&g, whole.id, 2, part.text) - 1;
    memcpy(stop, at, 2);
    at = strstr(all, stop);
    memset(&part, 0, sizeof(part));
    st = generate(&g,
                  &(struct hearth_generate_options){
                      .n_predict = 4, .stop = stops, .n_stop = 2, .ignore_eog = 1},
                  &part);
    assert_int_equal(st.finish, HEARTH_FINISH_STOP);
    assert_in_range(st.n_output, 1, 3);
    assert_int_equal(part.n_text, at - all);
    assert_memory_equal(part.text, all, part.n_text);
    /* The token that ended it is not in the sequence. */
    assert_int_equal(hearth_seq_len(g.s), N_PROMPT + st.n_output - 1);
    /* What might have become a stop string comes out at the end. */
    (void)snprintf(stop, sizeof(stop), "%.1s#", all + strlen(all) - 1);
    memset(&part, 0, sizeof(part));
    st = generate(&g,
                  &(struct hearth_generate_options){
                      .n_predict = 4, .stop = stops, .n_stop = 2, .ignore_eog = 1},
                  &part);
    assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
    assert_string_equal(part.text, all);
    for (; n < 4; n++)
        assert_int_equal(part.id[n], whole.id[n]);
    rig_free(&g);
}

/* Seeds are tried until one comes to the end-of-sequence token. */
static void test_eog(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a;
    struct hearth_stats st = {.finish = -1};

    (void)state;
    g.sampling.temperature = 100;
    g.sampling.top_k = 0;
    g.sampling.top_p = 1;
    for (int i = 1; i < 500 && st.finish != HEARTH_FINISH_EOG; i++) {
        memset(&a, 0, sizeof(a));
        g.sampling.seed = (uint64_t)i;
        st = generate(&g, &(struct hearth_generate_options){.n_predict = 20}, &a);
    }
    assert_int_equal(st.finish, HEARTH_FINISH_EOG);
    assert_int_equal(st.n_output, a.n);
    assert_int_equal(hearth_seq_len(g.s), N_PROMPT + a.n); /* not in the sequence */
    for (int i = 0; i < a.n; i++)
        assert_false(hearth_is_eog(g.m, a.id[i]));
    assert_true(hearth_is_eog(g.m, TINY_EOS));
    rig_free(&g);
}

static void test_callback_stops(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a;
    struct hearth_stats st;

    (void)state;
    memset(&a, 0, sizeof(a));
    a.stop_at = 5;
    st = generate(&g, &(struct hearth_generate_options){.n_predict = 20, .ignore_eog = 1}, &a);
    assert_int_equal(st.finish, HEARTH_FINISH_CALLER);
    assert_int_equal(st.n_output, 5);
    assert_int_equal(a.n, 5);
    assert_int_equal(hearth_seq_len(g.s), N_PROMPT + 5);
    /* Cancelled before it begins: nothing is made, and that is no error. */
    memset(&a, 0, sizeof(a));
    hearth_engine_cancel(g.en);
    st = generate(&g, &(struct hearth_generate_options){.n_predict = 20}, &a);
    assert_int_equal(st.finish, HEARTH_FINISH_CALLER);
    assert_int_equal(a.n, 0);
    rig_free(&g);
}

/* Logprobs are those of the logits that the token was drawn from. */
static void test_logprobs(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a;
    size_t n_vocab = vocab_of(g.m);
    int32_t ids[N_PROMPT + 10];
    float *row;

    (void)state;
    memset(&a, 0, sizeof(a));
    (void)generate(
        &g,
        &(struct hearth_generate_options){.n_predict = 10, .n_logprobs = 20, .ignore_eog = 1},
        &a);
    assert_int_equal(a.n_top, 20);
    memcpy(ids, prompt, sizeof(prompt));
    memcpy(ids + N_PROMPT, a.id, 10 * sizeof(*ids));
    row = rows_alone(g.m, HEARTH_KV_F16, ids, N_PROMPT + 10);
    for (int i = 0; i < 10; i++) {
        const float *x = row + (size_t)(N_PROMPT - 1 + i) * n_vocab;
        double sum = 0, mass = 0;

        for (size_t v = 0; v < n_vocab; v++)
            sum += exp((double)x[v]);
        assert_true(fabs((double)x[a.id[i]] - log(sum) - (double)a.logprob[i]) < 1e-5);
        for (int k = 0; k < 20; k++) {
            const struct hearth_token_logprob *t = &a.top[i][k];

            assert_true(fabs((double)x[t->id] - log(sum) - (double)t->logprob) < 1e-5);
            assert_true(k == 0 || t->logprob <= t[-1].logprob);
            mass += exp((double)t->logprob);
        }
        assert_true(mass < 1);
        for (size_t v = 0; v < n_vocab; v++) { /* none that is missing is better */
            int in = 0;

            for (int k = 0; k < 20; k++)
                in |= a.top[i][k].id == (int32_t)v;
            assert_true(in || (double)x[v] - log(sum) <= (double)a.top[i][19].logprob + 1e-6);
        }
    }
    mem_free(row);
    rig_free(&g);
}

/* A conversation in one sequence gives what its whole text gives in another. */
static void test_conversation(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a, b;
    static const int32_t more[] = {TINY_WORD + 1, TINY_WORD + 2};
    int32_t all[N_PROMPT + 12];
    struct hearth_generate_options o = {.n_predict = 10, .ignore_eog = 1};
    struct hearth_seq *other;
    struct hearth_stats st;

    (void)state;
    memset(&a, 0, sizeof(a));
    (void)generate(&g, &o, &a);
    memcpy(all, prompt, sizeof(prompt));
    memcpy(all + N_PROMPT, a.id, 10 * sizeof(*all));
    memcpy(all + N_PROMPT + 10, more, sizeof(more));
    o.sampling = &g.sampling;
    g.sampling.repeat_penalty = 1.3f; /* looks back over what the sequence had before */
    g.sampling.repeat_last_n = -1;
    memset(&a, 0, sizeof(a));
    FINE(hearth_generate(g.s, more, 2, &o, &st, see, &a, &fine));
    assert_int_equal(st.n_prompt, 2);
    other = seq_make(g.en);
    memset(&b, 0, sizeof(b));
    FINE(hearth_generate(other, all, N_PROMPT + 12, &o, &st, see, &b, &fine));
    assert_int_equal(a.n, 10);
    assert_memory_equal(a.id, b.id, 10 * sizeof(*a.id));
    assert_string_equal(a.text, b.text);
    hearth_seq_close(other);
    rig_free(&g);
}

/* A penalty that forbids in effect: no token of the prompt or the answer comes again. */
static void test_penalties(void **state)
{
    struct rig g = rig_make(256);
    static struct seen a;
    int seen_before = 0;

    (void)state;
    g.sampling.temperature = 0.01f;
    g.sampling.repeat_last_n = -1;
    for (int pass = 0; pass < 2; pass++) {
        /* Positive logits of tokens that were there go to 0, and there are more others than
         * tokens to make. */
        g.sampling.repeat_penalty = pass ? 1000 : 1;
        g.sampling.presence_penalty = pass ? 2 : 0;
        memset(&a, 0, sizeof(a));
        (void)generate(&g, &(struct hearth_generate_options){.n_predict = 60, .ignore_eog = 1},
                       &a);
        seen_before = 0;
        for (int i = 0; i < a.n; i++) {
            for (int k = 0; k < i; k++)
                seen_before += a.id[k] == a.id[i];
            for (int k = 0; k < N_PROMPT; k++)
                seen_before += prompt[k] == a.id[i];
        }
        if (pass == 0)
            assert_true(seen_before > 0); /* else the test shows nothing */
    }
    assert_int_equal(seen_before, 0);
    rig_free(&g);
}

/* Bias decides, rules out, and is checked; DRY keeps a text from going round. */
static void test_bias(void **state)
{
    const struct hearth_bias want[] = {{TINY_WORD + 5, 1000}, {TINY_WORD + 6, 990}},
                             ban[] = {{TINY_WORD + 5, 1000},
                                      {TINY_WORD + 5, -INFINITY},
                                      {TINY_WORD + 6, 990}},
                             bad = {TINY_VOCAB, 0};
    struct hearth_generate_options o = {.n_predict = 20, .bias = want, .n_bias = 2};
    struct rig g = rig_make(256);
    struct hearth_error e = {0};
    static struct seen a;

    (void)state;
    (void)generate(&g, &o, &a);
    for (int i = 0; i < 20; i++)
        assert_int_equal(a.id[i], TINY_WORD + 5);
    o.bias = ban;
    o.n_bias = 3;
    memset(&a, 0, sizeof(a));
    (void)generate(&g, &o, &a);
    for (int i = 0; i < 20; i++)
        assert_int_equal(a.id[i], TINY_WORD + 6);
    o.bias = want;
    o.n_bias = 2;
    g.sampling.temperature = 0;
    g.sampling.dry_multiplier = 20; /* a repetition of two tokens loses more than the bias */
    memset(&a, 0, sizeof(a));
    (void)generate(&g, &o, &a);
    assert_int_equal(a.id[2], TINY_WORD + 5);
    assert_int_equal(a.id[3], TINY_WORD + 6);
    o.bias = &bad;
    o.n_bias = 1;
    o.sampling = &g.sampling;
    assert_int_equal(hearth_generate(g.s, prompt, N_PROMPT, &o, NULL, NULL, NULL, &e),
                     HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "logit_bias of token id"));
    rig_free(&g);
}

static void test_refusals(void **state)
{
    struct rig g = rig_make(64);
    struct hearth_error e = {0};
    struct hearth_sampling bad = g.sampling;
    const char *empty = "";
    int32_t far[] = {5000};

    (void)state;
    assert_int_equal(hearth_generate(g.s, NULL, 0, NULL, NULL, NULL, NULL, &e),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_generate(g.s, prompt, 1,
                                     &(struct hearth_generate_options){.n_logprobs = 21}, NULL,
                                     NULL, NULL, &e),
                     HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "n_logprobs"));
    assert_int_equal(
        hearth_generate(g.s, prompt, 1,
                        &(struct hearth_generate_options){.stop = &empty, .n_stop = 1}, NULL,
                        NULL, NULL, &e),
        HEARTH_E_INVALID);
    bad.top_p = -1;
    assert_int_equal(hearth_generate(g.s, prompt, 1,
                                     &(struct hearth_generate_options){.sampling = &bad}, NULL,
                                     NULL, NULL, &e),
                     HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "top_p"));
    assert_int_equal(hearth_generate(g.s, far, 1, NULL, NULL, NULL, NULL, &e),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_seq_len(g.s), 0);
    rig_free(&g);
}

/* A guide that allows two words in turns and ends after a number of tokens; when `force` is
 * set it is certain of every other one. */
struct turns {
    int n, max, force, fail_at;
    int masks; /* how often it was asked */
    int32_t got[N_PIECE];
};

static int32_t turn_word(const struct turns *t, int i)
{
    return TINY_WORD + 5 + i % 2 + (t->force ? 7 : 0);
}

static int turns_mask(void *ctx, uint32_t *bits, struct hearth_error *e)
{
    struct turns *t = ctx;
    int32_t id = turn_word(t, t->n);

    t->masks++;
    if (t->n == t->fail_at) {
        e->code = HEARTH_E_TOO_LONG;
        return HEARTH_E_TOO_LONG;
    }
    if (t->n == t->max)
        return 2;
    bits[id / 32] |= 1u << (id % 32);
    return 1;
}

static int turns_accept(void *ctx, int32_t id, struct hearth_error *e)
{
    struct turns *t = ctx;

    (void)e;
    assert_int_equal(id, turn_word(t, t->n));
    t->got[t->n++] = id;
    return 0;
}

static int turns_forced(void *ctx, int32_t *ids, int max, struct hearth_error *e)
{
    struct turns *t = ctx;
    int n = 0;

    (void)e;
    while (n < max && n < 3 && t->n + n < t->max) {
        ids[n] = turn_word(t, t->n + n);
        n++;
    }
    return n;
}

static struct hearth_stats guided(struct rig *g, struct turns *t, int n_predict,
                                  struct seen *seen)
{
    struct hearth_guide guide = {
        .ctx = t, .mask = turns_mask, .accept = turns_accept, .forced = turns_forced};

    if (!t->force)
        guide.forced = NULL;
    memset(seen, 0, sizeof(*seen));
    return generate(
        g, &(struct hearth_generate_options){.guide = &guide, .n_predict = n_predict}, seen);
}

static void test_guide(void **state)
{
    struct rig g = rig_make(64);
    static struct seen seen;
    struct hearth_error e = {0};

    (void)state;
    for (int greedy = 0; greedy < 2; greedy++) {
        struct turns t = {.max = 9, .fail_at = -1};
        struct hearth_stats st;

        g.sampling.temperature = greedy ? 0 : 2;
        st = guided(&g, &t, 0, &seen);
        assert_int_equal(st.finish, HEARTH_FINISH_EOG);
        assert_int_equal(st.n_output, 9);
        assert_int_equal(st.n_forced, 0);
        assert_int_equal(t.masks, 10);
        assert_int_equal(t.n, 9);
        assert_memory_equal(t.got, seen.id, 9 * sizeof(*t.got));
        assert_int_equal(hearth_seq_len(g.s), N_PROMPT + 9);

        t = (struct turns){.max = 9, .force = 1, .fail_at = -1};
        st = guided(&g, &t, 0, &seen);
        assert_int_equal(st.finish, HEARTH_FINISH_EOG);
        assert_int_equal(st.n_output, 9);
        assert_true(st.n_forced >= 6);
        assert_int_equal(t.masks + st.n_forced, 10);
        assert_memory_equal(t.got, seen.id, 9 * sizeof(*t.got));
        assert_int_equal(hearth_seq_len(g.s), N_PROMPT + 9);

        t = (struct turns){.max = 90, .force = 1, .fail_at = -1};
        st = guided(&g, &t, 8, &seen);
        assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
        assert_int_equal(st.n_output, 8);
        st = guided(&g, &(struct turns){.max = 90, .force = 1, .fail_at = -1}, 0, &seen);
        assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
        assert_int_equal(hearth_seq_len(g.s), 64);
    }
    {
        struct turns t = {.max = 9, .fail_at = 4};
        struct hearth_guide guide = {.ctx = &t, .mask = turns_mask, .accept = turns_accept};
        struct hearth_generate_options o = {.guide = &guide};

        FINE(hearth_seq_truncate(g.s, 0, &fine));
        assert_int_equal(hearth_generate(g.s, prompt, N_PROMPT, &o, NULL, NULL, NULL, &e),
                         HEARTH_E_TOO_LONG);
        assert_int_equal(t.n, 4);
        o.ignore_eog = 1;
        assert_int_equal(hearth_generate(g.s, prompt, 1, &o, NULL, NULL, NULL, &e),
                         HEARTH_E_INVALID);
        assert_non_null(strstr(e.message, "ignore_eog"));
    }
    rig_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),         cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_stop),           cmocka_unit_test(test_eog),
        cmocka_unit_test(test_callback_stops), cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_conversation),   cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_bias),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_guide),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
