#include "text/tmpl/jinja.h"

#include <stdio.h>

/* -- what both halves of the parser use ----------------------------------------------- */

void jinja_say_at(struct jinja_parser *p, uint32_t line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(p->room.e, E_INVALID, fmt, ap);
    va_end(ap);
    (void)err_wrap(p->room.e, E_INVALID, "line %u", line);
}

struct jinja_node *jinja_node(struct jinja_parser *p, int type)
{
    struct jinja_node *n = value_alloc(&p->room, sizeof(*n));

    if (n)
        *n = (struct jinja_node){.type = (uint8_t)type, .line = p->tok->line};
    return n;
}

int jinja_intern(struct jinja_parser *p, struct str name, uint32_t *id)
{
    struct jinja *t = p->t;

    if (map_get(&t->name_of, name, id))
        return 0;
    if (t->n_name == t->cap_name) {
        uint32_t cap = t->cap_name ? 2 * t->cap_name : 64;
        struct str *names = value_alloc(&p->room, cap * sizeof(*names));

        if (!names)
            return value_failed(&p->room);
        if (t->n_name)
            memcpy(names, t->names, t->n_name * sizeof(*names));
        t->names = names;
        t->cap_name = cap;
    }
    if (map_put(&t->name_of, name, t->n_name, NULL) < 0)
        return value_fail(&p->room, E_NOMEM, "no memory for a template");
    t->names[t->n_name] = name;
    *id = t->n_name++;
    return 0;
}

int jinja_deeper(struct jinja_parser *p)
{
    if (p->depth >= JINJA_NESTING)
        return jinja_fail_at(p, p->tok->line, "nested more than %d deep", JINJA_NESTING);
    p->depth++;
    return 0;
}

int jinja_at_op(const struct jinja_parser *p, const char *op)
{
    return p->tok->type == TOK_OP && str_is(p->tok->text, op);
}

int jinja_at_name(const struct jinja_parser *p, const char *name)
{
    return p->tok->type == TOK_NAME && str_is(p->tok->text, name);
}

int jinja_skip_op(struct jinja_parser *p, const char *op)
{
    int is = jinja_at_op(p, op);

    p->tok += is;
    return is;
}

int jinja_skip_name(struct jinja_parser *p, const char *name)
{
    int is = jinja_at_name(p, name);

    p->tok += is;
    return is;
}

int jinja_unexpected(struct jinja_parser *p, const char *wanted)
{
    static const char *const names[] = {
        [TOK_END] = "the end of the template",
        [TOK_DATA] = "text",
        [TOK_BLOCK] = "'{%'",
        [TOK_BLOCK_END] = "'%}'",
        [TOK_PRINT] = "'{{'",
        [TOK_PRINT_END] = "'}}'",
        [TOK_STRING] = "a string",
    };
    const struct jinja_token *t = p->tok;

    if (t->type < TOK_NAME || t->type == TOK_STRING)
        return jinja_fail_at(p, t->line, "expected %s, found %s", wanted, names[t->type]);
    return jinja_fail_at(p, t->line, "expected %s, found '%.*s'", wanted,
                         (int)(t->text.n < 60 ? t->text.n : 60), t->text.p);
}

int jinja_expect_op(struct jinja_parser *p, const char *op)
{
    char wanted[8];

    if (jinja_skip_op(p, op))
        return 0;
    (void)snprintf(wanted, sizeof(wanted), "'%s'", op);
    return jinja_unexpected(p, wanted);
}

/* -- statements ----------------------------------------------------------------------- */

/* Where a statement is one, behind its name. */
struct statement {
    const char *name;
    int (*parse)(struct jinja_parser *p, struct jinja_node **out);
};

static int parse_body(struct jinja_parser *p, const char *const *ends, struct jinja_node **out);

static int block_end(struct jinja_parser *p)
{
    if (p->tok->type != TOK_BLOCK_END)
        return jinja_unexpected(p, "'%}'");
    p->tok++;
    return 0;
}

/* "%} body {% endX": up to and with the name, one of ends. */
static int body_until(struct jinja_parser *p, const char *const *ends, struct jinja_node **out)
{
    int rc = block_end(p);

    if (rc == 0)
        rc = jinja_deeper(p);
    if (rc < 0)
        return rc;
    rc = parse_body(p, ends, out);
    p->depth--;
    return rc;
}

/* The body, and "endX %}" behind it. */
static int body_to_end(struct jinja_parser *p, const char *end, struct jinja_node **out)
{
    const char *const ends[] = {end, NULL};
    int rc = body_until(p, ends, out);

    if (rc < 0)
        return rc;
    p->tok++;
    return block_end(p);
}

#define NEW(p, n, type)                                                                        \
    struct jinja_node *n = jinja_node(p, type);                                                \
    if (!n)                                                                                    \
        return value_failed(&(p)->room);                                                       \
    *out = n

static int parse_if(struct jinja_parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jinja_node *last;
    NEW(p, n, N_IF);
    int rc = jinja_parse_tuple(p, 0, NULL, &n->a);

    for (last = n; rc == 0;) {
        int is_else;

        rc = body_until(p, ends, &last->c);
        if (rc < 0 || jinja_skip_name(p, "endif"))
            break;
        is_else = jinja_at_name(p, "else");
        if (is_else && !last->a)
            return jinja_unexpected(p, "'endif'");
        p->tok++;
        last->d = jinja_node(p, N_IF);
        if (!last->d)
            return value_failed(&p->room);
        last = last->d;
        if (is_else) {
            rc = body_to_end(p, "endif", &last->c);
            return rc;
        }
        rc = jinja_parse_tuple(p, 0, NULL, &last->a);
    }
    return rc < 0 ? rc : block_end(p);
}

static int parse_for(struct jinja_parser *p, struct jinja_node **out)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    NEW(p, n, N_FOR);
    int rc = jinja_at_name(p, "loop") ? jinja_unexpected(p, "a name that is not 'loop'")
                                      : jinja_parse_target(p, "in", &n->a);

    if (rc == 0 && !jinja_skip_name(p, "in"))
        rc = jinja_unexpected(p, "'in'");
    if (rc == 0)
        rc = jinja_parse_tuple(p, 0, "recursive", &n->b);
    if (rc == 0 && jinja_skip_name(p, "if"))
        rc = jinja_parse_expr(p, 1, &n->d);
    if (rc < 0)
        return rc;
    n->op = (uint8_t)jinja_skip_name(p, "recursive");
    p->loops++;
    rc = body_until(p, ends, &n->c);
    p->loops--;
    if (rc < 0)
        return rc;
    if (jinja_skip_name(p, "endfor"))
        return block_end(p);
    p->tok++;
    return body_to_end(p, "endfor", &n->e);
}

static int parse_set(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_SET);
    int rc = jinja_parse_target(p, NULL, &n->a);

    if (rc < 0)
        return rc;
    if (jinja_skip_op(p, "=")) {
        rc = jinja_parse_tuple(p, 1, NULL, &n->b);
        return rc < 0 ? rc : block_end(p);
    }
    n->type = N_SET_BLOCK;
    rc = jinja_at_op(p, "|") ? jinja_parse_filters(p, &n->b) : 0;
    return rc < 0 ? rc : body_to_end(p, "endset", &n->c);
}

static int parse_function(struct jinja_parser *p, struct jinja_node *n, const char *end)
{
    int loops = p->loops, uses = p->uses, rc;

    p->loops = p->uses = 0;
    rc = body_to_end(p, end, &n->c);
    n->op = (uint8_t)p->uses;
    p->loops = loops;
    p->uses |= uses;
    return rc;
}

static int parse_macro(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_MACRO);
    int rc;

    if (p->tok->type != TOK_NAME)
        return jinja_unexpected(p, "a macro's name");
    rc = jinja_intern(p, p->tok++->text, &n->name);
    if (rc == 0)
        rc = jinja_parse_params(p, &n->a);
    return rc < 0 ? rc : parse_function(p, n, "endmacro");
}

static int parse_call(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_CALL_BLOCK);
    int rc = jinja_at_op(p, "(") ? jinja_parse_params(p, &n->a) : 0;
    const struct jinja_node *last;

    n->name = p->t->caller;
    if (rc == 0)
        rc = jinja_parse_expr(p, 1, &n->b);
    if (rc < 0)
        return rc;
    last = n->b->type == N_POSTFIX ? n->b->b : NULL;
    while (last && last->next)
        last = last->next;
    if (!last || last->type != N_CALL)
        return jinja_fail_at(p, n->line, "{%% call %%} needs a call, as f(x)");
    return parse_function(p, n, "endcall");
}

static int parse_filter_block(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_FILTER_BLOCK);
    int rc = jinja_parse_filters(p, &n->b);

    return rc < 0 ? rc : body_to_end(p, "endfilter", &n->c);
}

static int parse_with(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_WITH);
    struct jinja_node **end = &n->a;
    int rc = 0;

    while (p->tok->type != TOK_BLOCK_END && rc == 0) {
        struct jinja_node *set = jinja_node(p, N_SET);

        if (!set)
            return value_failed(&p->room);
        if (n->a)
            rc = jinja_expect_op(p, ",");
        if (rc == 0)
            rc = jinja_parse_target(p, NULL, &set->a);
        if (rc == 0)
            rc = jinja_expect_op(p, "=");
        if (rc == 0)
            rc = jinja_parse_expr(p, 1, &set->b);
        *end = set;
        end = &set->next;
    }
    return rc < 0 ? rc : body_to_end(p, "endwith", &n->c);
}

static int parse_generation(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_GROUP);

    return body_to_end(p, "endgeneration", &n->c);
}

static int parse_autoescape(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_GROUP);

    if (!jinja_skip_name(p, "false") && !jinja_skip_name(p, "False"))
        return jinja_fail_at(p, n->line, "autoescape is not supported: a prompt is no HTML");
    return body_to_end(p, "endautoescape", &n->c);
}

static int parse_jump(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, str_is(p->tok[-1].text, "break") ? N_BREAK : N_CONTINUE);

    if (p->loops == 0)
        return jinja_fail_at(p, n->line, "'%.*s' outside of a loop", (int)p->tok[-1].text.n,
                             p->tok[-1].text.p);
    return block_end(p);
}

static int parse_do(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_DO);
    int rc = jinja_parse_tuple(p, 1, NULL, &n->b);

    return rc < 0 ? rc : block_end(p);
}

static const struct statement statements[] = {
    {"if", parse_if},      {"for", parse_for},
    {"set", parse_set},    {"macro", parse_macro},
    {"call", parse_call},  {"filter", parse_filter_block},
    {"with", parse_with},  {"generation", parse_generation},
    {"break", parse_jump}, {"continue", parse_jump},
    {"do", parse_do},      {"autoescape", parse_autoescape},
};

static int parse_statement(struct jinja_parser *p, struct jinja_node **out)
{
    const struct jinja_token *name = p->tok;

    if (name->type != TOK_NAME)
        return jinja_unexpected(p, "a statement");
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (jinja_skip_name(p, statements[i].name))
            return statements[i].parse(p, out);
    }
    if (str_is(name->text, "include") || str_is(name->text, "import") ||
        str_is(name->text, "from") || str_is(name->text, "extends") ||
        str_is(name->text, "block"))
        return jinja_fail_at(p, name->line, "'%.*s' is refused: a chat template stands alone",
                             (int)name->text.n, name->text.p);
    return jinja_fail_at(p, name->line, "unknown statement '%.*s'",
                         (int)(name->text.n < 60 ? name->text.n : 60), name->text.p);
}

static int parse_text(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_TEXT);

    return value_str(&p->room, p->tok++->text, 0, &n->lit);
}

static int parse_print(struct jinja_parser *p, struct jinja_node **out)
{
    NEW(p, n, N_PRINT);
    int rc;

    p->tok++;
    rc = jinja_parse_tuple(p, 1, NULL, &n->b);
    if (rc < 0)
        return rc;
    if (p->tok->type != TOK_PRINT_END)
        return jinja_unexpected(p, "'}}'");
    p->tok++;
    return 0;
}

static int is_end(const struct jinja_parser *p, const char *const *ends)
{
    for (; *ends; ends++) {
        if (p->tok[1].type == TOK_NAME && str_is(p->tok[1].text, *ends))
            return 1;
    }
    return 0;
}

/* Up to "{% end", of which p->tok is then the name; or to the end of the source. */
static int parse_body(struct jinja_parser *p, const char *const *ends, struct jinja_node **out)
{
    for (;;) {
        int rc;

        switch (p->tok->type) {
        case TOK_DATA:
            rc = parse_text(p, out);
            break;
        case TOK_PRINT:
            rc = parse_print(p, out);
            break;
        case TOK_BLOCK:
            if (is_end(p, ends)) {
                p->tok++;
                return 0;
            }
            p->tok++;
            rc = parse_statement(p, out);
            break;
        default: /* the end: nothing else can stand outside of tags */
            if (!*ends)
                return 0;
            while (ends[1])
                ends++;
            return jinja_fail_at(p, p->tok->line, "the template ends, and '%s' is missing",
                                 *ends);
        }
        if (rc < 0)
            return rc;
        out = &(*out)->next;
    }
}

int jinja_parse(struct jinja_parser *p)
{
    static const char *const none[] = {NULL};

    return parse_body(p, none, &p->t->body);
}
