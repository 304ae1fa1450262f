/* hearth key: the API keys of the server. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "serve/auth.h"
#include "serve/config.h"
#include "serve/route.h"
#include "sys/path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key_options {
    const char *config, *file;
    struct opt_list scope, model;
    int per_minute, priority;
};

#define AT(f) offsetof(struct key_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "file", .letter = 'f', .type = OPT_STR, .at = AT(file), .arg = "FILE",
     .help = "file of keys; without it listen.keys of the settings, or keys in ~/.config/hearth"},
    {.name = "config", .letter = 'c', .type = OPT_STR, .at = AT(config), .arg = "FILE", .help = "settings of the server"},
    {.name = "scope", .letter = 's', .type = OPT_LIST, .at = AT(scope), .arg = "SCOPE",
     .help = "infer, manage (models) or metrics; may be given again (infer)"},
    {.name = "model", .letter = 'm', .type = OPT_LIST, .at = AT(model), .arg = "NAME",
     .help = "a model that it may use, * in it for anything; may be given again (all)"},
    {.name = "per-minute", .type = OPT_INT, .at = AT(per_minute), .def = "0", .min = 0, .max = 1000000, .arg = "N",
     .help = "requests a minute; 0: any number"},
    {.name = "priority", .type = OPT_INT, .at = AT(priority), .def = "0", .min = -1000, .max = 1000, .arg = "N",
     .help = "of its requests; higher ones go first"},
};
/* clang-format on */

static const struct {
    const char *name;
    int bit;
} scopes[] = {{"infer", SCOPE_INFER}, {"manage", SCOPE_MANAGE}, {"metrics", SCOPE_METRICS}};

enum { N_SCOPE = sizeof(scopes) / sizeof(scopes[0]) };

static int read_scopes(const struct opt_list *l, int *out, struct err *e)
{
    *out = l->n ? 0 : SCOPE_INFER;
    for (int i = 0; i < l->n; i++) {
        int k = 0;

        while (k < N_SCOPE && strcmp(l->v[i], scopes[k].name) != 0)
            k++;
        if (k == N_SCOPE)
            return err_set(e, E_INVALID, "--scope: '%s' is none of infer, manage, metrics",
                           l->v[i]);
        *out |= scopes[k].bit;
    }
    return 0;
}

/* Where the keys are, and whether the settings say so. */
static int find_file(const struct key_options *o, struct buf *path, int *is_set, struct err *e)
{
    struct config *c = NULL;
    int rc;

    *is_set = 1;
    if (o->file)
        return buf_str(path, o->file);
    rc = config_load(&c, o->config, NULL, 0, e);
    if (rc < 0)
        return rc;
    *is_set = c->keys != NULL;
    if (c->keys) {
        rc = buf_str(path, c->keys);
    } else {
        rc = path_xdg(path, PATH_CONFIG, NULL, e);
        if (rc == 0)
            rc = path_mkdirs(path->p, e);
        if (rc == 0)
            rc = buf_str(path, "/keys");
    }
    config_free(c);
    return rc;
}

static int add(const struct key_options *o, const char *path, const char *name, int is_set,
               struct err *e)
{
    struct auth_key k = {.name = name, .per_minute = o->per_minute, .priority = o->priority};
    const char *model[OPT_LIST_MAX];
    struct buf key;
    int rc = read_scopes(&o->scope, &k.scopes, e);

    for (int i = 0; i < o->model.n; i++)
        model[i] = o->model.v[i];
    k.model = model;
    k.n_model = o->model.n;
    buf_init(&key, 256);
    if (rc == 0)
        rc = auth_add(path, &k, &key, e);
    if (rc == 0) {
        (void)printf("%s\n", key.p);
        (void)fprintf(stderr,
                      "This is shown once; only its hash is kept, in %s.\n%s%s%s"
                      "A running server reads it on SIGHUP.\n",
                      path,
                      is_set ? "" : "To ask for keys set listen.keys: ", is_set ? "" : path,
                      is_set ? "" : "\n");
    }
    buf_done(&key);
    return rc;
}

static void show(void *ctx, const struct auth_key *k)
{
    (void)ctx;
    (void)printf("%-20s ", k->name);
    for (int i = 0, n = 0; i < N_SCOPE; i++) {
        if (k->scopes & scopes[i].bit)
            (void)printf("%s%s", n++ ? "," : "", scopes[i].name);
    }
    for (int i = 0; i < k->n_model; i++)
        (void)printf("%s%s", i ? "," : "  models ", k->model[i]);
    if (k->per_minute)
        (void)printf("  %d a minute", k->per_minute);
    if (k->priority)
        (void)printf("  priority %d", k->priority);
    (void)printf("\n");
}

static int list(const char *path, struct err *e)
{
    struct auth *a = NULL;
    int rc = auth_new(&a, path, e);

    if (rc == 0)
        auth_each(a, show, NULL);
    auth_free(a);
    return rc;
}

int cmd_key(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth key add NAME | remove NAME | list",
        .about = "Makes, removes and lists the API keys that the server asks for. A new key is "
                 "printed once; only its hash is kept.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct key_options o = {0};
    struct err e = {0};
    struct buf path;
    int status, n, rc, is_set = 0;

    n = cmd_options(&spec, argc, argv, &o, 1, 2, &status);
    if (n < 0)
        return status;
    buf_init(&path, PATH_MAX);
    if (!(strcmp(argv[0], "list") == 0 && n == 1) &&
        !((strcmp(argv[0], "add") == 0 || strcmp(argv[0], "remove") == 0) && n == 2))
        rc = err_set(&e, E_INVALID, "usage: %s", spec.usage);
    else
        rc = find_file(&o, &path, &is_set, &e);
    if (rc == 0 && strcmp(argv[0], "add") == 0)
        rc = add(&o, path.p, argv[1], is_set, &e);
    else if (rc == 0 && strcmp(argv[0], "remove") == 0)
        rc = auth_remove(path.p, argv[1], &e);
    else if (rc == 0)
        rc = list(path.p, &e);
    buf_done(&path);
    return rc < 0 ? cmd_fail(&e) : 0;
}
