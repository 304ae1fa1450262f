/* llama_list.c - fields of /completion that are lists. */
#include "serve/api/llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STOP_N = 64, STOP_LEN = 1024 };

static int set_stop(struct llama_parse *p, struct str *out, const json_t *j)
{
    size_t n = json_string_length(j);

    if (n < 1 || n > STOP_LEN)
        return err_set(&p->e, E_INVALID, "stop: each must be a string of 1 to %d bytes",
                       STOP_LEN);
    *out = gate_str(p->q, json_string_value(j), n);
    return out->p ? 0 : llama_nomem(p);
}

int llama_stop(struct llama_parse *p)
{
    const json_t *stop = p->in.stop, *j;
    size_t n = json_is_string(stop) ? 1 : json_array_size(stop), i;
    struct str *list;
    int rc = 0;

    if (!json_is_string(stop) && !json_is_array(stop))
        return err_set(&p->e, E_INVALID, "stop must be an array of strings");
    if (n > STOP_N)
        return err_set(&p->e, E_INVALID, "stop has %zu items, expected %d at most", n, STOP_N);
    list = arena_calloc(&p->q->mem, n, sizeof(*list));
    if (!list)
        return llama_nomem(p);
    if (json_is_string(stop))
        rc = set_stop(p, list, stop);
    json_array_foreach(stop, i, j)
    {
        if (rc == 0)
            rc = set_stop(p, &list[i], j);
    }
    p->q->stop = list;
    p->q->n_stop = n;
    return rc;
}

/* -- logit_bias ------------------------------------------------------------------------ */

/* What a token gets: a number, or false for never. */
static int read_bias(struct llama_parse *p, const json_t *v, float *out)
{
    double x = json_number_value(v);

    if (json_is_false(v)) {
        *out = -INFINITY;
        return 0;
    }
    if (!json_is_number(v) || !(fabs(x) <= 1e6))
        return err_set(&p->e, E_INVALID,
                       "logit_bias: expected a number or false for each token");
    *out = (float)x;
    return 0;
}

static int read_token(struct llama_parse *p, const json_t *v, struct gate_bias *out)
{
    json_int_t id = json_integer_value(v);

    if (json_string_length(v)) {
        out->id = -1;
        out->text = gate_str(p->q, json_string_value(v), json_string_length(v));
        return out->text.p ? 0 : llama_nomem(p);
    }
    if (!json_is_integer(v) || id < 0 || id >= LLAMA_ID_MAX)
        return err_set(&p->e, E_INVALID, "logit_bias: expected a token's id or its text");
    out->id = (int32_t)id;
    return 0;
}

static int bias_of_array(struct llama_parse *p, struct gate_bias *list)
{
    const json_t *pair;
    size_t i;
    int rc = 0;

    json_array_foreach(p->in.bias, i, pair)
    {
        if (json_array_size(pair) != 2)
            rc = err_set(&p->e, E_INVALID, "logit_bias: expected pairs, [token, number]");
        if (rc == 0)
            rc = read_token(p, json_array_get(pair, 0), &list[i]);
        if (rc == 0)
            rc = read_bias(p, json_array_get(pair, 1), &list[i].bias);
        if (rc < 0)
            break;
    }
    return rc;
}

/* A key that is a number is an id, as everywhere; others are text. */
static int bias_of_object(struct llama_parse *p, struct gate_bias *list)
{
    const char *key;
    json_t *v;
    size_t i = 0;
    int rc = 0;

    json_object_foreach(p->in.bias, key, v)
    {
        char *end;
        long id = strtol(key, &end, 10);
        int is_id = *key >= '0' && *key <= '9' && !*end;

        if (!*key || (is_id && id >= LLAMA_ID_MAX)) {
            rc = err_set(&p->e, E_INVALID, "logit_bias: '%.40s' is no token's id or text", key);
        } else if (is_id) {
            list[i].id = (int32_t)id;
        } else {
            list[i].id = -1;
            list[i].text = gate_str(p->q, key, strlen(key));
            if (!list[i].text.p)
                rc = llama_nomem(p);
        }
        if (rc == 0)
            rc = read_bias(p, v, &list[i++].bias);
        if (rc < 0)
            break;
    }
    return rc;
}

int llama_bias(struct llama_parse *p)
{
    const json_t *bias = p->in.bias;
    size_t n = json_is_array(bias) ? json_array_size(bias) : json_object_size(bias);
    struct gate_bias *list;

    if (!json_is_array(bias) && !json_is_object(bias))
        return err_set(&p->e, E_INVALID, "logit_bias must be an array of pairs, or an object");
    if (n > LLAMA_BIAS_MAX)
        return err_set(&p->e, E_INVALID, "logit_bias has %zu items, expected %d at most", n,
                       LLAMA_BIAS_MAX);
    list = arena_calloc(&p->q->mem, n, sizeof(*list));
    if (!list)
        return llama_nomem(p);
    p->q->sampling.bias = list;
    p->q->sampling.n_bias = n;
    return json_is_array(bias) ? bias_of_array(p, list) : bias_of_object(p, list);
}

int llama_check_response_fields(struct llama_parse *p)
{
    const json_t *j;
    size_t i;

    json_array_foreach(p->in.fields, i, j)
    {
        if (!json_string_length(j))
            return err_set(&p->e, E_INVALID,
                           "response_fields: expected names of fields of the answer");
    }
    return 0;
}
