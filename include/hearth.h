/* hearth.h - run open-weight language models in your own program.
 *
 *     struct hearth_model *m;
 *     struct hearth_engine *en;
 *     struct hearth_seq *s;
 *     struct hearth_error e;
 *
 *     if (hearth_model_open(&m, "model.gguf", NULL, &e) < 0 ||
 *         hearth_engine_new(&en, m, NULL, &e) < 0 || hearth_seq_open(&s, en, &e) < 0)
 *         die(e.message);
 *     hearth_generate(s, ids, n_ids, &(struct hearth_generate_options){.n_predict = 64},
 *                     NULL, print_piece, NULL, &e);
 *
 * Three nouns. A model is the weights of one file: read-only once open. An engine runs one
 * model: it owns the threads, the key/value cache and the scratch memory. A sequence is one
 * text in an engine: tokens are fed to it, and its logits say what comes next. Many sequences
 * share an engine; one hearth_engine_step computes for all of them at once, and what a
 * sequence gets does not depend on who else is in the step.
 *
 * Returns  0 or a count on success, a negative HEARTH_E_* on failure, with the words in *e
 *          (which may be NULL)
 * Threads  a model may be used by many engines in many threads. An engine and its sequences
 *          belong to one thread at a time; hearth_engine_cancel may be called by any.
 * Owners   every _open and _new has its _close or _free, which take NULL; a sequence must be
 *          closed before its engine, an engine before its model
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_API __attribute__((visibility("default")))

#define HEARTH_VERSION "0.1.0"

enum hearth_error_code {
    HEARTH_E_INTERNAL = -1,
    HEARTH_E_FORMAT = -2,
    HEARTH_E_UNSUPPORTED = -3,
    HEARTH_E_NOT_FOUND = -4,
    HEARTH_E_IO = -5,
    HEARTH_E_NOMEM = -6,
    HEARTH_E_TOO_LONG = -7,
    HEARTH_E_BUSY = -8,
    HEARTH_E_NUMERIC = -9,
    HEARTH_E_CANCELLED = -10,
    HEARTH_E_INVALID = -11
};

struct hearth_error {
    int code;          /* HEARTH_E_*, 0: none */
    char message[512]; /* one line */
};

/* -- model --------------------------------------------------------------------------- */

struct hearth_model;

struct hearth_model_options {
    int n_thread;    /* the default of engines; 0: what the machine allows */
    const char *cpu; /* the tier: "ref", "avx2", "dotprod", ...; NULL: HEARTH_CPU or best */
    /* A directory in which packed weights are kept for the next start, made when it is missing;
     * NULL: none. hearth_engine_pack writes them. */
    const char *pack_cache;
    uint64_t pack_cache_max; /* bytes that its files may take together; 0: 16 GiB */
    /* Called now and then while weights of a Hugging Face folder are rearranged, and then while
     * packed weights are read, each time with the share of these that is done, from 0 to 1;
     * nonzero stops, and opening fails with HEARTH_E_CANCELLED. NULL: nobody. */
    int (*progress)(void *ctx, double done);
    void *ctx;
};

/* A model computes as soon as it is open, from the file as it lies. For speed its weights are
 * brought into another layout (packed) between the first steps of its engines; results do not
 * change by a bit. */
enum hearth_packing {
    HEARTH_PACKING,
    HEARTH_PACKED,
    HEARTH_NOT_PACKED /* and will not be: pack_note says why */
};

struct hearth_model_info {
    const char *arch, *name;   /* "llama"; general.name or the file's name */
    const char *file_type;     /* "Q4_K_M", as users know it, or the commonest type */
    const char *tokenizer;     /* "llama", "gpt2"; NULL: the file has none */
    const char *chat_template; /* NULL: the file has none; NUL-terminated */
    const char *cpu;           /* the tier in use */
    int n_vocab, n_embd, n_layer, n_head, n_head_kv, n_ctx_train;
    uint64_t n_param, file_bytes;
    uint64_t load_ns;    /* what hearth_model_open took */
    int packing;         /* enum hearth_packing */
    uint64_t pack_ns;    /* what packing took, in all; 0: nothing to pack, or not done yet */
    int pack_cached;     /* 1: packed weights of an earlier run are in use */
    char pack_note[256]; /* what went wrong with packing, or empty */
    int n_thread;
    int bos, eos; /* token ids, -1: none */
    int add_bos;
    int pooling;    /* 0 none, 1 mean, 2 CLS, 3 last, 4 rank: a reranker */
    int n_embd_out; /* numbers that hearth_seq_embed gives: n_embd, or a reranker's labels */
};

/* path: a GGUF file, any part of a split one, or a Hugging Face folder. */
HEARTH_API int hearth_model_open(struct hearth_model **out, const char *path,
                                 const struct hearth_model_options *opt,
                                 struct hearth_error *e);
HEARTH_API void hearth_model_close(struct hearth_model *m);

/* Adds a LoRA adapter (GGUF), scale times what its file says. Before engines are made; several
 * are added in turn. Fails, and the model is as before: E_FORMAT the file is no adapter of such
 * a model; E_UNSUPPORTED it is for a part that cannot be adapted here. */
HEARTH_API int hearth_model_adapt(struct hearth_model *m, const char *path, float scale,
                                  struct hearth_error *e);

/* Strings live as long as the model. */
HEARTH_API void hearth_model_info(const struct hearth_model *m, struct hearth_model_info *out);

/* -- tokens -------------------------------------------------------------------------- */

enum hearth_encode_flags {
    HEARTH_ADD_SPECIAL = 1,  /* BOS and EOS as the model says */
    HEARTH_PARSE_SPECIAL = 2 /* control tokens written in the text become their ids */
};

/* Writes up to cap ids and returns how many the text has, which may be more than cap: then
 * call again with room. E_NOT_FOUND: the model has no tokenizer. */
HEARTH_API int hearth_encode(const struct hearth_model *m, const char *text, size_t n,
                             int flags, int32_t *ids, size_t cap, struct hearth_error *e);

/* Appends nothing NUL-terminated: writes up to cap bytes of the text of ids[n] and returns
 * how many there are. Control tokens are shown when show_control. */
HEARTH_API int64_t hearth_decode(const struct hearth_model *m, const int32_t *ids, size_t n,
                                 int show_control, char *text, size_t cap,
                                 struct hearth_error *e);

/* 1 when generation ends at this token. */
HEARTH_API int hearth_is_eog(const struct hearth_model *m, int32_t id);

/* -- engine -------------------------------------------------------------------------- */

struct hearth_engine;

/* How keys and values are stored: 16 or 32 bits, or blocks of 32 numbers with a scale, 8.5 or
 * 4.5 bits each, for head sizes that are a multiple of 32. */
enum hearth_kv_type {
    HEARTH_KV_AUTO, /* keys: F16; values: as the keys */
    HEARTH_KV_F16,
    HEARTH_KV_F32,
    HEARTH_KV_Q8_0,
    HEARTH_KV_Q4_0
};

struct hearth_engine_options {
    int n_ctx; /* most tokens of one sequence; 0: the smaller of 4096 and the model's own,
                  with kv_bytes the model's own */
    /* One sequence may grow to so many, if that is more, while there are pages: the cache is
     * made for n_ctx all the same. Not for models that see all tokens at once, or whose
     * rotation depends on how long texts may become: these stay with n_ctx. 0: n_ctx. */
    int n_ctx_most;
    int n_seq_max; /* most sequences open at once; 0: 1 */
    int n_batch;   /* most tokens computed in one step; 0: 512; at least 32 and n_seq_max are
                      taken, and hearth_engine_info says how many */
    int n_thread;  /* 0: the model's */
    int pin;       /* 1: threads stay on their CPU */
    int kv_type;   /* enum hearth_kv_type, of the keys, */
    int kv_type_v; /* and of the values */
    int n_draft;   /* tokens to guess ahead with the model's own heads, up to 16; 0: none. Text
                      and probabilities are the same; hearth_generate is faster where guesses
                      come true. Models without such heads are refused. */
    /* Bytes that the pages of the key/value cache may take together, whatever n_ctx and
     * n_seq_max are: pages are given to sequences as they grow, what nobody holds keeps what
     * was computed before. At least 512 tokens, or n_ctx if that is less, must fit. 0: as much
     * as all sequences take when they are full. */
    uint64_t kv_bytes;
    /* A directory in which pages that leave memory are kept, and found again by later engines
     * of the same model, made when it is missing; NULL: none. Its files hold the tokens of
     * texts as they are. */
    const char *kv_dir;
    uint64_t kv_dir_bytes; /* that its files may take together; 0: 8 GiB */
};

HEARTH_API int hearth_engine_new(struct hearth_engine **out, struct hearth_model *m,
                                 const struct hearth_engine_options *opt,
                                 struct hearth_error *e);
HEARTH_API void hearth_engine_free(struct hearth_engine *en);

struct hearth_engine_info {
    int n_ctx, n_seq_max, n_batch, n_thread;
    uint64_t kv_bytes, scratch_bytes;    /* the first with state, and room for copies of it */
    int pages, pages_used, pages_cached; /* of the key/value cache */
    int page_tokens;
    int n_fit; /* most tokens of one sequence that can be computed: n_ctx, or what all pages
                  hold together */
    /* Of kv_dir: bytes in it; files read, written, left out because the disk was behind or
     * full, found bad, removed for others. */
    uint64_t disk_bytes, disk_read, disk_written, disk_left_out, disk_bad, disk_evicted;
};

HEARTH_API void hearth_engine_info(const struct hearth_engine *en,
                                   struct hearth_engine_info *out);

/* Computes one step for every sequence that has tokens waiting: at most n_batch tokens, the
 * sequences in turn, long prompts in pieces. Returns how many tokens it computed, 0 when none
 * waits. Fails: E_BUSY the cache is full; E_CANCELLED; E_IO a file of the model was cut, or
 * cannot be read any more: the model has to be closed and opened again; after a failure the
 * sequences that were in the step keep their waiting tokens. Allocates nothing. */
HEARTH_API int hearth_engine_step(struct hearth_engine *en, struct hearth_error *e);

/* Packs what is left to pack at once, and writes it to the pack_cache: for who has the time, or
 * measures. progress (may be NULL) is called now and then with done in [0, 1]; returning
 * nonzero stops with E_CANCELLED, and the rest is packed between steps. That packing goes wrong
 * is no failure: hearth_model_info tells. */
HEARTH_API int hearth_engine_pack(struct hearth_engine *en,
                                  int (*progress)(void *ctx, double done), void *ctx,
                                  struct hearth_error *e);

/* Makes the step that runs, or the next one, stop with E_CANCELLED. Any thread; also a
 * signal handler. */
HEARTH_API void hearth_engine_cancel(struct hearth_engine *en);

/* -- sequence ------------------------------------------------------------------------ */

struct hearth_seq;

HEARTH_API int hearth_seq_open(struct hearth_seq **out, struct hearth_engine *en,
                               struct hearth_error *e);
HEARTH_API void hearth_seq_close(struct hearth_seq *s);

/* Adds n tokens to what waits. A new sequence that begins like one the engine computed
 * before takes over its pages: those tokens are not computed again, and *n_reused (may be
 * NULL) says how many. Nothing is added on failure: E_INVALID an id is out of range;
 * E_TOO_LONG the sequence would pass n_ctx, or has more tokens than all pages of the cache
 * hold; E_NOMEM. */
HEARTH_API int hearth_seq_feed(struct hearth_seq *s, const int32_t *ids, size_t n,
                               size_t *n_reused, struct hearth_error *e);

/* Logits[n_vocab] of the last token that was computed; NULL while tokens wait or when there
 * are none. Valid until the next step. */
HEARTH_API const float *hearth_seq_logits(const struct hearth_seq *s);

/* As hearth_seq_feed and steps until nothing waits, handing over the logits of each of the
 * n positions in order: rows(ctx, i, logits). Only this sequence may have tokens waiting. Fails
 * also: E_UNSUPPORTED the model gives embeddings only. */
HEARTH_API int hearth_seq_logits_all(struct hearth_seq *s, const int32_t *ids, size_t n,
                                     int (*rows)(void *ctx, size_t i, const float *logits),
                                     void *ctx, struct hearth_error *e);

/* Tokens computed and waiting, together. */
HEARTH_API int hearth_seq_len(const struct hearth_seq *s);

/* Forgets all tokens from position n on, the waiting ones first. Then there are no logits
 * until more is fed. Models that keep a state beside the cache compute some of the tokens
 * that are left again. */
HEARTH_API int hearth_seq_truncate(struct hearth_seq *s, int n, struct hearth_error *e);
/* Positions of an empty sequence begin at pos instead of 0: for texts whose beginning is left
 * out. Fails: HEARTH_E_INVALID. */
HEARTH_API int hearth_seq_set_position(struct hearth_seq *s, int pos, struct hearth_error *e);

/* As hearth_seq_logits_all, with the hidden state of each position, n_embd floats, after the
 * last norm. Models that give embeddings only have these and no logits. */
HEARTH_API int hearth_seq_hidden_all(struct hearth_seq *s, const int32_t *ids, size_t n,
                                     int (*rows)(void *ctx, size_t i, const float *hidden),
                                     void *ctx, struct hearth_error *e);

/* The pooled embedding of ids as the model says (when it says nothing: the last token, or the
 * mean where each token sees all), not normalised; of a reranker its scores, or the
 * probabilities of its labels. n_embd_out floats. The sequence must be empty, and is empty
 * afterwards. After a failure out holds nothing of use. */
HEARTH_API int hearth_seq_embed(struct hearth_seq *s, const int32_t *ids, size_t n, float *out,
                                struct hearth_error *e);

/* -- generation ---------------------------------------------------------------------- */

struct hearth_sampling {
    float temperature;       /* 0: greedy */
    int top_k;               /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    float typical_p;         /* 1: off */
    float repeat_penalty;    /* 1: off */
    float presence_penalty;  /* 0: off */
    float frequency_penalty; /* 0: off */
    int repeat_last_n;       /* 0: off, -1: all */
    uint64_t seed;           /* the same seed, prompt and model give the same text */
    /* What follows is off when it is 0, and means what it means in llama-server. */
    float top_n_sigma;                    /* below 0: off, too */
    float xtc_probability, xtc_threshold; /* a threshold above 0.5: off */
    float dry_multiplier, dry_base; /* repetitions end at tokens with a line's end, ":", "\"" */
    int dry_allowed_length;         /* or "*" in them */
    int dry_last_n;                 /* 0: off, -1: all */
    float dynatemp_range, dynatemp_exponent;
    int min_keep; /* filters leave at least so many tokens */
};

/* temperature 0.8, top_k 40, top_p 0.9, no penalties (which look back over 64 tokens), a
 * random seed; XTC's threshold 0.1, DRY's base 1.75 and length 2 over all tokens, an exponent
 * of 1, each of them off. */
HEARTH_API void hearth_sampling_defaults(struct hearth_sampling *s);

struct hearth_token_logprob {
    int32_t id;
    float logprob;
};

/* Added to the logit of a token before all else; minus infinity rules it out. */
struct hearth_bias {
    int32_t id;
    float bias;
};

/* What one callback gets: text that is ready to show (whole characters, past any stop
 * string), and the tokens behind it. */
struct hearth_piece {
    const char *text; /* NUL-terminated; may be empty */
    size_t n_text;
    int32_t id;    /* the token that was just sampled; -1 in the last call */
    float logprob; /* when n_logprobs > 0 was asked for */
    const struct hearth_token_logprob *top; /* n_top of them, best first */
    int n_top;
};

/* Holds a text to a form: says before each token which ones may come. The functions are called
 * by hearth_generate, in turns: mask, then accept of the token that was taken; they return a
 * HEARTH_E_* on failure, which ends the generation. */
struct hearth_guide {
    void *ctx;
    /* Sets bit i % 32 of bits[i / 32] (zeroed) of each token that may come next, also of those
     * that end the generation. Returns 1; 0: any token may come; 2: none, the text is whole. */
    int (*mask)(void *ctx, uint32_t *bits, struct hearth_error *e);
    /* Token id, which does not end the generation, was taken. */
    int (*accept)(void *ctx, int32_t id, struct hearth_error *e);
    /* Writes up to max tokens that are certain to come next, and returns how many: they are
     * taken without sampling, all in one step, and each is accepted. May be NULL. */
    int (*forced)(void *ctx, int32_t *ids, int max, struct hearth_error *e);
};

enum hearth_finish {
    HEARTH_FINISH_EOG,    /* the model, or its guide, said that it is done */
    HEARTH_FINISH_STOP,   /* a stop string */
    HEARTH_FINISH_LENGTH, /* n_predict tokens, or the context is full */
    HEARTH_FINISH_CALLER  /* the callback returned nonzero, or hearth_engine_cancel */
};

struct hearth_generate_options {
    int n_predict; /* most tokens; 0 or less: until the context is full */
    const struct hearth_sampling *sampling; /* NULL: the defaults */
    const char *const *stop;                /* n_stop strings, at most 64 of 1024 bytes */
    int n_stop;
    int n_logprobs;   /* 0: none; n: the chosen token's and the n best ones' (max 20) */
    int show_control; /* control tokens appear in the text */
    int ignore_eog;   /* go on past end-of-generation tokens, for benchmarks */
    const struct hearth_guide *guide; /* NULL: none. Not with ignore_eog */
    /* n_vocab bits, 32 to a word, of tokens that give no text in spite of show_control; NULL:
     * none. */
    const uint32_t *hidden;
    const struct hearth_bias *bias; /* n_bias of them; several for one id add up */
    size_t n_bias;
};

struct hearth_stats {
    int n_prompt, n_prompt_reused, n_output; /* tokens; reused ones are part of n_prompt */
    uint64_t prompt_ns, output_ns;
    int finish;                /* enum hearth_finish */
    int n_drafted, n_accepted; /* tokens guessed ahead, and those that came true */
    int n_forced;              /* of n_output: tokens that the guide left no choice of */
};

/* Feeds the prompt, samples until the text is done, and calls piece for each token (nonzero
 * stops). The last call has id -1 and what was held back. Stats may be NULL and are filled as
 * far as it came also on failure. The sampled tokens stay in the sequence, except one that
 * ended it. */
HEARTH_API int hearth_generate(struct hearth_seq *s, const int32_t *prompt, size_t n_prompt,
                               const struct hearth_generate_options *opt,
                               struct hearth_stats *stats,
                               int (*piece)(void *ctx, const struct hearth_piece *p), void *ctx,
                               struct hearth_error *e);

/* -- about --------------------------------------------------------------------------- */

HEARTH_API const char *hearth_version(void);
/* The exit status that a command should end with for an error code. */
HEARTH_API int hearth_exit_status(int code);

#ifdef __cplusplus
}
#endif

#endif
