/* Making the numbers of a planned tensor: a walk over its sources, each number read as a float,
 * changed if it must be, and written in the tensor's type. Runs that lie together and change
 * nothing are copied.
 *
 * FP8: a number of 4 significant bits times a scale. Scales that are powers of two (as newer
 * models have) leave 4 bits, which BF16 holds exactly. Other scales are floats: the product has
 * more bits than BF16 holds, so it becomes F32, rounded once as the models' own code rounds it.
 */
#include "model/hf/hf_priv.h"

#include "quant/f16.h"
#include "quant/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { PIECE = 1024 }; /* numbers that are worked on at a time */

/* -- single numbers ------------------------------------------------------------------------ */

static float f8_e4m3(unsigned char b)
{
    int exp = b >> 3 & 15, man = b & 7;
    float v;

    if ((b & 0x7f) == 0x7f)
        return (float)NAN;
    v = exp ? ldexpf((float)(8 + man), exp - 10) : ldexpf((float)man, -9);
    return b & 0x80 ? -v : v;
}

/* Half precision without its lower byte. */
static float f8_e5m2(unsigned char b)
{
    return f16_to_f32((uint16_t)(b << 8));
}

static float f8_e8m0(unsigned char b)
{
    return b == 255 ? (float)NAN : ldexpf(1, (int)b - 127);
}

#define READ(type, from)                                                                       \
    do {                                                                                       \
        type v;                                                                                \
        memcpy(&v, from, sizeof(v));                                                           \
        return (float)v;                                                                       \
    } while (0)

/* Number i of a tensor, without its scale. */
static float number(const struct st_tensor *t, uint64_t i)
{
    const unsigned char *p = t->data + i * st_dtype_bytes(t->dtype);
    uint16_t half;

    switch (t->dtype) {
    case ST_F32:
        READ(float, p);
    case ST_F64:
        READ(double, p);
    case ST_F16:
        memcpy(&half, p, sizeof(half));
        return f16_to_f32(half);
    case ST_BF16:
        memcpy(&half, p, sizeof(half));
        return bf16_to_f32(half);
    case ST_F8_E4M3:
        return f8_e4m3(*p);
    case ST_F8_E5M2:
        return f8_e5m2(*p);
    default: /* ST_F8_E8M0 */
        return f8_e8m0(*p);
    }
}

int hf_is_float(int dtype)
{
    return dtype <= ST_F8_E8M0;
}

/* -- scales -------------------------------------------------------------------------------- */

enum { SCALE_BLOCK = 128 };

/* Rows or columns that a scale stands for: of n, n_scale scales. 0: they do not fit. */
static uint64_t scale_block(uint64_t n, uint64_t n_scale)
{
    if (n_scale == 1)
        return n;
    if (n_scale == n)
        return 1;
    return (n + SCALE_BLOCK - 1) / SCALE_BLOCK == n_scale ? SCALE_BLOCK : 0;
}

static int scale_fits(const struct st_tensor *t, const struct st_tensor *s)
{
    uint64_t outer = hf_dim(t, 0) * hf_dim(t, 1), s_outer = hf_dim(s, 0) * hf_dim(s, 1);

    if (!hf_is_float(s->dtype) || s->n_elem == 0)
        return 0;
    if (s->n_elem == 1)
        return 1;
    if (s->n_dim == 1) /* one for each row */
        return s->n_elem == hf_dim(t, 1) && t->n_dim == 2;
    return scale_block(hf_dim(t, 0), hf_dim(s, 0)) && scale_block(hf_dim(t, 1), hf_dim(s, 1)) &&
           t->n_elem / outer == s->n_elem / s_outer;
}

/* Of number i of a weight whose scales fit. */
static float scale_at(const struct st_tensor *t, const struct st_tensor *s, uint64_t i)
{
    uint64_t col = hf_dim(t, 0), row = hf_dim(t, 1), r = i / col % row, c = i % col,
             matrix = i / col / row, s_col = hf_dim(s, 0), s_row = hf_dim(s, 1),
             high = scale_block(row, s_row), wide = scale_block(col, s_col);

    if (s->n_elem == 1)
        return number(s, 0);
    if (s->n_dim == 1)
        return number(s, r);
    assert(high && wide);
    return number(s, (matrix * s_row + r / high) * s_col + c / wide);
}

/* Are all scales powers of two, and products far from the ends of BF16's range? */
static int scales_are_powers(const struct st_tensor *s)
{
    for (uint64_t i = 0; i < s->n_elem; i++) {
        int exp;
        float v = number(s, i);

        if (!(v > 0) || frexpf(v, &exp) != 0.5f || exp < -100 || exp > 100)
            return 0;
    }
    return 1;
}

/* -- types --------------------------------------------------------------------------------- */

/* Of one segment. */
static int seg_type(const struct hf_tensor *t, const struct hf_seg *s, struct err *e)
{
    const struct st_tensor *src = s->src;

    if (t->op == HF_MXFP4) {
        if ((src->dtype == ST_U8 || src->dtype == ST_I8) && s->scale &&
            (s->scale->dtype == ST_U8 || s->scale->dtype == ST_F8_E8M0) &&
            s->scale->n_elem == src->n_elem / 16)
            return QUANT_MXFP4;
        return err_set(e, E_FORMAT, "its blocks and scales do not fit each other");
    }
    if (s->scale && !scale_fits(src, s->scale))
        return err_set(e, E_UNSUPPORTED,
                       "scales of shape [%llu, %llu] for weights of [%llu, %llu]; those of "
                       "blocks of %d, of rows, or of the whole are supported",
                       (unsigned long long)hf_dim(s->scale, 1),
                       (unsigned long long)hf_dim(s->scale, 0),
                       (unsigned long long)hf_dim(src, 1), (unsigned long long)hf_dim(src, 0),
                       SCALE_BLOCK);
    if ((t->op != HF_COPY || s->mul != 0) && hf_is_float(src->dtype))
        return QUANT_F32;
    switch (src->dtype) {
    case ST_F64:
    case ST_F32:
        return QUANT_F32;
    case ST_F16:
        return QUANT_F16;
    case ST_BF16:
        return QUANT_BF16;
    case ST_F8_E4M3:
    case ST_F8_E5M2:
        return !s->scale || scales_are_powers(s->scale) ? QUANT_BF16 : QUANT_F32;
    case ST_I64:
    case ST_I32:
        return HF_TYPE_I32;
    default:
        return err_set(e, E_UNSUPPORTED,
                       "numbers of type %s; F32, F16, BF16 and F8 are read as weights",
                       st_dtype_name(src->dtype));
    }
}

int hf_own_type(const struct hf_tensor *t, struct err *e)
{
    int type = t->n_seg ? seg_type(t, &t->seg[0], e) : QUANT_F32;

    for (size_t i = 1; i < t->n_seg && type >= 0; i++) {
        int other = seg_type(t, &t->seg[i], e);

        if (other < 0 || other == type)
            type = other;
        else if (other == HF_TYPE_I32 || type == HF_TYPE_I32 || type == QUANT_MXFP4)
            return err_set(e, E_UNSUPPORTED, "its parts have different types");
        else
            type = QUANT_F32;
    }
    return type;
}

/* -- walks --------------------------------------------------------------------------------- */

/* The source number that is number i of the walk, and how many after it lie together. */
static uint64_t place(const struct hf_seg *s, uint64_t i, uint64_t *run)
{
    uint64_t at = s->at, rest = i;
    int last = s->n_axis - 1;

    *run = s->step[last] == 1 ? s->n[last] - i % s->n[last] : 1;
    for (int k = last; k >= 0; k--) {
        at += rest % s->n[k] * s->step[k];
        rest /= s->n[k];
    }
    return at;
}

/* The segment that number i of t is in; *i becomes the number in it. */
static const struct hf_seg *find_seg(const struct hf_tensor *t, uint64_t *i)
{
    size_t lo = 0, hi = t->n_seg;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (t->seg[mid].from <= *i)
            lo = mid;
        else
            hi = mid;
    }
    *i -= t->seg[lo].from;
    return &t->seg[lo];
}

static void apply(int op, float *x, uint64_t n)
{
    for (uint64_t i = 0; op == HF_PLUS_ONE && i < n; i++)
        x[i] += 1;
    for (uint64_t i = 0; op == HF_NEG_EXP && i < n; i++)
        x[i] = -expf(x[i]);
}

void hf_read_f32(const struct hf_tensor *t, uint64_t from, uint64_t n, float *out)
{
    if (t->made) {
        memcpy(out, t->made + from, (size_t)n * sizeof(*out));
        return;
    }
    for (uint64_t done = 0; done < n;) {
        uint64_t i = from + done, run;
        const struct hf_seg *s = find_seg(t, &i);
        uint64_t at = place(s, i, &run), k = run < n - done ? run : n - done;

        for (uint64_t j = 0; j < k; j++) {
            out[done + j] = number(s->src, at + j);
            if (s->scale)
                out[done + j] *= scale_at(s->src, s->scale, at + j);
            if (s->mul != 0)
                out[done + j] *= s->mul;
        }
        done += k;
    }
    apply(t->op, out, n);
}

/* Source bytes that are the result's bytes: 0 when they must be changed. */
static uint64_t raw_bytes(const struct hf_tensor *t, const struct hf_seg *s)
{
    int d = s->src->dtype, same = (d == ST_F32 && t->type == QUANT_F32) ||
                                  (d == ST_F16 && t->type == QUANT_F16) ||
                                  (d == ST_BF16 && t->type == QUANT_BF16) ||
                                  (d == ST_I32 && t->type == HF_TYPE_I32);

    return same && t->op == HF_COPY && !s->scale && s->mul == 0 ? st_dtype_bytes(d) : 0;
}

/* 16 bytes with neighbours in a byte become 16 with numbers j and j + 16 in it. */
static void mxfp4_block(const unsigned char *in, unsigned char scale, unsigned char *out)
{
    unsigned char q[32];

    for (size_t j = 0; j < 16; j++) {
        q[2 * j] = in[j] & 15;
        q[2 * j + 1] = in[j] >> 4;
    }
    out[0] = scale;
    for (int j = 0; j < 16; j++)
        out[1 + j] = (unsigned char)(q[j] | q[j + 16] << 4);
}

enum { MXFP4_IN = 16, MXFP4_OUT = 17, MXFP4_N = 32 };

static void read_mxfp4(const struct hf_tensor *t, uint64_t from, uint64_t n, unsigned char *out)
{
    for (uint64_t b = from / MXFP4_N; b < (from + n) / MXFP4_N; b++, out += MXFP4_OUT) {
        uint64_t i = b, run;
        const struct hf_seg *s = find_seg(t, &i);
        uint64_t at = place(s, i, &run);

        mxfp4_block(s->src->data + at * MXFP4_IN, s->scale->data[at], out);
    }
}

static int32_t integer(const struct st_tensor *t, uint64_t i)
{
    int64_t wide;
    int32_t v;

    if (t->dtype == ST_I32) {
        memcpy(&v, t->data + i * sizeof(v), sizeof(v));
        return v;
    }
    memcpy(&wide, t->data + i * sizeof(wide), sizeof(wide));
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

static void read_i32(const struct hf_tensor *t, uint64_t from, uint64_t n, int32_t *out)
{
    for (uint64_t k = 0; k < n; k++) {
        uint64_t i = from + k, run;
        const struct hf_seg *s = find_seg(t, &i);

        out[k] = integer(s->src, place(s, i, &run));
    }
}

/* Copies what can be copied from number `from` on. Returns how many numbers that were. */
static uint64_t copy_run(const struct hf_tensor *t, uint64_t from, uint64_t n, void *out)
{
    uint64_t i = from, run, bytes;
    const struct hf_seg *s = t->n_seg ? find_seg(t, &i) : NULL;

    bytes = s ? raw_bytes(t, s) : 0;
    if (!bytes)
        return 0;
    n = n < s->n_elem - i ? n : s->n_elem - i;
    i = place(s, i, &run);
    n = n < run ? n : run;
    memcpy(out, s->src->data + i * bytes, (size_t)(n * bytes));
    return n;
}

void hf_read(const struct hf_tensor *t, uint64_t from, uint64_t n, void *out)
{
    const struct quant *q = quant_find(t->type);
    unsigned char *p = out;
    float some[PIECE];

    if (t->type == QUANT_MXFP4) {
        read_mxfp4(t, from, n, p);
        return;
    }
    if (t->type == HF_TYPE_I32) {
        read_i32(t, from, n, out);
        return;
    }
    for (uint64_t done = 0, k; done < n; done += k) {
        k = copy_run(t, from + done, n - done, p + done * (uint64_t)q->bytes);
        if (k)
            continue;
        k = n - done < PIECE ? n - done : PIECE;
        hf_read_f32(t, from + done, k, some);
        q->from_f32(some, p + done * (uint64_t)q->bytes, (size_t)k);
    }
}

const unsigned char *hf_in_place(const struct hf_tensor *t)
{
    const struct hf_seg *s = t->seg;
    uint64_t bytes = t->n_seg == 1 ? raw_bytes(t, s) : 0;
    const unsigned char *p;

    if (!bytes || s->n_axis != 1 || s->step[0] != 1)
        return NULL;
    p = s->src->data + s->at * bytes;
    return (uintptr_t)p % bytes == 0 ? p : NULL;
}

void hf_let_go(const struct hf_tensor *t)
{
    for (size_t i = 0; i < t->n_seg; i++)
        vm_drop(t->seg[i].src->data, (size_t)t->seg[i].src->n_byte);
}
