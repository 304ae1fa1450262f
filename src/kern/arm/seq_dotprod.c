/* seq_dotprod.c - operations along a sequence of the dotprod tier: seq.h over its vectors. */
#include "kern/arm/vec_dotprod.h"
#include "kern/x86/seq.h"
#include "kern/arm/tier.h"

void kern_seq_add_dotprod(struct kern *k)
{
    seq_add(k);
}
