/* pre_sets.c - scanners of the stages of expressions that are applied one after another. */
#include "base/utf8.h"
#include "text/pre_scan.h"

/* A set of characters. */
typedef int set_fn(int32_t cp, unsigned cls);

/* Where the characters of the set end, from `at` on. */
static size_t run_set(const char *p, size_t n, size_t at, set_fn *in)
{
    while (at < n) {
        unsigned cls;
        int32_t cp;
        size_t len = uclass_next(p + at, n - at, &cls);

        (void)utf8_next(p + at, n - at, &cp);
        if (!in(cp, cls))
            break;
        at += len;
    }
    return at;
}

/* Set+, or \s?Set+ when space is set, or what stands before the next of them. */
static size_t split_set(const char *p, size_t n, set_fn *in, int space)
{
    size_t at = 0, len;
    unsigned cls;

    for (; at < n; at += len) {
        size_t end = run_set(p, n, at, in);

        if (end > at)
            return at ? at : end;
        len = uclass_next(p + at, n - at, &cls);
        if (!space || !(cls & UC_SPACE))
            continue;
        end = run_set(p, n, at + len, in);
        if (end > at + len)
            return at ? at : end;
    }
    return n;
}

/* [\r\n] */
size_t pre_line_end(const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && p[at] != '\r' && p[at] != '\n')
        at++;
    return at ? at : 1;
}

/* [^\n]+|\n+ */
size_t pre_lines(const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && (p[at] == '\n') == (p[0] == '\n'))
        at++;
    return at;
}

/* \s+$ */
size_t pre_last_spaces(const char *p, size_t n)
{
    size_t at = 0, start = 0;
    unsigned cls;

    while (at < n) {
        at += uclass_next(p + at, n - at, &cls);
        if (!(cls & UC_SPACE))
            start = at;
    }
    return start ? start : n;
}

/* \p{N}{1,3} */
size_t pre_digits_by3(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? pre_number(p, n, len, 3) : pre_run_out(p, n, len, UC_NUM);
}

static int is_kana_han(int32_t cp, unsigned cls)
{
    (void)cls;
    return (cp >= 0x4e00 && cp <= 0x9fa5) || (cp >= 0x3040 && cp <= 0x30ff);
}

static int is_east(int32_t cp, unsigned cls)
{
    (void)cls;
    return (cp >= 0x800 && cp <= 0x9fa5) || (cp >= 0xac00 && cp <= 0xd7ff);
}

static int is_letter(int32_t cp, unsigned cls)
{
    (void)cp;
    return (cls & UC_LETTER) != 0;
}

static int is_cased(int32_t cp, unsigned cls)
{
    (void)cp;
    return (cls & UC_CASED) != 0;
}

static int is_punct(int32_t cp, unsigned cls)
{
    (void)cp;
    return (cls & UC_PUNCT) != 0;
}

/* ASCII from ! to ~ without digits, the full-width forms of the same marks, quotation marks,
 * and the ideographic space, comma and stop. */
static int is_mark(int32_t cp, unsigned cls)
{
    (void)cls;
    return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '~') ||
           (cp >= 0xff01 && cp <= 0xff0f) || (cp >= 0xff1a && cp <= 0xff5e) ||
           (cp >= 0x2018 && cp <= 0x201f) || (cp >= 0x3000 && cp <= 0x3002);
}

size_t pre_kana_han(const char *p, size_t n)
{
    return split_set(p, n, is_kana_han, 0);
}

size_t pre_east(const char *p, size_t n)
{
    return split_set(p, n, is_east, 0);
}

size_t pre_space_letters(const char *p, size_t n)
{
    return split_set(p, n, is_letter, 1);
}

size_t pre_space_cased(const char *p, size_t n)
{
    return split_set(p, n, is_cased, 1);
}

size_t pre_space_punct(const char *p, size_t n)
{
    return split_set(p, n, is_punct, 1);
}

size_t pre_space_marks(const char *p, size_t n)
{
    return split_set(p, n, is_mark, 1);
}

static int is_ascii_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* [ASCII mark][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+, or 0 when none is at p */
static size_t deepseek3_at(const char *p, size_t n)
{
    unsigned cls, next = 0;
    size_t len = uclass_next(p, n, &cls), at;

    if (len < n)
        (void)uclass_next(p + len, n - len, &next);
    if (len == 1 && (cls & (UC_PUNCT | UC_SYM)) && n > 1 && is_ascii_letter(p[1])) {
        for (at = 1; at < n && is_ascii_letter(p[at]);)
            at++;
        return at;
    }
    if (cls & (UC_LETTER | UC_MARK))
        return pre_run_in(p, n, len, UC_LETTER | UC_MARK);
    if (!(cls & (UC_EOL | UC_PUNCT | UC_SYM)) && (next & (UC_LETTER | UC_MARK)))
        return pre_run_in(p, n, len, UC_LETTER | UC_MARK);
    at = pre_lead(p, n, &cls);
    if (cls & (UC_PUNCT | UC_SYM))
        return pre_run_in(p, n, pre_run_in(p, n, at, UC_PUNCT | UC_SYM), UC_EOL);
    return at || (cls & UC_SPACE) ? pre_spaces(p, n, 1) : 0;
}

size_t pre_deepseek3(const char *p, size_t n)
{
    size_t at = deepseek3_at(p, n);
    unsigned cls;

    if (at)
        return at;
    while (at < n && !deepseek3_at(p + at, n - at))
        at += uclass_next(p + at, n - at, &cls);
    return at;
}

/* \p{N} */
size_t pre_digit(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? len : pre_run_out(p, n, len, UC_NUM);
}

/* \p{N}+ */
size_t pre_digits(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? pre_run_in(p, n, len, UC_NUM) : pre_run_out(p, n, len, UC_NUM);
}

/* [0-9][0-9][0-9] */
size_t pre_digits3(const char *p, size_t n)
{
    size_t in_row = 0;

    for (size_t at = 0; at < n; at++) {
        in_row = p[at] >= '0' && p[at] <= '9' ? in_row + 1 : 0;
        if (in_row == 3)
            return at == 2 ? 3 : at - 2;
    }
    return n;
}

/* [\p{P}$+<=>^~|]+, with ` too when tick is set */
static size_t marks(const char *p, size_t n, int tick)
{
    size_t at = 0, len;
    int first = -1, in;
    unsigned cls;

    for (; at < n; at += len) {
        len = uclass_next(p + at, n - at, &cls);
        in = (cls & UC_PUNCT) || ((cls & UC_SYM) && len == 1 && (tick || p[at] != '`'));
        if (first < 0)
            first = in;
        if (in != first)
            break;
    }
    return at;
}

size_t pre_marks_tick(const char *p, size_t n)
{
    return marks(p, n, 1);
}

size_t pre_marks_plain(const char *p, size_t n)
{
    return marks(p, n, 0);
}
