#include "kern/tile.h"

#include <string.h>

size_t tile_bytes(const struct quant *q, size_t n_col)
{
    return n_col / (size_t)q->block * (size_t)q->bytes * TILE_ROWS;
}

/* One block of 16 rows; src[r] is the block of row r. */
static void pack_block(const struct quant *q, const unsigned char *const src[TILE_ROWS],
                       unsigned char *dst)
{
    size_t off = 0;

    for (int i = 0; q->parts[i]; i++) {
        size_t unit = q->parts[i] == 2 ? 2 : 4, n = (size_t)q->parts[i] / unit;

        for (size_t d = 0; d < n; d++) {
            for (size_t r = 0; r < TILE_ROWS; r++) {
                memcpy(dst, src[r] + off + d * unit, unit);
                dst += unit;
            }
        }
        off += (size_t)q->parts[i];
    }
}

void tile_pack(const struct quant *q, const void *rows, size_t n_row, size_t n_col, void *tiles,
               size_t t0, size_t t1)
{
    static const unsigned char zero[256];
    size_t n_block = n_col / (size_t)q->block, bytes = (size_t)q->bytes,
           row_bytes = n_block * bytes;

    for (size_t t = t0; t < t1; t++) {
        unsigned char *dst = (unsigned char *)tiles + t * row_bytes * TILE_ROWS;

        for (size_t b = 0; b < n_block; b++) {
            const unsigned char *src[TILE_ROWS];

            for (size_t r = 0; r < TILE_ROWS; r++) {
                size_t row = t * TILE_ROWS + r;

                src[r] = row < n_row ? (const unsigned char *)rows + row * row_bytes + b * bytes
                                     : zero;
            }
            pack_block(q, src, dst);
            dst += bytes * TILE_ROWS;
        }
    }
}
