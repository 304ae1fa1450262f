/* engine_test.h - what tests of the engine share: tiny models, engines, and the rows of logits
 * that a text has when it is computed alone. All of it ends the test when something fails. */
#ifndef HEARTH_TESTS_ENGINE_TEST_H
#define HEARTH_TESTS_ENGINE_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "hearth.h"
#include "kern/kern.h"
#include "tiny_model.h"

/* The call names its error &fine. */
#define FINE(call)                                                                             \
    do {                                                                                       \
        struct hearth_error fine = {0};                                                        \
        if ((call) < 0)                                                                        \
            fail_msg("%s: %s", #call, fine.message);                                           \
    } while (0)

static inline struct hearth_model *model_make(const struct tiny *t, int tier, int n_thread)
{
    struct hearth_model *m = NULL;

    tiny_write(t, tiny_path());
    FINE(hearth_model_open(
        &m, tiny_path(),
        &(struct hearth_model_options){.cpu = kern_tier_name(tier), .n_thread = n_thread},
        &fine));
    (void)unlink(tiny_path()); /* it stays mapped */
    return m;
}

static inline struct hearth_engine *engine_make(struct hearth_model *m,
                                                struct hearth_engine_options opt)
{
    struct hearth_engine *en = NULL;

    FINE(hearth_engine_new(&en, m, &opt, &fine));
    return en;
}

static inline struct hearth_seq *seq_make(struct hearth_engine *en)
{
    struct hearth_seq *s = NULL;

    FINE(hearth_seq_open(&s, en, &fine));
    return s;
}

static inline size_t vocab_of(const struct hearth_model *m)
{
    struct hearth_model_info info;

    hearth_model_info(m, &info);
    return (size_t)info.n_vocab;
}

/* Feeds and returns how many tokens were reused. */
static inline size_t feed(struct hearth_seq *s, const int32_t *ids, size_t n)
{
    size_t reused = 0;

    FINE(hearth_seq_feed(s, ids, n, &reused, &fine));
    return reused;
}

/* Steps until the sequence has logits. */
static inline const float *catch_up(struct hearth_engine *en, const struct hearth_seq *s)
{
    while (!hearth_seq_logits(s)) {
        struct hearth_error e = {0};
        int rc = hearth_engine_step(en, &e);

        if (rc <= 0)
            fail_msg("step: %d %s", rc, e.message);
    }
    return hearth_seq_logits(s);
}

struct kept_rows {
    float *at;
    size_t n_vocab;
};

static inline int keep_row(void *ctx, size_t i, const float *logits)
{
    struct kept_rows *k = ctx;

    memcpy(k->at + i * k->n_vocab, logits, k->n_vocab * sizeof(*logits));
    return 0;
}

/* The logits of all positions of a text in an engine of its own; mem_free(). */
static inline float *rows_alone(struct hearth_model *m, int kv_type, const int32_t *ids,
                                size_t n)
{
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 1024, .n_thread = 1, .kv_type = kv_type});
    struct hearth_seq *s = seq_make(en);
    struct kept_rows k = {mem_alloc(n * vocab_of(m) * sizeof(float)), vocab_of(m)};

    assert_non_null(k.at);
    FINE(hearth_seq_logits_all(s, ids, n, keep_row, &k, &fine));
    hearth_seq_close(s);
    hearth_engine_free(en);
    return k.at;
}

/* The logits after the last token of a text alone; mem_free(). */
static inline float *last_alone(struct hearth_model *m, int kv_type, const int32_t *ids,
                                size_t n)
{
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 1024, .n_thread = 1, .kv_type = kv_type});
    struct hearth_seq *s = seq_make(en);
    size_t n_byte = vocab_of(m) * sizeof(float);
    float *row = mem_alloc(n_byte);

    assert_non_null(row);
    (void)feed(s, ids, n);
    memcpy(row, catch_up(en, s), n_byte);
    hearth_seq_close(s);
    hearth_engine_free(en);
    return row;
}

static inline void random_ids(struct rng *r, int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(rng_u64(r) % TINY_VOCAB);
}

#endif
