#include "kern/x86/tier.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* __builtin_cpu_supports() also asks whether the system saves the registers. */
int kern_has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma"); /* every CPU with AVX2 and FMA has F16C */
}

/* clang 14 has no word for it. Its registers are those of AVX2. */
int kern_has_avxvnni(void)
{
    unsigned a, b, c, d;

    return kern_has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4));
}

int kern_has_avx512vnni(void)
{
    return kern_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

void kern_add_avx2(struct kern *k)
{
    kern_mul_add_avx2(k);
    kern_attn_add_avx2(k);
    kern_acts_add_avx2(k);
    kern_seq_add_avx2(k);
}

void kern_add_avxvnni(struct kern *k)
{
    kern_mul_add_avxvnni(k);
}

void kern_add_avx512vnni(struct kern *k)
{
    kern_mul_add_avx512vnni(k);
    kern_attn_add_avx512vnni(k);
    kern_acts_add_avx512vnni(k);
    kern_seq_add_avx512vnni(k);
}

#endif
