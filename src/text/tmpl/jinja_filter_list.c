/* Filters of lists and dicts. What gives a generator in Python is computed at once, and then
 * behaves like one: it is true, has no length, and can be gone through once. */
#include "text/tmpl/jinja.h"

/* What an item is compared or grouped by: its attribute, in lower case unless cases differ. */
static int key_of(struct jinja_run *run, struct value v, struct value path, int cased,
                  struct value *out)
{
    int rc = 0;

    *out = v;
    if (!jinja_absent(path) && path.kind != VALUE_NONE)
        rc = jinja_path(run, v, path, out);
    if (rc == 0 && !cased && out->kind == VALUE_STR)
        rc = jinja_case(run, out->s, JINJA_LOWER, out);
    return rc < 0 ? rc : value_pay(&run->room, 1);
}

/* "a,b": a tuple of keys */
static int keys_of(struct jinja_run *run, struct value v, struct value path, int cased,
                   struct value *out)
{
    size_t from = 0;
    int rc;

    if (path.kind != VALUE_STR || !memchr(path.s->p, ',', path.s->n))
        return key_of(run, v, path, cased, out);
    rc = value_list(&run->room, VALUE_TUPLE, 2, out);
    for (size_t i = 0; rc == 0 && i <= path.s->n; i++) {
        struct value part, key;

        if (i < path.s->n && path.s->p[i] != ',')
            continue;
        rc = value_cut(&run->room, path.s, from, i, &part);
        if (rc == 0)
            rc = key_of(run, v, part, cased, &key);
        if (rc == 0)
            rc = value_append(&run->room, *out, key);
        from = i + 1;
    }
    return rc;
}

/* A new list of the items. */
static int copy_items(struct jinja_run *run, struct value v, struct value *out)
{
    struct value items;
    int rc = jinja_items(run, v, &items);

    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, items.l->n, out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++)
        rc = value_append(&run->room, *out, items.l->v[i]);
    return rc != 0 ? rc : value_pay(&run->room, items.l->n / 8);
}

/* What was made as a list, as a generator. */
static int generator(struct jinja_run *run, int rc, struct value *out)
{
    return rc < 0 ? rc : jinja_new_gen(run, jinja_is_generator, *out, out);
}

/* What lazy filters go through: nothing where the value is false. */
static int lazy_items(struct jinja_run *run, struct value v, struct value *out)
{
    return value_true(v) ? jinja_items(run, v, out)
                         : value_list(&run->room, VALUE_LIST, 0, out);
}

/* The keys of all items of a list. */
static int all_keys(struct jinja_run *run, struct value list, struct value path, int cased,
                    struct value *out)
{
    int rc = value_list(&run->room, VALUE_LIST, list.l->n, out);

    for (size_t i = 0; rc == 0 && i < list.l->n; i++) {
        struct value key;

        rc = keys_of(run, list.l->v[i], path, cased, &key);
        if (rc == 0)
            rc = value_append(&run->room, *out, key);
    }
    return rc;
}

/* -- one of many ---------------------------------------------------------------------- */

static int f_length(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t n;
    int rc = jinja_length(run, c->self, &n);

    *out = value_int((int64_t)n);
    return rc;
}

static int pick(struct jinja_run *run, struct value v, int last, struct value *out)
{
    struct value items;
    int rc = v.kind == VALUE_STR ? 0 : jinja_items(run, v, &items);

    if (rc < 0)
        return rc;
    if (v.kind == VALUE_STR && v.s->n)
        return jinja_item(run, v, value_int(last ? -1 : 0), out);
    if (v.kind == VALUE_STR || items.l->n == 0)
        return jinja_new_undefined(run, str_of(last ? "last item" : "first item"), out);
    *out = items.l->v[last ? items.l->n - 1 : 0];
    return 0;
}

static int f_first(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return pick(run, c->self, 0, out);
}

static int f_last(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    if (jinja_is(c->self, jinja_is_generator))
        return value_fail(&run->room, E_INVALID, "last: a generator cannot be reversed");
    return pick(run, c->self, 1, out);
}

static int f_random(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    (void)c;
    (void)out;
    return value_fail(
        &run->room, E_INVALID,
        "the filter 'random' is refused: a template gives the same text each time");
}

static int best(struct jinja_run *run, struct jinja_call *c, int want, struct value *out)
{
    struct value items, key, top = {0};
    int rc = jinja_items(run, c->self, &items), order = 0;

    if (rc == 0 && items.l->n == 0)
        return jinja_new_undefined(run, str_of("an item of an empty list"), out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        rc = key_of(run, items.l->v[i], c->a[1], jinja_flag(c->a[0], 0), &key);
        if (rc == 0 && i)
            rc = value_order(&run->room, key, top, &order);
        if (rc == 0 && (i == 0 || order == want)) {
            top = key;
            *out = items.l->v[i];
        }
    }
    return rc;
}

static int f_min(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return best(run, c, -1, out);
}

static int f_max(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return best(run, c, 1, out);
}

static int f_sum(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value items, v, all = jinja_absent(c->a[1]) ? value_int(0) : c->a[1];
    int rc = jinja_items(run, c->self, &items);

    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        rc = key_of(run, items.l->v[i], c->a[0], 1, &v);
        if (rc == 0)
            rc = jinja_math(run, OP_ADD, all, v, &all);
    }
    *out = all;
    return rc;
}

static int f_join(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;
    struct value items, sep = {0}, v;
    int rc = jinja_items(run, c->self, &items);

    if (rc == 0 && !jinja_absent(c->a[0]))
        rc = jinja_str(run, c->a[0], &sep);
    value_build(&b, &run->room);
    for (size_t i = 0; rc == 0 && i < items.l->n && b.rc == 0; i++) {
        rc = key_of(run, items.l->v[i], c->a[1], 1, &v);
        if (i && sep.kind == VALUE_STR)
            value_put_text(&b, sep.s);
        if (rc == 0)
            jinja_put_str(run, &b, v);
    }
    return rc < 0 ? rc : value_built(&b, out);
}

/* -- other orders, other pieces ------------------------------------------------------- */

static int f_list(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return copy_items(run, c->self, out);
}

static int f_reverse(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value whole[3] = {value_none(), value_none(), value_int(-1)};
    struct value v = c->self;
    int rc = v.kind == VALUE_STR ? 0 : copy_items(run, v, &v);

    if (rc == 0)
        rc = jinja_slice(run, v, whole, out);
    return value_is_list(c->self) || c->self.kind == VALUE_DICT ? generator(run, rc, out) : rc;
}

static int f_sort(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value keys;
    int rc = copy_items(run, c->self, out);

    if (rc == 0)
        rc = all_keys(run, *out, c->a[2], jinja_flag(c->a[1], 0), &keys);
    return rc != 0 ? rc
                   : value_sort(&run->room, out->l->v, keys.l->v, out->l->n,
                                jinja_flag(c->a[0], 0));
}

static int f_unique(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value items, seen, key;
    int rc = jinja_items(run, c->self, &items);

    if (rc == 0)
        rc = value_dict(&run->room, VALUE_DICT, &seen);
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        rc = key_of(run, items.l->v[i], c->a[1], jinja_flag(c->a[0], 0), &key);
        if (rc < 0 || value_find(seen, key))
            continue;
        rc = value_set(&run->room, seen, key, value_none());
        if (rc == 0)
            rc = value_append(&run->room, *out, items.l->v[i]);
    }
    return generator(run, rc, out);
}

/* Lists of n items, the last one filled up. */
static int f_batch(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value items, row = {0};
    int64_t n;
    int rc = jinja_need_int(run, c->a[0], "batch", &n);

    if (rc == 0)
        rc = jinja_items(run, c->self, &items);
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        if (row.kind != VALUE_LIST || (int64_t)row.l->n == n) {
            rc = value_list(&run->room, VALUE_LIST, 0, &row);
            if (rc == 0)
                rc = value_append(&run->room, *out, row);
        }
        if (rc == 0)
            rc = value_append(&run->room, row, items.l->v[i]);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    while (rc == 0 && row.kind == VALUE_LIST && !jinja_absent(c->a[1]) &&
           c->a[1].kind != VALUE_NONE && (int64_t)row.l->n < n) {
        rc = value_append(&run->room, row, c->a[1]);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    return generator(run, rc, out);
}

/* n lists, the first ones one item longer; shorter ones filled up. */
static int f_slice(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value items, row;
    size_t at = 0, each, longer;
    int64_t n;
    int rc = jinja_need_int(run, c->a[0], "slice", &n);

    if (rc == 0 && n <= 0)
        return value_fail(&run->room, E_INVALID, "slice: into %lld parts", (long long)n);
    if (rc == 0)
        rc = jinja_items(run, c->self, &items);
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    if (rc != 0)
        return rc;
    each = items.l->n / (size_t)n;
    longer = items.l->n % (size_t)n;
    for (size_t i = 0; rc == 0 && i < (size_t)n; i++) {
        rc = value_list(&run->room, VALUE_LIST, 0, &row);
        for (size_t k = 0; rc == 0 && k < each + (i < longer); k++)
            rc = value_append(&run->room, row, items.l->v[at++]);
        if (rc == 0 && i >= longer && !jinja_absent(c->a[1]) && c->a[1].kind != VALUE_NONE)
            rc = value_append(&run->room, row, c->a[1]);
        if (rc == 0)
            rc = value_append(&run->room, *out, row);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    return generator(run, rc, out);
}

/* The value of an attribute, or a default where there is none. */
static int path_or(struct jinja_run *run, struct value v, struct value path, struct value usual,
                   struct value *out)
{
    int rc = jinja_path(run, v, path, out);

    if (rc == 0 && out->kind == VALUE_UNDEF && !jinja_absent(usual))
        *out = usual;
    return rc;
}

static int new_group(struct jinja_run *run, struct value name, struct value groups,
                     struct value *members)
{
    struct value group;
    int rc = value_list(&run->room, VALUE_TUPLE, 2, &group);

    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, members);
    if (rc == 0)
        rc = value_append(&run->room, group, name);
    if (rc == 0)
        rc = value_append(&run->room, group, *members);
    return rc < 0 ? rc : value_append(&run->room, groups, group);
}

static int f_groupby(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value list, keys, key, last = {0}, members = {0};
    int rc = copy_items(run, c->self, &list), cased = jinja_flag(c->a[2], 0);

    if (rc != 0)
        return rc;
    rc = value_list(&run->room, VALUE_LIST, list.l->n, &keys);
    for (size_t i = 0; rc == 0 && i < list.l->n; i++) {
        rc = path_or(run, list.l->v[i], c->a[0], c->a[1], &key);
        if (rc == 0)
            rc = key_of(run, key, jinja_absent_value(), cased, &key);
        if (rc == 0)
            rc = value_append(&run->room, keys, key);
    }
    if (rc == 0)
        rc = value_sort(&run->room, list.l->v, keys.l->v, list.l->n, 0);
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    for (size_t i = 0; rc == 0 && i < list.l->n; i++) {
        rc = i ? value_eq(&run->room, keys.l->v[i], last) : 0;
        last = keys.l->v[i];
        if (rc == 0) {
            rc = path_or(run, list.l->v[i], c->a[0], c->a[1], &key);
            if (rc == 0)
                rc = new_group(run, key, *out, &members);
        }
        if (rc >= 0)
            rc = value_append(&run->room, members, list.l->v[i]);
    }
    return rc;
}

/* -- choosing ------------------------------------------------------------------------- */

/* What is left of a call behind its first n arguments, for each item. */
static struct jinja_call behind(const struct jinja_call *c, size_t n)
{
    struct jinja_call rest = {.kw = c->kw};

    if (c->n_pos > n) {
        rest.pos = c->pos + n;
        rest.n_pos = c->n_pos - n;
    }
    return rest;
}

/* attr: the first argument names an attribute that is tested; keep: what the test must say. */
static int choose(struct jinja_run *run, struct jinja_call *c, int attr, int keep,
                  struct value *out)
{
    size_t at = (size_t)attr;
    struct jinja_call each = behind(c, at + 1);
    const struct jinja_fn *test = NULL;
    struct value items;
    int rc = lazy_items(run, c->self, &items);

    if (rc == 0 && c->n_pos < at)
        return value_fail(&run->room, E_INVALID, "selectattr needs the name of an attribute");
    if (rc == 0 && c->n_pos > at) {
        rc = jinja_need_str(run, c->pos[at], "the name of a test");
        if (rc == 0)
            test = jinja_find_test(value_bytes(c->pos[at]));
        if (rc == 0 && !test)
            return value_fail(&run->room, E_INVALID, "there is no test '%.*s'",
                              (int)c->pos[at].s->n, c->pos[at].s->p);
    }
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        struct value v = items.l->v[i];

        if (attr)
            rc = jinja_path(run, v, c->pos[0], &v);
        each.self = v;
        if (rc == 0 && test)
            rc = jinja_call_fn(run, test, &each, &v);
        if (rc == 0 && value_true(v) == keep)
            rc = value_append(&run->room, *out, items.l->v[i]);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    return generator(run, rc, out);
}

static int f_select(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return choose(run, c, 0, 1, out);
}

static int f_reject(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return choose(run, c, 0, 0, out);
}

static int f_selectattr(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return choose(run, c, 1, 1, out);
}

static int f_rejectattr(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return choose(run, c, 1, 0, out);
}

static int f_map(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_call each = behind(c, 1);
    const struct jinja_fn *filter = NULL;
    struct value items, v, path = jinja_absent_value(), usual = jinja_absent_value();
    int rc = lazy_items(run, c->self, &items);

    if (rc == 0 && c->n_pos) {
        rc = jinja_need_str(run, c->pos[0], "the name of a filter");
        if (rc == 0)
            filter = jinja_find_filter(value_bytes(c->pos[0]));
        if (rc == 0 && !filter)
            return value_fail(&run->room, E_INVALID, "there is no filter '%.*s'",
                              (int)c->pos[0].s->n, c->pos[0].s->p);
    } else if (rc == 0 && c->kw.kind == VALUE_DICT) {
        const struct value_entry *e = value_find_str(c->kw, str_of("default"));

        path = value_get(c->kw, str_of("attribute"));
        usual = e ? e->val : usual;
    }
    if (rc == 0 && !filter && path.kind == VALUE_UNDEF)
        return value_fail(&run->room, E_INVALID, "map needs a filter, or attribute=...");
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, items.l->n, out);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        each.self = items.l->v[i];
        rc = filter ? jinja_call_fn(run, filter, &each, &v)
                    : path_or(run, items.l->v[i], path, usual, &v);
        if (rc == 0)
            rc = value_append(&run->room, *out, v);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    return generator(run, rc, out);
}

/* -- dicts ---------------------------------------------------------------------------- */

static int f_items(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    if (c->self.kind == VALUE_UNDEF)
        return generator(run, value_list(&run->room, VALUE_LIST, 0, out), out);
    if (c->self.kind != VALUE_DICT)
        return value_fail(&run->room, E_INVALID, "items: '%s' is no dict",
                          value_type_name(c->self));
    return generator(run, jinja_pairs(run, c->self, out), out);
}

static int f_dictsort(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value keys, by = value_int(0);
    int rc;

    if (c->self.kind == VALUE_UNDEF)
        return jinja_undefined(run, c->self);
    if (c->self.kind != VALUE_DICT)
        return value_fail(&run->room, E_INVALID, "dictsort: '%s' is no dict",
                          value_type_name(c->self));
    if (value_is(c->a[1], "value"))
        by = value_int(1);
    else if (!jinja_absent(c->a[1]) && !value_is(c->a[1], "key"))
        return value_fail(&run->room, E_INVALID, "dictsort: by 'key' or 'value'");
    rc = jinja_pairs(run, c->self, out);
    if (rc == 0)
        rc = all_keys(run, *out, by, jinja_flag(c->a[0], 0), &keys);
    return rc != 0 ? rc
                   : value_sort(&run->room, out->l->v, keys.l->v, out->l->n,
                                jinja_flag(c->a[2], 0));
}

/* An attribute, never an item. */
static int f_attr(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct jinja_fn *method[N_METHOD_KIND];
    int rc = jinja_need_str(run, c->a[0], "attr");

    if (rc < 0)
        return rc;
    for (int kind = 0; kind < N_METHOD_KIND; kind++)
        method[kind] = jinja_find_method(kind, value_bytes(c->a[0]));
    if (c->self.kind == VALUE_DICT && !method[OF_DICT])
        return jinja_new_undefined(run, value_bytes(c->a[0]), out);
    return jinja_attr(run, c->self, c->a[0], method, out);
}

const struct jinja_fn jinja_filters_list[] = {
    {"length", "", 0, 0, f_length},
    {"count", "", 0, 0, f_length},
    {"first", "", 0, 0, f_first},
    {"last", "", 0, 0, f_last},
    {"random", "", 0, 0, f_random},
    {"min", "case_sensitive attribute", 0, 0, f_min},
    {"max", "case_sensitive attribute", 0, 0, f_max},
    {"sum", "attribute start", 0, 0, f_sum},
    {"join", "d attribute", 0, 0, f_join},
    {"list", "", 0, 0, f_list},
    {"reverse", "", 0, 0, f_reverse},
    {"sort", "reverse case_sensitive attribute", 0, 0, f_sort},
    {"unique", "case_sensitive attribute", 0, 0, f_unique},
    {"batch", "linecount fill_with", 1, 0, f_batch},
    {"slice", "slices fill_with", 1, 0, f_slice},
    {"groupby", "attribute default case_sensitive", 1, 0, f_groupby},
    {"select", "", 0, FN_ANY_POS | FN_ANY_KW, f_select},
    {"reject", "", 0, FN_ANY_POS | FN_ANY_KW, f_reject},
    {"selectattr", "", 0, FN_ANY_POS | FN_ANY_KW, f_selectattr},
    {"rejectattr", "", 0, FN_ANY_POS | FN_ANY_KW, f_rejectattr},
    {"map", "", 0, FN_ANY_POS | FN_ANY_KW, f_map},
    {"items", "", 0, 0, f_items},
    {"dictsort", "case_sensitive by reverse", 0, 0, f_dictsort},
    {"attr", "name", 1, 0, f_attr},
    {0},
};
