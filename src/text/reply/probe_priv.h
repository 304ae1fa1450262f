/* probe_priv.h - what the parts of a probe share.
 *
 * Files    probe.c the order of questions; probe_render.c conversations of known words;
 *          probe_calls.c which format it is; probe_think.c markers and switches of reasoning
 */
#ifndef HEARTH_TEXT_REPLY_PROBE_PRIV_H
#define HEARTH_TEXT_REPLY_PROBE_PRIV_H

#include "text/reply/probe.h"
#include "text/reply/reply_priv.h"

/* Words that no template has. */
#define PROBE_USER    "Pqvuser"
#define PROBE_SYSTEM  "Pqvsystem"
#define PROBE_CONTENT "Pqvcontent"
#define PROBE_THOUGHT "Pqvthought"

struct probing {
    const struct tmpl *t;
    json_t *vars;  /* of all renders */
    json_t *tools; /* get_x and get_y of names that no template has */
    int rc;        /* E_NOMEM sticks */
};

/* One render: what differs from the others. */
struct probe_ask {
    const char *system;    /* NULL: no such message */
    const char *content;   /* of the assistant's message */
    const char *reasoning; /* NULL: not given */
    int assistant;         /* 1: there is such a message, the last */
    int calls;             /* of it: 0 to 2 */
    int args_text;
    int tools, prompt;            /* prompt: add_generation_prompt */
    const char *variable, *value; /* JSON; NULL: none */
};

MUST_CHECK int probe_begin(struct probing *p, const struct tmpl *t, const json_t *vars);
void probe_done(struct probing *p);
/* 1: the text is in out. 0: the template refused, or there is no memory. */
int probe_render(struct probing *p, const struct probe_ask *ask, struct buf *out);
/* What is rendered with `more` behind what is rendered with `less`; back to a whole marker. */
struct str probe_behind(const struct buf *less, const struct buf *more);
int probe_has(const struct buf *b, const char *word);
/* 1: the word is in the name, whatever its case. */
int probe_named(struct str name, const char *word);
/* 1: f reads the n calls of a message back. */
int probe_gives_calls(struct probing *p, const struct reply_format *f, struct str text, int n);

void probe_calls(struct probing *p, struct probe *out);
void probe_think(struct probing *p, struct str name, struct probe *out);
void probe_override(struct probing *p, struct str name, struct probe *out);

#endif
