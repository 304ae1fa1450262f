#include "infer/sampler_priv.h"

static int before(const struct cand *a, const struct cand *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

static void swap(struct cand *a, struct cand *b)
{
    struct cand t = *a;

    *a = *b;
    *b = t;
}

/* Restores a heap with the last in order at its root, after a[i] changed. */
static void sift(struct cand *a, size_t n, size_t i)
{
    struct cand x = a[i];

    for (;;) {
        size_t k = 2 * i + 1;

        if (k >= n)
            break;
        if (k + 1 < n && before(&a[k], &a[k + 1]))
            k++;
        if (!before(&x, &a[k]))
            break;
        a[i] = a[k];
        i = k;
    }
    a[i] = x;
}

/* Brings the first m in order to the front of a[n], in order. */
static void select_first(struct cand *a, size_t n, size_t m)
{
    for (size_t i = m / 2; i-- > 0;)
        sift(a, m, i);
    for (size_t i = m; i < n; i++) {
        if (before(&a[i], &a[0])) {
            swap(&a[i], &a[0]);
            sift(a, m, 0);
        }
    }
    for (size_t i = m; i-- > 1;) {
        swap(&a[0], &a[i]);
        sift(a, i, 0);
    }
}

/* Sorts at least the first `want` candidates (or all there are). Each round sorts four times
 * as many as before, so that walking along costs no more than a sort. */
void sampler_order(struct sampler *s, size_t want)
{
    size_t m;

    if (want > s->n)
        want = s->n;
    if (want <= s->n_order)
        return;
    m = want - s->n_order;
    if (m < 64)
        m = 64;
    if (m < 3 * s->n_order)
        m = 3 * s->n_order;
    if (m > s->n - s->n_order)
        m = s->n - s->n_order;
    select_first(s->c + s->n_order, s->n - s->n_order, m);
    s->n_order += m;
}

const struct cand *sampler_at(struct sampler *s, size_t i)
{
    sampler_order(s, i + 1);
    return &s->c[i];
}

void sampler_cut(struct sampler *s, size_t n)
{
    s->n = n;
    if (s->n_order > n)
        s->n_order = n;
}

struct cand *sampler_find(struct sampler *s, int32_t id)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->c[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->c[lo].id == id ? &s->c[lo] : NULL;
}
