/* pre_words.c - scanners of expressions that cut a text into words in one go. */
#include "text/pre_scan.h"

#include <limits.h>

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t pre_gpt2(const char *p, size_t n)
{
    size_t at = pre_contraction(p, n, 0);
    unsigned cls;

    if (at)
        return at;
    (void)uclass_next(p, n, &cls);
    at = pre_lead(p, n, &cls);
    if (cls & UC_LETTER)
        return pre_run_in(p, n, at, UC_LETTER);
    if (cls & UC_NUM)
        return pre_run_in(p, n, at, UC_NUM);
    if (!(cls & UC_SPACE))
        return pre_run_out(p, n, at, UC_SPACE | UC_LETTER | UC_NUM);
    return pre_spaces(p, n, 0);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_num}
 * | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where letter says what \p{L} is, but for the first of them; without eol the [\r\n]* is not
 * there */
static inline size_t words(const char *p, size_t n, int max_num, unsigned letter, int eol)
{
    size_t at = pre_contraction(p, n, 0x20), len;
    unsigned cls, next = 0;

    if (at)
        return at;
    len = uclass_next(p, n, &cls);
    if (cls & letter)
        return pre_run_in(p, n, len, letter);
    if (cls & UC_NUM)
        return pre_number(p, n, len, max_num);
    if (!(cls & UC_EOL) && len < n) {
        (void)uclass_next(p + len, n - len, &next);
        if (next & letter)
            return pre_run_in(p, n, len, letter);
    }
    at = pre_lead(p, n, &cls);
    if (cls & (UC_SPACE | UC_NUM | letter))
        return pre_spaces(p, n, 1);
    at = pre_run_out(p, n, at, UC_SPACE | letter | UC_NUM);
    return eol ? pre_run_in(p, n, at, UC_EOL) : at;
}

size_t pre_llama3(const char *p, size_t n)
{
    return words(p, n, 3, UC_LETTER, 1);
}

size_t pre_qwen2(const char *p, size_t n)
{
    return words(p, n, 1, UC_LETTER, 1);
}

/* With marks as letters. */
size_t pre_qwen35(const char *p, size_t n)
{
    return words(p, n, 1, UC_LETTER | UC_MARK, 1);
}

/* Its marks leave line ends alone. */
size_t pre_seed(const char *p, size_t n)
{
    return words(p, n, 1, UC_LETTER, 0);
}

/* Numbers of any length: a stage in front has cut them. */
size_t pre_minicpm(const char *p, size_t n)
{
    return words(p, n, INT_MAX, UC_LETTER, 1);
}

enum { HEAD = UC_UPPER | UC_TITLE | UC_ALPHA | UC_MARK, TAIL = UC_LOWER | UC_ALPHA | UC_MARK };

typedef size_t next_fn(const char *p, size_t n, unsigned *cls);

static inline int is_in(unsigned cls, unsigned classes)
{
    return (cls & classes) && !(cls & UC_HAN);
}

/* [HEAD]*[TAIL]+ from `at`: where it ends, or 0. When no small letter follows the heads, they
 * give back up to the last one that can be a tail. *heads is where the heads end. */
static inline size_t capitalised(const char *p, size_t n, size_t at, size_t *heads,
                                 next_fn *next)
{
    size_t both = 0, start, len;
    unsigned cls;

    for (; at < n; at += len) {
        len = next(p + at, n - at, &cls);
        if (!is_in(cls, HEAD))
            break;
        if (cls & TAIL)
            both = at + len;
    }
    *heads = start = at;
    for (; at < n; at += len) {
        len = next(p + at, n - at, &cls);
        if (!is_in(cls, TAIL))
            break;
    }
    return at > start ? at : both;
}

/* A word with an optional character in front that is neither letter, digit nor line end:
 * [^\r\n\p{L}\p{N}]?[HEAD]*[TAIL]+ or, when there is none, [^\r\n\p{L}\p{N}]?[HEAD]+ */
static inline size_t cased_word(const char *p, size_t n, next_fn *next)
{
    size_t heads = 0, heads_behind = 0, first, at;
    unsigned cls;

    first = next(p, n, &cls);
    if (cls & (UC_EOL | UC_LETTER | UC_NUM))
        first = 0;
    if (first) {
        at = capitalised(p, n, first, &heads_behind, next);
        if (at)
            return at;
    }
    at = capitalised(p, n, 0, &heads, next);
    if (at)
        return at;
    return first && heads_behind > first ? heads_behind : heads;
}

/* \p{N}{1,max_num}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+, with a slash as a
 * line end behind the second when slash is set */
static size_t no_word(const char *p, size_t n, int max_num, int slash)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls), at;

    if (cls & UC_NUM)
        return pre_number(p, n, len, max_num);
    at = pre_lead(p, n, &cls);
    if (cls & (UC_SPACE | UC_NUM | UC_LETTER))
        return pre_spaces(p, n, 1);
    at = pre_run_out(p, n, at, UC_SPACE | UC_LETTER | UC_NUM);
    while (at < n && (p[at] == '\r' || p[at] == '\n' || (slash && p[at] == '/')))
        at++;
    return at;
}

/* cased_word, then (?i:'s|'t|...)? */
size_t pre_o200k(const char *p, size_t n)
{
    size_t at = cased_word(p, n, uclass_next);

    return at ? at + pre_contraction(p + at, n - at, 0x20) : no_word(p, n, 3, 1);
}

/* Without contractions, and digits one by one. */
size_t pre_tekken(const char *p, size_t n)
{
    size_t at = cased_word(p, n, uclass_next);

    return at ? at : no_word(p, n, 1, 1);
}

/* \p{Han}+, then as pre_o200k where Han is no letter of words */
size_t pre_kimi(const char *p, size_t n)
{
    size_t at = 0, len;
    unsigned cls;

    for (; at < n; at += len) {
        len = uclass_next_han(p + at, n - at, &cls);
        if (!(cls & UC_HAN))
            break;
    }
    if (at)
        return at;
    at = cased_word(p, n, uclass_next_han);
    return at ? at + pre_contraction(p + at, n - at, 0x20) : no_word(p, n, 3, 0);
}
