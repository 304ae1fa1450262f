/* Statements. Break and continue are a state that lists and branches pass on and ranges end. */
#include "text/tmpl/go_run.h"

#include "text/tmpl/go_lex.h"

static int walk(struct go_run *r, struct value dot, const struct go_node *list);

/* What a render may take, it takes for its output, too. */
static int write(struct go_run *r, struct str s, int user)
{
    const struct arena *a = &r->room->a;
    int rc = value_pay(r->room, s.n / 64);

    if (rc < 0)
        return rc;
    if (r->out->text.n > a->max - a->used || s.n > a->max - a->used - r->out->text.n)
        return value_fail(r->room, E_TOO_LONG, "the text grows past %zu bytes", a->max);
    rc = marked_put(r->out, s, user);
    return rc < 0 ? value_fail(r->room, rc, "no room for a text of %zu bytes", r->out->text.n)
                  : 0;
}

static int write_value(struct go_run *r, struct value v)
{
    struct value_build b;
    size_t run = 0;
    int rc = 0;

    if (go_is_nil(v))
        return write(r, str_of("<no value>"), 0);
    if (v.kind != VALUE_STR) {
        value_build(&b, r->room);
        go_put(&b, v);
        rc = value_built(&b, &v);
    }
    for (size_t at = 0; rc == 0 && at < v.s->n;) {
        int user;
        size_t end = value_run(v.s, at, &run, &user);

        rc = write(r, (struct str){v.s->p + at, end - at}, user);
        at = end;
    }
    return rc;
}

static int walk_action(struct go_run *r, struct value dot, const struct go_node *n)
{
    struct value v;
    int rc = go_eval(r, dot, n->pipe, &v);

    return rc < 0 || n->pipe->n_name ? rc : write_value(r, v);
}

/* if and with. A chain of else-ifs is walked along, not down. */
static int walk_branch(struct go_run *r, struct value dot, const struct go_node *n)
{
    size_t n_var = r->n_var;
    struct value v;
    int rc;

    for (;;) {
        const struct go_node *other = n->other;

        rc = go_eval(r, dot, n->pipe, &v);
        if (rc < 0)
            return rc;
        if (go_truth(v)) {
            rc = walk(r, n->kind == GO_WITH ? v : dot, n->body);
            break;
        }
        if (!other || other->next || (other->kind != GO_IF && other->kind != GO_WITH)) {
            rc = walk(r, dot, other);
            break;
        }
        n = other;
        rc = value_pay(r->room, 1);
        if (rc < 0)
            return rc;
    }
    r->n_var = n_var;
    return rc;
}

/* -- range ------------------------------------------------------------------------------ */

struct loop {
    const struct go_node *n;
    size_t n_var; /* with the loop's own */
};

/* 1: there was a break. */
static int iterate(struct go_run *r, const struct loop *l, struct value index,
                   struct value item)
{
    const struct go_node *pipe = l->n->pipe;
    int rc = value_pay(r->room, 1), n = pipe->n_name;

    if (rc == 0 && n > 1)
        rc = pipe->is_assign ? go_set(r, pipe->name[0], index) : 0;
    if (rc == 0 && n > 0)
        rc = pipe->is_assign ? go_set(r, pipe->name[n - 1], item) : 0;
    if (!pipe->is_assign && n > 0)
        r->var[l->n_var - 1].v = item;
    if (!pipe->is_assign && n > 1)
        r->var[l->n_var - 2].v = index;
    if (rc == 0)
        rc = walk(r, item, l->n->body);
    r->n_var = rc < 0 ? r->n_var : l->n_var;
    if (rc < 0 || r->jump != GO_BREAK) {
        r->jump = GO_TEXT;
        return rc;
    }
    r->jump = GO_TEXT;
    return 1;
}

static int range_map(struct go_run *r, const struct loop *l, struct value dict)
{
    struct value keys;
    int rc = go_keys(r->room, dict, &keys);

    for (size_t i = 0; rc == 0 && i < keys.l->n; i++)
        rc = iterate(r, l, keys.l->v[i], value_find(dict, keys.l->v[i])->val);
    return rc;
}

static int range_over(struct go_run *r, const struct loop *l, struct value over, int *empty)
{
    const struct value_list *list = go_list_of(over);
    struct value dict = go_dict_of(over);
    int rc = 0;

    *empty = !go_truth(over);
    if (go_is_nil(over))
        return 0;
    if (over.kind == VALUE_INT) {
        if (l->n->pipe->n_name > 1)
            return value_fail(r->room, E_INVALID, "a range over a number has one variable");
        *empty = over.i <= 0;
        for (int64_t i = 0; i < over.i && rc == 0; i++)
            rc = iterate(r, l, value_undef(), value_int(i));
    } else if (list) {
        for (size_t i = 0; i < list->n && rc == 0; i++)
            rc = iterate(r, l, value_int((int64_t)i), list->v[i]);
    } else if (dict.kind == VALUE_DICT) {
        rc = range_map(r, l, dict);
    } else {
        return value_fail(r->room, E_INVALID, "range can't iterate over a %s",
                          go_type_name(over));
    }
    return rc < 0 ? rc : 0;
}

static int walk_range(struct go_run *r, struct value dot, const struct go_node *n)
{
    size_t n_var = r->n_var;
    struct value over;
    struct loop l = {n, 0};
    int empty, rc = go_eval(r, dot, n->pipe, &over);

    if (rc < 0)
        return rc;
    l.n_var = r->n_var;
    rc = range_over(r, &l, over, &empty);
    if (rc == 0 && empty)
        rc = walk(r, dot, n->other);
    r->n_var = n_var;
    return rc;
}

/* -- templates ---------------------------------------------------------------------------- */

/* A template sees none of its caller's variables. */
static int walk_template(struct go_run *r, struct value dot, const struct go_node *n)
{
    const struct go_define *d = go_tree_find(r->tree, n->text);
    size_t base = r->base, n_var;
    int rc;

    if (!d)
        return value_fail(r->room, E_INVALID, "template \"%.*s\" not defined",
                          (int)(n->text.n < 64 ? n->text.n : 64), n->text.p);
    rc = go_eval(r, dot, n->pipe, &dot);
    if (rc < 0)
        return rc;
    n_var = r->n_var;
    r->base = n_var;
    rc = go_push(r, str_of("$"), dot);
    if (rc == 0)
        rc = walk(r, dot, d->body);
    r->base = base;
    r->n_var = n_var;
    return rc;
}

static int walk_node(struct go_run *r, struct value dot, const struct go_node *n)
{
    switch (n->kind) {
    case GO_TEXT:
        return write(r, n->text, 0);
    case GO_IF:
    case GO_WITH:
        return walk_branch(r, dot, n);
    case GO_RANGE:
        return walk_range(r, dot, n);
    case GO_TEMPLATE:
        return walk_template(r, dot, n);
    case GO_BREAK:
    case GO_CONTINUE:
        r->jump = n->kind;
        return 0;
    default:
        return walk_action(r, dot, n);
    }
}

/* After a failure nothing is put back in order: nobody goes on. */
static int walk(struct go_run *r, struct value dot, const struct go_node *list)
{
    int rc = value_enter(r->room);

    for (; list && rc == 0 && r->jump == GO_TEXT; list = list->next) {
        r->at = list->at;
        rc = value_pay(r->room, 1);
        if (rc == 0)
            rc = walk_node(r, dot, list);
    }
    if (rc == 0)
        value_leave(r->room);
    return rc;
}

int go_exec(struct go_run *r, const struct go_node *body, struct value dot)
{
    int line, column, rc;

    r->n_var = r->base = 0;
    r->jump = GO_TEXT;
    rc = go_push(r, str_of("$"), dot);
    if (rc == 0)
        rc = walk(r, dot, body);
    if (rc == 0)
        return 0;
    go_lex_place(r->tree->text, r->at, &line, &column);
    return err_wrap(r->room->e, rc, "line %d, column %d", line, column);
}
