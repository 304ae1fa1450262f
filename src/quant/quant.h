/* quant.h - the weight formats: how numbers are stored in blocks, and the truth about each.
 *
 * One file per format holds its layout, its exact reader (to_f32) and a writer (from_f32);
 * list.c is the table of all. These functions are slow and obvious: they are the judge of
 * every kernel. A row of a tensor is a run of whole blocks.
 *
 * Layout   little endian, as in GGUF files; a block may start at any
 *          address
 * Threads  any
 * Source   GGUF v3 tensor types; field orders as in the files that users have
 */
#ifndef HEARTH_QUANT_QUANT_H
#define HEARTH_QUANT_QUANT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The numbers are GGUF's ids. A type that has no row in the table is known by name only. */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
    QUANT_Q1_0 = 41,
    QUANT_Q2_0 = 42,
    QUANT_TYPE_MAX = 64 /* ids are below this */
};

#define QUANT_PARTS 4

struct quant {
    int type;         /* enum quant_type */
    const char *name; /* "Q4_K" */
    int block;        /* numbers in a block */
    int bytes;        /* bytes of a block */
    /* Sizes in bytes of the block's fields in order, 0 at the end: what a tile layout
     * transposes (kern/tile.h). Their sum is bytes; each is 1, 2 or a multiple of 4. */
    int parts[QUANT_PARTS + 1];
    /* n numbers, a multiple of block, from or to n / block blocks. from_f32 rounds as well
     * as the format's usual writer; to_f32(from_f32(x)) is never NaN for finite x. It is NULL
     * for the IQ1, IQ2 and IQ3 formats, whose writers need to know what inputs a weight meets:
     * those are read only. */
    void (*to_f32)(const void *blocks, float *out, size_t n);
    void (*from_f32)(const float *in, void *blocks, size_t n);
};

/* The row of a type, or NULL when this build has none. */
const struct quant *quant_find(int type);
/* By name, in any case ("q4_k"), or NULL. */
const struct quant *quant_by_name(const char *name);
/* The table, for listing: i from 0; NULL past the end. */
const struct quant *quant_at(int i);

/* The name that users know for any GGUF type id, also for those without a row; "type 99"
 * style names are not made up: NULL for an id that no writer used. */
const char *quant_type_name(int type);

/* Block size and bytes of any GGUF type id that a file may hold, also of those without a
 * row. Returns 0 for an unknown or removed id. */
int quant_type_size(int type, int *block, int *bytes);

#endif
