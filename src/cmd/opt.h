/* opt.h - the command line: one row per option says everything about it.
 *
 * From a table come the parsing, the errors, the help text and, in the interactive mode, the
 * names that /set takes. Forms: --name VALUE, --name=VALUE, -n VALUE, -nVALUE; options and
 * other words may be mixed; after "--" all are words.
 *
 * Numbers are read the same way in every locale.
 *
 * Threads  one, at start
 */
#ifndef HEARTH_CMD_OPT_H
#define HEARTH_CMD_OPT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_type {
    OPT_FLAG,   /* int: 1 when given */
    OPT_INT,    /* int */
    OPT_FLOAT,  /* float */
    OPT_SEED,   /* struct opt_seed */
    OPT_STR,    /* const char *, borrowed from argv */
    OPT_MAYBE,  /* const char *: "--name=VALUE", or "--name" alone, which gives ""; the name of
                   a directory as the next word is refused, as it was meant to be VALUE */
    OPT_LIST,   /* struct opt_list: may be given many times */
    OPT_CHOICE, /* int: the index in arg, which is "one|two|three" */
};

struct opt_seed {
    uint64_t value;
    int given;
};

#define OPT_LIST_MAX 64

struct opt_list {
    const char *v[OPT_LIST_MAX]; /* borrowed */
    int n;
};

struct opt_row {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    int type;          /* enum opt_type */
    size_t at;         /* offsetof its field in the command's struct */
    const char *def;   /* parsed into the field first; NULL: the field stays as it is */
    double min, max;   /* of numbers, both allowed */
    int above;         /* 1: min itself is not allowed */
    const char *param; /* its name as a model parameter ("top_p"); NULL: not one */
    const char *arg;   /* what help calls the value; the choices of OPT_CHOICE */
    const char *help;
};

struct opt_spec {
    const char *usage; /* "hearth run FILE [PROMPT...]" */
    const char *about; /* a sentence or more */
    const struct opt_row *rows;
    int n;
};

/* Sets the defaults. They are known to be good: a bad one is a bug and aborts. */
void opt_defaults(const struct opt_spec *spec, void *into);

/* Parses argv[0..argc). The words that are no options are moved to the front of argv in their
 * order; their number is returned. OPT_HELP: --help or -h was among the options.
 * Fails: E_INVALID naming the option and what is wrong with it. */
#define OPT_HELP 1000000
MUST_CHECK int opt_parse(const struct opt_spec *spec, int argc, char **argv, void *into,
                         struct err *e);

/* Sets one field from text; `what` names it in errors. */
MUST_CHECK int opt_set(const struct opt_row *row, const char *what, const char *text,
                       void *into, struct err *e);

/* The row of a parameter name, or NULL. */
const struct opt_row *opt_param(const struct opt_spec *spec, const char *param);

/* Writes the value of a row's field as opt_set would read it. Returns 0 when it has none. */
int opt_show(const struct opt_row *row, const void *from, char *out, size_t cap);

void opt_help(const struct opt_spec *spec, FILE *f);

/* Decimal numbers, the whole text, any locale: 1 when it is one and fits, else 0. */
int opt_int(const char *text, int64_t *out);
int opt_u64(const char *text, uint64_t *out);
int opt_float(const char *text, double *out);

/* "1,2,3": token ids. The caller frees *ids with mem_free.
 * Fails: E_INVALID naming the element that is wrong; E_NOMEM. */
MUST_CHECK int opt_ids(const char *text, int32_t **ids, size_t *n, struct err *e);

/* The candidate that is nearest to a mistyped word, or NULL when none is near. */
const char *opt_nearest(const char *word, const char *(*name)(const void *ctx, int i),
                        const void *ctx);

#endif
