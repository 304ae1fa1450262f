#include "kern/arm/tier.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

/* What the system lists it also lets programs use. NEON itself is in every AArch64. */
int kern_has_dotprod(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

int kern_has_i8mm(void)
{
    return kern_has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}

void kern_add_dotprod(struct kern *k)
{
    kern_mul_add_dotprod(k);
    kern_attn_add_dotprod(k);
    kern_acts_add_dotprod(k);
    kern_seq_add_dotprod(k);
}

void kern_add_i8mm(struct kern *k)
{
    kern_mul_add_i8mm(k);
}

#endif
