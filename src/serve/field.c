#include "serve/field.h"

#include "base/mem.h"
#include "fmt/jbig.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WARNINGS_MAX ((size_t)16 << 10)

enum { SHOWN = 48, UNKNOWN_MAX = 32 }; /* fields that are named in warnings */

void field_report_init(struct field_report *r, int strict)
{
    r->strict = strict;
    r->param[0] = '\0';
    buf_init(&r->warnings, WARNINGS_MAX);
}

void field_report_done(struct field_report *r)
{
    buf_done(&r->warnings);
}

void field_warn(struct field_report *r, const char *fmt, ...)
{
    char line[512];
    size_t n = r->warnings.n;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < ' ')
            *p = ' ';
    }
    if (n + strlen(line) + 1 > WARNINGS_MAX)
        return;
    if (buf_str(&r->warnings, line) < 0 || buf_byte(&r->warnings, '\n') < 0)
        r->warnings.n = n;
}

/* -- places ----------------------------------------------------------------------------- */

/* Where something is: control characters would end the line that it stands in. */
static void put_param(struct field_report *r, size_t n, const char *name)
{
    (void)snprintf(r->param + n, sizeof(r->param) - n, "%.64s", *name ? name : "\"\"");
    for (char *p = r->param; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}

static void set_param(struct field_report *r, const char *path, const char *name)
{
    (void)snprintf(r->param, sizeof(r->param), "%s", path);
    put_param(r, strlen(r->param), name);
}

/* One step further in. */
static void add_param(struct field_report *r, const char *name)
{
    size_t n = strlen(r->param);

    if (n + 1 < sizeof(r->param)) {
        r->param[n] = '.';
        put_param(r, n + 1, name);
    }
}

/* -- one field --------------------------------------------------------------------------- */

/* A field on its way: where messages say it is. */
struct place {
    const struct field_row *row;
    struct field_report *report;
    struct err *e;
};

static const char *type_of(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",    [JSON_NULL] = "null"};

    return jbig_digits(v).p ? "an integer" : names[json_typeof(v)];
}

/* A number as it was written, or nearly so. */
static const char *show(char text[SHOWN], const json_t *v)
{
    struct str digits = jbig_digits(v);

    if (digits.p)
        (void)snprintf(text, SHOWN, "%.40s%s", digits.p, digits.n > 40 ? "..." : "");
    else if (json_is_integer(v))
        (void)snprintf(text, SHOWN, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        (void)snprintf(text, SHOWN, "%.15g", json_real_value(v));
    return text;
}

/* An end of a range: of 64 bits at most where it is whole. */
static const char *show_end(char text[SHOWN], double x)
{
    if (fabs(x) > 0x1p63 || floor(x) < x)
        (void)snprintf(text, SHOWN, "%.15g", x);
    else
        (void)snprintf(text, SHOWN, "%lld", x < 0x1p63 ? (long long)x : LLONG_MAX);
    return text;
}

static int bad(const struct place *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int bad(const struct place *p, const char *fmt, ...)
{
    char why[ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return err_set(p->e, E_INVALID, "%s %s", p->report->param, why);
}

static int bad_type(const struct place *p, const char *want, const json_t *v)
{
    return bad(p, "must be %s, not %s", want, type_of(v));
}

static int out_of_range(const struct place *p, const json_t *v)
{
    const struct field_row *row = p->row;
    char is[SHOWN], min[SHOWN], max[SHOWN];

    return bad(p, "is %s, expected %s%s to %s", show(is, v),
               row->flags & FIELD_ABOVE ? "more than " : "", show_end(min, row->min),
               show_end(max, row->max));
}

/* A number in its row's range, or clamped into it where the row says so. */
static int in_range(const struct place *p, const json_t *v, double *x)
{
    const struct field_row *row = p->row;
    char is[SHOWN], max[SHOWN];

    if (*x > row->max && row->flags & FIELD_CLAMP) {
        field_warn(p->report, "%s: %s is taken as %s, the most there is", p->report->param,
                   show(is, v), show_end(max, row->max));
        *x = row->max;
    }
    if (*x >= row->min && *x <= row->max && !(row->flags & FIELD_ABOVE && *x <= row->min))
        return 0;
    return out_of_range(p, v);
}

/* 1: a whole number, however it is written: 40, 40.0, 4e1. */
static int is_whole(const json_t *v)
{
    return json_is_integer(v) || jbig_digits(v).p ||
           (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
}

static int read_int(const struct place *p, const json_t *v, void *at)
{
    double x = jbig_value(v);
    int rc;

    if (!is_whole(v))
        return bad_type(p, "an integer", v);
    /* What 64 bits do not hold is near to what they hold in a double only. */
    if (jbig_digits(v).p || (p->row->type == FIELD_I64 && json_is_real(v) && fabs(x) >= 0x1p63))
        return out_of_range(p, v);
    rc = in_range(p, v, &x);
    if (rc < 0)
        return rc;
    if (p->row->type == FIELD_INT)
        *(int *)at = (int)x;
    else
        *(int64_t *)at = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)x;
    return 0;
}

static int read_float(const struct place *p, const json_t *v, void *at)
{
    double x = jbig_value(v);
    int rc;

    if (!json_is_number(v) && !jbig_digits(v).p)
        return bad_type(p, "a number", v);
    rc = in_range(p, v, &x);
    if (rc == 0)
        *(float *)at = (float)x;
    return rc;
}

static int read_str(const struct place *p, const json_t *v, void *at)
{
    size_t n = json_string_length(v);

    if (!json_is_string(v))
        return bad_type(p, "a string", v);
    if ((double)n < p->row->min)
        return n ? bad(p, "is too short") : bad(p, "is empty");
    if (p->row->max > 0 && (double)n > p->row->max)
        return bad(p, "has %zu bytes, expected %.15g at most", n, p->row->max);
    *(struct str *)at = (struct str){json_string_value(v), n};
    return 0;
}

static int read_array(const struct place *p, const json_t *v, void *at)
{
    size_t n = json_array_size(v);

    if (!json_is_array(v))
        return bad_type(p, "an array", v);
    if ((double)n < p->row->min)
        return n ? bad(p, "has too few items") : bad(p, "is empty");
    if (p->row->max > 0 && (double)n > p->row->max)
        return bad(p, "has %zu items, expected %.15g at most", n, p->row->max);
    *(const json_t **)at = v;
    return 0;
}

static int read_call(const struct place *p, const json_t *v, void *into)
{
    struct err why = {0};
    int rc = p->row->read(into, v, &why);

    return rc == E_INVALID ? bad(p, "%s", why.msg)
           : rc < 0        ? err_set(p->e, rc, "%s: %s", p->report->param, why.msg)
                           : 0;
}

/* 1: the value is one that asks for nothing. */
static int is_harmless(const struct field_row *row, const json_t *v)
{
    const char *at = row->harmless;

    if (!(row->flags & FIELD_ASKS) && ((json_is_object(v) && json_object_size(v) == 0) ||
                                       (json_is_array(v) && json_array_size(v) == 0)))
        return 1;
    while (at) {
        const char *end = strchr(at, '|');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        json_t *same = json_loadb(at, n, JSON_DECODE_ANY, NULL);
        int equal = same && (json_equal(same, v) ||
                             (json_is_number(same) && json_is_number(v) &&
                              !(json_number_value(same) < json_number_value(v) ||
                                json_number_value(same) > json_number_value(v))));

        json_decref(same);
        if (equal)
            return 1;
        at = end ? end + 1 : NULL;
    }
    return 0;
}

/* Of a field whose value says nothing here: whether it is one at all. */
static int check_kind(const struct place *p, const json_t *v)
{
    static const char *const wants[] = {[FIELD_IS_STR] = "a string",
                                        [FIELD_IS_INT] = "an integer",
                                        [FIELD_IS_NUM] = "a number",
                                        [FIELD_IS_BOOL] = "true or false",
                                        [FIELD_IS_OBJECT] = "an object",
                                        [FIELD_IS_ARRAY] = "an array",
                                        [FIELD_IS_STRS] = "an object of strings"};
    const char *key;
    json_t *one;
    int ok = p->row->is == FIELD_IS_ANY || (p->row->is == FIELD_IS_STR && json_is_string(v)) ||
             (p->row->is == FIELD_IS_INT && is_whole(v)) ||
             (p->row->is == FIELD_IS_NUM && (json_is_number(v) || jbig_digits(v).p)) ||
             (p->row->is == FIELD_IS_BOOL && json_is_boolean(v)) ||
             (p->row->is >= FIELD_IS_OBJECT && json_is_object(v) && !jbig_digits(v).p) ||
             (p->row->is == FIELD_IS_ARRAY && json_is_array(v));

    if (!ok)
        return bad_type(p, wants[p->row->is], v);
    json_object_foreach((json_t *)(uintptr_t)v, key, one)
    {
        if (p->row->is != FIELD_IS_STRS || json_is_string(one))
            continue;
        add_param(p->report, key);
        return bad_type(p, "a string", one);
    }
    return 0;
}

static int read_one(const struct place *p, const json_t *v, void *into)
{
    const struct field_row *row = p->row;
    void *at = (char *)into + row->at;
    char text[SHOWN];

    if (row->is && check_kind(p, v) < 0)
        return E_INVALID;
    if (jbig_digits(v).p && (row->type == FIELD_JSON || row->type == FIELD_CALL))
        return bad(p, "is %s, which is out of range", show(text, v));
    switch (row->type) {
    case FIELD_BOOL:
        if (!json_is_boolean(v))
            return bad_type(p, "true or false", v);
        *(int *)at = json_is_true(v);
        return 0;
    case FIELD_INT:
    case FIELD_I64:
        return read_int(p, v, at);
    case FIELD_FLOAT:
        return read_float(p, v, at);
    case FIELD_STR:
        return read_str(p, v, at);
    case FIELD_OBJECT:
        if (!json_is_object(v) || jbig_digits(v).p)
            return bad_type(p, "an object", v);
        *(const json_t **)at = v;
        return 0;
    case FIELD_JSON:
        *(const json_t **)at = v;
        return 0;
    case FIELD_ARRAY:
        return read_array(p, v, at);
    case FIELD_CALL:
        return read_call(p, v, into);
    case FIELD_REFUSED:
        if (is_harmless(row, v))
            return 0;
        return err_set(p->e, E_UNSUPPORTED, "%s %s", p->report->param,
                       row->why ? row->why : "is not supported");
    case FIELD_WARNED:
        if (!is_harmless(row, v))
            field_warn(p->report, "%s %s", p->report->param,
                       row->why ? row->why : "is not supported and has no effect");
        return 0;
    default: /* FIELD_NOTED */
        return 0;
    }
}

/* -- all of them ---------------------------------------------------------------------- */

static const struct field_row *row_of(const struct field_row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* Fields that no row has. */
static int unknown(const struct field_row *rows, size_t n, const char *path, const json_t *o,
                   struct field_report *r, struct err *e)
{
    const char *name;
    json_t *v;
    int seen = 0;

    json_object_foreach((json_t *)(uintptr_t)o, name, v)
    {
        if (row_of(rows, n, name))
            continue;
        if (++seen > UNKNOWN_MAX) {
            field_warn(r, "further fields are not known here, either");
            break;
        }
        set_param(r, path, name);
        if (r->strict)
            return err_set(e, E_INVALID, "%s is not a field of this request", r->param);
        field_warn(r, "%s is not known here and has no effect", r->param);
    }
    r->param[0] = '\0';
    return 0;
}

/* Two names of one thing that say different things. The row before rows[i] that does, or
 * NULL. */
static const struct field_row *other_name(const struct field_row *rows, size_t i,
                                          const json_t *o, json_t *v)
{
    for (size_t k = 0; k < i && rows[i].type <= FIELD_STR; k++) {
        json_t *w = rows[k].type == rows[i].type && rows[k].at == rows[i].at
                        ? json_object_get(o, rows[k].name)
                        : NULL;
        int is_number = is_whole(v) || json_is_real(v);

        if (!w || json_is_null(w))
            continue;
        if (is_number ? jbig_value(v) < jbig_value(w) || jbig_value(v) > jbig_value(w)
                      : !json_equal(v, w))
            return &rows[k];
    }
    return NULL;
}

int field_read(const struct field_row *rows, size_t n, const char *path, const json_t *o,
               void *into, struct field_report *r, struct err *e)
{
    int rc = 0;

    if (!json_is_object(o) || jbig_digits(o).p) {
        size_t len = strlen(path);

        len -= len && path[len - 1] == '.';
        (void)snprintf(r->param, sizeof(r->param), "%.*s", (int)len, path);
        return err_set(e, E_INVALID, "%s%smust be an object, not %s", r->param, len ? " " : "",
                       o ? type_of(o) : "nothing");
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct place p = {&rows[i], r, e};
        json_t *v = json_object_get(o, rows[i].name);
        const struct field_row *other =
            v && !json_is_null(v) ? other_name(rows, i, o, v) : NULL;

        set_param(r, path, rows[i].name);
        if (other)
            rc = bad(&p, "differs from %s%s", path, other->name);
        else if (v && !json_is_null(v))
            rc = read_one(&p, v, into);
        else if (rows[i].flags & FIELD_NEEDED)
            rc = err_set(e, E_INVALID, "%s is required", r->param);
    }
    return rc < 0 ? rc : unknown(rows, n, path, o, r, e);
}

/* -- JSON ------------------------------------------------------------------------------ */

/* How deep brackets nest, before anything recurses over them, and how many values there are,
 * each of which takes many times its bytes in memory; strings are skipped. */
static int look_over(struct str s, struct err *e)
{
    int depth = 0, in_string = 0;
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '[' || c == '{') {
            n++;
            if (++depth > FIELD_DEPTH)
                return err_set(e, E_INVALID, "the JSON is nested deeper than %d at byte %zu",
                               FIELD_DEPTH, i);
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == ',') {
            n++;
        }
    }
    if (n > FIELD_VALUES)
        return err_set(e, E_INVALID, "the JSON has about %zu values, at most %d are taken", n,
                       FIELD_VALUES);
    return 0;
}

int field_parse(json_t **out, struct str body, struct err *e)
{
    int rc;

    *out = NULL;
    if (body.n >= 3 && memcmp(body.p, "\xef\xbb\xbf", 3) == 0)
        body = (struct str){body.p + 3, body.n - 3};
    if (body.n == 0)
        return err_set(e, E_INVALID, "the request has no body, expected JSON");
    rc = look_over(body, e);
    if (rc < 0)
        return rc;
    rc = jbig_load(out, body, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, e);
    if (rc == E_TOO_LONG)
        return err_wrap(e, E_INVALID, "the body cannot be read");
    return rc < 0 ? err_wrap(e, rc, "the body is not valid JSON") : 0;
}
