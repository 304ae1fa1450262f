/* llama_write.c - events as llama-server's answers: chunks of a stream, an object, or a list of
 * objects where there were several prompts.
 */
#include "serve/api/llama.h"

#include "base/clock.h"
#include "base/mem.h"
#include "fmt/jtext.h"

#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)

/* One text that is being written. */
struct part {
    struct buf content; /* JSON's inside of a string; without a stream */
    struct buf ids;     /* "1,2,3" */
    struct buf probs;   /* objects with commas between them */
    struct buf done;    /* without a stream: its whole object */
    int n_token, has_line;
    uint64_t first_ns; /* when its first text came; 0: none has */
};

struct answer {
    struct str model;
    struct str *prompt; /* [n / n_per_prompt]; of ids: empty */
    int stream, is_list, progress, timings, tokens, probs;
    char *settings;              /* JSON */
    json_t *fields;              /* response_fields; NULL: all */
    struct part *part;           /* [n] */
    int n, n_per_prompt;         /* parts; of each prompt */
    uint64_t start_ns, ready_ns; /* of the request; when the prompt had been read */
    struct gate_usage usage;     /* of START */
};

static void answer_free(void *ctx)
{
    struct answer *a = ctx;

    if (!a)
        return;
    for (int i = 0; a->part && i < a->n; i++) {
        buf_done(&a->part[i].content);
        buf_done(&a->part[i].ids);
        buf_done(&a->part[i].probs);
        buf_done(&a->part[i].done);
    }
    mem_free(a->part);
    mem_free(a->settings);
    mem_free((void *)(uintptr_t)a->model.p);
    for (int i = 0; a->prompt && i < a->n / a->n_per_prompt; i++)
        mem_free((void *)(uintptr_t)a->prompt[i].p);
    mem_free(a->prompt);
    json_decref(a->fields);
    mem_free(a);
}

static int copy(struct str *out, struct str s)
{
    char *p = mem_alloc(s.n + 1);

    if (!p)
        return E_NOMEM;
    if (s.n)
        memcpy(p, s.p, s.n);
    *out = (struct str){p, s.n};
    return 0;
}

static int keep_settings(struct answer *a, const struct gate_request *q)
{
    struct json_out w;
    struct buf b;
    int rc;

    buf_init(&b, ANSWER_MAX);
    json_out_init(&w, &b);
    llama_put_settings(&w, q, a->stream);
    rc = json_out_end(&w);
    if (rc == 0)
        a->settings = mem_strdup(b.p);
    buf_done(&b);
    return a->settings ? 0 : E_NOMEM;
}

static int keep_prompts(struct answer *a, const struct gate_request *q)
{
    int rc = 0;

    a->prompt = mem_calloc(q->n_input, sizeof(*a->prompt));
    if (!a->prompt)
        return E_NOMEM;
    for (size_t i = 0; i < q->n_input && rc == 0; i++)
        rc = copy(&a->prompt[i], q->input[i].ids ? str_of("") : q->input[i].text);
    return rc;
}

void *llama_answer_new(const struct llama_parse *p, int is_list)
{
    struct answer *a = mem_calloc(1, sizeof(*a));
    const struct gate_request *q = p->q;

    if (!a)
        return NULL;
    a->stream = p->in.stream;
    a->is_list = is_list || q->n_choice > 1;
    a->progress = p->in.return_progress;
    a->timings = p->in.timings_per_token;
    a->tokens = p->in.return_tokens || p->in.stream;
    a->probs = q->n_logprobs > 0;
    a->fields = json_array_size(p->in.fields) ? json_deep_copy(p->in.fields) : NULL;
    a->n_per_prompt = q->n_choice;
    a->n = (int)q->n_input * q->n_choice;
    a->part = mem_calloc((size_t)a->n, sizeof(*a->part));
    a->start_ns = clock_ns();
    for (int i = 0; a->part && i < a->n; i++) {
        buf_init(&a->part[i].content, ANSWER_MAX);
        buf_init(&a->part[i].ids, ANSWER_MAX);
        buf_init(&a->part[i].probs, ANSWER_MAX);
        buf_init(&a->part[i].done, ANSWER_MAX);
    }
    if (!a->part || (json_array_size(p->in.fields) && !a->fields) ||
        copy(&a->model, q->model) < 0 || keep_prompts(a, q) < 0 || keep_settings(a, q) < 0) {
        answer_free(a);
        return NULL;
    }
    return a;
}

/* -- pieces of text -------------------------------------------------------------------- */

static int put_ids(struct buf *out, const struct gate_token *t, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = buf_fmt(out, "%s%d", out->n ? "," : "", (int)t[i].id);
    return rc;
}

static int put_probs(struct buf *out, const struct gate_token *t, size_t n)
{
    struct json_out w;

    json_out_init(&w, out);
    w.comma = out->n > 0;
    llama_put_probs(&w, t, n);
    return json_out_end(&w);
}

static void put_list(struct json_out *w, const char *key, const struct buf *items)
{
    json_out_key(w, key);
    json_out_open(w, '[');
    if (items->n)
        json_out_raw(w, (struct str){items->p, items->n});
    json_out_close(w, ']');
}

/* What every chunk begins with, up to what has come so far. */
static void put_head(struct json_out *w, const struct answer *a, int i, struct str content,
                     const struct buf *ids)
{
    json_out_key(w, "index");
    json_out_int(w, i);
    json_out_key(w, "content");
    json_out_text(w, content);
    put_list(w, "tokens", ids);
    json_out_key(w, "stop");
    json_out_bool(w, 0);
    json_out_key(w, "id_slot");
    json_out_int(w, -1);
    json_out_key(w, "tokens_predicted");
    json_out_int(w, a->part[i].n_token);
    json_out_key(w, "tokens_evaluated");
    json_out_int(w, a->usage.n_prompt);
}

/* Timings of a text that is not complete. */
static void put_so_far(struct json_out *w, const struct answer *a, const struct part *t)
{
    struct gate_usage u = a->usage;

    if (!u.prompt_ns)
        u.prompt_ns = a->ready_ns - a->start_ns;
    u.n_output = t->n_token;
    u.output_ns = clock_ns() - t->first_ns;
    llama_put_timings(w, &u);
}

static int chunk(struct answer *a, const struct gate_event *ev, struct part *t, struct buf *out)
{
    struct json_out w;
    int rc = buf_str(out, "data: ");

    buf_clear(&t->ids);
    buf_clear(&t->probs);
    if (rc == 0 && a->tokens)
        rc = put_ids(&t->ids, ev->token, ev->n_token);
    if (rc == 0 && a->probs)
        rc = put_probs(&t->probs, ev->token, ev->n_token);
    json_out_init(&w, out);
    json_out_open(&w, '{');
    put_head(&w, a, ev->choice, ev->text, &t->ids);
    if (a->timings)
        put_so_far(&w, a, t);
    if (a->probs)
        put_list(&w, "completion_probabilities", &t->probs);
    json_out_close(&w, '}');
    if (rc == 0)
        rc = json_out_end(&w);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

static int add_text(struct answer *a, const struct gate_event *ev, struct buf *out)
{
    struct part *t = &a->part[ev->choice];
    int rc;

    if (ev->text.n == 0 && ev->n_token == 0)
        return 0;
    t->n_token += (int)ev->n_token;
    if (!t->first_ns)
        t->first_ns = a->ready_ns ? a->ready_ns : clock_ns();
    t->has_line |= ev->text.n && memchr(ev->text.p, '\n', ev->text.n) != NULL;
    if (a->stream)
        return chunk(a, ev, t, out);
    rc = jtext_escape(&t->content, ev->text, 0);
    if (rc == 0 && a->tokens)
        rc = put_ids(&t->ids, ev->token, ev->n_token);
    if (rc == 0 && a->probs)
        rc = put_probs(&t->probs, ev->token, ev->n_token);
    return rc;
}

static int add_progress(struct answer *a, const struct gate_event *ev, struct buf *out)
{
    static const struct buf none;
    const struct gate_usage *u = ev->usage;
    struct json_out w;
    int rc;

    if (!a->stream || !a->progress || !u)
        return 0;
    rc = buf_str(out, "data: ");
    a->usage = *u;
    json_out_init(&w, out);
    json_out_open(&w, '{');
    put_head(&w, a, ev->choice, str_of(""), &none);
    json_out_key(&w, "prompt_progress");
    json_out_open(&w, '{');
    json_out_key(&w, "total");
    json_out_int(&w, u->n_prompt);
    json_out_key(&w, "cache");
    json_out_int(&w, u->n_cached);
    json_out_key(&w, "processed");
    json_out_int(&w, ev->n);
    json_out_key(&w, "time_ms");
    json_out_int(&w, (int64_t)((clock_ns() - a->start_ns) / 1000000));
    json_out_close(&w, '}');
    json_out_close(&w, '}');
    if (rc == 0)
        rc = json_out_end(&w);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

/* -- the end of a text ----------------------------------------------------------------- */

static int is_truncated(const struct gate_event *ev, const struct gate_usage *u)
{
    return u->n_dropped > 0 || (ev->finish == GATE_LENGTH && gate_context_full(u));
}

static void put_counts(struct json_out *w, const struct answer *a, const struct part *t,
                       const struct gate_event *ev, const struct gate_usage *u)
{
    static const char *const types[] = {[GATE_END] = "eos",
                                        [GATE_STOP] = "word",
                                        [GATE_LENGTH] = "limit",
                                        [GATE_CALLS] = "eos",
                                        [GATE_FILTER] = "none"};

    json_out_key(w, "id_slot");
    json_out_int(w, -1);
    json_out_key(w, "stop");
    json_out_bool(w, 1);
    json_out_key(w, "model");
    json_out_text(w, a->model);
    json_out_key(w, "tokens_predicted");
    json_out_int(w, u->n_output);
    json_out_key(w, "tokens_evaluated");
    json_out_int(w, u->n_prompt);
    json_out_key(w, "generation_settings");
    json_out_raw(w, str_of(a->settings));
    json_out_key(w, "prompt");
    json_out_text(w, a->prompt[ev->choice / a->n_per_prompt]);
    json_out_key(w, "has_new_line");
    json_out_bool(w, t->has_line);
    json_out_key(w, "truncated");
    json_out_bool(w, is_truncated(ev, u));
    json_out_key(w, "stop_type");
    json_out_str(w, types[ev->finish]);
    json_out_key(w, "stopping_word");
    json_out_text(w, ev->finish == GATE_STOP ? ev->stop : str_of(""));
    json_out_key(w, "tokens_cached");
    json_out_int(w, u->n_cached);
}

/* The last object of a text. */
static int put_final(const struct answer *a, const struct part *t, const struct gate_event *ev,
                     struct buf *out)
{
    static const struct gate_usage nothing;
    static const struct buf none;
    const struct gate_usage *u = ev->usage ? ev->usage : &nothing;
    struct json_out w;
    int rc;

    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "index");
    json_out_int(&w, ev->choice);
    rc = buf_str(out, ",\"content\":\"");
    if (rc == 0 && !a->stream && t->content.n)
        rc = buf_put(out, t->content.p, t->content.n);
    if (rc == 0)
        rc = buf_str(out, "\"");
    put_list(&w, "tokens", a->stream ? &none : &t->ids);
    put_counts(&w, a, t, ev, u);
    llama_put_timings(&w, u);
    if (a->probs && !a->stream)
        put_list(&w, "completion_probabilities", &t->probs);
    json_out_close(&w, '}');
    return rc < 0 ? rc : json_out_end(&w);
}

/* The value at a path of names with slashes between them; NULL: there is none. */
static json_t *at_path(json_t *v, const char *path)
{
    const char *end;

    for (; v && path; path = end ? end + 1 : NULL) {
        end = strchr(path, '/');
        v = json_object_getn(v, path, end ? (size_t)(end - path) : strlen(path));
    }
    return v;
}

/* Leaves only the fields that were asked for, each under its whole path. */
static int select_fields(const json_t *fields, struct buf *object)
{
    json_t *all = json_loadb(object->p, object->n, JSON_ALLOW_NUL, NULL), *some = json_object();
    const json_t *name;
    struct json_out w;
    size_t i;
    int rc = all && some ? 0 : E_NOMEM;

    json_array_foreach(fields, i, name)
    {
        const char *path = json_string_value(name);
        json_t *v = at_path(all, path);

        if (v && rc == 0 && json_object_set(some, path, v) != 0)
            rc = E_NOMEM;
    }
    buf_clear(object);
    json_out_init(&w, object);
    json_out_value(&w, some);
    json_decref(all);
    json_decref(some);
    return rc < 0 ? rc : json_out_end(&w);
}

static int finish(struct answer *a, const struct gate_event *ev, struct buf *out)
{
    struct part *t = &a->part[ev->choice];
    int rc = put_final(a, t, ev, &t->done);

    if (rc == 0 && a->fields)
        rc = select_fields(a->fields, &t->done);
    buf_done(&t->content);
    buf_done(&t->ids);
    buf_done(&t->probs);
    if (rc < 0 || !a->stream)
        return rc;
    rc = buf_str(out, "data: ");
    if (rc == 0)
        rc = buf_put(out, t->done.p, t->done.n);
    buf_done(&t->done);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

static int end_all(struct answer *a, struct buf *out)
{
    int rc = 0;

    if (a->stream)
        return 0;
    if (a->is_list)
        rc = buf_str(out, "[");
    for (int i = 0; i < a->n && rc == 0; i++) {
        if (i)
            rc = buf_str(out, ",");
        if (rc == 0)
            rc = a->part[i].done.n ? buf_put(out, a->part[i].done.p, a->part[i].done.n)
                                   : buf_str(out, "null");
    }
    if (rc == 0 && a->is_list)
        rc = buf_str(out, "]");
    return rc;
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct answer *a = ctx;

    if (ev->choice < 0 || ev->choice >= a->n)
        return E_INTERNAL;
    switch (ev->kind) {
    case GATE_EV_PREFILL:
        return add_progress(a, ev, out);
    case GATE_EV_START:
        if (ev->usage)
            a->usage = *ev->usage;
        a->ready_ns = clock_ns();
        return 0;
    case GATE_EV_CONTENT:
        return add_text(a, ev, out);
    case GATE_EV_FINISH:
        return finish(a, ev, out);
    case GATE_EV_DONE:
        return end_all(a, out);
    default:
        return 0;
    }
}

static int ping(void *ctx, struct buf *out)
{
    (void)ctx;
    return buf_str(out, ":\n\n");
}

static int fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    int rc = buf_str(out, "data: ");

    (void)param;
    (void)ctx;
    if (rc == 0)
        rc = llama_error(out, err_row(e->code)->http, e, NULL, NULL);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

const struct ask_ops llama_completion_ops = {
    "text/event-stream; charset=utf-8", on_event, ping, fail, NULL, answer_free};
