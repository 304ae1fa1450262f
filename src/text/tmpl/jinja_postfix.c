/* What stands behind a value: attributes, items, calls, filters, tests. */
#include "text/tmpl/jinja.h"

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
            return value_failed(&p->room);
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
            return value_failed(&p->room);
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
        n->a = jinja_list_head(p, N_TUPLE, n->a);
        if (!n->a)
            return value_failed(&p->room);
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
        return value_failed(&p->room);
    rc = jinja_deeper(p);
    if (rc == 0)
        rc = jinja_parse_primary(p, &n->a->a);
    if (rc == 0)
        rc = jinja_parse_postfix(p, &n->a->a);
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
        *node = jinja_list_head(p, N_POSTFIX, *node);
        if (!*node)
            return value_failed(&p->room);
        *end = &(*node)->b;
    }
    n = jinja_node(p, type);
    if (!n)
        return value_failed(&p->room);
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

int jinja_parse_pieces(struct jinja_parser *p, struct jinja_node **node,
                       struct jinja_node ***end, int filters)
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

int jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **node)
{
    struct jinja_node **end = NULL;

    return jinja_parse_pieces(p, node, &end, 0);
}

int jinja_parse_filters(struct jinja_parser *p, struct jinja_node **out)
{
    struct jinja_node **end = NULL;
    int rc;

    *out = NULL;
    (void)jinja_skip_op(p, "|");
    rc = add_piece(p, N_FILTER, parse_filter, out, &end);
    return rc < 0 ? rc : jinja_parse_pieces(p, out, &end, 1);
}
