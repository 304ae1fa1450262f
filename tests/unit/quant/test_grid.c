/* test_grid.c - the codebooks against their checksums, and the readers of the formats that use
 * them against their definitions, bit by bit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "block_bits.h"
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/quant.h"

#include <stdio.h>

#define BLOCK   256
#define N_BLOCK 200

/* ---- codebooks ---- */

/* The checksum of zlib and of IEEE 802.3. */
static uint32_t crc_add(uint32_t crc, int byte)
{
    crc ^= (uint32_t)byte & 255u;
    for (int i = 0; i < 8; i++)
        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    return crc;
}

static int iq1_at(uint16_t code, int j)
{
    return grid_iq1_at(code, j);
}

static int iq2_at(uint16_t code, int j)
{
    return grid_iq2_at(code, j);
}

static int iq3_xxs_at(uint16_t code, int j)
{
    return grid_iq3_xxs_at(code, j);
}

static int iq3_s_at(uint16_t code, int j)
{
    return grid_iq3_s_at(code, j);
}

static void test_codebooks(void **state)
{
    static const struct {
        const char *name;
        const uint16_t *grid;
        int n, len;
        int (*at)(uint16_t code, int j);
        uint32_t crc; /* of all numbers, a byte each */
    } books[] = {
        {"IQ1", grid_iq1, 2048, 8, iq1_at, 0xb85e6ccf},
        {"IQ2_XXS", grid_iq2_xxs, 256, 8, iq2_at, 0x9924ff02},
        {"IQ2_XS", grid_iq2_xs, 512, 8, iq2_at, 0xfa1e1bfd},
        {"IQ2_S", grid_iq2_s, 1024, 8, iq2_at, 0x25ae5bf1},
        {"IQ3_XXS", grid_iq3_xxs, 256, 4, iq3_xxs_at, 0x07ba9ed0},
        {"IQ3_S", grid_iq3_s, 512, 4, iq3_s_at, 0xf576e4f3},
    };

    (void)state;
    for (size_t b = 0; b < sizeof(books) / sizeof(books[0]); b++) {
        uint32_t crc = 0xffffffffu;

        for (int i = 0; i < books[b].n * books[b].len; i++)
            crc = crc_add(crc, books[b].at(books[b].grid[i / books[b].len], i % books[b].len));
        if (~crc != books[b].crc)
            fail_msg("codebook of %s: checksum %08x, want %08x", books[b].name, ~crc,
                     books[b].crc);
        assert_int_equal(books[b].grid[books[b].n], 0);
    }
}

static void test_signs(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 512; i++) {
        int s = grid_signs(i), n = 0;

        for (int j = 0; j < 8; j++)
            n += s >> j & 1;
        assert_int_equal(s & 127, (int)(i & 127));
        assert_int_equal(s & ~255, 0);
        assert_int_equal(n % 2, 0);
    }
}

/* ---- the definitions: d * scale * (value + shift), all exact in double and in float ---- */

/* v, or -v when bit j of the signs that begin at bit `at` is set. Of eight signs seven are
 * stored; the last makes their number even. */
static int sign_of_seven(const unsigned char *b, int at, int j, int v)
{
    int n = 0;

    if (j < 7)
        return bits(b, at + j, 1) ? -v : v;
    for (int i = 0; i < 7; i++)
        n += bits(b, at + i, 1);
    return n % 2 ? -v : v;
}

static double want_iq1_s(const unsigned char *b, int i)
{
    int ib = i / 32, l = i % 32 / 8, qh = 8 * (34 + 2 * ib);
    int at = bits(b, 8 * (2 + i / 8), 8) + 256 * bits(b, qh + 3 * l, 3);
    double shift = bits(b, qh + 15, 1) ? -0.125 : 0.125;

    return half_at(b, 0) * (2 * bits(b, qh + 12, 3) + 1) *
           (grid_iq1_at(grid_iq1[at], i % 8) + shift);
}

static double want_iq1_m(const unsigned char *b, int i)
{
    int l = i / 8, qh = 8 * 32 + 4 * l, at = bits(b, 8 * l, 8) + 256 * bits(b, qh, 3);
    int scale = bits(b, 8 * (48 + 2 * (i / 64)) + 3 * (i % 64 / 16), 3);
    int d = bits(b, 8 * 48 + 12, 4) | bits(b, 8 * 50 + 12, 4) << 4 |
            bits(b, 8 * 52 + 12, 4) << 8 | bits(b, 8 * 54 + 12, 4) << 12;
    double shift = bits(b, qh + 3, 1) ? -0.125 : 0.125;

    return half_value(d) * (2 * scale + 1) * (grid_iq1_at(grid_iq1[at], i % 8) + shift);
}

static double want_iq2_xxs(const unsigned char *b, int i)
{
    int at = 8 * (2 + i / 32 * 8), l = i % 32 / 8;
    int v = grid_iq2_at(grid_iq2_xxs[bits(b, at + 8 * l, 8)], i % 8);

    v = sign_of_seven(b, at + 32 + 7 * l, i % 8, v);
    return half_at(b, 0) * (0.5 + bits(b, at + 60, 4)) * 0.25 * v;
}

/* Scale nibbles of 16 numbers each, from a byte on. */
static double iq2_scale(const unsigned char *b, int byte, int i)
{
    return (0.5 + bits(b, 8 * byte + 4 * (i / 16), 4)) * 0.25;
}

static double want_iq2_xs(const unsigned char *b, int i)
{
    int at = 8 * 2 + 16 * (i / 8), v = grid_iq2_at(grid_iq2_xs[bits(b, at, 9)], i % 8);

    return half_at(b, 0) * iq2_scale(b, 66, i) * sign_of_seven(b, at + 9, i % 8, v);
}

static double want_iq2_s(const unsigned char *b, int i)
{
    int at = bits(b, 8 * (2 + i / 8), 8) | bits(b, 8 * 66 + 2 * (i / 8), 2) << 8;
    int v = grid_iq2_at(grid_iq2_s[at], i % 8);

    return half_at(b, 0) * iq2_scale(b, 74, i) * (bits(b, 8 * 34 + i, 1) ? -v : v);
}

static double want_iq3_xxs(const unsigned char *b, int i)
{
    int v = grid_iq3_xxs_at(grid_iq3_xxs[bits(b, 8 * (2 + i / 4), 8)], i % 4);
    int at = 8 * 66 + 32 * (i / 32);

    v = sign_of_seven(b, at + 7 * (i % 32 / 8), i % 8, v);
    return half_at(b, 0) * (0.5 + bits(b, at + 28, 4)) * 0.5 * v;
}

static double want_iq3_s(const unsigned char *b, int i)
{
    int at = bits(b, 8 * (2 + i / 4), 8) | bits(b, 8 * 66 + i / 4, 1) << 8;
    int v = grid_iq3_s_at(grid_iq3_s[at], i % 4), scale = bits(b, 8 * 106 + 4 * (i / 32), 4);

    return half_at(b, 0) * (1 + 2 * scale) * (bits(b, 8 * 74 + i, 1) ? -v : v);
}

static const struct {
    int type;
    double (*want)(const unsigned char *b, int i);
} formats[] = {
    {QUANT_IQ1_S, want_iq1_s},   {QUANT_IQ1_M, want_iq1_m}, {QUANT_IQ2_XXS, want_iq2_xxs},
    {QUANT_IQ2_XS, want_iq2_xs}, {QUANT_IQ2_S, want_iq2_s}, {QUANT_IQ3_XXS, want_iq3_xxs},
    {QUANT_IQ3_S, want_iq3_s},
};

static void check_block(const struct quant *q, const unsigned char *b, const float *y,
                        double (*want)(const unsigned char *b, int i), uint64_t seed)
{
    for (int i = 0; i < BLOCK; i++) {
        float w = (float)want(b, i);

        if (f32_bits(y[i]) != f32_bits(w) && !(isnan(y[i]) && isnan(w)))
            fail_msg("%s: number %d is %a, want %a (seed %llu)", q->name, i, (double)y[i],
                     (double)w, (unsigned long long)seed);
    }
}

static void test_reads_as_defined(void **state)
{
    static unsigned char mem[N_BLOCK * 128 + 1];
    static float y[N_BLOCK * BLOCK];
    uint64_t seed = rng_entropy();
    struct rng r;

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&r, seed);
    for (size_t t = 0; t < sizeof(formats) / sizeof(formats[0]); t++) {
        const struct quant *q = quant_find(formats[t].type);
        unsigned char *p = mem + 1;

        assert_non_null(q);
        assert_int_equal(q->block, BLOCK);
        assert_null(q->from_f32);
        for (int i = 0; i < N_BLOCK * q->bytes; i++)
            p[i] = (unsigned char)rng_u64(&r);
        q->to_f32(p, y, (size_t)N_BLOCK * BLOCK);
        for (int b = 0; b < N_BLOCK; b++)
            check_block(q, p + b * q->bytes, y + (ptrdiff_t)b * BLOCK, formats[t].want, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codebooks),
        cmocka_unit_test(test_signs),
        cmocka_unit_test(test_reads_as_defined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
