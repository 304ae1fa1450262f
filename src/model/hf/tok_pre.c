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
    {"gpt-2", -1, BYTES_GPT2},
    {"gpt-2", -1, SPLIT(GPT2) BYTES},
    {"smollm", -1, "digits, each\n" BYTES_GPT2},
    {"falcon", -1, "punctuation\n" BYTES_GPT2 "digits\n" SPLIT("[0-9][0-9][0-9]")},
    {"deepseek-v3", -1, SPLIT("\\p{N}{1,3}") SPLIT(HAN) SPLIT(PUNCTUATION) BYTES},
    {"deepseek-coder", -1,
     SPLIT("[\\r\\n]") SPLIT("\\s?\\p{L}+") SPLIT("\\s?\\p{P}+")
         SPLIT(CJK) "digits, each\n" BYTES},
};

/* Adds the steps of one pre-tokenizer. Returns 0, or an error of buf. */
static int add_steps(struct buf *b, const json_t *j, int deep)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    const json_t *part, *pattern = json_object_get(j, "pattern");
    size_t i;

    if (!type || deep > DEEP_MAX)
        return 0;
    if (strcmp(type, "Sequence") == 0) {
        const json_t *all = json_object_get(j, "pretokenizers");
        int rc = 0;

        for (i = 0; i < json_array_size(all) && rc == 0; i++) {
            part = json_array_get(all, i);
            rc = add_steps(b, part, deep + 1);
        }
        return rc;
    }
    if (strcmp(type, "Split") == 0) {
        const char *x = json_string_value(json_object_get(pattern, "Regex"));

        if (!x)
            x = json_string_value(json_object_get(pattern, "String"));
        return buf_fmt(b, "split %s\n", x ? x : "");
    }
    if (strcmp(type, "ByteLevel") == 0)
        return buf_str(b, json_is_false(json_object_get(j, "use_regex")) ? BYTES : BYTES_GPT2);
    if (strcmp(type, "Digits") == 0)
        return buf_str(b, json_is_true(json_object_get(j, "individual_digits"))
                              ? "digits, each\n"
                              : "digits\n");
    if (strcmp(type, "Punctuation") == 0)
        return buf_str(b, "punctuation\n");
    return buf_fmt(b, "%s\n", type);
}

const char *hf_pre_of(struct hf *h, const json_t *tokenizer)
{
    const json_t *pre = json_object_get(tokenizer, "pre_tokenizer");
    int ignore =
        json_is_true(json_object_get(json_object_get(tokenizer, "model"), "ignore_merges"));
    const char *found = NULL;
    struct buf b;

    buf_init(&b, STEPS_MAX);
    if (add_steps(&b, pre, 0) < 0)
        hf_fail(h, E_NOMEM, "no memory for the pre-tokenizer");
    for (size_t i = 0; h->rc == 0 && i < HF_COUNT(known) && !found; i++) {
        if (str_is((struct str){b.p, b.n}, known[i].steps) &&
            (known[i].ignore_merges < 0 || known[i].ignore_merges == ignore))
            found = known[i].pre;
    }
    if (!found && h->rc == 0) {
        hf_add_note(h,
                    "tokenizer.json: its pre-tokenizer is not known, so text cannot become "
                    "tokens: %.120s",
                    b.p ? b.p : "none");
        found = "unknown";
    }
    buf_done(&b);
    return found;
}
