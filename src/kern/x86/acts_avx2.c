/* acts_avx2.c - row operations of the avx2 tier: acts.h over its vectors. */
#include "kern/x86/vec_avx2.h"
#include "kern/x86/acts.h"
#include "kern/x86/tier.h"

void kern_acts_add_avx2(struct kern *k)
{
    acts_add(k);
}
