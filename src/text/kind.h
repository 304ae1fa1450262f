/* kind.h - the inside of a tokenizer, and what a kind of tokenizer must provide.
 *
 * A kind is a row: a name, the ids to assume, and how to cut a piece of ordinary text into
 * tokens. The rows stand in their files (spm.c, bpe.c, ...); tok.c lists them.
 *
 * Threads  struct tok: any number may read; struct work belongs to one encoding
 * Uses     base/, fmt/
 */
#ifndef HEARTH_TEXT_KIND_H
#define HEARTH_TEXT_KIND_H

#include "text/merge.h"
#include "text/pre.h"
#include "text/special.h"
#include "text/tok.h"
#include "text/vocab.h"
#include "text/words.h"

struct tok {
    const struct kind *kind;
    const struct pre *pre; /* NULL: the kind has none */
    struct vocab vocab;
    struct special special;
    int add_bos, add_eos, add_sep;
    int front, back;  /* the tokens around a text that TOK_ADD_SPECIAL adds; -1: none */
    int add_space;    /* ordinary text gets a space in front, which does not count */
    int drop_space;   /* the first space of a decoded text does not count */
    int tidy;         /* whole texts are tidied: tok_tidy */
    void *self;       /* the kind's own */
    char *piece;      /* bytes of all tokens, one after another */
    uint32_t *pieces; /* n + 1: where each begins in piece */
};

/* What one encoding needs besides the tokenizer. */
struct work {
    const struct tok *t;
    struct merge merge;
    struct words words;
    struct buf text; /* rewritten text of a word */
    struct tok_ids *out;
    struct {
        double *sum;   /* of the best ways to places, kept for as long as a token is */
        int32_t *last; /* the last token on the best way to each place */
        size_t cap;
    } best; /* of unigram models */
};

struct kind {
    const char *name; /* tokenizer.ggml.model */
    struct vocab_defaults ids;
    int add_bos, add_eos, add_space; /* when the file does not say; open may change them */
    int always_bos;                  /* whatever the file says */
    int add_sep;                     /* SEP stands behind each text, and between two */

    /* Reads what the kind needs from g into t->self (close frees it, also after a failure). */
    int (*open)(struct tok *t, const struct gguf *g, struct err *e);
    void (*close)(struct tok *t);
    /* Appends the ids of a piece of ordinary text (not empty). Fails: E_NOMEM, E_TOO_LONG. */
    int (*encode)(struct work *w, struct str text);
    /* Appends the bytes that an ordinary token stands for: no more than its text has. */
    int (*piece)(const struct tok *t, int id, struct buf *out);
};

extern const struct kind spm_kind, bpe_kind, wpm_kind, ugm_kind, gemma4_kind;

#endif
