/* What a text is made with: numbers, lengths, stop strings, biases, forms. */
#include "serve/api/openai.h"

#include "base/utf8.h"
#include "serve/config.h"

#include <stdio.h>
#include <stdlib.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

int openai_read_keep_alive(void *into, const json_t *v, struct err *e)
{
    struct openai_in *in = into;
    double s = json_number_value(v);

    if (json_is_string(v)) {
        if (config_duration(json_string_value(v), &in->keep_alive_ns))
            return 0;
        return err_set(e, E_INVALID, "is no duration: expected \"5m\", seconds, or -1");
    }
    if (!json_is_number(v))
        return err_set(e, E_INVALID, "must be a duration: \"5m\", seconds, or -1");
    in->keep_alive_ns = s < 0 || s > 9e9 ? GATE_KEEP_FOREVER : (int64_t)(s * 1e9);
    return 0;
}

int openai_read_retention(void *into, const json_t *v, struct err *e)
{
    static const char *const words[] = {"in-memory", "in_memory", "24h"};

    (void)into; /* what is kept is kept as long as there is room */
    for (size_t i = 0; i < N(words); i++) {
        if (json_is_string(v) && strcmp(json_string_value(v), words[i]) == 0)
            return 0;
    }
    return err_set(e, E_INVALID, "must be \"in-memory\" or \"24h\"");
}

/* -- stop -------------------------------------------------------------------------------- */

static int stop_one(struct openai_parse *p, struct str *out, const json_t *v, const char *param)
{
    struct str text = {json_string_value(v), json_string_length(v)};

    if (!json_is_string(v))
        return openai_bad(p, param, "must be a string");
    if (text.n == 0)
        return openai_bad(p, param, "is empty: every text contains it");
    if (text.n > OPENAI_STOP_BYTES)
        return openai_bad(p, param, "has %zu bytes, expected %d at most", text.n,
                          OPENAI_STOP_BYTES);
    return openai_copy(p, out, text);
}

static int stop_all(struct openai_parse *p, const json_t *v)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    struct str *stop;
    char param[40] = "stop";

    if (n > OPENAI_STOP_MAX)
        return openai_bad(p, "stop", "has %zu strings, expected %d at most", n,
                          OPENAI_STOP_MAX);
    if (!json_is_string(v) && !json_is_array(v))
        return openai_bad(p, "stop", "must be a string or an array of strings");
    stop = arena_calloc(&p->q->mem, n ? n : 1, sizeof(*stop));
    if (!stop)
        return openai_nomem(p);
    for (size_t i = 0; i < n; i++) {
        int rc;

        if (json_is_array(v))
            (void)snprintf(param, sizeof(param), "stop[%zu]", i);
        rc = stop_one(p, &stop[i], json_is_array(v) ? json_array_get(v, i) : v, param);
        if (rc < 0)
            return rc;
    }
    p->q->stop = stop;
    p->q->n_stop = n;
    return 0;
}

/* -- logit_bias ---------------------------------------------------------------------------- */

/* A bias is a number; false: never. */
static int bias_value(struct openai_parse *p, const json_t *v, const char *param, float *out)
{
    double x = json_number_value(v);

    if (json_is_false(v)) {
        *out = -INFINITY;
        return 0;
    }
    if (!json_is_number(v))
        return openai_bad(p, param, "must be a number from -100 to 100");
    if (!(x >= -100 && x <= 100))
        return openai_bad(p, param, "is %.15g, expected -100 to 100", x);
    /* OpenAI: -100 is a ban. */
    *out = x <= -100 ? -INFINITY : (float)x;
    return 0;
}

/* {"1234": -1}: token ids as keys. */
static int bias_object(struct openai_parse *p, const json_t *o, struct gate_bias *out)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        char param[64], *end;
        long id = strtol(key, &end, 10);
        int rc;

        (void)snprintf(param, sizeof(param), "logit_bias.%.40s", key);
        if (*key < '0' || *key > '9' || *end || id > INT32_MAX)
            return openai_bad(p, param, "is not a token's id");
        rc = bias_value(p, v, param, &out->bias);
        if (rc < 0)
            return rc;
        out++->id = (int32_t)id;
    }
    return 0;
}

/* [[1234, -1], ["text", false]]: as llama-server has it. */
static int bias_array(struct openai_parse *p, const json_t *a, struct gate_bias *out)
{
    for (size_t i = 0; i < json_array_size(a); i++, out++) {
        const json_t *pair = json_array_get(a, i), *who = json_array_get(pair, 0);
        char param[64];
        int rc = 0;

        (void)snprintf(param, sizeof(param), "logit_bias[%zu]", i);
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            return openai_bad(p, param, "must be a pair of a token and a number");
        if (json_is_integer(who) && json_integer_value(who) >= 0 &&
            json_integer_value(who) <= INT32_MAX)
            out->id = (int32_t)json_integer_value(who);
        else if (json_is_string(who) && json_string_length(who) > 0)
            rc = openai_copy(p, &out->text,
                             (struct str){json_string_value(who), json_string_length(who)});
        else
            return openai_bad(p, param, "has no token's id or text");
        if (rc == 0 && out->text.n)
            out->id = -1;
        if (rc == 0)
            rc = bias_value(p, json_array_get(pair, 1), param, &out->bias);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int bias(struct openai_parse *p, const json_t *v)
{
    size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v);
    struct gate_bias *out;

    if (!json_is_object(v) && !json_is_array(v))
        return openai_bad(p, "logit_bias", "must be an object of token ids and numbers");
    if (n > OPENAI_BIAS_MAX)
        return openai_bad(p, "logit_bias", "has %zu tokens, expected %d at most", n,
                          OPENAI_BIAS_MAX);
    out = arena_calloc(&p->q->mem, n ? n : 1, sizeof(*out));
    if (!out)
        return openai_nomem(p);
    p->q->sampling.bias = out;
    p->q->sampling.n_bias = n;
    return json_is_object(v) ? bias_object(p, v, out) : bias_array(p, v, out);
}

/* -- forms ----------------------------------------------------------------------------- */

/* One form only: two would have to hold at once. */
static int form(struct openai_parse *p, const char *param, int kind)
{
    if (p->q->form != GATE_ANY)
        return openai_bad(p, param, "cannot be combined with another form of the answer");
    p->q->form = kind;
    return 0;
}

static int schema(struct openai_parse *p, const char *param, const json_t *v)
{
    int rc;

    if (!json_is_object(v) && !json_is_boolean(v))
        return openai_bad(p, param, "must be a JSON Schema: an object");
    rc = form(p, param, GATE_SCHEMA);
    if (rc == 0)
        p->q->schema = json_incref((json_t *)(uintptr_t)v);
    return rc;
}

static int grammar(struct openai_parse *p, const char *param, int kind, struct str text)
{
    int rc = form(p, param, kind);

    return rc < 0 ? rc : openai_copy(p, &p->q->grammar, text);
}

static int put_literal(struct buf *out, struct str text)
{
    static const char hex[] = "0123456789ABCDEF";
    int rc = buf_byte(out, '"');

    for (size_t i = 0; i < text.n && rc == 0; i++) {
        char c = text.p[i];

        if ((unsigned char)c < ' ' || c == '"' || c == '\\' || c == 0x7f)
            rc = buf_fmt(out, "\\x%c%c", hex[(unsigned char)c >> 4], hex[c & 15]);
        else
            rc = buf_byte(out, c);
    }
    return rc < 0 ? rc : buf_byte(out, '"');
}

/* One of some texts: a grammar of literals. */
static int choices(struct openai_parse *p, const json_t *a)
{
    struct buf out;
    int rc;

    buf_init(&out, (size_t)1 << 20);
    rc = buf_str(&out, "root ::= ");
    for (size_t i = 0; i < json_array_size(a) && rc == 0; i++) {
        const json_t *v = json_array_get(a, i);
        char param[40];

        (void)snprintf(param, sizeof(param), "guided_choice[%zu]", i);
        if (!json_is_string(v) || json_string_length(v) == 0) {
            buf_done(&out);
            return openai_bad(p, param, "must be a text that is not empty");
        }
        rc = i ? buf_str(&out, " | ") : 0;
        if (rc == 0)
            rc = put_literal(&out, (struct str){json_string_value(v), json_string_length(v)});
    }
    if (rc == 0)
        rc = grammar(p, "guided_choice", GATE_GBNF, (struct str){out.p, out.n});
    else
        rc = openai_bad(p, "guided_choice", "is too long");
    buf_done(&out);
    return rc;
}

/* What stands in "json_schema", or flat beside the type. */
struct form_in {
    struct str type, name;
    json_t *schema, *inner;
    int strict;
};

static const struct field_row form_rows[] = {
    {.name = "type",
     .type = FIELD_STR,
     .at = offsetof(struct form_in, type),
     .min = 1,
     .flags = FIELD_NEEDED},
    {.name = "json_schema", .type = FIELD_OBJECT, .at = offsetof(struct form_in, inner)},
    {.name = "schema", .type = FIELD_JSON, .at = offsetof(struct form_in, schema)},
    {.name = "name",
     .type = FIELD_STR,
     .at = offsetof(struct form_in, name),
     .min = 1,
     .max = 256},
    {.name = "strict", .type = FIELD_BOOL, .at = offsetof(struct form_in, strict)},
    {.name = "description", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

static const struct field_row inner_rows[] = {
    {.name = "name",
     .type = FIELD_STR,
     .at = offsetof(struct form_in, name),
     .min = 1,
     .max = 256},
    {.name = "schema", .type = FIELD_JSON, .at = offsetof(struct form_in, schema)},
    {.name = "strict", .type = FIELD_BOOL, .at = offsetof(struct form_in, strict)},
    {.name = "description", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

int openai_form(struct openai_parse *p, const json_t *format, const char *param, int flat)
{
    struct form_in in = {0};
    char path[64];
    int rc;

    if (!json_is_object(format))
        return openai_bad(p, param, "must be an object");
    (void)snprintf(path, sizeof(path), "%s.", param);
    rc = field_read(form_rows, N(form_rows), path, format, &in, &p->report, &p->e);
    if (rc == 0 && in.inner && !flat) {
        (void)snprintf(path, sizeof(path), "%s.json_schema.", param);
        rc = field_read(inner_rows, N(inner_rows), path, in.inner, &in, &p->report, &p->e);
    }
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), flat ? "%s.schema" : "%s.json_schema.schema", param);
    if (str_is(in.type, "text"))
        return 0;
    if (str_is(in.type, "json_object"))
        return in.schema ? schema(p, path, in.schema) : form(p, param, GATE_JSON);
    if (str_is(in.type, "json_schema"))
        return in.schema ? schema(p, path, in.schema) : openai_bad(p, path, "is required");
    (void)snprintf(path, sizeof(path), "%s.type", param);
    return openai_bad(p, path, "is '%.40s', expected text, json_object or json_schema",
                      in.type.p);
}

/* vLLM's newer name for its guided_... fields. */
static int structured(struct openai_parse *p)
{
    static const struct field_row rows[] = {
        {.name = "json", .type = FIELD_JSON, .at = OPENAI_AT(guided_json)},
        {.name = "grammar", .type = FIELD_STR, .at = OPENAI_AT(guided_grammar), .min = 1},
        {.name = "regex", .type = FIELD_STR, .at = OPENAI_AT(guided_regex), .min = 1},
        {.name = "choice",
         .type = FIELD_ARRAY,
         .at = OPENAI_AT(guided_choice),
         .min = 1,
         .max = 1024},
        {.name = "json_object",
         .type = FIELD_REFUSED,
         .harmless = "false",
         .why = "is not supported: use response_format"},
        {.name = "structural_tag", .type = FIELD_REFUSED},
    };

    if (!p->in.structured)
        return 0;
    return field_read(rows, N(rows), "structured_outputs.", p->in.structured, &p->in,
                      &p->report, &p->e);
}

/* Where a form comes from, when there is one. */
static const char *form_name(const struct openai_in *in)
{
    return in->json_schema        ? "json_schema"
           : in->structured       ? "structured_outputs"
           : in->guided_json      ? "guided_json"
           : in->grammar.n        ? "grammar"
           : in->guided_grammar.n ? "guided_grammar"
           : in->guided_regex.n   ? "guided_regex"
           : in->guided_choice    ? "guided_choice"
                                  : "response_format";
}

static int forms(struct openai_parse *p)
{
    const struct openai_in *in = &p->in;
    int rc = structured(p);

    p->q->field[GATE_F_FORM] = form_name(in);
    if (rc == 0 && in->response_format)
        rc = openai_form(p, in->response_format, "response_format", 0);
    if (rc == 0 && in->json_schema)
        rc = schema(p, "json_schema", in->json_schema);
    if (rc == 0 && in->guided_json)
        rc = schema(p, "guided_json", in->guided_json);
    if (rc == 0 && in->grammar.n)
        rc = grammar(p, "grammar", GATE_GBNF, in->grammar);
    if (rc == 0 && in->guided_grammar.n)
        rc = grammar(p, "guided_grammar", GATE_GBNF, in->guided_grammar);
    if (rc == 0 && in->guided_regex.n)
        rc = grammar(p, "guided_regex", GATE_REGEX, in->guided_regex);
    if (rc == 0 && in->guided_choice)
        rc = choices(p, in->guided_choice);
    return rc;
}

/* -- all of it ------------------------------------------------------------------------- */

/* stream_options say something of a stream only. */
static int stream_options(struct openai_parse *p)
{
    static const struct field_row rows[] = {
        {.name = "include_usage", .type = FIELD_BOOL, .at = OPENAI_AT(stream_usage)},
        {.name = "include_obfuscation",
         .type = FIELD_WARNED,
         .is = FIELD_IS_BOOL,
         .harmless = "false",
         .why = "has no effect: nothing is added to hide lengths"},
        {.name = "continuous_usage_stats",
         .type = FIELD_WARNED,
         .is = FIELD_IS_BOOL,
         .harmless = "false",
         .why = "has no effect: usage comes once, at the end"},
    };

    if (!p->in.stream_options)
        return 0;
    if (!p->in.stream)
        return openai_bad(p, "stream_options", "is for streams only: set stream to true");
    return field_read(rows, N(rows), "stream_options.", p->in.stream_options, &p->in,
                      &p->report, &p->e);
}

static int lengths(struct openai_parse *p)
{
    struct openai_in *in = &p->in;
    int n = in->max_completion_tokens;

    if (n == GATE_UNSET)
        n = in->max_tokens;
    else if (in->max_tokens != GATE_UNSET && in->max_tokens != n)
        return openai_bad(p, "max_tokens", "differs from max_completion_tokens");
    if (n == GATE_UNSET)
        n = in->n_predict;
    else if (in->n_predict != GATE_UNSET && in->n_predict != n)
        return openai_bad(p, "n_predict", "differs from max_tokens");
    if (n == 0 && p->q->kind == GATE_CHAT)
        return openai_bad(p, in->max_tokens == 0 ? "max_tokens" : "n_predict",
                          "is 0: nothing would be written; /v1/completions takes it, to have a "
                          "prompt computed ahead");
    p->q->n_predict = n;
    p->q->n_ctx = in->n_ctx;
    p->q->most_ns = in->most_ms > 0 ? (uint64_t)in->most_ms * 1000000u : 0;
    return 0;
}

int openai_sampling(struct openai_parse *p)
{
    struct gate_request *q = p->q;
    const struct openai_in *in = &p->in;
    const json_t *seed = json_object_get(p->body, "seed");
    int rc;

    q->sampling = in->sampling;
    q->sampling.has_seed = seed && !json_is_null(seed);
    q->sampling.seed = (uint64_t)in->seed;
    q->no_cache = !in->cache_prompt;
    q->n_choice = in->n;
    rc = lengths(p);
    if (rc == 0)
        rc = stream_options(p);
    if (rc == 0 && in->stop)
        rc = stop_all(p, in->stop);
    if (rc == 0 && in->logit_bias)
        rc = bias(p, in->logit_bias);
    return rc < 0 ? rc : forms(p);
}
