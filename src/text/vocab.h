/* vocab.h - the tokens of a model file: texts, types, scores, and the ids with a meaning.
 *
 * All is copied out of the file and checked: arrays have the length of the vocabulary, ids
 * lie inside it. When several tokens have the same text, the last one is its id.
 *
 * Threads  any number may read
 * Uses     base/, fmt/
 */
#ifndef HEARTH_TEXT_VOCAB_H
#define HEARTH_TEXT_VOCAB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "fmt/gguf.h"
#include "text/tok.h"

#include <stdint.h>

enum vocab_flags {
    VOCAB_SHOWN = 1,  /* a control token that the reader of the output gets to see */
    VOCAB_LSTRIP = 2, /* a special token that takes the spaces in front of it along */
    VOCAB_RSTRIP = 4  /* and behind it */
};

struct vocab {
    int n;
    uint64_t n_file;      /* that the file has texts of: n, or more */
    struct str *text;     /* views into bytes; not NUL-terminated, may be empty */
    unsigned char *type;  /* enum tok_type */
    unsigned char *eog;   /* 1: ends a generation */
    unsigned char *flags; /* enum vocab_flags */
    float *score;         /* NULL: the file has none */
    struct map by_text;   /* not the empty texts */
    char *bytes;          /* all texts, one after another */
    size_t n_byte;
    int bos, eos, unk, sep, pad, mask, cls, eot, eom; /* -1: none */
    int fim[TOK_FIM_N];
    int32_t *suppressed; /* n_suppressed ids that are never to be generated; NULL: none */
    size_t n_suppressed;
};

/* What to assume of ids that the file does not give; -1: none. */
struct vocab_defaults {
    int bos, eos, unk, sep, pad, mask;
};

/* Reads the tokenizer.ggml.* arrays and ids of g into *v. On failure *v is empty.
 * Fails: E_FORMAT with the key; E_NOMEM. */
MUST_CHECK int vocab_init(struct vocab *v, const struct gguf *g, const struct vocab_defaults *d,
                          struct err *e);
void vocab_done(struct vocab *v);

/* The ids with a meaning, once texts and types are known; vocab_init calls it. Fails: E_FORMAT
 * with the key; E_NOMEM. */
MUST_CHECK int vocab_ids(struct vocab *v, const struct gguf *g, const struct vocab_defaults *d,
                         struct err *e);

int vocab_find(const struct vocab *v, struct str text); /* -1: no such token */

/* The array of that key. Fails: E_FORMAT when it is no array of strings (of numbers), or
 * absent though needed; else *out is NULL when it is absent. */
MUST_CHECK int vocab_array(const struct gguf *g, const char *key, int strings, int needed,
                           const struct gguf_kv **out, struct err *e);

#endif
