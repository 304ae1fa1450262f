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

void tile_rows(const struct quant *q, const void *rows, size_t stride, size_t n_row,
               size_t n_block, void *out, size_t gap)
{
    static const unsigned char zero[256];

    for (size_t b = 0; b < n_block; b++) {
        const unsigned char *src[TILE_ROWS];

        for (size_t r = 0; r < TILE_ROWS; r++)
            src[r] = r < n_row ? (const unsigned char *)rows + r * stride + b * (size_t)q->bytes
                               : zero;
        pack_block(q, src, (unsigned char *)out + b * gap);
    }
}

void tile_pack(const struct kern *k, const struct quant *q, const void *rows, size_t n_row,
               size_t n_col, void *out, size_t g0, size_t g1)
{
    size_t n_block = n_col / (size_t)q->block, tile = (size_t)q->bytes * TILE_ROWS,
           stride = n_block * (size_t)q->bytes, n_tile = k->n_group / TILE_ROWS;

    for (size_t t = g0 * n_tile; t < g1 * n_tile; t++) {
        size_t first = t * TILE_ROWS, n = first < n_row ? n_row - first : 0;

        k->tiles(q, (const unsigned char *)rows + (n ? first * stride : 0), stride,
                 n < TILE_ROWS ? n : TILE_ROWS, n_block,
                 (unsigned char *)out + t / n_tile * n_tile * n_block * tile +
                     t % n_tile * tile,
                 n_tile * tile);
    }
}
