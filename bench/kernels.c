/* kernels.c - how near each kernel comes to this machine's roofs: bench.h.
 *
 *   bench/kernels [--columns] [WORD...]
 *
 * Words are ops, tiers and formats: of each kind that is named, only those.
 */
#include "bench.h"

#include "base/clock.h"
#include "base/rng.h"
#include "quant/quant.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    void (*run)(struct bench *b);
} ops[] = {
#define BENCH_OP(op) {#op, bench_##op},
    BENCH_OPS(BENCH_OP)
#undef BENCH_OP
};

enum { N_OP = sizeof(ops) / sizeof(*ops) };

static const struct {
    const char *name, *unit;
} limits[BENCH_LIMIT_N] = {
    [BENCH_MEMORY] = {"memory", "GB/s"},
    [BENCH_CACHE] = {"cache", "GB/s"},
    [BENCH_INT8] = {"int8", "Gop/s"},
    [BENCH_FMA] = {"fma", "Gop/s"},
};

static void die(const char *what, const char *which)
{
    (void)fprintf(stderr, "error: %s%s\n", what, which);
    exit(1);
}

void *bench_alloc(size_t n)
{
    void *p = vm_alloc(n);

    if (!p)
        die("not enough memory", "");
    return p;
}

double bench_ns(void (*fn)(void *ctx), void *ctx)
{
    enum { TRIES = 5, TRY_NS = 200000 };
    double best = 1e30;
    size_t n = 1;

    fn(ctx);
    for (int try = 0; try < TRIES;) {
        uint64_t start = clock_ns();
        double ns;

        for (size_t i = 0; i < n; i++)
            fn(ctx);
        ns = (double)(clock_ns() - start);
        if (ns < TRY_NS) {
            n *= 2;
            continue;
        }
        best = ns / (double)n < best ? ns / (double)n : best;
        try++;
    }
    return best;
}

void bench_row(const struct bench *b, const char *op, const char *format, int limit,
               double rate)
{
    (void)printf("%-10s %-8s %-11s %8.1f %-5s", op, format, kern_tier_name(b->k.tier), rate,
                 limits[limit].unit);
    if (b->roof[limit] > 0)
        (void)printf(" %4.0f%% of %s", 100 * rate / b->roof[limit], limits[limit].name);
    (void)printf("\n");
    (void)fflush(stdout);
}

/* -- choosing -------------------------------------------------------------------------- */

static int is_op(const char *word)
{
    for (int i = 0; i < N_OP; i++) {
        if (strcmp(ops[i].name, word) == 0)
            return 1;
    }
    return 0;
}

static int is_tier(const char *word)
{
    return kern_tier_of(word) >= 0;
}

static int is_format(const char *word)
{
    return !is_op(word) && !is_tier(word);
}

/* Is the name among the words of its kind, or is there none of that kind? */
static int chosen(struct bench *b, int (*kind)(const char *word), const char *name)
{
    int any = 0, found = 0;

    for (int i = 0; i < b->n_word; i++) {
        if (!kind(b->word[i]))
            continue;
        any = 1;
        if (strcasecmp(b->word[i], name) == 0)
            found = b->used[i] = 1;
    }
    return found || !any;
}

/* Formats besides those of weights. */
static const char *const other_formats[] = {"q8", "norm", "neox", "empty", "meet"};

static int is_known(const char *word)
{
    int tier = kern_tier_of(word);

    for (size_t i = 0; i < sizeof(other_formats) / sizeof(*other_formats); i++) {
        if (strcasecmp(word, other_formats[i]) == 0)
            return 1;
    }
    for (int i = 0; quant_at(i); i++) {
        if (strcasecmp(word, quant_at(i)->name) == 0)
            return 1;
    }
    return is_op(word) || (tier >= 0 && kern_tier_here(tier));
}

/* Measuring takes a while; what nothing can be called is said before. */
static void check_words(const struct bench *b)
{
    for (int i = 0; i < b->n_word; i++) {
        if (!is_known(b->word[i]))
            die("no row is called so here: ", b->word[i]);
    }
}

int bench_wants(struct bench *b, const char *format)
{
    if (!is_known(format)) /* else nobody could ask for it */
        die("missing in other_formats: ", format);
    return chosen(b, is_format, format);
}

/* -- measuring ------------------------------------------------------------------------- */

static void fill(struct bench *b)
{
    uint64_t *random = bench_alloc(BENCH_BYTES_MEMORY);
    float *normal = bench_alloc(BENCH_BYTES_CACHE);
    struct rng r;

    rng_seed(&r, 1);
    for (size_t i = 0; i < BENCH_BYTES_MEMORY / sizeof(*random); i++)
        random[i] = rng_u64(&r) & 0x3fff3fff3fff3fffu; /* no half is infinite or no number */
    for (size_t i = 0; i < BENCH_BYTES_CACHE / sizeof(*normal); i++)
        normal[i] = rng_normal(&r);
    b->random = (const unsigned char *)random;
    b->normal = normal;
}

static void measure(struct bench *b, int tier)
{
    const struct roof_tier *r = roof_of(tier);
    double read = roof_read(b->random, BENCH_BYTES_MEMORY);

    /* Anew for each tier: others may have had the memory a moment ago. */
    b->roof[BENCH_MEMORY] = read > b->roof[BENCH_MEMORY] ? read : b->roof[BENCH_MEMORY];
    kern_init(&b->k, tier);
    kern_init(&b->below, kern_tier_base(tier));
    b->roof[BENCH_CACHE] = r->cache ? r->cache(b->normal, BENCH_BYTES_CACHE) : 0;
    b->roof[BENCH_INT8] = r->int8 ? r->int8() : 0;
    b->roof[BENCH_FMA] = r->fma ? r->fma() : 0;
    (void)printf("\n%s:", kern_tier_name(tier));
    for (int i = 0; i < BENCH_LIMIT_N; i++) {
        if (b->roof[i] > 0)
            (void)printf(" %s %.1f %s", limits[i].name, b->roof[i], limits[i].unit);
    }
    (void)printf("\n");
    for (int i = 0; i < N_OP; i++) {
        if (chosen(b, is_op, ops[i].name))
            ops[i].run(b);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};

    b.word = argv + 1;
    b.n_word = argc - 1;
    if (b.n_word > 0 && strcmp(b.word[0], "--columns") == 0) {
        b.columns = 1;
        b.word++;
        b.n_word--;
    }
    check_words(&b);
    b.used = bench_alloc((size_t)argc * sizeof(*b.used));
    fill(&b);
    for (int t = 0; t < KERN_TIER_N; t++) {
        if (kern_tier_here(t) && chosen(&b, is_tier, kern_tier_name(t)))
            measure(&b, t);
    }
    for (int i = 0; i < b.n_word; i++) {
        if (!b.used[i])
            die("no row is called so here: ", b.word[i]);
    }
    return 0;
}
