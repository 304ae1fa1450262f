/* rng.h - a small seeded generator for sampling and tests: xoshiro256++, seeded by splitmix64.
 *
 * Source  Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021.
 * Not for secrets. The same seed gives the same numbers on every machine.
 */
#ifndef HEARTH_BASE_RNG_H
#define HEARTH_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
double rng_unit(struct rng *r);  /* uniform in [0, 1), 53 bits */
float rng_normal(struct rng *r); /* mean 0, deviation 1 */
uint64_t rng_entropy(void);      /* a seed from the system */

#endif
