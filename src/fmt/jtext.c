#include "fmt/jtext.h"

#include "base/num.h"
#include "base/utf8.h"
#include "fmt/jbig.h"

#include <stdio.h>

/* -- strings ------------------------------------------------------------------------------- */

static size_t put_hex(char *out, unsigned unit)
{
    out[0] = '\\';
    out[1] = 'u';
    for (int i = 0; i < 4; i++)
        out[2 + i] = "0123456789abcdef"[unit >> (12 - 4 * i) & 15];
    return 6;
}

/* How a character that may not stand in a string is written there. */
static size_t escape(int32_t c, char out[12])
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    size_t n;

    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if (c == shorts[i]) {
            out[0] = '\\';
            out[1] = shorts[i + 1];
            return 2;
        }
    }
    if (c < 0x10000)
        return put_hex(out, (unsigned)c);
    n = put_hex(out, 0xd7c0 + ((unsigned)c >> 10));
    return n + put_hex(out + n, 0xdc00 + ((unsigned)c & 0x3ff));
}

int jtext_escape(struct buf *out, struct str s, int form)
{
    size_t from = 0, at = 0;
    int rc = 0, ascii = (form & JSON_ENSURE_ASCII) != 0;

    while (at < s.n && rc == 0) {
        int32_t c = (unsigned char)s.p[at];
        char text[12] = "\xef\xbf\xbd";
        size_t n_text = 3, len = 1;

        if (c >= 0x80)
            len = (size_t)utf8_next(s.p + at, s.n - at, &c);
        if (c >= 0x80 ? !ascii : c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            at += len;
            continue;
        }
        if (c >= 0)
            n_text = escape(c, text);
        else if (ascii)
            n_text = escape(0xfffd, text);
        rc = buf_put(out, s.p + from, at - from);
        if (rc == 0)
            rc = buf_put(out, text, n_text);
        at += len;
        from = at;
    }
    if (rc == 0 && at > from)
        rc = buf_put(out, s.p + from, at - from);
    return rc;
}

static int put_string(struct buf *out, struct str s, int form)
{
    int rc = buf_byte(out, '"');

    if (rc == 0)
        rc = jtext_escape(out, s, form);
    return rc < 0 ? rc : buf_byte(out, '"');
}

/* -- values -------------------------------------------------------------------------------- */

static int put_real(struct buf *out, double x)
{
    char text[NUM_TEXT];
    int len = num_double(text, x), rc = buf_put(out, text, (size_t)len);

    return rc < 0 || strcspn(text, ".e") < (size_t)len ? rc : buf_str(out, ".0");
}

static int put_line(struct buf *out, int form, int depth)
{
    int n = (form & JSON_MAX_INDENT) * depth;

    return form & JSON_MAX_INDENT ? buf_fmt(out, "\n%*s", n, "") : 0;
}

static int put(struct buf *out, const json_t *v, int form, int depth);

static int put_array(struct buf *out, const json_t *v, int form, int depth)
{
    const json_t *item;
    size_t i;
    int rc = buf_byte(out, '[');

    json_array_foreach(v, i, item)
    {
        if (rc == 0 && i)
            rc = buf_byte(out, ',');
        if (rc == 0)
            rc = put_line(out, form, depth + 1);
        if (rc == 0)
            rc = put(out, item, form, depth + 1);
    }
    if (rc == 0 && json_array_size(v))
        rc = put_line(out, form, depth);
    return rc < 0 ? rc : buf_byte(out, ']');
}

static int put_object(struct buf *out, const json_t *v, int form, int depth)
{
    json_t *o = (json_t *)(uintptr_t)v; /* jansson's way through an object is not const */
    const char *colon = form & JSON_MAX_INDENT ? ": " : ":";
    int rc = buf_byte(out, '{');

    for (void *at = json_object_iter(o); at && rc == 0; at = json_object_iter_next(o, at)) {
        struct str key = {json_object_iter_key(at), json_object_iter_key_len(at)};

        if (at != json_object_iter(o))
            rc = buf_byte(out, ',');
        if (rc == 0)
            rc = put_line(out, form, depth + 1);
        if (rc == 0)
            rc = put_string(out, key, form);
        if (rc == 0)
            rc = buf_str(out, colon);
        if (rc == 0)
            rc = put(out, json_object_iter_value(at), form, depth + 1);
    }
    if (rc == 0 && json_object_size(v))
        rc = put_line(out, form, depth);
    return rc < 0 ? rc : buf_byte(out, '}');
}

/* As deep as the value is, which jansson's parser bounds. */
static int put(struct buf *out, const json_t *v, int form, int depth)
{
    struct str digits = jbig_digits(v);

    if (digits.p)
        return buf_put(out, digits.p, digits.n);
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return put_object(out, v, form, depth);
    case JSON_ARRAY:
        return put_array(out, v, form, depth);
    case JSON_STRING:
        return put_string(out, (struct str){json_string_value(v), json_string_length(v)}, form);
    case JSON_INTEGER:
        return buf_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return put_real(out, json_real_value(v));
    case JSON_TRUE:
        return buf_str(out, "true");
    case JSON_FALSE:
        return buf_str(out, "false");
    default:
        return buf_str(out, "null");
    }
}

int jtext_put(struct buf *out, const json_t *v, int form)
{
    return put(out, v, form, 0);
}
