#include "model/model.h"

#include "base/map.h"
#include "base/mem.h"
#include "model/hf/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The arena holds names, layers and vectors: some MiB even for the largest models. */
enum { MODEL_ARENA_MAX = 1 << 30 };

/* -- shapes ---------------------------------------------------------------------------- */

static uint64_t product(int a, int b)
{
    return (uint64_t)a * (uint64_t)b;
}

/* l: NULL for tensors outside of layers. */
static uint64_t dim_size(const struct model *m, const struct layer *l, int dim)
{
    static const struct layer none;
    const struct params *p = &m->p;
    const struct layer *o = l ? l : &none;
    const struct ssm_params *ssm = &p->ssm;
    const struct mla_params *mla = &p->mla;
    int n_rot = p->rope[o->rope == ROPE_SWA].n_rot;
    uint64_t channels = (uint64_t)ssm->inner + 2 * product(ssm->n_group, ssm->state);
    const uint64_t size[DIM_OWN] = {
        [DIM_ONE] = 1,
        [DIM_EMBD] = (uint64_t)p->n_embd,
        [DIM_EMBD2] = product(2, p->n_embd),
        [DIM_VOCAB] = (uint64_t)p->n_vocab,
        [DIM_CTX] = (uint64_t)p->n_ctx_train,
        [DIM_LABELS] = (uint64_t)p->n_label,
        [DIM_TYPES] = (uint64_t)p->n_type,
        [DIM_DENSE_2] = (uint64_t)p->n_dense[0],
        [DIM_DENSE_3] = (uint64_t)p->n_dense[1],
        [DIM_PLE] = (uint64_t)p->n_ple,
        [DIM_PLE_ALL] = product(p->n_ple, p->n_layer),
        [DIM_FF] = (uint64_t)o->n_ff,
        [DIM_Q] = product(o->n_head, o->d_k),
        [DIM_Q2] = 2 * product(o->n_head, o->d_k),
        [DIM_K] = product(o->n_head_kv, o->d_k),
        [DIM_V] = product(o->n_head_kv, o->d_v),
        [DIM_O] = product(o->n_head, o->d_v),
        [DIM_HEAD] = (uint64_t)o->d_k,
        [DIM_HEADS] = (uint64_t)o->n_head,
        [DIM_FREQS] = (uint64_t)n_rot / 2,
        [DIM_EXPERT] = (uint64_t)p->moe.n,
        [DIM_FF_EXPERT] = (uint64_t)p->moe.n_ff,
        [DIM_FF_SHARED] = (uint64_t)p->moe.n_ff_shared,
        [DIM_MOE_IN] = (uint64_t)(p->moe.n_in ? p->moe.n_in : p->n_embd),
        [DIM_Q_RANK] = (uint64_t)mla->q_rank,
        [DIM_KV_RANK] = (uint64_t)mla->kv_rank,
        [DIM_KV_RANK_ROT] = (uint64_t)(mla->kv_rank + n_rot),
        [DIM_MLA_Q] = product(o->n_head, mla->d_k),
        [DIM_MLA_O] = product(o->n_head, mla->d_v),
        [DIM_MLA_NOPE] = (uint64_t)(mla->d_k > n_rot ? mla->d_k - n_rot : 0),
        [DIM_MLA_V] = (uint64_t)mla->d_v,
        [DIM_SSM_CONV] = (uint64_t)ssm->conv,
        [DIM_SSM_INNER] = (uint64_t)ssm->inner,
        [DIM_SSM_HEADS] = (uint64_t)ssm->n_head,
        [DIM_SSM_STATE] = (uint64_t)ssm->state,
        [DIM_SSM_GROUPS] = (uint64_t)ssm->n_group,
        [DIM_SSM_GROUP] = (uint64_t)(ssm->n_group ? ssm->inner / ssm->n_group : 0),
        [DIM_SSM_CHANNELS] = channels,
        [DIM_SSM_IN] = (uint64_t)ssm->inner + channels + (uint64_t)ssm->n_head,
    };

    return dim < DIM_OWN ? size[dim] : m->arch->dim(p, l, dim);
}

static int check_shape(const struct model *m, const struct layer *l,
                       const struct tensor_spec *spec, const struct gguf_tensor *t,
                       struct err *e)
{
    uint64_t want[GGUF_DIMS] = {dim_size(m, l, spec->dim[0]), dim_size(m, l, spec->dim[1]),
                                dim_size(m, l, spec->dim[2]), 1};

    if (memcmp(want, t->ne, sizeof(want)) == 0)
        return 0;
    return err_set(e, E_FORMAT,
                   "tensor %.*s: shape [%llu, %llu, %llu, %llu], the model's keys say "
                   "[%llu, %llu, %llu]",
                   (int)t->name.n, t->name.p, (unsigned long long)t->ne[0],
                   (unsigned long long)t->ne[1], (unsigned long long)t->ne[2],
                   (unsigned long long)t->ne[3], (unsigned long long)want[0],
                   (unsigned long long)want[1], (unsigned long long)want[2]);
}

/* -- finding --------------------------------------------------------------------------- */

/* Data behind others; a file that is only looked at has none. */
static const unsigned char *behind(const unsigned char *p, uint64_t n)
{
    return p ? p + n : NULL;
}

static int take_vec(struct model *m, const struct gguf_tensor *t, struct err *e)
{
    const struct quant *q = quant_find(t->type);
    float *v = arena_calloc(&m->arena, (size_t)t->n_elem, sizeof(*v));

    if (!v)
        return err_set(e, E_NOMEM, "tensor %.*s: no memory for %llu numbers", (int)t->name.n,
                       t->name.p, (unsigned long long)t->n_elem);
    if (t->data)
        q->to_f32(t->data, v, (size_t)t->n_elem);
    m->weight[m->n_weight++] = (struct weight){.src = t, .vec = v};
    return 0;
}

static int unsupported_type(const struct model *m, const struct gguf_tensor *t, struct err *e)
{
    char list[256] = "";
    size_t n = 0;

    for (int i = 0; i < QUANT_TYPE_MAX; i++) {
        if (m->kern.mm[i].mul && n < sizeof(list) - 16)
            n += (size_t)snprintf(list + n, sizeof(list) - n, " %s", quant_type_name(i));
    }
    return err_set(e, E_UNSUPPORTED,
                   "tensor %.*s: type %s cannot run here yet; supported are%s", (int)t->name.n,
                   t->name.p, gguf_tensor_type_name(t->type), list);
}

/* The next weight: t, a matrix of its own. */
static struct weight *add_weight(struct model *m, const struct gguf_tensor *t)
{
    struct weight *w = &m->weight[m->n_weight++];

    w->src = t;
    w->w = (struct kern_weight){.type = t->type,
                                .layout = KERN_ROWS,
                                .n_row = (size_t)t->ne[1],
                                .n_col = (size_t)t->ne[0],
                                .data = t->data,
                                .stride = (size_t)(t->n_byte / t->ne[1])};
    w->scale = 1;
    atomic_init(&w->now, &w->w);
    return w;
}

/* A weight for each matrix of t, [n_col, n_row, n], `apart` bytes from one to the next. */
static int take_stack(struct model *m, const struct gguf_tensor *t, uint64_t apart,
                      struct err *e)
{
    uint64_t n = t->ne[2];
    struct gguf_tensor *part = arena_calloc(&m->arena, (size_t)n, sizeof(*part));

    if (!part)
        return err_set(e, E_NOMEM, "tensor %.*s: no memory for %llu matrices", (int)t->name.n,
                       t->name.p, (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        part[i] = *t;
        part[i].ne[2] = 1;
        part[i].n_dim = 2;
        part[i].n_elem /= n;
        part[i].n_byte /= n;
        part[i].data = behind(t->data, i * apart);
        part[i].offset += i * apart;
        (void)add_weight(m, &part[i]);
    }
    return 0;
}

/* Whether a row of the table is a matrix for each of something. */
static int is_stack(const struct tensor_spec *spec)
{
    return spec->dim[2] != DIM_ONE && !(spec->flags & (TENSOR_VEC | TENSOR_RAW | TENSOR_ROWS));
}

/* A stack may lie as one matrix, the rows of one after those of another: t as the table has it,
 * or t where it is something else. */
static const struct gguf_tensor *as_stack(struct model *m, const struct layer *l,
                                          const struct tensor_spec *spec,
                                          const struct gguf_tensor *t)
{
    uint64_t rows = dim_size(m, l, spec->dim[1]), n = dim_size(m, l, spec->dim[2]);
    struct gguf_tensor *of;

    if (!is_stack(spec) || n < 2 || t->ne[2] != 1 || t->ne[1] % n || t->ne[1] / n != rows)
        return t;
    of = arena_calloc(&m->arena, 1, sizeof(*of));
    if (!of)
        return t;
    *of = *t;
    of->ne[1] = rows;
    of->ne[2] = n;
    return of;
}

static int check_tensor(const struct model *m, const struct layer *l,
                        const struct tensor_spec *spec, const struct gguf_tensor *t,
                        struct err *e)
{
    int rc = check_shape(m, l, spec, t, e);

    if (rc == 0 &&
        (spec->flags & TENSOR_RAW || (spec->flags & TENSOR_ROWS && quant_find(t->type))))
        return 0;
    if (rc == 0 && (t->type >= QUANT_TYPE_MAX || !m->kern.mm[t->type].mul))
        return unsupported_type(m, t, e);
    return rc;
}

/* Files of before 2024 have a tensor for each expert: blk.N.ffn_gate.E.weight for a part of
 * blk.N.ffn_gate_exps.weight. */
static const struct gguf_tensor *split_expert(const struct model *m, const char *name, int i,
                                              char part[128])
{
    const char *end = strstr(name, "_exps.");

    if (!end)
        return NULL;
    (void)snprintf(part, 128, "%.*s.%d%s", (int)(end - name), name, i, end + strlen("_exps"));
    return gguf_tensor(m->file, part);
}

static int take_split(struct model *m, const struct tensor_spec *spec, const char *name,
                      struct layer *into, struct err *e)
{
    const struct tensor_spec one = {
        spec->role, spec->name, spec->flags, {spec->dim[0], spec->dim[1], DIM_ONE}, 0};
    int type = -1;

    into->t[spec->role] = &m->weight[m->n_weight];
    for (int i = 0; i < m->p.moe.n; i++) {
        char part[128];
        const struct gguf_tensor *t = split_expert(m, name, i, part);
        int rc =
            t ? check_tensor(m, into, &one, t, e)
              : err_set(e, E_FORMAT, "tensor %s: missing, and other experts are there", part);

        if (rc < 0)
            return rc;
        if (i > 0 && t->type != type)
            return err_set(e, E_UNSUPPORTED, "tensor %s: of another type than expert 0", part);
        type = t->type;
        m->n_param += t->n_elem;
        (void)add_weight(m, t);
    }
    return 0;
}

/* -- tensors that stand together in one ------------------------------------------------ */

/* Any file may have these instead of the ones that they are made of: the rows of one, then of
 * the next. name: what stands before ".weight" or ".bias". */
enum { FUSED_MAX = 3 };

static const struct fused {
    const char *whole;
    const char *part[FUSED_MAX];
    int rows[FUSED_MAX];
} fused[] = {
    {"attn_qkv", {"attn_q", "attn_k", "attn_v"}, {DIM_Q, DIM_K, DIM_V}},
    {"ffn_up", {"ffn_gate", "ffn_up"}, {DIM_FF, DIM_FF}},
    {"ffn_gate_up_exps", {"ffn_gate_exps", "ffn_up_exps"}, {DIM_FF_EXPERT, DIM_FF_EXPERT}},
};

/* Whether name, of a table's row, is stem and what follows the stem of a tensor's name. */
static const char *after_stem(const char *name, const char *stem)
{
    size_t n = strlen(stem);

    return strncmp(name, stem, n) == 0 && name[n] == '.' ? name + n : NULL;
}

/* Whether each number stands alone, not in a block. */
static int is_plain_type(int type)
{
    int block = 0, bytes = 0;

    return gguf_tensor_type_size(type, &block, &bytes) && block == 1;
}

/* The rows of part i of a tensor that holds more, as a tensor of its own, *apart bytes between
 * its matrices. NULL: the file has none, or it is not as large as its parts together. */
static const struct gguf_tensor *part_of(struct model *m, const struct layer *l, int layer,
                                         const struct fused *f, int i, const char *end,
                                         uint64_t *apart)
{
    char name[128];
    const struct gguf_tensor *t;
    struct gguf_tensor *part;
    int at = str_is((struct str){end, strlen(end)}, ".bias") && f->rows[0] != DIM_FF_EXPERT
                 ? 0
                 : 1; /* which dimension counts rows */
    uint64_t before = 0, all = 0, rows = dim_size(m, l, f->rows[i]), row_bytes;

    (void)snprintf(name, sizeof(name), "blk.%d.%s%s", layer, f->whole, end);
    t = gguf_tensor(m->file, name);
    for (int k = 0; k < FUSED_MAX && f->part[k]; k++) {
        before += k < i ? dim_size(m, l, f->rows[k]) : 0;
        all += dim_size(m, l, f->rows[k]);
    }
    if (!t || rows == 0 || all <= rows || t->ne[at] != all || t->n_byte / t->ne[2] % all ||
        (at == 0 && !is_plain_type(t->type)))
        return NULL;
    part = arena_calloc(&m->arena, 1, sizeof(*part));
    if (!part)
        return NULL;
    *part = *t;
    *apart = t->n_byte / t->ne[2];
    row_bytes = *apart / all;
    part->ne[at] = rows;
    part->data = behind(t->data, before * row_bytes);
    part->offset += before * row_bytes;
    part->n_elem = t->n_elem / all * rows;
    part->n_byte = t->n_byte / all * rows;
    return part;
}

static const struct gguf_tensor *find_part(struct model *m, const struct tensor_spec *spec,
                                           const struct layer *l, int layer, uint64_t *apart)
{
    for (size_t i = 0; i < sizeof(fused) / sizeof(*fused) && l; i++) {
        for (int k = 0; k < FUSED_MAX && fused[i].part[k]; k++) {
            const char *end = after_stem(spec->name, fused[i].part[k]);
            const struct gguf_tensor *t =
                end ? part_of(m, l, layer, &fused[i], k, end, apart) : NULL;

            if (t)
                return t;
        }
    }
    return NULL;
}

/* -- scales ---------------------------------------------------------------------------- */

/* Whether a row of the table asks for a tensor that is named like a scale, but is none. */
static int is_row(const struct arch *a, const char *name)
{
    for (int i = 0; i < a->n_tensor; i++) {
        const char *end = strstr(name, a->tensors[i].name);

        if (end && strcmp(end, a->tensors[i].name) == 0)
            return 1;
    }
    return 0;
}

/* The tensor NAME.scale of a matrix; those of down also stand beside the router. */
static const struct gguf_tensor *scale_of(const struct model *m, const char *name,
                                          char scale[128])
{
    const char *end = strrchr(name, '.'), *down = strstr(name, "ffn_down_exps.");
    const struct gguf_tensor *t;

    (void)snprintf(scale, 128, "%.*s.scale", (int)(end - name), name);
    t = is_row(m->arch, scale) ? NULL : gguf_tensor(m->file, scale);
    if (t || !down)
        return t;
    (void)snprintf(scale, 128, "%.*sffn_gate_inp.per_expert_scale", (int)(down - name), name);
    return gguf_tensor(m->file, scale);
}

/* A matrix may have a number beside it that its products are multiplied by, NAME.scale, one or
 * one for each expert. */
static int take_scale(struct model *m, const char *name, struct weight *w, uint64_t n,
                      struct err *e)
{
    char scale[128];
    const struct gguf_tensor *t = scale_of(m, name, scale);
    const float *v;
    int rc;

    if (!t)
        return 0;
    if (t->n_elem != n || t->type >= QUANT_TYPE_MAX || !quant_find(t->type))
        return err_set(e, E_FORMAT, "tensor %s: %llu numbers of type %s, expected %llu", scale,
                       (unsigned long long)t->n_elem, gguf_tensor_type_name(t->type),
                       (unsigned long long)n);
    rc = take_vec(m, t, e);
    if (rc < 0)
        return rc;
    v = m->weight[m->n_weight - 1].vec;
    for (uint64_t i = 0; i < n; i++)
        w[i].scale = v[i];
    return 0;
}

static int take_tensor(struct model *m, const struct tensor_spec *spec, int layer,
                       struct layer *into, struct err *e)
{
    const struct layer *l = spec->flags & TENSOR_LAYER ? into : NULL;
    const struct gguf_tensor *t = NULL;
    struct weight *w;
    char name[128], part[128];
    uint64_t apart = 0;
    int rc;

    if (l)
        (void)snprintf(name, sizeof(name), "blk.%d.%s", layer, spec->name);
    else
        (void)snprintf(name, sizeof(name), "%s", spec->name);
    t = find_part(m, spec, l, layer, &apart);
    if (!t)
        t = gguf_tensor(m->file, name);
    if (!t && spec->dim[2] == DIM_EXPERT && split_expert(m, name, 0, part))
        return take_split(m, spec, name, into, e);
    if (!t && (spec->flags & TENSOR_MAY))
        return 0;
    if (!t)
        return err_set(e, E_FORMAT, "tensor %s: missing, and %s needs it", name, m->arch->name);
    t = as_stack(m, l, spec, t);
    rc = check_tensor(m, l, spec, t, e);
    if (rc < 0)
        return rc;
    into->t[spec->role] = w = &m->weight[m->n_weight];
    m->n_param += t->n_elem;
    if (spec->flags & (TENSOR_RAW | TENSOR_ROWS)) {
        m->weight[m->n_weight++] = (struct weight){.src = t};
        return 0;
    }
    if (spec->flags & TENSOR_VEC)
        return take_vec(m, t, e);
    if (is_stack(spec))
        rc = take_stack(m, t, apart ? apart : t->n_byte / t->ne[2], e);
    else
        (void)add_weight(m, t);
    return rc < 0 ? rc : take_scale(m, name, w, is_stack(spec) ? t->ne[2] : 1, e);
}

/* A tensor that no row of the architecture's table asks for would be left out of the
 * computation without a word. Towers for other inputs and heads for other uses (a reranker's
 * "cls.") have prefixes of their own. */
static int refuse_unknown(const struct model *m, struct err *e)
{
    static const char *const other[] = {"v.", "mm.", "a.", "s.", "cls.", "mtp."};
    struct map64 known; /* by the place of its name in the file, which its experts share */
    int rc = map64_init(&known, m->n_weight);

    for (size_t i = 0; i < m->n_weight && rc >= 0; i++)
        rc = map64_put(&known, (uint64_t)(uintptr_t)m->weight[i].src->name.p, 1);
    if (rc < 0) {
        rc = err_set(e, rc, "no memory for %zu tensors", m->n_weight);
        goto out;
    }
    rc = 0;
    for (size_t i = 0; i < gguf_n_tensor(m->file) && rc == 0; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->file, i);
        uint32_t is;
        int ok = map64_get(&known, (uint64_t)(uintptr_t)t->name.p, &is);

        for (size_t j = 0; j < sizeof(other) / sizeof(*other) && !ok; j++)
            ok = t->name.n > strlen(other[j]) &&
                 memcmp(t->name.p, other[j], strlen(other[j])) == 0;
        if (!ok)
            rc = err_set(e, E_UNSUPPORTED,
                         "tensor %.*s: not known for architecture %s, so the model would "
                         "compute something else",
                         (int)t->name.n, t->name.p, m->arch->name);
    }
out:
    map64_done(&known);
    return rc;
}

/* -- layers ---------------------------------------------------------------------------- */

static int n_all(const struct params *p)
{
    return p->n_layer + p->n_nextn;
}

static int check_heads(const struct layer *l, int i, struct params_reader *r)
{
    if (r->rc < 0 || !(l->has & HAS_ATTN))
        return r->rc;
    if (l->n_head < 1)
        return err_set(r->e, E_FORMAT, "key %s.attention.head_count: missing or 0", r->arch);
    if (l->n_head_kv < 1 || l->n_head % l->n_head_kv)
        return err_set(r->e, E_FORMAT,
                       "key %s.attention.head_count_kv: %d (layer %d) does not divide "
                       "head_count %d",
                       r->arch, l->n_head_kv, i, l->n_head);
    return 0;
}

static int check_layer(const struct params *p, const struct layer *l, int i,
                       struct params_reader *r)
{
    int rc = check_heads(l, i, r);

    if (rc < 0)
        return rc;
    if (l->rope >= 0 && (l->has & HAS_ATTN) &&
        (p->rope[l->rope].n_rot < 2 || p->rope[l->rope].n_rot % 2 ||
         (p->rope[l->rope].n_rot > l->d_k && !p->mla.kv_rank)))
        return err_set(r->e, E_FORMAT,
                       "key %s.rope.dimension_count: %d, expected an even number from 2 to %d",
                       r->arch, p->rope[l->rope].n_rot, l->d_k);
    if ((l->has & HAS_FFN) && l->n_ff < 1)
        return err_set(r->e, E_FORMAT, "key %s.feed_forward_length: missing or 0 (layer %d)",
                       r->arch, i);
    return 0;
}

/* What all families have, before the architecture changes it. */
static void usual_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    l->has = HAS_ATTN | HAS_KV;
    l->n_head = params_int_at(r, "attention.head_count", i, 0, PARAMS_HEADS_MAX, p->n_head);
    l->n_head_kv =
        params_int_at(r, "attention.head_count_kv", i, 0, PARAMS_HEADS_MAX, l->n_head);
    l->d_k = p->d_k;
    l->d_v = p->d_v;
    l->n_ff = params_int_at(r, "feed_forward_length", i, 0, PARAMS_WIDTH_MAX, p->n_ff);
    l->kv_of = i;
    if (!p->moe.n || i < p->moe.n_dense)
        l->has |= HAS_FFN;
    else
        l->has |= HAS_MOE | (p->moe.n_ff_shared ? HAS_SHARED : 0);
    if (i >= p->n_layer)
        l->has |= HAS_NEXTN;
}

static int read_layers(struct model *m, struct err *e)
{
    struct params *p = &m->p;
    struct params_reader r = {m->file, m->prefix, e, 0};

    m->layer = arena_calloc(&m->arena, (size_t)n_all(p), sizeof(*m->layer));
    if (!m->layer)
        return err_set(e, E_NOMEM, "no memory for %d layers", n_all(p));
    for (int i = 0; i < n_all(p); i++) {
        struct layer *l = &m->layer[i];
        int rc;

        usual_layer(p, &r, i, l);
        rc = r.rc < 0 || !m->arch->layer ? r.rc : m->arch->layer(p, &r, i, l);
        rc = rc < 0 ? rc : check_layer(p, l, i, &r);
        if (rc < 0)
            return rc;
        if (l->kq_scale == 0 && l->d_k)
            l->kq_scale = p->kq_scale > 0 ? p->kq_scale : (float)(1 / sqrt((double)l->d_k));
    }
    for (int i = 0; i < n_all(p); i++) {
        p->d_k = m->layer[i].d_k > p->d_k ? m->layer[i].d_k : p->d_k;
        p->d_v = m->layer[i].d_v > p->d_v ? m->layer[i].d_v : p->d_v;
        m->global.has |= m->layer[i].has;
    }
    return 0;
}

/* Weights of one row of the table: one for each expert where it is theirs, and a scale, in all
 * layers. */
static size_t most_weights(const struct model *m, const struct tensor_spec *spec)
{
    size_t n = spec->flags & TENSOR_LAYER ? (size_t)n_all(&m->p) : 1;
    uint64_t each = is_stack(spec) ? dim_size(m, &m->layer[0], spec->dim[2]) : 1;

    for (int i = 1; i < n_all(&m->p) && is_stack(spec); i++) {
        uint64_t here = dim_size(m, &m->layer[i], spec->dim[2]);

        each = here > each ? here : each;
    }
    return n * (size_t)(each + 1);
}

static int is_wanted(const struct tensor_spec *spec, const struct layer *l)
{
    if (spec->when)
        return (l->has & spec->when) != 0;
    return 1;
}

static int take_tensors(struct model *m, struct err *e)
{
    const struct arch *a = m->arch;
    size_t max = 1; /* a tied output */

    for (int i = 0; i < a->n_tensor; i++)
        max += most_weights(m, &a->tensors[i]);
    m->weight = arena_calloc(&m->arena, max, sizeof(*m->weight));
    if (!m->weight)
        return err_set(e, E_NOMEM, "no memory for %zu tensors", max);
    for (int i = 0; i < a->n_tensor; i++) {
        const struct tensor_spec *spec = &a->tensors[i];
        int in_layer = spec->flags & TENSOR_LAYER, n = in_layer ? n_all(&m->p) : 1;

        for (int l = 0; l < n; l++) {
            struct layer *into = in_layer ? &m->layer[l] : &m->global;
            int rc = 0;

            /* An earlier row may have found it by another name. */
            if (!into->t[spec->role] && is_wanted(spec, into))
                rc = take_tensor(m, spec, l, into, e);
            if (rc < 0)
                return rc;
        }
    }
    return refuse_unknown(m, e);
}

/* Without an output matrix of its own a model uses the embedding's: the same tensor, packed
 * for the product, while rows of the embedding are read from the file. */
static void tie_output(struct model *m)
{
    struct weight *w;
    int has_output = 0;

    for (int i = 0; i < m->arch->n_tensor; i++)
        has_output |= m->arch->tensors[i].role == T_OUTPUT;
    if (!has_output || m->global.t[T_OUTPUT])
        return;
    m->global.t[T_OUTPUT] = w = add_weight(m, m->global.t[T_TOKEN_EMBD]->src);
    w->w.n_row = (size_t)m->p.n_vocab; /* rows past the vocabulary are nobody's */
}

/* -- opening --------------------------------------------------------------------------- */

static int find_arch(struct model *m, struct err *e)
{
    const struct arch *near[3];
    struct str name;
    char list[256] = "";
    size_t n = 0;
    int n_near, rc = gguf_str(m->file, "general.architecture", &name, e);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_FORMAT, "key general.architecture: missing");
    m->arch = arch_find(name);
    if (m->arch) {
        m->prefix = str_is(name, m->arch->name) ? m->arch->name : m->arch->also;
        return 0;
    }
    n_near = arch_nearest(name, near, 3);
    for (int i = 0; i < n_near; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", near[i]->name);
    return err_set(
        e, E_UNSUPPORTED,
        "architecture '%.*s' is not supported; the nearest that are: %s (`hearth debug "
        "list archs` names all)",
        (int)(name.n < 64 ? name.n : 64), name.p, list);
}

static int read_all_params(struct model *m, struct err *e)
{
    struct params_reader r = {m->file, m->prefix, e, 0};
    int rc = params_read(&m->p, m->file, m->prefix, m->arch->norm, e);

    m->p.rope_kind = m->arch->rope_kind;
    if (rc == 0 && m->arch->read_params)
        rc = m->arch->read_params(&m->p, &r);
    if (rc == 0 && m->p.eps < 0)
        rc = err_set(e, E_FORMAT, "key %s.attention.layer_norm%s_epsilon: missing", m->prefix,
                     m->arch->norm == NORM_RMS ? "_rms" : "");
    return rc;
}

/* Finds all that the file, m->file, must have. */
static int read_file(struct model *m, struct err *e)
{
    int rc = find_arch(m, e);

    if (rc == 0)
        rc = read_all_params(m, e);
    if (rc == 0)
        rc = read_layers(m, e);
    return rc == 0 ? take_tensors(m, e) : rc;
}

int model_open(struct model **out, const char *path, int tier, const struct hf_watch *watch,
               struct err *e)
{
    struct model *m = mem_calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(e, E_NOMEM, "%s: no memory", path);
    arena_init(&m->arena, MODEL_ARENA_MAX);
    kern_init(&m->kern, tier);
    rc = hf_open_watched(&m->file, path, watch, e);
    if (rc < 0)
        goto out;
    rc = read_file(m, e);
    if (rc == 0)
        m->guesses =
            m->arch->nextn && m->p.n_nextn && m->layer[m->p.n_layer].t[T_NEXTN_EH_PROJ] != NULL;
    if (rc == 0)
        tie_output(m);
    else
        (void)err_wrap(e, rc, "%s", path);
    if (gguf_intact(m->file, e) < 0) /* what was said of zeros is not so */
        rc = E_IO;
    if (rc < 0)
        goto out;
    *out = m;
    m = NULL;
out:
    model_free(m);
    return rc;
}

int model_check(struct gguf *g, struct err *e)
{
    struct model *m = mem_calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(e, E_NOMEM, "%s: no memory", gguf_path(g));
    arena_init(&m->arena, MODEL_ARENA_MAX);
    kern_init(&m->kern, KERN_REF);
    m->file = g;
    rc = read_file(m, e);
    m->file = NULL; /* the caller's */
    model_free(m);
    return rc < 0 ? err_wrap(e, rc, "%s", gguf_path(g)) : 0;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    pack_free(m->packer);
    arena_done(&m->arena);
    for (int i = 0; i < m->n_adapter; i++)
        gguf_free(m->adapter[i]);
    gguf_free(m->file);
    mem_free(m);
}

int model_intact(const struct model *m, struct err *e)
{
    int rc = gguf_intact(m->file, e);

    for (int i = 0; i < m->n_adapter && rc == 0; i++)
        rc = gguf_intact(m->adapter[i], e);
    return rc == 0 && m->packer ? pack_intact(m->packer, e) : rc;
}

int model_changed(const struct model *m)
{
    int is = gguf_changed(m->file);

    for (int i = 0; i < m->n_adapter && !is; i++)
        is = gguf_changed(m->adapter[i]);
    return is;
}

/* -- cache layout ---------------------------------------------------------------------- */

static int check_blocks(const char *what, int d, int kv, struct err *e)
{
    const struct quant *q = kern_kv_quant(kv);

    if (d % q->block == 0)
        return 0;
    return err_set(e, E_UNSUPPORTED,
                   "this model has %s of %d numbers a head, which do not fill the blocks of %d "
                   "of a %s cache; F16 and F32 take any size",
                   what, d, q->block, q->name);
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* Places a layer behind what others have of a page and of the state. */
static int place_layer(struct cache_layout *c, const struct model *m, int i, struct err *e)
{
    const struct layer *l = &m->layer[i];
    struct cache_layer *o = &c->layer[i];
    struct cache_need need = {0, 0};
    int rc = 0;

    if (m->arch->cache)
        need = m->arch->cache(&m->p, l);
    if (l->has & HAS_KV && l->kv_of == i) {
        rc = check_blocks("keys", l->d_k, c->kv_k, e);
        if (rc == 0)
            rc = check_blocks("values", l->d_v, c->kv_v, e);
        o->head_k = kern_kv_bytes(c->kv_k, l->d_k);
        o->head_v = kern_kv_bytes(c->kv_v, l->d_v);
        o->off_k = c->page_bytes;
        o->off_v = o->off_k + (size_t)l->n_head_kv * o->head_k;
        c->page_bytes = o->off_v + (size_t)l->n_head_kv * o->head_v;
    }
    o->off_page = c->page_bytes = round64(c->page_bytes);
    c->page_bytes += round64(need.page);
    o->off_state = c->state_bytes;
    c->state_bytes += round64(need.state);
    if (rc == 0 && c->page_bytes > (size_t)1 << 30)
        rc = err_set(e, E_TOO_LONG, "the cache needs over 1 GiB for %d tokens", KERN_PAGE);
    if (rc == 0 && c->state_bytes > (size_t)1 << 34)
        rc = err_set(e, E_TOO_LONG, "the state of a sequence needs over 16 GiB");
    return rc;
}

int cache_layout_init(struct cache_layout *c, const struct model *m, int kv_k, int kv_v,
                      struct err *e)
{
    int n = n_all(&m->p), rc = 0;

    *c = (struct cache_layout){.kv_k = kv_k, .kv_v = kv_v, .n_layer = n};
    c->layer = mem_calloc((size_t)n, sizeof(*c->layer));
    if (!c->layer)
        return err_set(e, E_NOMEM, "no memory for the cache of %d layers", n);
    for (int i = 0; i < n && rc == 0; i++)
        rc = place_layer(c, m, i, e);
    for (int i = 0; i < n; i++) {
        const struct cache_layer *of = &c->layer[m->layer[i].kv_of];
        struct cache_layer *o = &c->layer[i];

        o->off_k = of->off_k;
        o->off_v = of->off_v;
        o->head_k = of->head_k;
        o->head_v = of->head_v;
    }
    c->page_bytes = c->page_bytes ? c->page_bytes : 64; /* pages also count positions */
    if (rc < 0)
        cache_layout_done(c);
    return rc;
}

void cache_layout_done(struct cache_layout *c)
{
    mem_free(c->layer);
    *c = (struct cache_layout){0};
}
