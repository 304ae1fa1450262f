/* mask_priv.h - the inside of masks.
 *
 * The vocabulary is a trie in flat arrays, in the order of its texts: a node's subtree is what
 * stands between it and skip[node], and its tokens are a stretch of tok[]. What a node has
 * below it is summed up as classes of characters (gram_class), so that a state that loops over
 * all of them takes the whole stretch at once.
 *
 * Of each state over bytes of the grammar (a terminal, without what follows) a struct mask_top
 * knows the tokens that stay inside it, and where in the trie the terminal may end before the
 * token does. Those ends are a trie of what is left of tokens (struct mask_exit), merged from
 * all nodes of the vocabulary where one is left, only as far as somebody looks.
 */
#ifndef HEARTH_TEXT_GRAM_MASK_PRIV_H
#define HEARTH_TEXT_GRAM_MASK_PRIV_H

#include "text/gram/gram_priv.h"
#include "text/gram/mask.h"

enum {
    MASK_LONGEST = 1024,           /* bytes; longer tokens are never allowed */
    MASK_CACHE = 48 * 1024 * 1024, /* bytes of tops, exits and masks, then all are dropped */
    MASK_FORCED = 4096             /* bytes that are looked ahead */
};

/* A control token that a grammar may name. */
struct mask_mark {
    struct str text;
    int32_t id;
};

struct mask_vocab {
    const struct tok *t;
    uint32_t n_tok;  /* of the vocabulary */
    uint32_t n_word; /* of a mask */
    uint32_t n_text; /* tokens with bytes */
    int32_t *tok;    /* [n_text]: sorted by their bytes */
    uint32_t n_node; /* node 0 is the root */
    uint8_t *byte;   /* [n_node] */
    uint16_t *depth; /* bytes from the root */
    uint32_t *skip;  /* the first node behind the subtree */
    uint32_t *first; /* [n_node + 1]: tokens that end here: first[i] to first[i + 1] */
    uint32_t *has;   /* classes of characters below */
    uint16_t *tall;  /* bytes of the longest token below */
    int32_t *eog;    /* tokens that end a generation */
    uint32_t n_eog;
    struct mask_mark *mark; /* other control tokens */
    uint32_t n_mark;
};

/* What is left of tokens behind an end. */
struct mask_exit {
    uint32_t *node; /* where in the vocabulary's trie */
    uint32_t n;
    uint32_t byte;
    uint32_t child, next; /* exits: one byte on; beside it. 0: none */
    uint64_t done[4];     /* bytes whose children are made */
};

struct mask_end {
    uint32_t pay; /* of the terminal's end */
    uint32_t exit;
};

struct mask_top {
    uint32_t *bits; /* NULL: the tokens are in id */
    int32_t *id;
    uint32_t n_id;
    struct mask_end *end;
    uint32_t n_end;
};

struct mask {
    struct gram *g;
    const struct mask_vocab *v;
    struct gram_pin at;   /* where the text stands */
    uint32_t epoch;       /* of the grammar, when `masks` were made */
    size_t bytes;         /* of what is cached */
    struct map64 tops;    /* of a state over bytes: its top */
    struct map64 masks;   /* of a state: its mask */
    struct gram_vec top;  /* struct mask_top */
    struct gram_vec exit; /* struct mask_exit; 0: none */
    struct gram_vec mask; /* uint32_t *: the words, then how many are allowed */
    /* scratch */
    uint32_t *before;     /* the bits of the top that was made last */
    uint32_t *stay;       /* tokens in the trie's order, as bits */
    uint32_t *stack;      /* [MASK_LONGEST + 1] */
    struct gram_vec ends; /* struct mask_end, with a node for an exit */
    struct gram_vec todo; /* struct mask_visit */
};

struct mask_visit {
    uint32_t exit;
    gram_state s;
};

/* mask_top.c. Fails: as mask_fill. */
MUST_CHECK int mask_top(struct mask *m, uint32_t bs, struct mask_top **out, struct err *e);
/* Makes the children of an exit for the bytes in `want`. */
MUST_CHECK int mask_exits(struct mask *m, uint32_t exit, const uint64_t want[4], struct err *e);
/* Which bytes can follow a state. */
MUST_CHECK int mask_live(struct mask *m, gram_state s, uint64_t live[4], struct err *e);
int mask_full(struct err *e);

/* mask_mark.c: control tokens where a literal has their text. */
MUST_CHECK int mask_marks_find(struct mask_vocab *v);
void mask_marks(const struct mask *m, uint32_t *bits); /* adds those that may come */
int mask_is_mark(const struct mask *m, int32_t id);    /* 1: this one may */

static inline struct mask_exit *mask_exit_at(const struct mask *m, uint32_t i)
{
    return &GRAM_AT(struct mask_exit, m->exit)[i];
}

#endif
