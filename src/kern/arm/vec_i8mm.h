/* vec_i8mm.h - the vectors of the I8MM tier: those of vec_dotprod.h, and the product of row
 * pairs by column pairs (pairs.h). */
#ifndef HEARTH_KERN_ARM_VEC_I8MM_H
#define HEARTH_KERN_ARM_VEC_I8MM_H

#include "kern/arm/vec_dotprod.h"

#define V_PAIRS 1

/* acc[2 i + j] += the sum of 8 products of bytes, of row i of w and row j of a; a row is 8
 * bytes. */
INL vi vi_mmla(vi acc, vi w, vi a)
{
    return vmmlaq_s32(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(a));
}

#endif
