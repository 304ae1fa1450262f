/* rows.c - operations on rows of activations that stay in a cache, measured by the floats that
 * they read. */
#include "bench.h"

#include <string.h>

/* Rows of N floats; heads of HEAD floats, as many as one page of KEPT heads has positions for,
 * keys and values each. */
enum {
    N = 2048,
    FLOATS = BENCH_BYTES_CACHE / 4,
    ROWS = FLOATS / N,
    HEAD = 128,
    KEPT = FLOATS / 2 / HEAD / KERN_PAGE
};

struct rows {
    const struct kern *k;
    const float *x;
    float *y, *cs;
    struct kern_acts a;
    int kind; /* enum kern_form, kern_act, kern_rope or kern_kv */
    unsigned char *page;
};

struct kind {
    int kind;
    const char *name;
};

/* A row for each kind of an op. */
static void report(struct bench *b, const char *op, const struct kind *kind, size_t n,
                   void (*fn)(void *ctx), struct rows *r)
{
    for (size_t i = 0; i < n; i++) {
        r->kind = kind[i].kind;
        if (bench_wants(b, kind[i].name))
            bench_row(b, op, kind[i].name, BENCH_CACHE, BENCH_BYTES_CACHE / bench_ns(fn, r));
    }
}

/* -- the forms that products read -------------------------------------------------------- */

static void acts(void *ctx)
{
    struct rows *r = ctx;

    r->k->acts(&r->a, r->kind, 0, ROWS);
}

void bench_acts(struct bench *b)
{
    static const struct kind kinds[] = {{KERN_FORM_Q8, "q8"}, {KERN_FORM_F32, "f32"}};
    enum { FORMS = KERN_FORM_Q8 | KERN_FORM_F32 };
    static void *room;
    struct rows r = {.k = &b->k};

    if (b->k.tier == KERN_REF || b->k.acts == b->below.acts) /* the reference fills none */
        return;
    room = room ? room : bench_alloc(kern_acts_bytes(ROWS, N, FORMS));
    kern_acts_bind(&b->k, &r.a, room, ROWS, N, FORMS);
    r.a.x = b->normal;
    report(b, "acts", kinds, 2, acts, &r);
}

/* -- norms ------------------------------------------------------------------------------- */

static void rms_norm(void *ctx)
{
    struct rows *r = ctx;

    for (size_t i = 0; i < ROWS; i++)
        r->k->rms_norm(r->x + i * N, r->x, r->y + i * N, N, 1e-5f);
}

void bench_rms_norm(struct bench *b)
{
    static const struct kind kinds[] = {{0, "f32"}};
    static float *y;
    struct rows r = {.k = &b->k, .x = b->normal};

    if (b->k.tier != KERN_REF && b->k.rms_norm == b->below.rms_norm)
        return;
    r.y = y = y ? y : bench_alloc(BENCH_BYTES_CACHE);
    report(b, "rms_norm", kinds, 1, rms_norm, &r);
}

static void layer_norm(void *ctx)
{
    struct rows *r = ctx;

    for (size_t i = 0; i < ROWS; i++)
        r->k->layer_norm(r->x + i * N, r->x, r->x + N, r->y + i * N, N, 1e-5f);
}

void bench_layer_norm(struct bench *b)
{
    static const struct kind kinds[] = {{0, "f32"}};
    static float *y;
    struct rows r = {.k = &b->k, .x = b->normal};

    if (b->k.tier != KERN_REF && b->k.layer_norm == b->below.layer_norm)
        return;
    r.y = y = y ? y : bench_alloc(BENCH_BYTES_CACHE);
    report(b, "layer_norm", kinds, 1, layer_norm, &r);
}

/* Of heads, as models take it. */
static void l2_norm(void *ctx)
{
    struct rows *r = ctx;

    for (size_t i = 0; i < FLOATS / HEAD; i++)
        r->k->l2_norm(r->x + i * HEAD, r->y + i * HEAD, HEAD, 1e-6f);
}

void bench_l2_norm(struct bench *b)
{
    static const struct kind kinds[] = {{0, "f32"}};
    static float *y;
    struct rows r = {.k = &b->k, .x = b->normal};

    if (b->k.tier != KERN_REF && b->k.l2_norm == b->below.l2_norm)
        return;
    r.y = y = y ? y : bench_alloc(BENCH_BYTES_CACHE);
    report(b, "l2_norm", kinds, 1, l2_norm, &r);
}

/* -- functions of one number --------------------------------------------------------------- */

/* Of gates and what they let through: both are read. */
static void act(void *ctx)
{
    struct rows *r = ctx;

    r->k->act(r->kind, 7, r->x, r->x + FLOATS / 2, r->y, FLOATS / 2);
}

void bench_act(struct bench *b)
{
    static const struct kind kinds[] = {
        {KERN_ACT_SILU, "silu"},         {KERN_ACT_GELU, "gelu"},
        {KERN_ACT_GELU_ERF, "gelu_erf"}, {KERN_ACT_RELU2, "relu2"},
        {KERN_ACT_SOFTPLUS, "softplus"}, {KERN_ACT_TANH, "tanh"},
        {KERN_ACT_OAI, "oai"},
    };
    static float *y;
    struct rows r = {.k = &b->k, .x = b->normal};

    if (b->k.tier != KERN_REF && b->k.act == b->below.act)
        return;
    r.y = y = y ? y : bench_alloc(BENCH_BYTES_CACHE);
    report(b, "act", kinds, sizeof(kinds) / sizeof(*kinds), act, &r);
}

/* -- rotations --------------------------------------------------------------------------- */

static void rope(void *ctx)
{
    struct rows *r = ctx;

    for (size_t i = 0; i < FLOATS / HEAD; i++)
        r->k->rope(r->y + i * HEAD, r->cs, HEAD, r->kind);
}

void bench_rope(struct bench *b)
{
    static const struct kind kinds[] = {{KERN_ROPE_NORM, "norm"}, {KERN_ROPE_NEOX, "neox"}};
    static float *y, cs[HEAD];
    struct rows r = {.k = &b->k, .cs = cs};

    if (b->k.tier != KERN_REF && b->k.rope == b->below.rope)
        return;
    r.y = y = y ? y : bench_alloc(BENCH_BYTES_CACHE);
    memcpy(y, b->normal, BENCH_BYTES_CACHE);
    for (size_t i = 0; i < HEAD; i++) /* of length 1, so that values stay what they are */
        cs[i] = i % 2 ? 0.8f : 0.6f;
    report(b, "rope", kinds, 2, rope, &r);
}

/* -- rows of the cache ------------------------------------------------------------------- */

static void kv_put(void *ctx)
{
    struct rows *r = ctx;
    const float *v = r->x + FLOATS / 2;
    size_t bytes = (size_t)KERN_PAGE * HEAD * sizeof(float);

    for (size_t h = 0; h < KEPT; h++) {
        for (size_t slot = 0; slot < KERN_PAGE; slot++) {
            size_t at = (slot * KEPT + h) * HEAD;

            r->k->key_put(r->kind, r->x + at, HEAD, (int)slot, r->page + 2 * h * bytes);
            r->k->value_put(r->kind, v + at, HEAD, (int)slot, r->page + (2 * h + 1) * bytes);
        }
    }
}

void bench_kv_put(struct bench *b)
{
    static const struct kind kinds[] = {{KERN_KV_F16, "f16"},
                                        {KERN_KV_F32, "f32"},
                                        {KERN_KV_Q8_0, "q8_0"},
                                        {KERN_KV_Q4_0, "q4_0"}};
    static unsigned char *page;
    struct rows r = {.k = &b->k, .x = b->normal};

    if (b->k.tier != KERN_REF && b->k.key_put == b->below.key_put)
        return;
    r.page = page = page ? page : bench_alloc(BENCH_BYTES_CACHE);
    report(b, "kv_put", kinds, 4, kv_put, &r);
}
