/* Paths and methods: whose is what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "serve/call.h"
#include "serve/route.h"

#include <string.h>

static const struct dialect a = {.name = "a"}, b = {.name = "b"};

static const struct route rows_a[] = {
    {.method = "GET", .path = "/v1/models", .dialect = &a, .name = "list"},
    {.method = "GET", .path = "/v1/models/*id", .dialect = &a, .name = "one"},
    {.method = "POST", .path = "/v1/responses", .dialect = &a, .name = "new"},
    {.method = "GET", .path = "/v1/responses/:id", .dialect = &a, .name = "get"},
    {.method = "DELETE", .path = "/v1/responses/:id", .dialect = &a, .name = "delete"},
    {.method = "GET", .path = "/v1/responses/:id/input_items", .dialect = &a, .name = "items"},
};

static const struct route rows_b[] = {
    {.method = "GET", .path = "/", .dialect = &b, .name = "root"},
    {.method = "POST", .path = "/api/chat", .dialect = &b, .name = "chat"},
    {.method = "HEAD", .path = "/api/blobs/:digest", .dialect = &b, .name = "head"},
    {.method = "POST", .path = "/api/blobs/:digest", .dialect = &b, .name = "post"},
};

static const struct route_list lists[] = {
    {rows_a, sizeof(rows_a) / sizeof(*rows_a)},
    {rows_b, sizeof(rows_b) / sizeof(*rows_b)},
    {NULL, 0},
};

static struct str arg[CALL_ARG_MAX];
static char allow[64];
static const struct dialect *near;

static const char *find(const char *method, const char *path)
{
    const struct route *r;

    memset(arg, 0, sizeof(arg));
    r = route_find(lists, method, str_of(path), arg, allow, &near);
    return r ? r->name : NULL;
}

static void test_found(void **state)
{
    (void)state;
    assert_string_equal(find("GET", "/v1/models"), "list");
    assert_string_equal(find("GET", "/"), "root");
    assert_string_equal(find("POST", "/api/chat"), "chat");
    assert_string_equal(find("GET", "/v1/models/hf.co/user/x:Q4_K_M"), "one");
    assert_true(str_is(arg[0], "hf.co/user/x:Q4_K_M"));
    assert_string_equal(find("DELETE", "/v1/responses/resp_1"), "delete");
    assert_true(str_is(arg[0], "resp_1"));
    assert_string_equal(find("GET", "/v1/responses/resp_1/input_items"), "items");
    assert_true(str_is(arg[0], "resp_1"));
}

static void test_head_is_get(void **state)
{
    (void)state;
    assert_string_equal(find("HEAD", "/v1/models"), "list");
    assert_string_equal(find("HEAD", "/v1/responses/x"), "get");
    assert_true(str_is(arg[0], "x"));
    /* A row of its own comes first. */
    assert_string_equal(find("HEAD", "/api/blobs/sha256:0"), "head");
}

static void test_not_allowed(void **state)
{
    (void)state;
    assert_null(find("GET", "/api/chat"));
    assert_string_equal(allow, "POST");
    assert_ptr_equal(near, &b);
    assert_null(find("POST", "/v1/responses/x"));
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_ptr_equal(near, &a);
}

static void test_unknown(void **state)
{
    static const char *const paths[] = {"",
                                        "/v1",
                                        "/v1/models/",
                                        "/api/chat/",
                                        "/api//chat",
                                        "/v1/responses/",
                                        "/v1/responses/a/b/c",
                                        "v1/models",
                                        "/api/chat2"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        assert_null(find("POST", paths[i]));
        assert_string_equal(allow, "");
    }
    assert_null(find("POST", "/api/nothing"));
    assert_ptr_equal(near, &b);
    assert_null(find("POST", "/v1/nothing"));
    assert_ptr_equal(near, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_head_is_get),
        cmocka_unit_test(test_not_allowed),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
