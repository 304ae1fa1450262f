/* Recognises pre-tokenizers: the splitting steps of tokenizer.json, one a line, are compared
 * with those that are known. GGUF has a name for each, the text room a scanner. */
#include "model/hf/hf_priv.h"

enum { STEPS_MAX = 1 << 16, DEEP_MAX = 8 };

#define BYTES      "bytes\n"       /* ByteLevel that only maps bytes */
#define BYTES_GPT2 "bytes, gpt2\n" /* ByteLevel with GPT-2's expression */
#define SPLIT(x)   "split " x "\n"

#define SUFFIXES "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define REST_O   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD     "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define UPPER    "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(t)                                                                               \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" t "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER   \
    "*" t "|"
#define GPT2                                                                                   \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define HAN "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
#define CJK "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
#define PUNCTUATION                                                                            \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"       \
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define NO_HAN "&&[^\\p{Han}]"
#define KIMI(t)                                                                                \
    "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN             \
    "]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN "]+" t                                             \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN                        \
    "]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}" NO_HAN "]*" t "|\\p{N}{1,3}|" REST
/* The letters of scripts with capitals, which some write out: the rest of a step. */
#define ANY          "\x02"
#define LETTERS      "\\s?[A-Za-z\u00b5\u00c0-\u00d6" ANY "]+"
#define MARKS        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"
#define DEEPSEEK_LLM SPLIT("[\\r\\n]") SPLIT(LETTERS) SPLIT(MARKS) SPLIT("\\s+$") SPLIT(CJK)

static const struct {
    const char *pre;
    int ignore_merges; /* -1: either */
    const char *steps;
} known[] = {
    {"llama-bpe", 1, SPLIT(SUFFIXES WORD "\\p{N}{1,3}|" REST) BYTES},
    {"dbrx", 0, SPLIT(SUFFIXES WORD "\\p{N}{1,3}|" REST) BYTES},
    {"qwen2", -1, SPLIT(SUFFIXES WORD "\\p{N}|" REST) BYTES},
    {"qwen35", -1,
     SPLIT(SUFFIXES "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
                    " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
         BYTES},
    {"gpt-4o", -1, SPLIT(CASED(SUFFIXES "?") "\\p{N}{1,3}|" REST_O) BYTES},
    {"tekken", -1, SPLIT(CASED("") "\\p{N}|" REST_O) BYTES},
    {"kimi-k2", -1, SPLIT(KIMI(SUFFIXES "?")) BYTES},
    {"gpt-2", -1, BYTES_GPT2},
    {"gpt-2", -1, SPLIT(GPT2) BYTES},
    {"smollm", -1, "digits, each\n" BYTES_GPT2},
    {"smollm", -1, "digits, each\n" SPLIT(GPT2) BYTES},
    {"smollm", -1, SPLIT("\\p{N}") BYTES_GPT2},
    {"smollm", -1, SPLIT("\\p{N}") SPLIT(GPT2) BYTES},
    {"falcon", -1, "punctuation\n" BYTES_GPT2 "digits\n" SPLIT("[0-9][0-9][0-9]")},
    {"falcon", -1, "punctuation\n" BYTES_GPT2 SPLIT("[0-9][0-9][0-9]")},
    {"deepseek-v3", -1, SPLIT("\\p{N}{1,3}") SPLIT(HAN) SPLIT(PUNCTUATION) BYTES},
    {"deepseek-llm", -1, DEEPSEEK_LLM "digits, each\n" BYTES},
    {"deepseek-llm", -1, DEEPSEEK_LLM "digits\n" BYTES},
    {"deepseek-llm", -1, DEEPSEEK_LLM SPLIT("\\p{N}+") BYTES},
    {"deepseek-coder", -1,
     SPLIT("[\\r\\n]") SPLIT("\\s?\\p{L}+") SPLIT("\\s?\\p{P}+")
         SPLIT(CJK) "digits, each\n" BYTES},
    {"deepseek-coder", -1,
     SPLIT("[\\r\\n]") SPLIT("\\s?\\p{L}+") SPLIT("\\s?\\p{P}+") SPLIT(CJK) SPLIT("\\p{N}")
         BYTES},
};

/* Names that GGUF has for the same steps in a family, for those who look for its name. */
static const struct {
    const char *pre, *arch, *name;
} aliases[] = {
    {"dbrx", "glm", "glm4"},
    {"smollm", "starcoder", "starcoder"},
    {"smollm", "granite", "refact"},
    {"gpt-4o", "llama4", "llama4"},
    {"llama-bpe", "falcon-h1", "falcon-h1"},
    {"llama-bpe", "nemotron", "pixtral"},
};

/* -- one way to write an expression -------------------------------------------------------- */

/* What stands for the same: the first is how we write it. */
static const char *const same[][2] = {
    {SUFFIXES, "'(?i:[sdmt]|ll|ve|re)"},
    {SUFFIXES, "(?i:'(?:[sdmt]|ll|ve|re))"},
    {SUFFIXES, "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"},
    {SUFFIXES, SUFFIXES},
    {"\\s*[\\r\\n]+|", "\\s*[\\r\\n]|"},
    {"'s|'t|'re|'ve|'m|'ll|'d|", "'(?:[sdmt]|ll|ve|re)|"},
    {"\\r", "\r"},
    {"\\n", "\n"},
};

/* How many bytes at x are the other way of row i. */
static size_t takes(const char *x, size_t i)
{
    size_t n = strlen(same[i][1]);

    return strncmp(x, same[i][1], n) == 0 ? n : 0;
}

/* The length of what a backslash begins: \r, \p{L}. */
static size_t escaped(const char *x)
{
    const char *end = x[1] && x[2] == '{' ? strchr(x, '}') : NULL;

    return end ? (size_t)(end - x) + 1 : x[1] ? 2 : 1;
}

/* Without possessive quantifiers: a + behind another quantifier only forbids going back, which
 * changes no match of those that are known. Behind {1,3} it does so in tiktoken only; for those
 * who read tokenizer.json it repeats. */
static int put_greedy(struct buf *b, const char *x, int tiktoken)
{
    int depth = 0, quantified = 0, rc = 0; /* depth: in so many brackets */

    for (size_t n; *x && rc == 0; x += n) {
        n = *x == '\\' ? escaped(x) : 1;
        if (*x == '+' && quantified) {
            quantified = 0;
            continue;
        }
        depth += *x == '[' ? 1 : *x == ']' && depth ? -1 : 0;
        quantified = depth == 0 && n == 1 && strchr(tiktoken ? "?*+}" : "?*+", *x);
        rc = buf_put(b, x, n);
    }
    return rc;
}

/* x as we write it. Returns 0, or an error of buf. */
static int put_regex(struct buf *b, const char *x, int tiktoken)
{
    struct buf greedy;
    int rc;

    buf_init(&greedy, STEPS_MAX);
    rc = put_greedy(&greedy, x, tiktoken);
    for (x = rc == 0 && greedy.p ? greedy.p : ""; *x && rc == 0;) {
        size_t n = 0, i;

        for (i = 0; i < HF_COUNT(same) && n == 0; i++)
            n = takes(x, i);
        rc = n ? buf_str(b, same[i - 1][0]) : buf_byte(b, *x);
        x += n ? n : 1;
    }
    buf_done(&greedy);
    return rc;
}

/* -- steps --------------------------------------------------------------------------------- */

/* Every match a piece, and what is between them, too. */
static int put_split(struct buf *b, const json_t *j)
{
    const json_t *pattern = json_object_get(j, "pattern");
    const char *how = json_string_value(json_object_get(j, "behavior")),
               *x = json_string_value(json_object_get(pattern, "Regex"));
    int invert = json_is_true(json_object_get(j, "invert")), rc;

    if (!how || strcmp(how, "Isolated") == 0 || (invert && strcmp(how, "Removed") == 0))
        rc = buf_str(b, "split ");
    else
        rc = buf_fmt(b, "split, %s%s ", how, invert ? ", inverted" : "");
    if (rc == 0 && !x) {
        x = json_string_value(json_object_get(pattern, "String"));
        rc = buf_str(b, "at text ");
    }
    if (rc == 0)
        rc = put_regex(b, x ? x : "", 0);
    return rc == 0 ? buf_byte(b, '\n') : rc;
}

static int put_step(struct buf *b, const char *type, const json_t *j)
{
    const char *how = json_string_value(json_object_get(j, "behavior"));

    if (strcmp(type, "Split") == 0)
        return put_split(b, j);
    if (strcmp(type, "ByteLevel") == 0)
        return buf_str(b, json_is_false(json_object_get(j, "use_regex")) ? BYTES : BYTES_GPT2);
    if (strcmp(type, "Digits") == 0)
        return buf_str(b, json_is_true(json_object_get(j, "individual_digits"))
                              ? "digits, each\n"
                              : "digits\n");
    if (strcmp(type, "Punctuation") == 0 && how && strcmp(how, "Contiguous") == 0)
        return buf_str(b, "punctuation\n");
    return buf_fmt(b, "%s%s%s\n", type, how ? ", " : "", how ? how : "");
}

/* Adds the steps of a pre-tokenizer. Returns 0, or an error of buf. */
static int add_steps(struct buf *b, const json_t *j, int deep)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    const json_t *all = json_object_get(j, "pretokenizers");
    int rc = 0;

    if (!type || deep > DEEP_MAX)
        return 0;
    if (strcmp(type, "Sequence") != 0)
        return put_step(b, type, j);
    for (size_t i = 0; i < json_array_size(all) && rc == 0; i++)
        rc = add_steps(b, json_array_get(all, i), deep + 1);
    return rc;
}

/* Are the steps those of the row? ANY in it takes what there is up to the end of a line. */
static int is_like(const char *row, const char *steps)
{
    const char *any = strchr(row, ANY[0]);
    size_t head = any ? (size_t)(any - row) : 0, tail = any ? strcspn(any, "\n") - 1 : 0, n;

    if (!any)
        return strcmp(row, steps) == 0;
    if (strncmp(row, steps, head) != 0)
        return 0;
    steps += head;
    n = strcspn(steps, "\n");
    return n >= tail && strcmp(any + 1, steps + n - tail) == 0;
}

static const char *find_pre(const char *steps, int ignore)
{
    for (size_t i = 0; i < HF_COUNT(known); i++) {
        if (is_like(known[i].steps, steps) &&
            (known[i].ignore_merges < 0 || known[i].ignore_merges == ignore))
            return known[i].pre;
    }
    return NULL;
}

static const char *name_in(const char *arch, const char *pre)
{
    for (size_t i = 0; i < HF_COUNT(aliases); i++) {
        if (strcmp(aliases[i].pre, pre) == 0 &&
            strncmp(arch, aliases[i].arch, strlen(aliases[i].arch)) == 0)
            return aliases[i].name;
    }
    return pre;
}

static const char *pre_of_steps(struct hf *h, const char *what, const char *steps, int ignore)
{
    const char *found = find_pre(steps, ignore);

    if (found)
        return name_in(h->family->arch, found);
    hf_add_note(h, "%s: its pre-tokenizer is not known, so text cannot become tokens: %.300s%s",
                what, *steps ? steps : "none", strlen(steps) > 300 ? "..." : "");
    return "unknown";
}

const char *hf_pre_of(struct hf *h, const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    int ignore = json_is_true(json_object_get(model, "ignore_merges"));
    const char *found = NULL;
    struct buf b;

    buf_init(&b, STEPS_MAX);
    if (add_steps(&b, json_object_get(tokenizer, "pre_tokenizer"), 0) < 0)
        hf_fail(h, E_TOO_LONG, "tokenizer.json: pre_tokenizer has over %d bytes of steps",
                STEPS_MAX);
    else
        found = pre_of_steps(h, "tokenizer.json", b.p ? b.p : "", ignore);
    buf_done(&b);
    return found;
}

const char *hf_pre_of_regex(struct hf *h, const char *what, const char *regex)
{
    const char *found = NULL;
    struct buf b;

    buf_init(&b, STEPS_MAX);
    if (buf_str(&b, "split ") < 0 || put_regex(&b, regex, 1) < 0 || buf_str(&b, "\n" BYTES) < 0)
        hf_fail(h, E_TOO_LONG, "%s: a pattern of over %d bytes", what, STEPS_MAX);
    else
        found = pre_of_steps(h, what, b.p, 1);
    buf_done(&b);
    return found;
}
