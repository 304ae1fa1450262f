/* The ways in which tensors of several families are taken: each says how to walk over the
 * source and what comes out. */
#include "model/hf/hf_priv.h"

int hf_emit_whole(struct hf *h, const struct hf_match *m, int op)
{
    struct hf_seg all = hf_whole(m);
    uint64_t ne[GGUF_DIMS];
    int n_dim = hf_dims(m->t, ne);

    return hf_emit(h, m, m->name, n_dim, ne, op, &all, 1);
}

int hf_plus_one(struct hf *h, const struct hf_match *m)
{
    return hf_emit_whole(h, m, HF_PLUS_ONE);
}

int hf_neg_exp(struct hf *h, const struct hf_match *m)
{
    return hf_emit_whole(h, m, HF_NEG_EXP);
}

/* Sizes of 1 go: [C, 1, k] is C rows of k, [1, 1, D] a vector. */
int hf_squeeze(struct hf *h, const struct hf_match *m)
{
    struct hf_seg all = hf_whole(m);
    uint64_t ne[GGUF_DIMS] = {1};
    int n = 0;

    for (int i = 0; i < m->t->n_dim && n < GGUF_DIMS; i++) {
        if (hf_dim(m->t, i) != 1)
            ne[n++] = hf_dim(m->t, i);
    }
    return hf_emit(h, m, m->name, n ? n : 1, ne, HF_COPY, &all, 1);
}

/* Rotary positions turn numbers i and i + d/2 of a head in the folder, neighbours in GGUF's
 * llama: rows are interleaved, per head. A bias goes the same way. */
static int emit_rope(struct hf *h, const struct hf_match *m, uint64_t n_head)
{
    uint64_t ne[GGUF_DIMS], width = m->t->n_dim > 1 ? hf_dim(m->t, 0) : 1;
    int n_dim = hf_dims(m->t, ne);
    uint64_t rows = m->t->n_elem / width, d = rows / n_head, half = d / 2;
    struct hf_seg s = hf_walk(
        m, 0, 4, (uint64_t[]){n_head, d * width, half, width, 2, half * width, width, 1});

    if (d * n_head != rows || half * 2 != d)
        return hf_misfit(h, m);
    return hf_emit(h, m, m->name, n_dim, ne, HF_COPY, &s, 1);
}

int hf_rope_q(struct hf *h, const struct hf_match *m)
{
    return emit_rope(h, m, hf_size(h, "num_attention_heads|n_head|n_heads"));
}

int hf_rope_k(struct hf *h, const struct hf_match *m)
{
    return emit_rope(
        h, m, hf_size(h, "num_key_value_heads|n_kv_heads|num_attention_heads|n_head|n_heads"));
}

/* A vector of n as [1, n]. */
static int emit_column(struct hf *h, const struct hf_match *m, int op)
{
    struct hf_seg all = hf_whole(m);

    return hf_emit(h, m, m->name, 2, (uint64_t[]){1, m->t->n_elem}, op, &all, 1);
}

int hf_column(struct hf *h, const struct hf_match *m)
{
    return emit_column(h, m, HF_COPY);
}

int hf_neg_exp_column(struct hf *h, const struct hf_match *m)
{
    return emit_column(h, m, HF_NEG_EXP);
}

static int emit_join(struct hf *h, const struct hf_match *m, int i)
{
    struct hf_match part = *m;

    part.index = i;
    part.join = 1;
    return hf_emit_whole(h, &part, HF_COPY);
}

int hf_join_0(struct hf *h, const struct hf_match *m)
{
    return emit_join(h, m, 0);
}

int hf_join_1(struct hf *h, const struct hf_match *m)
{
    return emit_join(h, m, 1);
}

int hf_join_2(struct hf *h, const struct hf_match *m)
{
    return emit_join(h, m, 2);
}

/* Rows [first, first + n) of each of the source's matrices, [out, in], or [in, out] where
 * turned. Experts are pieces of their own, so that their rows can stay in the file. */
static int emit_rows(struct hf *h, const struct hf_match *m, uint64_t first, uint64_t n,
                     int turned)
{
    const struct st_tensor *t = m->t;
    uint64_t in = hf_dim(t, turned ? 1 : 0), out = hf_dim(t, turned ? 0 : 1),
             n_matrix = hf_dim(t, 2), step[2] = {turned ? 1 : in, turned ? out : 1};
    struct hf_match each = *m;

    for (uint64_t e = 0; h->rc == 0 && e < n_matrix; e++) {
        struct hf_seg s = hf_walk(m, e * in * out + first * step[0], 2,
                                  (uint64_t[]){n, step[0], in, step[1]});

        each.index = t->n_dim == 3 ? (int)e : m->index;
        (void)hf_emit(h, &each, m->name, 2, (uint64_t[]){in, n}, HF_COPY, &s, 1);
    }
    return h->rc;
}

static int emit_half(struct hf *h, const struct hf_match *m, uint64_t which, int turned)
{
    uint64_t n = hf_dim(m->t, turned ? 0 : 1) / 2;

    return emit_rows(h, m, which * n, n, turned);
}

int hf_half_0(struct hf *h, const struct hf_match *m)
{
    return emit_half(h, m, 0, 0);
}

int hf_half_1(struct hf *h, const struct hf_match *m)
{
    return emit_half(h, m, 1, 0);
}

int hf_half_0_t(struct hf *h, const struct hf_match *m)
{
    return emit_half(h, m, 0, 1);
}

int hf_half_1_t(struct hf *h, const struct hf_match *m)
{
    return emit_half(h, m, 1, 1);
}

int hf_each(struct hf *h, const struct hf_match *m)
{
    return emit_rows(h, m, 0, hf_dim(m->t, 1), 0);
}

int hf_each_t(struct hf *h, const struct hf_match *m)
{
    return emit_rows(h, m, 0, hf_dim(m->t, 0), 1);
}

/* kv_b_proj has for each head rows that make keys, then rows that make values, from the
 * compressed state. Keys go into the query's side, so they are turned. */
static int emit_kv_b(struct hf *h, const struct hf_match *m, int values)
{
    uint64_t n_head = hf_size(h, "num_attention_heads"), k = hf_size(h, "qk_nope_head_dim"),
             v = hf_size(h, "v_head_dim"), c = hf_dim(m->t, 0), head = (k + v) * c;
    struct hf_seg s = values ? hf_walk(m, k * c, 3, (uint64_t[]){n_head, head, v, c, c, 1})
                             : hf_walk(m, 0, 3, (uint64_t[]){n_head, head, c, 1, k, c});

    if (h->rc == 0 && n_head * head != m->t->n_elem)
        return hf_misfit(h, m);
    return hf_emit(h, m, m->name, 3, (uint64_t[]){values ? c : k, values ? v : c, n_head},
                   HF_COPY, &s, 1);
}

int hf_kv_b_keys(struct hf *h, const struct hf_match *m)
{
    return emit_kv_b(h, m, 0);
}

int hf_kv_b_values(struct hf *h, const struct hf_match *m)
{
    return emit_kv_b(h, m, 1);
}

int hf_group_norm(struct hf *h, const struct hf_match *m)
{
    uint64_t g = hf_size(h, "n_groups|mamba_n_groups");
    struct hf_seg all = hf_whole(m);

    return hf_emit(h, m, m->name, g > 1 ? 2 : 1, (uint64_t[]){m->t->n_elem / g, g}, HF_COPY,
                   &all, 1);
}
