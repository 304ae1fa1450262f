/* acts_dotprod.c - row operations of the dotprod tier: acts.h over its vectors. */
#include "kern/arm/vec_dotprod.h"
#include "kern/x86/acts.h"
#include "kern/arm/tier.h"

void kern_acts_add_dotprod(struct kern *k)
{
    acts_add(k);
}
