/* config.h - what the server is told: defaults, hearth.yaml, the environment, the command line;
 * the later wins.
 *
 * A setting is a row of a table: its name in YAML, its variable (HEARTH_..., and the OLLAMA_...
 * that means the same), its type and range. Errors name file, line and setting, and guess at
 * what was meant. Secrets are not in it: keys stand in a file of their own (auth.h).
 *
 * Threads  a config is read-only once made; reloading makes another
 * Uses     base/, fmt/, sys/; libyaml
 */
#ifndef HEARTH_SERVE_CONFIG_H
#define HEARTH_SERVE_CONFIG_H

#include "base/err.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE_MAX ((size_t)1 << 20)

#define CONFIG_UNSET INT_MIN

/* What one model, or one alias, has of its own; unset fields are NULL, 0 or as said. */
struct config_model {
    const char *name; /* as in the store, or "*" : all */
    int n_ctx;        /* 0: not set */
    int n_parallel;   /* texts at once; 0 */
    const char *kv, *kv_k, *kv_v;
    const char *draft;     /* a model that guesses ahead */
    int lookup;            /* tokens guessed ahead from the text; -1 */
    int64_t keep_alive_ns; /* GATE_KEEP_DEFAULT */
    int pin;               /* 1: never unloaded; loaded at the start; -1 */
    int priority;          /* of its memory; CONFIG_UNSET */
};

struct config {
    const char *path; /* of the file; NULL: there is none */
    /* Where it listens. */
    const char *host; /* "127.0.0.1", "::1", "0.0.0.0", a name, or "unix:/path" */
    int port;
    const char *tls_cert, *tls_key; /* PEM files; NULL: no TLS */
    const char **hosts;             /* further names that a Host header may have */
    int n_host;
    const char **origins; /* that browsers may ask from; "*" */
    int n_origin;
    int allow_no_key; /* 1: beyond loopback without keys */
    const char *keys; /* file of keys; NULL: none are asked for */
    /* Limits. */
    int64_t body_max, head_max;                        /* bytes */
    int n_connection, n_connection_per_ip;             /* 0: no limit for one address */
    int head_timeout_s, idle_timeout_s, body_rate_min; /* bytes per second */
    int request_timeout_s;                             /* of a whole request; 0: none */
    int drain_timeout_s;
    int n_queue;
    int n_handler; /* threads for requests; 0: by the machine */
    /* Models. */
    const char *models;     /* the store's directory; NULL: the user's */
    int allow_paths;        /* 1: a path is a model's name */
    const char **path_dirs; /* below which they must be; none: anywhere */
    int n_path_dir;
    int64_t memory;    /* bytes for all models together; 0: by the machine */
    int64_t kv_memory; /* bytes of one model's key/value cache; 0: by the machine */
    int64_t keep_alive_ns;
    int load_timeout_s;
    int n_thread;   /* 0: by the machine */
    int n_parallel; /* texts at once for a model; 0: 16 */
    int n_ctx;      /* tokens of a text that asks for no others; 0: as the model was trained */
    const char *kv; /* "f16" */
    int lookup;     /* tokens guessed ahead from the text; 0: none */
    const char *kv_disk; /* directory of the cache's disk tier; NULL: none */
    int64_t kv_disk_bytes;
    int share_prefixes;     /* 1: clients share pages of equal prefixes; 0: each key its own */
    const char *pack_cache; /* as `hearth run --pack-cache`; NULL: none */
    const struct config_model *model;
    int n_model;
    /* Logs. */
    int log_level; /* enum log_level */
    int log_json;
    const char *responses; /* the database of /v1/responses; NULL: the user's; "": none */
    int64_t responses_ttl_s, responses_bytes; /* 0: no limit */
};

/* path: of the file; NULL: $HEARTH_CONFIG, or the first there is of hearth.yaml below
 * $XDG_CONFIG_HOME/hearth and /etc/hearth; "": none. set[n_set]: "name=value" of the command
 * line. Fails: E_NOT_FOUND a file that was named; E_INVALID file:line:column and what is wrong;
 * E_NOMEM. */
MUST_CHECK int config_load(struct config **out, const char *path, const char *const *set,
                           int n_set, struct err *e);
/* The same, but goes on after a mistake as far as there is sense in it: fault is called for
 * each, that of the returned error included. Also after E_INVALID *out may have been made, of
 * what was right: who has more to look at frees it. */
MUST_CHECK int config_load_all(struct config **out, const char *path, const char *const *set,
                               int n_set, void (*fault)(void *ctx, const struct err *e),
                               void *ctx, struct err *e);
void config_free(struct config *c);

/* What holds for a model: its own row, what it leaves open from "*", then the general settings.
 */
void config_model(const struct config *c, const char *name, struct config_model *out);

/* Writes the commented example: each setting with its default. */
void config_example(FILE *f);
/* Writes all that is set, as YAML. */
void config_print(const struct config *c, FILE *f);

/* 1: they say the same; 0 also where there is no memory to find out. */
int config_same(const struct config *a, const struct config *b);

/* "5m", "1h30m", "-1", "300", "0": nanoseconds; negative: GATE_KEEP_FOREVER. A number without a
 * unit is seconds. 1 when it is one, else 0. */
int config_duration(const char *text, int64_t *ns);

#endif
