#include "model/adapter.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* What is collected before the model changes: a row for each matrix that an adapter adds to. */
struct pair {
    struct weight *w;
    struct lora lora;
};

struct reading {
    struct model *m;
    const struct gguf *g;
    float scale, alpha;
    struct pair *pair;
    size_t n, cap;
    struct err *e;
};

/* -- the file -------------------------------------------------------------------------- */

static int expect(const struct reading *r, const char *key, const char *want)
{
    struct str v = {"", 0};
    int rc = gguf_str(r->g, key, &v, r->e);

    if (rc < 0)
        return rc;
    if (rc == 1 && str_is(v, want))
        return 0;
    return err_set(r->e, E_FORMAT, "key %s: '%.*s', expected '%s' in an adapter of this model",
                   key, (int)(v.n < 40 ? v.n : 40), v.p, want);
}

/* The architecture of the model, by any of its names. */
static int expect_arch(const struct reading *r)
{
    const struct arch *a = r->m->arch;
    struct str v = {"", 0};
    int rc = gguf_str(r->g, "general.architecture", &v, r->e);

    if (rc == 1 && (str_is(v, a->name) || (a->also && str_is(v, a->also))))
        return 0;
    return rc < 0 ? rc : expect(r, "general.architecture", a->name);
}

static int read_keys(struct reading *r)
{
    double alpha = 0;
    int rc = expect(r, "general.type", "adapter");

    if (rc == 0)
        rc = expect(r, "adapter.type", "lora");
    if (rc == 0)
        rc = expect_arch(r);
    if (rc == 0)
        rc = gguf_f64(r->g, "adapter.lora.alpha", &alpha, r->e);
    if (rc >= 0 && !(alpha >= 0 && alpha <= 1e6))
        rc = err_set(r->e, E_FORMAT, "key adapter.lora.alpha: %g, expected 0 to 1e6", alpha);
    r->alpha = (float)alpha;
    return rc < 0 ? rc : 0;
}

/* -- pairs ----------------------------------------------------------------------------- */

static struct kern_weight rows_of(const struct gguf_tensor *t, uint64_t matrix, uint64_t first,
                                  uint64_t n_row)
{
    uint64_t stride = t->n_byte / (t->ne[1] * t->ne[2]);

    return (struct kern_weight){.type = t->type,
                                .layout = KERN_ROWS,
                                .n_row = (size_t)n_row,
                                .n_col = (size_t)t->ne[0],
                                .data = t->data + (matrix * t->ne[1] + first) * stride,
                                .stride = (size_t)stride};
}

static int misfit(const struct reading *r, const struct gguf_tensor *t, const char *why)
{
    return err_set(r->e, E_FORMAT, "tensor %.*s: shape [%llu, %llu, %llu] %s", (int)t->name.n,
                   t->name.p, (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                   (unsigned long long)t->ne[2], why);
}

static int add_pair(struct reading *r, struct weight *w, struct lora lora)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct pair *p = mem_realloc(r->pair, cap * sizeof(*p));

        if (!p)
            return err_set(r->e, E_NOMEM, "no memory for %zu matrices", cap);
        r->pair = p;
        r->cap = cap;
    }
    lora.scale = r->scale * (r->alpha > 0 ? r->alpha / (float)lora.b.n_col : 1);
    r->pair[r->n++] = (struct pair){w, lora};
    return 0;
}

/* E[id]: A has a row for each token. */
static int pair_embedding(struct reading *r, const struct gguf_tensor *a,
                          const struct gguf_tensor *b)
{
    const struct weight *e = r->m->global.t[T_TOKEN_EMBD];
    struct weight *w = &r->m->weight[e - r->m->weight];

    if (a->ne[1] != w->src->ne[1] || b->ne[1] != w->src->ne[0] || a->ne[0] != b->ne[0] ||
        a->ne[0] > LORA_RANK_MAX)
        return misfit(r, a, "does not fit the embedding");
    return add_pair(
        r, w, (struct lora){.a = rows_of(a, 0, 0, a->ne[1]), .b = rows_of(b, 0, 0, b->ne[1])});
}

/* Whether a layer's tensor of this role is computed by products that look for adapters. */
static int is_plain(const struct model *m, const struct weight *w)
{
    static const int stacks[] = {T_FFN_GATE_EXPS, T_FFN_UP_EXPS, T_FFN_DOWN_EXPS};

    for (int i = 0; i < m->p.n_layer + m->p.n_nextn; i++) {
        for (int role = 0; role < T_ROLE_N; role++) {
            const struct weight *of = m->layer[i].t[role];
            int is_stack = 0;

            for (size_t k = 0; k < sizeof(stacks) / sizeof(*stacks); k++)
                is_stack |= role == stacks[k];
            if (of && (is_stack ? w >= of && w < of + m->p.moe.n : w == of))
                return role != T_ATTN_K_B && role != T_ATTN_V_B && role < T_SSM_IN;
        }
    }
    return w == m->global.t[T_OUTPUT];
}

/* One matrix of the model: rows [first, first + n_row) of the tensor that the pair is of. */
static int pair_matrix(struct reading *r, struct weight *w, uint64_t matrix, uint64_t first,
                       const struct gguf_tensor *a, const struct gguf_tensor *b)
{
    if (!is_plain(r->m, w))
        return err_set(r->e, E_UNSUPPORTED,
                       "tensor %.*s: an adapter for this matrix is not supported",
                       (int)a->name.n, a->name.p);
    if (a->ne[0] != w->w.n_col)
        return misfit(r, a, "does not fit the columns of its matrix");
    if (matrix >= a->ne[2] || matrix >= b->ne[2] || first + w->w.n_row > b->ne[1])
        return misfit(r, b, "does not fit the rows of its matrix");
    return add_pair(r, w,
                    (struct lora){.a = rows_of(a, matrix, 0, a->ne[1]),
                                  .b = rows_of(b, matrix, first, w->w.n_row)});
}

static int is_name(struct str name, struct str base)
{
    return name.n == base.n && memcmp(name.p, base.p, base.n) == 0;
}

/* Every matrix that was made of the tensor called base: one, the parts of a fused one, or those
 * of all experts. */
static int pair_all(struct reading *r, struct str base, const struct gguf_tensor *a,
                    const struct gguf_tensor *b)
{
    const struct weight *out = r->m->global.t[T_OUTPUT], *embd = r->m->global.t[T_TOKEN_EMBD];
    const struct gguf_tensor *whole = NULL;
    int rc = 0, found = 0;

    for (size_t i = 0; i < gguf_n_tensor(r->m->file) && !whole; i++) {
        if (is_name(gguf_tensor_at(r->m->file, i)->name, base))
            whole = gguf_tensor_at(r->m->file, i);
    }
    for (size_t i = 0; i < r->m->n_weight && rc == 0 && whole; i++) {
        struct weight *w = &r->m->weight[i];
        uint64_t row, at;

        if (w->vec || !w->w.n_row || w == embd || !is_name(w->src->name, base) ||
            (w == out && out->src == embd->src))
            continue;
        row = (uint64_t)((const unsigned char *)w->w.data - whole->data) / w->w.stride;
        at = row / whole->ne[1];
        rc = pair_matrix(r, w, at, row % whole->ne[1], a, b);
        found = 1;
    }
    if (!found && rc == 0 && out && str_is(base, "output.weight")) { /* tied, adapted apart */
        rc = pair_matrix(r, &r->m->weight[out - r->m->weight], 0, 0, a, b);
        found = 1;
    }
    if (rc == 0 && !found)
        rc = err_set(r->e, E_FORMAT, "tensor %.*s: the model has no matrix %.*s",
                     (int)a->name.n, a->name.p, (int)base.n, base.p);
    return rc;
}

static int read_pair(struct reading *r, const struct gguf_tensor *a)
{
    static const char end_a[] = ".lora_a", end_b[] = ".lora_b";
    size_t n = sizeof(end_a) - 1;
    struct str base = {a->name.p, a->name.n > n ? a->name.n - n : 0};
    struct str end = {a->name.p + base.n, a->name.n - base.n};
    char name[160];
    const struct gguf_tensor *b;

    if (str_is(end, end_b))
        return 0; /* with its other half */
    if (!str_is(end, end_a) || base.n > 128)
        return err_set(r->e, E_UNSUPPORTED, "tensor %.*s: not known in an adapter",
                       (int)a->name.n, a->name.p);
    (void)snprintf(name, sizeof(name), "%.*s%s", (int)base.n, base.p, end_b);
    b = gguf_tensor(r->g, name);
    if (!b)
        return err_set(r->e, E_FORMAT, "tensor %s: missing", name);
    for (int i = 0; i < 2; i++) {
        const struct gguf_tensor *t = i ? b : a;

        if (t->type >= QUANT_TYPE_MAX || !r->m->kern.mm[t->type].mul)
            return err_set(r->e, E_UNSUPPORTED, "tensor %.*s: type %s cannot run here yet",
                           (int)t->name.n, t->name.p, gguf_tensor_type_name(t->type));
    }
    if (r->m->global.t[T_TOKEN_EMBD] && str_is(base, "token_embd.weight"))
        return pair_embedding(r, a, b);
    if (a->ne[1] > LORA_RANK_MAX || a->ne[1] != b->ne[0])
        return misfit(r, b, "does not fit the one of its other half");
    return pair_all(r, base, a, b);
}

/* -- adding ---------------------------------------------------------------------------- */

/* Which layers have an expert that is adapted: any, with tensors of each expert's own. */
static void mark_layers(struct model *m)
{
    static const int stack[] = {T_FFN_GATE_EXPS, T_FFN_UP_EXPS, T_FFN_DOWN_EXPS};

    for (int i = 0; i < m->p.n_layer + m->p.n_nextn; i++) {
        for (size_t k = 0; k < sizeof(stack) / sizeof(*stack); k++) {
            const struct weight *w = m->layer[i].t[stack[k]];

            for (int x = 0; x < m->p.moe.n && w; x++)
                m->layer[i].adapted |= w[x].lora != NULL;
        }
    }
}

static int attach(struct reading *r)
{
    struct lora *l = arena_calloc(&r->m->arena, r->n, sizeof(*l));

    if (!l)
        return err_set(r->e, E_NOMEM, "no memory for %zu matrices", r->n);
    for (size_t i = 0; i < r->n; i++) {
        const struct lora **at = &r->pair[i].w->lora;

        while (*at)
            at = (const struct lora **)(uintptr_t) & (*at)->next;
        l[i] = r->pair[i].lora;
        *at = &l[i];
    }
    mark_layers(r->m);
    return 0;
}

int model_adapt(struct model *m, const char *path, float scale, struct err *e)
{
    struct reading r = {.m = m, .scale = scale, .e = e};
    struct gguf *g = NULL;
    int rc = gguf_open(&g, path, e);

    if (rc < 0)
        return rc;
    r.g = g;
    if (m->n_adapter == MODEL_ADAPTERS_MAX)
        rc = err_set(e, E_INVALID, "over %d adapters", MODEL_ADAPTERS_MAX);
    if (rc == 0)
        rc = read_keys(&r);
    for (size_t i = 0; i < gguf_n_tensor(g) && rc == 0; i++)
        rc = read_pair(&r, gguf_tensor_at(g, i));
    if (rc < 0)
        (void)err_wrap(e, rc, "%s", path);
    if (gguf_intact(g, e) < 0) /* what was said of zeros is not so */
        rc = E_IO;
    if (rc == 0 && r.n && scale != 0)
        rc = attach(&r);
    if (rc == 0) {
        m->adapter_scale[m->n_adapter] = scale;
        m->adapter[m->n_adapter++] = g;
        g = NULL;
    }
    mem_free(r.pair);
    gguf_free(g);
    return rc;
}
