/* config_priv.h - what the files of the configuration share: the table, and values as text.
 *
 *   config.c        all sources, in their order
 *   config_rows.c   the table
 *   config_value.c  text into values, values into text
 *   config_yaml.c   the file
 *   config_env.c    the environment
 *   config_print.c  the example, and what is set
 */
#ifndef HEARTH_SERVE_CONFIG_PRIV_H
#define HEARTH_SERVE_CONFIG_PRIV_H

#include "base/arena.h"
#include "base/buf.h"
#include "serve/config.h"

#include <stddef.h>

enum config_type {
    CONFIG_TEXT,    /* const char *; "" is NULL */
    CONFIG_PATH,    /* the same; "~/" is the user's home; the word in choices is "" */
    CONFIG_HOST,    /* const char *: host, host:port (sets the port too), unix:/path */
    CONFIG_INT,     /* int, min .. max */
    CONFIG_FLAG,    /* int: true, false */
    CONFIG_BYTES,   /* int64_t, min .. max: "4GiB" */
    CONFIG_RATE,    /* the same as an int */
    CONFIG_SECONDS, /* int, min .. max seconds: "5m" */
    CONFIG_KEEP,    /* int64_t nanoseconds; negative: for ever */
    CONFIG_AGE,     /* int64_t, min .. max seconds */
    CONFIG_CHOICE,  /* const char *: one of choices, "a|b|c" */
    CONFIG_LEVEL,   /* int: index in choices */
    CONFIG_LIST,    /* const char **, and an int for their number at `n_at` */
    CONFIG_PATHS    /* the same, of paths */
};

struct config_row {
    const char *name; /* "listen.host" */
    int type;
    size_t at, n_at;
    const char *def; /* as text; NULL: none */
    double min, max;
    const char *choices;
    const char *env;    /* "HEARTH_HOST" */
    const char *ollama; /* "OLLAMA_HOST" */
    const char *help;
};

extern const struct config_row config_rows[], config_model_rows[];
extern const int config_n_row, config_n_model_row;

enum { CONFIG_MODELS_MAX = 1024, CONFIG_LIST_MAX = 256 };

/* A configuration and the memory of its strings. */
struct config_owned {
    struct config config; /* the first member */
    struct arena mem;
    struct config_model *model; /* room for CONFIG_MODELS_MAX while it is read */
    /* Who hears of all mistakes; NULL: the first one ends the reading. */
    void (*fault)(void *ctx, const struct err *e);
    void *ctx;
    int n_fault;
};

/* A mistake that ends nothing where all are wanted: then 0, else rc. */
int config_fault(struct config_owned *c, int rc, const struct err *e);

/* Sets the row's field of `into` (a config, or a config_model). plain: of YAML, without quotes:
 * null and ~ are "not set". The message is what comes after a name: "is not ...". Fails:
 * E_INVALID; E_NOMEM. */
MUST_CHECK int config_set(struct arena *mem, const struct config_row *row, void *into,
                          const char *text, struct err *e);
/* A list's element, added. */
MUST_CHECK int config_add(struct arena *mem, const struct config_row *row, void *into,
                          const char *text, struct err *e);
/* The list is empty again. */
void config_clear(const struct config_row *row, void *into);

/* Appends the value as YAML. 0: there is none. Fails: E_NOMEM. */
int config_show(const struct config_row *row, const void *from, struct buf *out);

const struct config_row *config_find(const struct config_row *rows, int n, const char *name);
/* The name in the table that is nearest, or NULL. */
const char *config_nearest(const struct config_row *rows, int n, const char *name);

/* How many letters must be put in, left out or replaced. */
int config_distance(const char *a, const char *b);

/* Takes what variables say, Ollama's first. Fails: E_INVALID; E_NOMEM. */
MUST_CHECK int config_env(struct config_owned *c, struct err *e);
/* Warns of variables that look like ours and have no effect. */
void config_env_warn(void);

MUST_CHECK int config_defaults(struct config_owned *c, struct err *e);

/* The row's model of that name, made when it is not there. NULL: too many, or no memory. */
struct config_model *config_model_get(struct config_owned *c, const char *name);

/* Reads text, that of the file at path, into c. Fails: as config_load. */
MUST_CHECK int config_yaml(struct config_owned *c, const char *path, struct str text,
                           struct err *e);

/* Replaces ${NAME} by the variable's value; "$$" is a dollar sign. NULL: e says why. */
char *config_expand(struct arena *mem, const char *text, struct err *e);

#endif
