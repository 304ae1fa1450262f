/* num.h - numbers as text, with as few digits as say the same number again.
 *
 * 0.2f is "0.2", not "0.20000000298023224", and 0.1 + 0.2 is "0.30000000000000004". The locale
 * of numbers is always C's (docs/pitfalls.md).
 *
 * Threads  any
 */
#ifndef HEARTH_BASE_NUM_H
#define HEARTH_BASE_NUM_H

enum { NUM_TEXT = 32 }; /* bytes that a text needs, with its NUL */

/* Write x as %g does and return how many bytes that are. NaN and infinity are written, too,
 * which JSON does not have. */
int num_float(char out[NUM_TEXT], float x);
int num_double(char out[NUM_TEXT], double x);

/* The double that is written as x is: what a float becomes where only doubles can be kept. */
double num_widen(float x);

#endif
