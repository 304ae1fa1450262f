/* attn.h - attention beside the machine's roofs, see attn.c. */
#ifndef HEARTH_BENCH_ATTN_H
#define HEARTH_BENCH_ATTN_H

/* Prints a table for a tier (enum kern_tier). read: the roof of reading, bytes per ns. */
void bench_attn(int tier, double read);

#endif
