/* openai_test.h - what the tests of OpenAI's dialect share: a fake server with its routes, and
 * how its refusals are looked at. */
#ifndef TESTS_UNIT_SERVE_OPENAI_TEST_H
#define TESTS_UNIT_SERVE_OPENAI_TEST_H

#include "neighbours.h"
#include "transcript.h"

#include "serve/api/openai.h"
#include "serve/api/openai_routes.h"

static const struct route_list lists[] = {{api_openai_routes, API_OPENAI_N_ROUTE}, {NULL, 0}};

static struct fake fake;

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
