#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert((int)HEARTH_E_INTERNAL == (int)E_INTERNAL &&
                   (int)HEARTH_E_INVALID == (int)E_INVALID,
               "the codes of hearth.h are those of base/err.h");

int cmd_fail(const struct err *e)
{
    char line[ERR_MAX];
    size_t i = 0;

    for (; e->msg[i] && i + 1 < sizeof(line); i++) {
        unsigned char c = (unsigned char)e->msg[i];

        line[i] = c < 0x20 || c == 0x7f ? '?' : e->msg[i];
    }
    line[i] = '\0';
    log_line(LOG_ERROR, "%s", line);
    return err_row(e->code)->exit_status;
}

int cmd_err(struct err *e, const struct hearth_error *he)
{
    return err_set(e, he->code ? he->code : E_INTERNAL, "%s", he->message);
}

int cmd_options(const struct opt_spec *spec, int argc, char **argv, void *into, int min_words,
                int max_words, int *status)
{
    struct err e = {0};
    int n;

    opt_defaults(spec, into);
    n = opt_parse(spec, argc, argv, into, &e);
    if (n == OPT_HELP) {
        opt_help(spec, stdout);
        *status = 0;
        return -1;
    }
    if (n >= 0 && n < min_words)
        n = err_set(&e, E_INVALID, "a word is missing; usage: %s", spec->usage);
    else if (max_words >= 0 && n > max_words)
        n = err_set(&e, E_INVALID, "'%s' is one word too many; usage: %s", argv[max_words],
                    spec->usage);
    if (n < 0)
        *status = cmd_fail(&e);
    return n < 0 ? -1 : n;
}

/* -- opening a model ----------------------------------------------------------------- */

#define BAR_WIDTH 40

struct bar {
    uint64_t start, last;
    int wanted, drawn;
};

/* Packing may be writing a file, so a signal that ends the program waits until that is gone; a
 * second one does not wait. */
static const int stops[] = {SIGINT, SIGTERM, SIGHUP};

enum { N_STOP = sizeof(stops) / sizeof(stops[0]) };

static volatile sig_atomic_t stopped; /* the signal */
static struct sigaction stop_before[N_STOP];

static void on_stop(int sig)
{
    stopped = sig;
    for (int i = 0; i < N_STOP; i++) {
        if (stops[i] == sig)
            (void)sigaction(sig, &stop_before[i], NULL);
    }
}

static void stops_watch(void)
{
    struct sigaction sa = {.sa_handler = on_stop, .sa_flags = SA_RESTART};

    stopped = 0;
    for (int i = 0; i < N_STOP; i++) {
        (void)sigaction(stops[i], NULL, &stop_before[i]);
        if (stop_before[i].sa_handler != SIG_IGN) /* as nohup has it */
            (void)sigaction(stops[i], &sa, NULL);
    }
}

static void stops_leave(void)
{
    for (int i = 0; i < N_STOP; i++)
        (void)sigaction(stops[i], &stop_before[i], NULL);
}

static int bar_step(void *ctx, double done)
{
    struct bar *b = ctx;
    uint64_t now = clock_ns();
    char line[BAR_WIDTH + 1];

    if (stopped)
        return 1;
    /* What is done at once needs no bar; nobody sees more than 20 steps a second. */
    if (!b->wanted || now - b->start < 300000000u || now - b->last < 50000000u)
        return 0;
    b->last = now;
    b->drawn = 1;
    for (int i = 0; i < BAR_WIDTH; i++)
        line[i] = i < (int)(done * BAR_WIDTH) ? '#' : '.';
    line[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\rpacking [%s] %3d %%", line, (int)(done * 100));
    return 0;
}

/* The library says the same in its own words; here it is said for somebody who typed a name
 * where a path belongs. */
static int path_check(const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(e, E_NOT_FOUND,
                           "no model file '%s' here, and no model of that name; give the path "
                           "of a .gguf file, or make one with 'hearth create'",
                           path);
        return err_sys(e, E_IO, errno, "%s", path);
    }
    return 0;
}

int cmd_model_open_cached(struct hearth_model **out, const char *path, int n_thread,
                          const char *cpu, const struct cmd_cache *cache, struct err *e)
{
    struct hearth_model_options opt = {.n_thread = n_thread, .cpu = cpu};
    struct hearth_error he = {0};
    struct buf dir;
    int rc = path_check(path, e);

    buf_init(&dir, PATH_MAX);
    if (rc == 0 && cache && cache->max > 0 && !cache->dir)
        rc = err_set(e, E_INVALID, "--pack-cache-max: there is no --pack-cache to bound");
    if (rc == 0 && cache && cache->dir) {
        opt.pack_cache = cache->dir;
        opt.pack_cache_max = (uint64_t)ceil((double)cache->max * (1 << 30));
        if (!cache->dir[0])
            rc = path_xdg(&dir, PATH_CACHE, "packed", e);
        if (!cache->dir[0])
            opt.pack_cache = dir.p;
    }
    if (rc == 0 && hearth_model_open(out, path, &opt, &he) < 0)
        rc = cmd_err(e, &he);
    buf_done(&dir);
    return rc;
}

int cmd_model_open(struct hearth_model **out, const char *path, int n_thread, const char *cpu,
                   struct err *e)
{
    return cmd_model_open_cached(out, path, n_thread, cpu, NULL, e);
}

int cmd_adapt(struct hearth_model *m, const struct cmd_lora *l, struct err *e)
{
    struct hearth_error he = {0};

    if (!l->path.n && l->scale != 1)
        return err_set(e, E_INVALID, "--lora-scale: there is no --lora to scale");
    for (int i = 0; i < l->path.n; i++) {
        if (hearth_model_adapt(m, l->path.v[i], l->scale, &he) < 0)
            return cmd_err(e, &he);
    }
    return 0;
}

const char *cmd_packing(const struct hearth_model_info *info, char *out, size_t cap)
{
    if (info->pack_cached)
        (void)snprintf(out, cap, "packed weights from the cache");
    else if (info->packing == HEARTH_PACKED && !info->pack_ns)
        (void)snprintf(out, cap, "used as in the file");
    else if (info->packing == HEARTH_PACKED)
        (void)snprintf(out, cap, "packed in %.2f s", (double)info->pack_ns / 1e9);
    else
        (void)snprintf(out, cap,
                       info->packing == HEARTH_PACKING ? "not packed yet" : "not packed");
    return out;
}

int cmd_engine_pack(struct hearth_engine *en, struct err *e)
{
    struct bar bar = {.start = clock_ns(), .wanted = isatty(STDERR_FILENO)};
    struct hearth_error he = {0};
    int rc;

    stops_watch();
    rc = hearth_engine_pack(en, bar_step, &bar, &he);
    stops_leave();
    if (bar.drawn)
        (void)fprintf(stderr, "\r%*s\r", BAR_WIDTH + 20, "");
    if (stopped) /* now as if nobody had waited */
        (void)raise(stopped);
    return rc < 0 ? cmd_err(e, &he) : 0;
}

int cmd_encode(const struct hearth_model *m, const char *text, size_t n, int flags,
               int32_t **ids, size_t *n_id, struct err *e)
{
    struct hearth_error he = {0};
    size_t cap = n / 3 + 16;
    int32_t *v = NULL;

    for (;;) {
        int32_t *more = mem_realloc(v, cap * sizeof(*v));
        int rc;

        if (!more) {
            mem_free(v);
            return err_set(e, E_NOMEM, "no memory for %zu tokens", cap);
        }
        v = more;
        rc = hearth_encode(m, text, n, flags, v, cap, &he);
        if (rc < 0) {
            mem_free(v);
            return cmd_err(e, &he);
        }
        if ((size_t)rc <= cap) {
            *ids = v;
            *n_id = (size_t)rc;
            return 0;
        }
        cap = (size_t)rc;
    }
}

static int read_all(int fd, const char *name, struct buf *b, struct err *e)
{
    for (;;) {
        size_t room = b->max - b->n < 65536 ? b->max - b->n : 65536;
        char extra = 0, *p = room ? buf_reserve(b, room) : &extra;
        ssize_t k;

        if (!p)
            return err_set(e, E_NOMEM, "no memory for %zu bytes of input", b->n + room);
        k = read(fd, p, room ? room : 1);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_sys(e, E_IO, errno, "read %s", name);
        if (k == 0)
            return 0;
        if (!room)
            return err_set(e, E_TOO_LONG, "%s has more than %zu bytes", name, b->max);
        b->n += (size_t)k;
        b->p[b->n] = '\0';
    }
}

int cmd_read_all(int fd, struct buf *b, struct err *e)
{
    return read_all(fd, "stdin", b, e);
}

int cmd_read_file(const char *path, struct buf *b, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "read %s", path);
    rc = read_all(fd, path, b, e);
    (void)close(fd);
    return rc;
}

int cmd_is_go(const char *path)
{
    static const char *const ends[] = {".tmpl", ".gotmpl", ".go"};
    size_t n = strlen(path);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (n >= strlen(ends[i]) && strcmp(path + n - strlen(ends[i]), ends[i]) == 0)
            return 1;
    }
    return 0;
}

void cmd_kv_set(const struct cmd_kv *kv, struct hearth_engine_options *eo)
{
    int both = kv->both == HEARTH_KV_AUTO ? HEARTH_KV_F16 : kv->both;

    eo->kv_type = kv->keys == HEARTH_KV_AUTO ? both : kv->keys;
    eo->kv_type_v = kv->values == HEARTH_KV_AUTO ? both : kv->values;
}

const char *cmd_kv_name(const struct cmd_kv *kv, char room[16])
{
    static const char *const name[] = {"auto", "f16", "f32", "q8_0", "q4_0"};
    struct hearth_engine_options eo;

    cmd_kv_set(kv, &eo);
    (void)snprintf(room, 16, "%s", name[eo.kv_type]);
    if (eo.kv_type != eo.kv_type_v)
        (void)snprintf(room, 16, "%s/%s", name[eo.kv_type], name[eo.kv_type_v]);
    return room;
}
