#include "infer/lookup.h"

/* How many tokens before a and before b are the same, at most LOOKUP_MAX. */
static int same_before(const int32_t *a, const int32_t *b, int most)
{
    int n = 0;

    while (n < most && n < LOOKUP_MAX && a[-1 - n] == b[-1 - n])
        n++;
    return n;
}

int lookup_guess(const int32_t *ids, int n, int32_t *guess, int max)
{
    int from = n - LOOKUP_BACK > 0 ? n - LOOKUP_BACK : 0, best = LOOKUP_MIN - 1, at = 0;

    for (int p = n - 1; p >= from + LOOKUP_MIN && best < LOOKUP_MAX; p--) {
        int len = ids[p - 1] == ids[n - 1] ? same_before(ids + p, ids + n, p - from) : 0;

        if (len > best) {
            best = len;
            at = p;
        }
    }
    if (!at)
        return 0;
    for (int i = 0; i < max; i++)
        guess[i] = at + i < n ? ids[at + i] : guess[at + i - n];
    return max;
}
