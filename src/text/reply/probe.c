#include "text/reply/probe.h"

#include "text/reply/probe_priv.h"

/* What a message of the system and tools leave in the text. */
static void probe_shown(struct probing *p, struct probe *out)
{
    struct probe_ask system = {.system = PROBE_SYSTEM, .prompt = 1};
    const struct probe_ask with = {.tools = 1, .prompt = 1};
    struct buf text;

    buf_init(&text, 8 << 20);
    /* Some templates cannot do without tools. */
    for (; system.tools < 2 && !out->system; system.tools++)
        out->system = probe_render(p, &system, &text) && probe_has(&text, PROBE_SYSTEM);
    out->tools = probe_render(p, &with, &text) && probe_has(&text, "pqv_get_x");
    buf_done(&text);
}

int probe_run(struct probe *out, const struct tmpl *t, const json_t *vars, struct str name,
              struct err *e)
{
    struct probe found = {0};
    struct probing p;
    int rc = probe_begin(&p, t, vars);

    if (rc == 0) {
        probe_shown(&p, &found);
        probe_calls(&p, &found);
        probe_override(&p, name, &found);
        probe_think(&p, name, &found);
        rc = p.rc;
    }
    probe_done(&p);
    if (rc < 0)
        return err_set(e, rc, "looking at the chat template: no memory");
    *out = found;
    return 0;
}

static size_t last_of(struct str s, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = s.n >= n ? s.n - n + 1 : 0; n && i; i--) {
        if (memcmp(s.p + i - 1, word, n) == 0)
            return i;
    }
    return 0;
}

int probe_is_open(const struct reply_style *style, struct str prompt)
{
    size_t open = last_of(prompt, style->think_open);

    return open && last_of(prompt, style->think_close) < open;
}

/* As last_of, in what the template wrote. */
static size_t last_of_template(const struct marked *m, const char *word)
{
    for (size_t i = m->n; i--;) {
        size_t from = i ? m->mark[i - 1].end : 0, at = 0;

        if (!m->mark[i].user)
            at = last_of((struct str){m->text.p + from, m->mark[i].end - from}, word);
        if (at)
            return from + at;
    }
    return 0;
}

int probe_is_open_marked(const struct reply_style *style, const struct marked *prompt)
{
    size_t open = last_of_template(prompt, style->think_open);

    return open && last_of_template(prompt, style->think_close) < open;
}
