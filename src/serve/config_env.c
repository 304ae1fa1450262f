/* The environment: a variable for each setting, those of Ollama that mean the same, and a word
 * about those that nobody reads. */
#include "serve/config_priv.h"

#include "base/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "HEARTH_"

enum { NAME_MAX_ENV = 64 };

static int set_from(struct config_owned *c, int ollama, struct err *e)
{
    for (int i = 0; i < config_n_row; i++) {
        const struct config_row *row = &config_rows[i];
        const char *name = ollama ? row->ollama : row->env, *value = name ? getenv(name) : NULL;
        int rc = value && *value ? config_set(&c->mem, row, &c->config, value, e) : 0;

        if (rc < 0)
            rc = config_fault(c, err_wrap(e, rc, "variable %s", name), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int config_env(struct config_owned *c, struct err *e)
{
    int rc = set_from(c, 1, e);

    return rc < 0 ? rc : set_from(c, 0, e);
}

/* -- what has no effect ---------------------------------------------------------------- */

/* Of these there is nothing to set here; whoever sets them should know. */
static void say_unused(void)
{
    static const char *const names[] = {"OLLAMA_MAX_LOADED_MODELS", "OLLAMA_GPU_OVERHEAD",
                                        "OLLAMA_SCHED_SPREAD"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i]))
            log_line(LOG_WARN, "%s has no effect here; models.memory bounds what is loaded",
                     names[i]);
    }
}

static int is_known(const char *name)
{
    static const char *const others[] = {"HEARTH_CONFIG", "HEARTH_API_KEY", "HEARTH_CPU"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(name, others[i]) == 0)
            return 1;
    }
    for (int i = 0; i < config_n_row; i++) {
        if (config_rows[i].env && strcmp(name, config_rows[i].env) == 0)
            return 1;
    }
    return 0;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* The variable that was meant: the one that is spelt alike, or that of the setting whose name,
 * or the end of it, was made a variable of ("HEARTH_LIMITS_BODY"). NULL: none is near. */
static const char *meant(const char *name)
{
    char setting[NAME_MAX_ENV];
    const char *best = NULL;
    int n = 0, most;

    for (const char *at = name + strlen(PREFIX); *at && n + 1 < NAME_MAX_ENV; at++)
        setting[n++] = (char)tolower((unsigned char)*at);
    setting[n] = '\0';
    most = n / 3;
    for (int i = 0; i < config_n_row; i++) {
        const struct config_row *row = &config_rows[i];
        int d = least(config_distance(setting, row->name),
                      config_distance(setting, strchr(row->name, '.') + 1));

        d = row->env ? least(d, config_distance(name, row->env)) : most + 1;
        if (d <= most) {
            most = d - 1;
            best = row->env;
        }
    }
    return best;
}

static void say_unknown(const char *variable)
{
    size_t n = strcspn(variable, "=");
    const char *near;
    char name[NAME_MAX_ENV];

    if (strncmp(variable, PREFIX, strlen(PREFIX)) != 0 || n >= sizeof(name))
        return;
    memcpy(name, variable, n);
    name[n] = '\0';
    if (is_known(name))
        return;
    near = meant(name);
    log_line(LOG_WARN, "variable %s is not known here%s%s%s", name,
             near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

void config_env_warn(void)
{
    say_unused();
    for (char *const *v = environ; v && *v; v++)
        say_unknown(*v);
}
