/* attn_avx2.c - attention of the avx2 tier: attn.h over its vectors. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/attn.h"
#include "kern/x86/tier.h"

ATTN_FNS(1)
ATTN_FNS(2)
ATTN_FNS(3)

static attn_rows_fn *const attn_fns[2][AR + 1] = {
    {NULL, attn_0_1, attn_0_2, attn_0_3},
    {NULL, attn_1_1, attn_1_2, attn_1_3},
};

void kern_attn_add_avx2(struct kern *k)
{
    k->attn = attn_run;
}
