#include "text/tmpl/jinja.h"

static int parse_unary(struct jinja_parser *p, int filters, struct jinja_node **out);

struct jinja_node *jinja_list_head(struct jinja_parser *p, int type, struct jinja_node *first)
{
    struct jinja_node *n = jinja_node(p, type);

    if (n)
        n->a = first;
    return n;
}

/* -- lists of operands ---------------------------------------------------------------- */

struct operator
{
    const char *text;
    int op;
};

typedef int (*parse_fn)(struct jinja_parser *p, struct jinja_node **out);

static int op_at(struct jinja_parser *p, const struct operator* ops)
{
    for (; ops->text; ops++) {
        if (jinja_skip_op(p, ops->text))
            return ops->op;
    }
    return -1;
}

/* next (op next)*: one node of that type for all of them. words: reads an operator that is
 * written in words, or gives -1; NULL: there is none. */
static int parse_terms(struct jinja_parser *p, int type, const struct operator* ops,
                       int (*words)(struct jinja_parser *p), parse_fn next,
                       struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc = next(p, out), op;

    while (rc == 0) {
        op = words ? words(p) : -1;
        if (op < 0)
            op = op_at(p, ops);
        if (op < 0)
            break;
        if (!end) {
            *out = jinja_list_head(p, type, *out);
            if (!*out)
                return value_failed(&p->room);
            end = &(*out)->b;
        }
        *end = jinja_node(p, N_TERM);
        if (!*end)
            return value_failed(&p->room);
        (*end)->op = (uint8_t)op;
        rc = next(p, &(*end)->a);
        end = &(*end)->next;
    }
    return rc;
}

static int parse_operand(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_unary(p, 1, out);
}

static int parse_pow(struct jinja_parser *p, struct jinja_node **out)
{
    static const struct operator ops[] = {{"**", OP_POW}, {0}};

    return parse_terms(p, N_MATH, ops, NULL, parse_operand, out);
}

static int parse_product(struct jinja_parser *p, struct jinja_node **out)
{
    static const struct operator ops[] = {
        {"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOOR}, {"%", OP_MOD}, {0}};

    return parse_terms(p, N_MATH, ops, NULL, parse_pow, out);
}

/* Operands one after the other, in a list of their own type. */
static int parse_chain(struct jinja_parser *p, int type, const char *op, const char *name,
                       parse_fn next, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc = next(p, out);

    while (rc == 0 && (op ? jinja_skip_op(p, op) : jinja_skip_name(p, name))) {
        if (!end) {
            struct jinja_node *first = *out;

            *out = first ? jinja_list_head(p, type, first) : NULL;
            if (!*out)
                return value_failed(&p->room);
            end = &first->next;
        }
        rc = next(p, end);
        if (rc == 0 && *end)
            end = &(*end)->next;
    }
    return rc;
}

static int parse_concat(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_chain(p, N_CONCAT, "~", NULL, parse_product, out);
}

static int parse_sum(struct jinja_parser *p, struct jinja_node **out)
{
    static const struct operator ops[] = {{"+", OP_ADD}, {"-", OP_SUB}, {0}};

    return parse_terms(p, N_MATH, ops, NULL, parse_concat, out);
}

static int compare_words(struct jinja_parser *p)
{
    if (jinja_skip_name(p, "in"))
        return OP_IN;
    if (jinja_at_name(p, "not") && p->tok[1].type == TOK_NAME && str_is(p->tok[1].text, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return -1;
}

static int parse_compare(struct jinja_parser *p, struct jinja_node **out)
{
    static const struct operator ops[] = {{"==", OP_EQ},
                                          {"!=", OP_NE},
                                          {"<=", OP_LE},
                                          {"<", OP_LT},
                                          {">=", OP_GE},
                                          {">", OP_GT},
                                          {0}};

    return parse_terms(p, N_COMPARE, ops, compare_words, parse_sum, out);
}

static int parse_not(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node *n;
    int rc;

    if (!jinja_at_name(p, "not"))
        return parse_compare(p, out);
    n = jinja_node(p, N_NOT);
    if (!n)
        return value_failed(&p->room);
    *out = n;
    p->tok++;
    rc = jinja_deeper(p);
    if (rc < 0)
        return rc;
    rc = parse_not(p, &n->a);
    p->depth--;
    return rc;
}

static int parse_and(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_chain(p, N_AND, NULL, "and", parse_not, out);
}

static int parse_or(struct jinja_parser *p, struct jinja_node **out)
{
    return parse_chain(p, N_OR, NULL, "or", parse_and, out);
}

static int parse_condition(struct jinja_parser *p, struct jinja_node **out)
{
    int rc = parse_or(p, out);

    while (rc == 0 && jinja_skip_name(p, "if")) {
        struct jinja_node *n = jinja_node(p, N_COND);

        if (!n)
            return value_failed(&p->room);
        n->b = *out;
        *out = n;
        rc = parse_or(p, &n->a);
        if (rc == 0 && jinja_skip_name(p, "else")) {
            rc = jinja_deeper(p);
            if (rc == 0)
                rc = parse_condition(p, &n->c);
            p->depth--;
        }
    }
    return rc;
}

int jinja_parse_expr(struct jinja_parser *p, int conditional, struct jinja_node **out)
{
    int rc = jinja_deeper(p);

    if (rc < 0)
        return rc;
    rc = conditional ? parse_condition(p, out) : parse_or(p, out);
    p->depth--;
    return rc;
}

/* -- names ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    struct value v;
} constants[] = {
    {"true", {.kind = VALUE_BOOL, .i = 1}}, {"True", {.kind = VALUE_BOOL, .i = 1}},
    {"false", {.kind = VALUE_BOOL}},        {"False", {.kind = VALUE_BOOL}},
    {"none", {.kind = VALUE_NONE}},         {"None", {.kind = VALUE_NONE}},
};

/* The value of a name that is a constant, or NULL. */
static const struct value *constant(struct str name)
{
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        if (str_is(name, constants[i].name))
            return &constants[i].v;
    }
    return NULL;
}

static int parse_name(struct jinja_parser *p, struct jinja_node *n)
{
    const struct value *v = constant(p->tok->text);
    int rc;

    if (v) {
        n->lit = *v;
        p->tok++;
        return 0;
    }
    n->type = N_NAME;
    rc = jinja_intern(p, p->tok++->text, &n->name);
    if (rc == 0)
        p->uses |= n->name == p->t->caller    ? JINJA_USES_CALLER
                   : n->name == p->t->varargs ? JINJA_USES_VARARGS
                   : n->name == p->t->kwargs  ? JINJA_USES_KWARGS
                                              : 0;
    return rc;
}

/* -- tuples and targets --------------------------------------------------------------- */

static int tuple_ends(const struct jinja_parser *p, const char *end)
{
    return p->tok->type == TOK_BLOCK_END || p->tok->type == TOK_PRINT_END ||
           jinja_at_op(p, ")") || (end && jinja_at_name(p, end));
}

/* what: 0 targets, 1 expressions without, 2 with "if"; 3: the same in brackets, may be empty.
 */
static int parse_items(struct jinja_parser *p, int what, const char *end,
                       struct jinja_node **out)
{
    struct jinja_node *n, **last;
    int rc = 0, commas = 0, items = 0;

    n = jinja_node(p, N_TUPLE);
    if (!n)
        return value_failed(&p->room);
    for (last = &n->a; rc == 0; last = &(*last)->next) {
        if (tuple_ends(p, end))
            break;
        rc = what == 0 ? jinja_parse_target(p, end, last) : jinja_parse_expr(p, what > 1, last);
        items++;
        if (rc < 0 || !jinja_at_op(p, ","))
            break;
        p->tok++;
        commas = 1;
    }
    if (rc < 0)
        return rc;
    if (!items && what != 3)
        return jinja_unexpected(p, what ? "an expression" : "a name");
    *out = commas || !items ? n : n->a;
    return 0;
}

int jinja_parse_tuple(struct jinja_parser *p, int conditional, const char *end,
                      struct jinja_node **out)
{
    return parse_items(p, 1 + !!conditional, end, out);
}

/* One target: a name, ns.attr, or targets in brackets. */
static int parse_one_target(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node *n;
    int rc;

    if (jinja_skip_op(p, "(")) {
        rc = jinja_deeper(p);
        if (rc == 0)
            rc = jinja_parse_target(p, NULL, out);
        p->depth--;
        return rc < 0 ? rc : jinja_expect_op(p, ")");
    }
    if (p->tok->type != TOK_NAME || constant(p->tok->text))
        return jinja_unexpected(p, "a name");
    n = jinja_node(p, N_NAME);
    if (!n)
        return value_failed(&p->room);
    *out = n;
    rc = jinja_intern(p, p->tok++->text, &n->name);
    if (rc < 0 || !jinja_skip_op(p, "."))
        return rc;
    if (p->tok->type != TOK_NAME)
        return jinja_unexpected(p, "a name");
    n->type = N_NS_ATTR;
    return value_str(&p->room, p->tok++->text, 0, &n->lit);
}

int jinja_parse_target(struct jinja_parser *p, const char *end, struct jinja_node **out)
{
    struct jinja_node *n, **last;
    int rc = parse_one_target(p, out);

    if (rc < 0 || !jinja_at_op(p, ","))
        return rc;
    n = jinja_list_head(p, N_TUPLE, *out);
    if (!n)
        return value_failed(&p->room);
    last = &(*out)->next;
    *out = n;
    while (rc == 0 && jinja_skip_op(p, ",")) {
        if (tuple_ends(p, end) || jinja_at_op(p, "="))
            break;
        rc = parse_one_target(p, last);
        if (rc == 0)
            last = &(*last)->next;
    }
    return rc;
}

int jinja_parse_params(struct jinja_parser *p, struct jinja_node **out)
{
    int rc = jinja_expect_op(p, "(");

    for (int first = 1; rc == 0 && !jinja_skip_op(p, ")"); first = 0) {
        struct jinja_node *n;

        if (!first) {
            rc = jinja_expect_op(p, ",");
            if (rc < 0 || jinja_skip_op(p, ")"))
                break;
        }
        if (p->tok->type != TOK_NAME)
            return jinja_unexpected(p, "a parameter's name");
        n = jinja_node(p, N_NAME);
        if (!n)
            return value_failed(&p->room);
        rc = jinja_intern(p, p->tok++->text, &n->name);
        if (rc == 0 && jinja_skip_op(p, "="))
            rc = jinja_parse_expr(p, 1, &n->b);
        *out = n;
        out = &n->next;
    }
    return rc;
}

/* -- literals ------------------------------------------------------------------------- */

static int parse_strings(struct jinja_parser *p, struct jinja_node *n)
{
    struct value_build b;
    int rc = value_str(&p->room, p->tok->text, 0, &n->lit);

    if (p->tok[1].type == TOK_STRING) {
        value_build(&b, &p->room);
        for (; p->tok[1].type == TOK_STRING; p->tok++)
            value_put(&b, p->tok->text, 0);
        value_put(&b, p->tok->text, 0);
        rc = value_built(&b, &n->lit);
        /* Literals are shared by renders: nobody appends to them in place. */
        if (rc == 0)
            n->lit.s->spare = n->lit.s->spare_mark = 0;
    }
    if (rc == 0)
        (void)value_chars(n->lit.s);
    p->tok++;
    return rc;
}

static int parse_list(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node **end = &n->a;
    int rc = 0;

    n->type = N_LIST;
    while (rc == 0 && !jinja_skip_op(p, "]")) {
        if (n->a) {
            rc = jinja_expect_op(p, ",");
            if (rc != 0 || jinja_skip_op(p, "]"))
                break;
        }
        rc = jinja_parse_expr(p, 1, end);
        if (rc == 0 && *end)
            end = &(*end)->next;
    }
    return rc;
}

static int parse_dict(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node **end = &n->a;
    int rc = 0;

    n->type = N_DICT;
    while (rc == 0 && !jinja_skip_op(p, "}")) {
        if (n->a) {
            rc = jinja_expect_op(p, ",");
            if (rc < 0 || jinja_skip_op(p, "}"))
                break;
        }
        rc = jinja_parse_expr(p, 1, end);
        if (rc == 0)
            rc = jinja_expect_op(p, ":");
        if (rc < 0)
            break;
        end = &(*end)->next;
        rc = jinja_parse_expr(p, 1, end);
        if (rc == 0 && *end)
            end = &(*end)->next;
    }
    return rc;
}

int jinja_parse_primary(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_token *t = p->tok;
    struct jinja_node *n = jinja_node(p, N_CONST);
    int rc;

    if (!n)
        return value_failed(&p->room);
    *out = n;
    switch (t->type) {
    case TOK_NAME:
        return parse_name(p, n);
    case TOK_STRING:
        return parse_strings(p, n);
    case TOK_INT:
        n->lit = value_int(t->i);
        p->tok++;
        return 0;
    case TOK_FLOAT:
        n->lit = value_float(t->f);
        p->tok++;
        return 0;
    default:
        break;
    }
    rc = jinja_deeper(p);
    if (rc < 0)
        return rc;
    if (jinja_skip_op(p, "(")) {
        rc = parse_items(p, 3, NULL, out);
        if (rc == 0)
            rc = jinja_expect_op(p, ")");
    } else if (jinja_skip_op(p, "[")) {
        rc = parse_list(p, n);
    } else if (jinja_skip_op(p, "{")) {
        rc = parse_dict(p, n);
    } else {
        rc = jinja_unexpected(p, "an expression");
    }
    p->depth--;
    return rc;
}

static int parse_unary(struct jinja_parser *p, int filters, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc;

    if (jinja_at_op(p, "-") || jinja_at_op(p, "+")) {
        struct jinja_node *n = jinja_node(p, jinja_at_op(p, "-") ? N_NEG : N_POS);

        if (!n)
            return value_failed(&p->room);
        p->tok++;
        *out = n;
        rc = jinja_deeper(p);
        if (rc < 0)
            return rc;
        rc = parse_unary(p, 0, &n->a);
        p->depth--;
    } else {
        rc = jinja_parse_primary(p, out);
    }
    if (rc == 0)
        rc = jinja_parse_pieces(p, out, &end, 0);
    return rc < 0 || !filters ? rc : jinja_parse_pieces(p, out, &end, 1);
}
