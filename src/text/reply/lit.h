/* lit.h - literals of several languages, read byte by byte and written as strict JSON.
 *
 * JSON passes as it came, blanks and escapes included; what jansson would refuse in a string
 * (broken UTF-8, half a pair of surrogates) becomes U+FFFD, and raw control characters are
 * escaped. Other languages are written as Python's json.dumps would.
 *
 * Uses     base/
 */
#ifndef HEARTH_TEXT_REPLY_LIT_H
#define HEARTH_TEXT_REPLY_LIT_H

#include "base/buf.h"

enum {
    REPLY_LIT_DEPTH = 128, /* of containers */
    REPLY_LIT_WORD = 400   /* bytes of a number, a word, a bare key */
};

enum reply_lang {
    REPLY_JSON,   /* and Python's True, False and None */
    REPLY_PYTHON, /* 'text', "text", three of either, (1, 2), {'k': v}; and calls: a=1, b=2) */
    REPLY_BARE    /* {key:value}, strings between a mark */
};

enum { REPLY_LIT_MORE, REPLY_LIT_DONE, REPLY_LIT_BAD };

struct reply_lit {
    int lang;
    struct buf *out;
    struct str mark; /* REPLY_BARE: on both sides of a string */
    int st;          /* where in the grammar; lit.c */
    int depth;
    int comma; /* one was read, its writing waits for what follows */
    int key;   /* the string or word is a key */
    int fail;  /* of a buffer */
    char quote;
    int n_quote;   /* of Python's string: 1 or 3 */
    size_t n_mark; /* bytes of the mark, or of quotes, that were read */
    size_t n_word, n_char, position;
    /* Names that values without one get, in turn (REPLY_PYTHON's calls). */
    struct str (*name)(void *ctx, size_t i);
    void *ctx;
    unsigned high; /* first half of a pair; 0: none */
    char close[REPLY_LIT_DEPTH];
    char word[REPLY_LIT_WORD];
    char utf8[4];
};

/* A value of a language; what it says is appended to out. */
void reply_lit_init(struct reply_lit *l, int lang, struct str mark, struct buf *out);
/* The arguments of a call, behind its "(", up to and with its ")": an object is written. */
void reply_lit_call(struct reply_lit *l, struct buf *out,
                    struct str (*name)(void *ctx, size_t i), void *ctx);
/* MORE: read. DONE: the value is complete with this byte. BAD: it is no literal, or a limit;
 * the byte was not read. After a failure of out (l->fail) it is BAD. */
int reply_lit_put(struct reply_lit *l, char c);
/* The value ends where the text does: 1 when it is complete. */
int reply_lit_end(struct reply_lit *l);
/* All of s, with blanks around it, is one literal of that language: 1, and its JSON in out;
 * else 0 and out is as it was. Only memory makes *fail negative. */
int reply_lit_whole(int lang, struct str s, struct buf *out, int *fail);

/* lit_string.c: the escape in l->word, without its backslash: 1 it is written, 0 more of it
 * follows, -1 it is none. */
int reply_lit_escape(struct reply_lit *l);

/* lit_word.c: writes the value that l->word is, 0: it is none; and text as a JSON string. */
int reply_lit_word(struct reply_lit *l);
void reply_lit_text(struct reply_lit *l, struct str s);

/* Text as the inside of a JSON string: bytes one by one, then the end. */
void reply_lit_byte(struct reply_lit *l, char c);
void reply_lit_bytes_end(struct reply_lit *l);

#endif
