/* The functions that templates may call: Go's, and those that Ollama adds. */
#include "text/tmpl/go_run.h"

#include <stdio.h>
#include <time.h>

static int call_not(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    (void)r;
    (void)n;
    *out = value_bool(!go_truth(v[0]));
    return 0;
}

static int call_len(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    const struct value_list *list = go_list_of(v[0]);
    struct value dict = go_dict_of(v[0]);

    (void)n;
    if (go_is_nil(v[0]))
        return value_fail(r->room, E_INVALID, "len of nil pointer");
    if (v[0].kind == VALUE_STR)
        *out = value_int((int64_t)v[0].s->n);
    else if (list)
        *out = value_int((int64_t)list->n);
    else if (dict.kind == VALUE_DICT)
        *out = value_int((int64_t)dict.d->live);
    else
        return value_fail(r->room, E_INVALID, "len of type %s", go_type_name(v[0]));
    return 0;
}

/* 0..max. */
static int read_index(struct go_run *r, struct value v, size_t max, size_t *out)
{
    if (v.kind != VALUE_INT)
        return value_fail(r->room, E_INVALID, "cannot index slice/array with type %s",
                          go_type_name(v));
    if (v.i < 0 || (uint64_t)v.i > max)
        return value_fail(r->room, E_INVALID, "index out of range: %lld", (long long)v.i);
    *out = (size_t)v.i;
    return 0;
}

static int index_one(struct go_run *r, struct value v, struct value at, struct value *out)
{
    const struct value_list *list = go_list_of(v);
    size_t n = list ? list->n : v.kind == VALUE_STR ? v.s->n : 0, i = 0;
    int rc;

    if (go_is_nil(v))
        return value_fail(r->room, E_INVALID, "index of nil pointer");
    if (go_dict_of(v).kind == VALUE_DICT) {
        if (at.kind != VALUE_STR)
            return value_fail(r->room, E_INVALID,
                              "the index of a map is a string, not of type %s",
                              go_type_name(at));
        return go_field_of(r->room, v, value_bytes(at), out);
    }
    if (!list && v.kind != VALUE_STR)
        return value_fail(r->room, E_INVALID, "can't index item of type %s", go_type_name(v));
    rc = n ? read_index(r, at, n - 1, &i) : read_index(r, value_int(-1), 0, &i);
    if (rc == 0)
        *out = list ? list->v[i] : value_int((unsigned char)v.s->p[i]);
    return rc;
}

static int call_index(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    int rc = 0;

    if (go_is_nil(v[0]))
        return value_fail(r->room, E_INVALID, "index of untyped nil");
    *out = v[0];
    for (size_t i = 1; i < n && rc == 0; i++)
        rc = index_one(r, *out, v[i], out);
    return rc;
}

/* Part of a list, which nobody changes. */
static int cut_list(struct go_run *r, struct value v, size_t from, size_t to, struct value *out)
{
    const struct value_list *whole = go_list_of(v);
    struct value part;
    int rc = value_list(r->room, VALUE_LIST, 0, &part);

    if (rc < 0)
        return rc;
    part.l->v = whole->v + from;
    part.l->n = part.l->cap = to - from;
    *out = part;
    return go_obj_of(v) ? go_obj(r->room, go_obj_of(v)->type, part, out) : 0;
}

static int call_slice(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    const struct value_list *list = go_list_of(v[0]);
    size_t len = list ? list->n : v[0].kind == VALUE_STR ? v[0].s->n : 0;
    size_t at[3] = {0, len, len};

    if (go_is_nil(v[0]))
        return value_fail(r->room, E_INVALID, "slice of untyped nil");
    if (!list && v[0].kind != VALUE_STR)
        return value_fail(r->room, E_INVALID, "can't slice item of type %s",
                          go_type_name(v[0]));
    if (n == 4 && !list)
        return value_fail(r->room, E_INVALID, "cannot 3-index slice a string");
    for (size_t i = 1; i < n; i++) {
        int rc = read_index(r, v[i], len, &at[i - 1]);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < 2; i++)
        if (at[i] > at[i + 1])
            return value_fail(r->room, E_INVALID, "invalid slice index: %zu > %zu", at[i],
                              at[i + 1]);
    return list ? cut_list(r, v[0], at[0], at[1], out)
                : value_cut(r->room, v[0].s, at[0], at[1], out);
}

static int call_print(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;

    value_build(&b, r->room);
    go_put_all(&b, v, n, 0);
    return value_built(&b, out);
}

static int call_println(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;

    value_build(&b, r->room);
    go_put_all(&b, v, n, 1);
    return value_built(&b, out);
}

static int call_printf(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;

    value_build(&b, r->room);
    go_put_format(&b, v[0].s, v + 1, n - 1);
    return value_built(&b, out);
}

static int call_json(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;

    (void)n;
    value_build(&b, r->room);
    go_put_json(&b, v[0]);
    return value_built(&b, out);
}

/* Data has no functions. */
static int call_call(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    (void)n;
    (void)out;
    if (go_is_nil(v[0]))
        return value_fail(r->room, E_INVALID, "call of nil");
    return value_fail(r->room, E_INVALID, "call of a %s, which is no function",
                      go_type_name(v[0]));
}

/* The day that many days from now. */
static int put_day(struct go_run *r, int days, struct value *out)
{
    struct tm day = r->now;
    struct value_build b;
    char text[64];

    day.tm_mday += days;
    day.tm_hour = 12;
    (void)timegm(&day); /* puts the fields in order */
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1,
                   day.tm_mday);
    value_build(&b, r->room);
    value_put_c(&b, text);
    return value_built(&b, out);
}

static int call_today(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    (void)v;
    (void)n;
    return put_day(r, 0, out);
}

static int call_yesterday(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    (void)v;
    (void)n;
    return put_day(r, -1, out);
}

/* clang-format off */
static const struct go_func funcs[] = {
    /* name             min max text           call */
    [GO_FUNC_AND] =
    {"and",              1, -1, GO_TEXT_NONE,  NULL},
    [GO_FUNC_OR] =
    {"or",               1, -1, GO_TEXT_NONE,  NULL},
    {"not",              1,  1, GO_TEXT_NONE,  call_not},
    {"eq",               1, -1, GO_TEXT_NONE,  go_call_eq},
    {"ne",               2,  2, GO_TEXT_NONE,  go_call_ne},
    {"lt",               2,  2, GO_TEXT_NONE,  go_call_lt},
    {"le",               2,  2, GO_TEXT_NONE,  go_call_le},
    {"gt",               2,  2, GO_TEXT_NONE,  go_call_gt},
    {"ge",               2,  2, GO_TEXT_NONE,  go_call_ge},
    {"len",              1,  1, GO_TEXT_NONE,  call_len},
    {"index",            1, -1, GO_TEXT_NONE,  call_index},
    {"slice",            1,  4, GO_TEXT_NONE,  call_slice},
    {"print",            0, -1, GO_TEXT_NONE,  call_print},
    {"println",          0, -1, GO_TEXT_NONE,  call_println},
    {"printf",           1, -1, GO_TEXT_FIRST, call_printf},
    {"html",             0, -1, GO_TEXT_NONE,  go_call_html},
    {"js",               0, -1, GO_TEXT_NONE,  go_call_js},
    {"urlquery",         0, -1, GO_TEXT_NONE,  go_call_urlquery},
    {"call",             1, -1, GO_TEXT_NONE,  call_call},
    {"json",             1,  1, GO_TEXT_NONE,  call_json},
    {"currentDate",      0, -1, GO_TEXT_ALL,   call_today},
    {"yesterdayDate",    0, -1, GO_TEXT_ALL,   call_yesterday},
    {"toTypeScriptType", 1,  1, GO_TEXT_NONE,  go_call_types},
};
/* clang-format on */

int go_func_find(struct str name)
{
    for (size_t i = 0; i < sizeof(funcs) / sizeof(funcs[0]); i++)
        if (str_is(name, funcs[i].name))
            return (int)i;
    return -1;
}

const struct go_func *go_func(int i)
{
    return &funcs[i];
}
