#include "kern/x86/tier.h"

#if defined(__x86_64__)

void kern_add_avx2(struct kern *k)
{
    kern_mul_add_avx2(k);
    kern_attn_add_avx2(k);
    kern_acts_add_avx2(k);
}

void kern_add_avx512vnni(struct kern *k)
{
    kern_mul_add_avx512vnni(k);
    kern_attn_add_avx512vnni(k);
    kern_acts_add_avx512vnni(k);
}

#endif
