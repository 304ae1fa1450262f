/* tile.h - weights as the vector tiers want them: 16 rows side by side.
 *
 * A tile is 16 rows. Inside it the blocks of a row follow each other as in the file, and each
 * block of 16 rows keeps its size, 16 times the format's: field by field, the 16 rows' fields
 * are transposed in units of 4 bytes, so that line i of 64 bytes holds dword i of row r in
 * lane r. A field of 2 bytes (a half-precision scale) becomes 16 halves. One rule serves all
 * formats (struct quant, parts); nothing grows, and the way back is the same transposition.
 *
 * Rows that do not fill a tile are zero blocks.
 *
 * Threads  any; tiles may be packed by several threads at once
 */
#ifndef HEARTH_KERN_TILE_H
#define HEARTH_KERN_TILE_H

#include "kern/kern.h"

#define TILE_ROWS 16

/* Bytes of one tile of rows of n_col numbers. */
size_t tile_bytes(const struct quant *q, size_t n_col);

/* Packs tiles [t0, t1) of a matrix of n_row rows of n_col numbers from rows to tiles. */
void tile_pack(const struct quant *q, const void *rows, size_t n_row, size_t n_col, void *tiles,
               size_t t0, size_t t1);

#endif
