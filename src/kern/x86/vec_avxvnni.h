/* vec_avxvnni.h - the vectors of the AVX-VNNI tier: those of vec_avx2.h, but the products of 4
 * bytes are one instruction, which does not saturate between: 8-bit weights stay unsigned. */
#ifndef HEARTH_KERN_X86_VEC_AVXVNNI_H
#define HEARTH_KERN_X86_VEC_AVXVNNI_H

/* A test that runs on processors of AVX-512 VNNI names the other coding of it. */
#ifndef V_DPBUSD
#define V_DPBUSD _mm256_dpbusd_avx_epi32
#endif

#include "kern/x86/vec_avx2.h"

#endif
