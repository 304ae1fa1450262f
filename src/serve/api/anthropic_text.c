/* anthropic_text.c - blocks that are said to the model as text: text, documents, results of
 * searches.
 */
#include "serve/api/anthropic_text.h"

#include <string.h>

/* Every field of these blocks. */
struct block {
    struct str text, title, context, url;
    json_t *source, *content;
};

#define AT(field) .at = offsetof(struct block, field)
#define NEED      .flags = FIELD_NEEDED
#define COMMON                                                                                 \
    {.name = "type", .type = FIELD_NOTED, .is = FIELD_IS_STR},                                 \
    {                                                                                          \
        .name = "cache_control", .type = FIELD_NOTED, .is = FIELD_IS_OBJECT                    \
    }
#define NO_CITATIONS                                                                           \
    {                                                                                          \
        .name = "citations", .type = FIELD_REFUSED, .harmless = "{\"enabled\":false}",         \
        .why = "is not supported: answers do not cite"                                         \
    }

static const struct field_row text_rows[] = {
    COMMON,
    {.name = "text", .type = FIELD_STR, AT(text), NEED},
    {.name = "citations", .type = FIELD_NOTED, .is = FIELD_IS_ARRAY},
};

static const struct field_row document_rows[] = {
    COMMON,
    NO_CITATIONS,
    {.name = "source", .type = FIELD_OBJECT, AT(source), NEED},
    {.name = "title", .type = FIELD_STR, AT(title)},
    {.name = "context", .type = FIELD_STR, AT(context)},
};

static const struct field_row search_rows[] = {
    COMMON,
    NO_CITATIONS,
    {.name = "source", .type = FIELD_STR, AT(url), NEED},
    {.name = "title", .type = FIELD_STR, AT(title), NEED},
    {.name = "content", .type = FIELD_ARRAY, AT(content), NEED},
};

#define SOURCE(field) .at = offsetof(struct anthropic_source, field)

static const struct field_row source_rows[] = {
    {.name = "type", .type = FIELD_STR, SOURCE(type), NEED},
    {.name = "media_type", .type = FIELD_STR, SOURCE(media_type)},
    {.name = "data", .type = FIELD_STR, SOURCE(data)},
    {.name = "content", .type = FIELD_JSON, SOURCE(content)},
    {.name = "url", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "file_id", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

static int no_memory(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for the conversation");
}

int anthropic_put(struct buf *b, struct str s, struct err *e)
{
    return buf_put(b, s.p, s.n) < 0 ? no_memory(e) : 0;
}

int anthropic_next_line(struct buf *b, struct err *e)
{
    return b->n && b->p[b->n - 1] != '\n' ? anthropic_put(b, str_of("\n"), e) : 0;
}

struct str anthropic_type(const json_t *block)
{
    const json_t *type = json_object_get(block, "type");

    return json_is_string(type)
               ? (struct str){json_string_value(type), json_string_length(type)}
               : (struct str){"", 0};
}

int anthropic_fields(struct anthropic_place *t, const struct field_row *rows, size_t n,
                     const json_t *j, void *into, struct err *e)
{
    char path[ANTHROPIC_PATH + 1];

    (void)snprintf(path, sizeof(path), "%s.", t->path);
    return field_read(rows, n, path, j, into, t->r, e);
}

#define READ(t, rows, j, b, e)                                                                 \
    anthropic_fields(t, rows, sizeof(rows) / sizeof(*(rows)), j, b, e)

size_t anthropic_path_on(struct anthropic_place *t, const char *name, size_t index)
{
    size_t n = strlen(t->path);

    (void)snprintf(t->path + n, sizeof(t->path) - n, "%s.%zu", name, index);
    return n;
}

void anthropic_path_back(struct anthropic_place *t, size_t n)
{
    t->path[n] = '\0';
}

int anthropic_text(struct anthropic_place *t, const json_t *j, struct buf *out, struct err *e)
{
    struct block b = {0};
    int rc;

    if (!str_is(anthropic_type(j), "text"))
        return err_set(e, E_UNSUPPORTED,
                       "%s: a block of type '%.*s'; only text is understood here", t->path,
                       (int)anthropic_type(j).n, anthropic_type(j).p);
    rc = READ(t, text_rows, j, &b, e);
    return rc < 0 ? rc : anthropic_put(out, b.text, e);
}

int anthropic_texts(struct anthropic_place *t, const char *name, const json_t *j,
                    struct buf *out, struct err *e)
{
    const json_t *block;
    size_t i;
    int rc = 0;

    if (json_is_string(j))
        return anthropic_put(out, (struct str){json_string_value(j), json_string_length(j)}, e);
    if (!json_is_array(j))
        return err_set(e, E_INVALID, "%s%s: is neither a string nor an array of blocks",
                       t->path, name);
    json_array_foreach(j, i, block)
    {
        size_t back = anthropic_path_on(t, name, i);

        rc = i ? anthropic_next_line(out, e) : 0;
        if (rc == 0)
            rc = anthropic_text(t, block, out, e);
        anthropic_path_back(t, back);
        if (rc < 0)
            break;
    }
    return rc;
}

int anthropic_source(struct anthropic_place *t, const json_t *j, struct anthropic_source *out,
                     struct err *e)
{
    char path[ANTHROPIC_PATH + 8];

    *out = (struct anthropic_source){0};
    (void)snprintf(path, sizeof(path), "%s.source.", t->path);
    return field_read(source_rows, sizeof(source_rows) / sizeof(*source_rows), path, j, out,
                      t->r, e);
}

static int put_source(struct anthropic_place *t, const json_t *j, struct buf *out,
                      struct err *e)
{
    struct anthropic_source s;
    int rc = anthropic_source(t, j, &s, e);

    if (rc < 0)
        return rc;
    if (str_is(s.type, "text"))
        return anthropic_put(out, s.data, e);
    if (str_is(s.type, "content") && s.content)
        return anthropic_texts(t, ".source.content", s.content, out, e);
    return err_set(e, E_UNSUPPORTED,
                   "%s.source.type: documents of type '%.*s' are not supported; put their text "
                   "into a source of type 'text'",
                   t->path, (int)s.type.n, s.type.p);
}

/* <name>text</name> on a line. */
static int put_tag(struct buf *out, const char *name, struct str text, struct err *e)
{
    int rc = buf_fmt(out, "<%s>", name);

    if (rc == 0)
        rc = buf_put(out, text.p, text.n);
    if (rc == 0)
        rc = buf_fmt(out, "</%s>\n", name);
    return rc < 0 ? no_memory(e) : 0;
}

int anthropic_document(struct anthropic_place *t, const json_t *j, struct buf *out,
                       struct err *e)
{
    struct block b = {0};
    int rc = READ(t, document_rows, j, &b, e);

    if (rc == 0)
        rc = anthropic_put(out, str_of("<document>\n"), e);
    if (rc == 0 && b.title.n)
        rc = put_tag(out, "title", b.title, e);
    if (rc == 0 && b.context.n)
        rc = put_tag(out, "context", b.context, e);
    if (rc == 0)
        rc = put_source(t, b.source, out, e);
    if (rc == 0)
        rc = anthropic_next_line(out, e);
    return rc < 0 ? rc : anthropic_put(out, str_of("</document>\n"), e);
}

int anthropic_search_result(struct anthropic_place *t, const json_t *j, struct buf *out,
                            struct err *e)
{
    struct block b = {0};
    int rc = READ(t, search_rows, j, &b, e);

    if (rc == 0)
        rc = anthropic_put(out, str_of("<search_result>\n"), e);
    if (rc == 0)
        rc = put_tag(out, "source", b.url, e);
    if (rc == 0)
        rc = put_tag(out, "title", b.title, e);
    if (rc == 0)
        rc = anthropic_texts(t, ".content", b.content, out, e);
    if (rc == 0)
        rc = anthropic_next_line(out, e);
    return rc < 0 ? rc : anthropic_put(out, str_of("</search_result>\n"), e);
}

int anthropic_result(struct anthropic_place *t, const json_t *content, struct buf *out,
                     struct err *e)
{
    const json_t *block;
    size_t i;
    int rc = 0;

    if (!json_is_array(content))
        return content ? anthropic_texts(t, ".content", content, out, e) : 0;
    json_array_foreach(content, i, block)
    {
        size_t back = anthropic_path_on(t, ".content", i);
        struct str type = anthropic_type(block);

        rc = i ? anthropic_next_line(out, e) : 0;
        if (rc == 0)
            rc = (str_is(type, "document")        ? anthropic_document
                  : str_is(type, "search_result") ? anthropic_search_result
                                                  : anthropic_text)(t, block, out, e);
        anthropic_path_back(t, back);
        if (rc < 0)
            break;
    }
    return rc;
}
