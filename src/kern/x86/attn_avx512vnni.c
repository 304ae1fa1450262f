/* attn_avx512vnni.c - attention of the avx512vnni tier: attn.h over its vectors. */
#include "kern/x86/vec_avx512vnni.h"
#include "kern/x86/attn.h"
#include "kern/x86/tier.h"

ATTN_FNS(1)
ATTN_FNS(2)
ATTN_FNS(3)
ATTN_FNS(4)
ATTN_FNS(5)
ATTN_FNS(6)

static attn_rows_fn *const attn_fns[2][AR + 1] = {
    {NULL, attn_0_1, attn_0_2, attn_0_3, attn_0_4, attn_0_5, attn_0_6},
    {NULL, attn_1_1, attn_1_2, attn_1_3, attn_1_4, attn_1_5, attn_1_6},
};

void kern_attn_add_avx512vnni(struct kern *k)
{
    k->attn = attn_run;
}
