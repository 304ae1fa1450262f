/* Pipelines of actions: operands, commands, declarations. */
#include "text/tmpl/go_parse.h"

#include "base/mem.h"

/* -- variables and names -------------------------------------------------------------- */

int go_parse_declare(struct go_parse *p, struct str name)
{
    if (p->n_var >= GO_PARSE_NAMES)
        return err_set(p->e, E_TOO_LONG, "a template with more than %d variables",
                       GO_PARSE_NAMES);
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

static int is_declared(const struct go_parse *p, struct str name)
{
    for (size_t i = p->n_var; i-- > 0;)
        if (str_eq(p->var[i], name))
            return 1;
    return 0;
}

static int add_name(struct go_parse *p, struct go_node *n, struct str name)
{
    struct str *names = go_parse_alloc(p, ((size_t)n->n_name + 1) * sizeof(*names));

    if (!names)
        return go_code(p->e);
    if (n->n_name)
        memcpy(names, n->name, (size_t)n->n_name * sizeof(*names));
    names[n->n_name++] = name;
    n->name = names;
    return 0;
}

/* -- operands ------------------------------------------------------------------------- */

static int parse_paren(struct go_parse *p, const struct go_token *t, struct go_node **out)
{
    int rc = go_parse_enter(p, t->at);

    if (rc == 0)
        rc = go_parse_pipe(p, "a pipeline in parentheses", GO_T_RPAREN, out);
    p->depth--;
    return rc;
}

static int parse_name(struct go_parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = GO_FUNC;
    n->text = t->text;
    n->func = p->find(t->text);
    if (n->func >= 0)
        return 0;
    return go_parse_fail(p, t->at, "function \"%.*s\" not defined",
                         (int)(t->text.n < 64 ? t->text.n : 64), t->text.p);
}

static int parse_variable(struct go_parse *p, const struct go_token *t, struct go_node *n)
{
    n->kind = GO_VAR;
    if (is_declared(p, t->text))
        return add_name(p, n, t->text);
    return go_parse_fail(p, t->at, "undefined variable \"%.*s\"",
                         (int)(t->text.n < 64 ? t->text.n : 64), t->text.p);
}

static int parse_literal(struct go_parse *p, const struct go_token *t, struct go_node *n)
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
        return go_parse_fail(p, t->at, "%s", why.msg);
    return rc < 0 ? err_set(p->e, rc, "%s", why.msg) : 0;
}

/* 1: *out, 0: what comes next is no operand. */
static int parse_term(struct go_parse *p, struct go_node **out)
{
    const struct go_token *t = go_parse_peek_word(p);
    struct go_node *n = go_parse_node(p, GO_DOT, t->at);
    int rc = 0;

    if (!n)
        return go_code(p->e);
    *out = n;
    go_parse_next(p);
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
static int parse_operand(struct go_parse *p, struct go_node **out)
{
    int rc = parse_term(p, out);
    struct go_node *n, *chain;

    if (rc != 1 || go_parse_peek(p)->kind != GO_T_FIELD)
        return rc;
    n = *out; /* parse_term gave 1, so there is one */
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the analyser did not look into it
    if (n->kind == GO_PIPE || n->kind == GO_FUNC) {
        chain = go_parse_node(p, GO_CHAIN, n->at);
        if (!chain)
            return go_code(p->e);
        chain->child = n;
        *out = n = chain;
    } else if (n->kind != GO_FIELD && n->kind != GO_VAR) {
        return go_parse_fail(p, go_parse_peek(p)->at, "a field of what has none");
    }
    while (go_parse_peek(p)->kind == GO_T_FIELD) {
        struct str name = go_parse_next(p)->text;

        if (add_name(p, n, (struct str){name.p + 1, name.n - 1}) < 0)
            return go_code(p->e);
    }
    return 1;
}

/* -- pipelines ------------------------------------------------------------------------ */

/* Operands up to a pipe sign, which is taken, or to the end, which is not. */
static int parse_command(struct go_parse *p, struct go_node **out)
{
    struct go_node *cmd = go_parse_node(p, GO_CMD, go_parse_peek_word(p)->at), *arg = NULL;
    struct go_list args;
    int more = 1;

    if (!cmd)
        return go_code(p->e);
    args = (struct go_list){NULL, &cmd->child};
    while (more) {
        const struct go_token *t;
        int rc = parse_operand(p, &arg);

        if (rc < 0)
            return rc;
        if (rc == 1)
            go_parse_append(&args, arg);
        t = go_parse_peek(p);
        more = t->kind == GO_T_SPACE;
        if (t->kind == GO_T_PIPE || more)
            go_parse_next(p);
        else if (t->kind != GO_T_CLOSE && t->kind != GO_T_RPAREN)
            return go_parse_unexpected(p, t, "an operand");
    }
    if (!cmd->child)
        return go_parse_fail(p, cmd->at, "empty command");
    *out = cmd;
    return 0;
}

/* "$x :=", "$x =", "$i, $x :=" in front of a pipeline. */
static int parse_declarations(struct go_parse *p, const char *where, struct go_node *pipe)
{
    int is_range = strcmp(where, "range") == 0;

    while (go_parse_peek_word(p)->kind == GO_T_VAR) {
        size_t back = p->at;
        struct str name = go_parse_next(p)->text;
        const struct go_token *t = go_parse_peek_word(p);

        if (t->kind != GO_T_ASSIGN && t->kind != GO_T_DECLARE && t->kind != GO_T_COMMA) {
            p->at = back;
            return 0;
        }
        go_parse_next(p);
        if (add_name(p, pipe, name) < 0 || go_parse_declare(p, name) < 0)
            return go_code(p->e);
        pipe->is_assign = t->kind == GO_T_ASSIGN;
        if (t->kind != GO_T_COMMA)
            return 0;
        if (!is_range || pipe->n_name > 1)
            return go_parse_fail(p, t->at, "too many declarations in %s", where);
        t = go_parse_peek_word(p);
        if (t->kind != GO_T_VAR && t->kind != GO_T_CLOSE && t->kind != GO_T_RPAREN)
            return go_parse_fail(p, t->at, "range can only initialize variables");
    }
    return 0;
}

/* Only the first command may be a value that takes no argument. */
static int check_stages(const struct go_parse *p, const struct go_node *pipe)
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
            return go_parse_fail(p, c->at, "non executable command in pipeline stage %d",
                                 stage);
        default:
            break;
        }
    return 0;
}

static int starts_operand(enum go_token_kind kind)
{
    return (kind >= GO_T_STRING && kind <= GO_T_NIL) || kind == GO_T_LPAREN;
}

int go_parse_pipe(struct go_parse *p, const char *where, enum go_token_kind end,
                  struct go_node **out)
{
    struct go_node *pipe = go_parse_node(p, GO_PIPE, go_parse_peek_word(p)->at), *cmd = NULL;
    struct go_list cmds;

    if (!pipe)
        return go_code(p->e);
    cmds = (struct go_list){NULL, &pipe->child};
    if (parse_declarations(p, where, pipe) < 0)
        return go_code(p->e);
    while (go_parse_peek_word(p)->kind != end) {
        if (!starts_operand(go_parse_peek(p)->kind))
            return go_parse_unexpected(p, go_parse_peek(p), where);
        if (parse_command(p, &cmd) < 0)
            return go_code(p->e);
        go_parse_append(&cmds, cmd);
    }
    if (!pipe->child)
        return go_parse_fail(p, go_parse_peek(p)->at, "missing value for %s", where);
    go_parse_next(p);
    *out = pipe;
    return check_stages(p, pipe);
}
