/* provider.h - one request in, one stream of events out: what every dialect is translated into
 * and what every source of answers understands, the local engine and online ones alike.
 *
 * A dialect (serve/api) fills a gate_request and starts it at a provider. From then on the
 * request is the provider's; events come to the sink in this order, and nothing after the last:
 *
 *     WARNING*  (QUEUED | LOADING | PREFILL)*  START  WARNING*
 *     (REASONING | CONTENT | CALL ARGUMENTS* CALL_END)*  FINISH   for each choice, interleaved
 *     DONE
 *
 * or, at any place, ERROR as the last one. Exactly one of DONE and ERROR comes, whatever
 * happens: also when the call is cancelled (ERROR with E_CANCELLED) or the engine dies.
 * Embeddings and scores: START, then VECTOR or SCORE for each input, then DONE.
 *
 * A call that was begun is completed: who streams arguments has made sure that they are a call.
 * Only where the answer is cut (FINISH with GATE_LENGTH or GATE_STOP, right behind CALL_END)
 * the last one's arguments may be. Calls of one choice do not interleave.
 *
 * Units    times in nanoseconds; counts in tokens; logprobs are natural logarithms
 * Threads  start, cancel, resume, free: any, also within the sink or while it runs: no lock
 *          that they need is held then. The sink is called by one thread at a time, the
 *          provider's, and must not block. start may return before or after the first event
 * Uses     base/; jansson
 */
#ifndef HEARTH_GATE_PROVIDER_H
#define HEARTH_GATE_PROVIDER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>

/* -- the request ------------------------------------------------------------------------- */

enum gate_kind {
    GATE_CHAT,   /* messages */
    GATE_TEXT,   /* prompt, as it stands */
    GATE_INFILL, /* prompt before, suffix behind: the model's own way to fill the middle */
    GATE_EMBED,  /* inputs */
    GATE_RERANK, /* query and inputs */
    GATE_LOAD    /* nothing but having the model ready (keep_alive 0: having it gone) */
};

enum gate_think { GATE_THINK_AUTO, GATE_THINK_OFF, GATE_THINK_ON };
enum gate_choice { GATE_CALL_AUTO, GATE_CALL_REQUIRED, GATE_CALL_NONE };
enum gate_form { GATE_ANY, GATE_JSON, GATE_SCHEMA, GATE_GBNF, GATE_REGEX };

/* What to do with a prompt that is longer than the context. */
enum gate_overflow {
    GATE_REFUSE,   /* E_TOO_LONG with both numbers */
    GATE_TRUNCATE, /* leave out the oldest messages but system ones (a text: its beginning), and
                    * say how many in START */
};

/* "Not given": the model's own value, or the provider's. Floats: NAN. */
#define GATE_UNSET INT32_MIN

/* What of a request can be wrong in a way that only a provider sees. */
enum gate_field {
    GATE_F_MODEL,
    GATE_F_PROMPT, /* messages, input[], documents */
    GATE_F_QUERY,
    GATE_F_SUFFIX,
    GATE_F_TOOLS,
    GATE_F_TOOL_CHOICE,
    GATE_F_THINK,
    GATE_F_FORM,
    GATE_F_CHOICES, /* n_choice */
    GATE_F_DIM,     /* n_dim */
    GATE_F_STOP,
    GATE_F_BIAS,
    GATE_F_EOS,      /* sampling.ignore_eos */
    GATE_F_SAMPLING, /* its name is what stands in front of those in gate_sampling */
    GATE_N_FIELD
};

struct gate_bias {
    int32_t id;      /* -1: by text, each of whose tokens is meant */
    struct str text; /* in the request's memory */
    float bias;      /* -INFINITY: never */
};

struct gate_sampling {
    float temperature, top_p, min_p, typical_p, top_n_sigma;
    float repeat_penalty, presence_penalty, frequency_penalty;
    float dynatemp_range, dynatemp_exponent;
    float xtc_probability, xtc_threshold;
    float dry_multiplier, dry_base;
    int top_k, repeat_last_n, min_keep, dry_allowed_length, dry_last_n;
    uint64_t seed;
    int has_seed; /* 0: a random one */
    int ignore_eos;
    const struct gate_bias *bias;
    size_t n_bias;
};

/* A text, or tokens. */
struct gate_input {
    struct str text;
    const int32_t *ids; /* NULL: text */
    size_t n_id;
};

/* Requests that are one where requests are counted: when the first of them is taken, room for
 * all is. Whoever starts them starts every one, though some be cancelled at once, and keeps
 * this until all have ended. */
struct gate_party {
    size_t n_text;     /* answers that all of them give together */
    int taken, let_in; /* the provider's; 0 at first */
};

struct gate_request {
    struct arena mem; /* owns every pointer here that no other comment gives to somebody else */
    int kind;         /* enum gate_kind */
    struct str model; /* as the client named it */

    /* GATE_CHAT. JSON is owned by the request: who holds a value of it, too, lets go before the
     * request is started, or before its call is freed. Canonical form, checked by the dialect:
     * messages: role system|developer|user|assistant|tool; content a string, null (assistant
     * with calls), or parts {"type":"text","text"} and {"type":"image","data":BASE64,
     * "mime"}; reasoning_content; tool_calls [{"id","type":"function","function":{"name",
     * "arguments":JSON text, which may have been cut, or an object}}]; tool_call_id and name
     * (tool). tools: as OpenAI has them. vars: more variables for the template. */
    json_t *messages, *tools, *vars;
    struct str chat_template; /* the client's own; n 0: the model's */
    int tool_choice;          /* enum gate_choice */
    struct str tool_name;     /* with GATE_CALL_REQUIRED: the one; n 0: any */
    int one_call;             /* at most one call */
    int think;                /* enum gate_think */
    struct str effort;        /* "low", "high", ...; n 0: not given */
    int prefill; /* the last message is the assistant's and is to be gone on with */

    /* The other kinds. */
    const struct gate_input *input; /* GATE_TEXT, GATE_INFILL: one, the prompt. Through
                                     * gate/many.h GATE_TEXT may have more: answer c of prompt
                                     * i is choice i * n_choice + c */
    size_t n_input;
    struct str system;        /* GATE_TEXT by a template (raw 0) */
    int raw;                  /* GATE_TEXT: 1: the text as it stands; 0: as a user's message */
    int no_special;           /* raw text: control tokens in it are not looked for */
    struct str suffix, query; /* GATE_INFILL; GATE_RERANK */
    const struct gate_input *extra; /* GATE_INFILL: other files of the project: */
    const struct str *extra_name;   /* their names */
    size_t n_extra;
    int n_dim;     /* GATE_EMBED: cut vectors to so many numbers; 0: all */
    int normalize; /* GATE_EMBED: 1: to length 1 */

    /* What is wanted. */
    struct gate_sampling sampling;
    const struct str *stop;
    size_t n_stop;
    int n_predict;      /* most tokens; GATE_UNSET, or less than 0: as many as fit; 0: none, the
                         * prompt is computed and kept */
    int n_think;        /* most tokens of reasoning, which is closed then; GATE_UNSET, or less
                         * than 0: as many as it likes */
    uint64_t most_ns;   /* so long after an answer's first token it ends with GATE_LENGTH, once
                         * it has the end of a line; 0: never */
    int n_choice;       /* answers to the same question; 1 */
    int n_logprobs;     /* -1: none; else the chosen token's and so many of the best */
    int want_ids;       /* tokens of text events are wanted, with ids */
    int count_only;     /* 1: nothing is generated; DONE says how long the prompt is */
    int render_only;    /* 1: nothing is generated; CONTENT is the rendered prompt */
    int form;           /* enum gate_form */
    json_t *schema;     /* GATE_SCHEMA: owned by the request */
    struct str grammar; /* GATE_GBNF, GATE_REGEX */

    /* How. */
    int overflow;          /* enum gate_overflow */
    int n_ctx;             /* most tokens of prompt and answer; GATE_UNSET: the model's */
    int priority;          /* higher first; 0 */
    uint64_t tenant;       /* whose request: a fair share for each; pages are not shared between
                            * tenants that the configuration keeps apart */
    int no_cache;          /* 1: prefixes computed before are not used */
    int64_t keep_alive_ns; /* GATE_KEEP_DEFAULT, GATE_KEEP_FOREVER, or how long after it */
    struct gate_party *party; /* not NULL: it is a part of a larger request */
    uint64_t deadline_ns;     /* of the monotonic clock; 0: none. Later it is not begun */
    const char *route;        /* "openai.chat": for metrics; a literal */
    /* How the client calls what messages of errors may name; literals, or the request's. */
    const char *field[GATE_N_FIELD];
};

#define GATE_KEEP_DEFAULT INT64_MIN
#define GATE_KEEP_FOREVER INT64_MAX

/* A request in which nothing is given: NAN and GATE_UNSET, one choice, no logprobs. NULL: no
 * memory. The caller owns it until it is started. */
struct gate_request *gate_request_new(int kind);
void gate_request_free(struct gate_request *q); /* NULL is fine */

/* n bytes as a string of the request, NUL behind it. p NULL: no memory. */
struct str gate_str(struct gate_request *q, const char *p, size_t n);

/* -- the events -------------------------------------------------------------------------- */

enum gate_event_kind {
    GATE_EV_WARNING,   /* text: something that was asked for is done otherwise */
    GATE_EV_QUEUED,    /* n: requests before it */
    GATE_EV_LOADING,   /* done in [0, 1] */
    GATE_EV_PREFILL,   /* n tokens of the prompt of usage.n_prompt are there */
    GATE_EV_START,     /* the request is accepted; usage has the prompt's numbers, name is the
                        * model's full one */
    GATE_EV_REASONING, /* text */
    GATE_EV_CONTENT,   /* text */
    GATE_EV_CALL,      /* a call begins: call, name, id */
    GATE_EV_ARGUMENTS, /* text: more of the arguments' JSON */
    GATE_EV_CALL_END,
    GATE_EV_VECTOR, /* vector[n] of input index */
    GATE_EV_SCORE,  /* score of input index */
    GATE_EV_FINISH, /* the choice is complete: finish, stop; usage of this choice */
    GATE_EV_DONE,   /* the end; usage of all */
    GATE_EV_ERROR   /* the end: err */
};

enum gate_finish {
    GATE_END,    /* the model said that it is done */
    GATE_STOP,   /* a stop string came: `stop` */
    GATE_LENGTH, /* n_predict, or the context is full */
    GATE_CALLS,  /* it ends with calls */
    GATE_FILTER  /* an online provider withheld the rest */
};

struct gate_token {
    int32_t id;
    struct str text; /* its bytes, which may be part of a character */
    float logprob;
    const struct gate_token *top; /* n_top of them, best first */
    size_t n_top;
};

struct gate_usage {
    int n_prompt, n_cached; /* cached ones are part of n_prompt */
    int n_output, n_reasoning;
    int n_drafted, n_accepted;
    int n_ctx;
    int n_dropped, n_dropped_messages; /* GATE_TRUNCATE: what was left out */
    uint64_t queue_ns, load_ns, prompt_ns, output_ns, total_ns;
};

/* 1: an answer that was ended by its length has filled the context. Who also gave n_predict
 * looks at that first: both may be reached at once. */
static inline int gate_context_full(const struct gate_usage *u)
{
    return u->n_ctx > 0 && u->n_prompt + u->n_output >= u->n_ctx;
}

/* Everything is borrowed, for the time of the call. */
struct gate_event {
    int kind;   /* enum gate_event_kind */
    int choice; /* 0 .. n_choice - 1 */
    struct str text;
    const struct gate_token *token; /* REASONING, CONTENT, ARGUMENTS: the tokens that the text
                                     * comes from, when n_logprobs or want_ids asked for them */
    size_t n_token;
    int call; /* number of the call within its choice */
    struct str name, id;
    size_t index;
    const float *vector;
    double score, done;
    int64_t n;
    int finish;      /* enum gate_finish */
    struct str stop; /* the stop string */
    const struct gate_usage *usage;
    const struct err *err;
    const char *param; /* ERROR: one of the request's `field`, or a name made of it: what is
                        * wrong; NULL: nothing that has a name */
};

enum gate_says {
    GATE_MORE = 0,
    GATE_PAUSE = 1, /* nothing more until gate_resume: the reader is slow. What is under way may
                     * still come */
    GATE_STOP_NOW = -1 /* as gate_cancel */
};

typedef int gate_sink(void *ctx, const struct gate_event *ev); /* enum gate_says */

/* -- the provider ------------------------------------------------------------------------ */

struct provider;
struct gate_call; /* a request under way */

struct provider_ops {
    const char *name; /* "local" */
    /* Takes the request over, also when it fails. Fails (then no event comes): E_BUSY the queue
     * is full; E_NOT_FOUND no such model, when that is known at once; E_NOMEM. Everything else
     * is an ERROR event. */
    int (*start)(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                 struct gate_call **out, struct err *e);
    void (*cancel)(struct gate_call *c); /* the last event still comes, soon */
    void (*resume)(struct gate_call *c);
    void (*free)(struct gate_call *c); /* after the last event; also within it */
};

struct provider {
    const struct provider_ops *ops;
};

static inline int gate_start(struct provider *p, struct gate_request *q, gate_sink *sink,
                             void *ctx, struct gate_call **out, struct err *e)
{
    return p->ops->start(p, q, sink, ctx, out, e);
}

#endif
