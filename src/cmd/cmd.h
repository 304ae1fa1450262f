/* cmd.h - the commands of hearth, and what they share.
 *
 * Each command gets its words after its own name and returns the exit status of the program.
 * A failure is one line on stderr and the status of its code in base/err.h's table.
 *
 * Uses     everything
 */
#ifndef HEARTH_CMD_CMD_H
#define HEARTH_CMD_CMD_H

#include "base/err.h"
#include "cmd/opt.h"

#include "hearth.h"

int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_bench_serve(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_debug(int argc, char **argv);
int cmd_debug_render(int argc, char **argv);
int cmd_debug_probe(int argc, char **argv);
int cmd_debug_reply(int argc, char **argv);
int cmd_debug_grammar(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* From here on a model file that is cut while it is mapped, or whose disk fails, does not end
 * the program with SIGBUS: what reads it fails with E_IO (mmap_intact). */
void cmd_watch_files(void);

/* Prints "error: MESSAGE" on one line, control characters replaced, and returns the exit
 * status of e->code. */
int cmd_fail(const struct err *e);

/* The library's error in our own struct; returns its code. */
int cmd_err(struct err *e, const struct hearth_error *he);

/* Defaults, parsing, and --help. Returns the number of words, or -1 when the command is to
 * end with *status. max: the most words; -1: any number. */
int cmd_options(const struct opt_spec *spec, int argc, char **argv, void *into, int min_words,
                int max_words, int *status);

/* Where packed weights are kept between two starts, as the user says it. */
struct cmd_cache {
    const char *dir; /* NULL: nowhere; "": below $XDG_CACHE_HOME */
    float max;       /* GiB; 0: not given, the library's choice */
};

/* Opens a model with the words a user needs when there is none. n_thread 0, cpu NULL and cache
 * NULL: the library's choice. */
/* --lora and --lora-scale. */
struct cmd_lora {
    struct opt_list path;
    float scale;
};

/* clang-format off */
#define CMD_LORA_ROWS(base) \
    {.name = "lora", .type = OPT_LIST, .at = (base) + offsetof(struct cmd_lora, path), \
     .arg = "FILE", .help = "add a LoRA adapter (GGUF) to the model; may be given again"}, \
    {.name = "lora-scale", .type = OPT_FLOAT, .at = (base) + offsetof(struct cmd_lora, scale), \
     .def = "1", .min = -1000, .max = 1000, .arg = "X", .help = "how much each adapter counts"}
/* clang-format on */

MUST_CHECK int cmd_adapt(struct hearth_model *m, const struct cmd_lora *l, struct err *e);

MUST_CHECK int cmd_model_open(struct hearth_model **out, const char *path, int n_thread,
                              const char *cpu, struct err *e);
MUST_CHECK int cmd_model_open_cached(struct hearth_model **out, const char *path, int n_thread,
                                     const char *cpu, const struct cmd_cache *cache,
                                     struct err *e);

/* Packs the weights, and writes them to the cache if there is one. On a terminal (stderr)
 * progress is shown. SIGINT, SIGTERM and SIGHUP take effect when no half of a file is left.
 * Fails: E_CANCELLED such a signal came, and its handler returned. */
MUST_CHECK int cmd_engine_pack(struct hearth_engine *en, struct err *e);

/* How that went, as words for a user: "packed in 0.31 s". Returns out. */
const char *cmd_packing(const struct hearth_model_info *info, char *out, size_t cap);

/* All of the text as ids, which the caller frees with mem_free. Fails: as hearth_encode;
 * E_NOMEM. */
MUST_CHECK int cmd_encode(const struct hearth_model *m, const char *text, size_t n, int flags,
                          int32_t **ids, size_t *n_id, struct err *e);

/* Reads standard input, fd, to its end. Fails: E_IO; E_TOO_LONG more than b->max; E_NOMEM. */
struct buf;
MUST_CHECK int cmd_read_all(int fd, struct buf *b, struct err *e);
/* The same with the file at path, which errors name; E_NOT_FOUND it is not there. */
MUST_CHECK int cmd_read_file(const char *path, struct buf *b, struct err *e);

/* 1: by its name the file holds a Go template, as in a Modelfile. */
int cmd_is_go(const char *path);

/* The types of the key/value cache, which several commands ask for. */
struct cmd_kv {
    int both, keys, values; /* enum hearth_kv_type; keys and values: auto means both's */
};

#define CMD_KV_CHOICES "auto|f16|f32|q8_0|q4_0" /* in the order of enum hearth_kv_type */

/* clang-format off */
#define CMD_KV_ROWS(at_kv)                                                                     \
    {.name = "kv", .type = OPT_CHOICE, .at = (at_kv) + offsetof(struct cmd_kv, both),          \
     .def = "f16", .arg = CMD_KV_CHOICES, .help = "type of the key/value cache"},              \
    {.name = "kv-k", .type = OPT_CHOICE, .at = (at_kv) + offsetof(struct cmd_kv, keys),        \
     .def = "auto", .arg = CMD_KV_CHOICES, .help = "of its keys; auto: as --kv"},              \
    {.name = "kv-v", .type = OPT_CHOICE, .at = (at_kv) + offsetof(struct cmd_kv, values),      \
     .def = "auto", .arg = CMD_KV_CHOICES, .help = "of its values; auto: as --kv"}
/* clang-format on */

void cmd_kv_set(const struct cmd_kv *kv, struct hearth_engine_options *eo);

/* "f16", or "q8_0/q4_0" where keys and values differ. */
const char *cmd_kv_name(const struct cmd_kv *kv, char room[16]);

/* Choices that several commands have. */
#define CMD_CACHE_ROWS(field)                                                                  \
    {.name = "pack-cache",                                                                     \
     .type = OPT_MAYBE,                                                                        \
     .at = (field) + offsetof(struct cmd_cache, dir),                                          \
     .arg = "DIR",                                                                             \
     .help = "keep packed weights for the next start (~/.cache/hearth/packed)"},               \
    {                                                                                          \
        .name = "pack-cache-max", .type = OPT_FLOAT,                                           \
        .at = (field) + offsetof(struct cmd_cache, max), .min = 0, .max = 1e6, .above = 1,     \
        .arg = "GIB",                                                                          \
        .help = "what they may take together; the least recently used go first (default 16)"   \
    }

#endif
