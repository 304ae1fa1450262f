/* mul_i8mm.c - the matrix product of the i8mm tier: mul.h over 4 lanes and pairs.h. */
#include "kern/arm/vec_i8mm.h"
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

/* clang-format off */
static panel_fn *const panel_fns[V_PANEL + 1][3][2] = {
    {{NULL, NULL}, {NULL, NULL}, {NULL, NULL}},
    PANEL_ROW(1), PANEL_ROW(2), PANEL_ROW(3), PANEL_ROW(4),
};
static float_fn *const float_fns[V_PANEL + 1] = {NULL, float_1, float_2, float_3, float_4};
static direct_fn *const direct_fns[QUANT_TYPE_MAX][V_PANEL + 1] = {{NULL}};
/* clang-format on */

/* One column has no pair, and where weights are multiplied as they are read nobody would
 * interleave them for others: both are the dotprod tier's. */
static int is_few(const struct kern_mul *j)
{
    return j->x->n == 1 || (j->x->n <= V_DIRECT && formats[j->w[0]->type].f->quad);
}

static void mul_pairs(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                      void *scratch)
{
    (is_few(j) ? kern_mul_dotprod : mul_tiles)(k, j, g0, g1, scratch);
}

void kern_mul_add_i8mm(struct kern *k)
{
    mul_add(k);
    for (int i = 0; i < QUANT_TYPE_MAX; i++) {
        if (formats[i].f)
            k->mm[i].mul = mul_pairs;
    }
}
