/* tier.h - what the files of a tier give to its kern_add_<tier>(). */
#ifndef HEARTH_KERN_X86_TIER_H
#define HEARTH_KERN_X86_TIER_H

#include "kern/kern.h"

void kern_mul_add_avx2(struct kern *k);
void kern_attn_add_avx2(struct kern *k);
void kern_acts_add_avx2(struct kern *k);
void kern_seq_add_avx2(struct kern *k);
void kern_mul_add_avxvnni(struct kern *k);
void kern_mul_add_avx512vnni(struct kern *k);
void kern_attn_add_avx512vnni(struct kern *k);
void kern_acts_add_avx512vnni(struct kern *k);
void kern_seq_add_avx512vnni(struct kern *k);

#endif
