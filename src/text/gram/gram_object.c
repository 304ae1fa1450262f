/* gram_object.c - objects: building them, and which keys may come next.
 *
 * The rule that keeps objects from dead ends: with what is there, what is required, and what
 * those need in turn, the object has at least `least` properties. A property may come when
 * `least` with it is at most max. Properties can be added one by one until all that are usable
 * are there, so min is reached, too; except where properties need each other, which makes them
 * come together: such an object is refused when its bounds could make that matter.
 *
 * In an ordered object what was passed over is lost; there each step looks whether enough is
 * left behind it.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

/* -- building ------------------------------------------------------------------------- */

struct named {
    struct str name;
    uint32_t prop;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return gram_text_order(x->name, y->name);
}

static void *room(struct gram *g, size_t n, size_t size)
{
    void *p =
        size && n > g->limits.bytes / size ? NULL : gram_keep(g, &g->kept, NULL, n * size);

    if (!p)
        (void)gram_full(g, &g->failed);
    else
        memset(p, 0, n * size);
    return p;
}

/* Names sorted, copied, each once. */
static int take_names(struct gram *g, struct gram_obj *o, const struct gram_object *from)
{
    struct named *all = mem_alloc((from->n_prop + (size_t)1) * sizeof(*all));
    struct str *name = room(g, o->n_prop, sizeof(*name));
    uint32_t *prop_of = room(g, o->n_prop, sizeof(*prop_of));
    uint32_t *sorted_of = room(g, o->n_prop, sizeof(*sorted_of));

    if (!all)
        return gram_fail(g, E_NOMEM, "no memory for a grammar");
    for (uint32_t i = 0; g->failed.code == 0 && i < o->n_prop; i++) {
        struct str s = from->prop[i].name;

        if (!utf8_valid(s.p, s.n))
            (void)gram_fail(g, E_INVALID, "the name of property %u is not UTF-8", (unsigned)i);
        all[i] = (struct named){s, i};
    }
    if (g->failed.code == 0)
        qsort(all, o->n_prop, sizeof(*all), by_name);
    for (uint32_t i = 0; g->failed.code == 0 && i < o->n_prop; i++) {
        char *own = gram_keep(g, &g->kept, all[i].name.p, all[i].name.n);

        if (i && str_eq(all[i].name, all[i - 1].name))
            (void)gram_fail(g, E_INVALID, "the property %.*s is there twice",
                            (int)(all[i].name.n < 100 ? all[i].name.n : 100), all[i].name.p);
        if (!own) {
            (void)gram_full(g, &g->failed);
            break;
        }
        name[i] = (struct str){own, all[i].name.n};
        prop_of[i] = all[i].prop;
        sorted_of[all[i].prop] = i;
    }
    mem_free(all);
    o->name = name;
    o->prop_of = prop_of;
    o->sorted_of = sorted_of;
    return g->failed.code;
}

/* All that property p needs, and what those need. */
static uint64_t *closure_of(struct gram *g, const struct gram_obj *o,
                            const struct gram_object *from, uint32_t p, uint32_t *todo)
{
    uint64_t *set = room(g, o->words, sizeof(*set));
    size_t n = 0;

    if (!set)
        return NULL;
    gram_bit_set(set, p);
    todo[n++] = p;
    while (n) {
        const struct gram_prop *prop = &from->prop[todo[--n]];

        for (uint32_t i = 0; i < prop->n_needs; i++) {
            uint32_t q = prop->needs[i];

            if (q >= o->n_prop) {
                (void)gram_fail(g, E_INTERNAL, "a property needs number %u, which is not there",
                                (unsigned)q);
                return NULL;
            }
            if (!gram_bit(set, q)) {
                gram_bit_set(set, q);
                todo[n++] = q;
            }
        }
    }
    return set;
}

static void add_set(uint64_t *to, const uint64_t *from, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        to[i] |= from[i];
}

static int take_needs(struct gram *g, struct gram_obj *o, const struct gram_object *from)
{
    uint32_t *todo = NULL;
    int any = 0;

    o->required = room(g, o->words, sizeof(*o->required));
    for (uint32_t i = 0; i < o->n_prop; i++)
        any |= from->prop[i].n_needs > 0;
    if (any) {
        o->closure = room(g, o->n_prop, sizeof(*o->closure));
        todo = mem_alloc(o->n_prop * sizeof(*todo));
        if (!todo)
            return gram_fail(g, E_NOMEM, "no memory for a grammar");
    }
    for (uint32_t i = 0; g->failed.code == 0 && i < o->n_prop; i++) {
        if (todo && from->prop[i].n_needs)
            o->closure[i] = closure_of(g, o, from, i, todo);
        if (g->failed.code || !from->prop[i].required)
            continue;
        gram_bit_set(o->required, i);
        if (any && o->closure[i])
            add_set(o->required, o->closure[i], o->words);
    }
    mem_free(todo);
    return g->failed.code;
}

/* The node of an object refers to all that is in it, so that it is reached. */
static gram_ref *refer(struct gram *g, const struct gram_object *from, uint32_t *n)
{
    gram_ref *part = room(g, (size_t)from->n_prop + from->n_rest + 4, sizeof(*part));
    uint32_t k = 0;

    if (!part)
        return NULL;
    for (uint32_t i = 0; i < from->n_prop; i++)
        part[k++] = from->prop[i].value;
    for (uint32_t i = 0; i < from->n_rest; i++)
        part[k++] = from->rest[i].value;
    part[k++] = from->open;
    part[k++] = from->colon;
    part[k++] = from->comma;
    part[k++] = from->close;
    *n = k;
    for (uint32_t i = 0; i < k; i++) {
        if (part[i] >= g->node.n)
            (void)gram_fail(g, E_INTERNAL, "no expression %u", (unsigned)part[i]);
    }
    return part;
}

gram_ref gram_object(struct gram *g, const struct gram_object *from)
{
    struct gram_obj o = {.n_prop = from->n_prop,
                         .n_rest = from->n_rest,
                         .words = from->n_prop / 64 + 1,
                         .min = from->min,
                         .max = from->max,
                         .ordered = from->ordered,
                         .plain = from->plain,
                         .open = from->open,
                         .colon = from->colon,
                         .comma = from->comma,
                         .close = from->close};
    struct gram_node node = {.kind = GRAM_K_OBJ, .a = (uint32_t)g->obj.n};
    gram_ref *part;
    rx_id *key;

    if (g->finished)
        (void)gram_fail(g, E_INTERNAL, "the grammar is finished, nothing can be added");
    if (g->failed.code || from->min > from->max)
        return GRAM_NEVER;
    if (o.n_prop > GRAM_NODES * 5u || o.n_rest > GRAM_NODES) {
        (void)gram_fail(g, E_TOO_LONG, "an object of %u properties", (unsigned)o.n_prop);
        return GRAM_NEVER;
    }
    part = refer(g, from, &node.n);
    key = room(g, o.n_rest, sizeof(*key));
    o.rest_size = room(g, o.n_rest, sizeof(*o.rest_size));
    o.usable = room(g, o.words, sizeof(*o.usable));
    if (g->failed.code || take_names(g, &o, from) < 0 || take_needs(g, &o, from) < 0 ||
        gram_add(g, &node, &o.node) < 0)
        return GRAM_NEVER;
    for (uint32_t i = 0; i < o.n_rest; i++)
        key[i] = from->rest[i].key;
    o.key = key;
    o.value = part;
    if (gram_room(g, &g->obj, 1, sizeof(o)) < 0) {
        (void)gram_full(g, &g->failed);
        return GRAM_NEVER;
    }
    GRAM_AT(struct gram_obj, g->obj)[g->obj.n++] = o;
    gram_at(g, o.node)->part = part;
    return o.node;
}

/* -- can one be written? -------------------------------------------------------------- */

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > GRAM_INF - b ? GRAM_INF : a + b;
}

static uint64_t set_size(const uint64_t *set, uint32_t words)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < words; i++)
        n += (uint64_t)__builtin_popcountll(set[i]);
    return n;
}

/* 1: a is inside b. */
static int inside(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        if (a[i] & ~b[i])
            return 0;
    }
    return 1;
}

static uint32_t height(const struct gram *g, gram_ref r)
{
    return gram_at(g, r)->height;
}

/* Properties whose value can be written, and those of all that they need. */
static void find_usable(const struct gram *g, struct gram_obj *o)
{
    uint64_t *set = o->usable;

    memset(set, 0, o->words * sizeof(*set));
    for (uint32_t i = 0; i < o->n_prop; i++) {
        if (height(g, o->value[i]) != GRAM_NO_HEIGHT)
            gram_bit_set(set, i);
    }
    /* What is needed is closed, so that one look at each is enough. */
    for (uint32_t i = 0; o->closure && i < o->n_prop; i++) {
        if (o->closure[i] && gram_bit(set, i) && !inside(o->closure[i], set, o->words))
            set[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
}

static int rest_sizes(struct gram *g, struct gram_obj *o, uint64_t *sum, struct err *e)
{
    int rc = 0;

    *sum = 0;
    for (uint32_t i = 0; rc >= 0 && i < o->n_rest; i++) {
        o->rest_size[i] = 0;
        if (height(g, o->value[o->n_prop + i]) == GRAM_NO_HEIGHT)
            continue;
        rc = rx_live(g->rx, o->key[i], e);
        if (rc > 0)
            rc = gram_rx_size(g, o->key[i], &o->rest_size[i], e);
        *sum = plus(*sum, o->rest_size[i]);
    }
    return rc < 0 ? rc : 0;
}

int gram_obj_live(struct gram *g, struct gram_obj *o, struct err *e)
{
    uint64_t rest, needed = set_size(o->required, o->words);
    int rc;

    if (height(g, o->open) == GRAM_NO_HEIGHT || height(g, o->close) == GRAM_NO_HEIGHT ||
        needed > o->max)
        return 0;
    if (needed == 0 && o->min == 0)
        return 1;
    if (height(g, o->colon) == GRAM_NO_HEIGHT ||
        ((needed > 1 || o->min > 1) && height(g, o->comma) == GRAM_NO_HEIGHT))
        return 0;
    find_usable(g, o);
    rc = rest_sizes(g, o, &rest, e);
    if (rc < 0)
        return rc;
    return inside(o->required, o->usable, o->words) &&
           plus(set_size(o->usable, o->words), rest) >= o->min;
}

/* 1: some properties need each other. */
static int has_knots(const struct gram_obj *o)
{
    for (uint32_t i = 0; o->closure && i < o->n_prop; i++) {
        if (!o->closure[i] || !gram_bit(o->usable, i))
            continue;
        for (uint32_t q = 0; q < o->n_prop; q++) {
            if (q != i && gram_bit(o->closure[i], q) && o->closure[q] &&
                gram_bit(o->closure[q], i))
                return 1;
        }
    }
    return 0;
}

int gram_obj_finish(struct gram *g, struct gram_obj *o, struct err *e)
{
    uint64_t rest, all;
    int rc;

    find_usable(g, o);
    rc = rest_sizes(g, o, &rest, e);
    if (rc < 0)
        return rc;
    if (height(g, o->colon) == GRAM_NO_HEIGHT) {
        memset(o->usable, 0, o->words * sizeof(*o->usable));
        memset(o->rest_size, 0, o->n_rest * sizeof(*o->rest_size));
        rest = 0;
    }
    if (height(g, o->comma) == GRAM_NO_HEIGHT && o->max > 1)
        o->max = 1;
    all = plus(set_size(o->usable, o->words), rest);
    if (o->max < all && o->min > set_size(o->required, o->words) && rest != GRAM_INF &&
        has_knots(o))
        return err_set(
            e, E_INVALID,
            "an object with bounds on its properties, of which some need each other");
    for (uint32_t i = 0; i < o->n_prop + o->n_rest; i++) {
        uint32_t h = height(g, o->value[i]);

        if (h != GRAM_NO_HEIGHT && h > o->max_height)
            o->max_height = h;
    }
    return 0;
}
