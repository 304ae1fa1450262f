#include "model/model.h"

#include "base/map.h"
#include "base/mem.h"
#include "kern/tile.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <string.h>

/* Bytes of a matrix that are packed before its pages of the file are handed back and the
 * caller hears of progress: some milliseconds of work. */
enum { PACK_PIECE = 8 << 20 };

/* The arena holds names, layers and vectors: some MiB even for the largest models. */
enum { MODEL_ARENA_MAX = 1 << 30 };

/* -- shapes ---------------------------------------------------------------------------- */

static uint64_t dim_size(const struct params *p, int dim)
{
    const uint64_t size[DIM_N] = {
        [DIM_ONE] = 1,
        [DIM_EMBD] = (uint64_t)p->n_embd,
        [DIM_VOCAB] = (uint64_t)p->n_vocab,
        [DIM_FF] = (uint64_t)p->n_ff,
        [DIM_Q] = (uint64_t)p->n_head * (uint64_t)p->d_k,
        [DIM_K] = (uint64_t)p->n_head_kv * (uint64_t)p->d_k,
        [DIM_V] = (uint64_t)p->n_head_kv * (uint64_t)p->d_v,
        [DIM_O] = (uint64_t)p->n_head * (uint64_t)p->d_v,
        [DIM_HEAD] = (uint64_t)p->d_k,
        [DIM_FREQS] = (uint64_t)p->rope.n_rot / 2,
        [DIM_EXPERT] = (uint64_t)p->moe.n,
        [DIM_FF_EXPERT] = (uint64_t)p->moe.n_ff,
        [DIM_FF_SHARED] = (uint64_t)p->moe.n_ff_shared,
    };

    return size[dim];
}

static int check_shape(const struct params *p, const struct tensor_spec *spec,
                       const struct gguf_tensor *t, struct err *e)
{
    uint64_t want[GGUF_DIMS] = {dim_size(p, spec->dim[0]), dim_size(p, spec->dim[1]),
                                dim_size(p, spec->dim[2]), 1};

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

static int take_vec(struct model *m, const struct gguf_tensor *t, struct err *e)
{
    const struct quant *q = quant_find(t->type);
    float *v = arena_calloc(&m->arena, (size_t)t->n_elem, sizeof(*v));

    if (!v)
        return err_set(e, E_NOMEM, "tensor %.*s: no memory for %llu numbers", (int)t->name.n,
                       t->name.p, (unsigned long long)t->n_elem);
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

    *w = (struct weight){.src = t,
                         .w = {.type = t->type,
                               .layout = m->kern.mm[t->type].layout,
                               .n_row = (size_t)t->ne[1],
                               .n_col = (size_t)t->ne[0]}};
    return w;
}

/* A weight for each matrix of t, [n_col, n_row, n]. */
static int take_experts(struct model *m, const struct gguf_tensor *t, struct err *e)
{
    uint64_t n = t->ne[2];
    struct gguf_tensor *part = arena_calloc(&m->arena, (size_t)n, sizeof(*part));

    if (!part)
        return err_set(e, E_NOMEM, "tensor %.*s: no memory for %llu experts", (int)t->name.n,
                       t->name.p, (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        part[i] = *t;
        part[i].ne[2] = 1;
        part[i].n_dim = 2;
        part[i].n_elem /= n;
        part[i].n_byte /= n;
        part[i].data += i * part[i].n_byte;
        part[i].offset += i * part[i].n_byte;
        (void)add_weight(m, &part[i]);
    }
    return 0;
}

static int check_tensor(const struct model *m, const struct tensor_spec *spec,
                        const struct gguf_tensor *t, struct err *e)
{
    int rc = check_shape(&m->p, spec, t, e);

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
        spec->role, spec->name, spec->flags, {spec->dim[0], spec->dim[1], DIM_ONE}};
    int type = -1;

    into->t[spec->role] = &m->weight[m->n_weight];
    for (int i = 0; i < m->p.moe.n; i++) {
        char part[128];
        const struct gguf_tensor *t = split_expert(m, name, i, part);
        int rc =
            t ? check_tensor(m, &one, t, e)
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

static int take_tensor(struct model *m, const struct tensor_spec *spec, const char *name,
                       struct layer *into, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(m->file, name);
    char part[128];
    int rc;

    if (!t && spec->dim[2] == DIM_EXPERT && split_expert(m, name, 0, part))
        return take_split(m, spec, name, into, e);
    if (!t && (spec->flags & TENSOR_MAY))
        return 0;
    if (!t)
        return err_set(e, E_FORMAT, "tensor %s: missing, and %s needs it", name, m->arch->name);
    rc = check_tensor(m, spec, t, e);
    if (rc < 0)
        return rc;
    into->t[spec->role] = &m->weight[m->n_weight];
    m->n_param += t->n_elem;
    if (spec->flags & TENSOR_VEC)
        return take_vec(m, t, e);
    if (spec->dim[2] == DIM_EXPERT)
        return take_experts(m, t, e);
    (void)add_weight(m, t);
    return 0;
}

/* A tensor that no row of the architecture's table asks for would be left out of the
 * computation without a word. Towers for other inputs and heads for other uses (a reranker's
 * "cls.") have prefixes of their own. */
static int refuse_unknown(const struct model *m, struct err *e)
{
    static const char *const other[] = {"v.", "mm.", "a.", "s.", "cls."};
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

/* Weights of one row of the table, one for each expert where it is theirs, in all layers. */
static size_t most_weights(const struct params *p, const struct tensor_spec *spec)
{
    size_t n = spec->flags & TENSOR_LAYER ? (size_t)p->n_layer : 1;

    return spec->dim[2] == DIM_EXPERT ? n * (size_t)p->moe.n : n;
}

static int is_wanted(const struct params *p, const struct tensor_spec *spec)
{
    return !(spec->flags & (p->moe.n ? TENSOR_DENSE : TENSOR_SPARSE));
}

static int take_tensors(struct model *m, struct err *e)
{
    const struct arch *a = m->arch;
    size_t max = 1; /* a tied output */

    for (int i = 0; i < a->n_tensor; i++)
        max += most_weights(&m->p, &a->tensors[i]);
    m->weight = arena_calloc(&m->arena, max, sizeof(*m->weight));
    m->layer = arena_calloc(&m->arena, (size_t)m->p.n_layer, sizeof(*m->layer));
    if (!m->weight || !m->layer)
        return err_set(e, E_NOMEM, "no memory for %d layers", m->p.n_layer);
    for (int i = 0; i < a->n_tensor; i++) {
        const struct tensor_spec *spec = &a->tensors[i];
        int n = spec->flags & TENSOR_LAYER ? m->p.n_layer : 1;

        for (int l = 0; l < n && is_wanted(&m->p, spec); l++) {
            char name[128];
            int rc;

            if (spec->flags & TENSOR_LAYER)
                (void)snprintf(name, sizeof(name), "blk.%d.%s", l, spec->name);
            else
                (void)snprintf(name, sizeof(name), "%s", spec->name);
            rc = take_tensor(m, spec, name,
                             spec->flags & TENSOR_LAYER ? &m->layer[l] : &m->global, e);
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
    if (!m->global.t[T_OUTPUT])
        m->global.t[T_OUTPUT] = add_weight(m, m->global.t[T_TOKEN_EMBD]->src);
}

/* -- packing --------------------------------------------------------------------------- */

struct pack_job {
    const struct quant *q;
    const struct weight *w;
    size_t n_group; /* rows */
    unsigned char *out;
    size_t first; /* group */
};

static void pack_groups(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct pack_job *j = ctx;

    (void)worker;
    tile_pack(j->q, j->w->src->data, j->w->w.n_row, j->w->w.n_col, j->n_group, j->out,
              j->first + lo, j->first + hi);
}

struct pack_state {
    const struct model_options *opt;
    uint64_t done, total; /* bytes */
};

static int pack_weight(struct weight *w, size_t n_group, unsigned char *out,
                       struct pack_state *st, struct err *e)
{
    const struct quant *q = quant_find(w->w.type);
    size_t group = tile_group_bytes(q, w->w.n_col, n_group),
           n = (w->w.n_row + n_group - 1) / n_group,
           piece = PACK_PIECE / group ? PACK_PIECE / group : 1;

    for (size_t g = 0; g < n; g += piece) {
        size_t m = n - g < piece ? n - g : piece, left = (size_t)w->src->n_byte - g * group;
        struct pack_job j = {q, w, n_group, out, g};

        pool_run(st->opt->pool, m, 2, pack_groups, &j);
        vm_drop(w->src->data + g * group, m * group < left ? m * group : left);
        st->done += m * group;
        if (st->opt->progress &&
            st->opt->progress(st->opt->progress_ctx, (double)st->done / (double)st->total))
            return err_set(e, E_CANCELLED, "loading was stopped");
    }
    w->w.data = out;
    w->w.stride = group;
    return 0;
}

static int is_matrix(const struct weight *w)
{
    return w->w.n_row > 0;
}

/* The embedding itself is read by rows, never multiplied. */
static int is_packed(const struct model *m, const struct weight *w)
{
    return is_matrix(w) && w->w.layout == KERN_TILES && w != m->global.t[T_TOKEN_EMBD];
}

static size_t packed_bytes(const struct model *m, const struct weight *w)
{
    size_t n_group = m->kern.n_group,
           n = (w->w.n_row + n_group - 1) / n_group *
               tile_group_bytes(quant_find(w->w.type), w->w.n_col, n_group);

    return (n + 63) & ~(size_t)63;
}

static int pack_all(struct model *m, const struct model_options *opt, struct err *e)
{
    struct pack_state st = {.opt = opt};
    unsigned char *at;
    int rc = 0;

    for (size_t i = 0; i < m->n_weight; i++) {
        if (is_packed(m, &m->weight[i]))
            st.total += packed_bytes(m, &m->weight[i]);
    }
    if (st.total) {
        m->packed = vm_alloc((size_t)st.total);
        if (!m->packed)
            return err_set(e, E_NOMEM, "no memory for %llu bytes of weights",
                           (unsigned long long)st.total);
        m->n_packed = (size_t)st.total;
    }
    at = m->packed;
    for (size_t i = 0; i < m->n_weight && rc == 0; i++) {
        struct weight *w = &m->weight[i];

        if (is_packed(m, w)) {
            rc = pack_weight(w, m->kern.n_group, at, &st, e);
            at += packed_bytes(m, w);
        } else if (is_matrix(w)) {
            w->w.data = w->src->data;
            w->w.stride = (size_t)w->src->n_byte / w->w.n_row;
        }
    }
    return rc;
}

/* -- opening --------------------------------------------------------------------------- */

static int find_arch(struct model *m, struct err *e)
{
    struct str name;
    char list[256] = "";
    size_t n = 0;
    int rc = gguf_str(m->file, "general.architecture", &name, e);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(e, E_FORMAT, "key general.architecture: missing");
    m->arch = arch_find(name);
    if (m->arch)
        return 0;
    for (int i = 0; arch_at(i) && n < sizeof(list) - 32; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
                              arch_at(i)->name);
    return err_set(e, E_UNSUPPORTED, "architecture '%.*s' is not supported; supported are %s",
                   (int)(name.n < 64 ? name.n : 64), name.p, list);
}

static int read_all_params(struct model *m, struct err *e)
{
    struct params_reader r = {m->file, m->arch->name, e, 0};
    int rc = params_read(&m->p, m->file, m->arch->name, e);

    if (rc < 0 || !m->arch->read_params)
        return rc;
    return m->arch->read_params(&m->p, &r);
}

int model_open(struct model **out, const char *path, const struct model_options *opt,
               struct err *e)
{
    struct model *m = mem_calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return err_set(e, E_NOMEM, "%s: no memory", path);
    arena_init(&m->arena, MODEL_ARENA_MAX);
    kern_init(&m->kern, opt->tier);
    rc = gguf_open(&m->file, path, e);
    if (rc < 0)
        goto out;
    rc = find_arch(m, e);
    if (rc == 0)
        rc = read_all_params(m, e);
    if (rc == 0)
        rc = take_tensors(m, e);
    for (int i = 0; rc == 0 && m->arch->window && i < m->p.n_layer; i++)
        m->layer[i].n_window = m->arch->window(&m->p, i);
    if (rc == 0) {
        tie_output(m);
        rc = pack_all(m, opt, e);
    }
    if (rc < 0) {
        rc = err_wrap(e, rc, "%s", path);
        goto out;
    }
    *out = m;
    m = NULL;
out:
    model_free(m);
    return rc;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    vm_free(m->packed, m->n_packed);
    arena_done(&m->arena);
    gguf_free(m->file);
    mem_free(m);
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

int cache_layout_init(struct cache_layout *c, const struct model *m, int kv_k, int kv_v,
                      struct err *e)
{
    const struct params *p = &m->p;
    uint64_t at = 0;
    int rc = check_blocks("keys", p->d_k, kv_k, e);

    if (rc == 0)
        rc = check_blocks("values", p->d_v, kv_v, e);
    if (rc < 0)
        return rc;
    *c = (struct cache_layout){.kv_k = kv_k, .kv_v = kv_v, .n_layer = p->n_layer};
    c->layer = mem_calloc((size_t)p->n_layer, sizeof(*c->layer));
    if (!c->layer)
        return err_set(e, E_NOMEM, "no memory for the cache of %d layers", p->n_layer);
    for (int i = 0; i < p->n_layer; i++) {
        struct cache_layer *l = &c->layer[i];

        l->kind = CACHE_FULL;
        l->head_k = kern_kv_bytes(kv_k, p->d_k);
        l->head_v = kern_kv_bytes(kv_v, p->d_v);
        l->off_k = (size_t)at;
        at += (uint64_t)p->n_head_kv * l->head_k;
        l->off_v = (size_t)at;
        at += (uint64_t)p->n_head_kv * l->head_v;
        if (at > (uint64_t)1 << 30) {
            cache_layout_done(c);
            return err_set(e, E_TOO_LONG, "the cache needs over 1 GiB for %d tokens",
                           KERN_PAGE);
        }
    }
    c->page_bytes = (size_t)at;
    return 0;
}

void cache_layout_done(struct cache_layout *c)
{
    mem_free(c->layer);
    *c = (struct cache_layout){0};
}
