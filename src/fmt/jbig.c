/* jbig.c - numbers past 64 bits. They are rare: only a text that jansson finds too big is
 * looked through for them and read again with a string in the place of each.
 */
#include "fmt/jbig.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { SHOWN = 40 };

/* Not UTF-8, so that no text has such a key. */
static const char key[] = "\xff";
/* What begins the strings, and does not stand in a text that is read again. */
static const char mark[] = "\\u0000";

struct str jbig_digits(const json_t *v)
{
    const json_t *digits =
        json_is_object(v) && json_object_size(v) == 1 ? json_object_get(v, key) : NULL;

    return (struct str){json_string_value(digits), json_string_length(digits)};
}

double jbig_value(const json_t *v)
{
    struct str digits = jbig_digits(v);

    return digits.p ? strtod(digits.p, NULL) : json_number_value(v);
}

/* -- the text with marks ------------------------------------------------------------------- */

/* How long the number at the beginning of n bytes is. *whole: it has no point and no exponent.
 */
static size_t number(const char *p, size_t n, int *whole)
{
    size_t i = 0;

    *whole = 1;
    for (; i < n && p[i] && strchr("0123456789+-.eE", p[i]); i++)
        *whole &= (p[i] == '-' && i == 0) || (p[i] >= '0' && p[i] <= '9');
    return i;
}

/* It cannot be held: as what it is, and where. */
static int too_big(struct str s, size_t at, struct err *e)
{
    return err_set(e, E_TOO_LONG, "the number %.*s%s is out of range (byte %zu)",
                   (int)(s.n < SHOWN ? s.n : SHOWN), s.p, s.n < SHOWN ? "" : "...", at);
}

static int put_number(struct buf *out, struct str s, int whole, size_t at, struct err *e)
{
    struct buf text;
    int rc, big = 0;

    if (whole && s.n < 19)
        return buf_put(out, s.p, s.n);
    buf_init(&text, s.n + 1);
    rc = buf_put(&text, s.p, s.n);
    if (rc == 0 && isinf(strtod(text.p, NULL))) {
        buf_done(&text);
        return too_big(s, at, e);
    }
    if (rc == 0 && whole) {
        errno = 0;
        (void)strtoll(text.p, NULL, 10);
        /* Zeros in front are not JSON, which is for jansson to say. */
        big = errno == ERANGE && s.p[s.p[0] == '-'] != '0';
    }
    buf_done(&text);
    if (rc == 0 && big)
        rc = buf_fmt(out, "\"%s", mark);
    if (rc == 0)
        rc = buf_put(out, s.p, s.n);
    return rc < 0 || !big ? rc : buf_byte(out, '"');
}

/* Copies s, strings as they are. */
static int mark_all(struct buf *out, struct str s, struct err *e)
{
    int in_string = 0, whole, rc = 0;

    for (size_t i = 0; i < s.n && rc == 0;) {
        char c = s.p[i];
        size_t n = 1;

        if (in_string && c == '\\' && i + 1 < s.n)
            n = 2;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '-' || (c >= '0' && c <= '9')))
            n = number(s.p + i, s.n - i, &whole);
        rc = !in_string && (c == '-' || (c >= '0' && c <= '9'))
                 ? put_number(out, (struct str){s.p + i, n}, whole, i, e)
                 : buf_put(out, s.p + i, n);
        i += n;
    }
    return rc;
}

/* -- and back ---------------------------------------------------------------------------- */

/* What a marked string stands for: a new reference. NULL: it is another value. */
static json_t *unmark(const json_t *v)
{
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    json_t *o;

    if (n < 2 || text[0])
        return NULL;
    o = json_object();
    if (json_object_set_new_nocheck(o, key, json_stringn(text + 1, n - 1)) == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* As deep as jansson's parser goes. 0, or -1: no memory. */
static int unmark_all(json_t *v)
{
    int rc = 0;

    for (size_t i = 0; i < json_array_size(v) && rc == 0; i++) {
        json_t *item = json_array_get(v, i), *big = unmark(item);

        rc = big ? json_array_set_new(v, i, big) : unmark_all(item);
    }
    for (void *at = json_object_iter(v); at && rc == 0; at = json_object_iter_next(v, at)) {
        json_t *item = json_object_iter_value(at), *big = unmark(item);

        rc = big ? json_object_iter_set_new(v, at, big) : unmark_all(item);
    }
    return rc;
}

static int no_memory(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for JSON");
}

static int refused(const json_error_t *why, struct err *e)
{
    if (json_error_code(why) == json_error_out_of_memory)
        return no_memory(e);
    if (why->line > 1)
        return err_set(e, E_INVALID, "%s (line %d, byte %d)", why->text, why->line,
                       why->position);
    return err_set(e, E_INVALID, "%s (byte %d)", why->text, why->position);
}

static int load_marked(json_t **out, struct str text, size_t flags, struct err *e)
{
    json_error_t why;
    struct buf marked;
    json_t *whole;
    int rc;

    buf_init(&marked, 2 * text.n + 64);
    rc = mark_all(&marked, text, e);
    if (rc == E_NOMEM)
        rc = no_memory(e);
    if (rc == 0) {
        *out = json_loadb(marked.p, marked.n, flags | JSON_ALLOW_NUL, &why);
        rc = *out ? 0 : refused(&why, e);
    }
    buf_done(&marked);
    if (rc < 0)
        return rc;
    whole = unmark(*out);
    if (whole) {
        json_decref(*out);
        *out = whole;
    } else if (unmark_all(*out) < 0) {
        json_decref(*out);
        *out = NULL;
        return no_memory(e);
    }
    return 0;
}

int jbig_load(json_t **out, struct str text, size_t flags, struct err *e)
{
    json_error_t why;

    if (!text.p)
        text = str_of("");
    *out = json_loadb(text.p, text.n, flags, &why);
    if (*out)
        return 0;
    if (json_error_code(&why) == json_error_numeric_overflow &&
        !memmem(text.p, text.n, mark, sizeof(mark) - 1))
        return load_marked(out, text, flags, e);
    return refused(&why, e);
}
