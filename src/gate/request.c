/* request.c - making and unmaking requests. */
#include "gate/provider.h"

#include "base/mem.h"

#include <string.h>

#define REQUEST_MAX ((size_t)256 << 20) /* bytes that one request may hold */

struct gate_request *gate_request_new(int kind)
{
    static const char *const names[GATE_N_FIELD] = {
        [GATE_F_MODEL] = "model",     [GATE_F_QUERY] = "query",
        [GATE_F_SUFFIX] = "suffix",   [GATE_F_TOOLS] = "tools",
        [GATE_F_THINK] = "think",     [GATE_F_TOOL_CHOICE] = "tool_choice",
        [GATE_F_FORM] = "format",     [GATE_F_CHOICES] = "n",
        [GATE_F_DIM] = "dimensions",  [GATE_F_STOP] = "stop",
        [GATE_F_BIAS] = "logit_bias", [GATE_F_SAMPLING] = "",
        [GATE_F_EOS] = "ignore_eos"};
    static const char *const prompts[] = {
        [GATE_CHAT] = "messages", [GATE_TEXT] = "prompt",      [GATE_INFILL] = "prompt",
        [GATE_EMBED] = "input",   [GATE_RERANK] = "documents", [GATE_LOAD] = "prompt"};
    struct gate_request *q = mem_calloc(1, sizeof(*q));

    if (!q)
        return NULL;
    arena_init(&q->mem, REQUEST_MAX);
    q->kind = kind;
    q->sampling = (struct gate_sampling){
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .typical_p = NAN,
        .top_n_sigma = NAN,
        .repeat_penalty = NAN,
        .presence_penalty = NAN,
        .frequency_penalty = NAN,
        .dynatemp_range = NAN,
        .dynatemp_exponent = NAN,
        .xtc_probability = NAN,
        .xtc_threshold = NAN,
        .dry_multiplier = NAN,
        .dry_base = NAN,
        .top_k = GATE_UNSET,
        .repeat_last_n = GATE_UNSET,
        .min_keep = GATE_UNSET,
        .dry_allowed_length = GATE_UNSET,
        .dry_last_n = GATE_UNSET,
    };
    q->n_predict = GATE_UNSET;
    q->n_think = GATE_UNSET;
    q->n_ctx = GATE_UNSET;
    q->n_choice = 1;
    q->n_logprobs = -1;
    q->keep_alive_ns = GATE_KEEP_DEFAULT;
    q->route = "other";
    memcpy(q->field, names, sizeof(names));
    q->field[GATE_F_PROMPT] = prompts[kind];
    return q;
}

void gate_request_free(struct gate_request *q)
{
    if (!q)
        return;
    json_decref(q->messages);
    json_decref(q->tools);
    json_decref(q->vars);
    json_decref(q->schema);
    arena_done(&q->mem);
    mem_free(q);
}

struct str gate_str(struct gate_request *q, const char *p, size_t n)
{
    char *copy = arena_strdup(&q->mem, (struct str){p, n});

    return (struct str){copy, copy ? n : 0};
}
