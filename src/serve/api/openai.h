/* openai.h - what the endpoints of OpenAI's dialect share: the body as rows read it, and the
 * steps from there to a gate_request.
 *
 * An endpoint is a table of rows, a function that makes a request of what they read, and
 * ask_ops that write the answer. What a field means here, and which are refused, docs/API.md
 * says; a field is added there as well as in its table.
 *
 * Threads  a parse belongs to its handler; what writes an answer, to whom ask.h says
 * Uses     base/, gate/provider.h, serve/
 */
#ifndef HEARTH_SERVE_API_OPENAI_H
#define HEARTH_SERVE_API_OPENAI_H

#include "gate/provider.h"
#include "serve/ask.h"
#include "serve/field.h"
#include "serve/json_out.h"
#include "serve/serve.h"

#include <stddef.h>

enum {
    OPENAI_STOP_MAX = 16,       /* strings; OpenAI's own limit is 4 */
    OPENAI_STOP_BYTES = 1024,   /* of one of them */
    OPENAI_TOOL_MAX = 1024,     /* tools of a request */
    OPENAI_BIAS_MAX = 4096,     /* tokens with a bias */
    OPENAI_CHOICE_MAX = 128,    /* answers to one question */
    OPENAI_TOP_MAX = 20,        /* top_logprobs */
    OPENAI_INPUT_MAX = 2048,    /* inputs of /v1/embeddings */
    OPENAI_DOCUMENT_MAX = 4096, /* of /v1/rerank */
    OPENAI_ID_MAX = 48
};

/* What rows read into. Each endpoint uses some of it. */
struct openai_in {
    struct str model;
    int stream, stream_usage; /* stream_usage: stream_options.include_usage */
    json_t *stream_options;
    struct gate_sampling sampling;
    int64_t seed, most_ms;
    int n_think;
    int max_tokens, max_completion_tokens, n_predict, n, best_of;
    json_t *stop, *logit_bias;
    int64_t keep_alive_ns;
    int cache_prompt, n_ctx, store;
    struct str service_tier, verbosity;
    /* forms */
    json_t *response_format, *json_schema, *guided_json, *guided_choice, *structured;
    struct str grammar, guided_grammar, guided_regex;
    /* chat */
    json_t *messages, *tools, *tool_choice, *template_vars, *reasoning;
    int parallel_tool_calls, logprobs, top_logprobs, continue_final, add_prompt, timings;
    struct str effort;
    /* completions */
    json_t *prompt;
    struct str suffix;
    int echo;
    /* embeddings, rerank */
    json_t *input, *documents;
    struct str encoding_format, query;
    int dimensions, top_n, return_documents;
    /* responses */
    struct str instructions, previous, truncation;
    json_t *include, *text, *metadata;
};

/* A body on its way to a request. */
struct openai_parse {
    struct gate_request *q; /* the request so far; NULL once it was given away */
    struct openai_in in;
    json_t *body;
    json_t *spaces; /* functions of namespaces, by the names that the model knows:
                       {"a.f": {"namespace":"a","name":"f"}}; or NULL */
    struct field_report report;
    struct err e;
};

#define OPENAI_AT(field) offsetof(struct openai_in, field)

/* Reads the call's body by rows into a new request of that kind, with what all endpoints share.
 * Without a model it is the one that can only be meant, as in llama.h. 1, or 0 and the call is
 * answered. Later the caller calls openai_end, or openai_refuse. */
int openai_begin(struct openai_parse *p, struct serve *s, struct call *c, int kind,
                 const char *route, const struct field_row *rows, size_t n);
void openai_end(struct openai_parse *p);
/* Answers with p->e, and ends. */
void openai_refuse(struct openai_parse *p, struct call *c);
/* Starts the request; ctx is taken over, and the parse is ended. */
void openai_start(struct openai_parse *p, struct serve *s, struct call *c,
                  const struct ask_ops *ops, void *ctx);
/* Starts it as a question: how many tokens its prompt has. */
void openai_count(struct openai_parse *p, struct serve *s, struct call *c);

/* Fails with E_INVALID about a field: "param why". */
int openai_bad(struct openai_parse *p, const char *param, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
int openai_unsupported(struct openai_parse *p, const char *param, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
int openai_nomem(struct openai_parse *p);
/* A copy in the request's memory. Fails: E_NOMEM in p->e. */
MUST_CHECK int openai_copy(struct openai_parse *p, struct str *out, struct str text);

/* -- openai_sampling.c: what a text is made with ------------------------------------------- */

/* FIELD_CALL: a duration as Ollama has it. */
int openai_read_keep_alive(void *into, const json_t *v, struct err *e);

/* What p->in says of sampling, lengths, stop strings and forms, into p->q. */
MUST_CHECK int openai_sampling(struct openai_parse *p);
/* {"type":"text"|"json_object"|"json_schema",...}. flat: name, schema and strict stand in it,
 * else in its "json_schema". */
MUST_CHECK int openai_form(struct openai_parse *p, const json_t *format, const char *param,
                           int flat);

/* -- openai_input.c: texts and tokens -------------------------------------------------- */

/* "text", ["text", ...], [1, 2], or [[1, 2], ...] into p->q->input, at most `most` of them.
 * empty 1: a text may be "". */
MUST_CHECK int openai_input(struct openai_parse *p, const char *param, const json_t *v,
                            size_t most, int empty);

/* -- openai_tools.c ------------------------------------------------------------------------ */

/* tools and tool_choice into p->q, and p->spaces. flat: as /v1/responses has them, without
 * "function", and some in namespaces. */
MUST_CHECK int openai_tools(struct openai_parse *p, const json_t *tools, const json_t *choice,
                            int flat);

/* -- openai_messages.c --------------------------------------------------------------------- */

/* messages as the API has them into p->q->messages, the form of gate/provider.h. */
MUST_CHECK int openai_messages(struct openai_parse *p, const json_t *messages);
/* A data: URL as a part of a message. *out is a new reference. */
MUST_CHECK int openai_image(struct openai_parse *p, const char *param, struct str url,
                            json_t **out);
/* Arguments of a call as a JSON string; "" is {}. A warning says that a text is no object. */
MUST_CHECK int openai_arguments(struct openai_parse *p, const char *param, const json_t *v,
                                json_t **out);
/* "none", "low", ... into p->q. */
MUST_CHECK int openai_effort(struct openai_parse *p, const char *param, struct str effort);

/* -- openai_out.c: what answers are written with --------------------------------------- */

/* prefix and 24 letters and digits that nobody can guess. */
void openai_id(char out[OPENAI_ID_MAX], const char *prefix);
int64_t openai_now(void); /* seconds since 1970 */
/* What stands before the choices of an answer or of each chunk of a stream: an id that begins
 * with prefix, the object's name, time and model, and the bracket. Fails: E_NOMEM. */
MUST_CHECK int openai_put_head(struct buf *out, int stream, const char *prefix,
                               const char *object, struct str model);
const char *openai_finish(int finish); /* enum gate_finish */
void openai_put_usage(struct json_out *w, const struct gate_usage *u);
void openai_put_timings(struct json_out *w, const struct gate_usage *u);
/* {"content":[...],"refusal":null} of tokens; only the items when `items`. */
void openai_put_logprobs(struct json_out *w, const struct gate_token *t, size_t n);
/* {"message","type","param","code"} */
void openai_put_error(struct json_out *w, int status, const struct err *e, const char *param);
/* data: {"error":...}, then data: [DONE]: clients raise at the first, or stop at the second. */
MUST_CHECK int openai_put_failure(struct buf *out, const struct err *e, const char *param);
/* A comment, which clients of event streams skip. */
MUST_CHECK int openai_ping(void *ctx, struct buf *out);
extern const char openai_fingerprint[];

#endif
