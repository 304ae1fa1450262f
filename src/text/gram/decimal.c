/* decimal.c - decimals written out: sign, digits before the point, digits after it. */
#include "text/gram/decimal.h"

#include "fmt/jbig.h"

#include <stdio.h>

/* The digits of a text without its point, and how many stand before that. */
struct scan {
    char d[DECIMAL_DIGITS];
    size_t n;
    int64_t before;
    int64_t exponent;
};

enum { EXPONENT_MAX = 100000 };

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int scan_digits(struct scan *s, struct str *t, int after_point)
{
    size_t k = 0;

    for (; k < t->n && is_digit(t->p[k]); k++) {
        if (s->n == 0 && t->p[k] == '0') {
            s->before -= after_point;
            continue;
        }
        if (s->n == sizeof(s->d))
            return -1;
        s->d[s->n++] = t->p[k];
        s->before += !after_point;
    }
    *t = (struct str){t->p + k, t->n - k};
    return k ? 1 : 0;
}

static int scan_exponent(struct scan *s, struct str *t)
{
    int neg = 0;
    size_t k = 1;

    if (k < t->n && (t->p[k] == '-' || t->p[k] == '+'))
        neg = t->p[k++] == '-';
    if (k == t->n)
        return 0;
    for (; k < t->n && is_digit(t->p[k]); k++) {
        if (s->exponent < EXPONENT_MAX)
            s->exponent = s->exponent * 10 + (t->p[k] - '0');
    }
    if (neg)
        s->exponent = -s->exponent;
    *t = (struct str){t->p + k, t->n - k};
    return 1;
}

/* 1, 0 when it is no number, -1 when there are too many digits. */
static int scan_number(struct scan *s, struct str t)
{
    int rc = scan_digits(s, &t, 0);

    if (rc == 1 && t.n && t.p[0] == '.') {
        t = (struct str){t.p + 1, t.n - 1};
        rc = scan_digits(s, &t, 1);
    }
    if (rc == 1 && t.n && (t.p[0] == 'e' || t.p[0] == 'E'))
        rc = scan_exponent(s, &t);
    return rc == 1 && t.n ? 0 : rc;
}

int decimal_parse(struct decimal *out, struct str text, struct err *e)
{
    struct scan s = {0};
    int neg = text.n && text.p[0] == '-', rc;
    int64_t point, n_frac, lead;

    if (neg)
        text = (struct str){text.p + 1, text.n - 1};
    rc = scan_number(&s, text);
    if (rc == 0)
        return err_set(e, E_INVALID, "no number");
    while (s.n && s.d[s.n - 1] == '0')
        s.n--;
    *out = (struct decimal){.neg = neg && s.n, .n_int = 1, .d = {'0'}};
    if (rc == 1 && !s.n)
        return 0;
    point = s.before + s.exponent;
    n_frac = (int64_t)s.n > point ? (int64_t)s.n - point : 0;
    lead = point < 1 ? 1 : point;
    if (rc < 0 || lead + n_frac > DECIMAL_DIGITS)
        return err_set(e, E_TOO_LONG, "a number of more than %d digits", DECIMAL_DIGITS);
    for (int64_t i = 0; i < lead + n_frac; i++) {
        int64_t at = i - lead + point;

        out->d[i] = '0';
        if (at >= 0 && at < (int64_t)s.n)
            out->d[i] = s.d[at];
    }
    out->n_int = (uint16_t)lead;
    out->n_frac = (uint16_t)n_frac;
    return 0;
}

int decimal_of(struct decimal *out, const json_t *number, struct err *e)
{
    struct str whole = jbig_digits(number);
    char text[64];
    size_t n = 0;

    if (whole.p)
        return decimal_parse(out, whole, e);
    if (json_is_integer(number)) {
        n = (size_t)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                             json_integer_value(number));
        return decimal_parse(out, (struct str){text, n}, e);
    }
    /* jansson writes and reads reals in any locale as JSON wants them. */
    for (unsigned digits = 15; digits <= 17; digits++) {
        json_t *back;
        int same;

        n = json_dumpb(number, text, sizeof(text),
                       JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        if (n == 0 || n > sizeof(text))
            return err_set(e, E_INVALID, "no finite number");
        back = json_loadb(text, n, JSON_DECODE_ANY, NULL);
        same = back && json_number_value(back) == json_number_value(number);
        json_decref(back);
        if (same)
            break;
    }
    return decimal_parse(out, (struct str){text, n}, e);
}

static int cmp_magnitude(const struct decimal *a, const struct decimal *b)
{
    size_t na = (size_t)a->n_int + a->n_frac, nb = (size_t)b->n_int + b->n_frac;
    int c;

    if (a->n_int != b->n_int)
        return a->n_int < b->n_int ? -1 : 1;
    c = memcmp(a->d, b->d, na < nb ? na : nb);
    if (c == 0)
        c = (na > nb) - (na < nb);
    return c;
}

int decimal_cmp(const struct decimal *a, const struct decimal *b)
{
    int c;

    if (a->neg != b->neg)
        return a->neg ? -1 : 1;
    c = cmp_magnitude(a, b);
    return a->neg ? -c : c;
}
