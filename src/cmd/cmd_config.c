/* hearth config: the settings of the server, looked at without starting it. */
#include "cmd/cmd.h"

#include "serve/auth.h"
#include "serve/config.h"

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

static int check(const struct config *c, struct err *e)
{
    struct auth *a = NULL;
    int rc = auth_new(&a, c->keys, e);

    auth_free(a);
    if (rc == 0)
        (void)printf("%s: all fine\n", c->path ? c->path : "no file, the defaults");
    return rc;
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
    struct config *c = NULL;
    struct err e = {0};
    int status, n, rc;

    n = cmd_options(&spec, argc, argv, &o, 1, 2, &status);
    if (n < 0)
        return status;
    if (strcmp(argv[0], "example") == 0 && n == 1) {
        config_example(stdout);
        return 0;
    }
    if (strcmp(argv[0], "check") != 0 && strcmp(argv[0], "print") != 0) {
        (void)err_set(&e, E_INVALID, "'%s'; usage: %s", argv[0], spec.usage);
        return cmd_fail(&e);
    }
    rc = config_load(&c, n == 2 ? argv[1] : o.config, o.set.v, o.set.n, &e);
    if (rc == 0 && strcmp(argv[0], "print") == 0)
        config_print(c, stdout);
    else if (rc == 0)
        rc = check(c, &e);
    config_free(c);
    return rc < 0 ? cmd_fail(&e) : 0;
}
