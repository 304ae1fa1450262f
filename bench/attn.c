/* attn.c - how near attention comes to this machine's roofs, on one thread.
 *
 * For head sizes as models have them and each type of cache:
 *   prefill   48 rows that end near position 1024, their pages in the caches: Gop/s of the two
 *             products (a multiplication and an addition are two), and the share of the rate
 *             of fused multiply-adds in float
 *   decode    the queries of a key/value head at position 8191, pages in memory, each read
 *             once: GB/s and the share of the read rate
 *   cached    the same after 1024 positions that stay in the caches
 */
#include "attn.h"
#include "roof.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kern/kern.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 256 << 20, DEPTH = 8192, NEAR = 1024, TRIES = 25, D_MAX = 128, HEADS = 8 };

struct attn_bench {
    struct kern k;
    unsigned char *memory;
    float q[KERN_ATTN_ROWS * D_MAX], out[KERN_ATTN_ROWS * D_MAX];
    void *scratch;
    double fma, read; /* roofs, per ns */
};

/* Pages as an engine has them: a head's keys and values in HEADS times as much. */
struct pages {
    const unsigned char *at[DEPTH / KERN_PAGE];
    size_t head_k, head_v, page;
};

static struct pages pages_of(const struct attn_bench *b, int kv, int d)
{
    struct pages p = {.head_k = kern_kv_bytes(kv, d), .head_v = kern_kv_bytes(kv, d)};

    p.page = HEADS * (p.head_k + p.head_v);
    for (size_t i = 0; i < DEPTH / KERN_PAGE; i++)
        p.at[i] = b->memory + i * p.page % (BYTES - p.page) / 64 * 64;
    return p;
}

/* Best time of n calls of n_q rows for the heads of p, the group's last at `pos`; ns each. */
static double calls(struct attn_bench *b, const struct pages *p, int kv, int d, int n_q,
                    int group, int pos, size_t heads)
{
    const float *q[KERN_ATTN_ROWS];
    float *out[KERN_ATTN_ROWS];
    int32_t at[KERN_ATTN_ROWS], first[KERN_ATTN_ROWS] = {0};
    struct kern_attn a = {.kv_k = kv,
                          .kv_v = kv,
                          .n_q = n_q,
                          .d_k = d,
                          .d_v = d,
                          .q = q,
                          .first = first,
                          .pos = at,
                          .page = p->at,
                          .scale = 0.1f};
    double best = 1e30;

    for (int i = 0; i < n_q; i++) {
        q[i] = b->q + i * d;
        out[i] = b->out + i * d;
        at[i] = pos - (n_q - 1 - i) / group;
    }
    for (int try = 0; try < TRIES; try++) {
        uint64_t start = clock_ns();
        double ns;

        for (size_t h = 0; h < HEADS; h++) {
            a.off_k = h % heads * p->head_k;
            a.off_v = HEADS * p->head_k + h % heads * p->head_v;
            kern_attn_all(&b->k, &a, out, b->scratch);
        }
        ns = (double)(clock_ns() - start) / HEADS;
        best = ns < best ? ns : best;
    }
    return best;
}

static void report(struct attn_bench *b, int kv, int d, int group)
{
    struct pages p = pages_of(b, kv, d);
    double bytes = (double)(p.head_k + p.head_v) / KERN_PAGE, ops = 0, gop, gb, near;

    for (int i = 0; i < KERN_ATTN_ROWS; i++)
        ops += 4.0 * d * (NEAR - i / group);
    gop = ops / calls(b, &p, kv, d, KERN_ATTN_ROWS, group, NEAR - 1, 1);
    gb = bytes * DEPTH / calls(b, &p, kv, d, group, group, DEPTH - 1, HEADS);
    near = bytes * NEAR / calls(b, &p, kv, d, group, group, NEAR - 1, 1);
    (void)printf("%-8s %-10s %4d %5d %8.1f", kern_kv_quant(kv)->name, kern_tier_name(b->k.tier),
                 d, group, gop);
    if (b->fma > 0)
        (void)printf(" %3.0f%%", 100 * gop / b->fma);
    (void)printf(" %8.1f %3.0f%% %8.1f\n", gb, 100 * gb / b->read, near);
    (void)fflush(stdout);
}

static double fma_roof(int tier)
{
#if defined(__x86_64__)
    return tier == KERN_AVX512VNNI ? roof_fma_avx512vnni()
           : tier == KERN_AVX2     ? roof_fma_avx2()
                                   : 0;
#else
    (void)tier;
    return 0;
#endif
}

void bench_attn(int tier, double read)
{
    static const int shape[][2] = {{64, 4}, {128, 2}, {128, 8}, {64, 1}};
    static struct attn_bench b;
    struct rng r;

    rng_seed(&r, 2);
    kern_init(&b.k, tier);
    b.read = read;
    b.fma = fma_roof(tier);
    b.memory = vm_alloc(BYTES);
    b.scratch = mem_aligned(kern_attn_scratch(D_MAX, D_MAX), 64);
    if (!b.memory || !b.scratch) {
        (void)fprintf(stderr, "error: not enough memory\n");
        exit(6);
    }
    for (size_t i = 0; i < BYTES / 8; i++) /* halves and floats of usual sizes */
        ((uint64_t *)(void *)b.memory)[i] =
            (rng_u64(&r) & 0x87ff87ff87ff87ffu) | 0x3000300030003000u;
    for (size_t i = 0; i < sizeof(b.q) / sizeof(*b.q); i++)
        b.q[i] = rng_normal(&r);
    (void)printf("\n%-8s %-10s %4s %5s %13s %13s %8s\n", "cache", "tier", "head", "group",
                 "prefill Gop/s", "decode GB/s", "cached");
    for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++) {
        for (int kv = 0; kv < KERN_KV_N; kv++)
            report(&b, kv, shape[i][0], shape[i][1]);
    }
    vm_free(b.memory, BYTES);
    mem_free(b.scratch);
}
