/* rows.h - tiles (tile.h) from rows as they lie in a file, a template over vec_<tier>.h.
 *
 * The units of 4 bytes are transposed in registers, 4 of 16 rows at a time: each 128 bits of a
 * vector hold 4 units of one row, vector i the rows i, i + 4, i + 8 and i + 12; zipped twice,
 * each vector has one unit of all rows, in their order. The last 4 units of a block are done
 * again together with what is left, so that nothing outside of a row's block is read.
 */
#ifndef HEARTH_KERN_X86_ROWS_H
#define HEARTH_KERN_X86_ROWS_H

#include "kern/tile.h"

#include <string.h>

enum { ROWS_LINE = 4 * TILE_ROWS };

typedef uint32_t rows_line __attribute__((vector_size(4 * TILE_ROWS)));
typedef uint16_t rows_half __attribute__((vector_size(2 * TILE_ROWS)));

/* Units i .. i + 3 of the rows at `at`, line by line. */
INL void rows_four(const uint8_t *const at[TILE_ROWS], size_t off, uint8_t *out, size_t gap)
{
    for (int h = 0; h < TILE_ROWS; h += VL) {
        vi a = vi_pieces(at + h, off), b = vi_pieces(at + h + 1, off),
           c = vi_pieces(at + h + 2, off), d = vi_pieces(at + h + 3, off), ab = vi_zip_lo(a, b),
           cd = vi_zip_lo(c, d), AB = vi_zip_hi(a, b), CD = vi_zip_hi(c, d),
           line[4] = {vi_zip2_lo(ab, cd), vi_zip2_hi(ab, cd), vi_zip2_lo(AB, CD),
                      vi_zip2_hi(AB, CD)};

        for (int i = 0; i < 4; i++)
            memcpy(out + (size_t)i * gap + 4 * h, &line[i], sizeof(line[i]));
    }
}

/* n units from byte `off` on; line i at out + i * gap. */
INL void rows_units(const uint8_t *const at[TILE_ROWS], size_t off, size_t n, uint8_t *out,
                    size_t gap)
{
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        rows_four(at, off + 4 * i, out + i * gap, gap);
    if (i == n)
        return;
    if (n >= 4) {
        rows_four(at, off + 4 * (n - 4), out + (n - 4) * gap, gap);
        return;
    }
    for (; i < n; i++) {
        for (size_t r = 0; r < TILE_ROWS; r++)
            memcpy(out + i * gap + 4 * r, at[r] + off + 4 * i, 4);
    }
}

/* n halves from byte `off` on; the 16 of column i at out + i * gap. Two of a row are a unit,
 * whose halves are parted after the transposition. */
INL void rows_halves(const uint8_t *const at[TILE_ROWS], size_t off, size_t n, uint8_t *out,
                     size_t gap)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        rows_line line[4];

        rows_four(at, off + 2 * i, (uint8_t *)line, ROWS_LINE);
        for (size_t k = 0; k < 4; k++) {
            rows_half lo = __builtin_convertvector(line[k] & 0xffffu, rows_half),
                      hi = __builtin_convertvector(line[k] >> 16, rows_half);

            memcpy(out + (i + 2 * k) * gap, &lo, sizeof(lo));
            memcpy(out + (i + 2 * k + 1) * gap, &hi, sizeof(hi));
        }
    }
    for (; i < n; i++) {
        for (size_t r = 0; r < TILE_ROWS; r++)
            memcpy(out + i * gap + 2 * r, at[r] + off + 2 * i, 2);
    }
}

/* One block of 16 rows. Parts that are whole units follow each other as if they were one. */
INL void rows_block(const struct quant *q, const uint8_t *const at[TILE_ROWS], uint8_t *out)
{
    size_t off = 0;

    for (int i = 0; q->parts[i];) {
        size_t n = (size_t)q->parts[i++];

        if (n >= 4) {
            while (q->parts[i] >= 4)
                n += (size_t)q->parts[i++];
            rows_units(at, off, n / 4, out + off * TILE_ROWS, ROWS_LINE);
        } else if (n == 2) {
            rows_halves(at, off, 1, out + off * TILE_ROWS, 0);
        } else {
            for (size_t r = 0; r < TILE_ROWS; r++)
                out[off * TILE_ROWS + r] = at[r][off];
        }
        off += n;
    }
}

/* The slot `tiles` of struct kern. */
static void rows_tiles(const struct quant *q, const void *rows, size_t stride, size_t n_row,
                       size_t n_block, const void *ahead, void *out, size_t gap)
{
    static const uint8_t zero[256];
    const size_t piece = q->block == 1 ? sizeof(zero) / 4 : 1, bytes = (size_t)q->bytes;
    const uint8_t *at[TILE_ROWS];
    size_t step[TILE_ROWS];

    for (size_t r = 0; r < TILE_ROWS; r++) {
        at[r] = r < n_row ? (const uint8_t *)rows + r * stride : zero;
        step[r] = r < n_row ? piece * bytes : 0;
    }
    for (size_t b = 0; b < n_block; b += piece) {
        size_t n = n_block - b < piece ? n_block - b : piece;
        uint8_t *to = (uint8_t *)out + b * gap;

        if (ahead) {
            for (size_t i = 0; i < n * bytes * TILE_ROWS; i += 64)
                v_prefetch((const uint8_t *)ahead + i);
            ahead = (const uint8_t *)ahead + n * bytes * TILE_ROWS;
        }

        if (q->block > 1)
            rows_block(q, at, to);
        else if (bytes == 4)
            rows_units(at, 0, n, to, gap);
        else
            rows_halves(at, 0, n, to, gap);
        for (size_t r = 0; r < TILE_ROWS; r++)
            at[r] += step[r];
    }
}

#endif
