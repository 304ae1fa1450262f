/* tok.h - tokenizers: text to token ids and back, as the model file defines them.
 *
 * One struct for every kind; the kinds (SPM, byte-level BPE, WordPiece, Unigram, Gemma 4's) are
 * rows of a table in tok.c, the pre-tokenizers of BPE rows of a table in pre.c. All of it is
 * built once from the file's keys and never changes, so any thread may use it.
 *
 * Bytes in, bytes out: input that is not UTF-8 is encoded byte by byte and comes back as it
 * was. Encoding takes time linear in the text (times the logarithm of a word's length) and
 * memory bounded by the text.
 *
 * Threads  any number at once, after tok_new
 * Uses     base/, fmt/; utf8proc for Unicode categories
 * Source   SentencePiece BPE; GPT-2 byte-level BPE
 */
#ifndef HEARTH_TEXT_TOK_H
#define HEARTH_TEXT_TOK_H

#include "base/buf.h"
#include "base/err.h"
#include "fmt/gguf.h"

#include <stdint.h>

struct tok;

/* tokenizer.ggml.token_type */
enum tok_type {
    TOK_NORMAL = 1,
    TOK_UNKNOWN = 2,
    TOK_CONTROL = 3,
    TOK_USER = 4,
    TOK_UNUSED = 5,
    TOK_BYTE = 6
};

/* Builds the tokenizer of a file. A file that has none (tokenizer.ggml.model absent or
 * "no_vocab") gives E_NOT_FOUND; a kind or pre-tokenizer that is not known gives
 * E_UNSUPPORTED with its name and the known ones; broken arrays give E_FORMAT; E_NOMEM. */
MUST_CHECK int tok_new(struct tok **out, const struct gguf *g, struct err *e);
void tok_free(struct tok *t); /* NULL is fine */

int tok_count(const struct tok *t);        /* ids are 0 .. count-1 */
const char *tok_kind(const struct tok *t); /* "llama" (SPM), "gpt2" (BPE), ... */
const char *tok_pre(const struct tok *t);  /* the pre-tokenizer's name, "" when none */

/* Tokens with a meaning, by the file's key or, where it has none, by their text; -1 when the
 * model has none. */
int tok_bos(const struct tok *t);
int tok_eos(const struct tok *t);
int tok_eot(const struct tok *t); /* ends a turn */
int tok_eom(const struct tok *t); /* ends a message, the turn goes on elsewhere */
int tok_unk(const struct tok *t);
int tok_sep(const struct tok *t);
int tok_pad(const struct tok *t);
int tok_mask(const struct tok *t);

/* The marks of filling in the middle. */
enum tok_fim_part {
    TOK_FIM_PRE,
    TOK_FIM_SUF,
    TOK_FIM_MID,
    TOK_FIM_PAD,
    TOK_FIM_REP, /* of a repository's name */
    TOK_FIM_SEP, /* of files */
    TOK_FIM_N
};
int tok_fim(const struct tok *t, enum tok_fim_part part);

/* Ids whose logits are to be -inf, *n of them; NULL: none. Borrowed from t. */
const int32_t *tok_suppressed(const struct tok *t, size_t *n);

int tok_add_bos(const struct tok *t); /* 1: the model wants BOS in front */
int tok_add_eos(const struct tok *t);
int tok_add_sep(const struct tok *t);         /* 1: SEP parts a pair of texts */
int tok_is_eog(const struct tok *t, int id);  /* 1: generation ends here */
int tok_type_of(const struct tok *t, int id); /* enum tok_type */

/* The token's text as it stands in the file, and the id of such a text or -1. */
struct str tok_text(const struct tok *t, int id);
int tok_find(const struct tok *t, struct str text);

enum tok_flags {
    TOK_ADD_SPECIAL = 1,  /* BOS and EOS as the model says */
    TOK_PARSE_SPECIAL = 2 /* control tokens written in the text become their ids */
};

struct tok_ids {
    int32_t *id;
    size_t n, cap;
};

/* Appends the ids of n bytes of text to out, which the caller zeroes first and frees with
 * tok_ids_done. Fails, and out is as it was: E_NOMEM; E_TOO_LONG text over 2^31 bytes, or a
 * stretch that cannot be cut over 2^32 with its spaces as U+2581. */
MUST_CHECK int tok_encode(const struct tok *t, const char *text, size_t n, int flags,
                          struct tok_ids *out, struct err *e);
void tok_ids_done(struct tok_ids *ids);

/* As tok_encode of a rendered chat template: control tokens are found only in what the template
 * wrote, never in what a user wrote, nor across the border; apart from that the borders between
 * them do not show in the ids. A BOS that the model wants is not added when the text begins
 * with it. TOK_PARSE_SPECIAL is understood. Fails as tok_encode. */
struct marked;
MUST_CHECK int tok_encode_marked(const struct tok *t, const struct marked *text, int flags,
                                 struct tok_ids *out, struct err *e);

/* The bytes that a token stands for: SPM's U+2581 as a space, byte tokens as their byte,
 * BPE's alphabet undone; control tokens give nothing unless show_control, but for the headings
 * of harmony's messages. Borrowed from t.
 *
 * What takes an answer apart (text/reply) needs show_control: the marks of reasoning and calls
 * are control tokens in many files ([TOOL_CALLS], <|tool_call|>, <|channel>), and their texts
 * are what it looks for. Tokens that end a generation are not put into it: tok_is_eog first. */
struct str tok_piece(const struct tok *t, int id, int show_control);

/* Detokeniser of a stream: bytes come out only as whole characters (a character split over
 * tokens is held back until it is complete, or cannot be completed). */
struct tok_stream {
    const struct tok *t;
    int show_control;
    int at_start;    /* the SPM prefix space of the whole text is still to be dropped */
    unsigned n_held; /* bytes held back */
    char held[4];
};

/* at_start: 1 when the stream begins a text of its own (drops SPM's one leading space), 0
 * when it continues a prompt. */
void tok_stream_init(struct tok_stream *s, const struct tok *t, int at_start, int show_control);
/* Appends what can be shown after id. Fails: as buf_put. */
MUST_CHECK int tok_stream_put(struct tok_stream *s, int id, struct buf *out);
/* Appends what is still held, at the end of the stream. */
MUST_CHECK int tok_stream_end(struct tok_stream *s, struct buf *out);

/* Tidies n bytes of a whole detokenised text in place, as the makers of some tokenizers do
 * (clean_up_tokenization_spaces): the space before . , ? ! and before 's 'm 've 're n't goes,
 * and " ' " becomes "'". Other tokenizers leave the text alone. Returns the bytes that are
 * left. What is generated is never tidied: it is shown as the model wrote it. */
size_t tok_tidy(const struct tok *t, char *text, size_t n);

/* Names of tokenizer kinds and pre-tokenizers, for listing; NULL past the end. */
const char *tok_kind_name(int i);
const char *tok_pre_name(int i);

#endif
