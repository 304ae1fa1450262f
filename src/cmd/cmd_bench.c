#include "cmd/cmd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/kern.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Two figures of one sequence: how fast a prompt is computed (prefill), and how fast single
 * tokens follow (decode), both after some depth of context, which is computed once and cut back
 * to. The ids are random with a fixed seed, and new ones for each repetition, so that no page
 * of an earlier one is found again. */

struct bench_options {
    int n_prompt, n_gen, depth, reps, threads, kv, json;
    const char *cpu;
};

/* clang-format off */
#define AT(f) offsetof(struct bench_options, f)
static const struct opt_row rows[] = {
    {.name = "prompt", .letter = 'p', .type = OPT_INT, .at = AT(n_prompt), .def = "512",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens of the prompt; 0: no prefill"},
    {.name = "gen", .letter = 'n', .type = OPT_INT, .at = AT(n_gen), .def = "128",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens to decode; 0: no decode"},
    {.name = "depth", .letter = 'd', .type = OPT_INT, .at = AT(depth), .def = "0",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens that are in the context before either"},
    {.name = "reps", .letter = 'r', .type = OPT_INT, .at = AT(reps), .def = "5",
     .min = 1, .max = 1000, .arg = "N", .help = "repetitions"},
    {.name = "threads", .letter = 't', .type = OPT_INT, .at = AT(threads), .def = "0",
     .min = 0, .max = 256, .arg = "N",
     .help = "compute threads; 0: what the machine allows"},
    {.name = "cpu", .type = OPT_STR, .at = AT(cpu), .arg = "TIER",
     .help = "at most these instructions: " KERN_TIER_NAMES},
    {.name = "kv", .type = OPT_CHOICE, .at = AT(kv), .def = "f16", .arg = CMD_KV_CHOICES,
     .help = "type of the key/value cache"},
    {.name = "json", .type = OPT_FLAG, .at = AT(json), .help = "one JSON object"},
};
/* clang-format on */

static const struct opt_spec spec = {
    .usage = "hearth bench MODEL [-p N] [-n N] [-d N] [-r N] [-t N]",
    .about = "Measures tokens per second of one sequence: prefill of a prompt, and decode.",
    .rows = rows,
    .n = (int)(sizeof(rows) / sizeof(rows[0])),
};

struct bench {
    struct bench_options opt;
    const char *path;
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq *s;
    int depth; /* tokens that the sequence is cut back to */
    struct hearth_model_info info;
    struct hearth_engine_info engine;
    struct rng rng;
    int32_t *ids;             /* room for the longest feed */
    double *prefill, *decode; /* [reps] tokens per second */
    uint64_t load_ns, cpu_ns;
};

static void bench_close(struct bench *b)
{
    hearth_seq_close(b->s);
    hearth_engine_free(b->en);
    hearth_model_close(b->m);
    mem_free(b->ids);
    mem_free(b->prefill);
    mem_free(b->decode);
}

static int bench_open(struct bench *b, struct err *e)
{
    const struct bench_options *o = &b->opt;
    struct hearth_engine_options eo = {.n_thread = o->threads, .kv_type = o->kv};
    struct hearth_error he = {0};
    uint64_t start = clock_ns();
    int longest = o->n_prompt > o->n_gen + 1 ? o->n_prompt : o->n_gen + 1, rc;

    rc = cmd_model_open(&b->m, b->path, o->threads, o->cpu, e);
    if (rc < 0)
        return rc;
    hearth_model_info(b->m, &b->info);
    eo.n_ctx = o->depth + longest;
    if (hearth_engine_new(&b->en, b->m, &eo, &he) < 0 || hearth_seq_open(&b->s, b->en, &he) < 0)
        return cmd_err(e, &he);
    hearth_engine_info(b->en, &b->engine);
    b->load_ns = clock_ns() - start;
    b->ids = mem_calloc((size_t)eo.n_ctx, sizeof(*b->ids));
    b->prefill = mem_calloc((size_t)o->reps, sizeof(*b->prefill));
    b->decode = mem_calloc((size_t)o->reps, sizeof(*b->decode));
    if (!b->ids || !b->prefill || !b->decode)
        return err_set(e, E_NOMEM, "no memory for %d tokens", eo.n_ctx);
    rng_seed(&b->rng, 1);
    return 0;
}

/* n random tokens at the end of the sequence, computed. */
static int feed(struct bench *b, int n, size_t *reused, struct hearth_error *he)
{
    int rc;

    for (int i = 0; i < n; i++)
        b->ids[i] = (int32_t)(rng_u64(&b->rng) % (uint64_t)b->info.n_vocab);
    rc = hearth_seq_feed(b->s, b->ids, (size_t)n, reused, he);
    if (rc < 0)
        return rc;
    do
        rc = hearth_engine_step(b->en, he);
    while (rc > 0);
    return rc;
}

static int prefill_once(struct bench *b, int n, double *tok_s, struct hearth_error *he)
{
    size_t reused = 0;
    uint64_t start;
    int rc = hearth_seq_truncate(b->s, b->depth, he);

    if (rc < 0)
        return rc;
    start = clock_ns();
    rc = feed(b, n, &reused, he);
    *tok_s = (n - (double)reused) * 1e9 / (double)(clock_ns() - start);
    return rc;
}

static int decode_once(struct bench *b, int n, double *tok_s, struct hearth_error *he)
{
    uint64_t start;
    int rc = hearth_seq_truncate(b->s, b->depth, he);

    /* The first token after an empty context is a prompt; it is not timed. */
    if (rc >= 0 && b->depth == 0)
        rc = feed(b, 1, NULL, he);
    start = clock_ns();
    for (int i = 0; i < n && rc >= 0; i++)
        rc = feed(b, 1, NULL, he);
    *tok_s = n * 1e9 / (double)(clock_ns() - start);
    return rc;
}

static int bench_measure(struct bench *b, struct err *e)
{
    const struct bench_options *o = &b->opt;
    struct hearth_error he = {0};
    double unused;
    uint64_t cpu;
    int rc = 0;

    /* Once without counting: the weights come into memory, the threads wake. */
    if (o->n_prompt)
        rc = prefill_once(b, o->n_prompt < 64 ? o->n_prompt : 64, &unused, &he);
    if (rc >= 0 && o->n_gen)
        rc = decode_once(b, 1, &unused, &he);
    if (rc >= 0 && o->depth) {
        rc = hearth_seq_truncate(b->s, 0, &he);
        if (rc >= 0)
            rc = feed(b, o->depth, NULL, &he);
        b->depth = o->depth;
    }
    cpu = clock_cpu_ns();
    for (int i = 0; i < o->reps && rc >= 0; i++) {
        if (o->n_prompt)
            rc = prefill_once(b, o->n_prompt, &b->prefill[i], &he);
        if (rc >= 0 && o->n_gen)
            rc = decode_once(b, o->n_gen, &b->decode[i], &he);
    }
    b->cpu_ns = clock_cpu_ns() - cpu;
    return rc < 0 ? cmd_err(e, &he) : 0;
}

/* -- report ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct spread {
    double median, min, max;
};

static struct spread spread_of(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare);
    return (struct spread){(v[(n - 1) / 2] + v[n / 2]) / 2, v[0], v[n - 1]};
}

static uint64_t peak_rss(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0;
}

static json_t *json_spread(double *v, int n, int on)
{
    struct spread s;

    if (!on)
        return json_null();
    s = spread_of(v, n);
    return json_pack("{s:f, s:f, s:f}", "median", s.median, "min", s.min, "max", s.max);
}

static int report_json(struct bench *b, struct err *e)
{
    const struct bench_options *o = &b->opt;
    const char *slash = strrchr(b->path, '/');
    json_t *name = json_string(slash ? slash + 1 : b->path), *j;
    char *line;

    if (!name) /* a file name that is no UTF-8 */
        name = json_string("?");
    j = json_pack("{s:o, s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:f, s:I, s:f, s:s, s:i, s:s}",
                  "model", name, "arch", b->info.arch ? b->info.arch : "?", "file_type",
                  b->info.file_type ? b->info.file_type : "?", "n_prompt", o->n_prompt, "n_gen",
                  o->n_gen, "depth", o->depth, "reps", o->reps, "prefill_tok_s",
                  json_spread(b->prefill, o->reps, o->n_prompt > 0), "decode_tok_s",
                  json_spread(b->decode, o->reps, o->n_gen > 0), "cpu_s",
                  (double)b->cpu_ns / 1e9, "peak_rss_bytes", (json_int_t)peak_rss(), "load_s",
                  (double)b->load_ns / 1e9, "tier", b->info.cpu ? b->info.cpu : "?", "threads",
                  b->engine.n_thread, "kv", o->kv == HEARTH_KV_F32 ? "f32" : "f16");
    line = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(j);
    if (!line)
        return err_set(e, E_NOMEM, "no memory for the report");
    (void)puts(line);
    free(line);
    return 0;
}

static void report_row(const char *what, int n, int depth, double *v, int reps)
{
    struct spread s = spread_of(v, reps);
    char name[48];

    if (depth > 0)
        (void)snprintf(name, sizeof(name), "%s %d after %d", what, n, depth);
    else
        (void)snprintf(name, sizeof(name), "%s %d", what, n);
    (void)printf("%-26s %10.2f %10.2f %10.2f\n", name, s.median, s.min, s.max);
}

static void report_text(struct bench *b)
{
    const struct bench_options *o = &b->opt;

    (void)printf("%s: %s, %s, %.1f M parameters; %s, %d thread%s, kv %s, %d repetition%s\n\n",
                 b->path, b->info.arch ? b->info.arch : "?",
                 b->info.file_type ? b->info.file_type : "?", (double)b->info.n_param / 1e6,
                 b->info.cpu ? b->info.cpu : "?", b->engine.n_thread,
                 b->engine.n_thread == 1 ? "" : "s", o->kv == HEARTH_KV_F32 ? "f32" : "f16",
                 o->reps, o->reps == 1 ? "" : "s");
    (void)printf("%-26s %10s %10s %10s\n", "tokens/s", "median", "min", "max");
    if (o->n_prompt)
        report_row("prefill", o->n_prompt, o->depth, b->prefill, o->reps);
    if (o->n_gen)
        report_row("decode", o->n_gen, o->depth, b->decode, o->reps);
    (void)printf("\nloaded in %.2f s, %.2f s of CPU time, peak memory %.1f MiB\n",
                 (double)b->load_ns / 1e9, (double)b->cpu_ns / 1e9,
                 (double)peak_rss() / 1048576);
}

int cmd_bench(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = {0};
    int status, rc;

    if (cmd_options(&spec, argc, argv, &b.opt, 1, 1, &status) < 0)
        return status;
    b.path = argv[0];
    rc = b.opt.n_prompt || b.opt.n_gen
             ? bench_open(&b, &e)
             : err_set(&e, E_INVALID, "-p 0 and -n 0 leave nothing to measure");
    if (rc == 0)
        rc = bench_measure(&b, &e);
    if (rc == 0 && b.opt.json)
        rc = report_json(&b, &e);
    else if (rc == 0)
        report_text(&b);
    bench_close(&b);
    return rc < 0 ? cmd_fail(&e) : 0;
}
