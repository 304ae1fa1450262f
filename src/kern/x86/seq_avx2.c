/* seq_avx2.c - operations along a sequence of the avx2 tier: seq.h over its vectors. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/seq.h"
#include "kern/x86/tier.h"

void kern_seq_add_avx2(struct kern *k)
{
    seq_add(k);
}
