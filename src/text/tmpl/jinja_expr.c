#include "text/tmpl/jinja.h"

static int parse_unary(struct jinja_parser *p, int filters, struct jinja_node **out);
static int parse_postfix(struct jinja_parser *p, struct jinja_node **node);

static struct jinja_node *list_head(struct jinja_parser *p, int type, struct jinja_node *first)
{
    struct jinja_node *n = jinja_node(p, type);

    if (n)
        n->a = first;
    return n;
}

/* -- lists of operands ----------------------------------------------------------------------
 */

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

/* next (op next)*: one N_MATH for all of them. */
static int parse_math(struct jinja_parser *p, const struct operator* ops, parse_fn next,
                      struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc = next(p, out), op;

    while (rc == 0 && (op = op_at(p, ops)) >= 0) {
        if (!end) {
            *out = list_head(p, N_MATH, *out);
            if (!*out)
                return p->room.e->code;
            end = &(*out)->b;
        }
        *end = jinja_node(p, N_TERM);
        if (!*end)
            return p->room.e->code;
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

    return parse_math(p, ops, parse_operand, out);
}

static int parse_product(struct jinja_parser *p, struct jinja_node **out)
{
    static const struct operator ops[] = {
        {"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOOR}, {"%", OP_MOD}, {0}};

    return parse_math(p, ops, parse_pow, out);
}

/* Operands one after the other, in a list of their own type. */
static int parse_chain(struct jinja_parser *p, int type, const char *op, const char *name,
                       parse_fn next, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc = next(p, out);

    while (rc == 0 && (op ? jinja_skip_op(p, op) : jinja_skip_name(p, name))) {
        if (!end) {
            end = &(*out)->next;
            *out = list_head(p, type, *out);
            if (!*out)
                return p->room.e->code;
        }
        rc = next(p, end);
        if (rc == 0)
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

    return parse_math(p, ops, parse_concat, out);
}

static int compare_at(struct jinja_parser *p)
{
    static const struct operator ops[] = {{"==", OP_EQ},
                                          {"!=", OP_NE},
                                          {"<=", OP_LE},
                                          {"<", OP_LT},
                                          {">=", OP_GE},
                                          {">", OP_GT},
                                          {0}};

    if (jinja_skip_name(p, "in"))
        return OP_IN;
    if (jinja_at_name(p, "not") && p->tok[1].type == TOK_NAME && str_is(p->tok[1].text, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return op_at(p, ops);
}

static int parse_compare(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc = parse_sum(p, out), op;

    while (rc == 0 && (op = compare_at(p)) >= 0) {
        if (!end) {
            *out = list_head(p, N_COMPARE, *out);
            if (!*out)
                return p->room.e->code;
            end = &(*out)->b;
        }
        *end = jinja_node(p, N_TERM);
        if (!*end)
            return p->room.e->code;
        (*end)->op = (uint8_t)op;
        rc = parse_sum(p, &(*end)->a);
        end = &(*end)->next;
    }
    return rc;
}

static int parse_not(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node *n;
    int rc;

    if (!jinja_at_name(p, "not"))
        return parse_compare(p, out);
    n = jinja_node(p, N_NOT);
    if (!n)
        return p->room.e->code;
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
            return p->room.e->code;
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

/* -- names ------------------------------------------------------------------------------------
 */

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

/* -- tuples and targets ----------------------------------------------------------------------
 */

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
        return p->room.e->code;
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
        return p->room.e->code;
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
    n = list_head(p, N_TUPLE, *out);
    if (!n)
        return p->room.e->code;
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
            return p->room.e->code;
        rc = jinja_intern(p, p->tok++->text, &n->name);
        if (rc == 0 && jinja_skip_op(p, "="))
            rc = jinja_parse_expr(p, 1, &n->b);
        *out = n;
        out = &n->next;
    }
    return rc;
}

/* -- literals --------------------------------------------------------------------------------
 */

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
            if (rc < 0 || jinja_skip_op(p, "]"))
                break;
        }
        rc = jinja_parse_expr(p, 1, end);
        if (rc == 0)
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
        if (rc == 0)
            end = &(*end)->next;
    }
    return rc;
}

static int parse_primary(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_token *t = p->tok;
    struct jinja_node *n = jinja_node(p, N_CONST);
    int rc;

    if (!n)
        return p->room.e->code;
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

/* -- what stands behind a value
 * ----------------------------------------------------------------- */

/* One argument; n->op says of which kind. */
static int parse_arg(struct jinja_parser *p, struct jinja_node *n)
{
    if (jinja_skip_op(p, "**")) {
        n->op = '@';
    } else if (jinja_skip_op(p, "*")) {
        n->op = '*';
    } else if (p->tok->type == TOK_NAME && p->tok[1].type == TOK_OP &&
               str_is(p->tok[1].text, "=")) {
        int rc = value_str(&p->room, p->tok->text, 0, &n->lit);

        if (rc < 0)
            return rc;
        n->op = '=';
        (void)value_chars(n->lit.s); /* counted now: renders only read it */
        p->tok += 2;
    }
    return jinja_parse_expr(p, 1, &n->a);
}

static int parse_args(struct jinja_parser *p, struct jinja_node **out)
{
    int rc = jinja_expect_op(p, "(");

    for (int first = 1; rc == 0 && !jinja_skip_op(p, ")"); first = 0) {
        struct jinja_node *n;

        if (!first) {
            rc = jinja_expect_op(p, ",");
            if (rc < 0 || jinja_skip_op(p, ")"))
                break;
        }
        n = jinja_node(p, N_ARG);
        if (!n)
            return p->room.e->code;
        rc = parse_arg(p, n);
        *out = n;
        out = &n->next;
    }
    return rc;
}

static int parse_attr(struct jinja_parser *p, struct jinja_node *n)
{
    const struct jinja_token *t = ++p->tok;

    if (t->type == TOK_INT) {
        n->type = N_ITEM;
        n->a = jinja_node(p, N_CONST);
        if (!n->a)
            return p->room.e->code;
        n->a->lit = value_int(t->i);
        p->tok++;
        return 0;
    }
    if (t->type != TOK_NAME)
        return jinja_unexpected(p, "a name or a number");
    for (int kind = 0; kind < N_METHOD_KIND; kind++)
        n->method[kind] = jinja_find_method(kind, t->text);
    p->tok++;
    return value_str(&p->room, t->text, 0, &n->lit);
}

/* a:b:c, each optional; a was read when it was there. */
static int parse_slice(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node **part[] = {&n->b, &n->c};
    int rc = 0;

    n->type = N_SLICE;
    for (int i = 0; i < 2 && rc == 0 && jinja_skip_op(p, ":"); i++) {
        if (!jinja_at_op(p, ":") && !jinja_at_op(p, "]") && !jinja_at_op(p, ","))
            rc = jinja_parse_expr(p, 1, part[i]);
    }
    return rc;
}

static int parse_item(struct jinja_parser *p, struct jinja_node *n)
{
    struct jinja_node **last;
    int rc = 0;

    p->tok++;
    if (!jinja_at_op(p, ":"))
        rc = jinja_parse_expr(p, 1, &n->a);
    if (rc == 0 && jinja_at_op(p, ":"))
        rc = parse_slice(p, n);
    if (rc == 0 && n->type == N_ITEM && jinja_at_op(p, ",")) { /* x[1, 2]: a tuple */
        last = &n->a->next;
        n->a = list_head(p, N_TUPLE, n->a);
        if (!n->a)
            return p->room.e->code;
        while (rc == 0 && jinja_skip_op(p, ",") && !jinja_at_op(p, "]")) {
            rc = jinja_parse_expr(p, 1, last);
            if (rc == 0)
                last = &(*last)->next;
        }
    }
    return rc < 0 ? rc : jinja_expect_op(p, "]");
}

/* The name of a filter or test, maybe with dots, into n->lit. */
static int parse_dotted(struct jinja_parser *p, struct jinja_node *n, const char *what)
{
    const struct jinja_token *first = p->tok;

    if (first->type != TOK_NAME)
        return jinja_unexpected(p, what);
    p->tok++;
    while (jinja_at_op(p, ".") && p->tok[1].type == TOK_NAME)
        p->tok += 2;
    return value_str(&p->room,
                     (struct str){first->text.p, (size_t)(p->tok[-1].text.p - first->text.p) +
                                                     p->tok[-1].text.n},
                     0, &n->lit);
}

static int parse_filter(struct jinja_parser *p, struct jinja_node *n)
{
    int rc = parse_dotted(p, n, "a filter's name");

    if (rc < 0)
        return rc;
    n->fn = jinja_find_filter(value_bytes(n->lit));
    return jinja_at_op(p, "(") ? parse_args(p, &n->a) : 0;
}

/* "is divisibleby 3": one argument without brackets. */
static int bare_argument(const struct jinja_parser *p)
{
    int type = p->tok->type;

    if (type == TOK_NAME)
        return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    return type == TOK_STRING || type == TOK_INT || type == TOK_FLOAT || jinja_at_op(p, "[") ||
           jinja_at_op(p, "{");
}

static int parse_test(struct jinja_parser *p, struct jinja_node *n)
{
    int rc;

    p->tok++; /* is */
    n->op = (uint8_t)jinja_skip_name(p, "not");
    rc = parse_dotted(p, n, "a test's name");
    if (rc < 0)
        return rc;
    n->fn = jinja_find_test(value_bytes(n->lit));
    if (jinja_at_op(p, "("))
        return parse_args(p, &n->a);
    if (!bare_argument(p))
        return 0;
    if (jinja_at_name(p, "is"))
        return jinja_fail_at(p, n->line, "two tests in a row: put the first into brackets");
    n->a = jinja_node(p, N_ARG);
    if (!n->a)
        return p->room.e->code;
    rc = jinja_deeper(p);
    if (rc == 0)
        rc = parse_primary(p, &n->a->a);
    if (rc == 0)
        rc = parse_postfix(p, &n->a->a);
    p->depth--;
    return rc;
}

/* Appends one piece to the postfix list of *node, which is made when it is not there. */
static int add_piece(struct jinja_parser *p, int type,
                     int (*parse)(struct jinja_parser *, struct jinja_node *),
                     struct jinja_node **node, struct jinja_node ***end)
{
    struct jinja_node *n;

    if (!*end) {
        *node = list_head(p, N_POSTFIX, *node);
        if (!*node)
            return p->room.e->code;
        *end = &(*node)->b;
    }
    n = jinja_node(p, type);
    if (!n)
        return p->room.e->code;
    **end = n;
    *end = &n->next;
    return parse(p, n);
}

static int parse_call_piece(struct jinja_parser *p, struct jinja_node *n)
{
    return parse_args(p, &n->a);
}

static int parse_pipe(struct jinja_parser *p, struct jinja_node *n)
{
    p->tok++;
    return parse_filter(p, n);
}

static int pieces(struct jinja_parser *p, struct jinja_node **node, struct jinja_node ***end,
                  int filters)
{
    int rc = 0;

    while (rc == 0) {
        if (jinja_at_op(p, "(")) {
            rc = add_piece(p, N_CALL, parse_call_piece, node, end);
        } else if (!filters && jinja_at_op(p, ".")) {
            rc = add_piece(p, N_ATTR, parse_attr, node, end);
        } else if (!filters && jinja_at_op(p, "[")) {
            rc = add_piece(p, N_ITEM, parse_item, node, end);
        } else if (filters && jinja_at_op(p, "|")) {
            rc = add_piece(p, N_FILTER, parse_pipe, node, end);
        } else if (filters && jinja_at_name(p, "is")) {
            rc = add_piece(p, N_TEST, parse_test, node, end);
        } else {
            break;
        }
    }
    return rc;
}

static int parse_postfix(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node **end = NULL;

    return pieces(p, node, &end, 0);
}

int jinja_parse_filters(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc;

    *out = NULL;
    (void)jinja_skip_op(p, "|");
    rc = add_piece(p, N_FILTER, parse_filter, out, &end);
    return rc < 0 ? rc : pieces(p, out, &end, 1);
}

static int parse_unary(struct jinja_parser *p, int filters, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc;

    if (jinja_at_op(p, "-") || jinja_at_op(p, "+")) {
        struct jinja_node *n = jinja_node(p, jinja_at_op(p, "-") ? N_NEG : N_POS);

        if (!n)
            return p->room.e->code;
        p->tok++;
        *out = n;
        rc = jinja_deeper(p);
        if (rc < 0)
            return rc;
        rc = parse_unary(p, 0, &n->a);
        p->depth--;
    } else {
        rc = parse_primary(p, out);
    }
    if (rc == 0)
        rc = pieces(p, out, &end, 0);
    return rc < 0 || !filters ? rc : pieces(p, out, &end, 1);
}
