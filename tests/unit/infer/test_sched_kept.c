/* Jobs whose beginnings lie on disk, and jobs that share none. */
#include "sched_test.h"

#include "infer/kv_tier.h"
#include "temp_dir.h"

static struct hearth_model *model_of(const char *arch)
{
    struct tiny t = tiny_of(QUANT_F32);

    t.arch = arch;
    return model_make(&t, kern_tier_best(), 1);
}

/* Several jobs, each twice in two engines: the second engine reads what the first computed, a
 * page at a time between the steps of the others, and the texts are the same. */
static void check_disk(const char *arch)
{
    struct hearth_model *m = model_of(arch);

    temp_dir_make();
    for (int k = 0; k < 2; k++) {
        struct bench_of_jobs *b =
            jobs_make(m,
                      (struct hearth_engine_options){
                          .n_ctx = 400, .n_seq_max = 4, .n_thread = 1, .kv_dir = temp_dir},
                      (struct sched_options){.n_queue = 0});

        kv_tier_hurry(b->en->tier, 0);
        for (int i = 0; i < 6; i++)
            job_submit(job_make(b, 150 + 30 * i, 0, 0, (uint64_t)i, 20));
        jobs_run(b);
        for (int i = 0; i < 6; i++) {
            assert_as_alone(m, &b->j[i], -1);
            assert_int_equal(b->j[i].n_reused, k ? ((int)b->j[i].q.n - 1) / 64 * 64 : 0);
        }
        jobs_free(b);
    }
    temp_dir_remove();
    hearth_model_close(m);
}

static void test_disk(void **state)
{
    (void)state;
    check_disk("llama");
    check_disk("qwen35");
}

/* The same prompt under three salts, together and again. */
static void test_salts(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 4, .n_thread = 1},
        (struct sched_options){.n_queue = 0});

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct seen_job *j = job_make(b, 200, 190, 3, (uint64_t)i, 10);

        j->q.salt = i % 3 == 2 ? UINT64_MAX : (uint64_t)(i % 3);
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 12; i++) {
        assert_as_alone(m, &b->j[i], -1);
        assert_int_equal(b->j[i].n_reused, i < 3 ? 0 : 128);
    }
    jobs_free(b);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_salts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
