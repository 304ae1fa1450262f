/* mul_dotprod.c - the matrix product of the dotprod tier: mul.h over 4 lanes. */
#include "kern/arm/vec_dotprod.h"
#include "kern/x86/mul.h"
#include "kern/arm/tier.h"

PANEL_FNS(1)
PANEL_FNS(2)
PANEL_FNS(3)
PANEL_FNS(4)
FLOAT_FN(1)
FLOAT_FN(2)
FLOAT_FN(3)
FLOAT_FN(4)
DIRECT_FNS(1)
DIRECT_FNS(2)
DIRECT_FNS(3)
DIRECT_FNS(4)

/* clang-format off */
static panel_fn *const panel_fns[V_PANEL + 1][3][2] = {
    {{NULL, NULL}, {NULL, NULL}, {NULL, NULL}},
    PANEL_ROW(1), PANEL_ROW(2), PANEL_ROW(3), PANEL_ROW(4),
};
static float_fn *const float_fns[V_PANEL + 1] = {NULL, float_1, float_2, float_3, float_4};

#define DIRECT_ROW(name) \
    {NULL, direct_##name##_1, direct_##name##_2, direct_##name##_3, direct_##name##_4}

static direct_fn *const direct_fns[QUANT_TYPE_MAX][V_PANEL + 1] = {DIRECT_ROWS};
/* clang-format on */

void kern_mul_dotprod(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                      void *scratch)
{
    mul_tiles(k, j, g0, g1, scratch);
}

void kern_mul_add_dotprod(struct kern *k)
{
    mul_add(k);
}
