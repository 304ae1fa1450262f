/* Comparisons: of values of one basic kind only, as in Go; numbers with a point and those
 * without are two kinds. */
#include "text/tmpl/go_run.h"

/* Of bool, int, float64 and string; others have none. */
static int basic(struct value v)
{
    return v.kind >= VALUE_BOOL && v.kind <= VALUE_STR ? v.kind : 0;
}

static int is_nil(struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    return go_is_nil(v) || (o && o->is_nil);
}

static int equal(struct go_run *r, struct value a, struct value b, int *out)
{
    *out = 0;
    if (basic(a) && basic(a) == basic(b)) {
        if (a.kind == VALUE_STR)
            *out = str_eq(value_bytes(a), value_bytes(b));
        else
            *out = a.kind == VALUE_FLOAT ? a.f == b.f : a.i == b.i;
        return value_pay(r->room, a.kind == VALUE_STR ? a.s->n / 64 : 0);
    }
    if (basic(a) || basic(b)) {
        if (go_is_nil(a) || go_is_nil(b))
            return 0;
        return value_fail(r->room, E_INVALID, "incompatible types for comparison: %s and %s",
                          go_type_name(a), go_type_name(b));
    }
    *out = is_nil(a) && is_nil(b);
    if (is_nil(a) || is_nil(b))
        return 0;
    return value_fail(r->room, E_INVALID, "non-comparable types %s and %s", go_type_name(a),
                      go_type_name(b));
}

int go_call_eq(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int is = 0, rc = 0;

    if (n < 2)
        return value_fail(r->room, E_INVALID, "missing argument for comparison");
    for (size_t i = 1; i < n && rc == 0 && !is; i++)
        rc = equal(r, v[0], v[i], &is);
    *out = value_bool(is);
    return rc;
}

int go_call_ne(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int is = 0, rc = equal(r, v[0], v[n - 1], &is);

    *out = value_bool(!is);
    return rc;
}

/* *out < 0, 0, > 0. */
static int order(struct go_run *r, struct value a, struct value b, int *out)
{
    if (!basic(a) || !basic(b) || (a.kind == b.kind && a.kind == VALUE_BOOL))
        return value_fail(r->room, E_INVALID, "invalid type for comparison: %s",
                          go_type_name(basic(a) && a.kind != VALUE_BOOL ? b : a));
    if (a.kind != b.kind)
        return value_fail(r->room, E_INVALID, "incompatible types for comparison: %s and %s",
                          go_type_name(a), go_type_name(b));
    if (a.kind == VALUE_INT)
        *out = (a.i > b.i) - (a.i < b.i);
    else if (a.kind == VALUE_FLOAT)
        *out = (a.f > b.f) - (a.f < b.f);
    else
        return value_order(r->room, a, b, out);
    return 0;
}

int go_call_lt(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int o = 0, rc = order(r, v[0], v[n - 1], &o);

    *out = value_bool(o < 0);
    return rc;
}

int go_call_le(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int o = 0, rc = order(r, v[0], v[n - 1], &o);

    *out = value_bool(o <= 0);
    return rc;
}

int go_call_gt(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int o = 0, rc = order(r, v[0], v[n - 1], &o);

    *out = value_bool(o > 0);
    return rc;
}

int go_call_ge(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int o = 0, rc = order(r, v[0], v[n - 1], &o);

    *out = value_bool(o >= 0);
    return rc;
}
