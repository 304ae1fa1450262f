#include "cmd/run_print.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/engine.h"
#include "infer/guided.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 << 20)

volatile sig_atomic_t run_interrupted;
struct hearth_engine *_Atomic run_engine;

static int on_call(struct answer *a, const struct reply_event *ev)
{
    run_print_leave(a);
    buf_clear(&a->arguments);
    json_decref(a->call);
    a->call = json_pack("{s:s, s:{s:s#}}", "type", "function", "function", "name", ev->name.p,
                        (int)ev->name.n);
    if (!a->call ||
        (ev->id.n && json_object_set_new(a->call, "id", json_stringn(ev->id.p, ev->id.n)) != 0))
        return run_print_no_room(a);
    return 0;
}

static int on_call_end(struct answer *a, const struct reply_event *ev)
{
    json_t *function = json_object_get(a->call, "function");
    struct buf line;
    int rc;

    if ((ev->id.n &&
         json_object_set_new(a->call, "id", json_stringn(ev->id.p, ev->id.n)) != 0) ||
        json_object_set_new(function, "arguments", run_call_arguments(&a->arguments)) != 0 ||
        json_array_append(a->calls, a->call) != 0)
        return run_print_no_room(a);
    buf_init(&line, ANSWER_MAX);
    rc = run_call_put(&line, function, &a->arguments);
    if (rc == 0)
        rc = run_call_list(&a->calls_text, a->call, (struct str){line.p, line.n});
    json_decref(a->call);
    a->call = NULL;
    if (rc < 0)
        (void)run_print_no_room(a);
    else if (run_print_line(a) == 0 && run_print_text(a, (struct str){line.p, line.n}) == 0)
        (void)run_print_text(a, str_of("\n"));
    buf_done(&line);
    return a->rc;
}

static int on_event(void *ctx, const struct reply_event *ev)
{
    struct answer *a = ctx;

    switch (ev->kind) {
    case REPLY_REASONING:
        return run_print_reasoning(a, ev->text);
    case REPLY_CONTENT:
        return run_print_content(a, ev->text);
    case REPLY_CALL:
        return on_call(a, ev);
    case REPLY_CALL_BROKEN: /* its text follows */
        json_decref(a->call);
        a->call = NULL;
        return 0;
    case REPLY_ARGUMENTS:
        return buf_put(&a->arguments, ev->text.p, ev->text.n) < 0 ? run_print_no_room(a) : 0;
    default:
        return on_call_end(a, ev);
    }
}

/* The answer with its control tokens, before it is taken apart. */
static int show_written(struct answer *a, struct str text)
{
    int rc;

    a->silent = 0;
    rc = run_print_text(a, text);
    a->silent = 1;
    return rc < 0 || buf_put(&a->written, text.p, text.n) < 0 ? run_print_no_room(a) : 0;
}

static int on_piece(void *ctx, const struct hearth_piece *p)
{
    struct answer *a = ctx;
    struct run *r = a->r;
    struct err why = {0};
    int rc = 0;

    atomic_store(&run_engine, NULL); /* the prompt is done; from here on the flag is enough */
    if (p->id >= 0 && r->opt.json && json_array_append_new(a->ids, json_integer(p->id)) != 0)
        rc = run_print_no_room(a);
    if (rc == 0 && p->id >= 0)
        rc = run_ids_add(r, &p->id, 1, &why);
    if (rc == 0 && p->n_text && a->reply && r->opt.special)
        rc = show_written(a, (struct str){p->text, p->n_text});
    if (rc == 0 && p->n_text)
        rc = a->reply ? reply_put(a->reply, p->text, p->n_text, &why)
                      : run_print_content(a, (struct str){p->text, p->n_text});
    if (rc < 0 && a->rc == 0)
        a->rc = err_set(a->e, rc, "%s", why.msg);
    return a->rc < 0 || r->reader_gone || run_interrupted;
}

void run_notice(const struct run *r)
{
    int chat = r->via ? run_via_chat(r) : r->chat.chat != NULL;

    if ((r->interactive || isatty(STDERR_FILENO)) && !chat)
        (void)fprintf(stderr, "note: %s: text is completed as it stands\n",
                      r->opt.raw ? "--raw" : "this model has no chat template");
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

/* -- under a grammar ------------------------------------------------------------------- */

/* What takes the answer apart, and what holds it to a form. */
static int answer_open(struct answer *a)
{
    struct run *r = a->r;
    const struct run_chat *c = &r->chat;
    const struct reply_style *style = run_chat_style(r);
    struct guide_options go = {.gram = c->gram,
                               .vocab = c->vocab,
                               .tok = infer_tok(r->model),
                               .style = style,
                               .open = c->open,
                               .may_think = c->chat && c->think != CHAT_THINK_OFF};
    const char *choice = r->opt.choice;
    const json_t *tools = choice && strcmp(choice, "none") == 0 ? NULL : c->tools;
    int rc = 0;

    if (c->chat)
        rc = reply_new(&a->reply, style, tools, c->open, on_event, a, a->e);
    if (rc == 0 && c->chat && c->gram)
        reply_guided(a->reply, c->any_json || c->schema);
    if (rc == 0 && c->gram)
        rc = guide_new(&a->guide, &go, a->e);
    return rc;
}

/* -- generating ------------------------------------------------------------------------ */

static int generate(struct answer *a, const int32_t *ids, size_t n, struct hearth_stats *st)
{
    struct run *r = a->r;
    struct hearth_sampling sampling, fresh;
    struct hearth_guide guide = guided_by(a->guide);
    struct hearth_generate_options opt = {
        .n_predict = r->opt.num_predict,
        .sampling = &sampling,
        .stop = r->opt.stop.v,
        .n_stop = r->opt.stop.n,
        .show_control = r->opt.special || a->reply,
        .guide = a->guide ? &guide : NULL,
        .hidden = r->chat.hidden,
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

/* It was ended by others than the model. */
static int is_cut(const struct hearth_stats *st)
{
    return st->finish == HEARTH_FINISH_LENGTH || st->finish == HEARTH_FINISH_CALLER;
}

static int within_reasoning(const struct answer *a, const struct hearth_stats *st)
{
    return is_cut(st) && a->reply && reply_in_reasoning(a->reply);
}

static const char *call_name(const json_t *call)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(call, "function"), "name"));

    return name ? name : "?";
}

/* Why the answer is not what was asked for. A call that was cut is none: nobody may run it. */
static void after(const struct answer *a, const struct hearth_stats *st)
{
    const struct run *r = a->r;
    int full = st->finish == HEARTH_FINISH_LENGTH &&
               (r->opt.num_predict <= 0 || st->n_output < r->opt.num_predict);
    int by_itself = st->finish == HEARTH_FINISH_EOG || st->finish == HEARTH_FINISH_CALLER;

    if (full)
        (void)fprintf(stderr, "note: the context of %d tokens is full; %s\n", r->n_ctx,
                      r->interactive ? "/clear starts anew" : "-c (--num-ctx) sets more");
    if (!by_itself && within_reasoning(a, st))
        (void)fprintf(stderr, "note: the answer ends within its reasoning\n");
    else if (a->call)
        (void)fprintf(stderr,
                      "note: the answer ends within a call of '%s', which is left out\n",
                      call_name(a->call));
    else if (!by_itself && a->guide && !guide_may_end(a->guide))
        (void)fprintf(stderr, "note: the answer ends before its form is complete\n");
    if (r->opt.verbose)
        run_print_stats(r, st);
}

/* What the model said becomes part of the conversation. */
static int keep_answer(struct answer *a)
{
    json_t *content = run_text_json(&a->content);
    json_t *m = json_pack("{s:s, s:o}", "role", "assistant", "content", content);

    if (m && a->reasoning.n &&
        json_object_set_new(m, "reasoning_content", run_text_json(&a->reasoning)) != 0) {
        json_decref(m);
        m = NULL;
    }
    if (m && json_array_size(a->calls) && json_object_set(m, "tool_calls", a->calls) != 0) {
        json_decref(m);
        m = NULL;
    }
    return run_chat_add(a->r, m, a->e);
}

/* Generates from ids on and says what there is to say. */
static int answer_run(struct answer *a, const int32_t *ids, size_t n, struct hearth_stats *st)
{
    struct run *r = a->r;
    int rc = run_ids_add(r, ids, n, a->e);

    if (rc == 0)
        rc = answer_open(a);
    if (rc == 0)
        rc = generate(a, ids, n, st);
    if (rc == 0 && a->reply && reply_end(a->reply, is_cut(st), a->e) < 0)
        rc = a->e->code;
    if (!within_reasoning(a, st))
        run_print_leave(a);
    if (!r->reader_gone && a->last != '\n')
        (void)run_print_bytes(a, "\n", 1);
    return rc < 0 ? rc : a->rc;
}

static int answer_report(struct answer *a, const struct hearth_stats *st, int loaded_only)
{
    int rc = 0;

    if (a->r->opt.json)
        rc = run_print_json(a, st, loaded_only);
    if (rc == 0 && !a->r->reader_gone)
        after(a, st);
    a->r->load_ns = 0;
    return rc < 0 ? rc : a->rc;
}

int run_go_on(struct run *r, struct err *e)
{
    struct answer a;
    struct hearth_stats st = {0};
    int32_t *ids = NULL;
    size_t n_id = 0;
    int rc = run_print_start(&a, r, e);

    if (rc == 0)
        rc = run_chat_prompt(r, &ids, &n_id, e);
    if (rc == 0)
        rc = answer_run(&a, ids, n_id, &st);
    if (rc == 0 && st.n_output)
        rc = keep_answer(&a);
    else
        run_chat_drop(r);
    if (rc == 0)
        rc = answer_report(&a, &st, 0);
    mem_free(ids);
    run_print_done(&a);
    return rc;
}

static int complete(struct run *r, const char *text, size_t n, struct err *e)
{
    struct answer a;
    struct hearth_stats st = {0};
    int32_t *ids = NULL;
    size_t n_id = 0;
    int rc = run_print_start(&a, r, e);

    if (rc == 0 && n > 0)
        rc = question(r, text, n, &ids, &n_id, e);
    if (rc == 0 && n > 0)
        rc = answer_run(&a, ids, n_id, &st);
    if (rc == 0)
        rc = answer_report(&a, &st, n == 0);
    mem_free(ids);
    run_print_done(&a);
    return rc;
}

int run_answer(struct run *r, const char *text, size_t n, struct err *e)
{
    struct buf clean;
    int rc;

    if (r->via)
        return run_via_answer(r, text, n, e);
    if (!r->chat.chat || n == 0)
        return complete(r, text, n, e);
    if (!utf8_valid(text, n))
        (void)fprintf(stderr,
                      "note: the prompt is not UTF-8; what is none is read as U+FFFD\n");
    buf_init(&clean, 3 * ANSWER_MAX);
    rc = utf8_mend(&clean, text, n);
    if (rc < 0)
        rc = err_set(e, rc, "the prompt has %zu bytes", n);
    else
        rc = run_chat_add(r,
                          json_pack("{s:s, s:o}", "role", "user", "content",
                                    json_stringn(clean.p ? clean.p : "", clean.n)),
                          e);
    buf_done(&clean);
    return rc < 0 ? rc : run_go_on(r, e);
}
