/* A model whose file is lost while it computes: nothing that comes of zeros is told or kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sched_test.h"
#include "sys/lost.h"
#include "temp_dir.h"

/* What the handler does at a fault in the middle of the file. */
static void lose(struct hearth_model *m)
{
    const struct mapping *map = gguf_mapping(m->m->file, 0);

    assert_true(map->row > 0);
    assert_int_equal(lost_mend(map->row, map->p + map->n / 2), 1);
}

static struct hearth_model *model_of(int type)
{
    struct tiny t = tiny_of(type);

    return model_make(&t, KERN_REF, 1);
}

static void test_step(void **state)
{
    struct hearth_model *m = model_of(QUANT_Q8_0);
    struct hearth_engine *en =
        engine_make(m, (struct hearth_engine_options){.n_ctx = 400, .n_thread = 1});
    struct hearth_seq *s = seq_make(en);
    struct hearth_error e = {0};
    struct kv_stats kv;
    struct rng r;
    int32_t ids[300];
    float x[256];

    (void)state;
    rng_seed(&r, 1);
    random_ids(&r, ids, 300);
    (void)feed(s, ids, 100);
    (void)catch_up(en, s);
    lose(m);
    assert_int_equal(model_intact(m->m, NULL), E_IO);
    (void)feed(s, ids + 100, 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hearth_engine_step(en, &e), HEARTH_E_IO);
        assert_non_null(strstr(e.message, "load it again"));
        assert_non_null(strstr(e.message, tiny_path()));
        assert_null(hearth_seq_logits(s));
        assert_int_equal(s->n_done, 100);
    }
    hearth_seq_close(s);
    kv_stats(en->kv, &kv);
    assert_int_equal(kv.cached, 1); /* the full one of before, and none that came of zeros */
    s = seq_make(en);
    assert_int_equal(feed(s, ids, 300), KERN_PAGE);
    hearth_seq_close(s);
    s = seq_make(en);
    assert_true(vocab_of(m) > 0 && m->m->p.n_embd <= 256);
    assert_int_equal(hearth_seq_embed(s, ids, 5, x, &e), HEARTH_E_IO);
    hearth_seq_close(s);
    hearth_engine_free(en);
    assert_int_equal(hearth_engine_new(&en, m, NULL, &e), HEARTH_E_IO);
    hearth_model_close(m);
}

/* -- many ------------------------------------------------------------------------------ */

struct told {
    struct bench_of_jobs *b;
    int n, over;
    char why[ERR_MAX];
};

static void on_broken(void *ctx, const struct err *why)
{
    struct told *t = ctx;

    t->n++;
    t->over = t->b->n_over;
    assert_int_equal(why->code, E_IO);
    (void)snprintf(t->why, sizeof(t->why), "%s", why->msg);
}

static void lose_later(struct bench_of_jobs *b, struct seen_job *j)
{
    (void)j;
    if (b->n_token == 30)
        lose(b->m);
}

static void test_jobs(void **state)
{
    struct hearth_model *m = model_of(QUANT_F32), *same = model_of(QUANT_F32);
    struct told told = {0};
    struct bench_of_jobs *b =
        jobs_make(m,
                  (struct hearth_engine_options){
                      .n_ctx = 300, .n_seq_max = 3, .n_batch = 64, .n_thread = 1},
                  (struct sched_options){.broken = on_broken, .ctx = &told});
    struct sched_job *none;
    struct err e = {0};

    (void)state;
    told.b = b;
    b->each_token = lose_later;
    for (int i = 0; i < 5; i++)
        job_submit(job_make(b, 20 + i, 0, 0, (uint64_t)i + 1, 60));
    assert_int_equal(sched_run(b->s, &e), E_IO);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.over, 0); /* before anybody heard of it */
    assert_string_equal(told.why, e.msg);
    assert_int_equal(b->n_over, 5);
    assert_true(b->n_token >= 30 && b->n_token < 33);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(b->j[i].code, E_IO);
        assert_non_null(strstr(b->j[i].why, "changed on disk"));
        assert_as_alone(same, &b->j[i], b->j[i].n);
    }
    assert_int_equal(sched_submit(b->s, &b->j[0].q, see_event, &b->j[0], &none, &e), E_BUSY);
    jobs_free(b);
    hearth_model_close(m);
    hearth_model_close(same);
}

/* A draft only guesses: without it the text is the same. */
static void test_draft(void **state)
{
    struct hearth_model *m = model_of(QUANT_F32), *small = model_of(QUANT_F32);
    struct hearth_engine *draft = engine_make(
        small, (struct hearth_engine_options){.n_ctx = 300, .n_seq_max = 2, .n_thread = 1});
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 300, .n_seq_max = 2, .n_thread = 1},
        (struct sched_options){.draft = draft});

    (void)state;
    for (int i = 0; i < 2; i++)
        job_submit(job_make(b, 20, 0, 0, (uint64_t)i + 1, 60));
    lose(small);
    jobs_run(b);
    for (int i = 0; i < 2; i++)
        assert_as_alone(m, &b->j[i], -1);
    jobs_free(b);
    hearth_engine_free(draft);
    hearth_model_close(m);
    hearth_model_close(small);
}

/* -- packed weights -------------------------------------------------------------------- */

/* The file of packed weights is mapped like the model's. */
static void lose_tiles(struct hearth_model *m)
{
    const struct kern_weight *w = atomic_load(&m->m->layer[0].t[T_ATTN_Q]->now);
    int row = lost_find(w->data);

    assert_true(row > 0 && row != gguf_mapping(m->m->file, 0)->row);
    assert_int_equal(lost_mend(row, w->data), 1);
}

static void lost_copy(struct hearth_engine *en)
{
    struct hearth_seq *s = seq_make(en);
    struct hearth_error e = {0};
    int32_t ids[3] = {1, 2, 3};

    (void)feed(s, ids, 3);
    assert_int_equal(hearth_engine_step(en, &e), HEARTH_E_IO);
    assert_non_null(strstr(e.message, ".tiles"));
    hearth_seq_close(s);
}

static void test_pack(void **state)
{
    struct tiny t = tiny_of(QUANT_Q8_0);
    struct hearth_model_options o = {.n_thread = 1, .pack_cache = temp_dir};
    struct hearth_engine_options eo = {.n_ctx = 100, .n_thread = 1};
    struct hearth_model_info info;
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_error e = {0};

    (void)state;
    temp_dir_make();
    tiny_write(&t, tiny_path());
    FINE(hearth_model_open(&m, tiny_path(), &o, &fine));
    en = engine_make(m, eo);
    lose(m);
    hearth_model_info(m, &info);
    assert_int_equal(hearth_engine_pack(en, NULL, NULL, &e), HEARTH_E_IO);
    assert_int_equal(temp_dir_each("", NULL), 0);
    hearth_engine_free(en);
    hearth_model_close(m);
    if (info.packing != HEARTH_PACKED) { /* else this machine packs nothing */
        FINE(hearth_model_open(&m, tiny_path(), &o, &fine));
        en = engine_make(m, eo);
        FINE(hearth_engine_pack(en, NULL, NULL, &fine));
        hearth_engine_free(en);
        hearth_model_close(m);
        assert_int_equal(temp_dir_each("", NULL), 1);
        FINE(hearth_model_open(&m, tiny_path(), &o, &fine));
        en = engine_make(m, eo);
        lose_tiles(m);
        lost_copy(en);
        hearth_engine_free(en);
        hearth_model_close(m);
    }
    (void)unlink(tiny_path());
    temp_dir_clear();
    temp_dir_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_draft),
        cmocka_unit_test(test_pack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
