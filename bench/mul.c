/* mul.c - the matrix product of every format: one column with the weights in memory, as when
 * tokens are made, and 512 columns with the weights in the caches, as when a prompt is read.
 * With --columns: what a small batch costs, its weights from memory too, in units of one
 * column. */
#include "bench.h"

#include "kern/tile.h"

#include <stdio.h>
#include <string.h>

/* Weights are matrices of ROWS by K, side by side: results are few enough to stay in a cache,
 * as those of a layer do. */
enum { K = 2048, ROWS = 2048, ROWS_CACHED = 512, COLS_MAX = 512 };

/* Bytes of weights for small batches: more than caches hold, less than all. */
enum { BYTES_BATCH = 128 << 20 };

struct product {
    const struct kern *k;
    struct kern_weight w;
    struct kern_acts a;
    struct kern_mul mul;
    size_t n_matrix, bytes; /* of one matrix */
    void *scratch;
};

static void run(void *ctx)
{
    struct product *p = ctx;
    const unsigned char *first = p->w.data;

    for (size_t i = 0; i < p->n_matrix; i++) {
        p->w.data = first + i * p->bytes;
        p->k->mm[p->w.type].mul(p->k, &p->mul, 0, p->w.n_row / p->k->n_group, p->scratch);
    }
    p->w.data = first;
}

static const float *columns(const struct bench *b)
{
    static float *x;

    if (!x) {
        x = bench_alloc((size_t)COLS_MAX * K * sizeof(*x));
        for (size_t at = 0; at < (size_t)COLS_MAX * K * sizeof(*x); at += BENCH_BYTES_CACHE)
            memcpy((char *)x + at, b->normal, BENCH_BYTES_CACHE);
    }
    return x;
}

/* Best time of n_matrix matrices times n columns, ns. */
static double product_ns(struct bench *b, const struct quant *q, size_t n_row, size_t n_matrix,
                         size_t n)
{
    static void *acts, *scratch;
    static float *y;
    const struct kern_mm *mm = &b->k.mm[q->type];
    struct product p = {.k = &b->k, .n_matrix = n_matrix};

    if (!acts) {
        acts = bench_alloc(kern_acts_bytes(COLS_MAX, K, KERN_FORM_Q8 | KERN_FORM_F32));
        scratch = bench_alloc(kern_mul_scratch(COLS_MAX));
        y = bench_alloc((size_t)COLS_MAX * ROWS * sizeof(*y));
    }
    p.w = (struct kern_weight){q->type, mm->layout, n_row,
                               K,       b->random,  tile_group_bytes(q, K, b->k.n_group)};
    p.bytes = p.w.stride * (n_row / b->k.n_group);
    p.scratch = scratch;
    kern_acts_bind(&b->k, &p.a, acts, n, K, mm->form);
    p.a.x = columns(b);
    b->k.acts(&p.a, mm->form, 0, n);
    p.mul = (struct kern_mul){.w = {&p.w, NULL}, .x = &p.a, .y = y, .ldy = n_row};
    return bench_ns(run, &p);
}

static size_t row_bytes(const struct quant *q)
{
    return (size_t)K / (size_t)q->block * (size_t)q->bytes;
}

static void report(struct bench *b, const struct quant *q)
{
    size_t n = BENCH_BYTES_MEMORY / (row_bytes(q) * ROWS);
    int limit = b->k.mm[q->type].form == KERN_FORM_Q8 ? BENCH_INT8 : BENCH_FMA;

    bench_row(b, "mul 1", q->name, BENCH_MEMORY,
              (double)(n * ROWS * row_bytes(q)) / product_ns(b, q, ROWS, n, 1));
    bench_row(b, "mul 512", q->name, limit,
              2.0 * ROWS_CACHED * K * COLS_MAX / product_ns(b, q, ROWS_CACHED, 1, COLS_MAX));
}

/* -- small batches --------------------------------------------------------------------- */

static const int widths[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32};

enum { N_WIDTH = sizeof(widths) / sizeof(*widths) };

static void report_columns(struct bench *b, const struct quant *q)
{
    size_t n = BYTES_BATCH / (row_bytes(q) * ROWS);
    double one = 0;

    for (int i = 0; i < N_WIDTH; i++) {
        double ns = product_ns(b, q, ROWS, n, (size_t)widths[i]);

        one = i ? one : ns;
        if (i == 0)
            (void)printf("%-8s %-8s %-11s %6.1f GB/s %6.2f", "mul", q->name,
                         kern_tier_name(b->k.tier), (double)(n * ROWS * row_bytes(q)) / ns,
                         1.0);
        else
            (void)printf(" %6.2f", ns / one);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

static void report_head(void)
{
    (void)printf("%-41s", "columns, time as a multiple of one");
    for (int i = 0; i < N_WIDTH; i++)
        (void)printf(" %6d", widths[i]);
    (void)printf("\n");
}

void bench_mul(struct bench *b)
{
    int n = 0;

    for (int i = 0; quant_at(i); i++) {
        const struct quant *q = quant_at(i);
        const struct kern_mm *mm = &b->k.mm[q->type];

        /* The reference is not measured: it would take minutes, and nobody waits for it. */
        if (!mm->mul || mm->layout != KERN_TILES || mm->mul == b->below.mm[q->type].mul ||
            !bench_wants(b, q->name))
            continue;
        if (b->columns && n++ == 0)
            report_head();
        if (b->columns)
            report_columns(b, q);
        else
            report(b, q);
    }
}
