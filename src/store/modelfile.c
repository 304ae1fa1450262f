/* modelfile.c - reads Modelfiles: statements, and how values are quoted. */
#include "store/modelfile.h"

#include "store/modelfile_text.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define WARNINGS_MAX ((size_t)64 << 10)

struct scan {
    const char *p, *end;
    int line;
};

struct statement {
    const char *word;
    size_t at;   /* of a struct str, or of the struct str * of a list */
    size_t at_n; /* of a list's length; 0: one text, the last one holds */
    int (*read)(struct modelfile *m, struct scan *s, struct err *e); /* instead of these */
    const char *note;                                                /* a warning; or NULL */
};

static int read_parameter(struct modelfile *m, struct scan *s, struct err *e);
static int read_message(struct modelfile *m, struct scan *s, struct err *e);

#define AT(f)   offsetof(struct modelfile, f)
#define LIST(f) AT(f), AT(n_##f)

/* clang-format off */
static const struct statement statements[] = {
    {"from",      LIST(from), NULL, NULL},
    {"license",   LIST(license), NULL, NULL},
    {"template",  AT(template), 0, NULL, NULL},
    {"system",    AT(system), 0, NULL, NULL},
    {"adapter",   LIST(adapter), NULL, NULL},
    {"draft",     AT(draft), 0, NULL, NULL},
    {"renderer",  AT(renderer), 0, NULL,
     "RENDERER is kept, but conversations are written by the chat template"},
    {"parser",    AT(parser), 0, NULL,
     "PARSER is kept, but answers are read as the chat template says"},
    {"parameter", 0, 0, read_parameter, NULL},
    {"message",   0, 0, read_message, NULL},
    {"requires",  AT(requires), 0, NULL, "REQUIRES is kept: a version of Ollama, not of hearth"},
};
/* clang-format on */

#define N_STATEMENT (sizeof(statements) / sizeof(*statements))

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && is_blank(*s->p))
        s->p++;
}

/* To where the next statement begins. */
static void skip_space(struct scan *s)
{
    int comment = 0;

    for (; s->p < s->end; s->p++) {
        if (*s->p == '\n') {
            comment = 0;
            s->line++;
        } else if (*s->p == '#') {
            comment = 1;
        } else if (!comment && !is_blank(*s->p)) {
            return;
        }
    }
}

static struct str word(struct scan *s)
{
    const char *start = s->p;

    while (s->p < s->end && (isalnum((unsigned char)*s->p) || *s->p == '_'))
        s->p++;
    return (struct str){start, (size_t)(s->p - start)};
}

/* 1 and what is within the quotes, if v is a whole value; what has none is one as it is. */
static int unquote(struct str v, struct str *out)
{
    size_t q = v.n >= 3 && memcmp(v.p, "\"\"\"", 3) == 0 ? 3 : v.n >= 1 && *v.p == '"';

    if (v.n < 2 * q || (q && memcmp(v.p + v.n - q, "\"\"\"", q) != 0))
        return 0;
    *out = (struct str){v.p + q, v.n - 2 * q};
    return 1;
}

/* The value that begins here; behind it the scan is at a line's end. */
static int value(struct scan *s, const char *what, struct str *out, struct err *e)
{
    const char *start, *last;
    int line = s->line;

    skip_blanks(s);
    start = last = s->p;
    if (s->p == s->end || *s->p == '\n')
        return err_set(e, E_INVALID, "(line %d): %s has no value", line, what);
    for (;; s->p++) {
        if (s->p == s->end || *s->p == '\n') {
            if (unquote((struct str){start, (size_t)(last - start)}, out))
                return 0;
            if (s->p == s->end)
                return err_set(e, E_INVALID,
                               "(line %d): unexpected EOF: the quotes of %s are not closed at "
                               "the end of a line",
                               line, what);
            s->line++;
        } else if (!is_blank(*s->p)) {
            last = s->p + 1;
        }
    }
}

static int no_room(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for a Modelfile");
}

static int keep(struct modelfile *m, struct str v, struct str *out, struct err *e)
{
    const char *copy = arena_strdup(&m->mem, v);

    if (!copy)
        return no_room(e);
    *out = (struct str){copy, v.n};
    return 0;
}

/* A list doubles when it is full; its old place stays in the arena. */
static int push(struct modelfile *m, struct str **list, size_t *n, struct str v, struct err *e)
{
    if ((*n & (*n - 1)) == 0) {
        struct str *more = arena_calloc(&m->mem, *n ? *n * 2 : 1, sizeof(*more));

        if (!more)
            return no_room(e);
        if (*n)
            memcpy(more, *list, *n * sizeof(*more));
        *list = more;
    }
    (*list)[(*n)++] = v;
    return 0;
}

static void warn(struct modelfile *m, int line, const char *what, const char *note)
{
    if (buf_fmt(&m->warnings, "(line %d): %s%s%s\n", line, what, *what ? " " : "", note) < 0)
        return; /* enough was said */
}

static int read_parameter(struct modelfile *m, struct scan *s, struct err *e)
{
    struct str name = word(s), v = {NULL, 0};
    const char *note = NULL;
    int line = s->line, rc;
    char what[72];

    if (name.n == 0)
        return err_set(e, E_INVALID, "(line %d): PARAMETER has no name", line);
    (void)snprintf(what, sizeof(what), "%.*s", name.n < 64 ? (int)name.n : 64, name.p);
    rc = value(s, what, &v, e);
    if (rc < 0)
        return rc;
    rc = modelfile_param(m->params, name, v, &note, e);
    if (rc < 0)
        return err_wrap(e, rc, "(line %d)", line);
    if (note)
        warn(m, line, what, note);
    return 0;
}

static int read_message(struct modelfile *m, struct scan *s, struct err *e)
{
    struct str role = word(s), v = {NULL, 0};
    int line = s->line, rc;
    json_t *message;

    if (!str_is(role, "system") && !str_is(role, "user") && !str_is(role, "assistant"))
        return err_set(e, E_INVALID,
                       "(line %d): message role must be one of \"system\", \"user\", or "
                       "\"assistant\"",
                       line);
    rc = value(s, "MESSAGE", &v, e);
    if (rc < 0)
        return rc;
    message = json_pack("{s:s%, s:s%}", "role", role.p, role.n, "content", v.n ? v.p : "", v.n);
    if (!message || json_array_append_new(m->messages, message) != 0)
        return no_room(e);
    return 0;
}

static const struct statement *statement_find(struct str w)
{
    for (size_t i = 0; i < N_STATEMENT; i++) {
        const char *known = statements[i].word;

        if (strlen(known) == w.n && strncasecmp(known, w.p, w.n) == 0)
            return &statements[i];
    }
    return NULL;
}

static int read_text(struct modelfile *m, const struct statement *st, struct scan *s,
                     struct err *e)
{
    char what[16];
    struct str v = {NULL, 0};
    int rc;

    for (size_t i = 0; i <= strlen(st->word); i++)
        what[i] = (char)toupper((unsigned char)st->word[i]);
    rc = value(s, what, &v, e);
    if (rc == 0)
        rc = keep(m, v, &v, e);
    if (rc < 0)
        return rc;
    if (st->at_n)
        return push(m, (struct str **)(void *)((char *)m + st->at),
                    (size_t *)(void *)((char *)m + st->at_n), v, e);
    *(struct str *)(void *)((char *)m + st->at) = v;
    return 0;
}

static int read_statement(struct modelfile *m, struct scan *s, struct err *e)
{
    int line = s->line, rc;
    const struct statement *st = statement_find(word(s));

    if (!st || (s->p < s->end && !is_blank(*s->p) && *s->p != '\n'))
        return err_set(e, E_INVALID,
                       "(line %d): command must be one of \"from\", \"license\", \"template\", "
                       "\"system\", \"adapter\", \"draft\", \"renderer\", \"parser\", "
                       "\"parameter\", \"message\", or \"requires\"",
                       line);
    skip_blanks(s);
    rc = st->read ? st->read(m, s, e) : read_text(m, st, s, e);
    if (rc == 0 && st->note)
        warn(m, line, "", st->note);
    return rc;
}

int modelfile_parse(struct modelfile *out, struct str text, struct err *e)
{
    struct buf plain;
    struct scan s;
    int rc = 0;

    *out = (struct modelfile){.params = json_object(), .messages = json_array()};
    arena_init(&out->mem, 8 * MODELFILE_MAX);
    buf_init(&out->warnings, WARNINGS_MAX);
    buf_init(&plain, 2 * MODELFILE_MAX);
    if (text.n > MODELFILE_MAX)
        rc = err_set(e, E_INVALID, "%zu bytes, but a Modelfile has at most %zu", text.n,
                     MODELFILE_MAX);
    else if (!out->params || !out->messages)
        rc = no_room(e);
    if (rc == 0)
        rc = modelfile_text(&plain, text, e);
    s.p = plain.p ? plain.p : "";
    s.end = s.p + plain.n;
    s.line = 1;
    for (skip_space(&s); rc == 0 && s.p < s.end; skip_space(&s))
        rc = read_statement(out, &s, e);
    if (rc == 0 && out->n_from == 0)
        rc = err_set(e, E_INVALID, "no FROM line");
    buf_done(&plain);
    return rc;
}

void modelfile_done(struct modelfile *m)
{
    json_decref(m->params);
    json_decref(m->messages);
    buf_done(&m->warnings);
    arena_done(&m->mem);
    *m = (struct modelfile){0};
}
