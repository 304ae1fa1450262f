#include "serve/metrics_series.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>

/* From what a tiny model needs for a token to what a long prompt waits for a first one. */
static const double bound_seconds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                       0.05,   0.1,   0.25,   0.5,   1,    2.5,
                                       5,      10,    30,     60,    120,  300};
static const double bound_tokens[] = {1,    4,    16,   32,   64,    128,   256,   512,
                                      1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};
static const double bound_count[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256};

#define BOUND_NONE    NULL, 0
#define BOUND_SECONDS bound_seconds, sizeof(bound_seconds) / sizeof(double)
#define BOUND_TOKENS  bound_tokens, sizeof(bound_tokens) / sizeof(double)
#define BOUND_COUNT   bound_count, sizeof(bound_count) / sizeof(double)

const struct metrics_row metrics_table[METRIC_N] = {
#define X(id, kind, name, buckets, what, help)                                                 \
    [METRIC_##id] = {name, what, help, METRICS_##kind, BOUND_##buckets},
    METRICS_TABLE(X)
#undef X
};

int metrics_new(struct metrics **out, struct err *e)
{
    struct metrics *m = mem_calloc(1, sizeof(*m));

    if (!m || pthread_rwlock_init(&m->lock, NULL) != 0) {
        mem_free(m);
        return err_set(e, E_NOMEM, "no memory for metrics");
    }
    m->start_time = time(NULL);
    *out = m;
    return 0;
}

static void series_free(struct metrics_series *s)
{
    mem_free(s->model);
    mem_free(s->route);
    mem_free(s->what);
    mem_free(s);
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (int i = 0; i < METRIC_N; i++) {
        for (struct metrics_series *s = m->first[i], *after; s; s = after) {
            after = s->after;
            series_free(s);
        }
    }
    (void)pthread_rwlock_destroy(&m->lock);
    mem_free(m);
}

/* -- finding and making ------------------------------------------------------------------ */

struct key {
    enum metric id;
    const char *model, *route, *what;
    uint64_t hash;
};

static uint64_t hash_of(const char *s)
{
    return s ? map_hash(s, strlen(s)) : 0;
}

static struct key key_of(enum metric id, const char *model, const char *route, const char *what)
{
    struct key k = {id, model, route, metrics_table[id].what[0] ? what : NULL, 0};
    uint64_t h = (uint64_t)id;

    h = h * 0x9e3779b97f4a7c15u + hash_of(k.model);
    h = h * 0x9e3779b97f4a7c15u + hash_of(k.route);
    k.hash = h * 0x9e3779b97f4a7c15u + hash_of(k.what);
    k.hash ^= k.hash >> 32;
    return k;
}

static int same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct metrics_series *find(const struct metrics *m, const struct key *k)
{
    struct metrics_series *s = m->slot[k->hash % METRICS_SLOTS];

    while (s && !(s->hash == k->hash && s->id == k->id && same(s->model, k->model) &&
                  same(s->route, k->route) && same(s->what, k->what)))
        s = s->next;
    return s;
}

static int copy(char **to, const char *from)
{
    *to = from ? mem_strdup(from) : NULL;
    return *to || !from;
}

/* NULL: no memory, and the value is lost. Called with the lock for writing. */
static struct metrics_series *make(struct metrics *m, const struct key *k)
{
    size_t n = (size_t)metrics_table[k->id].n_bound;
    struct metrics_series *s = mem_calloc(1, sizeof(*s) + (n ? n + 1 : 0) * sizeof(s->n[0]));
    size_t at = k->hash % METRICS_SLOTS;

    if (!s)
        return NULL;
    if (!copy(&s->model, k->model) || !copy(&s->route, k->route) || !copy(&s->what, k->what)) {
        series_free(s);
        return NULL;
    }
    s->hash = k->hash;
    s->id = k->id;
    s->next = m->slot[at];
    m->slot[at] = s;
    if (m->last[k->id])
        m->last[k->id]->after = s;
    else
        m->first[k->id] = s;
    m->last[k->id] = s;
    m->n_series++;
    return s;
}

/* -- counting ---------------------------------------------------------------------------- */

static void add(_Atomic uint64_t *bits, double v)
{
    uint64_t was = atomic_load_explicit(bits, memory_order_relaxed), is;
    double sum;

    do {
        sum = metrics_value(was) + v;
        memcpy(&is, &sum, sizeof(is));
    } while (!atomic_compare_exchange_weak_explicit(bits, &was, is, memory_order_relaxed,
                                                    memory_order_relaxed));
}

static void put(struct metrics_series *s, double v, int set)
{
    const struct metrics_row *row = &metrics_table[s->id];
    uint64_t bits;
    int at = 0;

    if (row->kind == METRICS_GAUGE || set) {
        memcpy(&bits, &v, sizeof(bits));
        atomic_store_explicit(&s->bits, bits, memory_order_relaxed);
        return;
    }
    add(&s->bits, v);
    if (row->kind != METRICS_HISTOGRAM)
        return;
    while (at < row->n_bound && v > row->bound[at])
        at++;
    (void)atomic_fetch_add_explicit(&s->n[at], 1, memory_order_relaxed);
}

static void change(struct metrics *m, struct key k, double v, int set)
{
    struct metrics_series *s;

    if (isnan(v) || (v < 0 && metrics_table[k.id].kind != METRICS_GAUGE))
        return;
    (void)pthread_rwlock_rdlock(&m->lock);
    s = find(m, &k);
    if (s)
        put(s, v, set);
    (void)pthread_rwlock_unlock(&m->lock);
    if (s)
        return;
    (void)pthread_rwlock_wrlock(&m->lock);
    if (m->n_series >= METRICS_SERIES_MAX)
        k = key_of(k.id, "other", NULL, NULL);
    s = find(m, &k); /* another thread may have made it meanwhile */
    if (!s)
        s = make(m, &k);
    if (s)
        put(s, v, set);
    (void)pthread_rwlock_unlock(&m->lock);
}

void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                 const char *what, double value)
{
    change(m, key_of(id, model, route, what), value, 0);
}

void metrics_set(struct metrics *m, enum metric id, const char *model, const char *what,
                 double value)
{
    change(m, key_of(id, model, NULL, what), value, 1);
}

/* -- forgetting -------------------------------------------------------------------------- */

static void unlink_slot(struct metrics *m, struct metrics_series *s)
{
    struct metrics_series **at = &m->slot[s->hash % METRICS_SLOTS];

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

void metrics_forget(struct metrics *m, const char *model)
{
    (void)pthread_rwlock_wrlock(&m->lock);
    for (int i = 0; i < METRIC_N; i++) {
        struct metrics_series **at = &m->first[i], *s;

        m->last[i] = NULL;
        while ((s = *at)) {
            if (!same(s->model, model)) {
                m->last[i] = s;
                at = &s->after;
                continue;
            }
            *at = s->after;
            unlink_slot(m, s);
            series_free(s);
            m->n_series--;
        }
    }
    (void)pthread_rwlock_unlock(&m->lock);
}
