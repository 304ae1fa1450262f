#include "text/tmpl/value.h"

#include <assert.h>
#include <math.h>

enum { DEFAULT_STEPS = 10000000, DEFAULT_DEPTH = 200, DEFAULT_MIB = 256 };

/* -- the room ------------------------------------------------------------------------- */

void value_room_init(struct value_room *r, const struct tmpl_limits *limits, struct err *e)
{
    const struct tmpl_limits none = {0}, *l = limits ? limits : &none;

    *r = (struct value_room){.e = e};
    arena_init(&r->a, l->bytes ? l->bytes : (size_t)DEFAULT_MIB << 20);
    r->max_steps = l->steps ? l->steps : DEFAULT_STEPS;
    r->max_depth = l->depth > 0 ? l->depth : DEFAULT_DEPTH;
}

void value_room_done(struct value_room *r)
{
    arena_done(&r->a);
}

void value_say(struct value_room *r, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(r->e, code, fmt, ap);
    va_end(ap);
}

int value_pay(struct value_room *r, uint64_t n)
{
    if (n <= r->max_steps - r->steps) {
        r->steps += n;
        return 0;
    }
    r->steps = r->max_steps;
    return value_fail(r, E_TOO_LONG, "the template takes more than %llu steps",
                      (unsigned long long)r->max_steps);
}

void *value_alloc(struct value_room *r, size_t n)
{
    void *p = arena_alloc(&r->a, n);

    if (p)
        return p;
    if (r->a.used > r->a.max || n > r->a.max - r->a.used)
        (void)value_fail(r, E_TOO_LONG, "the template takes more than %zu bytes of memory",
                         r->a.max);
    else
        (void)value_fail(r, E_NOMEM, "no memory to render a template");
    return NULL;
}

int value_enter(struct value_room *r)
{
    if (r->depth >= r->max_depth)
        return value_fail(r, E_TOO_LONG, "nested or called more than %d deep", r->max_depth);
    r->depth++;
    return 0;
}

void value_leave(struct value_room *r)
{
    r->depth--;
}

/* -- what a value is ------------------------------------------------------------------ */

const char *value_type_name(struct value v)
{
    static const char *const names[] = {
        [VALUE_UNDEF] = "Undefined", [VALUE_NONE] = "NoneType",
        [VALUE_BOOL] = "bool",       [VALUE_INT] = "int",
        [VALUE_FLOAT] = "float",     [VALUE_STR] = "str",
        [VALUE_LIST] = "list",       [VALUE_TUPLE] = "tuple",
        [VALUE_DICT] = "dict",       [VALUE_NAMESPACE] = "namespace",
    };

    return v.kind == VALUE_OBJ ? v.o->type : names[v.kind];
}

int value_true(struct value v)
{
    switch (v.kind) {
    case VALUE_BOOL:
    case VALUE_INT:
        return v.i != 0;
    case VALUE_FLOAT:
        return v.f < 0 || v.f > 0 || v.f != v.f;
    case VALUE_STR:
        return v.s->n != 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
        return v.l->n != 0;
    case VALUE_DICT:
        return v.d->live != 0;
    case VALUE_NAMESPACE:
        return 1;
    case VALUE_OBJ:
        return !v.o->is_false;
    default:
        return 0;
    }
}

/* -- comparing ------------------------------------------------------------------------ */

static int is_number(struct value v)
{
    return v.kind == VALUE_BOOL || v.kind == VALUE_INT || v.kind == VALUE_FLOAT;
}

/* -1, 0, 1; 2: one of them is NaN. */
static int order_numbers(struct value a, struct value b)
{
    if (a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT)
        return (a.i > b.i) - (a.i < b.i);

    /* A long double holds every int64 exactly. */
    long double x = a.kind == VALUE_FLOAT ? (long double)a.f : (long double)a.i,
                y = b.kind == VALUE_FLOAT ? (long double)b.f : (long double)b.i;

    if (x != x || y != y)
        return 2;
    return (x > y) - (x < y);
}

static int order_bytes(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? (c > 0) - (c < 0) : (a.n > b.n) - (a.n < b.n);
}

static int eq_lists(struct value_room *r, const struct value_list *a,
                    const struct value_list *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        int rc = value_eq(r, a->v[i], b->v[i]);

        if (rc != 1)
            return rc;
    }
    return 1;
}

static int eq_dicts(struct value_room *r, struct value a, struct value b)
{
    const struct value_entry *x, *y;

    if (a.d->live != b.d->live)
        return 0;
    for (size_t i = 0; (x = value_next(a, &i));) {
        int rc;

        y = value_find(b, x->key);
        rc = y ? value_eq(r, x->val, y->val) : 0;
        if (rc != 1)
            return rc;
    }
    return 1;
}

int value_eq(struct value_room *r, struct value a, struct value b)
{
    int rc;

    if (is_number(a) && is_number(b))
        return order_numbers(a, b) == 0;
    if (a.kind != b.kind)
        return 0;
    if (a.kind == VALUE_STR) {
        if (a.s->n != b.s->n)
            return 0;
        rc = value_pay(r, a.s->n / 64);
        return rc < 0 ? rc : str_eq(value_bytes(a), value_bytes(b));
    }
    if (a.kind == VALUE_OBJ)
        return a.o == b.o;
    if (a.kind == VALUE_NAMESPACE)
        return a.d == b.d;
    if (!value_is_list(a) && a.kind != VALUE_DICT)
        return 1; /* undefined, none */
    rc = value_enter(r);
    if (rc < 0)
        return rc;
    rc = value_pay(r, 1);
    if (rc == 0)
        rc = a.kind == VALUE_DICT ? eq_dicts(r, a, b) : eq_lists(r, a.l, b.l);
    value_leave(r);
    return rc;
}

static int order_lists(struct value_room *r, const struct value_list *a,
                       const struct value_list *b, int *out)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        int rc = value_eq(r, a->v[i], b->v[i]);

        if (rc == 0)
            return value_order(r, a->v[i], b->v[i], out);
        if (rc < 0)
            return rc;
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return 0;
}

int value_order(struct value_room *r, struct value a, struct value b, int *out)
{
    int rc;

    if (is_number(a) && is_number(b)) {
        *out = order_numbers(a, b);
        return 0;
    }
    if (a.kind == VALUE_STR && b.kind == VALUE_STR) {
        *out = order_bytes(value_bytes(a), value_bytes(b));
        return value_pay(r, (a.s->n < b.s->n ? a.s->n : b.s->n) / 64);
    }
    if (a.kind != b.kind || !value_is_list(a))
        return value_fail(r, E_INVALID, "'%s' and '%s' have no order", value_type_name(a),
                          value_type_name(b));
    rc = value_enter(r);
    if (rc < 0)
        return rc;
    rc = value_pay(r, 1);
    if (rc == 0)
        rc = order_lists(r, a.l, b.l, out);
    value_leave(r);
    return rc;
}

/* -- sorting -------------------------------------------------------------------------- */

struct pair {
    struct value key, v;
};

/* Merges from[0..half) and from[half..n) into to. */
static int merge(struct value_room *r, const struct pair *from, size_t half, size_t n,
                 struct pair *to, int reverse)
{
    size_t i = 0, j = half;

    for (size_t k = 0; k < n; k++) {
        int c = 0, rc = 0;

        if (i < half && j < n)
            rc = value_order(r, from[i].key, from[j].key, &c);
        if (rc < 0)
            return rc;
        if (j == n || (i < half && (reverse ? c >= 0 : c <= 0)))
            to[k] = from[i++];
        else
            to[k] = from[j++];
    }
    return value_pay(r, n);
}

int value_sort(struct value_room *r, struct value *v, struct value *key, size_t n, int reverse)
{
    struct pair *a, *b;

    if (n > SIZE_MAX / sizeof(*a) / 2)
        return value_fail(r, E_TOO_LONG, "too many items to sort");
    a = value_alloc(r, n * sizeof(*a));
    b = value_alloc(r, n * sizeof(*b));
    if (!a || !b)
        return value_failed(r);
    for (size_t i = 0; i < n; i++)
        a[i] = (struct pair){key ? key[i] : v[i], v[i]};
    for (size_t width = 1; width < n; width *= 2) {
        struct pair *t = a;

        for (size_t i = 0; i < n; i += 2 * width) {
            size_t all = n - i < 2 * width ? n - i : 2 * width;
            int rc = merge(r, a + i, all < width ? all : width, all, b + i, reverse);

            if (rc < 0)
                return rc;
        }
        a = b;
        b = t;
    }
    for (size_t i = 0; i < n; i++) {
        v[i] = a[i].v;
        if (key)
            key[i] = a[i].key;
    }
    return 0;
}
