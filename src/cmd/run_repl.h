/* run_repl.h - what the files of the interactive mode share.
 *
 *   run_repl.c   reads inputs and has them answered
 *   run_slash.c  the commands, which begin with a slash
 *
 * Threads  one
 */
#ifndef HEARTH_CMD_RUN_REPL_H
#define HEARTH_CMD_RUN_REPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "cmd/run.h"

#include <histedit.h>

#define RUN_INPUT_MAX ((size_t)16 << 20) /* bytes of what is typed */

struct repl {
    struct run *r;
    EditLine *el;
    History *history;
    struct buf history_path; /* empty: nowhere to keep it */
    int keep_history;
    int in_block;       /* between """ */
    struct buf input;   /* what was typed */
    struct arena texts; /* values of /set, which options borrow */
    int leave;
};

enum { RUN_GO_ON, RUN_LEAVE };

/* Does what a line says that begins with a slash; it is cut into words. RUN_LEAVE: it was the
 * last. */
int run_slash(struct repl *l, char *line);

#endif
