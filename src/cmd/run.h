/* run.h - the parts of `hearth run`: options, a conversation, one answer, the interactive loop.
 *
 * Threads  one; the interrupt flag is set by a signal handler
 */
#ifndef HEARTH_CMD_RUN_H
#define HEARTH_CMD_RUN_H

#include "base/buf.h"
#include "cmd/cmd.h"
#include "store/store.h"
#include "text/chat.h"
#include "text/guide.h"

#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>

struct run_options {
    struct hearth_sampling sampling; /* its seed is set for each answer from `seed` */
    struct opt_seed seed;
    int num_predict, num_ctx, threads, pin, draft;
    struct cmd_kv kv;
    struct cmd_lora lora;
    int verbose, json, special, local;
    const char *cpu, *system;
    struct cmd_cache cache;
    struct opt_list stop;
    /* Of conversations. */
    int raw, no_think, hide_think, one_call;
    const char *think;  /* NULL: not given; "": on; a level, "true" or "false" */
    const char *format; /* "text", "json", or a file with a JSON Schema */
    const char *template, *tools, *choice;
};

extern const struct opt_spec run_spec;

/* A conversation with a model that has a chat template, and what holds its answers. */
struct run_chat {
    struct chat *chat; /* NULL: texts are completed as they stand */
    json_t *messages;  /* so far */
    json_t *tools;     /* NULL: none */
    json_t *schema;    /* of answers; NULL: any text */
    int any_json;      /* 1: any JSON object */
    int think;         /* enum chat_think */
    const char *effort;
    struct gram *gram; /* of answers; NULL: free */
    struct mask_vocab *vocab;
    int open;         /* the answer to come begins inside reasoning */
    uint32_t *hidden; /* bits of tokens that are not shown; NULL: none */
};

struct run_via;

struct run {
    struct run_options opt;
    const char *path;
    struct run_via *via; /* a server answers; then model, engine, seq are NULL, and opt holds
                          * what was given and nothing else */
    struct store_model stored; /* what the store has of it; nothing if it is a path */
    struct hearth_model *model;
    struct hearth_model_info info;
    struct hearth_engine *engine;
    struct hearth_seq *seq;
    struct run_chat chat;
    int32_t *ids; /* of the sequence's tokens, n_id of them */
    size_t n_id, cap_id;
    int n_ctx;
    int interactive;
    int stdout_tty;
    uint64_t load_ns;  /* reported with the first answer, then 0 */
    uint64_t start_ns; /* when the question was asked */
    int reader_gone;   /* stdout's reader closed it: nothing is left to do */
};

/* -- models by name (run_stored.c) -------------------------------------------------------- */

/* If r->path is no file but a name in the store: r->stored, and its path and settings in front
 * of the options of argv, which are read again. Fails: as store_find, opt_parse. */
MUST_CHECK int run_stored(struct run *r, int argc, char **argv, struct err *e);

/* -- through a server (run_via.c) --------------------------------------------------------- */

struct client;

/* If r->path is a name, a server runs, and it can be told all that argv says: asks it for the
 * model. 1: it answers from now on, r->via is set. 0: this process is to. Fails: E_NOT_FOUND
 * the server has no such model, this process may; as the server says. */
MUST_CHECK int run_via_open(struct run *r, int argc, char **argv, struct err *e);
void run_via_close(struct run *r); /* without one, too */
const char *run_via_url(const struct run *r);
int run_via_chat(const struct run *r); /* 0: text is completed as it stands */
int run_via_has_text(const struct run *r);
void run_via_clear(struct run *r); /* begins a text anew */
/* As run_answer. */
MUST_CHECK int run_via_answer(struct run *r, const char *text, size_t n, struct err *e);
/* 1: an option was given. */
int run_via_given(const struct opt_row *row, const struct run_options *o);
/* What the interactive mode's SIGINT handler cancels: not NULL only while a request is on. */
extern struct client *_Atomic run_via_client;

/* -- conversations (run_chat.c) ---------------------------------------------------------- */

/* After the model was opened: its template, the tools, what holds the answers. Fails: as
 * chat_new, schema_add, reply_grammar; E_INVALID options that do not go together. */
MUST_CHECK int run_chat_open(struct run *r, struct err *e);
/* The same for r->via: only what needs no model. */
MUST_CHECK int run_chat_open_via(struct run *r, struct err *e);
void run_chat_close(struct run *r);
void run_chat_clear(struct run *r); /* begins anew */

/* How its answers are written; never NULL. */
const struct reply_style *run_chat_style(const struct run *r);

/* Adds a message to the conversation; run_chat_drop takes the last one back. */
MUST_CHECK int run_chat_add(struct run *r, json_t *message, struct err *e);
void run_chat_drop(struct run *r);

/* Changes what --format (NULL: any text) and --think (NULL: the template's own way) set. After
 * a failure all is as it was. */
MUST_CHECK int run_chat_format(struct run *r, const char *format, struct err *e);
MUST_CHECK int run_chat_think(struct run *r, const char *think, struct err *e);

/* Adds the result of the first call that waits for one; *left: how many still do. Fails:
 * E_INVALID none does. */
MUST_CHECK int run_chat_result(struct run *r, const char *text, size_t *left, struct err *e);

/* Brings the sequence to where the conversation's prompt and it are the same, and gives the
 * ids that must follow; the caller frees them with mem_free. Fails: as chat_encode; E_TOO_LONG
 * it does not fit the context. */
MUST_CHECK int run_chat_prompt(struct run *r, int32_t **ids, size_t *n, struct err *e);

/* Remembers ids as the sequence's next tokens. Fails: E_NOMEM. */
MUST_CHECK int run_ids_add(struct run *r, const int32_t *ids, size_t n, struct err *e);

/* Makes the grammar that --format and --tools ask for: in r->chat.gram. Fails: as schema_add,
 * reply_grammar. */
MUST_CHECK int run_chat_grammar(struct run *r, struct err *e);

/* -- tools (run_tools.c) ----------------------------------------------------------------- */

#define RUN_FILE_MAX ((size_t)16 << 20) /* bytes of a file that an option names */

/* Reads such a file; errors begin with the option. Fails: as cmd_read_file. */
MUST_CHECK int run_option_file(const char *option, const char *path, struct buf *b,
                               struct err *e);

/* Reads --tools into r->chat.tools: an array of declarations, or an object that has one as
 * "tools", or one declaration. Fails: as cmd_read_file; E_INVALID it is none of these. */
MUST_CHECK int run_tools_open(struct run *r, struct err *e);
/* Checks --tool-choice, which is given: a name must be one of a tool. Fails: E_INVALID. */
MUST_CHECK int run_tools_choice(const struct run *r, struct err *e);
/* What may be called, as a grammar wants it. 1: something must be. */
int run_tools_calls(const struct run *r, struct reply_tools *t);

/* -- answers (run_answer.c) -------------------------------------------------------------- */

/* Answers, or completes the text so far with, n bytes more and prints what comes. Without a
 * chat template the system text is put in front at the start of a text; later questions begin
 * on a new line. Fails: E_TOO_LONG it does not fit the context, and the text so far is as it
 * was; E_IO; as hearth_generate. An interrupted answer is no failure. */
MUST_CHECK int run_answer(struct run *r, const char *text, size_t n, struct err *e);

/* The same after a message of another kind was added (the result of a call). */
MUST_CHECK int run_go_on(struct run *r, struct err *e);

/* -- calls as text (run_call.c) ---------------------------------------------------------- */

/* A buffer as a JSON string of well-formed UTF-8; NULL: no memory. */
json_t *run_text_json(const struct buf *b);
/* Appends a value as compact JSON. Fails: E_NOMEM, E_TOO_LONG. */
MUST_CHECK int run_json_put(struct buf *out, const json_t *value);
/* Arguments as the conversation keeps them: an object, in which integers past 64 bits become
 * nearly theirs; what is no JSON stays text. NULL: no memory. */
json_t *run_call_arguments(const struct buf *written);
/* Appends {"name": ..., "arguments": ...} on one line, with the arguments as written. Fails: as
 * run_json_put. */
MUST_CHECK int run_call_put(struct buf *out, const json_t *function, const struct buf *written);
/* Appends a call to the members of "tool_calls"; function: what run_call_put made. */
MUST_CHECK int run_call_list(struct buf *list, const json_t *call, struct str function);

/* Reads and answers until the user leaves. Returns the exit status. */
int run_repl(struct run *r);

/* Set by the interactive mode's SIGINT handler; ends the answer in progress. */
extern volatile sig_atomic_t run_interrupted;
/* The engine that the handler cancels: not NULL only while a prompt is computed, so that a
 * late signal cannot end the next answer. */
extern struct hearth_engine *_Atomic run_engine;

/* Says once, on stderr, that a model without a chat template completes text. */
void run_notice(const struct run *r);

#endif
