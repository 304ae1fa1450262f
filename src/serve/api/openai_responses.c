/* POST /v1/responses, and what is done with a response that is kept. */
#include "serve/api/openai_responses.h"
#include "serve/api/openai_routes.h"
#include "serve/api/openai_rows.h"
#include "serve/api/openai_store.h"

#include <stdio.h>
#include <stdlib.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct field_row rows[] = {
    ROWS_ALL,
    ROWS_SAMPLING,
    ROW_WARNED("timings_per_token", "false", NULL),
    ROW("input", JSON, input, 0, 0, FIELD_NEEDED),
    ROW("instructions", STR, instructions, 0, 0, 0),
    ROW("max_output_tokens", INT, max_completion_tokens, 1, INT_MAX, FIELD_CLAMP),
    ROW("stream", BOOL, stream, 0, 1, 0),
    ROW("stream_options", OBJECT, stream_options, 0, 0, 0),
    ROW("previous_response_id", STR, previous, 1, 128, 0),
    ROW("store", BOOL, store, 0, 1, 0),
    ROW("tools", ARRAY, tools, 0, OPENAI_TOOL_MAX, 0),
    ROW("tool_choice", JSON, tool_choice, 0, 0, 0),
    ROW("parallel_tool_calls", BOOL, parallel_tool_calls, 0, 1, 0),
    ROW("text", OBJECT, text, 0, 0, 0),
    ROW("reasoning", OBJECT, reasoning, 0, 0, 0),
    ROW("include", ARRAY, include, 0, 0, 0),
    ROW("truncation", STR, truncation, 1, 0, 0),
    ROW("top_logprobs", INT, top_logprobs, 0, OPENAI_TOP_MAX, 0),
    ROW("service_tier", STR, service_tier, 1, 0, 0),
    ROW("metadata", OBJECT, metadata, 0, 0, 0),
    ROW("chat_template_kwargs", OBJECT, template_vars, 0, 0, 0),
    ROW_NOTED("prompt_cache_key"),
    ROW_NOTED("prompt_cache_retention"),
    ROW_NOTED("client_metadata"),
    ROW_WARNED("max_tool_calls", NULL, "has no effect: it is for tools that run on the server"),
    ROW_REFUSED("background", "false", NULL),
    ROW_REFUSED("conversation", NULL, "is not supported: use previous_response_id"),
    ROW_REFUSED("prompt", NULL, "is not supported: send the prompt itself"),
    ROW_REFUSED("context_management", NULL, NULL),
    ROW_REFUSED("moderation", NULL, NULL),
    ROW_REFUSED("max_tokens", NULL, "is not a field of responses: use max_output_tokens"),
    ROW_REFUSED("messages", NULL, "is not a field of responses: use input"),
    ROW_REFUSED("response_format", NULL, "is not a field of responses: use text.format"),
};

/* -- fields ---------------------------------------------------------------------------- */

static int read_text(struct openai_parse *p)
{
    static const struct field_row own[] = {
        ROW("format", JSON, response_format, 0, 0, 0),
        ROW("verbosity", STR, verbosity, 1, 0, 0),
    };
    int rc;

    if (!p->in.text)
        return 0;
    rc = field_read(own, N(own), "text.", p->in.text, &p->in, &p->report, &p->e);
    if (rc == 0 && p->in.verbosity.n && !str_is(p->in.verbosity, "medium"))
        field_warn(&p->report, "text.verbosity has no effect: say it in a message");
    if (rc == 0 && p->in.response_format)
        rc = openai_form(p, p->in.response_format, "text.format", 1);
    p->q->field[GATE_F_FORM] = "text.format";
    return rc;
}

static int read_reasoning(struct openai_parse *p)
{
    static const char plain[] = "has no effect: reasoning comes as it is";
    static const struct field_row own[] = {
        ROW("effort", STR, effort, 1, 0, 0),
        ROW_WARNED("summary", NULL, plain),
        ROW_WARNED("generate_summary", NULL, plain),
    };
    int rc = 0;

    if (p->in.reasoning)
        rc = field_read(own, N(own), "reasoning.", p->in.reasoning, &p->in, &p->report, &p->e);
    if (rc == 0 && p->in.effort.n)
        rc = openai_effort(p, "reasoning.effort", p->in.effort);
    return rc;
}

static int read_include(struct openai_parse *p)
{
    static const char logprobs[] = "message.output_text.logprobs";

    if (p->in.top_logprobs != GATE_UNSET && p->in.top_logprobs > 0)
        p->q->n_logprobs = p->in.top_logprobs;
    for (size_t i = 0; i < json_array_size(p->in.include); i++) {
        const char *word = json_string_value(json_array_get(p->in.include, i));
        char param[40];

        (void)snprintf(param, sizeof(param), "include[%zu]", i);
        if (!word)
            return openai_bad(p, param, "must be a string");
        if (strcmp(word, logprobs) != 0)
            field_warn(&p->report, "%s: '%.64s' has no effect", param, word);
        else if (p->q->n_logprobs < 0)
            p->q->n_logprobs = 0;
    }
    return 0;
}

static int read_rest(struct openai_parse *p)
{
    struct openai_in *in = &p->in;
    const char *key;
    json_t *v;

    if (in->truncation.n && !str_is(in->truncation, "auto") &&
        !str_is(in->truncation, "disabled"))
        return openai_bad(p, "truncation", "is '%.40s', expected auto or disabled",
                          in->truncation.p);
    if (str_is(in->truncation, "auto"))
        p->q->overflow = GATE_TRUNCATE;
    json_object_foreach(in->metadata, key, v)
    {
        if (!json_is_string(v))
            return openai_bad(p, "metadata", "must have strings only ('%.40s' is none)", key);
    }
    if (in->service_tier.n && !str_is(in->service_tier, "auto") &&
        !str_is(in->service_tier, "default"))
        field_warn(&p->report, "service_tier has no effect: there is one");
    if (in->template_vars)
        p->q->vars = json_incref(in->template_vars);
    return 0;
}

/* -- the conversation ------------------------------------------------------------------ */

/* What was said before, if anything. *out is a new reference. */
static int before(struct openai_parse *p, const struct serve *s, const struct call *c,
                  json_t **out)
{
    int rc;

    *out = NULL;
    if (p->in.previous.n && !s->responses)
        return openai_bad(p, "previous_response_id", "is of no use: this server keeps none");
    if (!p->in.previous.n) {
        *out = json_array();
        return *out ? 0 : openai_nomem(p);
    }
    rc = openai_store_talk(s->responses, p->in.previous, c->tenant, out, &p->e);
    if (rc < 0)
        (void)snprintf(p->report.param, sizeof(p->report.param), "previous_response_id");
    return rc;
}

/* All messages of the request; those of this turn go into out->messages, too. */
static int talk(struct openai_parse *p, const struct serve *s, const struct call *c,
                struct openai_response_in *out)
{
    json_t *all;
    size_t n_before;
    int rc = before(p, s, c, &all);

    if (rc < 0)
        return rc;
    n_before = json_array_size(all);
    rc = openai_items(p, p->in.input, all, &out->items);
    out->messages = json_array();
    for (size_t i = n_before; i < json_array_size(all) && rc == 0; i++) {
        if (json_array_append(out->messages, json_array_get(all, i)) != 0)
            rc = openai_nomem(p);
    }
    if (rc == 0 && p->in.instructions.n &&
        json_array_insert_new(all, 0,
                              json_pack("{s:s,s:s%}", "role", "system", "content",
                                        p->in.instructions.p, p->in.instructions.n)) != 0)
        rc = openai_nomem(p);
    if (rc < 0)
        json_decref(all);
    else
        p->q->messages = all;
    return rc;
}

/* -- the object ------------------------------------------------------------------------ */

static json_t *or_null(json_t *v)
{
    return v ? json_incref(v) : json_null();
}

/* A field as the request has it. */
static json_t *said(const struct openai_parse *p, const char *name)
{
    return or_null(json_object_get(p->body, name));
}

/* The object as far as the request says it: in the order of the API's own. */
static json_t *base(const struct openai_parse *p, const struct openai_response_in *in)
{
    const struct openai_in *i = &p->in;
    json_t *format = i->response_format ? json_incref(i->response_format)
                                        : json_pack("{s:s}", "type", "text");

    return json_pack(
        "{s:s,s:s,s:I,s:s,s:b,s:n,s:n,s:n,s:o,s:o,s:s%,s:[],s:b,s:o,s:{s:o,s:n},s:s,s:b,s:o,"
        "s:{s:o},s:o,s:o,s:o,s:o,s:s,s:n,s:o,s:O*,s:O*,s:o}",
        "id", in->id, "object", "response", "created_at", (json_int_t)openai_now(), "status",
        "in_progress", "background", 0, "completed_at", "error", "incomplete_details",
        "instructions", said(p, "instructions"), "max_output_tokens",
        said(p, "max_output_tokens"), "model", i->model.p, i->model.n, "output",
        "parallel_tool_calls", i->parallel_tool_calls, "previous_response_id",
        said(p, "previous_response_id"), "reasoning", "effort",
        i->effort.n ? json_stringn(i->effort.p, i->effort.n) : json_null(), "summary",
        "service_tier", "default", "store", in->store != NULL, "temperature",
        said(p, "temperature"), "text", "format", format, "tool_choice",
        i->tool_choice ? json_incref(i->tool_choice) : json_string("auto"), "tools",
        i->tools ? json_incref(i->tools) : json_array(), "top_logprobs",
        i->top_logprobs == GATE_UNSET ? json_integer(0) : json_integer(i->top_logprobs),
        "top_p", said(p, "top_p"), "truncation",
        p->q->overflow == GATE_TRUNCATE ? "auto" : "disabled", "usage", "user", said(p, "user"),
        "safety_identifier", json_object_get(p->body, "safety_identifier"), "prompt_cache_key",
        json_object_get(p->body, "prompt_cache_key"), "metadata",
        i->metadata ? json_incref(i->metadata) : json_object());
}

/* -- the request ----------------------------------------------------------------------- */

static int parse(struct openai_parse *p, const struct serve *s, const struct call *c,
                 struct openai_response_in *out)
{
    int rc = openai_sampling(p);

    p->q->field[GATE_F_PROMPT] = "input";
    if (rc == 0)
        rc = read_text(p);
    if (rc == 0)
        rc = openai_tools(p, p->in.tools, p->in.tool_choice, 1);
    if (rc == 0)
        rc = read_reasoning(p);
    if (rc == 0)
        rc = read_include(p);
    if (rc == 0)
        rc = read_rest(p);
    return rc < 0 ? rc : talk(p, s, c, out);
}

/* 1: it is kept: asked for, or not said otherwise, and possible. */
static int is_kept(struct openai_parse *p, const struct serve *s)
{
    int asked = json_is_true(json_object_get(p->body, "store"));

    if (json_is_false(json_object_get(p->body, "store")))
        return 0;
    if (asked && !s->responses)
        field_warn(&p->report, "store has no effect: this server keeps no responses");
    return s->responses != NULL;
}

static void drop(struct openai_response_in *in)
{
    json_decref(in->base);
    json_decref(in->items);
    json_decref(in->messages);
    json_decref(in->spaces);
}

static int answer(struct openai_parse *p, const struct serve *s, const struct call *c,
                  struct openai_response_in *in, struct openai_response **out)
{
    int rc;

    in->store = is_kept(p, s) ? s->responses : NULL;
    in->tenant = c->tenant;
    in->stream = p->in.stream;
    in->logprobs = p->q->n_logprobs >= 0;
    in->spaces = json_incref(p->spaces);
    openai_id(in->id, "resp_");
    in->base = base(p, in);
    if (!in->base)
        return openai_nomem(p);
    in->previous = json_object_get(in->base, "previous_response_id");
    rc = openai_response_new(out, in);
    *in = (struct openai_response_in){0};
    return rc < 0 ? openai_nomem(p) : 0;
}

void openai_responses(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct openai_response_in in = {0};
    struct openai_response *out = NULL;

    if (!openai_begin(&p, s, c, GATE_CHAT, "openai.responses", rows, N(rows)))
        return;
    if (parse(&p, s, c, &in) < 0 || answer(&p, s, c, &in, &out) < 0) {
        drop(&in);
        openai_refuse(&p, c);
    } else {
        openai_start(&p, s, c, &openai_response_ops, out);
    }
}

/* -- how long an input is -------------------------------------------------------------- */

void openai_responses_count(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct openai_response_in in = {0};
    int rc;

    if (!openai_begin(&p, s, c, GATE_CHAT, "openai.input_tokens", rows, N(rows)))
        return;
    rc = parse(&p, s, c, &in);
    drop(&in);
    if (rc < 0) {
        openai_refuse(&p, c);
        return;
    }
    openai_count(&p, s, c);
}
