/* llama_prompt.c - the forms that a prompt can have: a string, ids, both mixed, or a list of
 * such prompts.
 */
#include "serve/api/llama.h"

#include "serve/local.h"
#include "text/tok_ids.h"

#include <stdio.h>
#include <string.h>

static int has(const json_t *list, int (*what)(const json_t *j))
{
    const json_t *j;
    size_t i;

    json_array_foreach(list, i, j)
    {
        if (what(j))
            return 1;
    }
    return 0;
}

static int is_string(const json_t *j)
{
    return json_is_string(j);
}

static int is_integer(const json_t *j)
{
    return json_is_integer(j);
}

static int put_id(struct llama_parse *p, const char *at, const json_t *v, struct tok_ids *ids)
{
    json_int_t id = json_integer_value(v);

    if (!json_is_integer(v) || id < 0 || id >= LLAMA_ID_MAX)
        return err_set(&p->e, E_INVALID, "%s: expected ids of tokens, 0 or more, and strings",
                       at);
    return tok_ids_put(ids, (int32_t)id) < 0 ? llama_nomem(p) : 0;
}

/* Strings become tokens; one that comes first gets what the model wants in front. tok NULL:
 * there are none. */
static int put_ids(struct llama_parse *p, const char *at, const json_t *list,
                   const struct tok *tok, struct tok_ids *ids)
{
    const json_t *j;
    size_t i;
    int rc = 0;

    json_array_foreach(list, i, j)
    {
        if (json_is_string(j) && tok)
            rc = tok_encode(tok, json_string_value(j), json_string_length(j),
                            TOK_PARSE_SPECIAL | (i == 0 ? TOK_ADD_SPECIAL : 0), ids, &p->e);
        else
            rc = put_id(p, at, j, ids);
        if (rc < 0)
            break;
    }
    return rc;
}

/* With the model's tokenizer, which may have to be loaded. */
static int put_mixed(struct llama_parse *p, const char *at, const json_t *list,
                     struct tok_ids *ids)
{
    struct local_model *m = NULL;
    int rc = local_hold(p->s->local, p->q->model, &m, &p->e);

    if (rc < 0)
        return rc;
    rc = local_tok(m) ? put_ids(p, at, list, local_tok(m), ids)
                      : err_set(&p->e, E_UNSUPPORTED, "%s: the model has no tokenizer", at);
    local_let_go(m);
    return rc;
}

int llama_ids(struct llama_parse *p, const char *at, const json_t *list, struct gate_input *out)
{
    struct tok_ids ids = {0};
    int32_t *copy;
    int rc =
        has(list, is_string) ? put_mixed(p, at, list, &ids) : put_ids(p, at, list, NULL, &ids);

    if (rc == 0 && ids.n == 0)
        rc = err_set(&p->e, E_INVALID, "%s is empty", at);
    copy = rc < 0 ? NULL : arena_calloc(&p->q->mem, ids.n, sizeof(*copy));
    if (copy) {
        memcpy(copy, ids.id, ids.n * sizeof(*copy));
        out->ids = copy;
        out->n_id = ids.n;
    } else if (rc == 0) {
        rc = llama_nomem(p);
    }
    tok_ids_done(&ids);
    return rc;
}

static int put_text(struct llama_parse *p, const json_t *v, struct gate_input *out)
{
    out->text = gate_str(p->q, json_string_value(v), json_string_length(v));
    return out->text.p ? 0 : llama_nomem(p);
}

/* {"prompt_string": ..., "multimodal_data": [...]} */
static int put_object(struct llama_parse *p, const char *at, const json_t *o,
                      struct gate_input *out)
{
    static const struct field_row rows[] = {
        {.name = "prompt_string", .type = FIELD_STR, .flags = FIELD_NEEDED},
        {.name = "multimodal_data",
         .type = FIELD_REFUSED,
         .why = "is not supported: send images to /v1/chat/completions"},
    };
    struct str text;
    char path[48];
    int rc;

    (void)snprintf(path, sizeof(path), "%.40s.", at);
    rc = field_read(rows, sizeof(rows) / sizeof(*rows), path, o, &text, &p->r, &p->e);
    if (rc < 0)
        return rc;
    out->text = gate_str(p->q, text.p, text.n);
    return out->text.p ? 0 : llama_nomem(p);
}

static int put_prompt(struct llama_parse *p, const char *at, const json_t *v,
                      struct gate_input *out)
{
    if (json_is_string(v))
        return put_text(p, v, out);
    if (json_is_array(v))
        return llama_ids(p, at, v, out);
    if (json_is_object(v))
        return put_object(p, at, v, out);
    return err_set(&p->e, E_INVALID, "%s must be a string, an array of ids, or a list of such",
                   at);
}

int llama_prompt(struct llama_parse *p, const char *name, const json_t *prompt, int *is_list)
{
    const json_t *one;
    struct gate_input *input;
    size_t n, i;
    int rc = 0;

    *is_list = json_is_array(prompt) && !has(prompt, is_integer);
    n = *is_list ? json_array_size(prompt) : 1;
    if (n < 1 || n > LLAMA_PROMPTS_MAX)
        return err_set(&p->e, E_INVALID, "%s has %zu items, expected 1 to %d", name, n,
                       LLAMA_PROMPTS_MAX);
    if (n * (size_t)p->q->n_choice > LLAMA_PROMPTS_MAX)
        return err_set(&p->e, E_INVALID, "prompt and n_cmpl ask for %zu answers, at most %d",
                       n * (size_t)p->q->n_choice, LLAMA_PROMPTS_MAX);
    input = arena_calloc(&p->q->mem, n, sizeof(*input));
    if (!input)
        return llama_nomem(p);
    p->q->input = input;
    p->q->n_input = n;
    p->q->field[GATE_F_PROMPT] = name;
    if (!*is_list)
        return put_prompt(p, name, prompt, input);
    json_array_foreach(prompt, i, one)
    {
        char at[40];

        (void)snprintf(at, sizeof(at), "%.8s.%zu", name, i);
        rc = put_prompt(p, at, one, &input[i]);
        if (rc < 0)
            break;
    }
    return rc;
}

/* A string, or an object with one. */
static int put_document(struct llama_parse *p, const char *name, size_t i, const json_t *v,
                        struct gate_input *out)
{
    static const struct field_row row = {
        .name = "text", .type = FIELD_STR, .flags = FIELD_NEEDED};
    struct str text = {json_string_value(v), json_string_length(v)};
    char path[48];
    int rc = 0;

    (void)snprintf(path, sizeof(path), "%.16s.%zu.", name, i);
    if (json_is_object(v))
        rc = field_read(&row, 1, path, v, &text, &p->r, &p->e);
    if (rc == 0 && !text.p)
        rc = err_set(&p->e, E_INVALID, "%s.%zu must be a string", name, i);
    if (rc < 0)
        return rc;
    out->text = gate_str(p->q, text.p, text.n);
    return out->text.p ? 0 : llama_nomem(p);
}

int llama_texts(struct llama_parse *p, const char *name, const json_t *list)
{
    size_t n = json_array_size(list), i;
    struct gate_input *input = arena_calloc(&p->q->mem, n, sizeof(*input));
    const json_t *j;
    int rc = 0;

    if (!input)
        return llama_nomem(p);
    json_array_foreach(list, i, j)
    {
        rc = put_document(p, name, i, j, &input[i]);
        if (rc < 0)
            break;
    }
    p->q->input = input;
    p->q->n_input = n;
    p->q->field[GATE_F_PROMPT] = name;
    return rc;
}
