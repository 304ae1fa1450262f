/* llama_embed.c - POST /embedding: a vector for each text, brought to whatever length is asked
 * for.
 */
#include "serve/api/llama.h"

#include "base/mem.h"

#include <math.h>

#define ANSWER_MAX ((size_t)512 << 20)

enum { NORM_NONE = -1, NORM_MAX = 0, NORM_TAXICAB = 1, NORM_L2 = 2, NORM_MOST = 64 };

#define NORM_MAX_IS 32760.0 /* what the greatest number becomes: nearly all of 16 bits */

#define AT(f) .at = offsetof(struct llama_in, f)

static const struct field_row rows[] = {
    {.name = "model", .type = FIELD_STR, AT(model), .max = 600},
    {.name = "content", .type = FIELD_JSON, AT(prompt)},
    {.name = "input", .type = FIELD_JSON, AT(texts)},
    {.name = "embd_normalize", .type = FIELD_INT, AT(norm), .min = NORM_NONE, .max = NORM_MOST},
    {.name = "cache_prompt", .type = FIELD_NOTED, .is = FIELD_IS_BOOL},
    {.name = "encoding_format", .type = FIELD_REFUSED, .harmless = "\"float\""},
    {.name = "image_data", .type = FIELD_REFUSED},
    {.name = "user", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

struct answer {
    struct buf *vector; /* [n] JSON of each */
    size_t n;
    int norm;
};

static void answer_free(void *ctx)
{
    struct answer *a = ctx;

    if (!a)
        return;
    for (size_t i = 0; a->vector && i < a->n; i++)
        buf_done(&a->vector[i]);
    mem_free(a->vector);
    mem_free(a);
}

static struct answer *answer_new(const struct llama_parse *p)
{
    struct answer *a = mem_calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->n = p->q->n_input;
    a->norm = p->in.norm;
    a->vector = mem_calloc(a->n, sizeof(*a->vector));
    if (!a->vector) {
        mem_free(a);
        return NULL;
    }
    for (size_t i = 0; i < a->n; i++)
        buf_init(&a->vector[i], ANSWER_MAX);
    return a;
}

/* By what each number is divided. */
static double length(const float *v, int64_t n, int norm)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        double x = fabs((double)v[i]);

        if (norm == NORM_MAX)
            sum = x > sum ? x : sum;
        else
            sum += norm == NORM_TAXICAB ? x : pow(x, norm);
    }
    if (norm == NORM_MAX)
        return sum / NORM_MAX_IS;
    return norm == NORM_TAXICAB ? sum : pow(sum, 1.0 / norm);
}

static int add_vector(struct answer *a, const struct gate_event *ev)
{
    struct json_out w;
    double by = 1;

    if (ev->index >= a->n)
        return E_INTERNAL;
    if (a->norm != NORM_NONE && a->norm != NORM_L2)
        by = length(ev->vector, ev->n, a->norm);
    buf_clear(&a->vector[ev->index]);
    json_out_init(&w, &a->vector[ev->index]);
    json_out_open(&w, '[');
    for (int64_t i = 0; i < ev->n; i++)
        json_out_float(&w, by > 0 ? (float)((double)ev->vector[i] / by) : 0);
    json_out_close(&w, ']');
    return json_out_end(&w);
}

static int put_all(const struct answer *a, struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_open(&w, '[');
    for (size_t i = 0; i < a->n; i++) {
        json_out_open(&w, '{');
        json_out_key(&w, "index");
        json_out_int(&w, (int64_t)i);
        json_out_key(&w, "embedding");
        json_out_open(&w, '[');
        if (a->vector[i].n)
            json_out_raw(&w, (struct str){a->vector[i].p, a->vector[i].n});
        json_out_close(&w, ']');
        json_out_close(&w, '}');
    }
    json_out_close(&w, ']');
    return json_out_end(&w);
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct answer *a = ctx;

    if (ev->kind == GATE_EV_VECTOR)
        return add_vector(a, ev);
    return ev->kind == GATE_EV_DONE ? put_all(a, out) : 0;
}

static const struct ask_ops ops = {.event = on_event, .free = answer_free};

void llama_embedding(struct serve *s, struct call *c)
{
    struct llama_parse p;
    struct answer *a = NULL;
    int is_list, rc = 0;

    if (!llama_begin(&p, s, c, GATE_EMBED, "llama.embedding", rows,
                     sizeof(rows) / sizeof(*rows)))
        return;
    if (!p.in.prompt == !p.in.texts)
        rc = err_set(&p.e, E_INVALID, "content is required; or input, which means the same");
    if (rc == 0)
        rc = p.in.prompt ? llama_prompt(&p, "content", p.in.prompt, &is_list)
                         : llama_prompt(&p, "input", p.in.texts, &is_list);
    if (rc == 0) {
        p.q->normalize = p.in.norm == NORM_L2;
        a = answer_new(&p);
        rc = a ? 0 : llama_nomem(&p);
    }
    if (rc == 0)
        llama_start(&p, &ops, a);
    else
        llama_refuse(&p);
}
