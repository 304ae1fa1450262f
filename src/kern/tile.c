#include "kern/tile.h"

#include <string.h>

size_t tile_group_bytes(const struct quant *q, size_t n_col, size_t n_group)
{
    return n_col / (size_t)q->block * (size_t)q->bytes * n_group;
}

/* One block of 16 rows; src[r] is the block of row r. */
static void pack_block(const struct quant *q, const unsigned char *const src[TILE_ROWS],
                       unsigned char *dst)
{
    size_t off = 0;

    for (int i = 0; q->parts[i]; i++) {
        size_t unit = q->parts[i] < 4 ? (size_t)q->parts[i] : 4, n = (size_t)q->parts[i] / unit;

        for (size_t d = 0; d < n; d++) {
            for (size_t r = 0; r < TILE_ROWS; r++) {
                memcpy(dst, src[r] + off + d * unit, unit);
                dst += unit;
            }
        }
        off += (size_t)q->parts[i];
    }
}

void tile_pack(const struct quant *q, const void *rows, size_t n_row, size_t n_col,
               size_t n_group, void *out, size_t g0, size_t g1)
{
    static const unsigned char zero[256];
    size_t n_block = n_col / (size_t)q->block, bytes = (size_t)q->bytes,
           row_bytes = n_block * bytes;
    unsigned char *dst = (unsigned char *)out + g0 * row_bytes * n_group;

    for (size_t g = g0; g < g1; g++) {
        for (size_t b = 0; b < n_block; b++) {
            for (size_t first = g * n_group; first < (g + 1) * n_group; first += TILE_ROWS) {
                const unsigned char *src[TILE_ROWS];

                for (size_t r = 0; r < TILE_ROWS; r++)
                    src[r] = first + r < n_row ? (const unsigned char *)rows +
                                                     (first + r) * row_bytes + b * bytes
                                               : zero;
                pack_block(q, src, dst);
                dst += bytes * TILE_ROWS;
            }
        }
    }
}
