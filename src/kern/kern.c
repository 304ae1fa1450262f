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

int kern_tier_base(int tier)
{
    return tiers[tier].base < 0 ? tier : tiers[tier].base;
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

    *a = (struct kern_acts){.n = n, .k = k, .n_panel = kern_panel_of(kern, n), .forms = forms};
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

struct kern_acts kern_acts_part(const struct kern *kern, const struct kern_acts *a,
                                size_t first, size_t n)
{
    struct kern_acts part = *a;

    part.n = n;
    part.n_panel = kern_panel_of(kern, n);
    if (a->x)
        part.x = a->x + first * a->k;
    if (a->forms & KERN_FORM_Q8) {
        part.q = a->q + first * a->k;
        part.d = a->d + first * (a->k / 32);
        part.ds32 = a->ds32 + first * (a->k / 32);
        part.ns32 = a->ns32 + first * (a->k / 32);
        part.ds16 = a->ds16 + first * (a->k / 16);
        part.ns16 = a->ns16 + first * (a->k / 16);
    }
    if (a->forms & KERN_FORM_F32)
        part.f = a->f + first * a->k;
    return part;
}

/* n values of 4 bytes, one after the other in the row, w apart in the panel. */
static void copy_apart(void *panel, size_t w, const void *row, size_t n)
{
    unsigned char *to = panel;
    const unsigned char *from = row;

    for (size_t i = 0; i < n; i++)
        memcpy(to + i * w * 4, from + i * 4, 4);
}

void kern_acts_copy(struct kern_acts *a, size_t c, const struct kern_acts *rows, size_t from)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, w = kern_panel_width(a, p), k = a->k,
           at32 = kern_panel_at(a, p, k / 32) + i, at16 = kern_panel_at(a, p, k / 16) + i;

    if (a->forms & KERN_FORM_Q8) {
        copy_apart(a->q + kern_panel_at(a, p, k) + i * 4, w, rows->q + from * k, k / 4);
        copy_apart(a->d + at32, w, rows->d + from * (k / 32), k / 32);
        copy_apart(a->ds32 + at32, w, rows->ds32 + from * (k / 32), k / 32);
        copy_apart(a->ns32 + at32, w, rows->ns32 + from * (k / 32), k / 32);
        copy_apart(a->ds16 + at16, w, rows->ds16 + from * (k / 16), k / 16);
        copy_apart(a->ns16 + at16, w, rows->ns16 + from * (k / 16), k / 16);
    }
    if (a->forms & KERN_FORM_F32)
        copy_apart(a->f + kern_panel_at(a, p, k) + i, w, rows->f + from * k, k);
}

/* Two row groups of partial sums (gate and up), 32 rows each; the unpacked weights of 256
 * columns with their scales and minimums (x86/mul.h, struct unpacked); and their tiles, of at
 * most 34 bytes for 32 numbers, where they lie in rows. */
size_t kern_mul_scratch(size_t n_col)
{
    return round64(2 * n_col * 32 * sizeof(float)) + 32 * 256 + 2 * 16 * 32 * sizeof(float) +
           32 * 256 / 32 * 34;
}

/* -- attention ------------------------------------------------------------------------- */

static const int kv_types[KERN_KV_N] = {
    [KERN_KV_F16] = QUANT_F16,
    [KERN_KV_F32] = QUANT_F32,
    [KERN_KV_Q8_0] = QUANT_Q8_0,
    [KERN_KV_Q4_0] = QUANT_Q4_0,
};

const struct quant *kern_kv_quant(int kv)
{
    return quant_find(kv_types[kv]);
}

static size_t round16(int n)
{
    return ((size_t)n + 15) & ~(size_t)15;
}

size_t kern_kv_bytes(int kv, int d)
{
    const struct quant *q = kern_kv_quant(kv);

    return round16(d) / (size_t)q->block * (size_t)q->bytes * KERN_PAGE;
}

/* n numbers of `size` bytes that are KERN_PAGE apart. */
static void copy_column(const unsigned char *in, int slot, unsigned char *out, int to, size_t n,
                        size_t size)
{
    in += (size_t)slot * size;
    out += (size_t)to * size;
    for (size_t i = 0; i < n; i++, in += KERN_PAGE * size, out += KERN_PAGE * size) {
        switch (size) {
        case 1:
            *out = *in;
            break;
        case 2:
            memcpy(out, in, 2);
            break;
        default:
            memcpy(out, in, 4);
            break;
        }
    }
}

void kern_key_copy(int kv, int d_k, const void *keys, int slot, void *out, int to)
{
    const struct quant *q = kern_kv_quant(kv);
    const unsigned char *in = keys;
    unsigned char *o = out;
    size_t n = (size_t)(d_k / q->block), block = (size_t)q->bytes * KERN_PAGE;

    if (q->block == 1) {
        copy_column(in, slot, o, to, n, (size_t)q->bytes);
        return;
    }
    for (size_t b = 0; b < n; b++, in += block, o += block) {
        copy_column(in, slot, o, to, 1, 2);
        copy_column(in + 2 * KERN_PAGE, slot, o + 2 * KERN_PAGE, to, (size_t)q->bytes - 2, 1);
    }
}

/* One of rows of `size` bytes. */
static void copy_row(const unsigned char *in, int slot, unsigned char *out, int to, size_t size)
{
    memcpy(out + (size_t)to * size, in + (size_t)slot * size, size);
}

void kern_value_copy(int kv, int d_v, const void *values, int slot, void *out, int to)
{
    const struct quant *q = kern_kv_quant(kv);
    size_t n = (size_t)(d_v / q->block), scales = 2 * n * KERN_PAGE;

    if (q->block == 1) {
        copy_row(values, slot, out, to, round16(d_v) * (size_t)q->bytes);
        return;
    }
    copy_row(values, slot, out, to, 2 * n);
    copy_row((const unsigned char *)values + scales, slot, (unsigned char *)out + scales, to,
             n * ((size_t)q->bytes - 2));
}

/* What a tier's op needs: scores of a segment for all rows, and the keys or values of a page
 * in floats with their scales. */
static size_t attn_op_scratch(int d_k, int d_v)
{
    size_t d = round16(d_k > d_v ? d_k : d_v);

    return round64((KERN_ATTN_ROWS * KERN_SEG + KERN_PAGE * (d + d / 32)) * sizeof(float));
}

/* And two partial results of all rows, for kern_attn_all. */
size_t kern_attn_scratch(int d_k, int d_v)
{
    return attn_op_scratch(d_k, d_v) +
           2 * round64(KERN_ATTN_ROWS * kern_attn_part(d_v) * sizeof(float));
}

void kern_attn_all(const struct kern *k, const struct kern_attn *a, float *const *out,
                   void *scratch)
{
    float *into = (float *)(void *)((char *)scratch + attn_op_scratch(a->d_k, a->d_v)),
          *part = into + KERN_ATTN_ROWS * kern_attn_part(a->d_v);
    int first = a->first[0], last = a->pos[0];

    for (int i = 1; i < a->n_q; i++) {
        first = a->first[i] < first ? a->first[i] : first;
        last = a->pos[i] > last ? a->pos[i] : last;
    }
    first /= KERN_SEG;
    last /= KERN_SEG;
    k->attn(a, first, into, scratch);
    for (int seg = first + 1; seg <= last; seg++) {
        k->attn(a, seg, part, scratch);
        k->attn_fold(into, part, a->n_q, a->d_v, seg == last ? out : NULL, a->sink);
    }
    if (first == last)
        k->attn_fold(into, NULL, a->n_q, a->d_v, out, a->sink);
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
