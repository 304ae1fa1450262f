/* hearth convert: a Hugging Face folder becomes a GGUF file. */
#include "cmd/cmd.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/hf/hf.h"
#include "model/model.h"
#include "quant/quant.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct convert_options {
    const char *type;
    int force, quiet, n_thread;
};

#define AT(f) offsetof(struct convert_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "type", .type = OPT_STR, .at = AT(type), .def = "keep", .arg = "TYPE",
     .help = "of matrices: keep (as in the folder), f32, f16, bf16, q8_0, q6_k, q5_k, q4_k, q4_0 "
             "and others of 'hearth debug list quants'"},
    {.name = "force", .letter = 'f', .type = OPT_FLAG, .at = AT(force),
     .help = "replace OUT.gguf when it is there; write what would not open"},
    {.name = "quiet", .letter = 'q', .type = OPT_FLAG, .at = AT(quiet),
     .help = "say only what went wrong"},
    {.name = "threads", .letter = 't', .type = OPT_INT, .at = AT(n_thread), .def = "0",
     .min = 0, .max = 256, .arg = "N", .help = "threads; 0: what the machine allows"},
};
/* clang-format on */

/* -- progress ------------------------------------------------------------------------------ */

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
    (void)sig;
    stopped = 1;
}

struct shown {
    int on;
    uint64_t last;
};

static int show(void *ctx, double done)
{
    struct shown *s = ctx;
    uint64_t now = clock_ns();

    if (s->on && (now - s->last > 100000000u || done >= 1)) {
        s->last = now;
        (void)fprintf(stderr, "\rconverting %3d %%", (int)(done * 100));
    }
    return stopped ? E_CANCELLED : 0;
}

/* -- checks -------------------------------------------------------------------------------- */

static int read_type(const char *name, int *type, struct err *e)
{
    const struct quant *q = quant_by_name(name);

    *type = -1;
    if (strcmp(name, "keep") == 0)
        return 0;
    if (!q)
        return err_set(e, E_INVALID,
                       "--type: '%s' is no type; 'hearth debug list quants' lists "
                       "them, and keep leaves weights as they are",
                       name);
    if (!q->from_f32)
        return err_set(
            e, E_INVALID,
            "--type: %s can be read, not written: its writer would need to know what "
            "inputs the weights meet",
            q->name);
    *type = q->type;
    return 0;
}

/* Whether a file that is there belongs to the folder: all in it but what was converted before.
 */
static int is_source(const char *dir, const char *out)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(out, '/');
    size_t n = strlen(out);
    struct stat a, b;

    if (n >= 5 && strcmp(out + n - 5, ".gguf") == 0)
        return 0;
    (void)snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - out + 1) : 1,
                   slash ? out : ".");
    return stat(dir, &a) == 0 && stat(parent, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int check_paths(const char *dir, const char *out, int force, struct err *e)
{
    struct stat st;

    if (stat(dir, &st) != 0)
        return err_set(e, E_NOT_FOUND,
                       "no folder '%s' here; give the folder with config.json and the weights",
                       dir);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, E_INVALID,
                       "'%s' is a file; give the folder with config.json and the weights", dir);
    if (stat(out, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, E_INVALID,
                       "'%s' is there and is no file; give the name of a new file", out);
    if (is_source(dir, out))
        return err_set(e, E_INVALID, "'%s' is a part of what is read; give another name", out);
    if (!force)
        return err_set(e, E_INVALID, "'%s' is there; --force replaces it", out);
    return 0;
}

/* What would not open is not written unasked: weights that are missing or do not fit
 * config.json. A family that does not run here may run elsewhere. */
static int check_model(const char *dir, int force, struct err *e)
{
    struct gguf *g = NULL;
    struct err why = {0};
    int rc = hf_open_model(&g, dir, 0, e);

    if (rc < 0)
        return rc;
    rc = model_check(g, &why);
    gguf_free(g);
    if (rc == 0)
        return 0;
    if (rc == E_FORMAT && !force)
        return err_set(e, rc, "%s; --force writes it, but it will not open", why.msg);
    log_line(LOG_WARN, "what is written will not open here: %s", why.msg);
    return rc == E_NOMEM ? err_set(e, rc, "%s", why.msg) : 0;
}

/* -- the command --------------------------------------------------------------------------- */

static void report(const struct hf *h, const char *path, uint64_t ns)
{
    struct stat st;
    double from = (double)hf_file_bytes(h) / 1e6;

    for (size_t i = 0; hf_note(h, i); i++)
        log_line(LOG_WARN, "%s", hf_note(h, i));
    if (stat(path, &st) == 0)
        (void)printf("%s: %.1f MB, from %.1f MB of weights, in %.1f s\n", path,
                     (double)st.st_size / 1e6, from, (double)ns / 1e9);
}

static int convert(const char *dir, const char *path, const struct convert_options *o,
                   struct err *e)
{
    struct shown shown = {.on = !o->quiet && isatty(STDERR_FILENO)};
    struct hf_write w = {.n_thread = o->n_thread, .progress = show, .ctx = &shown};
    struct sigaction sa = {.sa_handler = stop}, old_int, old_term;
    uint64_t t0 = clock_ns();
    struct hf *h = NULL;
    int rc = read_type(o->type, &w.type, e);

    if (rc == 0)
        rc = check_paths(dir, path, o->force, e);
    if (rc == 0)
        rc = check_model(dir, o->force, e);
    if (rc == 0)
        rc = hf_open(&h, dir, e);
    if (rc < 0)
        return rc;
    (void)sigaction(SIGINT, &sa, &old_int);
    (void)sigaction(SIGTERM, &sa, &old_term);
    rc = hf_write(h, path, &w, e);
    (void)sigaction(SIGINT, &old_int, NULL);
    (void)sigaction(SIGTERM, &old_term, NULL);
    if (shown.on)
        (void)fprintf(stderr, "\r%*s\r", 20, "");
    if (rc == 0 && !o->quiet)
        report(h, path, clock_ns() - t0);
    hf_free(h);
    return rc;
}

int cmd_convert(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth convert DIR OUT.gguf [--type TYPE] [--force]",
        .about = "Writes the model of a Hugging Face folder as a GGUF file. Norms, biases and "
                 "routers stay F32; the file appears when it is complete.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct convert_options o = {0};
    struct err e = {0};
    int status;

    if (cmd_options(&spec, argc, argv, &o, 2, 2, &status) < 0)
        return status;
    return convert(argv[0], argv[1], &o, &e) < 0 ? cmd_fail(&e) : 0;
}
