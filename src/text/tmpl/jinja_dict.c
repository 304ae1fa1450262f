/* Methods of lists and dicts. */
#include "text/tmpl/jinja.h"

/* -- lists ---------------------------------------------------------------------------- */

/* Tuples do not change. */
static int changeable(struct jinja_run *run, struct value v)
{
    if (v.kind == VALUE_LIST)
        return 0;
    return value_fail(&run->room, E_INVALID, "a tuple cannot be changed");
}

static int l_append(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = changeable(run, c->self);

    *out = value_none();
    return rc < 0 ? rc : value_append(&run->room, c->self, c->a[0]);
}

static int l_extend(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value items;
    size_t n;
    int rc = changeable(run, c->self);

    *out = value_none();
    if (rc == 0)
        rc = jinja_items(run, c->a[0], &items);
    if (rc < 0)
        return rc;
    n = items.l->n; /* it may be the list itself */
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = value_append(&run->room, c->self, items.l->v[i]);
    return rc < 0 ? rc : value_pay(&run->room, n);
}

static int l_insert(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_list *l = c->self.l;
    int64_t at;
    int rc = changeable(run, c->self);

    *out = value_none();
    if (rc == 0)
        rc = jinja_need_int(run, c->a[0], "insert", &at);
    if (rc == 0)
        rc = value_append(&run->room, c->self, c->a[1]);
    if (rc < 0)
        return rc;
    at = at < 0 ? at + (int64_t)l->n - 1 : at;
    at = at < 0 ? 0 : at;
    for (size_t i = l->n - 1; i > (size_t)at; i--) {
        struct value v = l->v[i];

        l->v[i] = l->v[i - 1];
        l->v[i - 1] = v;
    }
    return value_pay(&run->room, l->n / 8);
}

static int remove_at(struct jinja_run *run, struct value_list *l, size_t at)
{
    l->n--;
    for (size_t i = at; i < l->n; i++)
        l->v[i] = l->v[i + 1];
    return value_pay(&run->room, (l->n - at) / 8);
}

static int l_pop(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_list *l = c->self.l;
    int64_t at = -1;
    int rc = changeable(run, c->self);

    if (rc == 0 && !jinja_absent(c->a[0]))
        rc = jinja_need_int(run, c->a[0], "pop", &at);
    if (rc < 0)
        return rc;
    at = at < 0 ? at + (int64_t)l->n : at;
    if (at < 0 || (size_t)at >= l->n)
        return value_fail(&run->room, E_INVALID, "pop: a list of %zu has no such item", l->n);
    *out = l->v[at];
    return remove_at(run, l, (size_t)at);
}

/* Where the item is, or the number of items. */
static int place_of(struct jinja_run *run, struct jinja_call *c, size_t *at)
{
    const struct value_list *l = c->self.l;
    int rc = 0;

    for (*at = 0; *at < l->n; ++*at) {
        rc = value_pay(&run->room, 1);
        if (rc == 0)
            rc = value_eq(&run->room, l->v[*at], c->a[0]);
        if (rc)
            break;
    }
    return rc < 0 ? rc : 0;
}

static int l_index(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t at;
    int rc = place_of(run, c, &at);

    if (rc == 0 && at == c->self.l->n)
        return value_fail(&run->room, E_INVALID, "index: the item is not in the list");
    *out = value_int((int64_t)at);
    return rc;
}

static int l_remove(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t at;
    int rc = changeable(run, c->self);

    *out = value_none();
    if (rc == 0)
        rc = place_of(run, c, &at);
    if (rc < 0)
        return rc;
    if (at == c->self.l->n)
        return value_fail(&run->room, E_INVALID, "remove: the item is not in the list");
    return remove_at(run, c->self.l, at);
}

static int l_count(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_list *l = c->self.l;
    int64_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < l->n && rc >= 0; i++) {
        rc = value_pay(&run->room, 1);
        if (rc == 0)
            rc = value_eq(&run->room, l->v[i], c->a[0]);
        n += rc > 0;
    }
    *out = value_int(n);
    return rc < 0 ? rc : 0;
}

static int l_reverse(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_list *l = c->self.l;
    int rc = changeable(run, c->self);

    *out = value_none();
    for (size_t i = 0; rc == 0 && i < l->n / 2; i++) {
        struct value v = l->v[i];

        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    return rc < 0 ? rc : value_pay(&run->room, l->n / 8);
}

static int l_sort(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = changeable(run, c->self);

    *out = value_none();
    if (rc == 0)
        rc = value_sort(&run->room, c->self.l->v, NULL, c->self.l->n,
                        !jinja_absent(c->a[0]) && value_true(c->a[0]));
    return rc;
}

static int l_copy(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = value_list(&run->room, c->self.kind, c->self.l->n, out);

    for (size_t i = 0; i < c->self.l->n && rc == 0; i++)
        rc = value_append(&run->room, *out, c->self.l->v[i]);
    return rc < 0 ? rc : value_pay(&run->room, c->self.l->n / 8);
}

static int l_clear(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = changeable(run, c->self);

    *out = value_none();
    if (rc == 0)
        c->self.l->n = 0;
    return rc;
}

const struct jinja_fn jinja_methods_list[] = {
    {"append", "object", 1, FN_CHANGES, l_append},
    {"extend", "iterable", 1, FN_CHANGES, l_extend},
    {"insert", "index object", 2, FN_CHANGES, l_insert},
    {"pop", "index", 0, FN_CHANGES, l_pop},
    {"index", "value", 1, 0, l_index},
    {"remove", "value", 1, FN_CHANGES, l_remove},
    {"count", "value", 1, 0, l_count},
    {"reverse", "", 0, FN_CHANGES, l_reverse},
    {"sort", "reverse", 0, FN_CHANGES, l_sort},
    {"copy", "", 0, 0, l_copy},
    {"clear", "", 0, FN_CHANGES, l_clear},
    {0},
};

/* -- dicts ---------------------------------------------------------------------------- */

/* what: 0 keys, 1 values, 2 pairs */
static int entries(struct jinja_run *run, struct value d, int what, struct value *out)
{
    const struct value_entry *e;
    int rc = value_list(&run->room, VALUE_LIST, d.d->live, out);

    for (size_t i = 0; rc == 0 && (e = value_next(d, &i));) {
        struct value pair = what ? e->val : e->key;

        if (what == 2) {
            rc = value_list(&run->room, VALUE_TUPLE, 2, &pair);
            if (rc == 0)
                rc = value_append(&run->room, pair, e->key);
            if (rc == 0)
                rc = value_append(&run->room, pair, e->val);
        }
        if (rc == 0)
            rc = value_append(&run->room, *out, pair);
    }
    return rc < 0 ? rc : value_pay(&run->room, d.d->n);
}

static int view(struct jinja_run *run, struct value d, int what, const char *type,
                struct value *out)
{
    int rc = entries(run, d, what, out);

    return rc < 0 ? rc : jinja_new_gen(run, type, *out, out);
}

int jinja_pairs(struct jinja_run *run, struct value dict, struct value *out)
{
    return entries(run, dict, 2, out);
}

static int d_items(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return view(run, c->self, 2, jinja_is_pairs, out);
}

static int d_keys(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return view(run, c->self, 0, jinja_is_keys, out);
}

static int d_values(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return view(run, c->self, 1, jinja_is_values, out);
}

static int d_get(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_entry *e = value_find(c->self, c->a[0]);

    (void)run;
    *out = e ? e->val : jinja_absent(c->a[1]) ? value_none() : c->a[1];
    return 0;
}

static int d_pop(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_entry *e = value_find(c->self, c->a[0]);

    if (e) {
        *out = e->val;
        value_delete(c->self, e);
        return 0;
    }
    if (jinja_absent(c->a[1]))
        return value_fail(&run->room, E_INVALID, "pop: the dict has no such key");
    *out = c->a[1];
    return 0;
}

static int d_setdefault(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_entry *e = value_find(c->self, c->a[0]);

    *out = e ? e->val : jinja_absent(c->a[1]) ? value_none() : c->a[1];
    return e ? 0 : value_set(&run->room, c->self, c->a[0], *out);
}

static int d_update(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    *out = value_none();
    return jinja_fill_dict(run, c, c->self);
}

static int d_copy(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_entry *e;
    int rc = value_dict(&run->room, VALUE_DICT, out);

    for (size_t i = 0; rc == 0 && (e = value_next(c->self, &i));)
        rc = value_set(&run->room, *out, e->key, e->val);
    return rc < 0 ? rc : value_pay(&run->room, c->self.d->n);
}

static int d_clear(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_entry *e;

    (void)run;
    *out = value_none();
    for (size_t i = 0; (e = value_next(c->self, &i));)
        value_delete(c->self, e);
    return 0;
}

const struct jinja_fn jinja_methods_dict[] = {
    {"items", "", 0, 0, d_items},
    {"keys", "", 0, 0, d_keys},
    {"values", "", 0, 0, d_values},
    {"get", "key default", 1, 0, d_get},
    {"pop", "key default", 1, FN_CHANGES, d_pop},
    {"setdefault", "key default", 1, FN_CHANGES, d_setdefault},
    {"update", "", 0, FN_ANY_POS | FN_ANY_KW | FN_CHANGES, d_update},
    {"copy", "", 0, 0, d_copy},
    {"clear", "", 0, FN_CHANGES, d_clear},
    {0},
};
