/* mul_evex.c - the product of the avxvnni tier, its instruction in the coding of AVX-512 VNNI:
 * machines that have only that one can check the rest. */
#include <immintrin.h>

#define V_DPBUSD             _mm256_dpbusd_epi32
#define kern_mul_add_avxvnni kern_mul_add_evex

#include "kern/x86/mul_avxvnni.c"
