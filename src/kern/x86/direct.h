/* direct.h - the product of a few columns, which memory should limit: what a reader gives
 * (unpack.h) is multiplied as it is read, and never written down.
 *
 * The operations on one result are those of panel_mul (mul.h) in the same order, so that both
 * give the same bits.
 */
#ifndef HEARTH_KERN_X86_DIRECT_H
#define HEARTH_KERN_X86_DIRECT_H

#include "kern/x86/unpack.h"

/* How far ahead weights are fetched, bytes: one line at a time, at the pace of reading.
 * Measured on Zen 4, 2026-11: 8 and 16 KiB are alike, 4 and 32 are worse; 18 to 22 GB/s of one
 * thread. */
enum { DIRECT_AHEAD = 8192 };

/* A panel's activations. ds and ns are those of 16 or of 32 numbers, as the format needs. */
struct panel {
    const int8_t *q;
    const float *d, *ds;
    const int32_t *ns;
};

/* The part of one block's rows from h onto the sums y[nc]. */
INL void direct_part(const int nc, const struct format *f, const uint8_t *p, int h,
                     const struct panel *a, vf *y)
{
    const int quads = f->per / 4, all = f->block / 4,
              lines = (f->bytes * TILE_ROWS + LINE - 1) / LINE;
    struct head hd;

    f->head(p, h, &hd);
    UNROLL for (int g = 0; g < f->block / f->per; g++)
    {
        vf d = f->d(&hd, g), m = f->m ? f->m(&hd, g) : d;
        vi t[V_PANEL];

        UNROLL for (int c = 0; c < nc; c++) t[c] =
            f->zero >= 0 ? vi_shl(vi_set(a->ns[g * nc + c]), f->zero) : vi_zero();
        UNROLL for (int i = 0; i < quads; i++)
        {
            int at = g * quads + i;
            vi x = (vi)f->quad(p, h, &hd, at);

            for (int l = at * lines / all; h == 0 && l < (at + 1) * lines / all; l++)
                x = vi_fetch(x, p + DIRECT_AHEAD + l * LINE);
            UNROLL for (int c = 0; c < nc; c++)
            {
                vi q = vi_bytes4(a->q + (at * nc + c) * 4);

                t[c] = f->wide ? vi_dot8(t[c], x, q) : vi_dot(t[c], x, q);
            }
        }
        UNROLL for (int c = 0; c < nc; c++)
        {
            vf da = vf_set(a->d[g * f->per / 32 * nc + c]);

            y[c] = vf_fma(vf_mul(vi_to_f(t[c]), da), d, y[c]);
            if (f->m)
                y[c] = vf_fnma(vf_set(a->ds[g * nc + c]), m, y[c]);
        }
    }
}

/* n_block blocks of a row group by nc columns onto s[nc][GROUP]. */
INL void direct_mul(const int nc, const struct format *f, const uint8_t *p, size_t n_block,
                    const struct panel *in, float *s)
{
    const int groups = f->block / f->per;
    struct panel a = *in;

    for (size_t b = 0; b < n_block; b++) {
        for (int v = 0; v < TILES; v++) {
            for (int h = 0; h < TILE_ROWS; h += VL) {
                float *at = s + v * TILE_ROWS + h;
                vf y[V_PANEL];

                UNROLL for (int c = 0; c < nc; c++) y[c] = vf_load(at + c * GROUP);
                direct_part(nc, f, p, h, &a, y);
                UNROLL for (int c = 0; c < nc; c++) vf_store(at + c * GROUP, y[c]);
            }
            p += f->bytes * TILE_ROWS;
        }
        a.q += f->block * nc;
        a.d += f->block / 32 * nc;
        a.ds += groups * nc;
        a.ns += groups * nc;
    }
}

typedef void direct_fn(const uint8_t *p, size_t n_block, const struct panel *a, float *s);

#define DIRECT_FN(name, type, nc)                                                              \
    static void direct_##name##_##nc(const uint8_t *p, size_t n_block, const struct panel *a,  \
                                     float *s)                                                 \
    {                                                                                          \
        direct_mul(nc, &format_##name, p, n_block, a, s);                                      \
    }

/* All formats in nc columns; mul_<tier>.c instantiates the widths that its panels have, and
 * says with DIRECT_ROW(name) how they stand in a row of the table. */
#define DIRECT_FNS(nc)               READ_FORMATS(DIRECT_FN, nc)
#define DIRECT_TYPE(name, type, arg) [QUANT_##type] = DIRECT_ROW(name),
#define DIRECT_ROWS                  READ_FORMATS(DIRECT_TYPE, )

#endif
