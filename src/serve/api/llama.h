/* llama.h - llama-server's own dialect: what its files share.
 *
 *   llama.c         routes, errors
 *   llama_body.c    /completion and /infill: a body into a gate_request
 *   llama_list.c    fields that are lists: stop, logit_bias, response_fields
 *   llama_prompt.c  the forms that a prompt can have
 *   llama_write.c   events into an answer, or into chunks of a stream
 *   llama_put.c     the parts of these: timings, probabilities, settings
 *   llama_token.c   /tokenize, /detokenize
 *   llama_chat.c    /apply-template
 *   llama_embed.c   /embedding
 *   llama_rank.c    /rerank
 *   llama_model.c   which model is meant
 *   llama_look.c    /props, /slots, /lora-adapters
 *
 * These paths come without "/v1". Clients know them from a server with one model, so `model`
 * may be left out where it is clear which one is meant.
 *
 * Uses     base/, gate/provider.h, serve/
 */
#ifndef HEARTH_SERVE_API_LLAMA_H
#define HEARTH_SERVE_API_LLAMA_H

#include "gate/provider.h"
#include "serve/ask.h"
#include "serve/json_out.h"

enum {
    LLAMA_N_ROUTE = 17,
    LLAMA_PROMPTS_MAX = 1024, /* prompts of one request */
    LLAMA_TEXTS_MAX = 4096,   /* that are embedded or ranked */
    LLAMA_PROBS_MAX = 100,    /* n_probs */
    LLAMA_CHOICES_MAX = 128,
    LLAMA_BIAS_MAX = 4096,
    LLAMA_ID_MAX = 1 << 28 /* ids of tokens are below */
};

extern const struct route llama_routes[LLAMA_N_ROUTE];

/* What a body says, but for what is in the request already. */
struct llama_in {
    struct str model, grammar, prefix, suffix;
    json_t *prompt, *stop, *bias, *fields, *schema, *extra;
    struct gate_sampling sampling;
    int64_t seed, most_ms;
    int n_predict, n_choice, n_probs, id_slot, top_k;
    int stream, cache_prompt, return_tokens, timings_per_token, return_progress;
    /* /embedding, /rerank */
    struct str query;
    json_t *documents, *texts;
    int norm, top_n, return_text;
};

/* A body on its way. */
struct llama_parse {
    struct serve *s;
    struct call *c;
    json_t *body;
    struct llama_in in;
    struct gate_request *q; /* NULL once it was given away */
    struct field_report r;
    struct err e;
};

/* Reads the call's body by rows into p->in and makes a request of that kind for the model that
 * is meant. 1, or 0 and the call is answered. Later: llama_end. */
int llama_begin(struct llama_parse *p, struct serve *s, struct call *c, int kind,
                const char *route, const struct field_row *rows, size_t n);
void llama_end(struct llama_parse *p);
/* Answers with p->e, then llama_end. */
void llama_refuse(struct llama_parse *p);
/* Starts the request, then llama_end; ctx is taken over. */
void llama_start(struct llama_parse *p, const struct ask_ops *ops, void *ctx);
int llama_nomem(struct llama_parse *p); /* fails */

/* -- fields ---------------------------------------------------------------------------- */

/* Lists into p->q. Fail: E_INVALID with the field's place in p->e. */
MUST_CHECK int llama_stop(struct llama_parse *p);
MUST_CHECK int llama_bias(struct llama_parse *p);
MUST_CHECK int llama_check_response_fields(struct llama_parse *p);

/* What a field of that name says, into p->q->input: a string; ids and strings mixed; or a list
 * of such, and then *is_list is 1. */
MUST_CHECK int llama_prompt(struct llama_parse *p, const char *name, const json_t *prompt,
                            int *is_list);
/* An array of ids and strings as ids; the strings are read by the model's tokenizer. */
MUST_CHECK int llama_ids(struct llama_parse *p, const char *at, const json_t *list,
                         struct gate_input *out);

/* A list of strings, or of objects that have "text", into p->q->input. */
MUST_CHECK int llama_texts(struct llama_parse *p, const char *name, const json_t *list);

/* Which model: the one that is named, else the only one that is loaded, else the only one there
 * is. Fails: E_INVALID saying what to do. */
MUST_CHECK int llama_model(struct serve *s, const struct call *c, struct str named,
                           struct str *out, struct arena *mem, struct err *e);

/* Which model is looked at: the same, but of several that are loaded the one that was asked for
 * last, and where that leaves none or several out->n is 0. Fails: E_NOT_FOUND the named one;
 * E_IO; E_NOMEM. */
MUST_CHECK int llama_model_seen(struct serve *s, const struct call *c, struct str named,
                                struct str *out, struct arena *mem, struct err *e);

/* -- answers --------------------------------------------------------------------------- */

extern const struct ask_ops llama_completion_ops;
/* For p->q; NULL: no memory. llama_completion_ops.free frees it. */
void *llama_answer_new(const struct llama_parse *p, int is_list);

void llama_put_timings(struct json_out *w, const struct gate_usage *u);
void llama_put_probs(struct json_out *w, const struct gate_token *t, size_t n);
/* The sampling that was asked for; what is the model's own is null. */
void llama_put_settings(struct json_out *w, const struct gate_request *q, int stream);

MUST_CHECK int llama_error(struct buf *out, int status, const struct err *e, const char *param,
                           const char *id);

/* -- handlers -------------------------------------------------------------------------- */

void llama_completion(struct serve *s, struct call *c);
void llama_infill(struct serve *s, struct call *c);
void llama_tokenize(struct serve *s, struct call *c);
void llama_detokenize(struct serve *s, struct call *c);
void llama_apply_template(struct serve *s, struct call *c);
void llama_embedding(struct serve *s, struct call *c);
void llama_rerank(struct serve *s, struct call *c);
void llama_props(struct serve *s, struct call *c);
void llama_slots(struct serve *s, struct call *c);
void llama_adapters(struct serve *s, struct call *c);

#endif
