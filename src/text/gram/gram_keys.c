/* gram_keys.c - which keys may come next in an object, and whether it may end.
 *
 * `least` is what the object has at least in the end: what is there, what is required, and what
 * those need. See gram_object.c for why keeping it under max is enough.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"

struct view {
    const struct gram_obj *o;
    const struct gram_os *s;
    const uint64_t *seen; /* NULL: the place in the order says it */
    uint64_t *pending;    /* required or needed, and not there yet */
    uint64_t *names;      /* that may come, by property */
    uint64_t least, rest_left;
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > GRAM_INF - b ? GRAM_INF : a + b;
}

static int is_seen(const struct view *v, uint32_t p)
{
    return v->seen ? gram_bit(v->seen, p) : p < v->s->pos;
}

static void find_pending(struct view *v)
{
    const struct gram_obj *o = v->o;

    memcpy(v->pending, o->required, o->words * sizeof(*v->pending));
    for (uint32_t p = 0; v->seen && o->closure && p < o->n_prop; p++) {
        if (!gram_bit(v->seen, p) || !o->closure[p])
            continue;
        for (uint32_t i = 0; i < o->words; i++)
            v->pending[i] |= o->closure[p][i];
    }
    v->least = v->s->count;
    for (uint32_t i = 0; i < o->words; i++) {
        uint64_t there = v->seen ? v->seen[i] : 0;

        if (!v->seen && v->s->pos >= 64 * i)
            there = v->s->pos - 64 * i >= 64 ? ~(uint64_t)0
                                             : ((uint64_t)1 << (v->s->pos - 64 * i)) - 1;
        v->pending[i] &= ~there;
        v->least += (uint64_t)__builtin_popcountll(v->pending[i]);
    }
    v->rest_left = 0;
    for (uint32_t i = 0; i < o->n_rest; i++) {
        uint64_t used = GRAM_USED_N(v->s->word[i]), all = o->rest_size[i];

        v->rest_left = plus(v->rest_left, all == GRAM_INF ? all : all > used ? all - used : 0);
    }
}

/* How many more are there at least when property p comes. */
static uint64_t brings(const struct view *v, uint32_t p)
{
    const uint64_t *c = v->o->closure ? v->o->closure[p] : NULL;
    uint64_t n = 0;

    if (!c)
        return !gram_bit(v->pending, p);
    for (uint32_t i = 0; i < v->o->words; i++)
        n += (uint64_t)__builtin_popcountll(c[i] & ~v->pending[i] & ~v->seen[i]);
    return n;
}

static void unordered_names(struct view *v)
{
    const struct gram_obj *o = v->o;
    int full = v->least >= o->max;

    for (uint32_t i = 0; i < o->words; i++)
        v->names[i] = o->usable[i] & ~v->seen[i] & (full ? v->pending[i] : ~(uint64_t)0);
    for (uint32_t p = 0; o->closure && !full && p < o->n_prop; p++) {
        if (o->closure[p] && gram_bit(v->names, p) && brings(v, p) > o->max - v->least)
            v->names[p / 64] &= ~((uint64_t)1 << (p % 64));
    }
}

/* 1: what q needs is there, or can still come when p comes next. */
static int reachable(const struct view *v, uint32_t q, uint32_t p)
{
    const uint64_t *c = v->o->closure ? v->o->closure[q] : NULL;

    for (uint32_t i = 0; c && i < p && i < v->o->n_prop; i++) {
        if (gram_bit(c, i) && !is_seen(v, i))
            return 0;
    }
    return 1;
}

/* 1: when p comes next, min can still be reached. */
static int enough_after(const struct view *v, uint32_t p)
{
    uint64_t n = plus(v->s->count + 1, v->rest_left);

    for (uint32_t q = p + 1; n < v->o->min && q < v->o->n_prop; q++)
        n += gram_bit(v->o->usable, q) && reachable(v, q, p);
    return n >= v->o->min;
}

static void ordered_names(struct view *v)
{
    const struct gram_obj *o = v->o;
    int stop = 0;

    memset(v->names, 0, o->words * sizeof(*v->names));
    for (uint32_t p = v->s->pos; !stop && p < o->n_prop; p++) {
        stop = gram_bit(v->pending, p); /* not to be passed over */
        if (gram_bit(o->usable, p) && reachable(v, p, p) &&
            plus(v->least, brings(v, p)) <= o->max && enough_after(v, p))
            gram_bit_set(v->names, p);
    }
}

/* Only names whose value is low enough. */
static void lower(const struct gram *g, struct view *v, uint32_t height)
{
    for (uint32_t p = 0; p < v->o->n_prop; p++) {
        if (gram_bit(v->names, p) && gram_at(g, v->o->value[p])->height > height)
            v->names[p / 64] &= ~((uint64_t)1 << (p % 64));
    }
}

/* As a set of sorted names: its number + 1, 1: all of them, 0: none. */
static int sorted_set(struct gram *g, const struct view *v, uint32_t *out, struct err *e)
{
    const struct gram_obj *o = v->o;
    uint64_t *bits = v->pending; /* of no more use */
    uint32_t n = 0, id;

    memset(bits, 0, o->words * sizeof(*bits));
    for (uint32_t p = 0; p < o->n_prop; p++) {
        if (gram_bit(v->names, p)) {
            gram_bit_set(bits, o->sorted_of[p]);
            n++;
        }
    }
    *out = n == 0 ? 0 : 1;
    if (n == 0 || n == o->n_prop)
        return 0;
    id = gram_intern(g, &g->names, &g->kept, bits, o->words * sizeof(*bits), NULL);
    *out = id + 1;
    return id ? 0 : gram_full(g, e);
}

static int find_facts(struct gram *g, struct view *v, uint32_t height, struct gram_os_facts *f,
                      struct err *e)
{
    const struct gram_obj *o = v->o;
    uint64_t none = 0;

    find_pending(v);
    for (uint32_t i = 0; i < o->words; i++)
        none |= v->pending[i];
    f->may_close = none == 0 && v->s->count >= o->min;
    f->rest = v->rest_left > 0 && v->least < o->max;
    if (o->ordered)
        f->rest = f->rest && none == 0 && plus(v->s->count, v->rest_left) >= o->min;
    if (o->ordered)
        ordered_names(v);
    else
        unordered_names(v);
    if (height < o->max_height)
        lower(g, v, height);
    return sorted_set(g, v, &f->names, e);
}

int gram_os_facts(struct gram *g, uint32_t os, uint32_t height, struct gram_os_facts *out,
                  struct err *e)
{
    struct gram_os_facts *kept = &GRAM_AT(struct gram_os_facts, g->os_facts)[os];
    struct view v = {.s = GRAM_REC(struct gram_os, g->os, os)};
    int rc;

    v.o = gram_obj_at(g, v.s->obj);
    if (kept->made && height >= v.o->max_height) {
        *out = *kept;
        return 0;
    }
    if (!v.o->ordered || v.o->closure)
        v.seen = v.s->word + v.o->n_rest;
    v.pending = mem_alloc((size_t)v.o->words * 2 * sizeof(uint64_t));
    if (!v.pending)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    v.names = v.pending + v.o->words;
    *out = (struct gram_os_facts){.made = 1};
    rc = find_facts(g, &v, height, out, e);
    mem_free(v.pending);
    if (rc == 0 && height >= v.o->max_height)
        GRAM_AT(struct gram_os_facts, g->os_facts)[os] = *out;
    return rc;
}
