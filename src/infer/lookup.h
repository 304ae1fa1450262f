/* lookup.h - guessing what comes next from the text itself: answers repeat what was asked, code
 * repeats its names, lists their form.
 *
 * The last two to four tokens are looked for earlier in the text, the longest and latest first;
 * what followed there is the guess. A guess that runs into the end of the text goes on with
 * itself, so that a loop is guessed as far as one wants.
 *
 * Threads  any
 * Source   Saxena 2023, prompt lookup decoding
 */
#ifndef HEARTH_INFER_LOOKUP_H
#define HEARTH_INFER_LOOKUP_H

#include <stdint.h>

enum { LOOKUP_MIN = 2, LOOKUP_MAX = 4, LOOKUP_BACK = 1 << 15 /* tokens it looks back */ };

/* Up to max tokens that may follow ids[n]. Returns how many: 0 or max. */
int lookup_guess(const int32_t *ids, int n, int32_t *guess, int max);

#endif
