/* tile.h - weights as the vector tiers want them: 16 rows side by side.
 *
 * A tile is one block of 16 rows, 16 times the size of the format's block: field by field,
 * the 16 rows' fields are transposed in units of 4 bytes, so that line i of 64 bytes holds
 * dword i of row r in lane r. A field of 2 bytes (a half-precision scale) becomes 16 halves,
 * a field of 1 byte 16 bytes. One rule serves all formats (struct quant, parts), and nothing
 * grows.
 *
 * A group is as many rows as the tier's kernel takes at once (kern.n_group, a multiple of
 * 16): for each block along the columns, the tiles of its rows follow each other. So a kernel
 * reads a group from its first byte to its last, and the next group follows.
 *
 * Rows that do not fill a group are zero blocks.
 *
 * Threads  any; tiles may be packed by several threads at once
 */
#ifndef HEARTH_KERN_TILE_H
#define HEARTH_KERN_TILE_H

#include "kern/kern.h"

#define TILE_ROWS 16

/* Bytes of one group of n_group rows of n_col numbers. */
size_t tile_group_bytes(const struct quant *q, size_t n_col, size_t n_group);

/* The slot `tiles` of struct kern, plainly. */
void tile_rows(const struct quant *q, const void *rows, size_t stride, size_t n_row,
               size_t n_block, const void *ahead, void *out, size_t gap);

/* Packs groups [g0, g1) of a matrix of n_row rows of n_col numbers for the products of a tier
 * that reads tiles; group g at out + g * tile_group_bytes, out aligned to 16. */
void tile_pack(const struct kern *k, const struct quant *q, const void *rows, size_t n_row,
               size_t n_col, void *out, size_t g0, size_t g1);

#endif
