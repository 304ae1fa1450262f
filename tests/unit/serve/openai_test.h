/* openai_test.h - what the tests of OpenAI's dialect share: a fake server with its routes, and
 * neighbours that it needs and the tests have no use for. */
#ifndef TESTS_UNIT_SERVE_OPENAI_TEST_H
#define TESTS_UNIT_SERVE_OPENAI_TEST_H

#include "transcript.h"

#include "serve/api/openai.h"
#include "serve/api/openai_routes.h"
#include "serve/auth.h"
#include "store/store.h"

#define WEAK __attribute__((weak))

static const struct route_list lists[] = {{api_openai_routes, API_OPENAI_N_ROUTE}, {NULL, 0}};

static struct fake fake;

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

static int setup(void **state)
{
    struct err e;

    (void)state;
    fake_open(&fake);
    return ask_list_new(&fake.serve.asks, &e);
}

static int teardown(void **state)
{
    (void)state;
    ask_list_free(fake.serve.asks);
    fake_close(&fake);
    return 0;
}

/* What the answer says is wrong, or "". */
FAKE_UNUSED static const char *said(const char *member)
{
    static char text[600];
    json_t *o = json_loadb(fake.call.out.p ? fake.call.out.p : "", fake.call.out.n, 0, NULL);
    const json_t *v = json_object_get(json_object_get(o, "error"), member);

    (void)snprintf(text, sizeof(text), "%s", json_is_string(v) ? json_string_value(v) : "");
    json_decref(o);
    return text;
}

FAKE_UNUSED static void expect_json(const json_t *got, const char *want)
{
    char *text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("-");

    assert_string_equal(text, want);
    free(text);
}

/* A request is refused, with this status and field, and nothing was started. */
#define expect_refused(status_, param_)                                                        \
    do {                                                                                       \
        assert_int_equal(fake.call.status, status_);                                           \
        assert_string_equal(said("param"), param_);                                            \
        assert_int_equal(fake.n_started, 0);                                                   \
        assert_int_equal(fake.call.ended, 1);                                                  \
    } while (0)

#endif
