/* pairs.h - the integer sums of a group by products of row pairs and column pairs, a template
 * over vec_i8mm.h for mul.h.
 *
 * The product wants 8 numbers of a row in a row of its operand. Unpacked weights have 4 of each
 * of 4 rows in a register; two such registers, interleaved, are rows 0 and 1 of 8 numbers, then
 * rows 2 and 3. Weights are interleaved once for all columns, activations as they are read.
 * Sums are exact, so the results are the same bits as row by row.
 */
#ifndef HEARTH_KERN_ARM_PAIRS_H
#define HEARTH_KERN_ARM_PAIRS_H

#include "kern/kern.h"

/* n_quad unpacked quads of a row group: each two of them interleaved, in place. */
INL void pairs_order(uint8_t *w, size_t n_quad)
{
    for (size_t t = 0; t < n_quad; t += 2, w += 2 * GROUP * 4) {
        UNROLL for (int v = 0; v < RV; v++)
        {
            uint8_t *even = w + v * VL * 4, *odd = even + GROUP * 4;
            vi a = vi_load(even), b = vi_load(odd);

            vst1q_s32((int32_t *)(void *)even, vzip1q_s32(a, b));
            vst1q_s32((int32_t *)(void *)odd, vzip2q_s32(a, b));
        }
    }
}

/* Two columns' quads of 8 numbers, from q and q + step: a column in each half. The last of an
 * odd number of columns stands for two. */
INL vi pairs_columns(const int two, const int8_t *q, int step)
{
    const int32_t *a = (const int32_t *)(const void *)q,
                  *b = (const int32_t *)(const void *)(q + step);
    int32x2_t x = two ? vld1_s32(a) : vld1_dup_s32(a), y = two ? vld1_s32(b) : vld1_dup_s32(b);

    return vcombine_s32(vzip1_s32(x, y), vzip2_s32(x, y));
}

/* The sums t[nc][RV] of one group; they hold their column's first value. Returns 1: done. */
INL int pairs_dot(const int nc, const int small, const uint8_t *w, const int8_t *q, vi *t)
{
    vi s[(V_PANEL + 1) / 2 * RV * 2];

    UNROLL for (int i = 0; i < (nc + 1) / 2 * RV * 2; i++)
    {
        int c = i / (2 * RV) * 2;

        s[i] = vzip1q_s32(t[c * RV], t[(c + 1 < nc ? c + 1 : c) * RV]);
    }
    UNROLL for (int k = 0; k < 4; k++)
    {
        vi x[RV * 2];

        if (small && k == 2)
            break;

        UNROLL for (int i = 0; i < RV * 2; i++) x[i] =
            vi_load(w + (2 * k + i % 2) * GROUP * 4 + i / 2 * VL * 4);
        UNROLL for (int c = 0; c < nc; c += 2)
        {
            vi a = pairs_columns(c + 1 < nc, q + (2 * k * nc + c) * 4, nc * 4);

            UNROLL for (int i = 0; i < RV * 2; i++) s[c * RV + i] =
                vi_mmla(s[c * RV + i], x[i], a);
        }
    }
    UNROLL for (int c = 0; c < nc; c++)
    {
        UNROLL for (int v = 0; v < RV; v++)
        {
            vi a = s[c / 2 * RV * 2 + 2 * v], b = s[c / 2 * RV * 2 + 2 * v + 1];

            t[c * RV + v] = c % 2 ? vuzp2q_s32(a, b) : vuzp1q_s32(a, b);
        }
    }
    return 1;
}

#endif
