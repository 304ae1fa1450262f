/* bench.h - what the measurements of kernels share: a bench per op, which times its slot and
 * prints rows, each with the share that it reaches of the roof that limits it.
 *
 * A bench is one file with a function bench_<op>, and a name in BENCH_OPS. It is called once
 * for each tier that this machine runs, from the reference up, and prints the rows of what
 * that tier brings (b->k differs from b->below). All runs on one thread, unless the row says
 * otherwise; speed must not depend on the values, so inputs are random.
 *
 *     void bench_rope(struct bench *b)
 *     {
 *         if (b->k.rope == b->below.rope || !bench_wants(b, "f32"))
 *             return;
 *         ... one call rotates `bytes` bytes ...
 *         bench_row(b, "rope", "f32", BENCH_CACHE, (double)bytes / bench_ns(rotate, &job));
 *     }
 *
 * Units    rates are per nanosecond: bytes give GB/s, operations Gop/s, where a multiplication
 *          and an addition are two
 */
#ifndef HEARTH_BENCH_BENCH_H
#define HEARTH_BENCH_BENCH_H

#include "kern/kern.h"
#include "roof.h"

#include <stddef.h>

/* The ops that are measured, in the order of their rows. */
/* clang-format off */
#define BENCH_OPS(X)                                                                  \
    X(barrier) X(mul) X(acts) X(rms_norm) X(layer_norm) X(l2_norm) X(act) X(rope)     \
    X(kv_put) X(conv) X(ssm) X(delta) X(attn)
/* clang-format on */

/* What limits a row: reading from memory, or from the second-level cache; multiplying and
 * adding numbers of 8 bits, or floats. */
enum bench_limit { BENCH_MEMORY, BENCH_CACHE, BENCH_INT8, BENCH_FMA, BENCH_LIMIT_N };

/* Bytes that do not fit into any cache; and that fit into the second level. */
enum { BENCH_BYTES_MEMORY = 512 << 20, BENCH_BYTES_CACHE = 256 << 10 };

struct bench {
    struct kern k, below;        /* the tier, and the one that it starts from */
    double roof[BENCH_LIMIT_N];  /* of the tier; 0: not known */
    const unsigned char *random; /* BENCH_BYTES_MEMORY bytes: weights of any format */
    const float *normal;         /* BENCH_BYTES_CACHE / 4 floats of a normal distribution */
    int columns;                 /* 1: the small batches of products are asked for */
    char **word;                 /* what the rows are chosen by, see bench_wants */
    int n_word;
    int *used; /* [n_word] 1: this word chose a row */
};

#define BENCH_DECLARE(op) void bench_##op(struct bench *b);
BENCH_OPS(BENCH_DECLARE)
#undef BENCH_DECLARE

/* Is this format ("Q4_K", "f32") among the words of the command line, or none of them a
 * format? One that is not of weights stands in other_formats of kernels.c. */
int bench_wants(struct bench *b, const char *format);

/* n zeroed bytes, 2 MiB aligned, for the life of the program; ends it when there are none. */
void *bench_alloc(size_t n);

/* The best time of one call of fn, ns: of several tries, each of as many calls as the clock
 * needs to be exact. The first call is not counted. */
double bench_ns(void (*fn)(void *ctx), void *ctx);

/* Prints a row: the op, the format, the tier, the rate in the unit of its limit, the share. */
void bench_row(const struct bench *b, const char *op, const char *format, int limit,
               double rate);

#endif
