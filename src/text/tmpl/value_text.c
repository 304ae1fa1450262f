#include "text/tmpl/value.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Copying this many bytes is a step. */
enum { BYTES_PER_STEP = 64 };

static struct value of_text(struct value_text *s)
{
    return (struct value){.kind = VALUE_STR, .s = s};
}

int value_str(struct value_room *r, struct str s, int user, struct value *out)
{
    struct value_text *t = value_alloc(r, sizeof(*t));

    if (!t)
        return value_failed(r);
    *t = (struct value_text){
        .p = s.p, .n = s.n, .n_mark = 1, .n_char = SIZE_MAX, .one = {s.n, !!user}};
    t->mark = &t->one;
    *out = of_text(t);
    return 0;
}

/* -- reading -------------------------------------------------------------------------- */

/* The index of the run that byte `at` is in. */
static size_t run_of(const struct value_text *s, size_t at)
{
    size_t lo = 0, hi = s->n_mark;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->mark[mid - 1].end <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

size_t value_run(const struct value_text *s, size_t at, size_t *run, int *user)
{
    while (*run + 1 < s->n_mark && s->mark[*run].end <= at)
        ++*run;
    *user = s->mark[*run].user;
    return s->mark[*run].end < s->n ? s->mark[*run].end : s->n;
}

int value_user_at(const struct value_text *s, size_t at)
{
    return s->mark[run_of(s, at)].user;
}

size_t value_chars(struct value_text *s)
{
    if (s->n_char == SIZE_MAX) {
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++)
            n += ((unsigned char)s->p[i] & 0xC0) != 0x80;
        s->n_char = n;
    }
    return s->n_char;
}

size_t value_char_at(const struct value_text *s, size_t i)
{
    size_t at = 0;

    if (s->n_char == s->n) /* ASCII */
        return i < s->n ? i : s->n;
    for (; i > 0 && at < s->n; i--) {
        at++;
        while (at < s->n && ((unsigned char)s->p[at] & 0xC0) == 0x80)
            at++;
    }
    return at;
}

int value_cut(struct value_room *r, const struct value_text *s, size_t from, size_t to,
              struct value *out)
{
    struct value_text *t;
    struct mark *mark;
    size_t first, n;
    int rc;

    if (from >= to)
        return value_str(r, str_of(""), 0, out);
    first = run_of(s, from);
    n = run_of(s, to - 1) - first + 1;
    rc = value_str(r, (struct str){s->p + from, to - from}, s->mark[first].user, out);
    if (rc < 0 || n == 1) {
        if (rc == 0 && s->n_char == s->n)
            out->s->n_char = to - from;
        return rc;
    }
    mark = value_alloc(r, n * sizeof(*mark));
    if (!mark)
        return value_failed(r);
    for (size_t i = 0; i < n; i++) {
        mark[i] = s->mark[first + i];
        mark[i].end -= from;
    }
    mark[n - 1].end = to - from;
    t = out->s;
    t->mark = mark;
    t->n_mark = n;
    return value_pay(r, n / BYTES_PER_STEP);
}

/* -- writing -------------------------------------------------------------------------- */

void value_build(struct value_build *b, struct value_room *r)
{
    *b = (struct value_build){.r = r};
}

static int reserve(struct value_build *b, size_t n)
{
    size_t cap;
    char *p;

    if (b->rc < 0)
        return 0;
    if (n <= b->cap - b->n)
        return 1;
    cap = b->cap < 32 ? 64 : b->cap * 2;
    if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
        b->rc = value_fail(b->r, E_TOO_LONG, "a string of the template is too long");
        return 0;
    }
    if (cap < b->n + n)
        cap = b->n + n;
    p = value_alloc(b->r, cap);
    if (!p) {
        b->rc = b->r->e->code;
        return 0;
    }
    if (b->n)
        memcpy(p, b->p, b->n);
    b->p = p;
    b->cap = cap;
    return 1;
}

static int reserve_mark(struct value_build *b)
{
    size_t cap = b->cap_mark ? 2 * b->cap_mark : 4;
    struct mark *mark;

    if (b->n_mark < b->cap_mark)
        return 1;
    mark = cap < SIZE_MAX / sizeof(*mark) / 4 ? value_alloc(b->r, cap * sizeof(*mark)) : NULL;
    if (!mark) {
        b->rc = b->r->e->code;
        return 0;
    }
    if (b->n_mark)
        memcpy(mark, b->mark, b->n_mark * sizeof(*mark));
    b->mark = mark;
    b->cap_mark = cap;
    return 1;
}

void value_put(struct value_build *b, struct str s, int user)
{
    int more = b->n_mark == 0 || b->mark[b->n_mark - 1].user != !!user;

    if (s.n == 0 || !reserve(b, s.n) || (more && !reserve_mark(b)))
        return;
    b->rc = value_pay(b->r, s.n / BYTES_PER_STEP);
    if (b->rc < 0)
        return;
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    if (more)
        b->mark[b->n_mark++].user = !!user;
    b->mark[b->n_mark - 1].end = b->n;
}

void value_put_c(struct value_build *b, const char *s)
{
    value_put(b, str_of(s), 0);
}

void value_put_char(struct value_build *b, int32_t cp, int user)
{
    char c[4];

    value_put(b, (struct str){c, (size_t)utf8_put(cp, c)}, user);
}

void value_put_cut(struct value_build *b, const struct value_text *s, size_t from, size_t to)
{
    size_t run = from < to ? run_of(s, from) : 0;

    while (from < to && b->rc == 0) {
        int user;
        size_t end = value_run(s, from, &run, &user);

        if (end > to)
            end = to;
        value_put(b, (struct str){s->p + from, end - from}, user);
        from = end;
    }
}

void value_put_text(struct value_build *b, const struct value_text *s)
{
    value_put_cut(b, s, 0, s->n);
}

void value_put_int(struct value_build *b, int64_t i)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)i);

    value_put(b, (struct str){text, (size_t)n}, 0);
}

/* The digits of f > 0 in the shortest form "d.ddde+XX"; returns the exponent, and the digits
 * without their point in digit. */
static int shortest(double f, char digit[32], int *n_digit)
{
    char text[40] = "";
    int n = 0;

    digit[0] = '0';
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, f);
        /* Most numbers are short; of the others nearly all take 15 digits or more. */
        if (precision == 6)
            precision = 13;
        if (strtod(text, NULL) == f)
            break;
    }
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p != '.')
            digit[n++] = *p;
    }
    while (n > 1 && digit[n - 1] == '0')
        n--;
    *n_digit = n;
    return (int)strtol(strchr(text, 'e') + 1, NULL, 10);
}

static void put_exponent(struct value_build *b, const char *digit, int n, int exp, int go)
{
    char text[48], tail[16];

    (void)snprintf(tail, sizeof(tail), go ? "e%c%d" : "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    (void)snprintf(text, sizeof(text), "%c%s%.*s%s", digit[0], n > 1 ? "." : "", n - 1,
                   digit + 1, tail);
    value_put_c(b, text);
}

void value_put_float(struct value_build *b, double f, int go)
{
    char digit[32];
    int n, exp;

    if (f != f || isinf(f)) {
        value_put_c(b, f != f ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    if (signbit(f))
        value_put_c(b, "-");
    f = fabs(f);
    if (f == 0) {
        value_put_c(b, go ? "0" : "0.0");
        return;
    }
    exp = shortest(f, digit, &n);
    if (exp < (go ? -6 : -4) || exp >= (go ? 21 : 16)) {
        put_exponent(b, digit, n, exp, go);
        return;
    }
    if (exp < 0) {
        value_put_c(b, "0.");
        for (int i = -1; i > exp; i--)
            value_put_c(b, "0");
        value_put(b, (struct str){digit, (size_t)n}, 0);
        return;
    }
    for (int i = 0; i <= exp; i++)
        value_put(b, (struct str){i < n ? digit + i : "0", 1}, 0);
    if (n > exp + 1) {
        value_put_c(b, ".");
        value_put(b, (struct str){digit + exp + 1, (size_t)(n - exp - 1)}, 0);
    } else if (!go) {
        value_put_c(b, ".0");
    }
}

int value_built(struct value_build *b, struct value *out)
{
    struct value_text *t;
    int rc = b->rc;

    if (rc == 0)
        rc = value_str(b->r, (struct str){b->p ? b->p : "", b->n}, 0, out);
    if (rc < 0 || b->n == 0)
        return rc;
    t = out->s;
    t->mark = b->mark;
    t->n_mark = b->n_mark;
    t->spare = b->cap - b->n;
    t->spare_mark = b->cap_mark - b->n_mark;
    return 0;
}

int value_concat(struct value_room *r, struct value a, struct value b, struct value *out)
{
    struct value_build build;
    struct value_text *s = a.s;

    if (b.s->n == 0 || s->n == 0) {
        *out = s->n ? a : b;
        return 0;
    }
    value_build(&build, r);
    /* The room behind a string is taken by the first that appends to it. */
    if (s->spare >= b.s->n && s->spare_mark >= b.s->n_mark) {
        build.p = (char *)s->p;
        build.n = s->n;
        build.cap = s->n + s->spare;
        build.mark = (struct mark *)s->mark;
        build.n_mark = s->n_mark;
        build.cap_mark = s->n_mark + s->spare_mark;
        build.mark[build.n_mark - 1].end = s->n;
        s->spare = s->spare_mark = 0;
    } else {
        if (!reserve(&build, 2 * (s->n + b.s->n)))
            return build.rc;
        value_put_text(&build, s);
    }
    value_put_text(&build, b.s);
    return value_built(&build, out);
}
