/* run.h - the parts of `hearth run`: options, one answer, the interactive loop.
 *
 * Threads  one; the interrupt flag is set by a signal handler
 */
#ifndef HEARTH_CMD_RUN_H
#define HEARTH_CMD_RUN_H

#include "cmd/cmd.h"

#include <signal.h>
#include <stdatomic.h>

enum run_format { RUN_TEXT, RUN_JSON };

struct run_options {
    struct hearth_sampling sampling; /* its seed is set for each answer from `seed` */
    struct opt_seed seed;
    int num_predict, num_ctx, threads, pin, draft;
    struct cmd_kv kv;
    struct cmd_lora lora;
    int verbose, format, special;
    const char *cpu, *system;
    struct cmd_cache cache;
    struct opt_list stop;
};

extern const struct opt_spec run_spec;

struct run {
    struct run_options opt;
    const char *path;
    struct hearth_model *model;
    struct hearth_model_info info;
    struct hearth_engine *engine;
    struct hearth_seq *seq;
    int n_ctx;
    int interactive;
    int stdout_tty;
    uint64_t load_ns;  /* reported with the first answer, then 0 */
    uint64_t start_ns; /* when the question was asked */
    int reader_gone;   /* stdout's reader closed it: nothing is left to do */
};

/* Completes the text so far with n bytes more and prints the answer. The system text is put
 * in front at the start of a text; later questions begin on a new line.
 * Fails: E_TOO_LONG it does not fit the context, and the text so far is as it was; E_IO; as
 * hearth_generate. An interrupted answer is no failure. */
MUST_CHECK int run_answer(struct run *r, const char *text, size_t n, struct err *e);

/* Reads and answers until the user leaves. Returns the exit status. */
int run_repl(struct run *r);

/* Set by the interactive mode's SIGINT handler; ends the answer in progress. */
extern volatile sig_atomic_t run_interrupted;
/* The engine that the handler cancels: not NULL only while a prompt is computed, so that a
 * late signal cannot end the next answer. */
extern struct hearth_engine *_Atomic run_engine;

/* Says once, on stderr, what the model's chat template (or its absence) means here. */
void run_notice(const struct run *r);

#endif
