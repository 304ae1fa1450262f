#include "text/tmpl/tmpl.h"

#include "base/mem.h"
#include "text/tmpl/tmpl_lang.h"

#include <string.h>

/* By enum tmpl_kind. */
static const struct tmpl_lang *const langs[] = {&tmpl_lang_jinja, &tmpl_lang_go};

enum { N_LANG = (int)(sizeof(langs) / sizeof(langs[0])) };

struct tmpl {
    const struct tmpl_lang *lang;
    void *compiled;
};

/* How Go's actions begin, and Jinja's expressions do not. */
static int is_go_action(const char *p, size_t n)
{
    static const char *const words[] = {".",      "$",       "/*",        "if ",  "range ",
                                        "with ",  "define ", "template ", "else", "end",
                                        "block ", "not ",    "json ",     "break"};

    if (n && *p == '-') {
        p++;
        n--;
    }
    while (n && (*p == ' ' || *p == '\n' || *p == '\t')) {
        p++;
        n--;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (n >= strlen(words[i]) && memcmp(p, words[i], strlen(words[i])) == 0)
            return 1;
    return 0;
}

int tmpl_kind_of(struct str text)
{
    const char *p = text.p, *end = text.p + text.n;

    if (text.n == 0 || memmem(text.p, text.n, "{%", 2))
        return TMPL_JINJA;
    while ((p = memmem(p, (size_t)(end - p), "{{", 2)) != NULL) {
        p += 2;
        if (is_go_action(p, (size_t)(end - p)))
            return TMPL_GO;
    }
    return TMPL_JINJA;
}

int tmpl_new(struct tmpl **out, int kind, struct str text, struct err *e)
{
    struct tmpl *t;
    int rc;

    if (kind < 0 || kind >= N_LANG)
        return err_set(e, E_INVALID, "no template language has the number %d", kind);
    t = mem_calloc(1, sizeof(*t));
    if (!t)
        return err_set(e, E_NOMEM, "no memory for a template");
    t->lang = langs[kind];
    rc = t->lang->make(&t->compiled, text, e);
    if (rc < 0)
        mem_free(t);
    else
        *out = t;
    return rc < 0 ? rc : 0;
}

void tmpl_free(struct tmpl *t)
{
    if (!t)
        return;
    t->lang->drop(t->compiled);
    mem_free(t);
}

int tmpl_mentions(const struct tmpl *t, const char *name)
{
    return t->lang->mentions(t->compiled, name);
}

int tmpl_render(const struct tmpl *t, const json_t *vars, const struct tm *now,
                const struct tmpl_limits *limits, struct marked *out, struct err *e)
{
    struct err none; /* what fails tells itself from what it found there */

    marked_clear(out);
    return t->lang->render(t->compiled, vars, now, limits, out, e ? e : &none);
}
