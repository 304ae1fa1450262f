/* mul_avxvnni.c - the matrix product of the AVX-VNNI tier: mul.h over 8 lanes. */
#include "kern/x86/vec_avxvnni.h"
#include "kern/x86/mul.h"
#include "kern/x86/tier.h"

PANEL_FNS(1)
PANEL_FNS(2)
PANEL_FNS(3)
FLOAT_FN(1)
FLOAT_FN(2)
FLOAT_FN(3)
DIRECT_FNS(1)
DIRECT_FNS(2)
DIRECT_FNS(3)

/* clang-format off */
static panel_fn *const panel_fns[V_PANEL + 1][3][2] = {
    {{NULL, NULL}, {NULL, NULL}, {NULL, NULL}},
    PANEL_ROW(1), PANEL_ROW(2), PANEL_ROW(3),
};
static float_fn *const float_fns[V_PANEL + 1] = {NULL, float_1, float_2, float_3};

#define DIRECT_ROW(name) \
    {NULL, direct_##name##_1, direct_##name##_2, direct_##name##_3}

static direct_fn *const direct_fns[QUANT_TYPE_MAX][V_PANEL + 1] = {DIRECT_ROWS};
/* clang-format on */

void kern_mul_add_avxvnni(struct kern *k)
{
    mul_add(k);
}
