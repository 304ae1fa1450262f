/* pre.h - pre-tokenizers: cut text into the words inside which byte-level BPE merges.
 *
 * A pre-tokenizer is known by the name in tokenizer.ggml.pre. Each stands for one or more
 * regular expressions, applied in order to every piece that those before left; here they are
 * scanners that look at each character once or twice, so that no text takes more than linear
 * time. Adding one is a row in pre.c, and a scanner (pre_scan.h) when its expression is new.
 *
 * Threads  any
 * Uses     base/
 * Source   the tokenizer definitions published with the models
 */
#ifndef HEARTH_TEXT_PRE_H
#define HEARTH_TEXT_PRE_H

#include "base/buf.h"

#include <stddef.h>

#define PRE_STAGES 6

/* The length of the first piece of the n > 0 bytes at p: what the expression matches there,
 * or all up to where it matches next. At least 1. */
typedef size_t pre_stage_fn(const char *p, size_t n);

enum pre_flags {
    PRE_WHOLE = 1, /* a word that is a token is that token, merges or not */
    PRE_BOS = 2,   /* BOS in front when the file does not say */
    PRE_SEP = 4,   /* SEP between texts when the file does not say */
    PRE_TIDY = 8,  /* whole texts are tidied: tok_tidy */
    PRE_BY_ID = 16 /* without merges neighbours become the token of the lowest id */
};

struct pre {
    const char *name;
    pre_stage_fn *stage[PRE_STAGES]; /* applied in order, NULL past the last */
    unsigned flags;                  /* enum pre_flags */
};

/* NULL when no pre-tokenizer is called so. */
const struct pre *pre_find(struct str name);
const struct pre *pre_at(int i); /* NULL past the end */

/* One pass over a text. */
struct pre_iter {
    const struct pre *pre;
    const char *p;
    size_t n, at;
    size_t end[PRE_STAGES]; /* of the current piece of each stage */
};

void pre_iter_init(struct pre_iter *it, const struct pre *pre, struct str text);
/* 1 and the next word, a view into the text; 0 at the end. */
int pre_iter_next(struct pre_iter *it, struct str *word);

#endif
