/* kscale.h - the 12 bytes in which Q4_K and Q5_K keep eight scales and eight minima.
 *
 * Each is 6 bits. Scales 0..3 fill the low bits of bytes 0..3 and minima 0..3 those of bytes
 * 4..7; scale and minimum 4 + i share byte 8 + i for their low nibbles, and put their two
 * high bits above scale i and minimum i:
 *
 *   byte  0..3    SS ssssss    SS: bits 5:4 of scale 4+i,  ssssss: scale i
 *   byte  4..7    MM mmmmmm    MM: bits 5:4 of min 4+i,    mmmmmm: min i
 *   byte  8..11   mmmm ssss    low nibbles of min 4+i and scale 4+i
 */
#ifndef HEARTH_QUANT_KSCALE_H
#define HEARTH_QUANT_KSCALE_H

#include <stdint.h>

#define KSCALE_N     8
#define KSCALE_BYTES 12

static inline void kscale_get(const uint8_t *p, uint8_t *scale, uint8_t *min)
{
    for (int i = 0; i < 4; i++) {
        scale[i] = p[i] & 63;
        min[i] = p[4 + i] & 63;
        scale[4 + i] = (uint8_t)((p[8 + i] & 15) | (p[i] >> 6 << 4));
        min[4 + i] = (uint8_t)((p[8 + i] >> 4) | (p[4 + i] >> 6 << 4));
    }
}

static inline void kscale_put(uint8_t *p, const uint8_t *scale, const uint8_t *min)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(scale[i] | (scale[4 + i] >> 4 << 6));
        p[4 + i] = (uint8_t)(min[i] | (min[4 + i] >> 4 << 6));
        p[8 + i] = (uint8_t)((scale[4 + i] & 15) | ((min[4 + i] & 15) << 4));
    }
}

#endif
