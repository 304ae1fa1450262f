/* probe.h - what a chat template can do and how its model writes, found by rendering it.
 *
 * Uses     base/, text/tmpl/, text/reply/reply.h
 */
#ifndef HEARTH_TEXT_REPLY_PROBE_H
#define HEARTH_TEXT_REPLY_PROBE_H

#include "text/reply/reply.h"
#include "text/tmpl/tmpl.h"

enum probe_think {
    PROBE_THINK_NEVER,  /* no reasoning */
    PROBE_THINK_ALWAYS, /* and no way to turn it off */
    PROBE_THINK_SWITCH  /* a variable turns it on and off */
};

struct probe {
    struct reply_style style;
    int think;                  /* enum probe_think */
    const char *think_variable; /* "enable_thinking", "thinking", "reasoning_effort"; or NULL */
    const char *think_on;       /* the variable's values, as JSON: "true", "\"high\"" */
    const char *think_off;      /* NULL: there are only degrees */
    int think_default;          /* 1: it reasons when nothing is said */
    int system;                 /* 1: a system message is taken, or merged */
    int tools;                  /* 1: tools are shown to the model by the template */
    int parallel;               /* 1: several calls in one message can be rendered */
    int args_text; /* 1: arguments of calls must be text in messages, not objects */
};

/* vars: bos_token, eos_token and what else the template needs; NULL: none. name: the model's
 * or architecture's name, for the overrides; may be empty. A template that refuses everything
 * gives a probe of nothing, not an error. Fails: E_NOMEM. */
MUST_CHECK int probe_run(struct probe *out, const struct tmpl *t, const json_t *vars,
                         struct str name, struct err *e);

/* 1: a rendered prompt ends inside reasoning: its last open marker has no close behind it. */
int probe_is_open(const struct reply_style *style, struct str prompt);
/* The same where people wrote into it: their markers open and close nothing. */
int probe_is_open_marked(const struct reply_style *style, const struct marked *prompt);

#endif
