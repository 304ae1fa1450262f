#include "kern/kern.h"

#include "kern/tile.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#if defined(__x86_64__)
#define X86(name) kern_has_##name, kern_add_##name
#define ARM(name) NULL, NULL
#elif defined(__aarch64__)
#define X86(name) NULL, NULL
#define ARM(name) kern_has_##name, kern_add_##name
#else
#define X86(name) NULL, NULL
#define ARM(name) NULL, NULL
#endif

static int always(void)
{
    return 1;
}

/* In the order of enum kern_tier: of those that run here the last is the best. */
static const struct {
    const char *name;
    int base;          /* the tier that it starts from; the reference starts from nothing */
    int (*here)(void); /* NULL: for another processor than this build */
    void (*add)(struct kern *k);
} tiers[KERN_TIER_N] = {
    [KERN_REF] = {"ref", -1, always, kern_add_ref},
    [KERN_AVX2] = {"avx2", KERN_REF, X86(avx2)},
    [KERN_AVXVNNI] = {"avxvnni", KERN_AVX2, X86(avxvnni)},
    [KERN_AVX512VNNI] = {"avx512vnni", KERN_AVX2, X86(avx512vnni)},
    [KERN_DOTPROD] = {"dotprod", KERN_REF, ARM(dotprod)},
    [KERN_I8MM] = {"i8mm", KERN_DOTPROD, ARM(i8mm)},
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

int kern_tier_here(int tier)
{
    return kern_tier_name(tier) && tiers[tier].here && tiers[tier].here();
}

int kern_tier_best(void)
{
    int best = KERN_TIER_N - 1;

    while (!kern_tier_here(best))
        best--;
    return best;
}

void kern_init(struct kern *k, int tier)
{
    if (tiers[tier].base < 0)
        memset(k, 0, sizeof(*k));
    else
        kern_init(k, tiers[tier].base);
    tiers[tier].add(k);
    k->tier = tier;
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

/* Two row groups of partial sums (gate and up), 32 rows each, and the unpacked weights of
 * 256 columns with their scales and minimums (x86/mul.h, struct unpacked). */
size_t kern_mul_scratch(size_t n_col)
{
    return round64(2 * n_col * 32 * sizeof(float)) + 32 * 256 + 2 * 16 * 32 * sizeof(float);
}

/* Scores of a page and running outputs, maximums and sums of KERN_ATTN_ROWS rows. */
size_t kern_attn_scratch(int d_v)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15;

    return round64(KERN_ATTN_ROWS * (KERN_PAGE + wide + 2) * sizeof(float));
}

/* Which tier brought a slot: the farthest base that has the same pointer. */
static int tier_of_mm(const struct kern *k, int type)
{
    struct kern t;
    int tier = k->tier, base;

    while ((base = tiers[tier].base) >= 0) {
        kern_init(&t, base);
        if (t.mm[type].mul != k->mm[type].mul)
            break;
        tier = base;
    }
    return tier;
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
