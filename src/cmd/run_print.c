/* run_print.c - an answer as it is shown: text, reasoning, timings, one object of JSON. */
#include "cmd/run_print.h"

#include "base/clock.h"
#include "cmd/term.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 << 20)

int run_print_bytes(struct answer *a, const char *p, size_t n)
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

int run_print_no_room(struct answer *a)
{
    a->rc = err_set(a->e, E_NOMEM, "no memory for the answer");
    return a->rc;
}

/* Text of the answer, as it goes to people or to a file. */
int run_print_text(struct answer *a, struct str text)
{
    const struct run *r = a->r;

    if (r->opt.json || a->silent)
        return 0;
    if (!r->stdout_tty) {
        (void)run_print_bytes(a, text.p, text.n);
        return a->rc;
    }
    buf_clear(&a->clean);
    if (term_clean(&a->clean, text.p, text.n) < 0)
        return run_print_no_room(a);
    (void)run_print_bytes(a, a->clean.p ? a->clean.p : "", a->clean.n);
    return a->rc;
}

int run_print_line(struct answer *a)
{
    return a->last == '\n' ? 0 : run_print_text(a, str_of("\n"));
}

void run_print_leave(struct answer *a)
{
    if (!a->in_reasoning)
        return;
    a->in_reasoning = 0;
    if (run_print_line(a) == 0)
        (void)run_print_text(a, str_of("...done thinking.\n\n"));
}

int run_print_reasoning(struct answer *a, struct str text)
{
    if (buf_put(&a->reasoning, text.p, text.n) < 0)
        return run_print_no_room(a);
    if (a->r->opt.hide_think)
        return 0;
    if (!a->in_reasoning && run_print_text(a, str_of("Thinking...\n")) < 0)
        return a->rc;
    a->in_reasoning = 1;
    return run_print_text(a, text);
}

int run_print_content(struct answer *a, struct str text)
{
    run_print_leave(a);
    if (a->rc < 0)
        return a->rc;
    return buf_put(&a->content, text.p, text.n) < 0 ? run_print_no_room(a)
                                                    : run_print_text(a, text);
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

void run_print_stats(const struct run *r, const struct hearth_stats *st)
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
    if (r->opt.draft > 0)
        (void)fprintf(stderr, "%-21s %d of %d token(s) came true\n",
                      "guessed ahead:", st->n_accepted, st->n_drafted);
    if (r->via)
        return;
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

static json_t *answer_json(struct answer *a, const struct hearth_stats *st, int loaded_only)
{
    struct run *r = a->r;
    struct buf path;
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    json_t *o;

    if (gmtime_r(&now, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_init(&path, ANSWER_MAX);
    if (buf_str(&path, r->path) < 0) {
        buf_done(&path);
        return NULL;
    }
    o = json_pack("{s:o, s:s, s:o, s:b, s:s, s:O, s:I, s:I, s:i, s:I, s:i, s:I}", "model",
                  run_text_json(&path), "created_at", when, "response",
                  run_text_json(&a->content), "done", 1, "done_reason",
                  loaded_only ? "load" : done_reason(st->finish), "tokens", a->ids,
                  "total_duration", (json_int_t)(clock_ns() - r->start_ns), "load_duration",
                  (json_int_t)r->load_ns, "prompt_eval_count", st->n_prompt,
                  "prompt_eval_duration", (json_int_t)st->prompt_ns, "eval_count", st->n_output,
                  "eval_duration", (json_int_t)st->output_ns);
    buf_done(&path);
    if (o && r->via && json_object_del(o, "tokens") != 0) /* it tells no ids */
        goto fail;
    if (o && a->reasoning.n && !r->opt.hide_think &&
        json_object_set_new(o, "thinking", run_text_json(&a->reasoning)) != 0)
        goto fail;
    if (o && a->silent && json_object_set_new(o, "written", run_text_json(&a->written)) != 0)
        goto fail;
    return o;
fail:
    json_decref(o);
    return NULL;
}

/* The calls as text become the object's last member. */
int run_print_json(struct answer *a, const struct hearth_stats *st, int loaded_only)
{
    json_t *o = answer_json(a, st, loaded_only);
    struct buf line;
    int rc = o ? 0 : E_NOMEM;

    buf_init(&line, 8 * ANSWER_MAX);
    if (rc == 0)
        rc = run_json_put(&line, o);
    if (rc == 0 && a->calls_text.n) {
        line.n--;
        rc = buf_fmt(&line, ",\"tool_calls\":[%s]}", a->calls_text.p);
    }
    if (rc == 0)
        rc = buf_byte(&line, '\n');
    if (rc < 0)
        (void)run_print_no_room(a);
    else
        (void)run_print_bytes(a, line.p, line.n);
    buf_done(&line);
    json_decref(o);
    return a->rc;
}

int run_print_start(struct answer *a, struct run *r, struct err *e)
{
    *a = (struct answer){.r = r, .last = '\n', .e = e};
    buf_init(&a->clean, ANSWER_MAX);
    buf_init(&a->content, ANSWER_MAX);
    buf_init(&a->reasoning, ANSWER_MAX);
    buf_init(&a->arguments, ANSWER_MAX);
    buf_init(&a->written, ANSWER_MAX);
    buf_init(&a->calls_text, ANSWER_MAX);
    a->ids = json_array();
    a->calls = json_array();
    return a->ids && a->calls ? 0 : err_set(e, E_NOMEM, "no memory for an answer");
}

void run_print_done(struct answer *a)
{
    reply_free(a->reply);
    guide_free(a->guide);
    json_decref(a->call);
    json_decref(a->calls);
    json_decref(a->ids);
    buf_done(&a->clean);
    buf_done(&a->content);
    buf_done(&a->reasoning);
    buf_done(&a->arguments);
    buf_done(&a->written);
    buf_done(&a->calls_text);
}
