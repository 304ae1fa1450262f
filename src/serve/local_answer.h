/* local_answer.h - one choice of an answer, as its maker and its teller know it. */
#ifndef HEARTH_SERVE_LOCAL_ANSWER_H
#define HEARTH_SERVE_LOCAL_ANSWER_H

#include "serve/local_priv.h"

struct local_answer {
    struct local_call *c;
    int index, kind; /* of the text that waits to be said: GATE_EV_REASONING, ... */
    const struct tok *tok;
    const uint32_t *hidden;
    const char *const *stop; /* strings that end it */
    int show_control;
    struct reply *reply; /* NULL: all is content */
    struct gram *gram;
    struct guide *guide; /* NULL: any text */
    struct hearth_guide by;
    int certain; /* calls can be passed on while they come */
    struct local_tokens tokens;
    struct buf clean;
    /* The call that comes. */
    int in_call, n_call;
    struct buf name, id, arguments;
    int cut;    /* 1: the last call was cut within its arguments */
    int enough; /* 1: what comes after the one call that was wanted is not said */
    int says;   /* what the sink said last */
    int n_output, n_reasoning;
    struct gate_usage usage;
};

/* Of the answer's parser, and of its job; ctx is the answer. */
int local_on_reply(void *ctx, const struct reply_event *ev);
int local_on_job(void *ctx, const struct sched_event *ev);

#endif
