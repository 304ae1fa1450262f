#include "serve/api/arguments.h"

#include <jansson.h>

int arguments_whole(struct str text)
{
    json_t *v = json_loadb(text.p ? text.p : "", text.n,
                           JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    int whole = json_is_object(v);

    json_decref(v);
    return whole;
}

/* Where the copying is. */
struct scan {
    int depth, in_string, escaped;
    size_t member; /* bytes written up to the end of the last complete member */
};

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One character; n: bytes written before it. 1: it is written, too. */
static int step(struct scan *s, char c, size_t n)
{
    if (s->in_string) {
        s->in_string = s->escaped || c != '"';
        s->escaped = !s->escaped && c == '\\';
        return 1;
    }
    s->in_string = c == '"';
    if (c == '{' || c == '[') {
        if (s->depth++ == 0)
            s->member = n + 1;
    } else if (c == '}' || c == ']') {
        s->depth--;
    } else if (c == ',' && s->depth == 1) {
        s->member = n;
    }
    return !is_space(c);
}

int arguments_put(struct buf *out, struct str text)
{
    struct scan s = {0};
    size_t from = out->n;
    int rc = 0;

    s.member = from;
    for (size_t i = 0; i < text.n && rc == 0; i++) {
        if (step(&s, text.p[i], out->n))
            rc = buf_byte(out, text.p[i]);
    }
    if (rc == 0 && (s.depth > 0 || s.in_string)) { /* cut */
        out->n = s.member;
        rc = buf_byte(out, '}');
    }
    if (rc == 0 && out->n > from && arguments_whole((struct str){out->p + from, out->n - from}))
        return 0;
    out->n = from;
    return rc < 0 ? rc : buf_str(out, "{}");
}
