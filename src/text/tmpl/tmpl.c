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

/* Go's templates name fields with a dot in front; Jinja has statements. */
int tmpl_guess(struct str text)
{
    static const char *const of_go[] = {"{{ .", "{{.", "{{- "};

    if (memmem(text.p, text.n, "{%", 2))
        return TMPL_JINJA;
    for (size_t i = 0; i < sizeof(of_go) / sizeof(of_go[0]); i++) {
        if (memmem(text.p, text.n, of_go[i], strlen(of_go[i])))
            return TMPL_GO;
    }
    return TMPL_JINJA;
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
