#include "kern/kern.h"

#include "kern/tile.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    void (*add)(struct kern *k);
} tiers[KERN_TIER_N] = {
    [KERN_REF] = {"ref", kern_add_ref},
#if defined(__x86_64__)
    [KERN_AVX2] = {"avx2", kern_add_avx2},
    [KERN_AVX512VNNI] = {"avx512vnni", kern_add_avx512vnni},
#else
    [KERN_AVX2] = {"avx2", NULL},
    [KERN_AVX512VNNI] = {"avx512vnni", NULL},
#endif
};

const char *kern_tier_name(int tier)
{
    return tier >= 0 && tier < KERN_TIER_N ? tiers[tier].name : NULL;
}

int kern_tier_of(const char *name)
{
    for (int i = 0; i < KERN_TIER_N; i++) {
        if (strcasecmp(name, tiers[i].name) == 0)
            return i;
    }
    return -1;
}

int kern_tier_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return KERN_REF;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return KERN_AVX512VNNI;
    return KERN_AVX2; /* every CPU with AVX2 and FMA has F16C */
#else
    return KERN_REF;
#endif
}

void kern_init(struct kern *k, int tier)
{
    memset(k, 0, sizeof(*k));
    for (int i = 0; i <= tier && i < KERN_TIER_N; i++) {
        if (tiers[i].add) {
            tiers[i].add(k);
            k->tier = i;
        }
    }
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

size_t kern_acts_bytes(size_t n, size_t k, int forms)
{
    size_t bytes = 0;

    if (forms & KERN_FORM_Q8)
        bytes += round64(n * k) + 3 * round64(n * (k / 32) * 4) + 2 * round64(n * (k / 16) * 4);
    if (forms & KERN_FORM_F32)
        bytes += round64(n * k * 4);
    return bytes;
}

void kern_acts_bind(const struct kern *kern, struct kern_acts *a, void *buf, size_t n, size_t k,
                    int forms)
{
    unsigned char *p = buf;

    *a = (struct kern_acts){.n = n, .k = k, .n_panel = kern->n_panel, .forms = forms};
    if (forms & KERN_FORM_Q8) {
        a->q = (int8_t *)p;
        p += round64(n * k);
        a->d = (float *)p;
        p += round64(n * (k / 32) * 4);
        a->ds32 = (float *)p;
        p += round64(n * (k / 32) * 4);
        a->ns32 = (int32_t *)p;
        p += round64(n * (k / 32) * 4);
        a->ds16 = (float *)p;
        p += round64(n * (k / 16) * 4);
        a->ns16 = (int32_t *)p;
        p += round64(n * (k / 16) * 4);
    }
    if (forms & KERN_FORM_F32)
        a->f = (float *)p;
}

/* Two row groups of partial sums (gate and up), 32 rows each; the unpacked weights of 256
 * columns with their scales and minimums (x86/mul.h, struct unpacked); and their tiles, of at
 * most 34 bytes for 32 numbers, where they lie in rows. */
size_t kern_mul_scratch(size_t n_col)
{
    return round64(2 * n_col * 32 * sizeof(float)) + 32 * 256 + 2 * 16 * 32 * sizeof(float) +
           32 * 256 / 32 * 34;
}

/* Scores of a page and running outputs, maximums and sums of KERN_ATTN_ROWS rows. */
size_t kern_attn_scratch(int d_v)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15;

    return round64(KERN_ATTN_ROWS * (KERN_PAGE + wide + 2) * sizeof(float));
}

/* Which tier brought a slot: the first whose table has this pointer. */
static int tier_of_mm(const struct kern *k, int type)
{
    struct kern t;

    for (int i = 0; i <= k->tier; i++) {
        kern_init(&t, i);
        if (t.mm[type].mul == k->mm[type].mul)
            return i;
    }
    return k->tier;
}

int kern_describe(const struct kern *k, int i, char *line, size_t n)
{
    static const char *const form[] = {"float columns", "8-bit columns", "float panels"};
    int type = -1;

    for (int t = 0; t < QUANT_TYPE_MAX && i >= 0; t++) {
        if (k->mm[t].mul && i-- == 0)
            type = t;
    }
    if (type < 0)
        return 0;
    (void)snprintf(line, n, "mul %-7s %-10s %s, %s", quant_type_name(type),
                   kern_tier_name(tier_of_mm(k, type)),
                   k->mm[type].layout == KERN_TILES ? "tiles" : "rows", form[k->mm[type].form]);
    return 1;
}
