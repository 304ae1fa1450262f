#include "text/pre.h"

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

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_num}
 * | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t words(const char *p, size_t n, int max_num)
{
    size_t at = contraction(p, n, 0x20), len;
    unsigned cls, next = 0;

    if (at)
        return at;
    len = uclass_next(p, n, &cls);
    if (cls & UC_LETTER)
        return run_in(p, n, len, UC_LETTER);
    if (cls & UC_NUM) {
        for (at = len; --max_num > 0 && at < n; at += len) {
            len = uclass_next(p + at, n - at, &next);
            if (!(next & UC_NUM))
                break;
        }
        return at;
    }
    if (!(cls & UC_EOL) && len < n) {
        (void)uclass_next(p + len, n - len, &next);
        if (next & UC_LETTER)
            return run_in(p, n, len, UC_LETTER);
    }
    at = lead(p, n, &cls);
    if (!(cls & (UC_SPACE | UC_NUM)))
        return run_in(p, n, run_out(p, n, at, UC_SPACE | UC_LETTER | UC_NUM), UC_EOL);
    return spaces(p, n, 1);
}

static size_t llama3(const char *p, size_t n)
{
    return words(p, n, 3);
}

static size_t qwen2(const char *p, size_t n)
{
    return words(p, n, 1);
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
#define STAR    { digit, gpt2 }
#define FALCON  { marks_tick, gpt2, digits3 }
#define DEFAULT { marks_plain, gpt2, digits, digits3 }

static const struct pre table[] = {
    /* name              stages   ignore_merges, add_bos */
    {"default",          DEFAULT, 0, 0},
    {"gpt-2",            GPT2,    0, 0},
    {"phi-2",            GPT2,    0, 0},
    {"olmo",             GPT2,    0, 0},
    {"mpt",              GPT2,    0, 0},
    {"jais",             GPT2,    0, 0},
    {"modern-bert",      GPT2,    0, 0},
    {"roberta-bpe",      GPT2,    0, 0},
    {"gigachat",         GPT2,    0, 0},
    {"mellum",           GPT2,    0, 0},
    {"llama-bpe",        LLAMA3,  1, 1},
    {"llama3",           LLAMA3,  1, 1},
    {"llama-v3",         LLAMA3,  1, 1},
    {"falcon3",          LLAMA3,  1, 1},
    {"falcon-h1",        LLAMA3,  1, 1},
    {"pixtral",          LLAMA3,  1, 1},
    {"lfm2",             LLAMA3,  1, 1},
    {"midm-2.0",         LLAMA3,  1, 1},
    {"dbrx",             LLAMA3,  0, 0},
    {"smaug-bpe",        LLAMA3,  0, 0},
    {"glm4",             LLAMA3,  0, 0},
    {"chatglm-bpe",      LLAMA3,  0, 0},
    {"qwen2",            QWEN2,   0, 0},
    {"deepseek-r1-qwen", QWEN2,   0, 0},
    {"stablelm2",        QWEN2,   0, 0},
    {"hunyuan",          QWEN2,   0, 0},
    {"megrez",           QWEN2,   0, 0},
    {"solar-open",       QWEN2,   0, 0},
    {"starcoder",        STAR,    0, 0},
    {"refact",           STAR,    0, 0},
    {"command-r",        STAR,    0, 0},
    {"smollm",           STAR,    0, 0},
    {"codeshell",        STAR,    0, 0},
    {"exaone",           STAR,    0, 0},
    {"mellum2",          STAR,    0, 0},
    {"falcon",           FALCON,  0, 0},
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
