/* The grammar of actions, by recursive descent with a cap on its depth. Else-if chains are a
 * loop, so that a long chain is not deep. The parser knows which variables are in sight, as Go
 * does: what is not declared is found before anything is rendered. */
#include "text/tmpl/go_tree.h"

#include "base/mem.h"
#include "text/tmpl/go_lex.h"

#include <stdarg.h>
#include <stdio.h>

/* A template of the library has at most a dozen kilobytes, and as many variables. NAMES_MAX
 * keeps looking for variables and definitions from growing with the square of the text. */
enum { TEXT_MAX = 1 << 20, TREE_MAX = 256 << 20, DEPTH_MAX = 400, NAMES_MAX = 1000 };

struct parse {
    struct go_tree *t;
    struct go_tokens in;
    size_t at; /* the next token */
    go_func_find_fn find;
    struct str *var; /* in sight, by name */
    size_t n_var, cap_var;
    int depth, in_range;
    enum go_token_kind stop; /* what ended a list: GO_T_FINISH, GO_T_ELSE */
    struct err *e;
};

struct list {
    struct go_node *first, **last;
};

static const struct go_token *peek(const struct parse *p)
{
    return &p->in.at[p->at];
}

static const struct go_token *next(struct parse *p)
{
    const struct go_token *t = peek(p);

    if (p->at + 1 < p->in.n)
        p->at++;
    return t;
}

static const struct go_token *peek_word(struct parse *p)
{
    while (peek(p)->kind == GO_T_SPACE)
        next(p);
    return peek(p);
}

static const struct go_token *next_word(struct parse *p)
{
    peek_word(p);
    return next(p);
}

PRINTF_LIKE(3, 4) static int fail(const struct parse *p, size_t at, const char *fmt, ...)
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

static int unexpected(const struct parse *p, const struct go_token *t, const char *where)
{
    int n = (int)(t->text.n < 24 ? t->text.n : 24);

    if (t->kind == GO_T_BAD)
        return fail(p, t->at, "%.*s", (int)t->text.n, t->text.p);
    if (t->kind == GO_T_END)
        return fail(p, t->at, "unexpected end of the template in %s", where);
    return fail(p, t->at, "unexpected \"%.*s\" in %s", n, t->text.p, where);
}

static void *alloc(struct parse *p, size_t n)
{
    void *mem = arena_calloc(&p->t->a, 1, n);

    if (!mem && n < TREE_MAX && p->t->a.used > TREE_MAX - n - 64)
        err_set(p->e, E_TOO_LONG, "a template that takes more than %d MiB", TREE_MAX >> 20);
    else if (!mem)
        err_set(p->e, E_NOMEM, "no memory for a template");
    return mem;
}

static struct go_node *new_node(struct parse *p, enum go_node_kind kind, size_t at)
{
    struct go_node *n = alloc(p, sizeof(*n));

    if (n) {
        n->kind = kind;
        n->at = (uint32_t)at;
    }
    return n;
}

static int enter(struct parse *p, size_t at)
{
    if (p->depth >= DEPTH_MAX)
        return fail(p, at, "nested deeper than %d", DEPTH_MAX);
    p->depth++;
    return 0;
}

static void append(struct list *l, struct go_node *n)
{
    *l->last = n;
    l->last = &n->next;
}

/* -- variables and names -------------------------------------------------------------- */

static int declare(struct parse *p, struct str name)
{
    if (p->n_var >= NAMES_MAX)
        return err_set(p->e, E_TOO_LONG, "a template with more than %d variables", NAMES_MAX);
    if (p->n_var == p->cap_var) {
        size_t cap = p->cap_var ? 2 * p->cap_var : 16;
        struct str *var = mem_realloc(p->var, cap * sizeof(*var));

        if (!var)
            return err_set(p->e, E_NOMEM, "no memory for a template");
        p->var = var;
        p->cap_var = cap;
    }
    p->var[p->n_var++] = name;
    return 0;
}

static int is_declared(const struct parse *p, struct str name)
{
    for (size_t i = p->n_var; i-- > 0;)
        if (str_eq(p->var[i], name))
            return 1;
    return 0;
}

static int add_name(struct parse *p, struct go_node *n, struct str name)
{
    struct str *names = alloc(p, ((size_t)n->n_name + 1) * sizeof(*names));

    if (!names)
        return p->e->code;
    if (n->n_name)
        memcpy(names, n->name, (size_t)n->n_name * sizeof(*names));
    names[n->n_name++] = name;
    n->name = names;
    return 0;
}

/* -- operands ------------------------------------------------------------------------- */

static int parse_pipe(struct parse *p, const char *where, enum go_token_kind end,
                      struct go_node **out);

static int parse_paren(struct parse *p, const struct go_token *t, struct go_node **out)
{
    int rc = enter(p, t->at);

    if (rc == 0)
        rc = parse_pipe(p, "a pipeline in parentheses", GO_T_RPAREN, out);
    p->depth--;
    return rc;
}

static int parse_name(struct parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = GO_FUNC;
    n->text = t->text;
    n->func = p->find(t->text);
    if (n->func >= 0)
        return 0;
    return fail(p, t->at, "function \"%.*s\" not defined",
                (int)(t->text.n < 64 ? t->text.n : 64), t->text.p);
}

static int parse_variable(struct parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = GO_VAR;
    if (is_declared(p, t->text))
        return add_name(p, n, t->text);
    return fail(p, t->at, "undefined variable \"%.*s\"",
                (int)(t->text.n < 64 ? t->text.n : 64), t->text.p);
}

static int parse_literal(struct parse *p, const struct go_token *t, struct go_node *n)
{
    struct err why = {0};
    struct str s = {0};
    int64_t cp = 0;
    int rc;

    if (t->kind == GO_T_NUMBER) {
        rc = go_read_number(n, t->text, &why);
    } else if (t->kind == GO_T_CHAR) {
        rc = go_read_char(t->text, &cp, &why);
        n->kind = GO_INT;
        n->i = cp;
    } else {
        rc = go_read_string(&p->t->a, t->text, &s, &why);
        n->kind = GO_STRING;
        n->text = s;
    }
    if (rc == E_INVALID)
        return fail(p, t->at, "%s", why.msg);
    return rc < 0 ? err_set(p->e, rc, "%s", why.msg) : 0;
}

/* 1: *out, 0: what comes next is no operand. */
static int parse_term(struct parse *p, struct go_node **out)
{
    const struct go_token *t = peek_word(p);
    struct go_node *n = new_node(p, GO_DOT, t->at);
    int rc = 0;

    if (!n)
        return p->e->code;
    *out = n;
    next(p);
    switch (t->kind) {
    case GO_T_NAME:
        rc = parse_name(p, t, n);
        break;
    case GO_T_DOT:
        break;
    case GO_T_NIL:
        n->kind = GO_NIL;
        break;
    case GO_T_TRUE:
    case GO_T_FALSE:
        n->kind = GO_BOOL;
        n->i = t->kind == GO_T_TRUE;
        break;
    case GO_T_VAR:
        rc = parse_variable(p, t, n);
        break;
    case GO_T_FIELD:
        n->kind = GO_FIELD;
        rc = add_name(p, n, (struct str){t->text.p + 1, t->text.n - 1});
        break;
    case GO_T_LPAREN:
        rc = parse_paren(p, t, out);
        break;
    case GO_T_NUMBER:
    case GO_T_CHAR:
    case GO_T_STRING:
    case GO_T_RAW:
        rc = parse_literal(p, t, n);
        break;
    default:
        p->at = (size_t)(t - p->in.at);
        return 0;
    }
    return rc < 0 ? rc : 1;
}

/* A term and the fields taken of it. Returns as parse_term. */
static int parse_operand(struct parse *p, struct go_node **out)
{
    int rc = parse_term(p, out);
    struct go_node *n = *out, *chain;

    if (rc != 1 || peek(p)->kind != GO_T_FIELD)
        return rc;
    if (n->kind == GO_PIPE || n->kind == GO_FUNC) {
        chain = new_node(p, GO_CHAIN, n->at);
        if (!chain)
            return p->e->code;
        chain->child = n;
        *out = n = chain;
    } else if (n->kind != GO_FIELD && n->kind != GO_VAR) {
        return fail(p, peek(p)->at, "a field of what has none");
    }
    while (peek(p)->kind == GO_T_FIELD) {
        struct str name = next(p)->text;

        if (add_name(p, n, (struct str){name.p + 1, name.n - 1}) < 0)
            return p->e->code;
    }
    return 1;
}

/* -- pipelines ------------------------------------------------------------------------ */

/* Operands up to a pipe sign, which is taken, or to the end, which is not. */
static int parse_command(struct parse *p, struct go_node **out)
{
    struct go_node *cmd = new_node(p, GO_CMD, peek_word(p)->at), *arg;
    struct list args;
    int more = 1;

    if (!cmd)
        return p->e->code;
    args = (struct list){NULL, &cmd->child};
    while (more) {
        const struct go_token *t;
        int rc = parse_operand(p, &arg);

        if (rc < 0)
            return rc;
        if (rc == 1)
            append(&args, arg);
        t = peek(p);
        more = t->kind == GO_T_SPACE;
        if (t->kind == GO_T_PIPE || more)
            next(p);
        else if (t->kind != GO_T_CLOSE && t->kind != GO_T_RPAREN)
            return unexpected(p, t, "an operand");
    }
    if (!cmd->child)
        return fail(p, cmd->at, "empty command");
    *out = cmd;
    return 0;
}

/* "$x :=", "$x =", "$i, $x :=" in front of a pipeline. */
static int parse_declarations(struct parse *p, const char *where, struct go_node *pipe)
{
    int is_range = strcmp(where, "range") == 0;

    while (peek_word(p)->kind == GO_T_VAR) {
        size_t back = p->at;
        struct str name = next(p)->text;
        const struct go_token *t = peek_word(p);

        if (t->kind != GO_T_ASSIGN && t->kind != GO_T_DECLARE && t->kind != GO_T_COMMA) {
            p->at = back;
            return 0;
        }
        next(p);
        if (add_name(p, pipe, name) < 0 || declare(p, name) < 0)
            return p->e->code;
        pipe->is_assign = t->kind == GO_T_ASSIGN;
        if (t->kind != GO_T_COMMA)
            return 0;
        if (!is_range || pipe->n_name > 1)
            return fail(p, t->at, "too many declarations in %s", where);
        t = peek_word(p);
        if (t->kind != GO_T_VAR && t->kind != GO_T_CLOSE && t->kind != GO_T_RPAREN)
            return fail(p, t->at, "range can only initialize variables");
    }
    return 0;
}

/* Only the first command may be a value that takes no argument. */
static int check_stages(const struct parse *p, const struct go_node *pipe)
{
    int stage = 2;

    for (const struct go_node *c = pipe->child->next; c; c = c->next, stage++)
        switch (c->child->kind) {
        case GO_BOOL:
        case GO_DOT:
        case GO_NIL:
        case GO_INT:
        case GO_FLOAT:
        case GO_STRING:
            return fail(p, c->at, "non executable command in pipeline stage %d", stage);
        default:
            break;
        }
    return 0;
}

static int starts_operand(enum go_token_kind kind)
{
    return (kind >= GO_T_STRING && kind <= GO_T_NIL) || kind == GO_T_LPAREN;
}

static int parse_pipe(struct parse *p, const char *where, enum go_token_kind end,
                      struct go_node **out)
{
    struct go_node *pipe = new_node(p, GO_PIPE, peek_word(p)->at), *cmd = NULL;
    struct list cmds;

    if (!pipe)
        return p->e->code;
    cmds = (struct list){NULL, &pipe->child};
    if (parse_declarations(p, where, pipe) < 0)
        return p->e->code;
    while (peek_word(p)->kind != end) {
        if (!starts_operand(peek(p)->kind))
            return unexpected(p, peek(p), where);
        if (parse_command(p, &cmd) < 0)
            return p->e->code;
        append(&cmds, cmd);
    }
    if (!pipe->child)
        return fail(p, peek(p)->at, "missing value for %s", where);
    next(p);
    *out = pipe;
    return check_stages(p, pipe);
}

/* -- actions -------------------------------------------------------------------------- */

static int parse_list(struct parse *p, struct go_node **out);

static int expect_close(struct parse *p, const char *where)
{
    const struct go_token *t = next_word(p);

    return t->kind == GO_T_CLOSE ? 0 : unexpected(p, t, where);
}

/* if, with and range, and their else parts. */
static int parse_control(struct parse *p, enum go_node_kind kind, const char *where,
                         enum go_token_kind again, struct go_node *n)
{
    size_t n_var = p->n_var;

    for (;;) {
        n->kind = kind;
        if (parse_pipe(p, where, GO_T_CLOSE, &n->pipe) < 0)
            return p->e->code;
        p->in_range += kind == GO_RANGE;
        if (parse_list(p, &n->body) < 0)
            return p->e->code;
        p->in_range -= kind == GO_RANGE;
        if (p->stop == GO_T_FINISH || peek_word(p)->kind != again)
            break;
        n->other = new_node(p, kind, next(p)->at);
        n = n->other;
        if (!n)
            return p->e->code;
    }
    if (p->stop == GO_T_ELSE) {
        if (peek(p)->kind == GO_T_IF || peek(p)->kind == GO_T_WITH)
            return unexpected(p, peek(p), "else");
        if (parse_list(p, &n->other) < 0)
            return p->e->code;
        if (p->stop != GO_T_FINISH)
            return fail(p, peek(p)->at, "expected end; found else");
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
static int add_define(struct parse *p, size_t at, struct str name, struct go_node *body)
{
    struct go_define *d = p->t->define;
    int n = 0;

    for (; d && !str_eq(d->name, name); d = d->next)
        n++;
    if (!d) {
        if (n >= NAMES_MAX)
            return err_set(p->e, E_TOO_LONG, "a template with more than %d definitions",
                           NAMES_MAX);
        d = alloc(p, sizeof(*d));
        if (!d)
            return p->e->code;
        d->name = name;
        d->next = p->t->define;
        p->t->define = d;
    } else if (is_empty(body)) {
        return 0;
    } else if (!is_empty(d->body)) {
        return fail(p, at, "multiple definition of template \"%.*s\"",
                    (int)(name.n < 64 ? name.n : 64), name.p);
    }
    d->body = body;
    return 0;
}

static int parse_template_name(struct parse *p, const char *where, struct str *out)
{
    const struct go_token *t = next_word(p);
    struct err why = {0};
    int rc;

    if (t->kind != GO_T_STRING && t->kind != GO_T_RAW)
        return unexpected(p, t, where);
    rc = go_read_string(&p->t->a, t->text, out, &why);
    return rc < 0 ? fail(p, t->at, "%s", why.msg) : 0;
}

/* The body of a define or block: it sees no variables but $, and is in no range. */
static int parse_body(struct parse *p, size_t at, struct str name)
{
    struct str *var = p->var;
    size_t n_var = p->n_var, cap_var = p->cap_var;
    int in_range = p->in_range, rc;
    struct go_node *body = NULL;

    p->var = NULL;
    p->n_var = p->cap_var = 0;
    p->in_range = 0;
    rc = declare(p, str_of("$"));
    if (rc == 0)
        rc = parse_list(p, &body);
    if (rc == 0 && p->stop != GO_T_FINISH)
        rc = fail(p, peek(p)->at, "unexpected else in a definition");
    mem_free(p->var);
    p->var = var;
    p->n_var = n_var;
    p->cap_var = cap_var;
    p->in_range = in_range;
    return rc < 0 ? rc : add_define(p, at, name, body);
}

static int parse_define(struct parse *p, size_t at)
{
    struct str name;
    int rc = parse_template_name(p, "define", &name);

    if (rc == 0)
        rc = expect_close(p, "define");
    return rc < 0 ? rc : parse_body(p, at, name);
}

/* template and block: a block defines what it calls. */
static int parse_call(struct parse *p, int is_block, struct go_node *n)
{
    const char *where = is_block ? "block" : "template";
    struct str name;
    int rc = parse_template_name(p, where, &name);

    if (rc < 0)
        return rc;
    n->kind = GO_TEMPLATE;
    n->text = name;
    if (!is_block && peek_word(p)->kind == GO_T_CLOSE) {
        next(p);
        return 0;
    }
    rc = parse_pipe(p, where, GO_T_CLOSE, &n->pipe);
    return rc < 0 || !is_block ? rc : parse_body(p, n->at, name);
}

static int parse_jump(struct parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = t->kind == GO_T_BREAK ? GO_BREAK : GO_CONTINUE;
    if (p->in_range == 0)
        return fail(p, t->at, "%.*s outside range", (int)t->text.n, t->text.p);
    return expect_close(p, n->kind == GO_BREAK ? "break" : "continue");
}

/* What stands behind an opening delimiter. 0: n is done; 1: it ends the list. */
static int parse_action(struct parse *p, struct go_node *n)
{
    const struct go_token *t = peek_word(p);

    if (t->kind >= GO_T_BLOCK && t->kind != GO_T_DEFINE)
        next(p);
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
        t = peek_word(p);
        if (p->stop == GO_T_ELSE && (t->kind == GO_T_IF || t->kind == GO_T_WITH))
            return 1;
        return expect_close(p, p->stop == GO_T_ELSE ? "else" : "end") < 0 ? E_INVALID : 1;
    default:
        return parse_pipe(p, "an action", GO_T_CLOSE, &n->pipe);
    }
}

/* Text or an action. 1: it ended the list, and *out is not part of it. */
static int parse_item(struct parse *p, struct go_node **out)
{
    const struct go_token *t = next(p);
    struct go_node *n = new_node(p, t->kind == GO_T_TEXT ? GO_TEXT : GO_ACTION, t->at);
    int rc;

    if (!n)
        return p->e->code;
    *out = n;
    if (t->kind == GO_T_TEXT) {
        n->text = t->text;
        return 0;
    }
    if (t->kind != GO_T_OPEN)
        return unexpected(p, t, "the template");
    rc = enter(p, t->at);
    if (rc == 0)
        rc = parse_action(p, n);
    p->depth--;
    return rc;
}

/* Up to its end or else, which p->stop tells. */
static int parse_list(struct parse *p, struct go_node **out)
{
    struct list l = {NULL, out};
    struct go_node *n;
    int rc = 0;

    *out = NULL;
    while (rc == 0) {
        if (peek(p)->kind == GO_T_END)
            return unexpected(p, peek(p), "a block that has no end");
        rc = parse_item(p, &n);
        if (rc == 0)
            append(&l, n);
    }
    return rc < 0 ? rc : 0;
}

static int parse_all(struct parse *p)
{
    struct go_node *root = NULL, *n;
    struct list l = {NULL, &root};
    int rc = declare(p, str_of("$"));

    while (rc == 0 && peek(p)->kind != GO_T_END) {
        size_t back = p->at, at = peek(p)->at;

        if (next(p)->kind == GO_T_OPEN && peek_word(p)->kind == GO_T_DEFINE) {
            next(p);
            rc = parse_define(p, at);
            continue;
        }
        p->at = back;
        rc = parse_item(p, &n);
        if (rc == 1)
            return fail(p, at, "unexpected %s", p->stop == GO_T_ELSE ? "else" : "end");
        if (rc == 0)
            append(&l, n);
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
    struct parse p = {.t = t, .find = find, .e = e ? e : &why};
    char *copy;
    int rc;

    *t = (struct go_tree){0};
    arena_init(&t->a, TREE_MAX);
    if (text.n > TEXT_MAX)
        return err_set(e, E_TOO_LONG, "a template of %zu bytes; at most %d can be", text.n,
                       TEXT_MAX);
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
