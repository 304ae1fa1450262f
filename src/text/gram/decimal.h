/* decimal.h - the numbers of a JSON text as they were written: decimal, exact, any sign.
 *
 * Uses     base/; jansson
 */
#ifndef HEARTH_TEXT_GRAM_DECIMAL_H
#define HEARTH_TEXT_GRAM_DECIMAL_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

enum { DECIMAL_DIGITS = 720 }; /* any double has fewer, written out */

struct decimal {
    int neg;                /* 0 for zero */
    uint16_t n_int, n_frac; /* digits before the point, 1 at least, and after it */
    char d[DECIMAL_DIGITS]; /* those before without zeros in front, those after without at the
                               end */
};

/* Reads "-12.5e3" and its like. Fails: E_INVALID it is no number; E_TOO_LONG too many digits,
 * written out. */
MUST_CHECK int decimal_parse(struct decimal *out, struct str text, struct err *e);

/* The number that a JSON value holds; a real is the shortest decimal that reads back as it. */
MUST_CHECK int decimal_of(struct decimal *out, const json_t *number, struct err *e);

/* < 0, 0, > 0 */
int decimal_cmp(const struct decimal *a, const struct decimal *b);

static inline int decimal_is_zero(const struct decimal *a)
{
    return a->n_int == 1 && a->d[0] == '0' && !a->n_frac;
}

#endif
