#include "net/lines.h"

/* A line is gathered whole before anything looks at it, so that cuts cannot matter: a byte
 * order mark, a field's name or a character may arrive in pieces. */

enum { FIELD_NAMES = 32 }; /* room for "event: " beside the value */

void lines_init(struct lines *l, int kind, size_t max,
                int (*each)(void *ctx, struct str event, struct str data), void *ctx)
{
    *l = (struct lines){.kind = kind, .each = each, .ctx = ctx};
    buf_init(&l->line, max < SIZE_MAX - FIELD_NAMES ? max + FIELD_NAMES : max);
    buf_init(&l->data, max < SIZE_MAX ? max + 1 : max); /* each data line brings an LF */
    buf_init(&l->event, max);
}

void lines_done(struct lines *l)
{
    buf_done(&l->line);
    buf_done(&l->data);
    buf_done(&l->event);
}

static struct str view(const struct buf *b)
{
    return (struct str){b->n ? b->p : "", b->n};
}

static int too_much(const struct lines *l, int rc, struct err *e)
{
    if (rc == E_TOO_LONG)
        return err_set(e, E_TOO_LONG, "an event of more than %zu bytes", l->event.max);
    return err_set(e, E_NOMEM, "no memory for an event");
}

static int give(struct lines *l, struct str event, struct str data, struct err *e)
{
    int rc = l->each(l->ctx, event, data);

    return rc > 0 ? err_set(e, E_CANCELLED, "the reader has enough") : rc;
}

/* The empty line: what was gathered is an event if it has data. */
static int dispatch(struct lines *l, struct err *e)
{
    int rc = 0;

    if (l->data.n)
        rc = give(l, view(&l->event), (struct str){l->data.p, l->data.n - 1}, e);
    buf_clear(&l->data);
    buf_clear(&l->event);
    return rc;
}

/* One line of an event: "name: value", of which one blank behind the colon is no part. */
static int sse_line(struct lines *l, struct str s, struct err *e)
{
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    struct str name = {s.p, colon ? (size_t)(colon - s.p) : s.n};
    struct str value = {s.p + name.n, s.n - name.n};
    struct buf *to = NULL;
    int rc;

    if (s.n == 0)
        return dispatch(l, e);
    if (colon) {
        value.p++;
        value.n--;
    }
    if (value.n && value.p[0] == ' ') {
        value.p++;
        value.n--;
    }
    if (str_is(name, "data")) {
        to = &l->data;
    } else if (str_is(name, "event")) {
        to = &l->event;
        buf_clear(to);
    } else {
        return 0; /* a comment, id, retry, or what nobody knows */
    }
    rc = buf_put(to, value.p, value.n);
    if (rc == 0 && to == &l->data)
        rc = buf_byte(to, '\n');
    return rc < 0 ? too_much(l, rc, e) : 0;
}

static int ndjson_line(struct lines *l, struct str s, struct err *e)
{
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    if (s.n > l->event.max)
        return too_much(l, E_TOO_LONG, e);
    return s.n ? give(l, (struct str){"", 0}, s, e) : 0;
}

static int line_end(struct lines *l, struct err *e)
{
    struct str s = view(&l->line);
    int rc;

    if (!l->begun && s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0) {
        s.p += 3;
        s.n -= 3;
    }
    l->begun = 1;
    rc = l->kind == LINES_SSE ? sse_line(l, s, e) : ndjson_line(l, s, e);
    buf_clear(&l->line);
    return rc;
}

/* Bytes before the next end of a line. */
static size_t line_part(const struct lines *l, const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n), *cr;

    if (lf)
        n = (size_t)(lf - p);
    cr = l->kind == LINES_SSE ? memchr(p, '\r', n) : NULL;
    return cr ? (size_t)(cr - p) : n;
}

int lines_put(struct lines *l, const char *p, size_t n, struct err *e)
{
    while (n) {
        size_t part;
        int rc;

        if (l->seen_cr && *p == '\n') { /* the second half of CRLF */
            l->seen_cr = 0;
            p++;
            n--;
            continue;
        }
        l->seen_cr = 0;
        part = line_part(l, p, n);
        rc = buf_put(&l->line, p, part);
        if (rc < 0)
            return too_much(l, rc, e);
        p += part;
        n -= part;
        if (n == 0)
            return 0;
        l->seen_cr = *p == '\r';
        p++;
        n--;
        rc = line_end(l, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int lines_end(struct lines *l, struct err *e)
{
    return l->kind == LINES_NDJSON && l->line.n ? line_end(l, e) : 0;
}
