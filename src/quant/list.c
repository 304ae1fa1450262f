/* list.c - the table of weight formats, and the names and sizes of every GGUF type. */
#include "quant/list.h"

#include <strings.h>

static const struct quant *const rows[] = {
    &quant_f32,     &quant_f16,   &quant_bf16,   &quant_q4_0,    &quant_q4_1,   &quant_q5_0,
    &quant_q5_1,    &quant_q8_0,  &quant_q2_k,   &quant_q3_k,    &quant_q4_k,   &quant_q5_k,
    &quant_q6_k,    &quant_iq1_s, &quant_iq1_m,  &quant_iq2_xxs, &quant_iq2_xs, &quant_iq2_s,
    &quant_iq3_xxs, &quant_iq3_s, &quant_iq4_nl, &quant_iq4_xs,  &quant_tq1_0,  &quant_tq2_0,
    &quant_mxfp4,   &quant_nvfp4, &quant_q1_0,   &quant_q2_0,
};

#define N_ROW ((int)(sizeof(rows) / sizeof(rows[0])))

/* Every type that a GGUF file may hold. Ids without a line were withdrawn from the format
 * (4, 5: Q4_2, Q4_3; 31-33, 36-38: interleaved copies) or never given. */
/* clang-format off */
static const struct {
    const char *name;
    int block, bytes;
} types[QUANT_TYPE_MAX] = {
    [0]  = {"F32",       1,   4},
    [1]  = {"F16",       1,   2},
    [2]  = {"Q4_0",     32,  18},
    [3]  = {"Q4_1",     32,  20},
    [6]  = {"Q5_0",     32,  22},
    [7]  = {"Q5_1",     32,  24},
    [8]  = {"Q8_0",     32,  34},
    [9]  = {"Q8_1",     32,  36},
    [10] = {"Q2_K",    256,  84},
    [11] = {"Q3_K",    256, 110},
    [12] = {"Q4_K",    256, 144},
    [13] = {"Q5_K",    256, 176},
    [14] = {"Q6_K",    256, 210},
    [15] = {"Q8_K",    256, 292},
    [16] = {"IQ2_XXS", 256,  66},
    [17] = {"IQ2_XS",  256,  74},
    [18] = {"IQ3_XXS", 256,  98},
    [19] = {"IQ1_S",   256,  50},
    [20] = {"IQ4_NL",   32,  18},
    [21] = {"IQ3_S",   256, 110},
    [22] = {"IQ2_S",   256,  82},
    [23] = {"IQ4_XS",  256, 136},
    [24] = {"I8",        1,   1},
    [25] = {"I16",       1,   2},
    [26] = {"I32",       1,   4},
    [27] = {"I64",       1,   8},
    [28] = {"F64",       1,   8},
    [29] = {"IQ1_M",   256,  56},
    [30] = {"BF16",      1,   2},
    [34] = {"TQ1_0",   256,  54},
    [35] = {"TQ2_0",   256,  66},
    [39] = {"MXFP4",    32,  17},
    [40] = {"NVFP4",    64,  36},
    [41] = {"Q1_0",    128,  18},
    [42] = {"Q2_0",     64,  18},
};
/* clang-format on */

const struct quant *quant_find(int type)
{
    for (int i = 0; i < N_ROW; i++) {
        if (rows[i]->type == type)
            return rows[i];
    }
    return NULL;
}

const struct quant *quant_by_name(const char *name)
{
    for (int i = 0; i < N_ROW; i++) {
        if (strcasecmp(rows[i]->name, name) == 0)
            return rows[i];
    }
    return NULL;
}

const struct quant *quant_at(int i)
{
    return i >= 0 && i < N_ROW ? rows[i] : NULL;
}

const char *quant_type_name(int type)
{
    return type >= 0 && type < QUANT_TYPE_MAX ? types[type].name : NULL;
}

int quant_type_size(int type, int *block, int *bytes)
{
    if (!quant_type_name(type))
        return 0;
    *block = types[type].block;
    *bytes = types[type].bytes;
    return 1;
}
