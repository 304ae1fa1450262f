/* digest.h - 64 bits that stand for some bytes, the same in every process and on every machine.
 *
 * For finding damage and telling files apart, at the speed of memory. Not for secrets: whoever
 * wants two inputs of the same digest can make them.
 *
 * Threads  any
 */
#ifndef HEARTH_BASE_DIGEST_H
#define HEARTH_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes; seed: the digest of what comes before, or any number. */
uint64_t digest_bytes(uint64_t seed, const void *p, size_t n);

#endif
