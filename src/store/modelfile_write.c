/* modelfile_write.c - writes Modelfiles that parse to what they were made of. */
#include "store/modelfile.h"

#include "base/num.h"

#include <math.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether text within q quotes is read again as it is: they must not seem to be closed at the
 * end of an earlier line, nor be taken for three when they are one. */
static int holds(struct str text, size_t q)
{
    size_t quotes = 0,
           n = 0; /* quotes that end the line so far; characters before its blanks */

    if (q == 1 && ((text.n >= 2 && memcmp(text.p, "\"\"", 2) == 0) || str_is(text, "\"")))
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\n') {
            if (quotes >= q && n + q >= 2 * q)
                return 0;
        } else if (!is_blank(c)) {
            quotes = c == '"' && (i == 0 || text.p[i - 1] == '"') ? quotes + 1 : c == '"';
            n = i + 1;
        }
    }
    return 1;
}

static int needs_quotes(struct str text)
{
    return text.n == 0 || *text.p == '"' || is_blank(*text.p) || is_blank(text.p[text.n - 1]) ||
           memchr(text.p, '\n', text.n) != NULL;
}

static int put_value(struct buf *out, struct str text)
{
    static const char quotes[] = "\"\"\"";
    size_t q = !needs_quotes(text)                              ? 0
               : holds(text, 1) && !memchr(text.p, '"', text.n) ? 1
               : holds(text, 3)                                 ? 3
               : holds(text, 1)                                 ? 1
                                                                : 4;
    int rc;

    if (q > 3)
        return err_set(NULL, E_INVALID, "a text that quotes cannot hold");
    rc = buf_put(out, quotes, q);
    if (rc == 0 && text.n)
        rc = buf_put(out, text.p, text.n);
    if (rc == 0)
        rc = buf_put(out, quotes, q);
    return rc < 0 ? rc : buf_byte(out, '\n');
}

static int put(struct buf *out, const char *head, struct str text)
{
    int rc = text.p ? buf_fmt(out, "%s ", head) : 0;

    return rc < 0 || !text.p ? rc : put_value(out, text);
}

static int put_list(struct buf *out, const char *word, const struct str *list, size_t n)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put(out, word, list[i]);
    return rc;
}

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

static int put_param(struct buf *out, const char *name, const json_t *v)
{
    char number[NUM_TEXT];
    int rc = 0;

    if (json_is_array(v)) {
        const json_t *item;
        size_t i;

        json_array_foreach(v, i, item)
        {
            if (rc == 0)
                rc = put_param(out, name, item);
        }
        return rc;
    }
    rc = buf_fmt(out, "PARAMETER %s ", name);
    if (rc < 0)
        return rc;
    if (json_is_string(v))
        return put_value(out, text_of(v));
    if (json_is_boolean(v))
        return buf_fmt(out, "%s\n", json_is_true(v) ? "true" : "false");
    if (json_is_integer(v))
        return buf_fmt(out, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
    (void)num_double(number, json_real_value(v));
    return buf_fmt(out, "%s\n", number);
}

static int put_messages(struct buf *out, const json_t *messages)
{
    const json_t *m;
    size_t i;
    int rc = 0;

    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));

        if (rc == 0 && role)
            rc = buf_fmt(out, "MESSAGE %s ", role);
        if (rc == 0 && role)
            rc = put_value(out, text_of(json_object_get(m, "content")));
    }
    return rc;
}

int modelfile_write(const struct modelfile *m, struct buf *out)
{
    const char *name;
    json_t *v;
    int rc = put_list(out, "FROM", m->from, m->n_from);

    if (rc == 0)
        rc = put(out, "TEMPLATE", m->template);
    if (rc == 0)
        rc = put(out, "SYSTEM", m->system);
    if (rc == 0)
        rc = put_list(out, "ADAPTER", m->adapter, m->n_adapter);
    if (rc == 0)
        rc = put(out, "DRAFT", m->draft);
    if (rc == 0)
        rc = put(out, "RENDERER", m->renderer);
    if (rc == 0)
        rc = put(out, "PARSER", m->parser);
    if (rc == 0)
        rc = put(out, "REQUIRES", m->requires);
    json_object_foreach(m->params, name, v)
    {
        if (rc == 0)
            rc = put_param(out, name, v);
    }
    if (rc == 0)
        rc = put_list(out, "LICENSE", m->license, m->n_license);
    return rc < 0 ? rc : put_messages(out, m->messages);
}
