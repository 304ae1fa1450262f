#include "text/tmpl/jinja.h"

#include "base/mem.h"
#include "text/tmpl/tmpl_lang.h"

/* A compiled template takes at most this much. */
enum { MAX_COMPILED = 256 << 20 };

/* -- compiling ------------------------------------------------------------------------ */

static int intern_known(struct jinja_parser *p)
{
    struct jinja *t = p->t;
    const struct {
        const char *name;
        uint32_t *id;
    } known[] = {{"loop", &t->loop},
                 {"caller", &t->caller},
                 {"varargs", &t->varargs},
                 {"kwargs", &t->kwargs}};
    int rc = 0;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && rc == 0; i++)
        rc = jinja_intern(p, str_of(known[i].name), known[i].id);
    return rc;
}

static void drop(void *compiled)
{
    struct jinja *t = compiled;

    map_done(&t->name_of);
    arena_done(&t->a);
    mem_free(t);
}

static int make(void **out, struct str text, struct err *e)
{
    const struct tmpl_limits limits = {.steps = UINT64_MAX, .bytes = MAX_COMPILED};
    struct err none;
    struct jinja_parser p = {0};
    struct jinja_token *tok = NULL;
    struct jinja *t;
    size_t n_tok;
    int rc;

    if (text.n > JINJA_MAX_SOURCE)
        return err_set(e, E_TOO_LONG, "a template of %zu bytes; at most %d are read", text.n,
                       JINJA_MAX_SOURCE);
    t = mem_calloc(1, sizeof(*t));
    if (!t || map_init(&t->name_of, 64) < 0) {
        mem_free(t);
        return err_set(e, E_NOMEM, "no memory for a template");
    }
    value_room_init(&p.room, &limits, e ? e : &none);
    p.t = t;
    rc = jinja_lex(&p.room, text, &tok, &n_tok);
    p.tok = tok;
    if (rc == 0)
        rc = intern_known(&p);
    if (rc == 0)
        rc = jinja_parse(&p);
    t->a = p.room.a;
    if (rc < 0)
        drop(t);
    else
        *out = t;
    return rc;
}

static int mentions(const void *compiled, const char *name)
{
    const struct jinja *t = compiled;
    uint32_t id;

    /* Those that are there without being written. */
    if (strcmp(name, "loop") == 0 || strcmp(name, "caller") == 0 ||
        strcmp(name, "varargs") == 0 || strcmp(name, "kwargs") == 0)
        return 0;
    return map_get(&t->name_of, str_of(name), &id);
}

/* -- rendering ------------------------------------------------------------------------ */

static int copy_out(const struct value_build *b, struct marked *out, struct err *e)
{
    size_t from = 0;

    for (size_t i = 0; i < b->n_mark; i++) {
        struct str s = {b->p + from, b->mark[i].end - from};
        int rc = marked_put(out, s, b->mark[i].user);

        if (rc < 0)
            return err_set(e, rc, "no room for a rendered text of %zu bytes", b->n);
        from = b->mark[i].end;
    }
    return 0;
}

static int render(const void *compiled, const json_t *vars, const struct tm *now,
                  const struct tmpl_limits *limits, struct marked *out, struct err *e)
{
    const struct jinja *t = compiled;
    struct jinja_run run = {.t = t, .vars = vars, .now = now, .line = 1};
    struct value_build text;
    int rc;

    value_room_init(&run.room, limits, e);
    run.strict = limits && limits->strict;
    value_build(&text, &run.room);
    run.out = &text;
    run.global = value_alloc(&run.room, (size_t)t->n_name * sizeof(*run.global));
    rc = run.global ? jinja_push(&run, NULL) : value_failed(&run.room);
    for (uint32_t i = 0; i < t->n_name && rc == 0; i++)
        run.global[i] = jinja_absent_value();
    if (rc == 0)
        rc = jinja_exec(&run, t->body);
    if (rc == 0)
        rc = text.rc;
    if (rc == 0)
        rc = copy_out(&text, out, e);
    else
        rc = err_wrap(e, rc, "line %u of the template", run.line);
    value_room_done(&run.room);
    return rc;
}

const struct tmpl_lang tmpl_lang_jinja = {make, drop, mentions, render};
