#include "cmd/cmd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/kern.h"
#include "model/params.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* How fast a prompt is computed (prefill), and how fast single tokens follow (decode), of one
 * sequence or of several that each make a token per step; all after some depth of context,
 * which is computed once and cut back to. The ids are random with a fixed seed, and new ones
 * for each repetition, so that no page of an earlier one is found again. Each repetition
 * measures everything once: what disturbs the machine for a while disturbs all alike. */

struct bench_options {
    int n_prompt, n_gen, depth, reps, threads, json;
    struct cmd_kv kv;
    const char *cpu, *batch;
    struct cmd_cache cache;
};

enum { WIDTHS_MAX = 32, WIDTH_MAX = 1024 };

/* clang-format off */
#define AT(f) offsetof(struct bench_options, f)
static const struct opt_row rows[] = {
    {.name = "prompt", .letter = 'p', .type = OPT_INT, .at = AT(n_prompt), .def = "512",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens of the prompt; 0: no prefill"},
    {.name = "gen", .letter = 'n', .type = OPT_INT, .at = AT(n_gen), .def = "128",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens to decode; 0: no decode"},
    {.name = "depth", .letter = 'd', .type = OPT_INT, .at = AT(depth), .def = "0",
     .min = 0, .max = 1 << 24, .arg = "N", .help = "tokens that are in the context before either"},
    {.name = "batch", .letter = 'b', .type = OPT_STR, .at = AT(batch),
     .arg = "N,N,...", .help = "sequences that decode together: each of these numbers is measured (default 1)"},
    {.name = "reps", .letter = 'r', .type = OPT_INT, .at = AT(reps), .def = "5",
     .min = 1, .max = 1000, .arg = "N", .help = "repetitions"},
    {.name = "threads", .letter = 't', .type = OPT_INT, .at = AT(threads), .def = "0",
     .min = 0, .max = 256, .arg = "N",
     .help = "compute threads; 0: what the machine allows"},
    {.name = "cpu", .type = OPT_STR, .at = AT(cpu), .arg = "TIER",
     .help = "at most these instructions: " KERN_TIER_NAMES},
    CMD_KV_ROWS(AT(kv)),
    CMD_CACHE_ROWS(AT(cache)),
    {.name = "json", .type = OPT_FLAG, .at = AT(json), .help = "one JSON object"},
};
/* clang-format on */

static const struct opt_spec spec = {
    .usage = "hearth bench MODEL [-p N] [-n N] [-d N] [-b N,...] [-r N] [-t N]",
    .about = "Measures tokens per second: prefill of a prompt, and decode.\n"
             "'hearth bench serve --help': of a server, under load.",
    .rows = rows,
    .n = (int)(sizeof(rows) / sizeof(rows[0])),
};

/* Sequences that decode together. */
struct width {
    int n;
    double *tok_s; /* [reps] of all of them */
    double *ratio; /* [reps] to one sequence in the same repetition */
};

struct bench {
    struct bench_options opt;
    const char *path;
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq **seq; /* [n_seq] */
    int n_seq;
    int depth; /* tokens that a sequence is cut back to */
    struct hearth_model_info info;
    struct hearth_engine_info engine;
    struct rng rng;
    int32_t *ids; /* room for the longest feed */
    struct width width[WIDTHS_MAX];
    int n_width;
    const struct width *one; /* the width of one sequence, or NULL */
    double *prefill;         /* [reps] tokens per second */
    uint64_t load_ns, cpu_ns;
};

static void bench_close(struct bench *b)
{
    for (int i = 0; i < b->n_seq && b->seq; i++)
        hearth_seq_close(b->seq[i]);
    hearth_engine_free(b->en);
    hearth_model_close(b->m);
    for (int i = 0; i < b->n_width; i++) {
        mem_free(b->width[i].tok_s);
        mem_free(b->width[i].ratio);
    }
    mem_free(b->seq);
    mem_free(b->ids);
    mem_free(b->prefill);
}

/* The numbers of --batch; without decode there are none. */
static int read_widths(struct bench *b, struct err *e)
{
    int32_t *n = NULL;
    size_t count = 0;
    int rc = 0;

    if (b->opt.n_gen)
        rc = opt_ids(b->opt.batch ? b->opt.batch : "1", &n, &count, e);
    else if (b->opt.batch)
        rc = err_set(e, E_INVALID, "-n 0 leaves nothing to decode");
    if (rc == E_INVALID && b->opt.n_gen)
        rc = err_set(e, rc, "'%s': expected numbers like 1,2,4", b->opt.batch);
    if (rc == 0 && count > WIDTHS_MAX)
        rc = err_set(e, E_INVALID, "%zu numbers, at most %d", count, WIDTHS_MAX);
    b->n_seq = 1;
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (n[i] < 1 || n[i] > WIDTH_MAX)
            rc = err_set(e, E_INVALID, "%d sequences, expected 1 to %d", (int)n[i], WIDTH_MAX);
        b->n_seq = n[i] > b->n_seq ? n[i] : b->n_seq;
        b->width[b->n_width++].n = n[i];
    }
    mem_free(n);
    return rc < 0 ? err_wrap(e, rc, "--batch") : 0;
}

static int bench_alloc(struct bench *b, int n_ctx, struct err *e)
{
    size_t reps = (size_t)b->opt.reps;
    int ok;

    b->ids = mem_calloc((size_t)n_ctx, sizeof(*b->ids));
    b->seq = mem_calloc((size_t)b->n_seq, sizeof(struct hearth_seq *));
    b->prefill = mem_calloc(reps, sizeof(*b->prefill));
    ok = b->ids && b->seq && b->prefill;
    for (int i = 0; i < b->n_width; i++) {
        struct width *w = &b->width[i];

        w->tok_s = mem_calloc(reps, sizeof(*w->tok_s));
        w->ratio = mem_calloc(reps, sizeof(*w->ratio));
        ok = ok && w->tok_s && w->ratio;
        b->one = w->n == 1 ? w : b->one;
    }
    return ok ? 0 : err_set(e, E_NOMEM, "no memory for %d tokens", n_ctx);
}

/* Tokens that a sequence comes to. */
static int read_context(const struct bench_options *o, int *n_ctx, struct err *e)
{
    int prompt = o->n_prompt > o->n_gen + 1;

    *n_ctx = o->depth + (prompt ? o->n_prompt : o->n_gen + 1);
    if (*n_ctx <= PARAMS_CTX_MAX)
        return 0;
    return err_set(e, E_INVALID,
                   "--depth %d and --%s %d make a context of %d tokens, at most %d can be",
                   o->depth, prompt ? "prompt" : "gen", prompt ? o->n_prompt : o->n_gen, *n_ctx,
                   PARAMS_CTX_MAX);
}

static int bench_open(struct bench *b, struct err *e)
{
    const struct bench_options *o = &b->opt;
    struct hearth_engine_options eo = {.n_thread = o->threads};
    struct hearth_error he = {0};
    uint64_t start = clock_ns();
    int rc = read_widths(b, e);

    if (rc == 0)
        rc = read_context(o, &eo.n_ctx, e);
    if (rc == 0)
        rc = cmd_model_open_cached(&b->m, b->path, o->threads, o->cpu, &o->cache, e);
    if (rc < 0)
        return rc;
    hearth_model_info(b->m, &b->info);
    cmd_kv_set(&o->kv, &eo);
    eo.n_seq_max = b->n_seq;
    rc = bench_alloc(b, eo.n_ctx, e);
    if (rc < 0)
        return rc;
    if (hearth_engine_new(&b->en, b->m, &eo, &he) < 0)
        return cmd_err(e, &he);
    for (int i = 0; i < b->n_seq; i++) {
        if (hearth_seq_open(&b->seq[i], b->en, &he) < 0)
            return cmd_err(e, &he);
    }
    hearth_engine_info(b->en, &b->engine);
    b->load_ns = clock_ns() - start;
    rc = cmd_engine_pack(b->en, e);
    if (rc < 0)
        return rc;
    hearth_model_info(b->m, &b->info);
    rng_seed(&b->rng, 1);
    return 0;
}

static void random_ids(struct bench *b, int n)
{
    for (int i = 0; i < n; i++)
        b->ids[i] = (int32_t)(rng_u64(&b->rng) % (uint64_t)b->info.n_vocab);
}

/* Steps until no token waits. */
static int compute(struct bench *b, struct hearth_error *he)
{
    int rc;

    do
        rc = hearth_engine_step(b->en, he);
    while (rc > 0);
    return rc;
}

static int prefill_once(struct bench *b, int n, double *tok_s, struct hearth_error *he)
{
    size_t reused = 0;
    uint64_t start;
    int rc = hearth_seq_truncate(b->seq[0], b->depth, he);

    if (rc < 0)
        return rc;
    start = clock_ns();
    random_ids(b, n);
    rc = hearth_seq_feed(b->seq[0], b->ids, (size_t)n, &reused, he);
    if (rc >= 0)
        rc = compute(b, he);
    *tok_s = (n - (double)reused) * 1e9 / (double)(clock_ns() - start);
    return rc;
}

/* A token more for each of the first `width` sequences, in one step. */
static int decode_step(struct bench *b, int width, struct hearth_error *he)
{
    int rc = 0;

    for (int i = 0; i < width && rc >= 0; i++) {
        random_ids(b, 1);
        rc = hearth_seq_feed(b->seq[i], b->ids, 1, NULL, he);
    }
    return rc < 0 ? rc : compute(b, he);
}

static int decode_once(struct bench *b, int width, int n, double *tok_s,
                       struct hearth_error *he)
{
    uint64_t start;
    int rc = 0;

    for (int i = 0; i < width && rc >= 0; i++)
        rc = hearth_seq_truncate(b->seq[i], b->depth, he);
    /* The first token after an empty context is a prompt; it is not timed. */
    if (rc >= 0 && b->depth == 0)
        rc = decode_step(b, width, he);
    start = clock_ns();
    for (int i = 0; i < n && rc >= 0; i++)
        rc = decode_step(b, width, he);
    *tok_s = (double)width * n * 1e9 / (double)(clock_ns() - start);
    return rc;
}

/* The same tokens for every sequence: all but the first take over the pages of it. */
static int go_deep(struct bench *b, struct hearth_error *he)
{
    int rc = 0;

    random_ids(b, b->opt.depth);
    for (int i = 0; i < b->n_seq && rc >= 0; i++) {
        rc = hearth_seq_truncate(b->seq[i], 0, he);
        if (rc >= 0)
            rc = hearth_seq_feed(b->seq[i], b->ids, (size_t)b->opt.depth, NULL, he);
        if (rc >= 0)
            rc = compute(b, he);
    }
    b->depth = b->opt.depth;
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
        rc = decode_once(b, b->n_seq, 1, &unused, &he);
    if (rc >= 0 && o->depth)
        rc = go_deep(b, &he);
    cpu = clock_cpu_ns();
    for (int i = 0; i < o->reps && rc >= 0; i++) {
        if (o->n_prompt)
            rc = prefill_once(b, o->n_prompt, &b->prefill[i], &he);
        for (int k = 0; k < b->n_width && rc >= 0; k++)
            rc = decode_once(b, b->width[k].n, o->n_gen, &b->width[k].tok_s[i], &he);
        for (int k = 0; k < b->n_width && b->one; k++)
            b->width[k].ratio[i] = b->width[k].tok_s[i] / b->one->tok_s[i];
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

/* v: NULL when it was not measured. */
static json_t *json_spread(double *v, int n)
{
    struct spread s;

    if (!v)
        return json_null();
    s = spread_of(v, n);
    return json_pack("{s:f, s:f, s:f}", "median", s.median, "min", s.min, "max", s.max);
}

static json_t *json_widths(struct bench *b)
{
    json_t *list = json_array();

    for (int i = 0; i < b->n_width; i++) {
        struct width *w = &b->width[i];

        (void)json_array_append_new(
            list, json_pack("{s:i, s:o, s:o}", "sequences", w->n, "tok_s",
                            json_spread(w->tok_s, b->opt.reps), "ratio",
                            json_spread(b->one ? w->ratio : NULL, b->opt.reps)));
    }
    return list;
}

static int report_json(struct bench *b, struct err *e)
{
    const struct bench_options *o = &b->opt;
    const char *slash = strrchr(b->path, '/');
    json_t *name = json_string(slash ? slash + 1 : b->path), *j;
    char *line, kv[16];

    if (!name) /* a file name that is no UTF-8 */
        name = json_string("?");
    j = json_pack("{s:o, s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:f, s:I, s:f, s:f, s:b, "
                  "s:s, s:s, s:i, s:s}",
                  "model", name, "arch", b->info.arch ? b->info.arch : "?", "file_type",
                  b->info.file_type ? b->info.file_type : "?", "n_prompt", o->n_prompt, "n_gen",
                  o->n_gen, "depth", o->depth, "reps", o->reps, "prefill_tok_s",
                  json_spread(o->n_prompt ? b->prefill : NULL, o->reps), "decode_tok_s",
                  json_spread(b->one ? b->one->tok_s : NULL, o->reps), "batch", json_widths(b),
                  "cpu_s", (double)b->cpu_ns / 1e9, "peak_rss_bytes", (json_int_t)peak_rss(),
                  "load_s", (double)b->load_ns / 1e9, "pack_s", (double)b->info.pack_ns / 1e9,
                  "pack_cached", b->info.pack_cached, "pack_note", b->info.pack_note, "tier",
                  b->info.cpu ? b->info.cpu : "?", "threads", b->engine.n_thread, "kv",
                  cmd_kv_name(&o->kv, kv));
    line = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(j);
    if (!line)
        return err_set(e, E_NOMEM, "no memory for the report");
    (void)puts(line);
    free(line);
    return 0;
}

/* ratio: NULL when there is none. */
static void report_row(const char *what, int n, int width, int depth, double *v, double *ratio,
                       int reps)
{
    struct spread s = spread_of(v, reps);
    char name[64], together[24] = "", after[24] = "";

    if (width > 1)
        (void)snprintf(together, sizeof(together), " x %d", width);
    if (depth > 0)
        (void)snprintf(after, sizeof(after), " after %d", depth);
    (void)snprintf(name, sizeof(name), "%s %d%s%s", what, n, together, after);
    (void)printf("%-26s %10.2f %10.2f %10.2f", name, s.median, s.min, s.max);
    if (ratio)
        (void)printf(" %10.2f", spread_of(ratio, reps).median);
    (void)printf("\n");
}

static void report_text(struct bench *b)
{
    const struct bench_options *o = &b->opt;
    int ratios = b->one && b->n_width > 1;
    char kv[16];
    char packing[64];

    (void)printf("%s: %s, %s, %.1f M parameters; %s, %d thread%s, kv %s, %d repetition%s\n\n",
                 b->path, b->info.arch ? b->info.arch : "?",
                 b->info.file_type ? b->info.file_type : "?", (double)b->info.n_param / 1e6,
                 b->info.cpu ? b->info.cpu : "?", b->engine.n_thread,
                 b->engine.n_thread == 1 ? "" : "s", cmd_kv_name(&o->kv, kv), o->reps,
                 o->reps == 1 ? "" : "s");
    (void)printf("%-26s %10s %10s %10s%s\n", "tokens/s", "median", "min", "max",
                 ratios ? "   x of one" : "");
    if (o->n_prompt)
        report_row("prefill", o->n_prompt, 1, o->depth, b->prefill, NULL, o->reps);
    for (int i = 0; i < b->n_width; i++)
        report_row("decode", o->n_gen, b->width[i].n, o->depth, b->width[i].tok_s,
                   ratios ? b->width[i].ratio : NULL, o->reps);
    (void)printf("\nready in %.2f s, %s; %.2f s of CPU time, peak memory %.1f MiB\n",
                 (double)b->load_ns / 1e9, cmd_packing(&b->info, packing, sizeof(packing)),
                 (double)b->cpu_ns / 1e9, (double)peak_rss() / 1048576);
    if (b->info.pack_note[0])
        (void)printf("note: %s\n", b->info.pack_note);
}

int cmd_bench(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = {0};
    int status, rc;

    if (argc > 0 && strcmp(argv[0], "serve") == 0)
        return cmd_bench_serve(argc - 1, argv + 1);
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
