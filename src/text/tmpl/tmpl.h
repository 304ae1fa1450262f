/* tmpl.h - chat templates: compiled once, rendered for each conversation.
 *
 * Two languages: the Jinja that models carry, and the Go templates of Modelfiles. Both are
 * compiled into a tree and rendered against limits on steps, bytes and depth, so that no
 * template and no conversation can hang or fill the machine.
 *
 * Threads  a compiled template: any number may render
 * Uses     base/; jansson
 */
#ifndef HEARTH_TEXT_TMPL_TMPL_H
#define HEARTH_TEXT_TMPL_TMPL_H

#include "base/buf.h"
#include "base/err.h"
#include "text/tmpl/marked.h"

#include <jansson.h>
#include <stdint.h>
#include <time.h>

enum tmpl_kind { TMPL_JINJA, TMPL_GO };

/* In which language a text seems to be written. */
int tmpl_kind_of(struct str text);

struct tmpl;

struct tmpl_limits {
    uint64_t steps; /* 0: 10,000,000 */
    size_t bytes;   /* that a render may take, output included; 0: 256 MiB */
    int depth;      /* of calls and nesting; 0: 200 */
    int strict; /* Jinja: methods that change a list or a dict are refused, as Hugging Face's
                   sandbox does; other runtimes allow them, and some templates want them */
};

/* Fails: E_INVALID line and column, and what is wrong; E_TOO_LONG; E_NOMEM. */
MUST_CHECK int tmpl_new(struct tmpl **out, int kind, struct str text, struct err *e);
void tmpl_free(struct tmpl *t); /* NULL is fine */

/* 1: the template mentions that variable (Jinja) or field (Go, "Messages") anywhere. */
int tmpl_mentions(const struct tmpl *t, const char *name);

/* vars: an object whose members are the variables. Of Jinja: messages, tools,
 * add_generation_prompt, bos_token, eos_token, enable_thinking, ...; strings inside messages,
 * tools and documents are the user's, all others the template's. Of Go templates the same
 * object is taken, and what Ollama's templates see (System, Messages, Tools, Think, ...) is
 * made from it. now: local time for strftime_now and currentDate.
 * Fails: E_INVALID what the template refused (raise_exception), or where it went wrong;
 * E_TOO_LONG a limit; E_NOMEM. out then holds nothing of use. */
MUST_CHECK int tmpl_render(const struct tmpl *t, const json_t *vars, const struct tm *now,
                           const struct tmpl_limits *limits, struct marked *out, struct err *e);

#endif
