/* seq_avx512vnni.c - operations along a sequence of the avx512vnni tier: seq.h over its
 * vectors. */
#include "kern/x86/vec_avx512vnni.h"
#include "kern/x86/seq.h"
#include "kern/x86/tier.h"

void kern_seq_add_avx512vnni(struct kern *k)
{
    seq_add(k);
}
