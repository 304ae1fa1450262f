/* run_via_answer.c - one answer of a server: what is asked, and what comes.
 *
 * One prompt goes to /api/generate, where a model without a chat template goes on with the text
 * as it does in this process; a conversation goes to /api/chat with all of its messages. */
#include "cmd/run_print.h"
#include "cmd/run_via.h"

#include "base/log.h"
#include "base/num.h"
#include "base/utf8.h"
#include "net/lines.h"

#include <limits.h>
#include <string.h>

#define TEXT_MAX   ((size_t)256 << 20)
#define REPLY_LINE ((size_t)64 << 20) /* bytes of a line of an answer */

/* -- requests ---------------------------------------------------------------------------- */

static json_t *list_json(const struct opt_list *list)
{
    json_t *all = json_array();

    for (int i = 0; i < list->n; i++) {
        if (json_array_append_new(all, json_string(list->v[i])) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *value_json(const struct opt_row *row, const struct run_options *o)
{
    switch (row->type) {
    case OPT_INT:
        return json_integer(RUN_VIA_AT(row, int, o));
    case OPT_FLOAT:
        return json_real(num_widen(RUN_VIA_AT(row, float, o)));
    case OPT_SEED:
        return json_integer((json_int_t)o->seed.value);
    case OPT_LIST:
        return list_json(&RUN_VIA_AT(row, struct opt_list, o));
    default:
        return NULL;
    }
}

static json_t *options_json(const struct run_options *o)
{
    json_t *all = json_object();
    int bad = !all;

    for (int i = 0; i < run_spec.n && !bad; i++) {
        const struct opt_row *row = &run_spec.rows[i];

        if (row->param && run_via_given(row, o))
            bad = json_object_set_new(all, row->param, value_json(row, o)) != 0;
    }
    if (!bad && o->num_ctx > 0)
        bad = json_object_set_new(all, "num_ctx", json_integer(o->num_ctx)) != 0;
    if (!bad && o->num_predict == 0) /* until it is done; there it means none */
        bad = json_object_set_new(all, "num_predict", json_integer(-1)) != 0;
    if (!bad)
        return all;
    json_decref(all);
    return NULL;
}

/* What every request says. NULL: no memory, or no UTF-8. */
static json_t *request_json(const struct run *r)
{
    const struct run_chat *c = &r->chat;
    json_t *q = json_pack("{s:s, s:b, s:b, s:o}", "model", r->path, "stream", 1, "truncate", 0,
                          "options", options_json(&r->opt));
    int bad = !q;

    if (!bad && c->schema)
        bad = json_object_set(q, "format", c->schema) != 0;
    else if (!bad && c->any_json)
        bad = json_object_set_new(q, "format", json_string("json")) != 0;
    if (!bad && c->think != CHAT_THINK_AUTO)
        bad = json_object_set_new(q, "think",
                                  c->effort ? json_string(c->effort)
                                            : json_boolean(c->think == CHAT_THINK_ON)) != 0;
    if (!bad)
        return q;
    json_decref(q);
    return NULL;
}

static int set_text(json_t *q, const char *key, struct str s)
{
    return json_object_set_new(q, key, json_stringn(s.p ? s.p : "", s.n));
}

/* One prompt. NULL: as request_json. */
static json_t *prompt_json(const struct run *r, struct str text)
{
    json_t *q = request_json(r);
    const char *system = r->opt.raw ? NULL : r->opt.system;

    if (q && (set_text(q, "prompt", text) != 0 ||
              (r->opt.raw && json_object_set_new(q, "raw", json_true()) != 0) ||
              (system && *system && set_text(q, "system", str_of(system)) != 0))) {
        json_decref(q);
        return NULL;
    }
    return q;
}

/* All messages, behind the system text, which may change at any time. */
static json_t *talk_json(const struct run *r)
{
    json_t *q = request_json(r), *all = json_copy(r->chat.messages);
    const char *system = r->opt.system;
    int bad = !q || !all;

    if (!bad && system && *system)
        bad = json_array_insert_new(
                  all, 0, json_pack("{s:s, s:s}", "role", "system", "content", system)) != 0;
    if (!bad)
        bad = json_object_set(q, "messages", all) != 0;
    json_decref(all);
    if (!bad)
        return q;
    json_decref(q);
    return NULL;
}

/* -- answers ----------------------------------------------------------------------------- */

struct hearing {
    struct answer a;
    struct hearth_stats st;
    struct lines lines;
    struct client_answer got;
    int done, loaded, warned;
    char error[ERR_MAX]; /* what the server said went wrong */
};

static int count_of(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n > 0 && n < INT_MAX ? (int)n : 0;
}

static uint64_t ns_of(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n > 0 ? (uint64_t)n : 0;
}

/* The last object has the numbers. */
static void take_stats(struct hearing *h, const json_t *o)
{
    const char *why = json_string_value(json_object_get(o, "done_reason"));

    h->done = 1;
    h->loaded = why && strcmp(why, "load") == 0;
    h->st = (struct hearth_stats){
        .n_prompt = count_of(o, "prompt_eval_count"),
        .n_prompt_reused = count_of(o, "prompt_cached_count"),
        .n_output = count_of(o, "eval_count"),
        .prompt_ns = ns_of(o, "prompt_eval_duration"),
        .output_ns = ns_of(o, "eval_duration"),
        .finish = why && strcmp(why, "length") == 0 ? HEARTH_FINISH_LENGTH : HEARTH_FINISH_EOG,
    };
    h->a.r->load_ns = ns_of(o, "load_duration");
}

static struct str text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return (struct str){json_string_value(v), json_string_length(v)};
}

static int on_line(void *ctx, struct str event, struct str data)
{
    struct hearing *h = ctx;
    struct answer *a = &h->a;
    json_t *o = json_loadb(data.p ? data.p : "", data.n, JSON_ALLOW_NUL, NULL);
    const json_t *message = json_object_get(o, "message");
    const char *error = run_via_error(o);
    struct str thinking = text_of(message ? message : o, "thinking");
    struct str said = message ? text_of(message, "content") : text_of(o, "response");
    int rc = 0;

    (void)event;
    if (error || !json_is_object(o)) {
        (void)snprintf(h->error, sizeof(h->error), "%s",
                       error ? error : "an answer that is none of ours");
        rc = 1;
    }
    if (rc == 0 && thinking.n)
        rc = run_print_reasoning(a, thinking);
    if (rc == 0 && said.n)
        rc = run_print_content(a, said);
    if (rc == 0 && json_is_true(json_object_get(o, "done")))
        take_stats(h, o);
    json_decref(o);
    return rc != 0 || a->r->reader_gone || run_interrupted;
}

/* What the server does otherwise than it was asked to. */
static void tell_warnings(struct hearing *h)
{
    char *rest = h->got.warning, *line;

    if (h->warned++ || !rest)
        return;
    while ((line = strsep(&rest, "\n"))) {
        if (*line)
            log_line(LOG_WARN, "%s", line);
    }
}

static int on_bytes(void *ctx, const char *p, size_t n)
{
    struct hearing *h = ctx;

    tell_warnings(h);
    return lines_put(&h->lines, p, n, NULL) < 0;
}

/* What became of it, from how the connection ended. */
static int outcome(struct hearing *h, int rc, const char *url, struct err *e)
{
    struct answer *a = &h->a;

    if (a->rc < 0)
        return a->rc;
    if (h->error[0])
        return err_set(e, E_IO, "%s: %s", url, h->error);
    if (rc == E_CANCELLED && (run_interrupted || a->r->reader_gone)) {
        h->st.finish = HEARTH_FINISH_CALLER;
        if (run_interrupted)
            a->last = '\0'; /* the terminal shows ^C on this line */
        return 0;
    }
    if (rc == E_CANCELLED)
        return err_set(e, E_FORMAT, "%s: a line of the answer is too long", url);
    if (rc == 0 && !h->done)
        return err_set(e, E_IO, "%s closed the connection in the middle", url);
    return rc;
}

/* Why the answer is not what was asked for. */
static void after(const struct hearing *h)
{
    const struct answer *a = &h->a;
    const struct run *r = a->r;
    int cut = h->st.finish == HEARTH_FINISH_LENGTH, given = r->opt.num_predict;
    int most = given == INT_MIN ? r->via->num_predict : given;
    int form = r->chat.any_json || r->chat.schema != NULL;
    json_t *whole = cut && form ? json_loadb(a->content.n ? a->content.p : "", a->content.n,
                                             JSON_DECODE_ANY, NULL)
                                : NULL;

    if (cut && (most <= 0 || h->st.n_output < most))
        (void)fprintf(stderr, "note: the context is full; %s\n",
                      r->interactive ? "/clear starts anew"
                                     : "-c (--num-ctx) sets another size");
    if (cut && a->reasoning.n && !a->content.n)
        (void)fprintf(stderr, "note: the answer ends within its reasoning\n");
    else if (cut && form && !whole)
        (void)fprintf(stderr, "note: the answer ends before its form is complete\n");
    json_decref(whole);
    if (r->opt.verbose && h->done)
        run_print_stats(r, &h->st);
}

static int report(struct hearing *h)
{
    struct answer *a = &h->a;
    int rc = 0;

    if (!a->reasoning.n || a->content.n || h->st.finish == HEARTH_FINISH_EOG)
        run_print_leave(a);
    if (!a->r->reader_gone && a->last != '\n')
        (void)run_print_bytes(a, "\n", 1);
    if (a->r->opt.json)
        rc = run_print_json(a, &h->st, h->loaded);
    if (rc == 0 && !a->r->reader_gone)
        after(h);
    return rc < 0 ? rc : a->rc;
}

/* One request and what comes of it. */
static int hear(struct run *r, const char *path, json_t *body, struct hearing *h, struct err *e)
{
    int rc;

    lines_init(&h->lines, LINES_NDJSON, REPLY_LINE, on_line, h);
    rc = run_via_post(r->via, path, body, on_bytes, h, &h->got, e);
    tell_warnings(h);
    if (rc == 0 && lines_end(&h->lines, NULL) < 0)
        rc = E_CANCELLED; /* on_line has said why */
    rc = outcome(h, rc, r->via->url.p, e);
    lines_done(&h->lines);
    client_answer_done(&h->got);
    return rc == 0 ? report(h) : rc;
}

/* What the model said becomes part of the conversation. */
static int keep(struct hearing *h)
{
    const struct answer *a = &h->a;
    json_t *m =
        json_pack("{s:s, s:o}", "role", "assistant", "content", run_text_json(&a->content));

    if (m && a->reasoning.n &&
        json_object_set_new(m, "thinking", run_text_json(&a->reasoning)) != 0) {
        json_decref(m);
        m = NULL;
    }
    return run_chat_add(a->r, m, a->e);
}

static int talk(struct run *r, struct str text, struct hearing *h, struct err *e)
{
    int rc = run_chat_add(
        r, json_pack("{s:s, s:o}", "role", "user", "content", json_stringn(text.p, text.n)), e);

    if (rc < 0)
        return rc;
    rc = hear(r, "/api/chat", talk_json(r), h, e);
    if (rc == 0 && (h->a.content.n || h->a.reasoning.n))
        return keep(h);
    run_chat_drop(r);
    return rc;
}

/* The text so far, more of it, and what the model goes on with; a failure leaves it as it was.
 */
static int go_on(struct run *r, struct str text, struct hearing *h, struct err *e)
{
    struct buf *all = &r->via->text;
    const char *system = r->opt.system;
    size_t was = all->n;
    int raw = r->opt.raw, rc = 0;

    if (was)
        rc = buf_byte(all, '\n');
    else if (system && *system)
        rc = buf_fmt(all, "%s\n\n", system);
    if (rc == 0)
        rc = buf_put(all, text.p, text.n);
    r->opt.raw = 1;
    rc = rc < 0 ? err_set(e, rc, "the prompt has %zu bytes", text.n)
                : hear(r, "/api/generate", prompt_json(r, (struct str){all->p, all->n}), h, e);
    r->opt.raw = raw;
    if (rc == 0 && h->a.content.n)
        return buf_put(all, h->a.content.p, h->a.content.n) < 0 ? run_print_no_room(&h->a) : 0;
    all->n = was;
    return rc;
}

static int ask(struct run *r, struct str text, struct hearing *h, struct err *e)
{
    int chat = run_via_chat(r);

    if (r->interactive && chat)
        return talk(r, text, h, e);
    if (r->interactive || (r->opt.raw && text.n))
        return go_on(r, text, h, e);
    return hear(r, "/api/generate", prompt_json(r, text), h, e);
}

int run_via_answer(struct run *r, const char *text, size_t n, struct err *e)
{
    struct hearing h = {.done = 0};
    struct buf clean;
    int rc;

    if (!utf8_valid(text, n))
        (void)fprintf(stderr,
                      "note: the prompt is not UTF-8; what is none is read as U+FFFD\n");
    buf_init(&clean, 3 * TEXT_MAX);
    rc = utf8_mend(&clean, text, n);
    if (rc < 0)
        rc = err_set(e, rc, "the prompt has %zu bytes", n);
    else
        rc = run_print_start(&h.a, r, e);
    if (rc == 0)
        rc = ask(r, (struct str){clean.p ? clean.p : "", clean.n}, &h, e);
    run_print_done(&h.a);
    buf_done(&clean);
    return rc;
}
