/* sha256.h - SHA-256: 32 bytes that stand for any number of bytes, also against an enemy.
 *
 * Threads  any; a state belongs to one at a time
 * Source   FIPS 180-4
 */
#ifndef HEARTH_BASE_SHA256_H
#define HEARTH_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_HEX = 2 * SHA256_SIZE + 1 };

struct sha256 {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    unsigned char block[64];
};

void sha256_init(struct sha256 *s);
void sha256_put(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, unsigned char out[SHA256_SIZE]);

/* All at once, as lower-case hexadecimal digits with a NUL. */
void sha256_hex(const void *p, size_t n, char out[SHA256_HEX]);

#endif
