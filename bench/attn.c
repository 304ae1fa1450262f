/* attn.c - attention, for head sizes as models have them and each type of cache:
 *   prefill   48 rows that end near position 1024, their pages in the caches
 *   decode    the queries of a key/value head at position 8191, pages in memory, each read once
 *   cached    the same after 1024 positions that stay in the caches
 */
#include "bench.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>
#include <string.h>

enum { BYTES = 256 << 20, DEPTH = 8192, NEAR = 1024, D_MAX = 512, HEADS = 8 };

struct attn_bench {
    const struct kern *k;
    unsigned char *memory;
    float q[KERN_ATTN_ROWS * D_MAX], out[KERN_ATTN_ROWS * D_MAX];
    void *scratch;
};

/* Pages as an engine has them: a head's keys and values in HEADS times as much. */
struct pages {
    const unsigned char *at[DEPTH / KERN_PAGE];
    size_t head_k, head_v, page;
};

static struct pages pages_of(const struct attn_bench *b, int kv, int d, size_t first)
{
    struct pages p = {.head_k = kern_kv_bytes(kv, d), .head_v = kern_kv_bytes(kv, d)};

    p.page = HEADS * (p.head_k + p.head_v);
    for (size_t i = 0; i < DEPTH / KERN_PAGE; i++)
        p.at[i] = b->memory + (first + i) * p.page % (BYTES - p.page) / 64 * 64;
    return p;
}

/* n_q rows of each of `heads` heads in turn, the group's last at `pos`. */
struct attn_calls {
    struct attn_bench *b;
    struct pages p;
    struct kern_attn a;
    int moves; /* 1: each call reads other pages */
    size_t n_call;
    float *out[KERN_ATTN_ROWS];
    const float *q[KERN_ATTN_ROWS];
    int32_t at[KERN_ATTN_ROWS], first[KERN_ATTN_ROWS];
    size_t heads;
};

static void calls_init(struct attn_calls *c, struct attn_bench *b, int kv, int d, int n_q,
                       int group, int pos, size_t heads)
{
    *c = (struct attn_calls){.b = b, .p = pages_of(b, kv, d, 0), .heads = heads};
    c->a = (struct kern_attn){.kv_k = kv,
                              .kv_v = kv,
                              .n_q = n_q,
                              .d_k = d,
                              .d_v = d,
                              .q = c->q,
                              .first = c->first,
                              .pos = c->at,
                              .page = c->p.at,
                              .scale = 0.1f};
    for (int i = 0; i < n_q; i++) {
        c->q[i] = b->q + i * d;
        c->out[i] = b->out + i * d;
        c->at[i] = pos - (n_q - 1 - i) / group;
    }
}

static void attend(void *ctx)
{
    struct attn_calls *c = ctx;

    if (c->moves)
        c->p = pages_of(c->b, c->a.kv_k, c->a.d_k, c->n_call++ * (DEPTH / KERN_PAGE));
    for (size_t h = 0; h < HEADS; h++) {
        c->a.off_k = h % c->heads * c->p.head_k;
        c->a.off_v = HEADS * c->p.head_k + h % c->heads * c->p.head_v;
        kern_attn_all(c->b->k, &c->a, c->out, c->b->scratch);
    }
}

/* Time of one head, ns. */
static double head_ns(struct attn_bench *b, int kv, int d, int n_q, int group, int pos,
                      size_t heads)
{
    struct attn_calls c;

    calls_init(&c, b, kv, d, n_q, group, pos, heads);
    c.moves = pos == DEPTH - 1;
    return bench_ns(attend, &c) / HEADS;
}

static void report(struct bench *bench, struct attn_bench *b, int kv, int d, int group)
{
    struct pages p = pages_of(b, kv, d, 0);
    double bytes = (double)(p.head_k + p.head_v) / KERN_PAGE, ops = 0;
    char name[32], op[32];

    (void)snprintf(name, sizeof(name), "%s", kern_kv_quant(kv)->name);
    if (!bench_wants(bench, name))
        return;
    for (int i = 0; i < KERN_ATTN_ROWS; i++)
        ops += 4.0 * d * (NEAR - i / group);
    (void)snprintf(op, sizeof(op), "attn %d/%d", d, group);
    bench_row(bench, op, name, BENCH_FMA,
              ops / head_ns(b, kv, d, KERN_ATTN_ROWS, group, NEAR - 1, 1));
    (void)snprintf(op, sizeof(op), "attn1 %d/%d", d, group);
    bench_row(bench, op, name, BENCH_MEMORY,
              bytes * DEPTH / head_ns(b, kv, d, group, group, DEPTH - 1, HEADS));
    (void)snprintf(op, sizeof(op), "attn1c %d/%d", d, group);
    bench_row(bench, op, name, BENCH_CACHE,
              bytes * NEAR / head_ns(b, kv, d, group, group, NEAR - 1, 1));
}

void bench_attn(struct bench *bench)
{
    static const int shape[][2] = {{64, 4}, {128, 2}, {128, 8},
                                   {64, 1}, {256, 4}, {512, 16}}; /* 512: a latent */
    static struct attn_bench b;
    struct rng r;

    if (bench->k.tier == KERN_REF || bench->k.attn == bench->below.attn)
        return;
    rng_seed(&r, 2);
    b.k = &bench->k;
    if (!b.memory) {
        b.memory = bench_alloc(BYTES);
        b.scratch = bench_alloc(kern_attn_scratch(D_MAX, D_MAX));
        for (size_t i = 0; i < BYTES / 8; i++) /* halves and floats of usual sizes */
            ((uint64_t *)(void *)b.memory)[i] =
                (rng_u64(&r) & 0x87ff87ff87ff87ffu) | 0x3000300030003000u;
        for (size_t i = 0; i < sizeof(b.q) / sizeof(*b.q); i++)
            b.q[i] = rng_normal(&r);
    }
    for (size_t i = 0; i < sizeof(shape) / sizeof(*shape); i++) {
        for (int kv = 0; kv < KERN_KV_N; kv++)
            report(bench, &b, kv, shape[i][0], shape[i][1]);
    }
}
