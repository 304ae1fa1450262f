/* tier.h - what the files of a tier give to its kern_add_<tier>(). */
#ifndef HEARTH_KERN_ARM_TIER_H
#define HEARTH_KERN_ARM_TIER_H

#include "kern/kern.h"

void kern_mul_add_dotprod(struct kern *k);
void kern_attn_add_dotprod(struct kern *k);
void kern_acts_add_dotprod(struct kern *k);
void kern_seq_add_dotprod(struct kern *k);
void kern_mul_add_i8mm(struct kern *k);

/* The product of the dotprod tier, whose layouts the i8mm tier shares. */
kern_mul_fn kern_mul_dotprod;

#endif
