#include "text/form.h"

#include "text/gram/gbnf.h"
#include "text/gram/schema.h"

/* Calls, if any may come at all. */
static int has_calls(const struct form *f)
{
    return json_array_size(f->calls.tools) > 0;
}

static int content_of(struct gram *g, const struct form *f, gram_ref *out, struct err *e)
{
    static const struct schema_options writing = {.writing = 1};
    rx_id rx = RX_NONE;
    int rc;

    switch (f->kind) {
    case FORM_JSON:
        rc = schema_any(g, 1, &writing, out, e);
        break;
    case FORM_SCHEMA:
        rc = schema_add(g, f->schema, &writing, out, e);
        break;
    case FORM_GBNF:
        rc = gbnf_parse(g, f->text, out, e);
        break;
    default:
        rc = rx_parse(gram_rx(g), f->text, 0, &rx, e);
        if (rc == 0)
            *out = gram_text(g, rx);
    }
    if (rc == 0 && f->style)
        *out = reply_content(g, f->style, *out);
    return rc;
}

/* Content, or calls, or either. */
static int parts_of(struct gram *g, const struct form *f, gram_ref *out, int *of_tools,
                    struct err *e)
{
    gram_ref part[2] = {GRAM_NEVER, GRAM_NEVER};
    struct reply_tools calls = f->calls;
    int rc = 0;

    if (f->kind != FORM_ANY && has_calls(f) && calls.choice == REPLY_REQUIRED)
        return err_set(e, E_INVALID,
                       "when a tool must be called there is no content to hold to a form");
    if (f->kind != FORM_ANY)
        rc = content_of(g, f, &part[0], e);
    if (rc < 0 || !has_calls(f) || (f->kind != FORM_ANY && calls.choice == REPLY_NONE)) {
        *out = part[0];
        return rc;
    }
    if (f->kind != FORM_ANY)
        calls.choice = REPLY_REQUIRED;
    *of_tools = 1;
    rc = reply_grammar(g, f->style, &calls, &part[1], e);
    *out = gram_alt(g, part, 2);
    return rc;
}

int form_grammar(struct gram **out, const struct form *f, int *of_tools, struct err *e)
{
    gram_ref root = GRAM_NEVER;
    struct gram *g = NULL;
    int unused, rc;

    of_tools = of_tools ? of_tools : &unused;
    *of_tools = 0;
    *out = NULL;
    if (f->kind == FORM_ANY && !has_calls(f))
        return 0;
    rc = gram_new(&g, NULL, e);
    if (rc == 0)
        rc = parts_of(g, f, &root, of_tools, e);
    if (rc == 0)
        rc = gram_finish(g, root, e);
    if (rc < 0) {
        gram_free(g);
        return rc;
    }
    *out = g;
    return 0;
}

int form_may_be_free(const struct form *f)
{
    return f->kind == FORM_ANY && f->calls.choice == REPLY_AUTO && f->calls.parallel;
}
