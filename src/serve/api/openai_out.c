#include "serve/api/openai.h"

#include "base/rng.h"
#include "base/utf8.h"
#include "hearth.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

const char openai_fingerprint[] = "hearth-" HEARTH_VERSION;

void openai_id(char out[OPENAI_ID_MAX], const char *prefix)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char text[25];

    for (int i = 0; i < 24;) {
        uint64_t x = rng_entropy();

        /* Ten letters of 62 take 60 of the 64 bits. */
        for (int k = 0; k < 10 && i < 24; k++) {
            text[i++] = letters[x % 62];
            x /= 62;
        }
    }
    text[24] = '\0';
    (void)snprintf(out, OPENAI_ID_MAX, "%s%s", prefix, text);
}

int64_t openai_now(void)
{
    return (int64_t)time(NULL);
}

int openai_put_head(struct buf *out, int stream, const char *prefix, const char *object,
                    struct str model)
{
    char id[OPENAI_ID_MAX];
    struct json_out w;

    openai_id(id, prefix);
    json_out_init(&w, out);
    if (stream) {
        json_out_raw(&w, str_of("data: "));
        w.comma = 0;
    }
    json_out_open(&w, '{');
    json_out_key(&w, "id");
    json_out_str(&w, id);
    json_out_key(&w, "object");
    json_out_str(&w, object);
    json_out_key(&w, "created");
    json_out_int(&w, openai_now());
    json_out_key(&w, "model");
    json_out_text(&w, model);
    json_out_key(&w, "system_fingerprint");
    json_out_str(&w, openai_fingerprint);
    json_out_key(&w, "choices");
    json_out_raw(&w, str_of("["));
    return json_out_end(&w);
}

const char *openai_finish(int finish)
{
    static const char *const names[] = {[GATE_END] = "stop",
                                        [GATE_STOP] = "stop",
                                        [GATE_LENGTH] = "length",
                                        [GATE_CALLS] = "tool_calls",
                                        [GATE_FILTER] = "content_filter"};

    return names[finish];
}

void openai_put_usage(struct json_out *w, const struct gate_usage *u)
{
    json_out_open(w, '{');
    json_out_key(w, "prompt_tokens");
    json_out_int(w, u->n_prompt);
    json_out_key(w, "completion_tokens");
    json_out_int(w, u->n_output);
    json_out_key(w, "total_tokens");
    json_out_int(w, (int64_t)u->n_prompt + u->n_output);
    json_out_key(w, "prompt_tokens_details");
    json_out_open(w, '{');
    json_out_key(w, "cached_tokens");
    json_out_int(w, u->n_cached);
    json_out_close(w, '}');
    json_out_key(w, "completion_tokens_details");
    json_out_open(w, '{');
    json_out_key(w, "reasoning_tokens");
    json_out_int(w, u->n_reasoning);
    json_out_key(w, "accepted_prediction_tokens");
    json_out_int(w, 0);
    json_out_key(w, "rejected_prediction_tokens");
    json_out_int(w, 0);
    json_out_close(w, '}');
    json_out_close(w, '}');
}

static void put_rate(struct json_out *w, const char *name, int n, uint64_t ns)
{
    char key[40];

    (void)snprintf(key, sizeof(key), "%s_n", name);
    json_out_key(w, key);
    json_out_int(w, n);
    (void)snprintf(key, sizeof(key), "%s_ms", name);
    json_out_key(w, key);
    json_out_double(w, (double)ns / 1e6);
    (void)snprintf(key, sizeof(key), "%s_per_second", name);
    json_out_key(w, key);
    json_out_double(w, ns ? (double)n * 1e9 / (double)ns : 0);
}

/* As llama-server has them. */
void openai_put_timings(struct json_out *w, const struct gate_usage *u)
{
    json_out_open(w, '{');
    json_out_key(w, "cache_n");
    json_out_int(w, u->n_cached);
    put_rate(w, "prompt", u->n_prompt - u->n_cached, u->prompt_ns);
    put_rate(w, "predicted", u->n_output, u->output_ns);
    if (u->n_drafted) {
        json_out_key(w, "draft_n");
        json_out_int(w, u->n_drafted);
        json_out_key(w, "draft_n_accepted");
        json_out_int(w, u->n_accepted);
    }
    json_out_close(w, '}');
}

static void put_token(struct json_out *w, const struct gate_token *t)
{
    json_out_key(w, "token");
    json_out_text(w, t->text);
    json_out_key(w, "logprob");
    json_out_float(w, isfinite(t->logprob) ? t->logprob : -9999.0f);
    json_out_key(w, "bytes");
    json_out_open(w, '[');
    for (size_t i = 0; i < t->text.n; i++)
        json_out_int(w, (unsigned char)t->text.p[i]);
    json_out_close(w, ']');
}

void openai_put_logprobs(struct json_out *w, const struct gate_token *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_out_open(w, '{');
        put_token(w, &t[i]);
        json_out_key(w, "top_logprobs");
        json_out_open(w, '[');
        for (size_t k = 0; k < t[i].n_top; k++) {
            json_out_open(w, '{');
            put_token(w, &t[i].top[k]);
            json_out_close(w, '}');
        }
        json_out_close(w, ']');
        json_out_close(w, '}');
    }
}

/* -- errors ------------------------------------------------------------------------------ */

static const char *type_of(int status)
{
    static const struct {
        int status;
        const char *type;
    } rows[] = {
        {401, "authentication_error"}, {403, "permission_error"}, {429, "rate_limit_error"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].status == status)
            return rows[i].type;
    }
    return status < 500 || status == 501 ? "invalid_request_error" : "server_error";
}

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What the door refuses: a word for each status. NULL: it is not the status that says it. */
static const char *code_of_status(int status)
{
    static const struct {
        int status;
        const char *code;
    } rows[] = {
        {401, "invalid_api_key"},
        {403, "permission_denied"},
        {405, "method_not_allowed"},
        {408, "request_timeout"},
        {413, "request_too_large"},
        {414, "uri_too_long"},
        {415, "unsupported_media_type"},
        {417, "expectation_failed"},
        {421, "misdirected_request"},
        {429, "rate_limit_exceeded"},
        {431, "request_header_fields_too_large"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].status == status)
            return rows[i].code;
    }
    return NULL;
}

/* A word for programs. */
static const char *code_of(int status, const struct err *e)
{
    const char *code = code_of_status(status);

    if (code)
        return code;
    switch (e->code) {
    case E_NOT_FOUND:
        return begins(e->msg, "model ") ? "model_not_found" : "not_found";
    case E_UNSUPPORTED:
        return "unsupported";
    case E_BUSY:
        return "overloaded";
    case E_INVALID:
        return status == 501 ? "not_implemented" : "invalid_value";
    default:
        return err_row(e->code)->type;
    }
}

void openai_put_error(struct json_out *w, int status, const struct err *e, const char *param)
{
    const char *code = code_of(status, e);

    if (!param && code && strcmp(code, "model_not_found") == 0)
        param = "model";
    json_out_open(w, '{');
    json_out_key(w, "message");
    json_out_str(w, e->msg);
    json_out_key(w, "type");
    json_out_str(w, type_of(status));
    json_out_key(w, "param");
    json_out_str(w, param);
    json_out_key(w, "code");
    json_out_str(w, code);
    json_out_close(w, '}');
}

int openai_put_failure(struct buf *out, const struct err *e, const char *param)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_raw(&w, str_of("data: {\"error\":"));
    w.comma = 0;
    openai_put_error(&w, err_row(e->code)->http, e, param);
    w.comma = 0;
    json_out_raw(&w, str_of("}\n\ndata: [DONE]\n\n"));
    return json_out_end(&w);
}

static int put_error(struct buf *out, int status, const struct err *e, const char *param,
                     const char *id)
{
    struct json_out w;

    (void)id;
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "error");
    openai_put_error(&w, status, e, param);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

const struct dialect dialect_openai = {
    .name = "openai",
    .json_type = "application/json; charset=utf-8",
    .error = put_error,
};

int openai_ping(void *ctx, struct buf *out)
{
    (void)ctx;
    return buf_str(out, ": waiting\n\n");
}
