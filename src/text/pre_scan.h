/* pre_scan.h - the scanners of pre-tokenizers, and the pieces that they are made of.
 *
 * Each is one published regular expression, or one stage of several, and is called as
 * pre_stage_fn says. A scanner looks at each character once or twice.
 *
 * Threads  any
 * Uses     base/
 */
#ifndef HEARTH_TEXT_PRE_SCAN_H
#define HEARTH_TEXT_PRE_SCAN_H

#include "text/pre.h"
#include "text/uclass.h"

/* pre_words.c: whole expressions */
pre_stage_fn pre_gpt2, pre_llama3, pre_qwen2, pre_qwen35, pre_o200k, pre_tekken, pre_kimi;
pre_stage_fn pre_seed, pre_minicpm;

/* pre_sets.c: stages */
pre_stage_fn pre_line_end, pre_last_spaces, pre_lines, pre_digit, pre_digits, pre_digits3;
pre_stage_fn pre_digits_by3, pre_kana_han, pre_east, pre_space_letters, pre_space_cased;
pre_stage_fn pre_space_punct, pre_space_marks, pre_deepseek3, pre_marks_tick, pre_marks_plain;

/* Where the run of characters that have one of the classes ends, from at on. */
static inline size_t pre_run_in(const char *p, size_t n, size_t at, unsigned classes)
{
    unsigned cls;

    while (at < n) {
        size_t len = uclass_next(p + at, n - at, &cls);

        if (!(cls & classes))
            break;
        at += len;
    }
    return at;
}

/* The same for characters that have none of them. */
static inline size_t pre_run_out(const char *p, size_t n, size_t at, unsigned classes)
{
    unsigned cls;

    while (at < n) {
        size_t len = uclass_next(p + at, n - at, &cls);

        if (cls & classes)
            break;
        at += len;
    }
    return at;
}

/* 's 't 'm 'd 're 've 'll, with capitals too when fold is 0x20: length or 0. */
static inline size_t pre_contraction(const char *p, size_t n, int fold)
{
    int a, b;

    if (n < 2 || p[0] != '\'')
        return 0;
    a = p[1] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    b = n > 2 ? p[2] | fold : 0;
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s*[\r\n]+ (when eol is set), then \s+(?!\S), then \s+: of a run of spaces all but the
 * last, which goes with the word behind it. */
static inline size_t pre_spaces(const char *p, size_t n, int eol)
{
    size_t at = 0, last = 0, after_eol = 0;
    unsigned cls;

    while (at < n) {
        size_t len = uclass_next(p + at, n - at, &cls);

        if (!(cls & UC_SPACE))
            break;
        last = at;
        at += len;
        if (cls & UC_EOL)
            after_eol = at;
    }
    if (eol && after_eol)
        return after_eol;
    return at == n || last == 0 ? at : last;
}

/* 1 and the class of the character behind it when p begins with a space that goes with the
 * next word; else 0. */
static inline size_t pre_lead(const char *p, size_t n, unsigned *cls)
{
    unsigned next;

    if (p[0] != ' ' || n < 2)
        return 0;
    (void)uclass_next(p + 1, n - 1, &next);
    if (next & UC_SPACE)
        return 0;
    *cls = next;
    return 1;
}

/* \p{N}{1,max}, whose first character has len bytes */
static inline size_t pre_number(const char *p, size_t n, size_t len, int max)
{
    size_t at = len;
    unsigned cls;

    while (--max > 0 && at < n) {
        len = uclass_next(p + at, n - at, &cls);
        if (!(cls & UC_NUM))
            break;
        at += len;
    }
    return at;
}

#endif
