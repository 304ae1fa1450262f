/* attn_dotprod.c - attention of the dotprod tier: attn.h over its vectors. */
#include "kern/arm/vec_dotprod.h"
#include "kern/x86/attn.h"
#include "kern/arm/tier.h"

#define ROWS(kv) ATTN_ROWS(kv, 1) ATTN_ROWS(kv, 2)

ROWS(F16)
ROWS(F32)
ROWS(Q8_0)
ROWS(Q4_0)
ATTN_UNPACK(F16)
ATTN_UNPACK(Q8_0)
ATTN_UNPACK(Q4_0)

#define FNS(what, kv)                                                                          \
    {                                                                                          \
        NULL, what##_##kv##_1, what##_##kv##_2                                                 \
    }

static const struct attn_kv attn_kvs[KERN_KV_N] = {
    [KERN_KV_F16] = {FNS(score, F16), FNS(value, F16), keys_F16, values_F16, 0},
    [KERN_KV_F32] = {FNS(score, F32), FNS(value, F32), NULL, NULL, 0},
    [KERN_KV_Q8_0] = {FNS(score, Q8_0), FNS(value, Q8_0), keys_Q8_0, values_Q8_0, 1},
    [KERN_KV_Q4_0] = {FNS(score, Q4_0), FNS(value, Q4_0), keys_Q4_0, values_Q4_0, 1},
};

void kern_attn_add_dotprod(struct kern *k)
{
    attn_add(k);
}
