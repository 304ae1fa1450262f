#include "cmd/run.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/term.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 << 20)

volatile sig_atomic_t run_interrupted;
struct hearth_engine *_Atomic run_engine;

struct answer {
    struct run *r;
    struct buf text; /* JSON: all of it; on a terminal: one piece made safe */
    json_t *ids;     /* JSON only */
    char last;       /* the last byte that was written */
    int rc;          /* what went wrong while writing */
    struct err *e;
};

static int put(struct answer *a, const char *p, size_t n)
{
    int why = n ? term_write(STDOUT_FILENO, p, n) : 0;

    if (n)
        a->last = p[n - 1];
    if (why == EPIPE)
        a->r->reader_gone = 1;
    else if (why)
        a->rc = err_sys(a->e, E_IO, why, "write stdout");
    return why;
}

static int on_piece(void *ctx, const struct hearth_piece *p)
{
    struct answer *a = ctx;
    struct run *r = a->r;

    atomic_store(&run_engine, NULL); /* the prompt is done; from here on the flag is enough */
    if (r->opt.format == RUN_JSON) {
        if (p->id >= 0 && json_array_append_new(a->ids, json_integer(p->id)) != 0)
            a->rc = err_set(a->e, E_NOMEM, "no memory for the answer");
        else if (term_utf8(&a->text, p->text, p->n_text) < 0)
            a->rc = err_set(a->e, E_NOMEM, "no memory for the answer");
    } else if (r->stdout_tty) {
        buf_clear(&a->text);
        if (term_clean(&a->text, p->text, p->n_text) < 0)
            a->rc = err_set(a->e, E_NOMEM, "no memory for the answer");
        else
            (void)put(a, a->text.p ? a->text.p : "", a->text.n);
    } else {
        (void)put(a, p->text, p->n_text);
    }
    return a->rc < 0 || r->reader_gone || run_interrupted;
}

/* -- what is said about an answer ------------------------------------------------------ */

static double rate(int n, uint64_t ns)
{
    return ns ? n * 1e9 / (double)ns : 0;
}

static void line_duration(const char *name, uint64_t ns)
{
    char t[48];

    term_duration(ns, t, sizeof(t));
    (void)fprintf(stderr, "%-21s %s\n", name, t);
}

static void print_stats(const struct run *r, const struct hearth_stats *st)
{
    int computed = st->n_prompt - st->n_prompt_reused;
    struct hearth_model_info info;
    char packing[64];

    line_duration("total duration:", clock_ns() - r->start_ns);
    line_duration("load duration:", r->load_ns);
    (void)fprintf(stderr, "%-21s %d token(s)\n", "prompt eval count:", st->n_prompt);
    line_duration("prompt eval duration:", st->prompt_ns);
    (void)fprintf(stderr, "%-21s %.2f tokens/s\n",
                  "prompt eval rate:", rate(computed, st->prompt_ns));
    (void)fprintf(stderr, "%-21s %d token(s)\n", "eval count:", st->n_output);
    line_duration("eval duration:", st->output_ns);
    (void)fprintf(stderr, "%-21s %.2f tokens/s\n",
                  "eval rate:", rate(st->n_output, st->output_ns));
    if (r->opt.draft)
        (void)fprintf(stderr, "%-21s %d of %d token(s) came true\n",
                      "guessed ahead:", st->n_accepted, st->n_drafted);
    hearth_model_info(r->model, &info);
    (void)fprintf(stderr, "%-21s %s%s%s\n",
                  "weights:", cmd_packing(&info, packing, sizeof(packing)),
                  info.pack_note[0] ? "; " : "", info.pack_note);
}

static const char *done_reason(int finish)
{
    switch (finish) {
    case HEARTH_FINISH_LENGTH:
        return "length";
    case HEARTH_FINISH_CALLER:
        return "cancelled";
    default:
        return "stop";
    }
}

static int print_json(struct answer *a, const struct hearth_stats *st, int loaded_only)
{
    struct run *r = a->r;
    struct buf path;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    json_t *o = NULL;
    char *line = NULL;

    buf_init(&path, ANSWER_MAX);
    if (gmtime_r(&now, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (term_utf8(&path, r->path, strlen(r->path)) == 0)
        o = json_pack("{s:s#, s:s, s:s#, s:b, s:s, s:O, s:I, s:I, s:i, s:I, s:i, s:I}", "model",
                      path.p ? path.p : "", (int)path.n, "created_at", when, "response",
                      a->text.p ? a->text.p : "", (int)a->text.n, "done", 1, "done_reason",
                      loaded_only ? "load" : done_reason(st->finish), "tokens", a->ids,
                      "total_duration", (json_int_t)(clock_ns() - r->start_ns), "load_duration",
                      (json_int_t)r->load_ns, "prompt_eval_count", st->n_prompt,
                      "prompt_eval_duration", (json_int_t)st->prompt_ns, "eval_count",
                      st->n_output, "eval_duration", (json_int_t)st->output_ns);
    if (o)
        line = json_dumps(o, JSON_COMPACT);
    if (line) {
        if (put(a, line, strlen(line)) == 0)
            (void)put(a, "\n", 1);
    } else {
        a->rc = err_set(a->e, E_NOMEM, "no memory for the answer");
    }
    free(line);
    json_decref(o);
    buf_done(&path);
    return a->rc;
}

void run_notice(const struct run *r)
{
    if (!r->interactive && !isatty(STDERR_FILENO))
        return;
    if (r->info.chat_template)
        (void)fprintf(stderr, "note: this model's chat template is not applied yet: text is "
                              "completed as it stands\n");
    else
        (void)fprintf(stderr, "note: this model has no chat template: text is completed as it "
                              "stands\n");
}

/* -- one answer ---------------------------------------------------------------------- */

/* The question as ids, checked against the room that is left. */
static int question(struct run *r, const char *text, size_t n, int32_t **ids, size_t *n_id,
                    struct err *e)
{
    int have = hearth_seq_len(r->seq), rc = 0;
    const char *system = r->opt.system;
    struct buf b;

    buf_init(&b, ANSWER_MAX);
    if (have > 0)
        rc = buf_str(&b, "\n");
    else if (system && *system)
        rc = buf_fmt(&b, "%s\n\n", system);
    if (rc == 0)
        rc = buf_put(&b, text, n);
    if (rc < 0)
        rc = err_set(e, rc, "the prompt has %zu bytes", n);
    else
        rc = cmd_encode(r->model, b.p, b.n, have ? 0 : HEARTH_ADD_SPECIAL, ids, n_id, e);
    buf_done(&b);
    if (rc < 0 || *n_id <= (size_t)(r->n_ctx - have))
        return rc;
    mem_free(*ids);
    *ids = NULL;
    if (have > 0)
        return err_set(e, E_TOO_LONG,
                       "the text so far has %d tokens and this adds %zu, but the context "
                       "holds %d; /clear starts anew",
                       have, *n_id, r->n_ctx);
    return err_set(
        e, E_TOO_LONG,
        "the prompt has %zu tokens, but the context holds %d; -c (--num-ctx) sets more", *n_id,
        r->n_ctx);
}

static int generate(struct answer *a, const int32_t *ids, size_t n, struct hearth_stats *st)
{
    struct run *r = a->r;
    struct hearth_sampling sampling, fresh;
    struct hearth_generate_options opt = {
        .n_predict = r->opt.num_predict,
        .sampling = &sampling,
        .stop = r->opt.stop.v,
        .n_stop = r->opt.stop.n,
        .show_control = r->opt.special,
    };
    struct hearth_error he = {0};
    int rc, len = hearth_seq_len(r->seq);

    hearth_sampling_defaults(&fresh);
    sampling = r->opt.sampling;
    sampling.seed = r->opt.seed.given ? r->opt.seed.value : fresh.seed;
    run_interrupted = 0;
    atomic_store(&run_engine, r->engine);
    rc = hearth_generate(r->seq, ids, n, &opt, st, on_piece, a, &he);
    atomic_store(&run_engine, NULL);
    if (rc == HEARTH_E_CANCELLED || (rc >= 0 && st->finish == HEARTH_FINISH_CALLER)) {
        st->finish = HEARTH_FINISH_CALLER;
        if (run_interrupted)
            a->last = '\0'; /* the terminal shows ^C on this line */
        /* A prompt that was not computed to its end is taken back. */
        if (st->n_output == 0 && hearth_seq_truncate(r->seq, len, &he) < 0)
            return cmd_err(a->e, &he);
        rc = 0;
    }
    if (a->rc < 0)
        return a->rc;
    return rc < 0 ? cmd_err(a->e, &he) : 0;
}

static void after(const struct run *r, const struct hearth_stats *st)
{
    int full = st->finish == HEARTH_FINISH_LENGTH &&
               (r->opt.num_predict <= 0 || st->n_output < r->opt.num_predict);

    if (full)
        (void)fprintf(stderr, "note: the context of %d tokens is full; %s\n", r->n_ctx,
                      r->interactive ? "/clear starts anew" : "-c (--num-ctx) sets more");
    if (r->opt.verbose)
        print_stats(r, st);
}

int run_answer(struct run *r, const char *text, size_t n, struct err *e)
{
    struct answer a = {.r = r, .last = '\n', .e = e};
    struct hearth_stats st = {0};
    int32_t *ids = NULL;
    size_t n_id = 0;
    int rc = 0;

    buf_init(&a.text, ANSWER_MAX);
    a.ids = json_array();
    if (!a.ids)
        return err_set(e, E_NOMEM, "no memory for an answer");
    if (n > 0)
        rc = question(r, text, n, &ids, &n_id, e);
    if (rc < 0)
        goto out;
    if (n > 0)
        rc = generate(&a, ids, n_id, &st);
    if (!r->reader_gone && a.last != '\n')
        (void)put(&a, "\n", 1);
    if (rc < 0)
        goto out;
    if (r->opt.format == RUN_JSON)
        rc = print_json(&a, &st, n == 0);
    if (rc == 0 && !r->reader_gone)
        after(r, &st);
    rc = rc < 0 ? rc : a.rc;
    r->load_ns = 0;
out:
    json_decref(a.ids);
    mem_free(ids);
    buf_done(&a.text);
    return rc;
}
