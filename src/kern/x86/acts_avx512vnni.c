/* acts_avx512vnni.c - row operations of the avx512vnni tier: acts.h over its vectors. */
#include "kern/x86/vec_avx512vnni.h"
#include "kern/x86/acts.h"
#include "kern/x86/tier.h"

void kern_acts_add_avx512vnni(struct kern *k)
{
    acts_add(k);
}
