/* show_stored.c - what the store keeps of a model, for people and as JSON. */
#include "cmd/show.h"

#include "cmd/term.h"
#include "store/modelfile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX   ((size_t)64 << 20)
#define SECTION_OF 2 /* lines of a text that a section shows */

int show_find(const char *word, struct store_model *m, struct err *e)
{
    struct store *s = NULL;
    int rc;

    if (access(word, F_OK) == 0 || store_open(&s, NULL, NULL) < 0)
        return 0;
    rc = store_find(s, str_of(word), m, e);
    store_close(s);
    if (rc == E_NOT_FOUND || rc == E_INVALID) {
        store_model_done(m);
        *m = (struct store_model){0};
        return 0;
    }
    return rc;
}

/* -- texts ----------------------------------------------------------------------------- */

/* PARAMETER lines without their word. */
static int put_params(const struct store_model *m, struct buf *out)
{
    struct modelfile mf = {.params = m->params};
    struct buf lines;
    int rc;

    buf_init(&lines, out->max);
    rc = modelfile_write(&mf, &lines);
    for (const char *at = lines.p, *end; rc == 0 && at && (end = strchr(at, '\n')) != NULL;
         at = end + 1) {
        const char *from = strncmp(at, "PARAMETER ", 10) == 0 ? at + 10 : at;

        rc = buf_put(out, from, (size_t)(end - from) + 1);
    }
    buf_done(&lines);
    return rc;
}

static struct str gguf_text(const struct gguf *g, const char *key)
{
    struct str s = {"", 0};

    return gguf_str(g, key, &s, NULL) > 0 ? s : (struct str){"", 0};
}

static int put_text(struct buf *out, struct str s)
{
    int rc;

    if (!s.p || !s.n)
        return 0;
    rc = buf_put(out, s.p, s.n);
    return rc < 0 || s.p[s.n - 1] == '\n' ? rc : buf_byte(out, '\n');
}

static int put_part(const struct store_model *m, const struct gguf *g, int part,
                    struct buf *out)
{
    struct store_model path = {.path = gguf_path(g)};
    int rc = 0;

    switch (part) {
    case SHOW_MODELFILE:
        return store_modelfile(m->path ? m : &path, out);
    case SHOW_PARAMETERS:
        return put_params(m, out);
    case SHOW_TEMPLATE:
        return put_text(out,
                        m->template.n ? m->template : gguf_text(g, "tokenizer.chat_template"));
    case SHOW_SYSTEM:
        return put_text(out, m->system);
    default:
        for (size_t i = 0; rc == 0 && i < m->n_license; i++)
            rc = put_text(out, m->license[i]);
        return rc < 0 || m->n_license ? rc : put_text(out, gguf_text(g, "general.license"));
    }
}

static int print(const struct buf *text, struct err *e)
{
    struct buf clean;
    int rc = 0, why;

    buf_init(&clean, 4 * TEXT_MAX);
    if (text->n && isatty(STDOUT_FILENO))
        rc = term_clean(&clean, text->p, text->n);
    else if (text->n)
        rc = buf_put(&clean, text->p, text->n);
    (void)fflush(stdout);
    why = rc < 0 ? 0 : term_write(STDOUT_FILENO, clean.p ? clean.p : "", clean.n);
    buf_done(&clean);
    if (why && why != EPIPE)
        return err_sys(e, E_IO, why, "write stdout");
    return rc < 0 ? err_set(e, rc, "no memory for a text") : 0;
}

int show_stored_part(const struct store_model *m, const struct gguf *g, int part, struct err *e)
{
    struct buf text;
    int rc;

    buf_init(&text, TEXT_MAX);
    rc = put_part(m, g, part, &text);
    rc = rc < 0 ? err_set(e, rc, "no memory for a text, or quotes cannot hold it")
                : print(&text, e);
    buf_done(&text);
    return rc;
}

/* -- sections -------------------------------------------------------------------------- */

/* Its first lines, indented. */
static int section(struct buf *out, const char *title, struct str text, int lines)
{
    int rc = text.n ? buf_fmt(out, "\n  %s\n", title) : 0;

    for (int i = 0; rc == 0 && text.n && i < lines;) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;

        if (n) {
            rc = buf_str(out, "    ");
            if (rc == 0)
                rc = term_clean(out, text.p, n);
            if (rc == 0)
                rc = buf_byte(out, '\n');
            i++;
        }
        n += end != NULL;
        text.p += n;
        text.n -= n;
    }
    return rc;
}

int show_stored(const struct store_model *m, struct err *e)
{
    struct buf out, params;
    int rc;

    if (!m->path)
        return 0;
    buf_init(&out, TEXT_MAX);
    buf_init(&params, TEXT_MAX);
    rc = put_params(m, &params);
    if (rc == 0)
        rc = section(&out, "Name", str_of(m->name), 1);
    if (rc == 0)
        rc = section(&out, "File", str_of(m->path), 1);
    for (size_t i = 0; rc == 0 && i < m->n_adapter; i++)
        rc = section(&out, "Adapter", str_of(m->adapter[i]), 1);
    if (rc == 0 && params.n)
        rc = section(&out, "Parameters", (struct str){params.p, params.n}, 1000);
    if (rc == 0)
        rc = section(&out, "System", m->system, SECTION_OF);
    for (size_t i = 0; rc == 0 && i < m->n_license; i++)
        rc = section(&out, "License", m->license[i], SECTION_OF);
    rc = rc < 0 ? err_set(e, rc, "no memory for a text") : print(&out, e);
    buf_done(&out);
    buf_done(&params);
    return rc;
}

int show_stored_json(json_t *o, const struct store_model *m)
{
    json_t *list = json_array();
    int bad = !list;

    if (!m->path) {
        json_decref(list);
        return 0;
    }
    for (size_t i = 0; i < m->n_license; i++)
        bad |= json_array_append_new(list, json_stringn(m->license[i].p, m->license[i].n));
    bad |= json_object_set_new(o, "name", json_string(m->name));
    bad |= json_object_set_new(o, "digest", json_string(m->digest));
    bad |= json_object_set(o, "licenses", list);
    bad |= json_object_set(o, "parameters_set", m->params);
    bad |= json_object_set(o, "messages", m->messages);
    if (m->template.p)
        bad |= json_object_set_new(o, "template", json_stringn(m->template.p, m->template.n));
    if (m->system.p)
        bad |= json_object_set_new(o, "system", json_stringn(m->system.p, m->system.n));
    json_decref(list);
    return bad ? -1 : 0;
}
