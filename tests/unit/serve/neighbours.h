/* neighbours.h - what dialects call besides the provider: keys and the store, of which there
 * are three models. A test that links the real ones gets those. */
#ifndef TESTS_UNIT_SERVE_NEIGHBOURS_H
#define TESTS_UNIT_SERVE_NEIGHBOURS_H

#include "serve/auth.h"
#include "serve/config.h"
#include "serve/local.h"
#include "serve/metrics.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((weak))

WEAK int auth_model(const struct auth_key *who, struct str model)
{
    return !who || !str_is(model, "hidden:latest");
}

WEAK void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                      const char *what, double value)
{
    (void)m, (void)id, (void)model, (void)route, (void)what, (void)value;
}

WEAK int config_duration(const char *text, int64_t *ns)
{
    *ns = (int64_t)strtol(text, NULL, 10) * 60000000000;
    return strcmp(text, "5m") == 0;
}

static const char *const model_names[] = {"new:latest", "hf.co/a/b:q4", "hidden:latest"};

static void a_model(struct store_model *m, int i)
{
    *m = (struct store_model){.modified_ns = 1700000000000000000 - i * 86400000000000,
                              .n_ctx_train = 2048,
                              .can = STORE_COMPLETION | STORE_TOOLS};
    (void)snprintf(m->name, sizeof(m->name), "%s", model_names[i]);
}

WEAK int store_each(struct store *s, int (*visit)(void *ctx, const struct store_model *m),
                    void *ctx, int *skipped, struct err *e)
{
    struct store_model m;

    (void)s, (void)skipped, (void)e;
    for (int i = 0; i < 3; i++) {
        a_model(&m, i);
        if (visit(ctx, &m))
            break;
    }
    return 0;
}

#ifndef NEIGHBOURS_HAVE_MODELS
/* As a model that is loaded with less than it was trained for. */
WEAK int local_context(struct local *l, const struct store_model *m)
{
    (void)l, (void)m;
    return 128;
}

WEAK void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                     void *ctx)
{
    (void)l, (void)visit, (void)ctx;
}
#endif

WEAK int store_find(struct store *s, struct str name, struct store_model *out, struct err *e)
{
    (void)s;
    for (int i = 0; i < 3; i++) {
        a_model(out, i);
        if (str_is(name, model_names[i]))
            return 0;
    }
    return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
}

WEAK void store_model_done(struct store_model *m)
{
    (void)m;
}

#endif
