/* attn_dotprod.c - attention of the dotprod tier: attn.h over its vectors. */
#include "kern/arm/vec_dotprod.h"
#include "kern/x86/attn.h"
#include "kern/arm/tier.h"

ATTN_FNS(1)
ATTN_FNS(2)
ATTN_FNS(3)
ATTN_FNS(4)

static attn_rows_fn *const attn_fns[2][AR + 1] = {
    {NULL, attn_0_1, attn_0_2, attn_0_3, attn_0_4},
    {NULL, attn_1_1, attn_1_2, attn_1_3, attn_1_4},
};

void kern_attn_add_dotprod(struct kern *k)
{
    k->attn = attn_run;
}
