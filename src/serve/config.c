/* All sources of settings, in their order: defaults, the file, OLLAMA_..., HEARTH_..., the
 * command line. */
#include "serve/config_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "gate/provider.h"
#include "sys/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEM_MAX ((size_t)64 << 20)

/* -- names --------------------------------------------------------------------------------- */

const struct config_row *config_find(const struct config_row *rows, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

int config_distance(const char *a, const char *b)
{
    int row[64], n = (int)strlen(b);

    if (n >= 63 || strlen(a) >= 63)
        return 99;
    for (int k = 0; k <= n; k++)
        row[k] = k;
    for (int i = 1; *a; a++, i++) {
        int before = row[0];

        row[0] = i;
        for (int k = 1; k <= n; k++) {
            int here = row[k], change = before + (*a != b[k - 1]);
            int less = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;

            row[k] = change < less ? change : less;
            before = here;
        }
    }
    return row[n];
}

const char *config_nearest(const struct config_row *rows, int n, const char *name)
{
    const char *best = NULL, *tail = strrchr(name, '.');
    int least = 4;

    tail = tail ? tail + 1 : name;
    for (int i = 0; i < n; i++) {
        const char *dot = strchr(rows[i].name, '.');
        int whole = config_distance(name, rows[i].name),
            /* right, but in another section, or without one */
            alone = dot ? config_distance(tail, dot + 1) + 1 : 99;
        int d = whole < alone ? whole : alone;

        if (d < least) {
            least = d;
            best = rows[i].name;
        }
    }
    return best;
}

char *config_expand(struct arena *mem, const char *text, struct err *e)
{
    struct buf out;
    char *copy = NULL, name[128];
    int rc = 0;

    buf_init(&out, CONFIG_FILE_MAX);
    while (*text && rc == 0) {
        size_t n = strcspn(text, "$");

        rc = buf_put(&out, text, n);
        text += n;
        if (rc < 0 || !*text)
            continue;
        if (text[1] == '$') {
            rc = buf_byte(&out, '$');
            text += 2;
        } else if (text[1] != '{') {
            rc = buf_byte(&out, '$');
            text++;
        } else {
            const char *end = strchr(text, '}'), *value;

            n = end ? (size_t)(end - text) - 2 : 0;
            if (!end || n == 0 || n >= sizeof(name)) {
                buf_done(&out);
                (void)err_set(e, E_INVALID, "has ${ without a name and }; $$ is a dollar sign");
                return NULL;
            }
            memcpy(name, text + 2, n);
            name[n] = '\0';
            value = getenv(name);
            if (!value) {
                buf_done(&out);
                (void)err_set(e, E_INVALID, "needs the variable %s, which is not set", name);
                return NULL;
            }
            rc = buf_str(&out, value);
            text = end + 1;
        }
    }
    if (rc == 0)
        copy = arena_strdup(mem, (struct str){out.p ? out.p : "", out.n});
    buf_done(&out);
    if (!copy)
        (void)err_set(e, E_NOMEM, "no memory for the configuration");
    return copy;
}

/* -- models -------------------------------------------------------------------------------- */

struct config_model *config_model_get(struct config_owned *c, const char *name)
{
    struct config_model *m;

    for (int i = 0; i < c->config.n_model; i++) {
        if (strcmp(c->model[i].name, name) == 0)
            return &c->model[i];
    }
    if (!c->model)
        c->model = mem_calloc(CONFIG_MODELS_MAX, sizeof(*c->model));
    if (!c->model || c->config.n_model == CONFIG_MODELS_MAX)
        return NULL;
    m = &c->model[c->config.n_model];
    *m = (struct config_model){.name = arena_strdup(&c->mem, str_of(name)),
                               .lookup = -1,
                               .keep_alive_ns = GATE_KEEP_DEFAULT,
                               .pin = -1,
                               .priority = CONFIG_UNSET};
    c->config.model = c->model;
    c->config.n_model += m->name != NULL;
    return m->name ? m : NULL;
}

/* A name without a tag means the latest. */
static int same_model(const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b);
    const char *tail = n < k ? b + n : a + k;

    if (n == k)
        return strcmp(a, b) == 0;
    return strncmp(a, b, n < k ? n : k) == 0 && strcmp(tail, ":latest") == 0 &&
           !memchr(n < k ? a : b, ':', n < k ? n : k);
}

static void fill(struct config_model *m, const struct config_model *from)
{
    if (!m->n_ctx)
        m->n_ctx = from->n_ctx;
    if (!m->n_parallel)
        m->n_parallel = from->n_parallel;
    if (!m->kv) { /* with a type of its own, that of keys alone comes from nowhere else */
        m->kv = from->kv;
        m->kv_k = m->kv_k ? m->kv_k : from->kv_k;
        m->kv_v = m->kv_v ? m->kv_v : from->kv_v;
    }
    if (!m->draft)
        m->draft = from->draft;
    if (m->lookup < 0)
        m->lookup = from->lookup;
    if (m->keep_alive_ns == GATE_KEEP_DEFAULT)
        m->keep_alive_ns = from->keep_alive_ns;
    if (m->pin < 0)
        m->pin = from->pin;
    if (m->priority == CONFIG_UNSET)
        m->priority = from->priority;
}

void config_model(const struct config *c, const char *name, struct config_model *out)
{
    struct config_model general = {.n_ctx = c->n_ctx,
                                   .n_parallel = c->n_parallel,
                                   .kv = c->kv,
                                   .lookup = c->lookup,
                                   .keep_alive_ns = c->keep_alive_ns};

    *out = (struct config_model){.name = name,
                                 .lookup = -1,
                                 .keep_alive_ns = GATE_KEEP_DEFAULT,
                                 .pin = -1,
                                 .priority = CONFIG_UNSET};
    for (int i = 0; i < c->n_model; i++) {
        if (same_model(c->model[i].name, name))
            fill(out, &c->model[i]);
    }
    for (int i = 0; i < c->n_model; i++) {
        if (strcmp(c->model[i].name, "*") == 0)
            fill(out, &c->model[i]);
    }
    fill(out, &general);
}

/* -- mistakes ------------------------------------------------------------------------------ */

int config_fault(struct config_owned *c, int rc, const struct err *e)
{
    if (rc != E_INVALID || !c->fault)
        return rc;
    c->n_fault++;
    c->fault(c->ctx, e);
    return 0;
}

/* -- sources ------------------------------------------------------------------------------- */

int config_defaults(struct config_owned *c, struct err *e)
{
    for (int i = 0; i < config_n_row; i++) {
        const struct config_row *row = &config_rows[i];
        int rc = row->def ? config_set(&c->mem, row, &c->config, row->def, e) : 0;

        if (rc < 0)
            return err_wrap(e, rc, "default of %s", row->name);
    }
    return 0;
}

static int read_file(struct buf *out, int fd, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode))
        return err_set(e, E_INVALID, "%s is no file", path);
    while (out->n < out->max) {
        size_t room = out->max - out->n < 65536 ? out->max - out->n : 65536;
        char *p = buf_reserve(out, room);
        ssize_t n = p ? read(fd, p, room) : -1;

        if (!p)
            return err_set(e, E_NOMEM, "no memory for the configuration");
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, E_IO, errno, "read %s", path);
        if (n == 0)
            return 0;
        out->n += (size_t)n;
    }
    return err_set(e, E_TOO_LONG, "%s has more than %zu bytes", path, CONFIG_FILE_MAX);
}

static int load_file(struct config_owned *c, const char *path, int must, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
    struct buf text;

    if (fd < 0 && !must && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "%s", path);
    c->config.path = arena_strdup(&c->mem, str_of(path));
    buf_init(&text, CONFIG_FILE_MAX + 1);
    rc = c->config.path ? read_file(&text, fd, path, e)
                        : err_set(e, E_NOMEM, "no memory for the configuration");
    (void)close(fd);
    if (rc == 0)
        rc = config_yaml(c, path, (struct str){text.p, text.n}, e);
    buf_done(&text);
    return rc;
}

/* The file that was named, or the first of the usual places. */
static int find_file(struct config_owned *c, const char *path, struct err *e)
{
    const char *named = path ? path : getenv("HEARTH_CONFIG");
    struct buf own;
    int rc;

    if (named)
        return *named ? load_file(c, named, 1, e) : 0;
    buf_init(&own, 4096);
    rc = path_xdg(&own, PATH_CONFIG, "hearth.yaml", NULL);
    rc = rc == 0 ? load_file(c, own.p, 0, e) : 0;
    buf_done(&own);
    if (rc == 0 && !c->config.path)
        rc = load_file(c, "/etc/hearth/hearth.yaml", 0, e);
    return rc;
}

static int set_one(struct config_owned *c, const char *text, struct err *e)
{
    const char *equals = strchr(text, '='), *near;
    const struct config_row *row;
    char name[128];
    int rc;

    if (!equals || (size_t)(equals - text) >= sizeof(name))
        return err_set(e, E_INVALID, "'%.80s' is no setting: NAME=VALUE", text);
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    row = config_find(config_rows, config_n_row, name);
    if (!row) {
        near = config_nearest(config_rows, config_n_row, name);
        return near ? err_set(e, E_INVALID, "there is no setting '%s'; did you mean '%s'?",
                              name, near)
                    : err_set(e, E_INVALID,
                              "there is no setting '%s'; 'hearth config example' lists all",
                              name);
    }
    rc = config_set(&c->mem, row, &c->config, equals + 1, e);
    return rc < 0 ? err_wrap(e, rc, "%s", name) : 0;
}

static int check_tls(const struct config *c, struct err *e)
{
    if (!c->tls_cert == !c->tls_key)
        return 0;
    return err_set(e, E_INVALID, "listen.%s is set, and listen.%s is not",
                   c->tls_cert ? "tls_cert" : "tls_key", c->tls_cert ? "tls_key" : "tls_cert");
}

static int check_host(const struct config *c, struct err *e)
{
    return c->host ? 0 : err_set(e, E_INVALID, "listen.host is empty");
}

static int check_path_dirs(const struct config *c, struct err *e)
{
    for (int i = 0; i < c->n_path_dir; i++) {
        if (c->path_dirs[i][0] != '/')
            return err_set(e, E_INVALID, "models.path_dirs: '%.80s' does not begin with /",
                           c->path_dirs[i]);
    }
    return 0;
}

static int check(struct config_owned *c, struct err *e)
{
    static int (*const checks[])(const struct config *c,
                                 struct err *e) = {check_tls, check_host, check_path_dirs};
    int rc = 0;

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && rc == 0; i++)
        rc = config_fault(c, checks[i](&c->config, e), e);
    return rc;
}

/* Room for more models than there are is given back: a server keeps what it has read. */
static int shrink(struct config_owned *c, struct err *e)
{
    size_t n = (size_t)c->config.n_model;
    struct config_model *fewer;

    if (n == 0)
        return 0;
    fewer = mem_realloc(c->model, n * sizeof(*c->model));
    if (!fewer)
        return err_set(e, E_NOMEM, "no memory for the configuration");
    c->config.model = c->model = fewer;
    return 0;
}

static int load_all(struct config_owned *c, const char *path, const char *const *set, int n_set,
                    struct err *e)
{
    int rc = config_defaults(c, e);

    if (rc == 0)
        rc = find_file(c, path, e);
    if (rc == 0)
        rc = config_env(c, e);
    for (int i = 0; i < n_set && rc == 0; i++)
        rc = config_fault(c, set_one(c, set[i], e), e);
    if (rc == 0)
        rc = check(c, e);
    return rc < 0 ? rc : shrink(c, e);
}

int config_load_all(struct config **out, const char *path, const char *const *set, int n_set,
                    void (*fault)(void *ctx, const struct err *e), void *ctx, struct err *e)
{
    struct config_owned *c = mem_calloc(1, sizeof(*c));
    struct err own = {0};
    int rc;

    e = e ? e : &own;
    if (!c)
        return err_set(e, E_NOMEM, "no memory for the configuration");
    arena_init(&c->mem, MEM_MAX);
    c->fault = fault;
    c->ctx = ctx;
    rc = load_all(c, path, set, n_set, e);
    if (rc < 0) {
        if (fault)
            fault(ctx, e);
        config_free(&c->config);
        return rc;
    }
    config_env_warn();
    *out = &c->config;
    return c->n_fault ? err_set(e, E_INVALID, "%d mistakes", c->n_fault) : 0;
}

int config_load(struct config **out, const char *path, const char *const *set, int n_set,
                struct err *e)
{
    return config_load_all(out, path, set, n_set, NULL, NULL, e);
}

void config_free(struct config *config)
{
    struct config_owned *c = (struct config_owned *)(void *)config; /* its first member */

    if (!c)
        return;
    arena_done(&c->mem);
    mem_free(c->model);
    mem_free(c);
}
