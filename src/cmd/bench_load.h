/* bench_load.h - requests to a server that generates, many at a time, and when what came back.
 *
 * A load is a list of requests, each with the time it arrives at (open loop) or in the order in
 * which they begin when another ends (closed loop). Times are counted from the arrival that was
 * meant, also when it was late: a slow server does not hide its queue.
 *
 * Prompts are words by chance from a seed: the same number gives every server the same texts.
 *
 * Units    times in nanoseconds of the monotonic clock; gaps in seconds
 * Threads  one, which drives all connections
 * Uses     base/, net/; libcurl, jansson
 */
#ifndef HEARTH_CMD_BENCH_LOAD_H
#define HEARTH_CMD_BENCH_LOAD_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct load;

enum load_outcome {
    LOAD_WAITING, /* not begun, or under way */
    LOAD_OK,
    LOAD_LEFT,    /* cancelled by us, as planned */
    LOAD_CONNECT, /* nobody answered, or the connection broke before the answer */
    LOAD_STATUS,  /* an HTTP status other than 200 */
    LOAD_TOLD,    /* an error within the stream */
    LOAD_CUT,     /* the stream ended before its end */
    LOAD_FORMAT,  /* what came is not what the protocol has */
    LOAD_TIMEOUT,
    LOAD_OUTCOMES
};

extern const char *const load_outcome_name[LOAD_OUTCOMES];

struct load_request {
    uint64_t at_ns;  /* open loop: arrival, from the beginning of the load */
    uint64_t text;   /* number of its own words */
    int n_word;      /* of its prompt, */
    int n_shared;    /* of which so many at the beginning are those of others */
    int n_output;    /* most tokens of the answer */
    int leave_after; /* pieces of text after which we are gone; 0: never */
    /* What came of it. */
    int outcome; /* enum load_outcome */
    int status;  /* of HTTP */
    uint64_t start_ns, first_ns, last_ns, end_ns;
    int n_piece, n_slow; /* pieces of text; gaps above load_options.slo_gap_s */
    int got_prompt, got_cached, got_output; /* tokens, as the server says; -1: it does not */
};

struct load_options {
    const char *url, *key, *model;
    int api;     /* enum load_api */
    int at_once; /* closed loop: requests under way; 0: open loop */
    uint64_t seed;
    double temp;
    int ignore_eos;
    int timeout_s; /* of one request */
    double slo_gap_s;
};

enum load_api {
    LOAD_OPENAI,
    LOAD_OPENAI_TEXT,
    LOAD_OLLAMA,
    LOAD_LLAMA,
    LOAD_ANTHROPIC,
    LOAD_APIS
};

#define LOAD_API_NAMES "openai|openai-text|ollama|llama|anthropic" /* in that order */

/* Gaps between pieces of text of all requests, in seconds. */
struct load_gaps {
    float *v;
    size_t n, cap;
};

/* Runs them all. *wall_ns: from the first arrival to the last end. told[ERR_MAX]: what the
 * first request that failed was told, "" if none did. The caller frees gaps->v with mem_free.
 * Fails: E_INVALID the URL; E_NOMEM. */
MUST_CHECK int load_run(const struct load_options *o, struct load_request *r, int n,
                        struct load_gaps *gaps, uint64_t *wall_ns, char *told, struct err *e);

/* -- the APIs (bench_api.c) -------------------------------------------------------------- */

struct load_api_row {
    const char *path;
    int ndjson; /* else server-sent events */
    /* Takes one event of the stream apart: the pieces of text and the counts of r, *done the
     * end of the protocol. Returns 1 when there was text, 0 when not, negative: an error was
     * told, as words in told. */
    int (*event)(struct load_request *r, struct str event, struct str data, int *done,
                 char *told);
};

extern const struct load_api_row load_apis[LOAD_APIS];

/* The body of a request. Fails: E_NOMEM. */
MUST_CHECK int load_body(const struct load_options *o, const struct load_request *r,
                         struct buf *out);

/* n words with the seed and the number of a text; the same ones at the beginning of every
 * longer text. Fails: E_NOMEM. */
MUST_CHECK int load_words(uint64_t seed, uint64_t text, int n, struct buf *out);

#endif
