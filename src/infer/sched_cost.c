/* How long steps take.
 *
 * A step of n tokens that are being written, one of each text, takes base[n]; each token of a
 * prompt beside them adds per_token. Both are measured and follow what they measure, because
 * contexts grow and the machine has other things to do. A time that is shorter than the one
 * that was known counts more: it is what the machine can do.
 */
#include "infer/sched_priv.h"

enum {
    COST_CHUNK_MIN = 8,  /* of a prompt, in each step */
    COST_CHUNK_NEW = 32, /* as long as nothing was measured */
    COST_PURE_EACH = 32  /* mixed steps, then one without prompts, to see what that takes */
};

#define COST_CARE 0.92F /* of the longest step: measured times vary */

static void follow(float *at, float x)
{
    float part = x < *at ? 0.5F : 0.2F;

    *at = *at > 0 ? *at + part * (x - *at) : x;
}

float sched_cost_of(const struct sched_cost *c, int n)
{
    int lo = n < COST_ROWS ? n : COST_ROWS, hi = lo + 1;

    while (lo > 0 && c->base[lo] <= 0)
        lo--;
    if (lo == n)
        return c->base[n];
    while (hi <= COST_ROWS && c->base[hi] <= 0)
        hi++;
    if (hi > COST_ROWS) /* more than ever: a token adds less than one of a prompt at first */
        return lo ? c->base[lo] + 0.75F * c->per_token * (float)(n - lo) : 0;
    if (!lo)
        return c->base[hi] * (0.5F + 0.5F * (float)n / (float)hi);
    return c->base[lo] + (c->base[hi] - c->base[lo]) * (float)(n - lo) / (float)(hi - lo);
}

void sched_cost_note(struct sched_cost *c, int n_written, int n_prompt, uint64_t ns)
{
    float t = (float)ns, base = n_written ? sched_cost_of(c, n_written) : 0;

    if (!n_prompt) {
        c->mixed = 0;
        if (n_written <= COST_ROWS)
            follow(&c->base[n_written], t);
        return;
    }
    c->mixed += n_written > 0;
    if (n_written && base <= 0)
        return;
    t = (t - base) / (float)n_prompt;
    if (t > 0)
        follow(&c->per_token, t);
}

int sched_cost_prompt(struct sched_cost *c, int n_written, int n_text, float ratio, int most)
{
    float base, steady, n;

    if (!n_written)
        return most;
    base = sched_cost_of(c, n_written);
    if (base <= 0 || c->mixed >= COST_PURE_EACH)
        return 0;
    steady = sched_cost_of(c, n_text > n_written ? n_text : n_written);
    n = c->per_token > 0 ? (COST_CARE * ratio * steady - base) / c->per_token : COST_CHUNK_NEW;
    if (n < COST_CHUNK_MIN)
        n = COST_CHUNK_MIN;
    return n < (float)most ? (int)n : most;
}
