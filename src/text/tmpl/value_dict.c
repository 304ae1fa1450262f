#include "text/tmpl/value.h"

#include "base/map.h"

/* Up to this many entries are looked through one by one. */
enum { FEW = 8 };

/* -- lists ---------------------------------------------------------------------------- */

static int grow(struct value_room *r, void **p, size_t n, size_t *cap, size_t want, size_t size)
{
    size_t more = *cap ? 2 * *cap : 4;
    void *q;

    if (more < want)
        more = want;
    if (more > SIZE_MAX / size / 2)
        return value_fail(r, E_TOO_LONG, "a list of the template is too long");
    q = value_alloc(r, more * size);
    if (!q)
        return value_failed(r);
    if (n)
        memcpy(q, *p, n * size);
    *p = q;
    *cap = more;
    return value_pay(r, n / 8);
}

int value_list(struct value_room *r, int kind, size_t cap, struct value *out)
{
    struct value_list *l = value_alloc(r, sizeof(*l));
    void *p = NULL;
    int rc = 0;

    if (!l)
        return value_failed(r);
    *l = (struct value_list){0};
    if (cap)
        rc = grow(r, &p, 0, &l->cap, cap, sizeof(*l->v));
    l->v = p;
    *out = (struct value){.kind = (uint16_t)kind, .l = l};
    return rc;
}

int value_append(struct value_room *r, struct value list, struct value item)
{
    struct value_list *l = list.l;

    if (l->n == l->cap) {
        void *p = l->v;
        int rc = grow(r, &p, l->n, &l->cap, 0, sizeof(*l->v));

        if (rc < 0)
            return rc;
        l->v = p;
    }
    l->v[l->n++] = item;
    return 0;
}

/* -- keys ----------------------------------------------------------------------------- */

int value_dict(struct value_room *r, int kind, struct value *out)
{
    struct value_dict *d = value_alloc(r, sizeof(*d));

    if (!d)
        return value_failed(r);
    *d = (struct value_dict){0};
    *out = (struct value){.kind = (uint16_t)kind, .d = d};
    return 0;
}

/* Equal keys have equal hashes: 1, 1.0 and true are one key. 0: cannot be a key. */
static int hash_of(struct value v, uint64_t *hash)
{
    if (v.kind == VALUE_STR) {
        *hash = map_hash(v.s->p, v.s->n);
    } else if (v.kind == VALUE_INT || v.kind == VALUE_BOOL) {
        *hash = map_hash64((uint64_t)v.i);
    } else if (v.kind == VALUE_FLOAT) {
        uint64_t bits;

        if (v.f >= -9223372036854775808.0 && v.f < 9223372036854775808.0 &&
            (double)(int64_t)v.f == v.f)
            bits = (uint64_t)(int64_t)v.f;
        else
            memcpy(&bits, &v.f, sizeof(bits));
        *hash = map_hash64(bits);
    } else if (v.kind == VALUE_NONE) {
        *hash = map_hash64(UINT64_MAX);
    } else if (v.kind == VALUE_TUPLE) {
        uint64_t all = v.l->n, one = 0;

        for (size_t i = 0; i < v.l->n; i++) {
            /* A tuple within a tuple is looked at no deeper, so that nothing recurses. */
            if (v.l->v[i].kind == VALUE_TUPLE || !hash_of(v.l->v[i], &one))
                return 0;
            all = map_hash64(all ^ one);
        }
        *hash = all;
    } else {
        return 0;
    }
    return 1;
}

static int same_scalar(struct value a, struct value b)
{
    if (a.kind == VALUE_STR || b.kind == VALUE_STR)
        return a.kind == b.kind && str_eq(value_bytes(a), value_bytes(b));
    if (a.kind == VALUE_NONE || b.kind == VALUE_NONE)
        return a.kind == b.kind;
    if (a.kind == VALUE_FLOAT || b.kind == VALUE_FLOAT)
        return (a.kind == VALUE_FLOAT ? a.f : (double)a.i) ==
               (b.kind == VALUE_FLOAT ? b.f : (double)b.i);
    return a.i == b.i;
}

static int same_key(struct value a, struct value b)
{
    if (a.kind == VALUE_UNDEF || b.kind == VALUE_UNDEF)
        return 0;
    if (a.kind != VALUE_TUPLE || b.kind != VALUE_TUPLE)
        return a.kind != VALUE_TUPLE && b.kind != VALUE_TUPLE && same_scalar(a, b);
    if (a.l->n != b.l->n)
        return 0;
    for (size_t i = 0; i < a.l->n; i++) {
        if (!same_scalar(a.l->v[i], b.l->v[i]))
            return 0;
    }
    return 1;
}

/* -- dicts ---------------------------------------------------------------------------- */

struct value_entry *value_find(struct value dict, struct value key)
{
    struct value_dict *d = dict.d;
    uint64_t hash;

    if (!hash_of(key, &hash))
        return NULL;
    if (!d->slot) {
        for (size_t i = 0; i < d->n; i++) {
            if (same_key(d->entry[i].key, key))
                return &d->entry[i];
        }
        return NULL;
    }
    for (size_t i = hash & (d->n_slot - 1); d->slot[i]; i = (i + 1) & (d->n_slot - 1)) {
        struct value_entry *entry = &d->entry[d->slot[i] - 1];

        if (same_key(entry->key, key))
            return entry;
    }
    return NULL;
}

struct value_entry *value_find_str(struct value dict, struct str key)
{
    struct value_text t = {.p = key.p, .n = key.n};

    return value_find(dict, (struct value){.kind = VALUE_STR, .s = &t});
}

struct value value_get(struct value dict, struct str key)
{
    const struct value_entry *entry = value_find_str(dict, key);

    return entry ? entry->val : value_undef();
}

static void index_entry(struct value_dict *d, size_t entry)
{
    uint64_t hash = 0;
    size_t i;

    (void)hash_of(d->entry[entry].key, &hash);
    for (i = hash & (d->n_slot - 1); d->slot[i]; i = (i + 1) & (d->n_slot - 1))
        continue;
    d->slot[i] = (uint32_t)entry + 1;
}

/* Deleted entries go, and there is room for one more. */
static int rebuild(struct value_room *r, struct value_dict *d)
{
    size_t n = 0, n_slot = 32;
    void *p = d->entry;
    int rc;

    if (d->n >= UINT32_MAX / 2)
        return value_fail(r, E_TOO_LONG, "a dict of the template is too large");
    if (d->live * 2 > d->cap || d->cap == 0) {
        rc = grow(r, &p, d->n, &d->cap, 0, sizeof(*d->entry));
        if (rc < 0)
            return rc;
        d->entry = p;
    }
    for (size_t i = 0; i < d->n; i++) {
        if (d->entry[i].key.kind != VALUE_UNDEF)
            d->entry[n++] = d->entry[i];
    }
    d->n = n;
    if (d->cap <= FEW)
        return 0;
    while (n_slot < 2 * d->cap)
        n_slot *= 2;
    d->slot = value_alloc(r, n_slot * sizeof(*d->slot));
    if (!d->slot)
        return value_failed(r);
    memset(d->slot, 0, n_slot * sizeof(*d->slot));
    d->n_slot = n_slot;
    for (size_t i = 0; i < n; i++)
        index_entry(d, i);
    return value_pay(r, n);
}

int value_set(struct value_room *r, struct value dict, struct value key, struct value v)
{
    struct value_dict *d = dict.d;
    struct value_entry *entry = value_find(dict, key);
    uint64_t hash;

    if (entry) {
        entry->val = v;
        return 0;
    }
    if (!hash_of(key, &hash))
        return value_fail(r, E_INVALID, "'%s' cannot be a key of a dict", value_type_name(key));
    if (d->n == d->cap) {
        int rc = rebuild(r, d);

        if (rc < 0)
            return rc;
    }
    d->entry[d->n] = (struct value_entry){key, v};
    if (d->slot)
        index_entry(d, d->n);
    d->n++;
    d->live++;
    return 0;
}

int value_set_c(struct value_room *r, struct value dict, const char *key, struct value v)
{
    struct value k;
    int rc = value_str(r, str_of(key), 0, &k);

    return rc < 0 ? rc : value_set(r, dict, k, v);
}

void value_delete(struct value dict, struct value_entry *entry)
{
    entry->key = value_undef();
    dict.d->live--;
}

struct value_entry *value_next(struct value dict, size_t *i)
{
    while (*i < dict.d->n) {
        struct value_entry *entry = &dict.d->entry[(*i)++];

        if (entry->key.kind != VALUE_UNDEF)
            return entry;
    }
    return NULL;
}
