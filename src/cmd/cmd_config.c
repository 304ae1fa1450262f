/* hearth config: the settings of the server, looked at without starting it. */
#include "cmd/cmd.h"

#include "serve/auth.h"
#include "serve/config.h"
#include "serve/http.h"

#include <stdio.h>
#include <string.h>

struct config_options {
    const char *config;
    struct opt_list set;
};

#define AT(f) offsetof(struct config_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "config", .letter = 'c', .type = OPT_STR, .at = AT(config), .arg = "FILE",
     .help = "settings; without it where 'hearth serve' looks"},
    {.name = "set", .letter = 's', .type = OPT_LIST, .at = AT(set), .arg = "NAME=VALUE",
     .help = "a setting; may be given again"},
};
/* clang-format on */

static void on_fault(void *ctx, const struct err *e)
{
    int *status = ctx, code = cmd_fail(e);

    *status = *status ? *status : code; /* of the first */
}

/* What a server would refuse besides, each thing for itself. */
static void check_more(const struct config *c, int *status)
{
    struct err e = {0};
    struct auth *a = NULL;

    if (auth_new(&a, c->keys, &e) < 0)
        on_fault(status, &e);
    for (int i = 0; i < HTTP_CHECKS && c->host; i++) {
        if (http_check(c, i, c->keys != NULL, &e) < 0)
            on_fault(status, &e);
    }
    auth_free(a);
}

static int check(const struct config_options *o, const char *path)
{
    struct config *c = NULL;
    struct err e = {0};
    int status = 0, rc = config_load_all(&c, path, o->set.v, o->set.n, on_fault, &status, &e);

    if (c)
        check_more(c, &status);
    if (c && rc == 0 && status == 0)
        (void)printf("%s: all fine\n", c->path ? c->path : "no file, the defaults");
    config_free(c);
    return status;
}

static int print(const struct config_options *o, const char *path)
{
    struct config *c = NULL;
    struct err e = {0};

    if (config_load(&c, path, o->set.v, o->set.n, &e) < 0)
        return cmd_fail(&e);
    config_print(c, stdout);
    config_free(c);
    return 0;
}

int cmd_config(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth config check|print|example [FILE]",
        .about =
            "check: are the settings of the server right? print: all that is set, from the "
            "file, the environment and --set. example: a file with all settings and their "
            "defaults.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct config_options o = {0};
    const char *path;
    struct err e = {0};
    int status, n;

    n = cmd_options(&spec, argc, argv, &o, 1, 2, &status);
    if (n < 0)
        return status;
    if (strcmp(argv[0], "example") == 0 && n == 1) {
        config_example(stdout);
        return 0;
    }
    path = n == 2 ? argv[1] : o.config;
    if (strcmp(argv[0], "check") == 0)
        return check(&o, path);
    if (strcmp(argv[0], "print") == 0)
        return print(&o, path);
    (void)err_set(&e, E_INVALID, "'%s'; usage: %s", argv[0], spec.usage);
    return cmd_fail(&e);
}
