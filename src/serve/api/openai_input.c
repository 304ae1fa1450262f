/* Inputs that are no conversation: texts, or tokens. */
#include "serve/api/openai.h"

#include <stdio.h>

static int ids(struct openai_parse *p, const char *param, const json_t *a,
               struct gate_input *out)
{
    size_t n = json_array_size(a);
    int32_t *id;

    if (n == 0)
        return openai_bad(p, param, "is empty");
    id = arena_calloc(&p->q->mem, n, sizeof(*id));
    if (!id)
        return openai_nomem(p);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(a, i);

        if (!json_is_integer(v))
            return openai_bad(p, param, "mixes tokens with other things (item %zu)", i);
        if (json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return openai_bad(p, param, "has %lld, which is no token (item %zu)",
                              (long long)json_integer_value(v), i);
        id[i] = (int32_t)json_integer_value(v);
    }
    *out = (struct gate_input){.ids = id, .n_id = n};
    return 0;
}

static int one(struct openai_parse *p, const char *param, const json_t *v, int empty,
               struct gate_input *out)
{
    if (json_is_array(v))
        return ids(p, param, v, out);
    if (!json_is_string(v))
        return openai_bad(p, param, "must be a string or an array of tokens");
    if (json_string_length(v) == 0 && !empty)
        return openai_bad(p, param, "is empty");
    return openai_copy(p, &out->text,
                       (struct str){json_string_value(v), json_string_length(v)});
}

int openai_input(struct openai_parse *p, const char *param, const json_t *v, size_t most,
                 int empty)
{
    const json_t *first = json_array_get(v, 0);
    int single = json_is_string(v) || (json_is_array(v) && json_is_integer(first));
    size_t n = single ? 1 : json_array_size(v);
    struct gate_input *input;
    char place[64];
    int rc = 0;

    if (!json_is_string(v) && !json_is_array(v))
        return openai_bad(p, param, "must be a string, an array of strings, or tokens");
    if (n == 0)
        return openai_bad(p, param, "is empty");
    if (n > most)
        return openai_bad(p, param, "has %zu items, expected %zu at most", n, most);
    input = arena_calloc(&p->q->mem, n, sizeof(*input));
    if (!input)
        return openai_nomem(p);
    p->q->input = input;
    p->q->n_input = n;
    p->q->field[GATE_F_PROMPT] = param;
    if (single)
        return one(p, param, v, empty, input);
    for (size_t i = 0; i < n && rc == 0; i++) {
        (void)snprintf(place, sizeof(place), "%.40s[%zu]", param, i);
        rc = one(p, place, json_array_get(v, i), empty, &input[i]);
    }
    return rc;
}
