/* bench_serve.h - `hearth bench serve`: what the measuring and its report share.
 *
 * Uses     cmd/bench_load.h
 */
#ifndef HEARTH_CMD_BENCH_SERVE_H
#define HEARTH_CMD_BENCH_SERVE_H

#include "cmd/bench_load.h"
#include "cmd/cmd.h"

struct bench_serve_options {
    float rate, shared, cancel, temp, words, slo_ttft, slo_itl;
    int at_once, n, n_prompt, n_output, n_shared, n_warm, seed, api, ignore_eos, timeout_s,
        json;
    const char *model;
};

struct bench_serve {
    struct bench_serve_options opt;
    struct load_options load;
    struct buf url, model;
    double per_token, n_around; /* words for a token; tokens that every prompt has besides */
    struct load_request *r;     /* [opt.n] */
    struct load_gaps gaps;
    uint64_t wall_ns;
    char told[ERR_MAX]; /* to the first that failed */
};

/* Prints what came of it. Fails: E_IO not one request succeeded; E_NOMEM. */
MUST_CHECK int bench_serve_report(struct bench_serve *b, struct err *e);

#endif
