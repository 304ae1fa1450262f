/* small.h - small vocabularies for tests: written to a file with the GGUF writer and opened,
 * as any model is. What goes wrong here ends the program. */
#ifndef HEARTH_TESTS_TEXT_SMALL_H
#define HEARTH_TESTS_TEXT_SMALL_H

#include "base/utf8.h"
#include "fmt/gguf.h"
#include "text/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SMALL_MAX = 512 };

struct small {
    const char *kind, *pre, *arch, *name; /* NULL: the key is left out */
    struct str token[SMALL_MAX];
    int32_t type[SMALL_MAX];
    float score[SMALL_MAX];
    char bytes[256][8];
    uint64_t n, n_type, n_score; /* n_*: elements of the arrays; all of n at first */
    struct str merge[64];
    uint64_t n_merge;
    struct {
        const char *key;
        int64_t value;
    } id[8];                   /* the keys of numbers, up to a NULL */
    const char *omit, *as_str; /* this array is left out; is written as a string */
    int types_f32;             /* types are written as floats */
    int charsmap;              /* small_charsmap is written */
    uint64_t n_row;            /* rows of an embedding that the file has, 0: none */
};

static inline void small_must(int ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "small.h: %s\n", what);
        abort();
    }
}

static inline int small_add(struct small *s, const char *text, int type, float score)
{
    small_must(s->n < SMALL_MAX, "too many tokens");
    s->token[s->n] = str_of(text);
    s->type[s->n] = type;
    s->score[s->n] = score;
    s->n_type = s->n_score = s->n + 1;
    return (int)s->n++;
}

static inline void small_merge(struct small *s, const char *text)
{
    small_must(s->n_merge < 64, "too many merges");
    s->merge[s->n_merge++] = str_of(text);
}

static inline void small_id(struct small *s, const char *key, int64_t value)
{
    int i = 0;

    while (s->id[i].key)
        i++;
    small_must(i < 7, "too many ids");
    s->id[i].key = key;
    s->id[i].value = value;
}

/* 0 <unk>, 1 <s>, 2 </s>, 3-258 the bytes, then words; the better the higher the score. */
static inline void small_spm(struct small *s)
{
    static const char *const word[] = {
        "\xe2\x96\x81",
        "a",
        "b",
        "c",
        "\xe2\x96\x81\xe2\x96\x81",
        "ab",
        "bc",
        "abc",
        "\xe2\x96\x81"
        "a",
        "\xe2\x96\x81"
        "ab",
        "\xc3\xa9",
        "b\xc3\xa9",
        "<",
        "s",
        ">",
    };

    *s = (struct small){.kind = "llama", .arch = "llama"};
    small_add(s, "<unk>", TOK_UNKNOWN, 0);
    small_add(s, "<s>", TOK_CONTROL, 0);
    small_add(s, "</s>", TOK_CONTROL, 0);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(s->bytes[i], 8, "<0x%02X>", (unsigned)i);
        small_add(s, s->bytes[i], TOK_BYTE, 0);
    }
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        small_add(s, word[i], TOK_NORMAL, -(float)i);
    small_add(s, "<u>", TOK_USER, 0);
    small_add(s, "<uu>", TOK_USER, 0);
}

/* 0-255 the bytes, then what the merges make, but not "xy" and "xyz": merges go over them
 * to "xyzw". Then special tokens. */
static inline void small_bpe(struct small *s)
{
    static const char *const word[] = {"he",        "ll", "hell", "hello",
                                       "\xc4\xa0h", "lo", "xyzw", "\xc4\xa0\xc4\xa0"};
    static const char *const merge[] = {
        "h e",      "l l", "he ll", "hell o", "\xc4\xa0 h",
        "l o",      "x y", "xy z",  "xyz w",  "\xc4\xa0 \xc4\xa0",
        "nope none"};
    int n = 0;

    *s = (struct small){.kind = "gpt2", .pre = "gpt-2", .arch = "gpt2"};
    for (int i = 0; i < 256; i++) {
        int plain = (i > 32 && i < 127) || (i > 160 && i != 173);

        s->bytes[i][utf8_put(plain ? i : 256 + n++, s->bytes[i])] = '\0';
        small_add(s, s->bytes[i], TOK_NORMAL, 0);
    }
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        small_add(s, word[i], TOK_NORMAL, 0);
    for (size_t i = 0; i < sizeof(merge) / sizeof(*merge); i++)
        small_merge(s, merge[i]);
    small_add(s, "<|endoftext|>", TOK_CONTROL, 0);
    small_add(s, "<|im_end|>", TOK_NORMAL, 0);
    small_add(s, "<u>", TOK_USER, 0);
    small_add(s, "<uu>", TOK_USER, 0);
}

/* 0 [PAD], 1 [UNK], 2 [CLS], 3 [SEP], then beginnings of words, and what may follow. */
static inline void small_wpm(struct small *s)
{
    static const char *const word[] = {"\xe2\x96\x81"
                                       "a",
                                       "\xe2\x96\x81"
                                       "ab",
                                       "\xe2\x96\x81"
                                       "he",
                                       "\xe2\x96\x81"
                                       ",",
                                       "\xe2\x96\x81"
                                       "\xe6\xbc\xa2",
                                       "b",
                                       "bc",
                                       "llo",
                                       "\xce\xb1",
                                       "\xe2\x96\x81"
                                       "\xce\xb1",
                                       "\xe3\x80\xae"};

    *s = (struct small){.kind = "bert", .arch = "bert"};
    small_add(s, "[PAD]", TOK_CONTROL, 0);
    small_add(s, "[UNK]", TOK_CONTROL, 0);
    small_add(s, "[CLS]", TOK_CONTROL, 0);
    small_add(s, "[SEP]", TOK_CONTROL, 0);
    small_id(s, "tokenizer.ggml.unknown_token_id", 1);
    small_id(s, "tokenizer.ggml.cls_token_id", 2);
    small_id(s, "tokenizer.ggml.seperator_token_id", 3);
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        small_add(s, word[i], TOK_NORMAL, 0);
}

/* 0 <pad>, 1 </s>, 2 <unk>, then words; a charsmap turns A into a, BC into nothing, and a
 * no-break space into a space. */
static inline void small_ugm(struct small *s)
{
    static const char *const word[] = {"\xe2\x96\x81",
                                       "a",
                                       "b",
                                       "ab",
                                       "abab",
                                       "\xe2\x96\x81"
                                       "a",
                                       "\xe2\x96\x81"
                                       "ab",
                                       "\xc3\xa9",
                                       "aab"};
    static const float score[] = {-3, -2, -2.5F, -4, -9, -3.5F, -6, -5, -6.5F};

    *s = (struct small){.kind = "t5", .arch = "t5", .charsmap = 1};
    small_add(s, "<pad>", TOK_CONTROL, 0);
    small_add(s, "</s>", TOK_CONTROL, 0);
    small_add(s, "<unk>", TOK_UNKNOWN, 0);
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        small_add(s, word[i], TOK_NORMAL, score[i]);
    small_add(s, "<u>", TOK_USER, 0);
}

/* 0 <pad>, 1 <eos>, 2 <bos>, 3-258 the bytes, then characters and what merges make, but not
 * "xy": a merge goes over it. */
static inline void small_gemma4(struct small *s)
{
    static const char *const word[] = {"\xe2\x96\x81",
                                       "a",
                                       "b",
                                       "x",
                                       "y",
                                       "z",
                                       "\n",
                                       "\n\n",
                                       "ab",
                                       "\xe2\x96\x81"
                                       "a",
                                       "\xe2\x96\x81"
                                       "ab",
                                       "xyz",
                                       "\xe2\x96\x81\xe2\x96\x81",
                                       "\xc3\xa9"};
    static const char *const merge[] = {
        "a b",       "\xe2\x96\x81 ab", "x y",
        "xy z",      "\xe2\x96\x81 a",  "\xe2\x96\x81 \xe2\x96\x81",
        "\xc3\xa9 a"};

    *s = (struct small){.kind = "gemma4", .arch = "gemma4"};
    small_add(s, "<pad>", TOK_CONTROL, 0);
    small_add(s, "<eos>", TOK_CONTROL, 0);
    small_add(s, "<bos>", TOK_CONTROL, 0);
    small_id(s, "tokenizer.ggml.bos_token_id", 2);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(s->bytes[i], 8, "<0x%02X>", (unsigned)i);
        small_add(s, s->bytes[i], TOK_BYTE, 0);
    }
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        small_add(s, word[i], TOK_NORMAL, 0);
    for (size_t i = 0; i < sizeof(merge) / sizeof(*merge); i++)
        small_merge(s, merge[i]);
    small_add(s, "<uu>", TOK_USER, 0);
}

/* The double array of small_ugm's charsmap: behind the byte c the place of a node is that of
 * its parent, combined with the parent's base and c; its value lies where its base leads. */
static inline size_t small_charsmap(unsigned char out[8192])
{
    enum {
        N = 1024,
        VALUE = 1 << 8,
        ROOT = 0x40,
        BASE_B = 0x200,
        BASE_C2 = 0x300,
        LEAF = 0x100
    };
    static const char texts[] = "a\0\0 ";
    const uint32_t b = ROOT ^ 'B', bc = b ^ BASE_B ^ 'C', c2 = ROOT ^ 0xc2,
                   nb = c2 ^ BASE_C2 ^ 0xa0;
    uint32_t unit[N] = {0};
    const uint32_t size = sizeof(unit);

    unit[0] = ROOT << 10;
    unit[ROOT ^ 'A'] = 'A' | VALUE | LEAF << 10;
    unit[ROOT ^ 'A' ^ LEAF] = 0x80000000u | 0;
    unit[b] = 'B' | BASE_B << 10;
    unit[bc] = 'C' | VALUE | LEAF << 10;
    unit[bc ^ LEAF] = 0x80000000u | 2;
    unit[c2] = 0xc2 | BASE_C2 << 10;
    unit[nb] = 0xa0 | VALUE | LEAF << 10;
    unit[nb ^ LEAF] = 0x80000000u | 3;
    memcpy(out, &size, 4);
    memcpy(out + 4, unit, size);
    memcpy(out + 4 + size, texts, sizeof(texts));
    return 4 + size + sizeof(texts);
}

static inline int small_find(const struct small *s, const char *text)
{
    for (uint64_t i = s->n; i-- > 0;) {
        if (str_is(s->token[i], text))
            return (int)i;
    }
    small_must(0, text);
    return -1;
}

static inline int small_has(const struct small *s, struct gguf_writer *w, const char *key)
{
    if (s->as_str && str_is(str_of(key), s->as_str)) {
        small_must(gguf_put_str(w, key, str_of("text"), NULL) == 0, key);
        return 0;
    }
    return !s->omit || !str_is(str_of(key), s->omit);
}

static inline void small_arrays(const struct small *s, struct gguf_writer *w)
{
    float types[SMALL_MAX];
    int ok = 1;

    for (uint64_t i = 0; i < s->n_type; i++)
        types[i] = (float)s->type[i];
    if (small_has(s, w, "tokenizer.ggml.tokens"))
        ok &= gguf_put_strs(w, "tokenizer.ggml.tokens", s->token, s->n, NULL) == 0;
    if (small_has(s, w, "tokenizer.ggml.token_type"))
        ok &= gguf_put_arr(w, "tokenizer.ggml.token_type", s->types_f32 ? GGUF_F32 : GGUF_I32,
                           s->types_f32 ? (const void *)types : s->type, s->n_type, NULL) == 0;
    if (s->n_merge == 0 && small_has(s, w, "tokenizer.ggml.scores"))
        ok &=
            gguf_put_arr(w, "tokenizer.ggml.scores", GGUF_F32, s->score, s->n_score, NULL) == 0;
    if (s->n_merge && small_has(s, w, "tokenizer.ggml.merges"))
        ok &= gguf_put_strs(w, "tokenizer.ggml.merges", s->merge, s->n_merge, NULL) == 0;
    small_must(ok, "arrays");
}

static inline struct gguf *small_open(const struct small *s)
{
    static const float row[SMALL_MAX];
    static unsigned count;
    struct gguf_writer *w;
    struct gguf *g;
    char path[64];
    int ok = gguf_writer_new(&w, 3, NULL) == 0;

    small_must(ok, "no writer");
    if (s->arch)
        ok &= gguf_put_str(w, "general.architecture", str_of(s->arch), NULL) == 0;
    if (s->name)
        ok &= gguf_put_str(w, "general.name", str_of(s->name), NULL) == 0;
    if (s->kind)
        ok &= gguf_put_str(w, "tokenizer.ggml.model", str_of(s->kind), NULL) == 0;
    if (s->pre)
        ok &= gguf_put_str(w, "tokenizer.ggml.pre", str_of(s->pre), NULL) == 0;
    for (int i = 0; s->id[i].key; i++)
        ok &= gguf_put_i64(w, s->id[i].key, GGUF_I32, s->id[i].value, NULL) == 0;
    small_must(ok, "keys");
    small_arrays(s, w);
    if (s->charsmap) {
        unsigned char map[8192];
        size_t n = small_charsmap(map);

        small_must(
            gguf_put_arr(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, map, n, NULL) == 0,
            "charsmap");
    }
    if (s->n_row)
        small_must(gguf_put_tensor(w, "token_embd.weight", 0, 2, (uint64_t[]){1, s->n_row}, row,
                                   NULL) == 0,
                   "rows");
    (void)snprintf(path, sizeof(path), "/tmp/hearth-small-%d-%u.gguf", (int)getpid(), count++);
    small_must(gguf_write(w, path, NULL) == 0, path);
    gguf_writer_free(w);
    small_must(gguf_open(&g, path, NULL) == 0, path);
    (void)unlink(path);
    return g;
}

static inline struct tok *small_tok(const struct small *s)
{
    struct gguf *g = small_open(s);
    struct tok *t;
    struct err e = {0};
    int rc = tok_new(&t, g, &e);

    gguf_free(g);
    small_must(rc == 0, e.msg);
    return t;
}

#endif
