/* local_sample.c - how tokens are to be chosen: the request, then the model, then the defaults.
 */
#include "serve/local_priv.h"

#include "base/rng.h"
#include "infer/engine.h"
#include "infer/stop.h"
#include "text/tok_ids.h"

#include <limits.h>

enum kind { NUMBER, COUNT };

struct row {
    const char *name; /* in the model's parameters */
    int kind;
    size_t from, to; /* in gate_sampling; in sampler_options */
};

#define ROW(kind, name)                                                                        \
    {                                                                                          \
#name, kind, offsetof(struct gate_sampling, name),                                     \
            offsetof(struct sampler_options, name)                                             \
    }

static const struct row rows[] = {
    ROW(NUMBER, temperature),
    ROW(NUMBER, top_p),
    ROW(NUMBER, min_p),
    ROW(NUMBER, typical_p),
    ROW(NUMBER, repeat_penalty),
    ROW(NUMBER, presence_penalty),
    ROW(NUMBER, frequency_penalty),
    ROW(NUMBER, top_n_sigma),
    ROW(NUMBER, dynatemp_range),
    ROW(NUMBER, dynatemp_exponent),
    ROW(NUMBER, xtc_probability),
    ROW(NUMBER, xtc_threshold),
    ROW(NUMBER, dry_multiplier),
    ROW(NUMBER, dry_base),
    ROW(COUNT, dry_allowed_length),
    ROW(COUNT, dry_last_n),
    ROW(COUNT, min_keep),
    ROW(COUNT, top_k),
    ROW(COUNT, repeat_last_n),
};

enum { N_ROW = (int)(sizeof(rows) / sizeof(rows[0])) };

static void take_number(const struct row *r, const struct gate_sampling *from,
                        const json_t *param, struct sampler_options *to)
{
    float *out = (float *)(void *)((char *)to + r->to);
    float v = *(const float *)(const void *)((const char *)from + r->from);

    if (!isnan(v))
        *out = v;
    else if (json_is_number(param))
        *out = (float)json_number_value(param);
}

static void take_count(const struct row *r, const struct gate_sampling *from,
                       const json_t *param, struct sampler_options *to)
{
    int *out = (int *)(void *)((char *)to + r->to);
    int v = *(const int *)(const void *)((const char *)from + r->from);
    json_int_t p = json_is_integer(param) ? json_integer_value(param) : INT_MAX;

    if (v != GATE_UNSET)
        *out = v;
    else if (p < INT_MAX && p > INT_MIN)
        *out = (int)p;
}

static void take_seed(const struct local_call *c, struct sampler_options *o)
{
    const json_t *seed = json_object_get(c->m->sm.params, "seed");

    if (c->q->sampling.has_seed)
        o->seed = c->q->sampling.seed;
    else if (json_is_integer(seed) && json_integer_value(seed) >= 0)
        o->seed = (uint64_t)json_integer_value(seed);
    else
        o->seed = rng_entropy();
}

/* The tokens that a bias is for: one, or those that write its text. */
static int bias_ids(const struct local_call *c, const struct gate_bias *b, struct tok_ids *ids,
                    struct err *e)
{
    const struct tok *tok = infer_tok(c->m->en->model);

    ids->n = 0;
    if (b->id >= c->m->en->info.n_vocab)
        return err_set(e, E_INVALID, "%s: token %d: the model has %d",
                       local_field(c, GATE_F_BIAS), (int)b->id, c->m->en->info.n_vocab);
    if (b->id >= 0)
        return tok_ids_put(ids, b->id) < 0 ? err_set(e, E_NOMEM, "no memory for a bias") : 0;
    if (!tok)
        return err_set(e, E_UNSUPPORTED, "%s: this model's tokenizer is not known here",
                       local_field(c, GATE_F_BIAS));
    return tok_encode(tok, b->text.p, b->text.n, 0, ids, e);
}

/* Adds the bias for each of its tokens; v has room for *cap of them. */
static int add_bias(struct arena *mem, struct sampler_bias **v, size_t *n, size_t *cap,
                    const struct tok_ids *ids, float bias)
{
    if (*n + ids->n > *cap) {
        size_t more = 2 * (*n + ids->n) + 32;
        struct sampler_bias *p = arena_alloc(mem, more * sizeof(*p));

        if (!p)
            return E_NOMEM;
        if (*n)
            memcpy(p, *v, *n * sizeof(*p));
        *v = p;
        *cap = more;
    }
    for (size_t i = 0; i < ids->n; i++)
        (*v)[(*n)++] = (struct sampler_bias){ids->id[i], bias};
    return 0;
}

static int take_bias(const struct local_call *c, struct sched_request *r, struct err *e)
{
    const struct gate_sampling *s = &c->q->sampling;
    struct sampler_bias *v = NULL;
    struct tok_ids ids = {0};
    size_t n = 0, cap = 0;
    int rc = 0;

    for (size_t i = 0; i < s->n_bias && rc == 0; i++) {
        rc = bias_ids(c, &s->bias[i], &ids, e);
        if (rc == 0 && add_bias(&c->q->mem, &v, &n, &cap, &ids, s->bias[i].bias) < 0)
            rc = err_set(e, E_NOMEM, "no memory for %zu biases", s->n_bias);
    }
    tok_ids_done(&ids);
    r->bias = v;
    r->n_bias = n;
    return rc;
}

/* Ends of turns of the fallback's form of a conversation. */
static const char *const plain_stops[] = {"\nUser:", "\nuser:", "\nTool:"};

enum { N_PLAIN = (int)(sizeof(plain_stops) / sizeof(plain_stops[0])) };

static int add_stop(const char **v, size_t *n, const char *s, struct err *e)
{
    if (!s)
        return err_set(e, E_NOMEM, "no memory for stop strings");
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(v[i], s) == 0)
            return 0;
    }
    v[(*n)++] = s;
    return 0;
}

static int take_stops(const struct local_call *c, struct sched_request *r, struct err *e)
{
    const struct gate_request *q = c->q;
    const json_t *own = json_object_get(c->m->sm.params, "stop"), *s;
    int is_chat = q->kind == GATE_CHAT || (q->kind == GATE_TEXT && !q->raw);
    const char *field = local_field(c, GATE_F_STOP);
    size_t n = 0, i, most = q->n_stop + json_array_size(own) + N_PLAIN + 1;
    const char **v;
    int rc = 0;

    if (q->n_stop > STOP_MAX)
        return err_set(e, E_INVALID, "%s: %zu strings; at most %d", field, q->n_stop, STOP_MAX);
    v = arena_alloc(&c->q->mem, most * sizeof(*v));
    if (!v)
        return err_set(e, E_NOMEM, "no memory for stop strings");
    for (i = 0; i < q->n_stop && rc == 0; i++) {
        if (!q->stop[i].n || memchr(q->stop[i].p, 0, q->stop[i].n))
            return err_set(e, E_INVALID, "%s: an empty text, or one with a NUL", field);
        if (q->stop[i].n > STOP_LEN_MAX)
            return err_set(e, E_INVALID, "%s: a text of %zu bytes; at most %d", field,
                           q->stop[i].n, STOP_LEN_MAX);
        rc = add_stop(v, &n, arena_strdup(&c->q->mem, q->stop[i]), e);
    }
    json_array_foreach(own, i, s)
    {
        if (rc == 0 && json_is_string(s) && json_string_length(s) && is_chat)
            rc = add_stop(v, &n, json_string_value(s), e);
    }
    for (i = 0; i < N_PLAIN && rc == 0 && is_chat && c->m->plain; i++)
        rc = add_stop(v, &n, plain_stops[i], e);
    r->stop = v;
    r->n_stop = (int)n;
    return rc;
}

int local_blame_sampling(struct local_call *c, int rc, const struct err *e)
{
    const struct gate_sampling *s = &c->q->sampling;
    const char *front = local_field(c, GATE_F_SAMPLING);

    for (int i = 0; i < N_ROW && rc == E_INVALID; i++) {
        size_t n = strlen(rows[i].name), n_front = strlen(front);
        const char *at = (const char *)s + rows[i].from;
        int given = rows[i].kind == NUMBER ? !isnan(*(const float *)(const void *)at)
                                           : *(const int *)(const void *)at != GATE_UNSET;
        char *name;

        if (!given || strncmp(e->msg, rows[i].name, n) != 0 || e->msg[n] != ' ')
            continue;
        name = arena_alloc(&c->q->mem, n_front + n + 1);
        if (name)
            (void)snprintf(name, n_front + n + 1, "%s%s", front, rows[i].name);
        c->blamed = name;
        break;
    }
    return rc;
}

int local_sample(struct local_call *c, struct sched_request *r, struct err *e)
{
    const struct gate_request *q = c->q;
    const json_t *params = c->m->sm.params, *n = json_object_get(params, "num_predict");
    int rc;

    sampler_defaults(&r->sampling);
    for (int i = 0; i < N_ROW; i++) {
        const json_t *param = json_object_get(params, rows[i].name);

        if (rows[i].kind == NUMBER)
            take_number(&rows[i], &q->sampling, param, &r->sampling);
        else
            take_count(&rows[i], &q->sampling, param, &r->sampling);
    }
    take_seed(c, &r->sampling);
    r->n_predict = q->n_predict;
    r->prompt_only = q->n_predict == 0;
    if (q->n_predict == GATE_UNSET)
        r->n_predict = json_is_integer(n) && json_integer_value(n) < INT_MAX
                           ? (int)json_integer_value(n)
                           : -1;
    if (r->n_predict < 0)
        r->n_predict = 0;
    r->most_ns = q->most_ns;
    r->n_ctx = local_n_ctx(c);
    r->n_logprobs = q->n_logprobs;
    r->ignore_eog = q->sampling.ignore_eos;
    r->priority = q->priority;
    r->share = q->tenant;
    r->deadline_ns = q->deadline_ns;
    r->no_cache = q->no_cache;
    r->salt = local_salt(c);
    rc = local_blame(c, GATE_F_BIAS, take_bias(c, r, e));
    return rc < 0 ? rc : local_blame(c, GATE_F_STOP, take_stops(c, r, e));
}
