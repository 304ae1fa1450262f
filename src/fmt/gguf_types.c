#include "fmt/gguf_priv.h"

#include "base/check.h"
#include "base/utf8.h"

#include <stdio.h>

/* Bytes 0: the id was given out once and taken back; no file of today may use it. */
struct tensor_type {
    const char *name;
    int block, bytes;
};

/* clang-format off */
static const struct tensor_type tensor_types[] = {
    [0]  = {"F32", 1, 4},         [1]  = {"F16", 1, 2},
    [2]  = {"Q4_0", 32, 18},      [3]  = {"Q4_1", 32, 20},
    [4]  = {"Q4_2", 0, 0},        [5]  = {"Q4_3", 0, 0},
    [6]  = {"Q5_0", 32, 22},      [7]  = {"Q5_1", 32, 24},
    [8]  = {"Q8_0", 32, 34},      [9]  = {"Q8_1", 32, 36},
    [10] = {"Q2_K", 256, 84},     [11] = {"Q3_K", 256, 110},
    [12] = {"Q4_K", 256, 144},    [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},    [15] = {"Q8_K", 256, 292},
    [16] = {"IQ2_XXS", 256, 66},  [17] = {"IQ2_XS", 256, 74},
    [18] = {"IQ3_XXS", 256, 98},  [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},    [21] = {"IQ3_S", 256, 110},
    [22] = {"IQ2_S", 256, 82},    [23] = {"IQ4_XS", 256, 136},
    [24] = {"I8", 1, 1},          [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},         [27] = {"I64", 1, 8},
    [28] = {"F64", 1, 8},         [29] = {"IQ1_M", 256, 56},
    [30] = {"BF16", 1, 2},
    [31] = {"Q4_0_4_4", 0, 0},    [32] = {"Q4_0_4_8", 0, 0},
    [33] = {"Q4_0_8_8", 0, 0},
    [34] = {"TQ1_0", 256, 54},    [35] = {"TQ2_0", 256, 66},
    [36] = {"IQ4_NL_4_4", 0, 0},  [37] = {"IQ4_NL_4_8", 0, 0},
    [38] = {"IQ4_NL_8_8", 0, 0},
    [39] = {"MXFP4", 32, 17},     [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},     [42] = {"Q2_0", 64, 18},
};

static const struct {
    const char *name;
    unsigned char bytes;
} types[GGUF_TYPE_N] = {
    [GGUF_U8]   = {"u8", 1},   [GGUF_I8]  = {"i8", 1},
    [GGUF_U16]  = {"u16", 2},  [GGUF_I16] = {"i16", 2},
    [GGUF_U32]  = {"u32", 4},  [GGUF_I32] = {"i32", 4},
    [GGUF_F32]  = {"f32", 4},  [GGUF_BOOL] = {"bool", 1},
    [GGUF_STR]  = {"str", 0},  [GGUF_ARR] = {"arr", 0},
    [GGUF_U64]  = {"u64", 8},  [GGUF_I64] = {"i64", 8},
    [GGUF_F64]  = {"f64", 8},
};

/* The mixes of general.file_type: most of a file's weights have the type of that name. */
static const char *const file_types[] = {
    [0] = "F32", [1] = "F16", [2] = "Q4_0", [3] = "Q4_1",
    [7] = "Q8_0", [8] = "Q5_0", [9] = "Q5_1", [10] = "Q2_K",
    [11] = "Q3_K_S", [12] = "Q3_K_M", [13] = "Q3_K_L", [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M", [18] = "Q6_K",
    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
    [23] = "IQ3_XXS", [24] = "IQ1_S", [25] = "IQ4_NL", [26] = "IQ3_S",
    [27] = "IQ3_M", [28] = "IQ2_S", [29] = "IQ2_M", [30] = "IQ4_XS",
    [31] = "IQ1_M", [32] = "BF16", [36] = "TQ1_0", [37] = "TQ2_0",
    [38] = "MXFP4_MOE", [39] = "NVFP4", [40] = "Q1_0", [41] = "Q2_0",
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *gguf_type_name(int type)
{
    return type >= 0 && type < GGUF_TYPE_N ? types[type].name : NULL;
}

uint64_t gguf_type_bytes(uint32_t type)
{
    return type < GGUF_TYPE_N ? types[type].bytes : 0;
}

const char *gguf_tensor_type_name(int type)
{
    return type >= 0 && (size_t)type < COUNT(tensor_types) ? tensor_types[type].name : NULL;
}

int gguf_tensor_type_size(int type, int *block, int *bytes)
{
    if (!gguf_tensor_type_name(type) || !tensor_types[type].bytes)
        return 0;
    *block = tensor_types[type].block;
    *bytes = tensor_types[type].bytes;
    return 1;
}

const char *gguf_file_type_name(uint64_t file_type)
{
    return file_type < COUNT(file_types) ? file_types[file_type] : NULL;
}

int gguf_shape(int type, int n_dim, const uint64_t *ne, uint64_t *n_elem, uint64_t *n_byte,
               struct err *e)
{
    uint64_t elems = 1, size = 0;
    int block, bytes;

    if (n_dim < 1 || n_dim > GGUF_DIMS)
        return err_set(e, E_FORMAT, "%d dimensions, expected 1 to %d", n_dim, GGUF_DIMS);
    for (int i = 0; i < n_dim; i++) {
        if (ne[i] == 0 || ne[i] > INT64_MAX)
            return err_set(e, E_FORMAT, "dimension %d is %lld, expected 1 or more", i,
                           (long long)ne[i]);
        if (!check_mul(elems, ne[i], &elems) || elems > INT64_MAX)
            return err_set(e, E_FORMAT, "the product of its dimensions is over 2^63");
    }
    if (!gguf_tensor_type_size(type, &block, &bytes)) {
        const char *name = gguf_tensor_type_name(type);

        if (name)
            return err_set(e, E_UNSUPPORTED, "type %d (%s) was removed from the format", type,
                           name);
        return err_set(e, E_UNSUPPORTED, "type %d is not known", type);
    }
    if (ne[0] % (uint64_t)block)
        return err_set(e, E_FORMAT, "rows of %llu are not a multiple of %s's block of %d",
                       (unsigned long long)ne[0], gguf_tensor_type_name(type), block);
    if (!check_mul(elems / (uint64_t)block, (uint64_t)bytes, &size))
        return err_set(e, E_FORMAT, "its size in bytes is over 2^64");
    *n_elem = elems;
    *n_byte = size;
    return 0;
}

const char *gguf_align_fault(uint64_t align)
{
    if (align == 0 || (align & (align - 1)))
        return "not a power of two";
    if (align < GGUF_ALIGN_MIN)
        return "less than 8, so numbers of 8 bytes would lie askew";
    if (align > GGUF_ALIGN_MAX)
        return "more than 1048576";
    return NULL;
}

const char *gguf_key_fault(struct str key)
{
    if (key.n == 0)
        return "the key is empty";
    if (key.n > GGUF_KEY_MAX)
        return "the key is longer than 65536 bytes";
    if (memchr(key.p, 0, key.n))
        return "the key holds a NUL";
    if (!utf8_valid(key.p, key.n))
        return "the key is not UTF-8";
    return NULL;
}

const char *gguf_printable(struct str s, char *out, size_t cap)
{
    size_t n = 0, i = 0;

    while (i < s.n) {
        int32_t cp;
        size_t len = (size_t)utf8_next(s.p + i, s.n - i, &cp);

        if (n + 9 > cap) { /* the widest piece and the NUL */
            (void)snprintf(out + n, cap - n, "...");
            return out;
        }
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            for (size_t k = 0; k < len; k++)
                n += (size_t)snprintf(out + n, cap - n, "\\x%02X", (unsigned char)s.p[i + k]);
        } else {
            memcpy(out + n, s.p + i, len);
            n += len;
        }
        i += len;
    }
    out[n] = '\0';
    return out;
}
