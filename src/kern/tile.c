#include "kern/tile.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Tiles are made in the first-level cache, then copied out. */
enum { PACK_BUF = 16 << 10 };

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
               size_t n_block, const void *ahead, void *out, size_t gap)
{
    static const unsigned char zero[256];

    (void)ahead;
    for (size_t b = 0; b < n_block; b++) {
        const unsigned char *src[TILE_ROWS];

        for (size_t r = 0; r < TILE_ROWS; r++)
            src[r] = r < n_row ? (const unsigned char *)rows + r * stride + b * (size_t)q->bytes
                               : zero;
        pack_block(q, src, (unsigned char *)out + b * gap);
    }
}

/* Copies past the caches, which saves reading what is written over: half as fast again. */
static void copy_past(unsigned char *to, const unsigned char *from, size_t n)
{
#if defined(__SSE2__)
    for (size_t i = 0; i < n; i += 16)
        _mm_stream_si128((__m128i *)(void *)(to + i),
                         _mm_load_si128((const __m128i *)(const void *)(from + i)));
#else
    memcpy(to, from, n);
#endif
}

void tile_pack(const struct kern *k, const struct quant *q, const void *rows, size_t n_row,
               size_t n_col, void *out, size_t g0, size_t g1)
{
    _Alignas(64) unsigned char buf[PACK_BUF];
    size_t n_block = n_col / (size_t)q->block, bytes = (size_t)q->bytes,
           tile = bytes * TILE_ROWS, stride = n_block * bytes, n_tile = k->n_group / TILE_ROWS,
           piece = sizeof(buf) / (n_tile * tile);
    const unsigned char *from = rows;
    unsigned char *to = (unsigned char *)out + g0 * n_tile * n_block * tile;

    for (size_t g = g0; g < g1; g++) {
        for (size_t b = 0; b < n_block; b += piece) {
            size_t m = n_block - b < piece ? n_block - b : piece;

            for (size_t v = 0; v < n_tile; v++) {
                size_t first = g * k->n_group + v * TILE_ROWS,
                       n = first < n_row ? n_row - first : 0;
                const unsigned char *at = from + (n ? first * stride + b * bytes : 0);

                k->tiles(q, at, stride, n < TILE_ROWS ? n : TILE_ROWS, m,
                         n > TILE_ROWS
                             ? from + first * stride + TILE_ROWS * (stride + b * bytes)
                             : NULL,
                         buf + v * tile, n_tile * tile);
            }
            copy_past(to, buf, m * n_tile * tile);
            to += m * n_tile * tile;
        }
    }
#if defined(__SSE2__)
    _mm_sfence();
#endif
}
