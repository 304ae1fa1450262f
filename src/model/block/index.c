/* index.c - the choice of positions that attention sees, by small keys of their own. */
#include "model/block/block.h"

#include <math.h>
#include <string.h>

const struct step_run *blk_run_of(const struct step *s, size_t t)
{
    int lo = 0, hi = s->n_run;

    while (hi - lo > 1) {
        int mid = lo + (hi - lo) / 2;

        if ((size_t)s->run[mid].first <= t)
            lo = mid;
        else
            hi = mid;
    }
    return &s->run[lo];
}

static size_t keys_of_page(const struct index *ix)
{
    return (size_t)(KERN_PAGE / ix->ratio);
}

static float *page_of(const struct index *ix, const struct step_run *r, size_t i)
{
    return (float *)(void *)(r->page[i / keys_of_page(ix)] + ix->off);
}

void blk_index_put(const struct index *ix, const struct step_run *r, int i, const float *key)
{
    size_t per = keys_of_page(ix);
    float *to = page_of(ix, r, (size_t)i) + (size_t)i % per;

    for (int d = 0; d < ix->d; d++)
        to[(size_t)d * per] = key[d];
}

/* The scores of n keys that lie side by side in a page. */
static void score_page(const struct index *ix, const float *q, const float *w,
                       const float *keys, size_t n, float *score)
{
    size_t per = keys_of_page(ix), size = (size_t)ix->d;
    float sum[KERN_PAGE];

    memset(score, 0, n * sizeof(*score));
    for (size_t h = 0; h < (size_t)ix->n_head; h++) {
        memset(sum, 0, sizeof(sum));
        for (size_t d = 0; d < size; d++) {
            for (size_t i = 0; i < n; i++)
                sum[i] += q[h * size + d] * keys[d * per + i];
        }
        for (size_t i = 0; i < n; i++)
            score[i] += w[h] * (sum[i] > 0 ? sum[i] : 0);
    }
}

/* Of equal scores at the border, which positions are seen is a matter of taste: the models were
 * trained on machines that choose any. With few heads many scores are equal, 0, so results of
 * engines can only be compared when they choose alike. This is what the widespread one does: a
 * heap of the best, its root the worst of them, into which positions are put in their order. */

/* Puts v into the heap of n at the hole: down to a leaf by the worse child, the right one of
 * equals, then up as far as it belongs (Floyd). */
static void heap_put(const float *score, int32_t *heap, int n, int hole, int32_t v)
{
    int top = hole;

    for (int child = 2 * hole + 1; child < n; child = 2 * hole + 1) {
        if (child + 1 < n && !(score[heap[child + 1]] > score[heap[child]]))
            child++;
        heap[hole] = heap[child];
        hole = child;
    }
    while (hole > top && score[heap[(hole - 1) / 2]] > score[v]) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = v;
}

/* The `top` best of n > top, ascending. */
static void choose_best(float *score, int n, int top, int32_t *best)
{
    int have = 0;

    for (int i = 0; i < top; i++)
        best[i] = i;
    for (int i = top / 2 - 1; i >= 0; i--)
        heap_put(score, best, top, i, best[i]);
    for (int i = top; i < n; i++) {
        if (score[i] > score[best[0]])
            heap_put(score, best, top, 0, i);
    }
    /* In order: scores are not needed any more. */
    for (int i = 0; i < top; i++)
        score[best[i]] = INFINITY;
    for (int i = 0; i < n && have < top; i++) {
        if (score[i] == INFINITY)
            best[have++] = i;
    }
}

int blk_index_best(const struct index *ix, size_t t, const struct step_run *r, int n,
                   float *score, int32_t *best)
{
    size_t per = keys_of_page(ix), heads = (size_t)ix->n_head;

    if (n <= ix->top) {
        for (int i = 0; i < n; i++)
            best[i] = i;
        return n;
    }
    for (size_t i = 0; i < (size_t)n; i += per)
        score_page(ix, ix->q + t * heads * (size_t)ix->d, ix->w + t * heads, page_of(ix, r, i),
                   (size_t)n - i < per ? (size_t)n - i : per, score + i);
    choose_best(score, n, ix->top, best);
    return ix->top;
}
