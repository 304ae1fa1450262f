/* Tests: what stands behind "is". */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"
#include "text/uclass.h"

#include <math.h>

#define TEST(name, condition)                                                                  \
    static int is_##name(struct jinja_run *run, struct jinja_call *c, struct value *out)       \
    {                                                                                          \
        struct value v = c->self;                                                              \
                                                                                               \
        (void)run;                                                                             \
        (void)v;                                                                               \
        *out = value_bool(condition);                                                          \
        return 0;                                                                              \
    }

TEST(defined, v.kind != VALUE_UNDEF)
TEST(undefined, v.kind == VALUE_UNDEF)
TEST(none, v.kind == VALUE_NONE)
TEST(boolean, v.kind == VALUE_BOOL)
TEST(true, v.kind == VALUE_BOOL && v.i)
TEST(false, v.kind == VALUE_BOOL && !v.i)
TEST(integer, v.kind == VALUE_INT)
TEST(float, v.kind == VALUE_FLOAT)
TEST(number, v.kind == VALUE_INT || v.kind == VALUE_FLOAT || v.kind == VALUE_BOOL)
TEST(string, v.kind == VALUE_STR)
TEST(mapping, v.kind == VALUE_DICT)
TEST(sequence, v.kind == VALUE_STR || v.kind == VALUE_DICT || v.kind == VALUE_UNDEF ||
                   value_is_list(v) || jinja_is(v, jinja_is_range))
TEST(iterable, v.kind == VALUE_STR || v.kind == VALUE_DICT || v.kind == VALUE_UNDEF ||
                   value_is_list(v) || jinja_is(v, jinja_is_range) ||
                   jinja_is(v, jinja_is_loop) || jinja_is(v, jinja_is_generator) ||
                   jinja_is_view(v))
TEST(callable, v.kind == VALUE_UNDEF || jinja_is(v, jinja_is_function) ||
                   jinja_is(v, jinja_is_macro) || jinja_is(v, jinja_is_joiner) ||
                   jinja_is(v, jinja_is_loop))
TEST(escaped, v.kind == VALUE_STR && (v.from & JINJA_MARKUP))

static int is_filter(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_need_str(run, c->self, "filter");

    if (rc == 0)
        *out = value_bool(jinja_find_filter(value_bytes(c->self)) != NULL);
    return rc;
}

static int is_test(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_need_str(run, c->self, "test");

    if (rc == 0)
        *out = value_bool(jinja_find_test(value_bytes(c->self)) != NULL);
    return rc;
}

static int remainder_by(struct jinja_run *run, struct jinja_call *c, int64_t by, int64_t *out)
{
    struct value v;
    int rc = jinja_math(run, OP_MOD, c->self, value_int(by), &v);

    if (rc == 0 && v.kind != VALUE_INT && v.kind != VALUE_FLOAT)
        rc = value_fail(&run->room, E_INVALID, "'%s' is no number", value_type_name(c->self));
    if (rc == 0)
        *out = v.kind == VALUE_INT ? v.i : v.f < 0 || v.f > 0 ? (v.f == 1 ? 1 : 2) : 0;
    return rc;
}

static int is_even(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t left = 0;
    int rc = remainder_by(run, c, 2, &left);

    *out = value_bool(left == 0);
    return rc;
}

static int is_odd(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t left = 0;
    int rc = remainder_by(run, c, 2, &left);

    *out = value_bool(left == 1);
    return rc;
}

static int is_divisible(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t by = 0, left = 0;
    int rc = jinja_need_int(run, c->a[0], "divisibleby", &by);

    if (rc == 0)
        rc = remainder_by(run, c, by, &left);
    *out = value_bool(left == 0);
    return rc;
}

static int compare(struct jinja_run *run, struct jinja_call *c, int op, struct value *out)
{
    int rc = jinja_compare(run, op, c->self, c->a[0]);

    *out = value_bool(rc > 0);
    return rc < 0 ? rc : 0;
}

#define COMPARE(name, op)                                                                      \
    static int is_##name(struct jinja_run *run, struct jinja_call *c, struct value *out)       \
    {                                                                                          \
        return compare(run, c, op, out);                                                       \
    }

COMPARE(eq, OP_EQ)
COMPARE(ne, OP_NE)
COMPARE(lt, OP_LT)
COMPARE(le, OP_LE)
COMPARE(gt, OP_GT)
COMPARE(ge, OP_GE)
COMPARE(in, OP_IN)

static int is_same(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value a = c->self, b = c->a[0];
    int scalar = !value_is_list(a) && !value_is_dict(a) && a.kind != VALUE_OBJ, rc;

    rc = a.kind != b.kind ? 0 : scalar ? value_eq(&run->room, a, b) : a.l == b.l;
    *out = value_bool(rc > 0);
    return rc < 0 ? rc : 0;
}

/* Whether all letters with case are of that case, and there is one. */
static int all_cased(struct jinja_run *run, struct value v, unsigned want, struct value *out)
{
    struct value s;
    int rc = jinja_str(run, v, &s), some = 0, all = 1;

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s.s->n;) {
        unsigned cls;

        i += uclass_next(s.s->p + i, s.s->n - i, &cls);
        some |= (cls & want) != 0;
        all &= (cls & UC_CASED & ~want) == 0;
    }
    *out = value_bool(some && all);
    return value_pay(&run->room, s.s->n / 64);
}

static int is_lower(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return all_cased(run, c->self, UC_LOWER, out);
}

static int is_upper(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return all_cased(run, c->self, UC_UPPER, out);
}

const struct jinja_fn jinja_tests[] = {
    {"defined", "", 0, 0, is_defined},   {"undefined", "", 0, 0, is_undefined},
    {"none", "", 0, 0, is_none},         {"boolean", "", 0, 0, is_boolean},
    {"true", "", 0, 0, is_true},         {"false", "", 0, 0, is_false},
    {"integer", "", 0, 0, is_integer},   {"float", "", 0, 0, is_float},
    {"number", "", 0, 0, is_number},     {"string", "", 0, 0, is_string},
    {"mapping", "", 0, 0, is_mapping},   {"sequence", "", 0, 0, is_sequence},
    {"iterable", "", 0, 0, is_iterable}, {"callable", "", 0, 0, is_callable},
    {"escaped", "", 0, 0, is_escaped},   {"filter", "", 0, 0, is_filter},
    {"test", "", 0, 0, is_test},         {"even", "", 0, 0, is_even},
    {"odd", "", 0, 0, is_odd},           {"divisibleby", "num", 1, 0, is_divisible},
    {"eq", "other", 1, 0, is_eq},        {"equalto", "other", 1, 0, is_eq},
    {"==", "other", 1, 0, is_eq},        {"ne", "other", 1, 0, is_ne},
    {"!=", "other", 1, 0, is_ne},        {"lt", "other", 1, 0, is_lt},
    {"lessthan", "other", 1, 0, is_lt},  {"<", "other", 1, 0, is_lt},
    {"le", "other", 1, 0, is_le},        {"<=", "other", 1, 0, is_le},
    {"gt", "other", 1, 0, is_gt},        {"greaterthan", "other", 1, 0, is_gt},
    {">", "other", 1, 0, is_gt},         {"ge", "other", 1, 0, is_ge},
    {">=", "other", 1, 0, is_ge},        {"in", "seq", 1, 0, is_in},
    {"sameas", "other", 1, 0, is_same},  {"lower", "", 0, 0, is_lower},
    {"upper", "", 0, 0, is_upper},       {0},
};
