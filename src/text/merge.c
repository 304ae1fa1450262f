#include "text/merge.h"

#include "base/mem.h"

/* Rows up to this long are searched; measured on English and Russian prose, the heap is
 * not faster before that. */
enum { MERGE_SHORT = 24 };

void merge_done(struct merge *m)
{
    mem_free(m->sym);
    mem_free(m->heap);
    *m = (struct merge){0};
}

int merge_start(struct merge *m, size_t max)
{
    struct merge_sym *sym;

    m->n = 0;
    if (max < m->cap)
        return 0;
    if (max >= MERGE_NONE)
        return E_NOMEM;
    /* One more for the end; words of ordinary length never come back for more. */
    max = max < 255 ? 256 : max + 1;
    sym = mem_realloc(m->sym, max * sizeof(*sym));
    if (!sym)
        return E_NOMEM;
    m->sym = sym;
    m->cap = max;
    return 0;
}

static inline uint32_t rank_of(const struct merge_rules *r, uint32_t pair)
{
    return pair == MERGE_NONE || !r->rank ? pair : r->rank[pair];
}

static inline void find_pair(struct merge *m, const struct merge_rules *r, uint32_t left)
{
    struct merge_sym *s = &m->sym[left], *t = &m->sym[s->next];

    s->pair = s->next == m->n ? MERGE_NONE : r->pair(r->ctx, s, t, m->sym[t->next].at - s->at);
}

/* Makes one symbol of the pair at i. */
static void join(struct merge *m, const struct merge_rules *r, uint32_t i)
{
    struct merge_sym *s = &m->sym[i], *gone = &m->sym[s->next];

    s->id = r->made ? r->made[s->pair] : s->pair;
    s->next = gone->next;
    m->sym[s->next].prev = i;
    gone->pair = MERGE_NONE;
    find_pair(m, r, i);
    if (i > 0)
        find_pair(m, r, s->prev);
}

static void run_short(struct merge *m, const struct merge_rules *r)
{
    for (;;) {
        uint32_t best = MERGE_NONE, best_at = 0;

        for (uint32_t i = 0; i < m->n; i = m->sym[i].next) {
            uint32_t rank = rank_of(r, m->sym[i].pair);

            if (rank < best) {
                best = rank;
                best_at = i;
            }
        }
        if (best == MERGE_NONE)
            return;
        join(m, r, best_at);
    }
}

static void sift_down(struct merge *m, size_t i)
{
    uint64_t x = m->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= m->n_heap)
            break;
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child])
            child++;
        if (x <= m->heap[child])
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = x;
}

static uint64_t pop(struct merge *m)
{
    uint64_t best = m->heap[0];

    m->heap[0] = m->heap[--m->n_heap];
    if (m->n_heap)
        sift_down(m, 0);
    return best;
}

static void push(struct merge *m, const struct merge_rules *r, uint32_t at)
{
    uint32_t rank = rank_of(r, m->sym[at].pair);
    uint64_t x = (uint64_t)rank << 32 | at;
    size_t i = m->n_heap;

    if (rank == MERGE_NONE)
        return;
    m->n_heap++;
    while (i > 0 && m->heap[(i - 1) / 2] > x) {
        m->heap[i] = m->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    m->heap[i] = x;
}

/* A row of n has at most n - 1 pairs; each join takes one entry out and puts at most two in,
 * and there are at most n - 1 joins. */
static int heap_room(struct merge *m)
{
    size_t need = 2 * (size_t)m->n;
    uint64_t *heap;

    m->n_heap = 0;
    if (need <= m->cap_heap)
        return 0;
    heap = mem_realloc(m->heap, need * sizeof(*heap));
    if (!heap)
        return E_NOMEM;
    m->heap = heap;
    m->cap_heap = need;
    return 0;
}

static int run_long(struct merge *m, const struct merge_rules *r)
{
    if (heap_room(m) < 0)
        return E_NOMEM;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t rank = rank_of(r, m->sym[i].pair);

        if (rank != MERGE_NONE)
            m->heap[m->n_heap++] = (uint64_t)rank << 32 | i;
    }
    for (size_t i = m->n_heap / 2; i-- > 0;)
        sift_down(m, i);
    while (m->n_heap) {
        uint64_t best = pop(m);
        uint32_t at = (uint32_t)best;

        if (rank_of(r, m->sym[at].pair) != best >> 32)
            continue;
        join(m, r, at);
        push(m, r, at);
        if (at > 0)
            push(m, r, m->sym[at].prev);
    }
    return 0;
}

int merge_run(struct merge *m, const struct merge_rules *r, uint32_t end)
{
    m->sym[m->n] = (struct merge_sym){.at = end, .pair = MERGE_NONE};
    for (uint32_t i = 0; i < m->n; i++)
        find_pair(m, r, i);
    if (m->n > MERGE_SHORT)
        return run_long(m, r);
    run_short(m, r);
    return 0;
}
