#include "base/map.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

/* Multiply two 64-bit numbers and fold the 128-bit product: one step of mixing. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 r = (unsigned __int128)a * b;

    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t seed(void)
{
    static atomic_uint_fast64_t kept;
    uint64_t s = atomic_load_explicit(&kept, memory_order_relaxed), none = 0;

    if (s)
        return s;
    if (getrandom(&s, sizeof(s), GRND_NONBLOCK) != (ssize_t)sizeof(s))
        s = 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)&kept;
    s |= 1;
    /* The first thread's seed stays; the others take it. */
    return atomic_compare_exchange_strong(&kept, &none, s) ? s : none;
}

uint64_t map_hash64(uint64_t x)
{
    return mix(x ^ seed(), 0x9e3779b97f4a7c15u ^ (x >> 32));
}

uint64_t map_hash(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t h = seed() ^ n, w;

    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = mix(h ^ w, 0xa0761d6478bd642fu);
    }
    w = 0;
    if (n)
        memcpy(&w, b, n);
    return mix(h ^ w, 0xe7037ed1a0b428dbu);
}

static size_t slots_for(size_t n)
{
    size_t cap = 16;

    while (cap < n + n / 2 + 1) {
        if (cap > SIZE_MAX / 4)
            return 0;
        cap *= 2;
    }
    return cap;
}

int map_init(struct map *m, size_t n)
{
    *m = (struct map){0};
    m->cap = n < SIZE_MAX / 4 ? slots_for(n) : 0;
    m->slots = m->cap ? mem_calloc(m->cap, sizeof(*m->slots)) : NULL;
    if (!m->slots)
        m->cap = 0;
    return m->slots ? 0 : E_NOMEM;
}

void map_done(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}

static struct map_slot *map_find(const struct map *m, struct str key, uint32_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].hash && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static uint32_t hash32(struct str key)
{
    uint64_t h = map_hash(key.p, key.n);
    uint32_t r = (uint32_t)(h ^ (h >> 32));

    return r ? r : 1;
}

static int map_grow(struct map *m)
{
    struct map bigger;

    if (map_init(&bigger, m->n * 2 + 16) < 0)
        return E_NOMEM;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].hash)
            *map_find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    }
    bigger.n = m->n;
    map_done(m);
    *m = bigger;
    return 0;
}

int map_put(struct map *m, struct str key, uint32_t value, uint32_t *old)
{
    uint32_t hash = hash32(key);
    struct map_slot *s;

    if ((m->n + 1) * 3 > m->cap * 2 && map_grow(m) < 0)
        return E_NOMEM;
    s = map_find(m, key, hash);
    if (s->hash) {
        if (old)
            *old = s->value;
        s->value = value;
        return 1;
    }
    *s = (struct map_slot){key, hash, value};
    m->n++;
    return 0;
}

uint32_t map_begin(const struct map *m, struct str key)
{
    uint32_t hash = hash32(key);

    if (m->cap)
        __builtin_prefetch(&m->slots[hash & (m->cap - 1)]);
    return hash;
}

void map_reach(const struct map *m, uint32_t begun)
{
    if (m->cap)
        __builtin_prefetch(m->slots[begun & (m->cap - 1)].key.p);
}

int map_get(const struct map *m, struct str key, uint32_t *value)
{
    return map_get_begun(m, key, hash32(key), value);
}

int map_get_begun(const struct map *m, struct str key, uint32_t begun, uint32_t *value)
{
    const struct map_slot *s;

    if (!m->cap)
        return 0;
    s = map_find(m, key, begun);
    if (!s->hash)
        return 0;
    *value = s->value;
    return 1;
}

int map64_init(struct map64 *m, size_t n)
{
    *m = (struct map64){0};
    m->cap = n < SIZE_MAX / 4 ? slots_for(n) : 0;
    m->slots = m->cap ? mem_calloc(m->cap, sizeof(*m->slots)) : NULL;
    if (!m->slots)
        m->cap = 0;
    return m->slots ? 0 : E_NOMEM;
}

void map64_done(struct map64 *m)
{
    mem_free(m->slots);
    *m = (struct map64){0};
}

static struct map64_slot *map64_find(const struct map64 *m, uint64_t key)
{
    size_t i = map_hash64(key) & (m->cap - 1);

    while (m->slots[i].used && m->slots[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

void map64_begin(const struct map64 *m, uint64_t key)
{
    if (m->cap)
        __builtin_prefetch(&m->slots[map_hash64(key) & (m->cap - 1)], 1);
}

int map64_put(struct map64 *m, uint64_t key, uint32_t value)
{
    struct map64_slot *s;

    if ((m->n + 1) * 3 > m->cap * 2) {
        struct map64 bigger;

        if (map64_init(&bigger, m->n * 2 + 16) < 0)
            return E_NOMEM;
        for (size_t i = 0; i < m->cap; i++) {
            if (m->slots[i].used)
                *map64_find(&bigger, m->slots[i].key) = m->slots[i];
        }
        bigger.n = m->n;
        map64_done(m);
        *m = bigger;
    }
    s = map64_find(m, key);
    if (s->used) {
        s->value = value;
        return 1;
    }
    *s = (struct map64_slot){key, value, 1};
    m->n++;
    return 0;
}

int map64_get(const struct map64 *m, uint64_t key, uint32_t *value)
{
    const struct map64_slot *s;

    if (!m->cap)
        return 0;
    s = map64_find(m, key);
    if (!s->used)
        return 0;
    *value = s->value;
    return 1;
}

int map64_del(struct map64 *m, uint64_t key)
{
    struct map64_slot *s = m->cap ? map64_find(m, key) : NULL;
    size_t hole, i;

    if (!s || !s->used)
        return 0;
    /* Close the gap: move back each later key that the hole now cuts off from its home. */
    hole = (size_t)(s - m->slots);
    for (i = (hole + 1) & (m->cap - 1); m->slots[i].used; i = (i + 1) & (m->cap - 1)) {
        size_t home = map_hash64(m->slots[i].key) & (m->cap - 1);

        if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].used = 0;
    m->n--;
    return 1;
}
