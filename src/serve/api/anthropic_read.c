/* anthropic_read.c - the body of POST /v1/messages and of /v1/messages/count_tokens.
 *
 * What is not given is the model's own: its Modelfile's parameters, its template's way to
 * think.
 */
#include "serve/api/anthropic.h"

#include <math.h>
#include <string.h>

enum { BUDGET_MIN = 1024, STOP_MAX_N = 64, STOP_MAX_LEN = 1024 };

struct body {
    struct str model;
    json_t *messages, *system, *tools, *choice, *thinking, *config, *format, *stops;
    float temperature, top_p;
    int top_k, max_tokens, stream;
};

#define AT(field) .at = offsetof(struct body, field)

static const struct field_row body_rows[] = {
    {.name = "model",
     .type = FIELD_STR,
     AT(model),
     .min = 1,
     .max = 600,
     .flags = FIELD_NEEDED},
    {.name = "messages", .type = FIELD_ARRAY, AT(messages), .min = 1, .flags = FIELD_NEEDED},
    {.name = "max_tokens",
     .type = FIELD_INT,
     AT(max_tokens),
     .min = 1,
     .max = INT32_MAX,
     .flags = FIELD_CLAMP},
    {.name = "system", .type = FIELD_JSON, AT(system)},
    {.name = "stream", .type = FIELD_BOOL, AT(stream)},
    {.name = "temperature", .type = FIELD_FLOAT, AT(temperature), .min = 0, .max = 1},
    {.name = "top_p", .type = FIELD_FLOAT, AT(top_p), .min = 0, .max = 1, .flags = FIELD_ABOVE},
    {.name = "top_k",
     .type = FIELD_INT,
     AT(top_k),
     .min = 0,
     .max = INT32_MAX,
     .flags = FIELD_CLAMP},
    {.name = "stop_sequences", .type = FIELD_ARRAY, AT(stops), .max = STOP_MAX_N},
    {.name = "tools", .type = FIELD_ARRAY, AT(tools)},
    {.name = "tool_choice", .type = FIELD_OBJECT, AT(choice)},
    {.name = "thinking", .type = FIELD_OBJECT, AT(thinking)},
    {.name = "output_config", .type = FIELD_OBJECT, AT(config)},
    {.name = "output_format", .type = FIELD_OBJECT, AT(format)}, /* its older place */
    {.name = "metadata", .type = FIELD_NOTED},
    {.name = "cache_control", .type = FIELD_NOTED}, /* prefixes are kept anyway */
    {.name = "service_tier", .type = FIELD_NOTED},  /* there is one */
    {.name = "inference_geo", .type = FIELD_NOTED}, /* it is this machine */
    {.name = "anthropic_beta", .type = FIELD_NOTED},
    {.name = "betas", .type = FIELD_NOTED},
    {.name = "user_profile_id", .type = FIELD_NOTED},
    {.name = "workspace_id", .type = FIELD_NOTED},
    {.name = "diagnostics", .type = FIELD_WARNED},
    {.name = "speed", .type = FIELD_REFUSED, .harmless = "\"standard\""},
    {.name = "container",
     .type = FIELD_REFUSED,
     .why = "is not supported: no code is run here"},
    {.name = "mcp_servers",
     .type = FIELD_REFUSED,
     .why = "is not supported: connect to them yourself and pass their tools on in tools"},
    {.name = "context_management",
     .type = FIELD_WARNED,
     .harmless = "{\"edits\":[]}|"
                 "{\"edits\":[{\"type\":\"clear_thinking_20251015\",\"keep\":\"all\"}]}",
     .why = "is not applied: the conversation is taken as it is sent"},
};

/* -- thinking ------------------------------------------------------------------------------ */

struct thinking {
    struct str type, display;
    int budget;
};

static const struct field_row thinking_rows[] = {
    {.name = "type",
     .type = FIELD_STR,
     .at = offsetof(struct thinking, type),
     .flags = FIELD_NEEDED},
    {.name = "budget_tokens",
     .type = FIELD_INT,
     .at = offsetof(struct thinking, budget),
     .min = BUDGET_MIN,
     .max = INT32_MAX},
    {.name = "display", .type = FIELD_STR, .at = offsetof(struct thinking, display)},
};

static int read_thinking(struct gate_request *q, const struct body *b,
                         struct anthropic_wish *wish, struct field_report *r, struct err *e)
{
    struct thinking t = {0};
    int rc = field_read(thinking_rows, sizeof(thinking_rows) / sizeof(*thinking_rows),
                        "thinking.", b->thinking, &t, r, e);

    if (rc < 0)
        return rc;
    if (t.display.n && !str_is(t.display, "summarized") && !str_is(t.display, "omitted"))
        return err_set(e, E_INVALID,
                       "thinking.display: '%.*s' is neither summarized nor omitted",
                       (int)t.display.n, t.display.p);
    wish->hide_thinking = str_is(t.display, "omitted");
    if (str_is(t.type, "disabled")) {
        q->think = GATE_THINK_OFF;
        return 0;
    }
    if (str_is(t.type, "adaptive")) {
        q->think = GATE_THINK_AUTO;
        return 0;
    }
    if (!str_is(t.type, "enabled"))
        return err_set(e, E_INVALID,
                       "thinking.type: '%.*s' is none of enabled, disabled, adaptive",
                       (int)t.type.n, t.type.p);
    if (!t.budget)
        return err_set(e, E_INVALID, "thinking.budget_tokens is required when it is enabled");
    if (b->max_tokens && t.budget >= b->max_tokens)
        return err_set(e, E_INVALID,
                       "thinking.budget_tokens is %d, expected less than max_tokens, %d",
                       t.budget, b->max_tokens);
    q->think = GATE_THINK_ON;
    q->n_think = t.budget;
    return 0;
}

/* -- what the answer is to be -------------------------------------------------------------- */

struct config {
    struct str effort;
    json_t *format;
};

static const struct field_row config_rows[] = {
    {.name = "effort", .type = FIELD_STR, .at = offsetof(struct config, effort)},
    {.name = "format", .type = FIELD_OBJECT, .at = offsetof(struct config, format)},
    {.name = "task_budget", .type = FIELD_WARNED, .why = "is not enforced"},
};

struct format {
    struct str type;
    json_t *schema;
};

static const struct field_row format_rows[] = {
    {.name = "type",
     .type = FIELD_STR,
     .at = offsetof(struct format, type),
     .flags = FIELD_NEEDED},
    {.name = "schema",
     .type = FIELD_OBJECT,
     .at = offsetof(struct format, schema),
     .flags = FIELD_NEEDED},
    {.name = "name", .type = FIELD_NOTED},
};

static int read_format(struct gate_request *q, const char *path, const json_t *j,
                       struct field_report *r, struct err *e)
{
    struct format f = {0};
    int rc =
        field_read(format_rows, sizeof(format_rows) / sizeof(*format_rows), path, j, &f, r, e);

    if (rc < 0)
        return rc;
    if (!str_is(f.type, "json_schema"))
        return err_set(e, E_INVALID, "%stype: '%.*s' is not json_schema", path, (int)f.type.n,
                       f.type.p);
    if (q->schema)
        return err_set(e, E_INVALID,
                       "output_format and output_config.format say the same; send one");
    q->form = GATE_SCHEMA;
    q->schema = json_incref(f.schema);
    return 0;
}

static int read_effort(struct gate_request *q, struct str effort, struct field_report *r,
                       struct err *e)
{
    static const char *const levels[] = {"low", "medium", "high"};

    if (str_is(effort, "xhigh") || str_is(effort, "max")) {
        field_warn(r, "output_config.effort: '%s' is taken as 'high'",
                   str_is(effort, "max") ? "max" : "xhigh");
        effort = str_of("high");
    }
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (str_is(effort, levels[i])) {
            q->effort = str_of(levels[i]);
            return 0;
        }
    }
    return err_set(e, E_INVALID,
                   "output_config.effort: '%.*s' is none of low, medium, high, xhigh, max",
                   (int)effort.n, effort.p);
}

static int read_config(struct gate_request *q, const json_t *j, struct field_report *r,
                       struct err *e)
{
    struct config c = {0};
    int rc = field_read(config_rows, sizeof(config_rows) / sizeof(*config_rows),
                        "output_config.", j, &c, r, e);

    if (rc == 0 && c.effort.p)
        rc = read_effort(q, c.effort, r, e);
    if (rc == 0 && c.format)
        rc = read_format(q, "output_config.format.", c.format, r, e);
    return rc;
}

static int read_stops(struct gate_request *q, const json_t *stops, struct err *e)
{
    size_t n = json_array_size(stops), i;
    struct str *list = arena_calloc(&q->mem, n, sizeof(*list));
    const json_t *s;

    if (!list)
        return err_set(e, E_NOMEM, "no memory for stop_sequences");
    json_array_foreach(stops, i, s)
    {
        size_t len = json_string_length(s);

        if (len < 1 || len > STOP_MAX_LEN)
            return err_set(e, E_INVALID,
                           "stop_sequences.%zu: must be a string of 1 to %d bytes", i,
                           STOP_MAX_LEN);
        list[i] = gate_str(q, json_string_value(s), len);
        if (!list[i].p)
            return err_set(e, E_NOMEM, "no memory for stop_sequences");
    }
    q->stop = list;
    q->n_stop = n;
    return 0;
}

/* -- all of it ----------------------------------------------------------------------------- */

static int read_parts(struct gate_request *q, const struct body *b, struct anthropic_wish *wish,
                      struct field_report *r, struct err *e)
{
    int rc = anthropic_talk(q, b->system, b->messages, r, e);

    if (rc == 0)
        rc = anthropic_tools(q, b->tools, b->choice, r, e);
    if (rc == 0 && b->thinking)
        rc = read_thinking(q, b, wish, r, e);
    if (rc == 0 && b->config)
        rc = read_config(q, b->config, r, e);
    if (rc == 0 && b->format)
        rc = read_format(q, "output_format.", b->format, r, e);
    if (rc == 0 && b->stops)
        rc = read_stops(q, b->stops, e);
    return rc;
}

int anthropic_read(struct gate_request *q, const json_t *body, struct anthropic_wish *wish,
                   struct field_report *r, struct err *e)
{
    struct body b = {.temperature = NAN, .top_p = NAN, .top_k = GATE_UNSET};
    int rc = field_read(body_rows, sizeof(body_rows) / sizeof(*body_rows), "", body, &b, r, e);

    if (rc < 0)
        return rc;
    if (!b.max_tokens && !q->count_only)
        return err_set(e, E_INVALID, "max_tokens is required");
    q->field[GATE_F_STOP] = "stop_sequences";
    q->field[GATE_F_THINK] = "thinking";
    q->field[GATE_F_FORM] = b.format ? "output_format" : "output_config.format";
    q->model = gate_str(q, b.model.p, b.model.n);
    if (!q->model.p)
        return err_set(e, E_NOMEM, "no memory for a request");
    if (b.max_tokens)
        q->n_predict = b.max_tokens;
    q->sampling.temperature = b.temperature;
    q->sampling.top_p = b.top_p;
    q->sampling.top_k = b.top_k;
    wish->stream = b.stream;
    wish->max_tokens = b.max_tokens;
    return read_parts(q, &b, wish, r, e);
}
