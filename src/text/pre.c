#include "text/pre.h"

#include "base/utf8.h"
#include "text/uclass.h"

#include <stdint.h>

/* -- pieces of scanners -------------------------------------------------------------- */

/* Where the run of characters that have one of the classes ends, from at on. */
static size_t run_in(const char *p, size_t n, size_t at, unsigned classes)
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
static size_t run_out(const char *p, size_t n, size_t at, unsigned classes)
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
static size_t contraction(const char *p, size_t n, int fold)
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
static size_t spaces(const char *p, size_t n, int eol)
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
static size_t lead(const char *p, size_t n, unsigned *cls)
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

/* -- the expressions ----------------------------------------------------------------- */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2(const char *p, size_t n)
{
    size_t at = contraction(p, n, 0);
    unsigned cls;

    if (at)
        return at;
    (void)uclass_next(p, n, &cls);
    at = lead(p, n, &cls);
    if (cls & UC_LETTER)
        return run_in(p, n, at, UC_LETTER);
    if (cls & UC_NUM)
        return run_in(p, n, at, UC_NUM);
    if (!(cls & UC_SPACE))
        return run_out(p, n, at, UC_SPACE | UC_LETTER | UC_NUM);
    return spaces(p, n, 0);
}

/* \p{N}{1,max}, whose first character has len bytes */
static size_t number(const char *p, size_t n, size_t len, int max)
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

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_num}
 * | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where letter says what \p{L} is, but for the first of them */
static size_t words(const char *p, size_t n, int max_num, unsigned letter)
{
    size_t at = contraction(p, n, 0x20), len;
    unsigned cls, next = 0;

    if (at)
        return at;
    len = uclass_next(p, n, &cls);
    if (cls & letter)
        return run_in(p, n, len, letter);
    if (cls & UC_NUM)
        return number(p, n, len, max_num);
    if (!(cls & UC_EOL) && len < n) {
        (void)uclass_next(p + len, n - len, &next);
        if (next & letter)
            return run_in(p, n, len, letter);
    }
    at = lead(p, n, &cls);
    if (!(cls & (UC_SPACE | UC_NUM)))
        return run_in(p, n, run_out(p, n, at, UC_SPACE | letter | UC_NUM), UC_EOL);
    return spaces(p, n, 1);
}

static size_t llama3(const char *p, size_t n)
{
    return words(p, n, 3, UC_LETTER);
}

static size_t qwen2(const char *p, size_t n)
{
    return words(p, n, 1, UC_LETTER);
}

/* With marks as letters. */
static size_t qwen35(const char *p, size_t n)
{
    return words(p, n, 1, UC_LETTER | UC_MARK);
}

enum { HEAD = UC_UPPER | UC_TITLE | UC_ALPHA | UC_MARK, TAIL = UC_LOWER | UC_ALPHA | UC_MARK };

/* [HEAD]*[TAIL]+ from `at`: where it ends, or 0. When no small letter follows the heads, they
 * give back up to the last one that can be a tail. *heads is where the heads end. */
static size_t capitalised(const char *p, size_t n, size_t at, size_t *heads)
{
    size_t both = 0, start;
    unsigned cls;

    while (at < n) {
        size_t len = uclass_next(p + at, n - at, &cls);

        if (!(cls & HEAD))
            break;
        at += len;
        if (cls & TAIL)
            both = at;
    }
    *heads = start = at;
    at = run_in(p, n, at, TAIL);
    return at > start ? at : both;
}

/* A word with an optional character in front that is neither letter, digit nor line end:
 * [^\r\n\p{L}\p{N}]?[HEAD]*[TAIL]+ or, when there is none, [^\r\n\p{L}\p{N}]?[HEAD]+ */
static size_t cased_word(const char *p, size_t n)
{
    size_t heads = 0, heads_behind = 0, first, at;
    unsigned cls;

    first = uclass_next(p, n, &cls);
    if (cls & (UC_EOL | UC_LETTER | UC_NUM))
        first = 0;
    if (first) {
        at = capitalised(p, n, first, &heads_behind);
        if (at)
            return at;
    }
    at = capitalised(p, n, 0, &heads);
    if (at)
        return at;
    return first && heads_behind > first ? heads_behind : heads;
}

/* cased_word, then (?i:'s|'t|...)? when suffix is set, \p{N}{1,max_num}
 * | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t cased(const char *p, size_t n, int max_num, int suffix)
{
    size_t at = cased_word(p, n), len;
    unsigned cls;

    if (at)
        return at + (suffix ? contraction(p + at, n - at, 0x20) : 0);
    len = uclass_next(p, n, &cls);
    if (cls & UC_NUM)
        return number(p, n, len, max_num);
    at = lead(p, n, &cls);
    if (cls & (UC_SPACE | UC_NUM))
        return spaces(p, n, 1);
    at = run_out(p, n, at, UC_SPACE | UC_LETTER | UC_NUM);
    while (at < n && (p[at] == '\r' || p[at] == '\n' || p[at] == '/'))
        at++;
    return at;
}

static size_t o200k(const char *p, size_t n)
{
    return cased(p, n, 3, 1);
}

static size_t tekken(const char *p, size_t n)
{
    return cased(p, n, 1, 0);
}

/* -- expressions in several stages ------------------------------------------------------- */

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
static size_t line_end(const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && p[at] != '\r' && p[at] != '\n')
        at++;
    return at ? at : 1;
}

/* \s+$ */
static size_t last_spaces(const char *p, size_t n)
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
static size_t digits_by3(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? number(p, n, len, 3) : run_out(p, n, len, UC_NUM);
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

static size_t kana_han(const char *p, size_t n)
{
    return split_set(p, n, is_kana_han, 0);
}

static size_t east(const char *p, size_t n)
{
    return split_set(p, n, is_east, 0);
}

static size_t space_letters(const char *p, size_t n)
{
    return split_set(p, n, is_letter, 1);
}

static size_t space_cased(const char *p, size_t n)
{
    return split_set(p, n, is_cased, 1);
}

static size_t space_punct(const char *p, size_t n)
{
    return split_set(p, n, is_punct, 1);
}

static size_t space_marks(const char *p, size_t n)
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
        return run_in(p, n, len, UC_LETTER | UC_MARK);
    if (!(cls & (UC_EOL | UC_PUNCT | UC_SYM)) && (next & (UC_LETTER | UC_MARK)))
        return run_in(p, n, len, UC_LETTER | UC_MARK);
    at = lead(p, n, &cls);
    if (cls & (UC_PUNCT | UC_SYM))
        return run_in(p, n, run_in(p, n, at, UC_PUNCT | UC_SYM), UC_EOL);
    return at || (cls & UC_SPACE) ? spaces(p, n, 1) : 0;
}

static size_t deepseek3(const char *p, size_t n)
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
static size_t digit(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? len : run_out(p, n, len, UC_NUM);
}

/* \p{N}+ */
static size_t digits(const char *p, size_t n)
{
    unsigned cls;
    size_t len = uclass_next(p, n, &cls);

    return cls & UC_NUM ? run_in(p, n, len, UC_NUM) : run_out(p, n, len, UC_NUM);
}

/* [0-9][0-9][0-9] */
static size_t digits3(const char *p, size_t n)
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

static size_t marks_tick(const char *p, size_t n)
{
    return marks(p, n, 1);
}

static size_t marks_plain(const char *p, size_t n)
{
    return marks(p, n, 0);
}

/* -- the table ----------------------------------------------------------------------- */

/* clang-format off */
#define GPT2    { gpt2 }
#define LLAMA3  { llama3 }
#define QWEN2   { qwen2 }
#define QWEN35  { qwen35 }
#define O200K   { o200k }
#define TEKKEN  { tekken }
#define DSV3    { digits_by3, kana_han, deepseek3 }
#define DSLLM   { line_end, space_cased, space_marks, last_spaces, east, digits }
#define DSCODE  { line_end, space_letters, space_punct, east, digit }
#define STAR    { digit, gpt2 }
#define FALCON  { marks_tick, gpt2, digits3 }
#define DEFAULT { marks_plain, gpt2, digits, digits3 }

static const struct pre table[] = {
    /* name              stages   ignore_merges, add_bos, tidy */
    {"default",          DEFAULT, 0, 0, 1},
    {"gpt-2",            GPT2,    0, 0, 1},
    {"phi-2",            GPT2,    0, 0, 1},
    {"olmo",             GPT2,    0, 0, 1},
    {"mpt",              GPT2,    0, 0, 1},
    {"jais",             GPT2,    0, 0, 1},
    {"modern-bert",      GPT2,    0, 0, 1},
    {"roberta-bpe",      GPT2,    0, 0, 1},
    {"gigachat",         GPT2,    0, 0, 1},
    {"mellum",           GPT2,    0, 0, 1},
    {"llama-bpe",        LLAMA3,  1, 1, 1},
    {"llama3",           LLAMA3,  1, 1, 1},
    {"llama-v3",         LLAMA3,  1, 1, 1},
    {"falcon3",          LLAMA3,  1, 1, 1},
    {"falcon-h1",        LLAMA3,  1, 1, 1},
    {"pixtral",          LLAMA3,  1, 1, 1},
    {"lfm2",             LLAMA3,  1, 1, 1},
    {"midm-2.0",         LLAMA3,  1, 1, 1},
    {"dbrx",             LLAMA3,  0, 0, 1},
    {"smaug-bpe",        LLAMA3,  0, 0, 1},
    {"glm4",             LLAMA3,  0, 0, 1},
    {"chatglm-bpe",      LLAMA3,  0, 0, 1},
    {"qwen2",            QWEN2,   0, 0, 0},
    {"deepseek-r1-qwen", QWEN2,   0, 0, 0},
    {"stablelm2",        QWEN2,   0, 0, 1},
    {"hunyuan",          QWEN2,   0, 0, 0},
    {"megrez",           QWEN2,   0, 0, 1},
    {"solar-open",       QWEN2,   0, 0, 0},
    {"qwen35",           QWEN35,  0, 0, 0},
    {"gpt-4o",           O200K,   0, 0, 0},
    {"llama4",           O200K,   0, 0, 0},
    {"kanana2",          O200K,   0, 0, 0},
    {"tekken",           TEKKEN,  1, 1, 0},
    {"deepseek-v3",      DSV3,    0, 0, 0},
    {"hunyuan-dense",    DSV3,    0, 0, 0},
    {"joyai-llm",        DSV3,    0, 0, 0},
    {"deepseek-llm",     DSLLM,   0, 0, 0},
    {"deepseek-coder",   DSCODE,  0, 0, 0},
    {"starcoder",        STAR,    0, 0, 1},
    {"refact",           STAR,    0, 0, 1},
    {"command-r",        STAR,    0, 0, 0},
    {"smollm",           STAR,    0, 0, 0},
    {"codeshell",        STAR,    0, 0, 0},
    {"exaone",           STAR,    0, 0, 1},
    {"mellum2",          STAR,    0, 0, 0},
    {"falcon",           FALCON,  0, 0, 1},
};
/* clang-format on */

const struct pre *pre_at(int i)
{
    return i >= 0 && (size_t)i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

const struct pre *pre_find(struct str name)
{
    const struct pre *row;

    for (int i = 0; (row = pre_at(i)); i++) {
        if (str_is(name, row->name))
            return row;
    }
    return NULL;
}

void pre_iter_init(struct pre_iter *it, const struct pre *pre, struct str text)
{
    *it = (struct pre_iter){.pre = pre, .p = text.p, .n = text.n};
}

int pre_iter_next(struct pre_iter *it, struct str *word)
{
    size_t end = it->n;

    if (it->at == it->n)
        return 0;
    for (int k = 0; k < PRE_STAGES && it->pre->stage[k]; k++) {
        /* A stage sees no further than the piece that the stage before it made. */
        if (it->end[k] <= it->at)
            it->end[k] = it->at + it->pre->stage[k](it->p + it->at, end - it->at);
        end = it->end[k];
    }
    *word = (struct str){it->p + it->at, end - it->at};
    it->at = end;
    return 1;
}
