/* rx_number.c - texts of numbers between bounds, and of multiples. */
#include "text/gram/rx_priv.h"

#include <stdio.h>

enum { DIGITS = 400 };

static rx_id digit(struct rx *r, int lo, int hi)
{
    struct rx_range c = {(uint32_t)('0' + lo), (uint32_t)('0' + hi)};

    return lo > hi ? RX_NONE : rx_set(r, &c, 1);
}

static rx_id some(struct rx *r, size_t min, uint32_t max)
{
    return rx_repeat(r, digit(r, 0, 9), (uint32_t)min, max);
}

/* As many digits as s has, above it (up: 1) or below it (0), or equal if so asked. */
static rx_id beside(struct rx *r, struct str s, int up, int equal)
{
    rx_id id = equal ? RX_EMPTY : RX_NONE;

    for (size_t i = s.n; i-- > 0;) {
        int d = s.p[i] - '0';
        rx_id other = up ? digit(r, d + 1, 9) : digit(r, i == 0 && s.n > 1, d - 1);

        id = rx_alt(r, rx_seq(r, digit(r, d, d), id),
                    rx_seq(r, other, some(r, s.n - i - 1, (uint32_t)(s.n - i - 1))));
    }
    return id;
}

/* Whole numbers with no zero in front that are above (below) s, or equal if so asked. */
static rx_id wholes(struct rx *r, struct str s, int up, int equal)
{
    rx_id id = beside(r, s, up, equal), more;

    if (up)
        more = rx_seq(r, digit(r, 1, 9), some(r, s.n, RX_INF));
    else if (s.n == 1)
        more = RX_NONE;
    else
        more =
            rx_alt(r, digit(r, 0, 0), rx_seq(r, digit(r, 1, 9), some(r, 0, (uint32_t)s.n - 2)));
    return rx_alt(r, id, more);
}

static rx_id any_whole(struct rx *r)
{
    return rx_alt(r, digit(r, 0, 0), rx_seq(r, digit(r, 1, 9), some(r, 0, RX_INF)));
}

static rx_id minus(struct rx *r, rx_id a)
{
    return rx_seq(r, rx_text(r, str_of("-")), a);
}

/* -- integers -------------------------------------------------------------------------- */

static struct str digits_of(char out[24], int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int n = snprintf(out, 24, "%llu", (unsigned long long)u);

    return (struct str){out, (size_t)n};
}

rx_id rx_integer(struct rx *r, int has_min, int64_t min, int has_max, int64_t max)
{
    char a[24], b[24];
    struct str lo = digits_of(a, min), hi = digits_of(b, max), zero = str_of("0");
    rx_id above = any_whole(r), below;

    /* From 0 up, then what has a minus. */
    if (has_min && min > 0)
        above = wholes(r, lo, 1, 1);
    if (has_max)
        above = max < 0 ? RX_NONE : rx_and(r, above, wholes(r, hi, 0, 1));
    below = wholes(r, has_max && max < 0 ? hi : zero, 1, has_max && max < 0);
    if (has_min)
        below = min >= 0 ? RX_NONE : rx_and(r, below, wholes(r, lo, 0, 1));
    return rx_alt(r, above, minus(r, below));
}

/* Digits that, behind the number `rest` modulo n, make a multiple of n. */
static rx_id behind(struct rx *r, uint32_t n, uint32_t rest)
{
    struct rx_node want = {.kind = RX_K_MOD, .a = n, .b = rest, .flags = RX_UNBOUNDED};
    rx_id id;

    if (r->failed.code)
        return RX_NONE;
    want.flags |= rest == 0 ? RX_NULLABLE : 0;
    want.least = rest != 0;
    want.hash = want.shape = rx_mix(rx_mix(RX_K_MOD, n), rest);
    id = rx_find(r, &want, NULL);
    return id ? id : rx_add(r, &want);
}

int rx_mod_edges(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    int rc = 0;

    r->out.n = 0;
    for (uint32_t d = 0; d < 10 && rc == 0; d++) {
        rx_id to = behind(r, n.a, (uint32_t)(((uint64_t)n.b * 10 + d) % n.a));

        rc = rx_out_only(r, '0' + d, '0' + d, to);
    }
    return rc < 0 || r->failed.code ? r->failed.code : rx_out_take(r, id);
}

rx_id rx_multiple_of(struct rx *r, uint32_t n)
{
    rx_id id = RX_NONE;

    if (n == 0) {
        rx_fail(r, E_INVALID, "multiples of 0");
        return RX_NONE;
    }
    for (int d = 1; d < 10; d++)
        id = rx_alt(r, id, rx_seq(r, digit(r, d, d), behind(r, n, (uint32_t)d % n)));
    return rx_alt(r, digit(r, 0, 0), rx_alt(r, id, minus(r, id)));
}

/* -- decimal fractions ----------------------------------------------------------------- */

/* whole.part, no zeros in front of the one but a single one, none behind the other. */
struct decimal {
    int negative;
    char text[3 * DIGITS];
    struct str whole, part;
};

static int is_digit(const struct str *s, size_t i)
{
    return i < s->n && s->p[i] >= '0' && s->p[i] <= '9';
}

/* The digits of s without its point, and where the point stands between them. */
static int scan(struct str s, char digits[DIGITS], size_t *n, int64_t *point, struct err *e)
{
    size_t i = 0, from;
    int64_t exponent = 0, sign = 1;
    int has_point = 0;

    *n = 0;
    *point = 0;
    for (from = i; is_digit(&s, i) || (i < s.n && s.p[i] == '.' && i > from && !has_point);
         i++) {
        if (s.p[i] == '.') {
            has_point = 1;
            continue;
        }
        if (*n == DIGITS)
            return err_set(e, E_TOO_LONG, "a bound of more than %d digits", DIGITS);
        digits[(*n)++] = s.p[i];
        *point += !has_point;
    }
    if (*n > 0 && s.p[i - 1] != '.' && i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            sign = s.p[i++] == '-' ? -1 : 1;
        for (from = i; is_digit(&s, i); i++)
            exponent = exponent > 1000000 ? exponent : exponent * 10 + (s.p[i] - '0');
        if (i == from)
            i = s.n + 1;
    }
    if (*n == 0 || i != s.n || s.p[s.n - 1] == '.')
        return err_set(e, E_INVALID, "%.*s is no number", (int)(s.n < 64 ? s.n : 64), s.p);
    *point += sign * exponent;
    return 0;
}

static int decimal_of(struct str s, struct decimal *d, struct err *e)
{
    char digits[DIGITS];
    size_t n = 0, first = 0, k = 0;
    int64_t point = 0, end;
    int rc;

    d->negative = s.n > 0 && s.p[0] == '-';
    if (d->negative)
        s = (struct str){s.p + 1, s.n - 1};
    rc = scan(s, digits, &n, &point, e);
    if (rc < 0)
        return rc;
    while (first < n && digits[first] == '0')
        first++;
    while (n > first && digits[n - 1] == '0')
        n--;
    if (first == n) { /* zero, whatever its exponent */
        *d = (struct decimal){.whole = str_of("0")};
        return 0;
    }
    if (point > DIGITS + 1 || point < -(int64_t)DIGITS)
        return err_set(e, E_TOO_LONG, "a bound of more than %d digits", DIGITS);
    for (int64_t i = (int64_t)first; i < point; i++)
        d->text[k++] = i < (int64_t)n ? digits[i] : '0';
    if (k == 0)
        d->text[k++] = '0';
    d->whole = (struct str){d->text, k};
    end = (int64_t)n;
    for (int64_t i = point; i < end && k < sizeof(d->text); i++)
        d->text[k++] = i >= (int64_t)first && i >= 0 ? digits[i] : '0';
    d->part = (struct str){d->text + d->whole.n, k - d->whole.n};
    return 0;
}

static rx_id zeros(struct rx *r)
{
    return rx_repeat(r, digit(r, 0, 0), 0, RX_INF);
}

/* Digits behind the point, at least one, that make a fraction above (below) s, or equal. */
static rx_id parts(struct rx *r, struct str s, int up, int equal)
{
    rx_id any = some(r, 0, RX_INF), more = rx_seq(r, zeros(r), rx_seq(r, digit(r, 1, 9), any));
    rx_id id = up ? (equal ? any : more) : (equal ? zeros(r) : RX_NONE);

    for (size_t i = s.n; i-- > 0;) {
        int d = s.p[i] - '0';
        rx_id other = up ? digit(r, d + 1, 9) : digit(r, 0, d - 1);

        id = rx_alt(r, rx_seq(r, digit(r, d, d), id), rx_seq(r, other, any));
        if (!up && i > 0) /* what ends here is less than s */
            id = rx_alt(r, id, RX_EMPTY);
    }
    return rx_and(r, id, some(r, 1, RX_INF));
}

/* Numbers without sign above (below) d, or equal if so asked. */
static rx_id magnitudes(struct rx *r, const struct decimal *d, int up, int equal)
{
    rx_id point = rx_text(r, str_of(".")), bare = RX_NONE, same;
    rx_id any = rx_alt(r, RX_EMPTY, rx_seq(r, point, some(r, 1, RX_INF)));

    same = rx_seq(r, point, parts(r, d->part, up, equal));
    if (d->part.n == 0 ? equal : !up)
        bare = RX_EMPTY;
    same = rx_seq(r, rx_text(r, d->whole), rx_alt(r, bare, same));
    return rx_alt(r, rx_seq(r, wholes(r, d->whole, up, 0), any), same);
}

int rx_number(struct rx *r, struct rx_bound min, struct rx_bound max, rx_id *out, struct err *e)
{
    struct decimal lo = {0}, hi = {0}, zero = {.whole = str_of("0")};
    int rc = min.number.n ? decimal_of(min.number, &lo, e) : 0;
    rx_id above = magnitudes(r, &zero, 1, 1), below = magnitudes(r, &zero, 1, 0);

    if (rc == 0 && max.number.n)
        rc = decimal_of(max.number, &hi, e);
    if (rc < 0)
        return rc;
    if (min.number.n) {
        if (!lo.negative)
            above = magnitudes(r, &lo, 1, !min.exclusive);
        below = lo.negative ? rx_and(r, below, magnitudes(r, &lo, 0, !min.exclusive)) : RX_NONE;
    }
    if (max.number.n) {
        above = hi.negative ? RX_NONE : rx_and(r, above, magnitudes(r, &hi, 0, !max.exclusive));
        if (hi.negative)
            below = rx_and(r, below, magnitudes(r, &hi, 1, !max.exclusive));
    }
    *out = rx_alt(r, above, minus(r, below));
    return rx_error(r, e);
}
