/* Typed access to the values of a file that gguf_open has checked. */
#include "fmt/gguf_priv.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

static int is_signed(int type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

static int is_unsigned(int type)
{
    return type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

int gguf_kv_u64(const struct gguf_kv *kv, uint64_t *out)
{
    if (is_unsigned(kv->type))
        *out = kv->v.u;
    else if (is_signed(kv->type) && kv->v.i >= 0)
        *out = (uint64_t)kv->v.i;
    else
        return 0;
    return 1;
}

static int kv_i64(const struct gguf_kv *kv, int64_t *out)
{
    if (is_signed(kv->type))
        *out = kv->v.i;
    else if (is_unsigned(kv->type) && kv->v.u <= INT64_MAX)
        *out = (int64_t)kv->v.u;
    else
        return 0;
    return 1;
}

static int kv_f64(const struct gguf_kv *kv, double *out)
{
    if (kv->type == GGUF_F32 || kv->type == GGUF_F64)
        *out = kv->v.f;
    else if (is_signed(kv->type))
        *out = (double)kv->v.i;
    else if (is_unsigned(kv->type))
        *out = (double)kv->v.u;
    else
        return 0;
    return 1;
}

/* Some converters write flags as integers. */
static int kv_bool(const struct gguf_kv *kv, int *out)
{
    uint64_t u;

    if (kv->type == GGUF_BOOL)
        u = kv->v.u;
    else if (!gguf_kv_u64(kv, &u) || u > 1)
        return 0;
    *out = (int)u;
    return 1;
}

static int kv_str(const struct gguf_kv *kv, struct str *out)
{
    if (kv->type != GGUF_STR)
        return 0;
    *out = kv->v.s;
    return 1;
}

static int refuse(const struct gguf *g, const struct gguf_kv *kv, const char *want,
                  struct err *e)
{
    char key[100], value[48] = "";

    if (is_signed(kv->type))
        (void)snprintf(value, sizeof(value), " (%lld)", (long long)kv->v.i);
    else if (is_unsigned(kv->type))
        (void)snprintf(value, sizeof(value), " (%llu)", (unsigned long long)kv->v.u);
    return err_set(
        e, E_FORMAT, "%s: key %s: its value is of type %s%s, expected %s at byte %llu",
        gguf_path(g), gguf_printable(kv->key, key, sizeof(key)), gguf_type_name(kv->type),
        value, want, (unsigned long long)gguf_key_offset(g, kv));
}

int gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv)
        return 0;
    return gguf_kv_u64(kv, out) ? 1 : refuse(g, kv, "an integer from 0", e);
}

int gguf_i64(const struct gguf *g, const char *key, int64_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv)
        return 0;
    return kv_i64(kv, out) ? 1 : refuse(g, kv, "an integer below 2^63", e);
}

int gguf_f64(const struct gguf *g, const char *key, double *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv)
        return 0;
    return kv_f64(kv, out) ? 1 : refuse(g, kv, "a number", e);
}

int gguf_bool(const struct gguf *g, const char *key, int *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv)
        return 0;
    return kv_bool(kv, out) ? 1 : refuse(g, kv, "a bool", e);
}

int gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv)
        return 0;
    return kv_str(kv, out) ? 1 : refuse(g, kv, "a string", e);
}

/* -- arrays -------------------------------------------------------------------------- */

/* Element i as a value of its own, so that one set of conversions serves both. */
static struct gguf_kv elem(const struct gguf_kv *kv, uint64_t i)
{
    uint64_t n_byte = gguf_type_bytes((uint32_t)kv->elem_type);
    struct gguf_kv one = {.type = kv->elem_type};

    assert(kv->type == GGUF_ARR && n_byte && i < kv->n);
    gguf_scalar(&one, (const unsigned char *)kv->elems + i * n_byte);
    return one;
}

int64_t gguf_arr_int(const struct gguf_kv *kv, uint64_t i)
{
    struct gguf_kv one = elem(kv, i);
    int64_t v;

    if (kv_i64(&one, &v))
        return v;
    if (one.type == GGUF_BOOL)
        return (int64_t)one.v.u;
    if (one.type == GGUF_U64) /* past 2^63: the nearest that fits, as for floats */
        return INT64_MAX;
    if (isnan(one.v.f))
        return 0;
    if (one.v.f >= 0x1p63)
        return INT64_MAX;
    return one.v.f < -0x1p63 ? INT64_MIN : (int64_t)one.v.f;
}

double gguf_arr_f64(const struct gguf_kv *kv, uint64_t i)
{
    struct gguf_kv one = elem(kv, i);
    double v;

    return kv_f64(&one, &v) ? v : (double)one.v.u; /* else a bool */
}

/* Lengths are read again, from a file that may have been written over since they were checked:
 * what would reach past the end is empty. */
void gguf_arr_strs(const struct gguf_kv *kv, struct str *out)
{
    const char *p = kv->elems;
    uint64_t left = kv->n_byte;

    assert(kv->type == GGUF_ARR && kv->elem_type == GGUF_STR);
    for (uint64_t i = 0; i < kv->n; i++) {
        uint64_t n = 0;

        if (left < sizeof(n)) {
            out[i] = (struct str){"", 0};
            continue;
        }
        memcpy(&n, p, sizeof(n));
        left -= sizeof(n);
        n = n < left ? n : left;
        out[i] = (struct str){p + sizeof(n), (size_t)n};
        p += sizeof(n) + n;
        left -= n;
    }
}

const char *gguf_file_type(const struct gguf *g)
{
    uint64_t most = 0, file_type;
    const char *name = NULL;

    if (gguf_n_tensor(g) == 0)
        return NULL;
    if (gguf_u64(g, "general.file_type", &file_type, NULL) > 0 &&
        gguf_file_type_name(file_type))
        return gguf_file_type_name(file_type);
    for (int type = 0; type < GGUF_TENSOR_TYPES; type++) {
        uint64_t n_byte = 0;

        for (size_t i = 0; i < gguf_n_tensor(g); i++)
            n_byte += gguf_tensor_at(g, i)->type == type ? gguf_tensor_at(g, i)->n_byte : 0;
        if (n_byte > most) {
            most = n_byte;
            name = gguf_tensor_type_name(type);
        }
    }
    return name;
}
