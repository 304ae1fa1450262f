/* mul.h - the matrix product over tiles, a template over vec_<tier>.h.
 *
 * For each group of RV * VL rows, many columns: 256 columns of weights are unpacked once into a
 * buffer that stays in the first-level cache, then every panel of activations runs over them,
 * adding to partial sums. Up to V_DIRECT columns: weights are multiplied as they are read
 * (direct.h). Then the epilogue writes the result. One result is one lane: within a group of 16
 * or 32 numbers the products are exact integers, then one fixed sequence of float operations
 * - so neither the number of columns nor the panel nor the way changes a bit.
 */
#ifndef HEARTH_KERN_X86_MUL_H
#define HEARTH_KERN_X86_MUL_H

#include "kern/kern.h"
#include "kern/tile.h"
#include "kern/x86/q8.h"
#include "kern/x86/rows.h"
#include "kern/x86/vexp.h"

enum { RV = V_ROWS, GROUP = RV * VL, CHUNK = 256, TILES = GROUP / TILE_ROWS };

#include "kern/x86/direct.h"
#include "kern/x86/unpack_grid.h"
#include "kern/x86/unpack_level.h"

#ifdef V_PAIRS
#include "kern/arm/pairs.h"
#else
/* This tier has no product of pairs of rows and columns. */
INL void pairs_order(uint8_t *w, size_t n_quad)
{
    (void)w, (void)n_quad;
}
INL int pairs_dot(int nc, int small, const uint8_t *w, const int8_t *q, vi *t)
{
    (void)nc, (void)small, (void)w, (void)q, (void)t;
    return 0;
}
#endif

/* clang-format off */
/* Formats that only unpack. */
#define UNPACK_ONLY(block, per, bytes, zero) {block, per, bytes, zero, 0, NULL, NULL, NULL, NULL}

static const struct format
    format_iq1_s   = UNPACK_ONLY(256, 32,  50, 4),
    format_iq1_m   = UNPACK_ONLY(256, 16,  56, 4),
    format_iq2_xxs = UNPACK_ONLY(256, 32,  66, 6),
    format_iq2_xs  = UNPACK_ONLY(256, 16,  74, 6),
    format_iq2_s   = UNPACK_ONLY(256, 16,  82, 6),
    format_iq3_xxs = UNPACK_ONLY(256, 32,  98, 6),
    format_iq3_s   = UNPACK_ONLY(256, 32, 110, 4),
    format_tq1_0   = UNPACK_ONLY(256, 32,  54, 0),
    format_tq2_0   = UNPACK_ONLY(256, 32,  66, 0),
    format_q1_0    = UNPACK_ONLY(128, 32,  18, 0),
    format_q2_0    = UNPACK_ONLY(64, 32,  18, 0);

#define UNPACKED(name, type, arg) [QUANT_##type] = {&format_##name, unpack_##name},

static const struct {
    const struct format *f;
    void (*unpack)(const uint8_t *p, const struct unpack *o);
} formats[QUANT_TYPE_MAX] = {
    READ_FORMATS(UNPACKED, )
    UNPACKED(iq1_s, IQ1_S, )
    UNPACKED(iq1_m, IQ1_M, )
    UNPACKED(iq2_xxs, IQ2_XXS, )
    UNPACKED(iq2_xs, IQ2_XS, )
    UNPACKED(iq2_s, IQ2_S, )
    UNPACKED(iq3_xxs, IQ3_XXS, )
    UNPACKED(iq3_s, IQ3_S, )
    UNPACKED(tq1_0, TQ1_0, )
    UNPACKED(tq2_0, TQ2_0, )
    UNPACKED(q1_0, Q1_0, )
    UNPACKED(q2_0, Q2_0, )
};
/* clang-format on */

/* What unpack made of CHUNK columns of a row group. */
struct unpacked {
    uint8_t w[CHUNK / 4 * GROUP * 4];
    float d[CHUNK / 16 * GROUP], m[CHUNK / 16 * GROUP];
};

_Static_assert(GROUP <= 32 && sizeof(struct unpacked) <= 32 * 256 + 2 * 16 * 32 * sizeof(float),
               "kern_mul_scratch has room for it");

/* n32 groups of 32 columns of one panel onto its partial sums s[nc][GROUP]; p->ns: offsets().
 */
INL void panel_mul(const int nc, const int small, const int min, const int wide,
                   const struct unpacked *u, int n32, const struct panel *p, float *s)
{
    const uint8_t *w = u->w;
    const float *d = u->d, *m = u->m, *ds = p->ds;
    const int8_t *q = p->q;
    const int32_t *ns = p->ns;
    vf acc[RV * V_PANEL];

    UNROLL for (int i = 0; i < RV * nc; i++) acc[i] = vf_load(s + i / RV * GROUP + i % RV * VL);
    for (int g = 0; g < n32 * (small ? 2 : 1); g++) {
        vi t[RV * V_PANEL];
        int paired;

        UNROLL for (int c = 0; c < nc; c++)
        {
            vi z = vi_set(ns[c]);

            UNROLL for (int v = 0; v < RV; v++) t[c * RV + v] = z;
        }
        paired = pairs_dot(nc, small, w, q, t);
        UNROLL for (int k = 0; k < 8; k++)
        {
            vi x[RV];

            if (small && k == 4)
                break;

            UNROLL for (int v = 0; v < RV; v++) x[v] = vi_load(w + v * VL * 4);
            UNROLL for (int c = 0; c < nc && !paired; c++)
            {
                vi a = vi_bytes4(q + c * 4);

                UNROLL for (int v = 0; v < RV; v++) t[c * RV + v] =
                    wide ? vi_dot8(t[c * RV + v], x[v], a) : vi_dot(t[c * RV + v], x[v], a);
            }
            w += GROUP * 4;
            q += nc * 4;
        }
        UNROLL for (int c = 0; c < nc; c++)
        {
            vf da = vf_set(p->d[(small ? g / 2 : g) * nc + c]);

            UNROLL for (int v = 0; v < RV; v++) acc[c * RV + v] = vf_fma(
                vf_mul(vi_to_f(t[c * RV + v]), da), vf_load(d + v * VL), acc[c * RV + v]);
            if (min) {
                UNROLL for (int v = 0; v < RV; v++) acc[c * RV + v] =
                    vf_fnma(vf_set(ds[c]), vf_load(m + v * VL), acc[c * RV + v]);
            }
        }
        d += GROUP;
        m += GROUP;
        ds += nc;
        ns += nc;
    }
    UNROLL for (int i = 0; i < RV * nc; i++) vf_store(s + i / RV * GROUP + i % RV * VL, acc[i]);
}

typedef void panel_fn(const struct unpacked *u, int n32, const struct panel *p, float *s);

#define PANEL_FN(nc, small, min, wide)                                                         \
    static void panel_##nc##small##min##wide(const struct unpacked *u, int n32,                \
                                             const struct panel *p, float *s)                  \
    {                                                                                          \
        panel_mul(nc, small, min, wide, u, n32, p, s);                                         \
    }
#define PANEL_FNS(nc)                                                                          \
    PANEL_FN(nc, 0, 0, 0)                                                                      \
    PANEL_FN(nc, 0, 1, 0) PANEL_FN(nc, 1, 0, 0) PANEL_FN(nc, 1, 1, 0) PANEL_FN(nc, 0, 0, 1)
#define PANEL_ROW(nc)                                                                          \
    {                                                                                          \
        {panel_##nc##000, panel_##nc##010}, {panel_##nc##100, panel_##nc##110},                \
        {                                                                                      \
            panel_##nc##001, NULL                                                              \
        }                                                                                      \
    }

/* n columns of float weights onto the partial sums. */
INL void float_mul(const int nc, const int type, const uint8_t *w, size_t n, const float *f,
                   float *s)
{
    const size_t size = type == QUANT_F32 ? 4 : 2;
    vf acc[RV * V_PANEL];

    UNROLL for (int i = 0; i < RV * nc; i++) acc[i] = vf_load(s + i / RV * GROUP + i % RV * VL);
    for (size_t k = 0; k < n; k++) {
        vf x[RV];

        UNROLL for (int v = 0; v < RV; v++)
        {
            const uint8_t *at = w + (k * GROUP + (size_t)v * VL) * size;

            x[v] = type == QUANT_F32   ? vf_load((const float *)(const void *)at)
                   : type == QUANT_F16 ? vf_load_f16(at)
                                       : vf_load_bf16(at);
        }
        UNROLL for (int c = 0; c < nc; c++)
        {
            vf a = vf_set(f[k * (size_t)nc + (size_t)c]);

            UNROLL for (int v = 0; v < RV; v++) acc[c * RV + v] =
                vf_fma(x[v], a, acc[c * RV + v]);
        }
    }
    UNROLL for (int i = 0; i < RV * nc; i++) vf_store(s + i / RV * GROUP + i % RV * VL, acc[i]);
}

typedef void float_fn(int type, const uint8_t *w, size_t n, const float *f, float *s);

#define FLOAT_FN(nc)                                                                           \
    static void float_##nc(int type, const uint8_t *w, size_t n, const float *f, float *s)     \
    {                                                                                          \
        if (type == QUANT_F32)                                                                 \
            float_mul(nc, QUANT_F32, w, n, f, s);                                              \
        else if (type == QUANT_F16)                                                            \
            float_mul(nc, QUANT_F16, w, n, f, s);                                              \
        else                                                                                   \
            float_mul(nc, QUANT_BF16, w, n, f, s);                                             \
    }

/* mul_<tier>.c instantiates the widths that its panels have. */
static panel_fn *const panel_fns[V_PANEL + 1][3][2];
static float_fn *const float_fns[V_PANEL + 1];
static direct_fn *const direct_fns[QUANT_TYPE_MAX][V_PANEL + 1];

/* Panel p of the activations from column k0 on. */
static struct panel panel_at(const struct format *f, const struct kern_acts *x, size_t p,
                             size_t k0)
{
    size_t nc = kern_panel_width(x, p), at32 = kern_panel_at(x, p, x->k / 32) + k0 / 32 * nc,
           at16 = kern_panel_at(x, p, x->k / 16) + k0 / 16 * nc;
    int small = f->per == 16;

    return (struct panel){x->q + kern_panel_at(x, p, x->k) + k0 * nc, x->d + at32,
                          small ? x->ds16 + at16 : x->ds32 + at32,
                          small ? x->ns16 + at16 : x->ns32 + at32};
}

/* Where the tiles of a row group come from, in the order of the columns: memory, or rows, a few
 * columns of which become tiles in a buffer in the first-level cache. */
struct source {
    const struct quant *q; /* NULL: packed */
    const uint8_t *at;     /* the next tile, or the next block of the first row */
    const uint8_t *next; /* rows: as much of the next group, which follows; fetched meanwhile */
    uint8_t *buf;
    size_t stride, n_row;
};

enum { BUF_BYTES = 34 * CHUNK / 32 * GROUP, FLOATS_OF_ROWS = CHUNK / 4 };

_Static_assert(BUF_BYTES <= 32 * 256 / 32 * 34, "kern_mul_scratch has room for it");

INL struct source source_of(const struct kern_weight *w, size_t g, uint8_t *buf)
{
    size_t n = w->n_row - g * GROUP;
    int rows = w->layout == KERN_ROWS;
    const uint8_t *at = (const uint8_t *)w->data + g * w->stride * (rows ? GROUP : 1);

    return (struct source){.q = rows ? quant_find(w->type) : NULL,
                           .at = at,
                           .next = at + GROUP * w->stride,
                           .buf = buf,
                           .stride = w->stride,
                           .n_row = n < GROUP ? n : GROUP};
}

/* The tiles of the next n_block blocks of `bytes` bytes. */
INL const uint8_t *source_take(struct source *s, size_t n_block, size_t bytes)
{
    const uint8_t *tile = s->at;

    s->at += n_block * bytes * (s->q ? 1 : GROUP);
    if (!s->q)
        return tile;
    for (size_t v = 0; v < TILES; v++) {
        size_t r = v * TILE_ROWS, n = s->n_row < r ? 0 : s->n_row - r;

        rows_tiles(s->q, tile + (n ? r * s->stride : 0), s->stride,
                   n < TILE_ROWS ? n : TILE_ROWS, n_block, s->next + r * n_block * bytes,
                   s->buf + v * TILE_ROWS * bytes, TILES * TILE_ROWS * bytes);
    }
    s->next += n_block * bytes * GROUP;
    return s->buf;
}

static void sum_direct(const struct kern_weight *w, const struct kern_acts *x, size_t g,
                       uint8_t *buf, float *s)
{
    const struct format *f = formats[w->type].f;
    struct source src = source_of(w, g, buf);
    size_t step = src.q ? CHUNK : w->n_col;

    for (size_t k0 = 0; k0 < w->n_col; k0 += step) {
        size_t n = w->n_col - k0 < step ? w->n_col - k0 : step, n_block = n / (size_t)f->block;
        const uint8_t *tile = source_take(&src, n_block, (size_t)f->bytes);

        for (size_t p = 0; p * x->n_panel < x->n; p++) {
            struct panel a = panel_at(f, x, p, k0);

            direct_fns[w->type][kern_panel_width(x, p)](tile, n_block, &a,
                                                        s + p * x->n_panel * GROUP);
        }
    }
}

/* What the sums of n groups begin with: the offset of the weights times what they meet. z is
 * zero, and stays so for weights without one. */
INL void offsets(int32_t *z, const int32_t *ns, size_t n, int zero)
{
    for (size_t i = 0; i < n && zero >= 0; i++)
        z[i] = ns[i] * (1 << zero);
}

static void sum_unpacked(const struct kern_weight *w, const struct kern_acts *x, size_t g,
                         struct unpacked *u, float *s)
{
    const struct format *f = formats[w->type].f;
    struct source src = source_of(w, g, (uint8_t *)(u + 1));
    size_t n_panel = (x->n + x->n_panel - 1) / x->n_panel, block = (size_t)f->block,
           per = (size_t)f->per;
    int kind = f->wide ? 2 : per == 16;
    int32_t z[CHUNK / 16 * V_PANEL] = {0};

    for (size_t k0 = 0; k0 < w->n_col; k0 += CHUNK) {
        size_t n = w->n_col - k0 < CHUNK ? w->n_col - k0 : CHUNK;
        const uint8_t *tile = source_take(&src, n / (size_t)f->block, (size_t)f->bytes);

        for (size_t b = 0; b < n; b += block) {
            for (size_t v = 0; v < TILES; v++) {
                struct unpack o = {u->w + v * LINE + b / 4 * GROUP * 4,
                                   u->d + v * TILE_ROWS + b / per * GROUP,
                                   u->m + v * TILE_ROWS + b / per * GROUP};

                formats[w->type].unpack(tile, &o);
                tile += (size_t)f->bytes * TILE_ROWS;
            }
        }
        pairs_order(u->w, n / 4);
        for (size_t p = 0; p < n_panel; p++) {
            struct panel a = panel_at(f, x, p, k0);

            offsets(z, a.ns, n / per * kern_panel_width(x, p), f->zero);
            a.ns = z;
            panel_fns[kern_panel_width(x, p)][kind][f->m != NULL](u, (int)(n / 32), &a,
                                                                  s + p * x->n_panel * GROUP);
        }
    }
}

static void sum_float(const struct kern_weight *w, const struct kern_acts *x, size_t g,
                      struct unpacked *u, float *s)
{
    size_t n_panel = (x->n + x->n_panel - 1) / x->n_panel, size = w->type == QUANT_F32 ? 4 : 2;
    struct source src = source_of(w, g, (uint8_t *)(u + 1));
    size_t chunk = src.q ? FLOATS_OF_ROWS : CHUNK;

    for (size_t k0 = 0; k0 < w->n_col; k0 += chunk) {
        size_t n = w->n_col - k0 < chunk ? w->n_col - k0 : chunk;
        const uint8_t *tile = source_take(&src, n, size);

        for (size_t p = 0; p < n_panel; p++) {
            size_t nc = kern_panel_width(x, p);

            float_fns[nc](w->type, tile, n, x->f + kern_panel_at(x, p, x->k) + k0 * nc,
                          s + p * x->n_panel * GROUP);
        }
    }
}

/* Partial sums of two weights to silu(a) * b or gelu(a) * b, in a's place. */
static void gate(float *a, const float *b, size_t n, int epilogue)
{
    for (size_t i = 0; i < n && epilogue == KERN_SILU_MUL; i += VL)
        vf_store(a + i, vf_mul(vf_silu(vf_load(a + i)), vf_load(b + i)));
    for (size_t i = 0; i < n && epilogue == KERN_GELU_MUL; i += VL)
        vf_store(a + i, vf_mul(vf_gelu(vf_load(a + i)), vf_load(b + i)));
}

static void scale_sums(float *s, float scale, size_t n)
{
    for (size_t i = 0; i < n; i += VL)
        vf_store(s + i, vf_mul(vf_load(s + i), vf_set(scale)));
}

/* bias onto the partial sums of rows r0 .. r0 + n of every column. */
static void add_bias(float *s, const float *bias, size_t n_col, size_t n)
{
    for (size_t c = 0; c < n_col; c++, s += GROUP) {
        for (size_t r = 0; r < n; r++)
            s[r] += bias[r];
    }
}

/* A group of rows is one block of the next product's input. */
static void write_acts(struct kern_acts *to, size_t r0, const float *s)
{
    for (size_t c = 0; c < to->n; c++, s += GROUP) {
        struct q8_column column = q8_column(to, c);

        q8_put(&column, r0 / 32, s);
    }
}

static void write_group(const struct kern_mul *j, size_t r0, size_t n, const float *s)
{
    for (size_t c = 0; c < j->x->n; c++, s += GROUP) {
        float *y = j->y + (j->to ? (size_t)j->to[c] : c) * j->ldy + r0,
              f = j->factor ? j->factor[c] : 1;

        if (j->epilogue == KERN_ADD) {
            for (size_t r = 0; r < n; r++)
                y[r] += f * s[r];
        } else {
            memcpy(y, s, n * sizeof(*y));
        }
    }
}

static void mul_tiles(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                      void *scratch)
{
    size_t n_s = j->x->n * GROUP;
    float *s[2] = {scratch, (float *)scratch + n_s};
    struct unpacked *u =
        (struct unpacked *)(void *)((float *)scratch + (2 * n_s + 15) / 16 * 16);

    (void)k;
    for (size_t g = g0; g < g1; g++) {
        size_t r0 = g * GROUP, n = j->w[0]->n_row - r0;

        n = n < GROUP ? n : GROUP;
        for (int i = 0; i < 2 && j->w[i]; i++) {
            memset(s[i], 0, n_s * sizeof(**s));
            if (!formats[j->w[i]->type].f)
                sum_float(j->w[i], j->x, g, u, s[i]);
            else if (j->x->n <= V_DIRECT && direct_fns[j->w[i]->type][1])
                sum_direct(j->w[i], j->x, g, (uint8_t *)(u + 1), s[i]);
            else
                sum_unpacked(j->w[i], j->x, g, u, s[i]);
            if (j->scale[i] != 0)
                scale_sums(s[i], j->scale[i], n_s);
            if (j->bias[i])
                add_bias(s[i], j->bias[i] + r0, j->x->n, n);
        }
        if (j->w[1])
            gate(s[0], s[1], n_s, j->epilogue);
        if (GROUP == 32 && j->acts)
            write_acts(j->acts, r0, s[0]);
        else
            write_group(j, r0, n, s[0]);
    }
}

static void mul_add(struct kern *k)
{
    static const int floats[] = {QUANT_F32, QUANT_F16, QUANT_BF16};

    k->n_panel = V_PANEL;
    k->n_group = GROUP;
    k->mul_acts = GROUP == 32;
    k->tiles = rows_tiles;
    for (int i = 0; i < QUANT_TYPE_MAX; i++) {
        if (formats[i].f)
            k->mm[i] = (struct kern_mm){mul_tiles, KERN_TILES, KERN_FORM_Q8};
    }
    for (int i = 0; i < 3; i++)
        k->mm[floats[i]] = (struct kern_mm){mul_tiles, KERN_TILES, KERN_FORM_F32};
}

#endif
