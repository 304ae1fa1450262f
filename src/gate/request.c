/* request.c - making and unmaking requests. */
#include "gate/provider.h"

#include "base/mem.h"

#include <string.h>

#define REQUEST_MAX ((size_t)256 << 20) /* bytes that one request may hold */

struct gate_request *gate_request_new(int kind)
{
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
    q->n_ctx = GATE_UNSET;
    q->n_choice = 1;
    q->n_logprobs = -1;
    q->keep_alive_ns = GATE_KEEP_DEFAULT;
    q->route = "other";
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
