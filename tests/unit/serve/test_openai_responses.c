/* /v1/responses: its stream as golden transcripts, items as messages, and what is kept: for
 * whom, how long, and that a conversation goes on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "openai_test.h"

#include "serve/api/openai_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/hearth_responses_XXXXXX", db[64];

static int setup_db(void **state)
{
    struct err e;

    (void)unlink(db);
    if (setup(state) < 0)
        return -1;
    return openai_store_open(&fake.serve.responses, db, 3600, 0, &e);
}

static int teardown_db(void **state)
{
    openai_store_close(fake.serve.responses);
    fake.serve.responses = NULL;
    return teardown(state);
}

static void test_transcripts(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/openai/responses.test");
}

/* -- items ----------------------------------------------------------------------------- */

static struct gate_request *say(const char *input)
{
    char body[8192];

    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"store\":false,\"input\":%s}", input);
    assert_true(fake_post(&fake, lists, "/v1/responses", body));
    if (fake.sink)
        fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_items(void **state)
{
    const struct gate_request *q = say(
        "[{\"role\":\"user\",\"content\":\"a\"},"
        "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],\"content\":[{\"type\":"
        "\"reasoning_text\",\"text\":\"why\"}]},"
        "{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"msg_1\",\"status\":"
        "\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\",\"annotations\":"
        "[]}]},"
        "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},"
        "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\",\"arguments\":\"\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c2\",\"output\":\"two\"},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":"
        "\"input_text\",\"text\":\"one\"}]},"
        "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
        "\"image_url\":\"data:image/png;base64,Zm9v\"}]}]");

    (void)state;
    assert_non_null(q);
    expect_json(
        q->messages,
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"reasoning_content\":"
        "\"why\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}],\"tool_calls\":[{\"id\":"
        "\"c1\","
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":"
        "\"c2\","
        "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},{\"role\":"
        "\"tool\",\"content\":\"two\",\"name\":\"g\",\"tool_call_id\":\"c2\"},{\"role\":"
        "\"tool\","
        "\"content\":[{\"type\":\"text\",\"text\":\"one\"}],\"name\":\"f\",\"tool_call_id\":"
        "\"c1\"}"
        ",{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"mime\":\"image/png\",\"data\":"
        "\"Zm9v\"}]}]");
}

/* What was left out is said where clients look: a header, and in the object. */
static void test_dropped(void **state)
{
    json_t *v;

    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/responses",
                          "{\"model\":\"m\",\"store\":false,\"truncation\":\"auto\",\"input\":"
                          "\"x\"}"));
    assert_int_equal(fake.q->overflow, GATE_TRUNCATE);
    fake.usage = (struct gate_usage){.n_dropped = 30, .n_dropped_messages = 2};
    fake_start(&fake, 2, 0);
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    fake.usage = (struct gate_usage){0};
    assert_string_equal(
        fake.call.headers.p,
        "warning: 299 hearth \"the prompt is longer than the context: 30 tokens "
        "were left out (2 messages)\"\n");
    v = json_loadb(fake.call.out.p, fake.call.out.n, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(v, "messages_dropped")), 2);
    assert_int_equal(json_integer_value(json_object_get(v, "tokens_dropped")), 30);
    json_decref(v);
}

static void test_refused(void **state)
{
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"x\":1", "input"},
        {"\"input\":5", "input"},
        {"\"input\":[]", "input"},
        {"\"input\":[5]", "input[0]"},
        {"\"input\":[{\"type\":\"alien\"}]", "input[0].type"},
        {"\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]", "input[0].type"},
        {"\"input\":[{\"role\":\"alien\",\"content\":\"x\"}]", "input[0].role"},
        {"\"input\":[{\"role\":\"user\"}]", "input[0].content"},
        {"\"input\":[{\"role\":\"user\",\"content\":[5]}]", "input[0].content[0]"},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}]",
         "input[0].content[0].type"},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]",
         "input[0].content[0].text"},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"https://x\"}]}]",
         "input[0].content[0].image_url"},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":"
         "\"f\"}]"
         "}]",
         "input[0].content[0].file_id"},
        {"\"input\":[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}]",
         "input[0].call_id"},
        {"\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"arguments\":\"{}\"}]",
         "input[0].name"},
        {"\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
         "\"arguments\":5}]",
         "input[0].arguments"},
        {"\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"x\"}]",
         "input[0].call_id"},
        {"\"input\":\"x\",\"background\":true", "background"},
        {"\"input\":\"x\",\"conversation\":\"c\"", "conversation"},
        {"\"input\":\"x\",\"prompt\":{\"id\":\"p\"}", "prompt"},
        {"\"input\":\"x\",\"truncation\":\"some\"", "truncation"},
        {"\"input\":\"x\",\"include\":[5]", "include[0]"},
        {"\"input\":\"x\",\"include\":\"x\"", "include"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"file_search\"}]", "tools[0].type"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"a\"}]",
         "tools[0].tools"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"a\",\"tools\":[5]}]",
         "tools[0].tools[0]"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"a b\",\"tools\":[]}]",
         "tools[0].name"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"a\",\"tools\":[{"
         "\"type\":"
         "\"custom\"}]}]",
         "tools[0].tools[0]"},
        {"\"input\":\"x\",\"tool_choice\":\"required\",\"tools\":[{\"type\":\"web_search\"}]",
         "tool_choice"},
        {"\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]", "tools[0].name"},
        {"\"input\":\"x\",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}",
         "tool_choice"},
        {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}", "text.format.type"},
        {"\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"x\"}}",
         "text.format.schema"},
        {"\"input\":\"x\",\"reasoning\":{\"effort\":\"huge\"}", "reasoning.effort"},
        {"\"input\":\"x\",\"max_output_tokens\":0", "max_output_tokens"},
        {"\"input\":\"x\",\"metadata\":{\"a\":1}", "metadata"},
        {"\"input\":\"x\",\"metadata\":5", "metadata"},
        {"\"input\":\"x\",\"top_logprobs\":21", "top_logprobs"},
        {"\"input\":\"x\",\"store\":1", "store"},
        {"\"input\":\"x\",\"messages\":[1]", "messages"},
        {"\"input\":\"x\",\"previous_response_id\":\"resp_x\"", "previous_response_id"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[2048];

        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", rows[i].fields);
        assert_true(fake_post(&fake, lists, "/v1/responses", body));
        if (fake.call.status != 400 || strcmp(said("param"), rows[i].param) != 0)
            fail_msg("%s: %d %s", rows[i].fields, fake.call.status, fake.call.out.p);
        expect_refused(400, rows[i].param);
    }
}

/* What coding agents send: functions in namespaces, and a search that is not run here. */
static void test_namespaces(void **state)
{
    const struct gate_request *q =
        say("[{\"role\":\"user\",\"content\":\"a\"},"
            "{\"type\":\"function_call\",\"call_id\":\"c1\",\"namespace\":\"team\",\"name\":"
            "\"ask\","
            "\"arguments\":\"{}\"},"
            "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"one\"}],"
            "\"client_metadata\":{\"a\":\"b\"},\"tools\":["
            "{\"type\":\"function\",\"name\":\"ask\"},"
            "{\"type\":\"namespace\",\"name\":\"team\",\"description\":\"T\",\"tools\":["
            "{\"type\":\"function\",\"name\":\"ask\",\"description\":\"D\",\"strict\":false,"
            "\"parameters\":{\"type\":\"object\"}}]},"
            "{\"type\":\"web_search\",\"external_web_access\":false}]");

    (void)state;
    assert_non_null(q);
    expect_json(
        q->tools,
        "[{\"type\":\"function\",\"function\":{\"name\":\"ask\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{}}}},{\"type\":\"function\",\"function\":{\"name\":"
        "\"team.ask\",\"description\":\"D\",\"parameters\":{\"type\":\"object\"}}}]");
    expect_json(
        q->messages,
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,"
        "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
        "\"team.ask\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"content\":\"one\",\"name\":"
        "\"team.ask\",\"tool_call_id\":\"c1\"}]");
    assert_non_null(strstr(fake.call.headers.p, "the model is not offered 'web_search'"));
    assert_null(strstr(fake.call.headers.p, "client_metadata"));
    q = say("\"a\",\"tools\":[{\"type\":\"web_search_preview\"}]");
    assert_non_null(q);
    assert_null(q->tools);
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(
        fake_post(&fake, lists, "/v1/responses",
                  "{\"model\":\"m\",\"store\":false,\"input\":\"x\",\"instructions\":\"i\","
                  "\"truncation\":\"auto\",\"top_logprobs\":2,\"reasoning\":{\"effort\":"
                  "\"none\"},\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],"
                  "\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},"
                  "\"max_output_tokens\":5}"));
    assert_non_null(fake.q);
    assert_int_equal(fake.q->overflow, GATE_TRUNCATE);
    assert_int_equal(fake.q->n_logprobs, 2);
    assert_int_equal(fake.q->think, GATE_THINK_OFF);
    assert_int_equal(fake.q->n_predict, 5);
    assert_true(str_is(fake.q->tool_name, "f"));
    expect_json(fake.q->messages, "[{\"role\":\"system\",\"content\":\"i\"},{\"role\":\"user\","
                                  "\"content\":\"x\"}]");
    fake_error(&fake, E_CANCELLED, "enough");
}

/* -- what is kept ---------------------------------------------------------------------- */

static char last_id[64];

/* Asks, is answered with the text, and remembers the id of the response. */
static void turn(const char *input, const char *previous, const char *answer)
{
    char body[1024];
    json_t *o;

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"m\",\"instructions\":\"only now\",\"input\":%s%s%s%s}", input,
                   previous ? ",\"previous_response_id\":\"" : "", previous ? previous : "",
                   previous ? "\"" : "");
    assert_true(fake_post(&fake, lists, "/v1/responses", body));
    assert_non_null(fake.sink);
    fake_start(&fake, 1, 0);
    if (*answer == '{') {
        fake_tool(&fake, 0, 0, "call_1", "f", answer, 3);
        fake_finish(&fake, 0, GATE_CALLS);
    } else {
        fake_text(&fake, 0, answer);
        fake_finish(&fake, 0, GATE_END);
    }
    fake_done(&fake);
    assert_int_equal(fake.call.status, 200);
    o = json_loadb(fake.call.out.p, fake.call.out.n, 0, NULL);
    (void)snprintf(last_id, sizeof(last_id), "%s", json_string_value(json_object_get(o, "id")));
    assert_memory_equal(last_id, "resp_", 5);
    json_decref(o);
}

static int ask_for(const char *method, const char *id, const char *behind, uint64_t tenant)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "/v1/responses/%s%s", id, behind);
    fake.tenant = tenant;
    assert_true(fake_send(&fake, lists, method, path, NULL, NULL, str_of("")));
    fake.tenant = 0;
    return fake.call.status;
}

static void test_conversation(void **state)
{
    char first[64];

    (void)state;
    turn("\"one\"", NULL, "eins");
    (void)snprintf(first, sizeof(first), "%s", last_id);
    turn("\"two\"", first, "{\"a\":1}");
    turn("[{\"type\":\"function_call_output\",\"call_id\":\"call_1\",\"output\":\"3\"}]",
         last_id, "drei");
    expect_json(
        fake.q->messages,
        "[{\"role\":\"system\",\"content\":\"only now\"},"
        "{\"role\":\"user\",\"content\":\"one\"},"
        "{\"role\":\"assistant\",\"content\":\"eins\"},"
        "{\"role\":\"user\",\"content\":\"two\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_1\","
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\""
        "}}]},"
        "{\"role\":\"tool\",\"content\":\"3\",\"name\":\"f\",\"tool_call_id\":\"call_1\"}]");
    /* It is there after a restart, too. */
    openai_store_close(fake.serve.responses);
    assert_int_equal(openai_store_open(&fake.serve.responses, db, 3600, 0, NULL), 0);
    turn("\"four\"", last_id, "vier");
    assert_int_equal(json_array_size(fake.q->messages), 8);
    /* A conversation whose beginning is gone is not gone on with in part. */
    assert_int_equal(ask_for("DELETE", first, "", 1), 200);
    assert_string_equal(strstr(fake.call.out.p, "\"object\""),
                        "\"object\":\"response\",\"deleted\":true}");
    {
        char body[300];

        (void)snprintf(body, sizeof(body),
                       "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"%s\"}",
                       last_id);
        assert_true(fake_post(&fake, lists, "/v1/responses", body));
        expect_refused(404, "previous_response_id");
    }
}

static void test_kept(void **state)
{
    json_t *o;

    (void)state;
    turn("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}]", NULL,
         "eins");
    assert_int_equal(ask_for("GET", last_id, "", 1), 200);
    assert_non_null(strstr(fake.call.out.p, "\"text\":\"eins\""));
    assert_int_equal(ask_for("GET", last_id, "/input_items", 1), 200);
    o = json_loadb(fake.call.out.p, fake.call.out.n, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "data")), 2);
    assert_true(json_is_false(json_object_get(o, "has_more")));
    expect_json(json_object_get(json_array_get(json_object_get(o, "data"), 0), "content"),
                "[{\"type\":\"input_text\",\"text\":\"b\"}]");
    json_decref(o);
    assert_int_equal(ask_for("POST", last_id, "/cancel", 1), 400);
    /* Another tenant's, or nobody's. */
    assert_int_equal(ask_for("GET", last_id, "", 2), 404);
    assert_int_equal(ask_for("GET", last_id, "/input_items", 2), 404);
    assert_int_equal(ask_for("POST", last_id, "/cancel", 2), 404);
    assert_int_equal(ask_for("DELETE", last_id, "", 2), 404);
    assert_int_equal(ask_for("GET", "resp_x", "", 1), 404);
    assert_int_equal(ask_for("DELETE", last_id, "", 1), 200);
    assert_int_equal(ask_for("GET", last_id, "", 1), 404);
    assert_int_equal(ask_for("DELETE", last_id, "", 1), 404);
}

/* store:false, and what failed, is not there afterwards. */
static void test_not_kept(void **state)
{
    json_t *o;
    char id[64];

    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/responses",
                          "{\"model\":\"m\",\"input\":\"x\",\"store\":false}"));
    fake_start(&fake, 1, 0);
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    o = json_loadb(fake.call.out.p, fake.call.out.n, 0, NULL);
    assert_true(json_is_false(json_object_get(o, "store")));
    (void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(o, "id")));
    json_decref(o);
    assert_int_equal(ask_for("GET", id, "", 1), 404);
}

static void test_expiry(void **state)
{
    struct responses *r = NULL;
    sqlite3 *raw = NULL;

    (void)state;
    turn("\"old\"", NULL, "x");
    openai_store_close(fake.serve.responses);
    fake.serve.responses = NULL;
    assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "UPDATE response SET used = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    assert_int_equal(openai_store_open(&r, db, 3600, 0, NULL), 0);
    fake.serve.responses = r;
    assert_int_equal(ask_for("GET", last_id, "", 1), 404);
}

static void put_sized(struct responses *r, int i, size_t bytes)
{
    char id[24], *text = calloc(1, bytes + 1);
    json_t *o;

    memset(text, 'x', bytes);
    (void)snprintf(id, sizeof(id), "resp_%d", i);
    o = json_pack("[s]", text);
    assert_int_equal(
        openai_store_put(
            r,
            &(struct openai_kept){
                .id = id, .tenant = 1, .created = i, .response = o, .input = o, .messages = o}),
        0);
    json_decref(o);
    free(text);
}

static int is_kept(struct responses *r, int i)
{
    char id[24];
    json_t *o = NULL;
    struct err e;
    int rc;

    (void)snprintf(id, sizeof(id), "resp_%d", i);
    rc = openai_store_get(r, str_of(id), 1, OPENAI_KEPT_RESPONSE, &o, &e);
    json_decref(o);
    assert_true(rc == 0 || rc == E_NOT_FOUND);
    return rc == 0;
}

/* No more bytes are kept than there is room for: the oldest go, never the one that came last.
 */
static void test_size(void **state)
{
    struct responses *r = NULL;
    struct stat st;
    int n = 0;

    (void)state;
    openai_store_close(fake.serve.responses);
    fake.serve.responses = NULL;
    assert_int_equal(openai_store_open(&r, db, 0, 256 << 10, NULL), 0);
    fake.serve.responses = r;
    for (int i = 0; i < 60; i++)
        put_sized(r, i, 10000);
    assert_true(is_kept(r, 59) && is_kept(r, 58) && !is_kept(r, 0) && !is_kept(r, 40));
    for (int i = 0; i < 60; i++)
        n += is_kept(r, i);
    assert_true(n >= 5 && n <= 8);
    /* One that is too large by itself is kept, alone. */
    put_sized(r, 100, 200000);
    assert_true(is_kept(r, 100) && !is_kept(r, 59));
    put_sized(r, 101, 10000);
    assert_true(is_kept(r, 101) && !is_kept(r, 100));
    for (int i = 200; i < 206; i++)
        put_sized(r, i, 10000);
    assert_true(is_kept(r, 205));
    openai_store_close(r);
    fake.serve.responses = NULL;
    /* Room in the file is used again. */
    assert_int_equal(stat(db, &st), 0);
    assert_true(st.st_size < 1200 << 10);
    /* A limit that became smaller holds from the start. */
    assert_int_equal(openai_store_open(&r, db, 0, 80 << 10, NULL), 0);
    fake.serve.responses = r;
    assert_true(is_kept(r, 205) && !is_kept(r, 201));
}

static atomic_int enough;

static int n_rows(sqlite3 *raw)
{
    sqlite3_stmt *st = NULL;
    int n = 0;

    if (sqlite3_prepare_v2(raw, "SELECT max(rowid) FROM response", -1, &st, NULL) ==
            SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}

/* Puts on and on: there are always some that are not written yet, and never more than 1500. */
static void *put_on(void *raw)
{
    json_t *o = json_object();
    char id[16];

    for (int n = 0; !atomic_load(&enough); n++) {
        struct openai_kept k = {.id = id, .response = o, .input = o, .messages = o};

        (void)snprintf(id, sizeof(id), "%d", n);
        if (openai_store_put(fake.serve.responses, &k) < 0)
            abort();
        while (n % 1000 == 999 && n - n_rows(raw) > 500)
            (void)usleep(200);
    }
    json_decref(o);
    return NULL;
}

/* Who reads waits for what was put before, and not for what others put meanwhile. */
static void test_reads_among_puts(void **state)
{
    sqlite3 *raw = NULL;
    json_t *got = NULL;
    pthread_t t;

    (void)state;
    assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
    assert_int_equal(pthread_create(&t, NULL, put_on, raw), 0);
    for (int i = 0; i < 6000 && n_rows(raw) == 0; i++)
        (void)usleep(10000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(openai_store_get(fake.serve.responses, str_of("0"), 0,
                                          OPENAI_KEPT_RESPONSE, &got, NULL),
                         0);
        json_decref(got);
    }
    atomic_store(&enough, 1);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

/* Files that are none of ours are refused, and left as they are. */
static void test_bad_files(void **state)
{
    struct responses *r = NULL;
    struct err e = {0};
    sqlite3 *raw = NULL;
    FILE *f;

    (void)state;
    assert_int_equal(openai_store_open(&r, "", 0, 0, &e), 0);
    assert_null(r);
    (void)unlink(db);
    f = fopen(db, "wb");
    assert_non_null(f);
    for (int i = 0; i < 4096; i++)
        (void)fputc('x', f);
    (void)fclose(f);
    assert_int_equal(openai_store_open(&r, db, 0, 0, &e), E_FORMAT);
    assert_non_null(strstr(e.msg, db));
    (void)unlink(db);
    assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    assert_int_equal(openai_store_open(&r, db, 0, 0, &e), E_UNSUPPORTED);
    assert_int_equal(openai_store_open(&r, "/proc/nothing/x.db", 0, 0, &e), E_IO);
    (void)unlink(db);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(db, sizeof(db), "%s/r.db", dir);
    return 0;
}

static int remove_dir(void **state)
{
    char path[80];

    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const ends[] = {"", "-wal", "-shm"};

        (void)snprintf(path, sizeof(path), "%s%s", db, ends[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transcripts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_namespaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conversation, setup_db, teardown_db),
        cmocka_unit_test_setup_teardown(test_kept, setup_db, teardown_db),
        cmocka_unit_test_setup_teardown(test_not_kept, setup_db, teardown_db),
        cmocka_unit_test_setup_teardown(test_expiry, setup_db, teardown_db),
        cmocka_unit_test_setup_teardown(test_size, setup_db, teardown_db),
        cmocka_unit_test_setup_teardown(test_reads_among_puts, setup_db, teardown_db),
        cmocka_unit_test(test_bad_files),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
