/* The table as a file: the commented example, and what is set. */
#include "serve/config_priv.h"

#include "gate/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *tail(const char *name)
{
    return strchr(name, '.') + 1;
}

/* "section:" before its first row. */
static void section(const struct config_row *row, const struct config_row *before, FILE *f)
{
    size_t n = strcspn(row->name, ".");

    if (!before || strncmp(row->name, before->name, n + 1) != 0)
        (void)fprintf(f, "%s%.*s:\n", before ? "\n" : "", (int)n, row->name);
}

static const char *example_of(const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_LIST:
    case CONFIG_PATHS:
        return "[]";
    default:
        return row->def ? row->def : "";
    }
}

void config_example(FILE *f)
{
    (void)fprintf(f, "# Settings of 'hearth serve', each with its default. Remove the # in "
                     "front of what you\n"
                     "# change; check the file with 'hearth config check'. ${NAME} is a "
                     "variable's value.\n"
                     "# In [brackets]: the variable that sets the same.\n\n");
    for (int i = 0; i < config_n_row; i++) {
        const struct config_row *row = &config_rows[i];
        char setting[128];

        section(row, i ? row - 1 : NULL, f);
        (void)snprintf(setting, sizeof(setting), "%s: %s", tail(row->name), example_of(row));
        (void)fprintf(f, "  #%-32s # %s%s%s%s\n", setting, row->help, row->env ? " [" : "",
                      row->env ? row->env : "", row->env ? "]" : "");
    }
    (void)fprintf(f, "\n# What single models have of their own; \"*\" is all others.\n"
                     "model:\n  #\"llama3.2:1b\":\n");
    for (int i = 0; i < config_n_model_row; i++) {
        char setting[128];

        (void)snprintf(setting, sizeof(setting), "%s:", config_model_rows[i].name);
        (void)fprintf(f, "  #  %-30s # %s\n", setting, config_model_rows[i].help);
    }
}

static void put(const char *indent, const char *name, const struct buf *value, FILE *f)
{
    (void)fprintf(f, "%s%s: %s\n", indent, name, value->p ? value->p : "");
}

/* Of a model only what is set. */
static int model_has(const struct config_row *row, const struct config_model *m)
{
    const char *at = (const char *)m + row->at;
    int n;

    if (row->type == CONFIG_KEEP)
        return m->keep_alive_ns != GATE_KEEP_DEFAULT;
    if (row->type == CONFIG_CHOICE || row->type == CONFIG_TEXT)
        return 1; /* config_show knows */
    memcpy(&n, at, sizeof(n));
    if (at == (const char *)&m->priority)
        return n != CONFIG_UNSET;
    return at == (const char *)&m->lookup || at == (const char *)&m->pin ? n >= 0 : n != 0;
}

static void print_models(const struct config *c, FILE *f)
{
    struct buf value;

    buf_init(&value, CONFIG_FILE_MAX);
    for (int i = 0; i < c->n_model; i++) {
        const struct config_model *m = &c->model[i];

        if (i == 0)
            (void)fprintf(f, "\nmodel:\n");
        (void)fprintf(f, "  \"%s\":\n", m->name);
        for (int k = 0; k < config_n_model_row; k++) {
            buf_clear(&value);
            if (model_has(&config_model_rows[k], m) &&
                config_show(&config_model_rows[k], m, &value) > 0)
                put("    ", config_model_rows[k].name, &value, f);
        }
    }
    buf_done(&value);
}

void config_print(const struct config *c, FILE *f)
{
    const struct config_row *before = NULL;
    struct buf value;

    buf_init(&value, CONFIG_FILE_MAX);
    for (int i = 0; i < config_n_row; i++) {
        const struct config_row *row = &config_rows[i];

        buf_clear(&value);
        if (config_show(row, c, &value) <= 0)
            continue;
        section(row, before, f);
        put("  ", tail(row->name), &value, f);
        before = row;
    }
    buf_done(&value);
    print_models(c, f);
}

static char *text_of(const struct config *c, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);

    if (!f)
        return NULL;
    (void)fprintf(f, "%s\n", c->path ? c->path : "");
    config_print(c, f);
    return fclose(f) == 0 ? text : NULL;
}

int config_same(const struct config *a, const struct config *b)
{
    size_t n = 0, k = 0;
    char *x = text_of(a, &n), *y = text_of(b, &k);
    int same = x && y && n == k && memcmp(x, y, n) == 0;

    free(x);
    free(y);
    return same;
}
