/* The grammar of statements, by recursive descent with a cap on its depth. Else-if chains are a
 * loop, so that a long chain is not deep. The parser knows which variables are in sight, as Go
 * does: what is not declared is found before anything is rendered. */
#include "text/tmpl/go_parse.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

const struct go_token *go_parse_peek(const struct go_parse *p)
{
    return &p->in.at[p->at];
}

const struct go_token *go_parse_next(struct go_parse *p)
{
    const struct go_token *t = go_parse_peek(p);

    if (p->at + 1 < p->in.n)
        p->at++;
    return t;
}

const struct go_token *go_parse_peek_word(struct go_parse *p)
{
    while (go_parse_peek(p)->kind == GO_T_SPACE)
        go_parse_next(p);
    return go_parse_peek(p);
}

const struct go_token *go_parse_next_word(struct go_parse *p)
{
    go_parse_peek_word(p);
    return go_parse_next(p);
}

int go_parse_fail(const struct go_parse *p, size_t at, const char *fmt, ...)
{
    char msg[256];
    int line, column;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    go_lex_place(p->t->text, at, &line, &column);
    return err_set(p->e, E_INVALID, "line %d, column %d: %s", line, column, msg);
}

int go_parse_unexpected(const struct go_parse *p, const struct go_token *t, const char *where)
{
    int n = (int)(t->text.n < 24 ? t->text.n : 24);

    if (t->kind == GO_T_BAD)
        return go_parse_fail(p, t->at, "%.*s", (int)t->text.n, t->text.p);
    if (t->kind == GO_T_END)
        return go_parse_fail(p, t->at, "unexpected end of the template in %s", where);
    return go_parse_fail(p, t->at, "unexpected \"%.*s\" in %s", n, t->text.p, where);
}

void *go_parse_alloc(struct go_parse *p, size_t n)
{
    void *mem = arena_calloc(&p->t->a, 1, n);

    if (!mem && n < GO_PARSE_TREE && p->t->a.used > GO_PARSE_TREE - n - 64)
        err_set(p->e, E_TOO_LONG, "a template that takes more than %d MiB",
                GO_PARSE_TREE >> 20);
    else if (!mem)
        err_set(p->e, E_NOMEM, "no memory for a template");
    return mem;
}

struct go_node *go_parse_node(struct go_parse *p, enum go_node_kind kind, size_t at)
{
    struct go_node *n = go_parse_alloc(p, sizeof(*n));

    if (n) {
        n->kind = kind;
        n->at = (uint32_t)at;
    }
    return n;
}

int go_parse_enter(struct go_parse *p, size_t at)
{
    if (p->depth >= GO_PARSE_DEPTH)
        return go_parse_fail(p, at, "nested deeper than %d", GO_PARSE_DEPTH);
    p->depth++;
    return 0;
}

void go_parse_append(struct go_list *l, struct go_node *n)
{
    *l->last = n;
    l->last = &n->next;
}

/* -- actions -------------------------------------------------------------------------- */

static int parse_list(struct go_parse *p, struct go_node **out);

static int expect_close(struct go_parse *p, const char *where)
{
    const struct go_token *t = go_parse_next_word(p);

    return t->kind == GO_T_CLOSE ? 0 : go_parse_unexpected(p, t, where);
}

/* if, with and range, and their else parts. */
static int parse_control(struct go_parse *p, enum go_node_kind kind, const char *where,
                         enum go_token_kind again, struct go_node *n)
{
    size_t n_var = p->n_var;

    for (;;) {
        n->kind = kind;
        if (go_parse_pipe(p, where, GO_T_CLOSE, &n->pipe) < 0)
            return go_code(p->e);
        p->in_range += kind == GO_RANGE;
        if (parse_list(p, &n->body) < 0)
            return go_code(p->e);
        p->in_range -= kind == GO_RANGE;
        if (p->stop == GO_T_FINISH || go_parse_peek_word(p)->kind != again)
            break;
        n->other = go_parse_node(p, kind, go_parse_next(p)->at);
        n = n->other;
        if (!n)
            return go_code(p->e);
    }
    if (p->stop == GO_T_ELSE) {
        if (go_parse_peek(p)->kind == GO_T_IF || go_parse_peek(p)->kind == GO_T_WITH)
            return go_parse_unexpected(p, go_parse_peek(p), "else");
        if (parse_list(p, &n->other) < 0)
            return go_code(p->e);
        if (p->stop != GO_T_FINISH)
            return go_parse_fail(p, go_parse_peek(p)->at, "expected end; found else");
    }
    p->n_var = n_var;
    return 0;
}

static int is_empty(const struct go_node *list)
{
    for (; list; list = list->next) {
        if (list->kind != GO_TEXT)
            return 0;
        for (size_t i = 0; i < list->text.n; i++)
            if (!strchr(" \t\r\n\v\f", list->text.p[i]) || !list->text.p[i])
                return 0;
    }
    return 1;
}

/* A name may be defined twice if one of the two is empty. */
static int add_define(struct go_parse *p, size_t at, struct str name, struct go_node *body)
{
    struct go_define *d = p->t->define;
    int n = 0;

    for (; d && !str_eq(d->name, name); d = d->next)
        n++;
    if (!d) {
        if (n >= GO_PARSE_NAMES)
            return err_set(p->e, E_TOO_LONG, "a template with more than %d definitions",
                           GO_PARSE_NAMES);
        d = go_parse_alloc(p, sizeof(*d));
        if (!d)
            return go_code(p->e);
        d->name = name;
        d->next = p->t->define;
        p->t->define = d;
    } else if (is_empty(body)) {
        return 0;
    } else if (!is_empty(d->body)) {
        return go_parse_fail(p, at, "multiple definition of template \"%.*s\"",
                             (int)(name.n < 64 ? name.n : 64), name.p);
    }
    d->body = body;
    return 0;
}

static int parse_template_name(struct go_parse *p, const char *where, struct str *out)
{
    const struct go_token *t = go_parse_next_word(p);
    struct err why = {0};
    int rc;

    if (t->kind != GO_T_STRING && t->kind != GO_T_RAW)
        return go_parse_unexpected(p, t, where);
    rc = go_read_string(&p->t->a, t->text, out, &why);
    return rc < 0 ? go_parse_fail(p, t->at, "%s", why.msg) : 0;
}

/* The body of a define or block: it sees no variables but $, and is in no range. */
static int parse_body(struct go_parse *p, size_t at, struct str name)
{
    struct str *var = p->var;
    size_t n_var = p->n_var, cap_var = p->cap_var;
    int in_range = p->in_range, rc;
    struct go_node *body = NULL;

    p->var = NULL;
    p->n_var = p->cap_var = 0;
    p->in_range = 0;
    rc = go_parse_declare(p, str_of("$"));
    if (rc == 0)
        rc = parse_list(p, &body);
    if (rc == 0 && p->stop != GO_T_FINISH)
        rc = go_parse_fail(p, go_parse_peek(p)->at, "unexpected else in a definition");
    mem_free(p->var);
    p->var = var;
    p->n_var = n_var;
    p->cap_var = cap_var;
    p->in_range = in_range;
    return rc < 0 ? rc : add_define(p, at, name, body);
}

static int parse_define(struct go_parse *p, size_t at)
{
    struct str name = {0};
    int rc = parse_template_name(p, "define", &name);

    if (rc == 0)
        rc = expect_close(p, "define");
    return rc < 0 ? rc : parse_body(p, at, name);
}

/* template and block: a block defines what it calls. */
static int parse_call(struct go_parse *p, int is_block, struct go_node *n)
{
    const char *where = is_block ? "block" : "template";
    struct str name = {0};
    int rc = parse_template_name(p, where, &name);

    if (rc < 0)
        return rc;
    n->kind = GO_TEMPLATE;
    n->text = name;
    if (!is_block && go_parse_peek_word(p)->kind == GO_T_CLOSE) {
        go_parse_next(p);
        return 0;
    }
    rc = go_parse_pipe(p, where, GO_T_CLOSE, &n->pipe);
    return rc < 0 || !is_block ? rc : parse_body(p, n->at, name);
}

static int parse_jump(struct go_parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = t->kind == GO_T_BREAK ? GO_BREAK : GO_CONTINUE;
    if (p->in_range == 0)
        return go_parse_fail(p, t->at, "%.*s outside range", (int)t->text.n, t->text.p);
    return expect_close(p, n->kind == GO_BREAK ? "break" : "continue");
}

/* What stands behind an opening delimiter. 0: n is done; 1: it ends the list. */
static int parse_action(struct go_parse *p, struct go_node *n)
{
    const struct go_token *t = go_parse_peek_word(p);

    if (t->kind >= GO_T_BLOCK && t->kind != GO_T_DEFINE)
        go_parse_next(p);
    switch (t->kind) {
    case GO_T_IF:
        return parse_control(p, GO_IF, "if", GO_T_IF, n);
    case GO_T_WITH:
        return parse_control(p, GO_WITH, "with", GO_T_WITH, n);
    case GO_T_RANGE:
        return parse_control(p, GO_RANGE, "range", GO_T_END, n);
    case GO_T_TEMPLATE:
    case GO_T_BLOCK:
        return parse_call(p, t->kind == GO_T_BLOCK, n);
    case GO_T_BREAK:
    case GO_T_CONTINUE:
        return parse_jump(p, t, n);
    case GO_T_FINISH:
    case GO_T_ELSE:
        p->stop = t->kind;
        t = go_parse_peek_word(p);
        if (p->stop == GO_T_ELSE && (t->kind == GO_T_IF || t->kind == GO_T_WITH))
            return 1;
        return expect_close(p, p->stop == GO_T_ELSE ? "else" : "end") < 0 ? E_INVALID : 1;
    default:
        return go_parse_pipe(p, "an action", GO_T_CLOSE, &n->pipe);
    }
}

/* Text or an action. 1: it ended the list, and *out is not part of it. */
static int parse_item(struct go_parse *p, struct go_node **out)
{
    const struct go_token *t = go_parse_next(p);
    struct go_node *n = go_parse_node(p, t->kind == GO_T_TEXT ? GO_TEXT : GO_ACTION, t->at);
    int rc;

    if (!n)
        return go_code(p->e);
    *out = n;
    if (t->kind == GO_T_TEXT) {
        n->text = t->text;
        return 0;
    }
    if (t->kind != GO_T_OPEN)
        return go_parse_unexpected(p, t, "the template");
    rc = go_parse_enter(p, t->at);
    if (rc == 0)
        rc = parse_action(p, n);
    p->depth--;
    return rc;
}

/* Up to its end or else, which p->stop tells. */
static int parse_list(struct go_parse *p, struct go_node **out)
{
    struct go_list l = {NULL, out};
    struct go_node *n;
    int rc = 0;

    *out = NULL;
    while (rc == 0) {
        if (go_parse_peek(p)->kind == GO_T_END)
            return go_parse_unexpected(p, go_parse_peek(p), "a block that has no end");
        rc = parse_item(p, &n);
        if (rc == 0)
            go_parse_append(&l, n);
    }
    return rc < 0 ? rc : 0;
}

static int parse_all(struct go_parse *p)
{
    struct go_node *root = NULL, *n;
    struct go_list l = {NULL, &root};
    int rc = go_parse_declare(p, str_of("$"));

    while (rc == 0 && go_parse_peek(p)->kind != GO_T_END) {
        size_t back = p->at, at = go_parse_peek(p)->at;

        if (go_parse_next(p)->kind == GO_T_OPEN && go_parse_peek_word(p)->kind == GO_T_DEFINE) {
            go_parse_next(p);
            rc = parse_define(p, at);
            continue;
        }
        p->at = back;
        rc = parse_item(p, &n);
        if (rc == 1)
            return go_parse_fail(p, at, "unexpected %s", p->stop == GO_T_ELSE ? "else" : "end");
        if (rc == 0)
            go_parse_append(&l, n);
    }
    if (rc == 0)
        rc = add_define(p, 0, str_of(""), root);
    if (rc == 0)
        p->t->root = go_tree_find(p->t, str_of(""))->body;
    return rc;
}

int go_parse(struct go_tree *t, struct str text, go_func_find_fn find, struct err *e)
{
    struct err why = {0};
    struct go_parse p = {.t = t, .find = find, .e = e ? e : &why};
    char *copy;
    int rc;

    *t = (struct go_tree){0};
    arena_init(&t->a, GO_PARSE_TREE);
    if (text.n > GO_PARSE_TEXT)
        return err_set(e, E_TOO_LONG, "a template of %zu bytes; at most %d can be", text.n,
                       GO_PARSE_TEXT);
    copy = arena_strdup(&t->a, text);
    if (!copy)
        return err_set(e, E_NOMEM, "no memory for a template of %zu bytes", text.n);
    t->text = (struct str){copy, text.n};
    rc = go_lex(&p.in, t->text, e);
    if (rc == 0)
        rc = parse_all(&p);
    go_lex_done(&p.in);
    mem_free(p.var);
    if (rc < 0)
        go_tree_done(t);
    return rc;
}
