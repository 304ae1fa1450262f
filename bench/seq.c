/* seq.c - operations along a sequence, for shapes as models have them, in the caches:
 *   1     one token: measured by the floats of the state (convolution: inputs) that are read
 *   64    64 tokens: by multiplications and additions
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

/* Heads whose states fill BENCH_BYTES_CACHE: of P x N numbers with state space, D x D with the
 * delta rule. The convolution has CH channels and K taps. */
enum {
    TOKENS = 64,
    P = 64,
    N = 128,
    D = 128,
    CH = 1024,
    K = 4,
    FLOATS = BENCH_BYTES_CACHE / 4
};

struct seq {
    const struct kern *k;
    const float *x;
    float *state, *y, *factor; /* between 0 and 1 */
    size_t n_tok;
    int per_row;
};

static struct seq seq_make(struct bench *b)
{
    static float *state, *y, *factor;

    if (!state) {
        state = bench_alloc(BENCH_BYTES_CACHE);
        y = bench_alloc(BENCH_BYTES_CACHE);
        factor = bench_alloc(BENCH_BYTES_CACHE);
        for (size_t i = 0; i < FLOATS; i++)
            factor[i] = 0.5f + (float)(i % 16) / 64;
    }
    memcpy(state, b->normal, BENCH_BYTES_CACHE);
    return (struct seq){.k = &b->k, .x = b->normal, .state = state, .y = y, .factor = factor};
}

/* Both rows of an op; ops: of one number of the state and one token. */
static void report(struct bench *b, const char *op, const char *format, double ops,
                   size_t n_state, void (*fn)(void *ctx), struct seq *s)
{
    char name[32];

    if (!bench_wants(b, format))
        return;
    s->n_tok = 1;
    (void)snprintf(name, sizeof(name), "%s 1", op);
    bench_row(b, name, format, BENCH_CACHE, (double)n_state * 4 / bench_ns(fn, s));
    s->n_tok = TOKENS;
    (void)snprintf(name, sizeof(name), "%s %d", op, TOKENS);
    bench_row(b, name, format, BENCH_FMA, ops * (double)n_state * TOKENS / bench_ns(fn, s));
}

static void conv(void *ctx)
{
    struct seq *s = ctx;

    s->k->conv(&(struct kern_conv){.x = s->x,
                                   .ldx = CH,
                                   .y = s->y,
                                   .ldy = CH,
                                   .w = s->factor,
                                   .state = s->state,
                                   .n_tok = s->n_tok,
                                   .n_ch = CH,
                                   .k = K,
                                   .act = KERN_ACT_SILU},
               0, CH);
}

void bench_conv(struct bench *b)
{
    struct seq s;

    if (b->k.tier != KERN_REF && b->k.conv == b->below.conv)
        return;
    s = seq_make(b);
    report(b, "conv", "f32", 2 * K, CH, conv, &s);
}

static void ssm(void *ctx)
{
    struct seq *s = ctx;

    for (size_t h = 0; h < FLOATS / (P * N); h++)
        s->k->ssm(&(struct kern_ssm){.state = s->state + h * P * N,
                                     .n_p = P,
                                     .n_s = N,
                                     .n_tok = s->n_tok,
                                     .x = s->x,
                                     .ldx = P,
                                     .b = s->x + TOKENS * P,
                                     .c = s->x + TOKENS * (P + N),
                                     .ldbc = N,
                                     .dt = s->factor,
                                     .lddt = 1,
                                     .a = -1,
                                     .d = 1,
                                     .y = s->y,
                                     .ldy = P});
}

void bench_ssm(struct bench *b)
{
    struct seq s;

    if (b->k.tier != KERN_REF && b->k.ssm == b->below.ssm)
        return;
    s = seq_make(b);
    report(b, "ssm", "f32", 5, FLOATS, ssm, &s);
}

static void delta(void *ctx)
{
    struct seq *s = ctx;

    for (size_t h = 0; h < FLOATS / (D * D); h++)
        s->k->delta(&(struct kern_delta){.state = s->state + h * D * D,
                                         .d_k = D,
                                         .d_v = D,
                                         .n_tok = s->n_tok,
                                         .q = s->x,
                                         .k = s->factor,
                                         .ldq = D,
                                         .ldk = D,
                                         .v = s->x + TOKENS * D,
                                         .ldv = D,
                                         .beta = s->factor,
                                         .ldbeta = 0,
                                         .decay = s->factor,
                                         .lddecay = s->per_row ? D : 1,
                                         .per_row = s->per_row,
                                         .scale = 0.1f,
                                         .y = s->y,
                                         .ldy = D});
}

void bench_delta(struct bench *b)
{
    struct seq s;

    if (b->k.tier != KERN_REF && b->k.delta == b->below.delta)
        return;
    s = seq_make(b);
    report(b, "delta", "f32", 7, FLOATS, delta, &s);
    s.per_row = 1;
    report(b, "delta", "rows", 7, FLOATS, delta, &s);
}
