/* kernels.c - how near each product kernel comes to this machine's roofs, on one thread.
 *
 * For every weight format and tier: one column with the weights in memory (decode), as GB/s
 * and as a share of the read rate; and 2, 4, 8, 16 and 512 columns with the weights in the
 * caches, as Gop/s (a multiplication and an addition are two), the last also as a share of
 * the tier's 8-bit rate. Speed does not depend on the values, so blocks are random.
 *
 *   bench/kernels [TIER [FORMAT...]]
 */
#include "roof.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/kern.h"
#include "kern/tile.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { K = 2048, ROWS_CACHED = 512, BYTES_MEMORY = 512 << 20, COLS_MAX = 512, TRIES = 4 };

struct bench {
    struct kern k;
    unsigned char *w; /* BYTES_MEMORY random bytes */
    float *x, *y;
    void *acts, *scratch;
    double read, int8; /* roofs, per ns */
};

static void die(const char *what)
{
    (void)fprintf(stderr, "error: %s\n", what);
    exit(6);
}

static void *take(size_t n)
{
    void *p = vm_alloc(n);

    if (!p)
        die("not enough memory");
    return p;
}

/* Best time of a product of n_row rows by n columns, ns. */
static double product(struct bench *b, const struct quant *q, size_t n_row, size_t n)
{
    const struct kern_mm *mm = &b->k.mm[q->type];
    struct kern_weight w = {q->type, mm->layout, n_row,
                            K,       b->w,       tile_group_bytes(q, K, b->k.n_group)};
    struct kern_acts a;
    struct kern_mul j = {{&w, NULL}, &a, {NULL, NULL}, b->y, n_row, KERN_STORE};
    double best = 1e30;

    kern_acts_bind(&b->k, &a, b->acts, n, K, mm->form);
    a.x = b->x;
    b->k.acts(&a, mm->form, 0, n);
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = clock_ns();
        double ns;

        mm->mul(&b->k, &j, 0, (n_row + b->k.n_group - 1) / b->k.n_group, b->scratch);
        ns = (double)(clock_ns() - start);
        best = ns < best ? ns : best;
    }
    return best;
}

static void report(struct bench *b, const struct quant *q)
{
    static const size_t cols[] = {1, 2, 4, 8, 16, COLS_MAX};
    size_t row_bytes = (size_t)K / (size_t)q->block * (size_t)q->bytes,
           rows = BYTES_MEMORY / row_bytes / 32 * 32;
    double gb = (double)(rows * row_bytes) / product(b, q, rows, 1), gop = 0;

    (void)printf("%-8s %-10s %6.1f %4.0f%%", q->name, kern_tier_name(b->k.tier), gb,
                 100 * gb / b->read);
    for (size_t i = 0; i < sizeof(cols) / sizeof(*cols); i++) {
        gop = 2.0 * ROWS_CACHED * K * (double)cols[i] / product(b, q, ROWS_CACHED, cols[i]);
        (void)printf(" %7.1f", gop);
    }
    if (b->int8 > 0 && b->k.mm[q->type].form == KERN_FORM_Q8)
        (void)printf(" %4.0f%%", 100 * gop / b->int8);
    (void)printf("\n");
    (void)fflush(stdout);
}

static double int8_roof(int tier)
{
    static double (*const roofs[KERN_TIER_N])(void) = {
#if defined(__x86_64__)
        [KERN_AVX2] = roof_int8_avx2,
        [KERN_AVXVNNI] = roof_int8_avxvnni,
        [KERN_AVX512VNNI] = roof_int8_avx512vnni,
#elif defined(__aarch64__)
        [KERN_DOTPROD] = roof_int8_dotprod,
        [KERN_I8MM] = roof_int8_i8mm,
#endif
    };

    return roofs[tier] ? roofs[tier]() : 0;
}

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcasecmp(argv[i], name) == 0)
            return 1;
    }
    return argc <= 2;
}

int main(int argc, char **argv)
{
    int only = argc > 1 ? kern_tier_of(argv[1]) : -1;
    struct bench b = {0};
    struct rng r;

    if (argc > 1 && (only < 0 || !kern_tier_here(only)))
        die("no such tier on this machine");
    rng_seed(&r, 1);
    b.w = take(BYTES_MEMORY);
    for (size_t i = 0; i < BYTES_MEMORY / 8; i++)
        ((uint64_t *)(void *)b.w)[i] = rng_u64(&r) & 0x3fff3fff3fff3fffu;
    b.x = take(COLS_MAX * K * sizeof(float));
    for (size_t i = 0; i < COLS_MAX * K; i++)
        b.x[i] = rng_normal(&r);
    b.y = take(BYTES_MEMORY / (K / 8) * sizeof(float));
    b.acts = take(kern_acts_bytes(COLS_MAX, K, KERN_FORM_Q8 | KERN_FORM_F32));
    b.scratch = take(kern_mul_scratch(COLS_MAX));
    b.read = roof_read(b.w, BYTES_MEMORY);
    (void)printf("read %.1f GB/s; columns of %d, weights in memory, then in the caches\n\n",
                 b.read, K);
    (void)printf("%-8s %-10s %12s %7s %7s %7s %7s %7s %7s\n", "format", "tier", "GB/s at 1",
                 "Gop/s 1", "2", "4", "8", "16", "512");
    for (int t = KERN_REF + 1; t < KERN_TIER_N; t++) {
        if (!kern_tier_here(t) || (only >= 0 && t != only))
            continue;
        kern_init(&b.k, t);
        b.int8 = int8_roof(t);
        for (int i = 0; quant_at(i); i++) {
            if (b.k.mm[quant_at(i)->type].layout == KERN_TILES &&
                wanted(quant_at(i)->name, argc, argv))
                report(&b, quant_at(i));
        }
    }
    return 0;
}
