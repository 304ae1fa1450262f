/* engine.h - the insides of include/hearth.h's nouns, shared by the files of this room.
 *
 * Life of a token: hearth_seq_feed puts it behind the others of its sequence (ids[n_done ..
 * n_len) wait); engine_compute takes waiting tokens of some sequences into a step, sees that
 * pages cover them, and lets the architecture compute; then n_done moves on, full pages are
 * published, and the logits of the last token stand in the engine's rows.
 *
 * Threads  an engine and its sequences belong to one thread; `cancel` may be set by any
 * Uses     base/, sys/, text/, kern/, model/
 */
#ifndef HEARTH_INFER_ENGINE_H
#define HEARTH_INFER_ENGINE_H

#include "hearth.h"

#include "infer/kv.h"
#include "infer/kv_disk.h"
#include "infer/sampler.h"
#include "infer/snap.h"
#include "model/step.h"
#include "text/tok.h"

#include <stdatomic.h>

/* Rows of logits in one step: one for each sequence and guesses for some of them, and at least
 * this many for those who ask for the logits of every position. */
enum {
    ENGINE_ROWS = 32,
    ENGINE_ROWS_SEQ = 4, /* on average, where a step takes so many tokens */
    ENGINE_BATCH = 512,
    ENGINE_BATCH_MAX = 8192,
    ENGINE_SEQ_MAX = 1024,
    ENGINE_DRAFT_MAX = 16
};

/* The default context, where the model allows more: as much as most conversations need. And
 * what a cache with a budget must hold at least. */
enum { ENGINE_CTX = 4096, ENGINE_CTX_LEAST = 512 };

struct hearth_model {
    struct model *m;
    struct tok *tok;    /* NULL: the file has none */
    struct err tok_why; /* why not */
    char *name, *chat_template;
    _Atomic(uint32_t *) dry_breakers; /* NULL: not asked for yet */
    int n_thread;
    uint64_t load_ns;
};

struct hearth_seq {
    struct hearth_engine *en;
    int cap;              /* tokens that there is room for; grows when they are fed */
    int32_t *ids;         /* [cap] */
    int n_len, n_done;    /* fed; computed */
    int *page;            /* [cap / KERN_PAGE] held pages, n_page of them */
    unsigned char **data; /* their memory */
    uint64_t *serial;     /* of published ones */
    uint64_t salt, root; /* who shares its pages; what its first page stands behind (kv_root) */
    unsigned char (*key)[KV_DISK_KEY]; /* of its full pages, n_key of them; NULL: no disk */
    int n_key;
    int loads, loaded_to; /* 1: the disk has more for it; the pages it had when that was said */
    int n_page, n_published;
    int base; /* position of the first token */
    unsigned char
        *state; /* what layers keep beside pages, of the first n_done tokens; NULL: nothing */
    /* When the engine drafts: state as it was behind back_of tokens, -1: nothing (seq_keep). */
    unsigned char *back;
    int back_of;
    float *hidden; /* when the engine drafts: the final state of the token at hidden_of */
    int hidden_of;
    float *back_hidden; /* what these were then */
    int back_hidden_of;
    const float *logits; /* of token n_done - 1, or NULL. Of a part with more rows: the first */
    /* Which token of the last step had the first row, and its place. */
    int row_tok, row_pos;
};

struct hearth_engine {
    struct hearth_model *model;
    struct pool *pool;
    struct cache_layout layout;
    struct kv *kv;
    struct kv_tier *tier;  /* NULL: nothing is kept on disk */
    unsigned char *states; /* [1, or 2 to draft][n_seq_max][layout.state_bytes] */
    size_t n_states;       /* bytes */
    struct snap *snap;     /* copies of them; NULL: layers keep no state */
    int n_ctx, n_batch, n_row;
    int n_usual; /* tokens of a sequence that the cache is made for; n_ctx may be more */
    int n_fit;   /* tokens of one sequence that pages can be had for */
    /* Guessing ahead (draft.h). */
    int n_draft;
    float *known; /* [2][n_batch][n_embd]: hidden states of the step, of the tokens before */
    size_t n_known;
    float *last_hidden;      /* [2][n_seq_max][n_embd], the sequences' own */
    struct hearth_seq **seq; /* [n_seq_max], NULL: free */
    int n_seq_max, turn;     /* whose turn it is to be first */
    atomic_int cancel;
    /* The step and its arrays. */
    struct step step;
    uint64_t step_ns; /* what the last one took */
    int32_t *id, *pos, *out;
    struct step_run *run;
    struct hearth_seq **run_seq;
    int *run_rows;          /* of how many of its last tokens a run gets rows */
    float *logits, *hidden; /* [n_row][...] */
    void *block;            /* one allocation for scratch and rows */
    size_t n_block;
};

/* What a step is to give: the logits of each sequence's last token, or the rows of all its
 * tokens (for one sequence). */
enum engine_want { WANT_LAST, WANT_ALL_LOGITS, WANT_ALL_HIDDEN };

/* One step over the waiting tokens of `only`, or of all sequences when NULL. Returns how many
 * tokens it computed. WANT_ALL_*: at most n_row tokens, rows in logits or hidden. */
MUST_CHECK int engine_compute(struct hearth_engine *en, struct hearth_seq *only, int want,
                              struct err *e);

/* What one sequence does in a step that is put together by its caller. */
struct engine_part {
    struct hearth_seq *seq;
    int n;    /* at most so many of its waiting tokens; then: how many were computed */
    int rows; /* of so many of these, the last ones, rows are wanted; then: how many there are
               */
    int row;  /* then: the first of its rows in logits and hidden */
};

/* One step over these parts, n_row rows and n_batch tokens at most in all: what does not fit
 * is left out (n is 0 then). A part with one row that is cut short (seq_take) gets none; one
 * with more is not cut. hidden: 0 logits, which sequences get as theirs; 1 hidden states; 2
 * both. Returns how many tokens it computed. Fails as hearth_engine_step does. */
MUST_CHECK int engine_compute_parts(struct hearth_engine *en, struct engine_part *part, int n,
                                    int hidden, struct err *e);

/* Pages, states and room for copies of them, as asked for; after read_options.
 * Fails: E_INVALID, E_UNSUPPORTED, E_NOMEM; then engine_cache_free is called all the same. */
MUST_CHECK int engine_cache_make(struct hearth_engine *en,
                                 const struct hearth_engine_options *o, struct err *e);
void engine_cache_free(struct hearth_engine *en);
uint64_t engine_machine_bytes(void); /* of memory */

static inline int engine_pick(int asked, int fallback)
{
    return asked ? asked : fallback;
}

/* Rows of logits are about to be written over: what sequences have of them is gone. */
void engine_void_rows(struct hearth_engine *en);

/* Adds tokens; reuse: 1 takes over published pages, also all that the disk has. */
MUST_CHECK int seq_feed(struct hearth_seq *s, const int32_t *ids, size_t n, int reuse,
                        size_t *n_reused, struct err *e);

/* Feeds and computes in steps of at most n_row tokens, with a row of every position: row(ctx,
 * i, x) of ids[i]; want: WANT_ALL_LOGITS or WANT_ALL_HIDDEN. */
MUST_CHECK int seq_each_row(struct hearth_seq *s, const int32_t *ids, size_t n, int want,
                            int (*row)(void *ctx, size_t i, const float *x), void *ctx,
                            struct err *e);

/* After n more tokens of s were computed: publishes what is full. */
void seq_advance(struct hearth_seq *s, int n);
/* How many of n waiting tokens a step takes at most: it ends where state is to be kept. */
int seq_take(const struct hearth_seq *s, int n);
/* A step of s was stopped in the middle: what may be half done is forgotten, and will be
 * computed again. Pages are not: their positions from n_done on are written anew anyway. */
void seq_spoilt(struct hearth_seq *s);
/* The tokens that follow may soon be cut off again: remembers the state there is now. */
void seq_keep(struct hearth_seq *s);
/* Only sequences of the same salt share pages; 0 unless it is set. Fails: E_INVALID the
 * sequence is not empty. */
MUST_CHECK int seq_set_salt(struct hearth_seq *s, uint64_t salt, struct err *e);
/* One more page that s holds; the serial that its page i stands behind. */
void seq_add_page(struct hearth_seq *s, int page, uint64_t serial);
uint64_t seq_parent(const struct hearth_seq *s, int i);
/* Takes over published pages for waiting tokens. Returns how many tokens they hold. What lies
 * on disk is read for a short time only: then seq_loads is 1, and the next call reads on, also
 * when the sequence was parked in between. */
size_t seq_reuse(struct hearth_seq *s);
int seq_loads(const struct hearth_seq *s);
/* A sequence without a place, as seq_park leaves it. Fails: E_NOMEM. */
MUST_CHECK int seq_new(struct hearth_seq **out, struct hearth_engine *en, struct err *e);
/* The sequence gives up its pages, its state and its place among the engine's n_seq_max; all of
 * its tokens wait. Then nothing but seq_feed without reuse, seq_unpark, hearth_seq_close and
 * hearth_seq_len may be called, until seq_unpark found a place. Fails: E_BUSY. */
void seq_park(struct hearth_seq *s);
MUST_CHECK int seq_unpark(struct hearth_seq *s, struct err *e);
/* Holds pages for all positions below n_pos. Fails: E_BUSY, and holds what it had. */
MUST_CHECK int seq_cover(struct hearth_seq *s, int n_pos, struct err *e);

/* The tier (kern/kern.h) that is asked for by name; NULL: by HEARTH_CPU, else the best.
 * Fails: E_INVALID there is no such tier; E_UNSUPPORTED this machine has not got it. */
MUST_CHECK int infer_tier(const char *asked, struct err *e);

/* The model's tokenizer, or NULL: the file has none that is known. Borrowed. */
const struct tok *infer_tok(const struct hearth_model *h);
/* Fails: E_UNSUPPORTED it gives embeddings and no text; E_NOT_FOUND, E_UNSUPPORTED why it has
 * no tokenizer. */
MUST_CHECK int infer_writes(const struct hearth_model *m, struct err *e);
/* n_vocab bits: the tokens that DRY's repetitions do not go over, those that have one of "\n",
 * ":", "\"", "*" in their text. Borrowed; any thread. NULL: no memory. */
const uint32_t *infer_dry_breakers(struct hearth_model *h);
/* For who reads of the model without computing: as model_intact. */
MUST_CHECK int infer_intact(const struct hearth_model *h, struct err *e);
/* 1: its files are others by now (model_changed), or were lost: it is to be opened again. */
int infer_changed(const struct hearth_model *h);
/* The text of a string key of the model's file: 1, or 0 when it has none. Borrowed. */
int infer_text(const struct hearth_model *h, const char *key, struct str *out);

_Static_assert(sizeof(struct hearth_bias) == sizeof(struct sampler_bias), "the same fields");

/* The struct err inside of a public error, which has the same fields. NULL gives NULL. */
static inline struct err *engine_err(struct hearth_error *e)
{
    _Static_assert(sizeof(struct err) == sizeof(struct hearth_error), "the same fields");
    return (struct err *)(void *)e;
}

#endif
