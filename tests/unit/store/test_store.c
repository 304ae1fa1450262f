#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fmt/gguf_make.h"
#include "store/store.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* A store in a directory of the test's own, and two models beside it. */
static struct store *store;

static void write_model(const char *name, const char *arch, const char *template)
{
    uint64_t ne[2] = {32, 40};
    struct buf b;

    buf_init(&b, 100000);
    make_head(&b, 3, 1, 5);
    make_kv_str(&b, "general.architecture", arch);
    make_kv_str(&b, "general.type", strcmp(arch, "lora") == 0 ? "adapter" : "model");
    make_kv_str(&b, "tokenizer.chat_template", template);
    make_kv_u32(&b, "llama.context_length", 4096);
    make_key(&b, "tokenizer.ggml.tokens", 9);
    make_u32(&b, 8);
    make_u64(&b, 2);
    make_str(&b, "a");
    make_str(&b, "<fim_prefix>");
    make_tensor(&b, "token_embd.weight", 2, ne, 8, 0);
    make_data(&b, 32, 40 * 34);
    make_file(make_path(name), b.p, b.n);
    buf_done(&b);
}

static void write_text(const char *path, const char *text)
{
    make_file(path, text, strlen(text));
}

static int setup(void **state)
{
    struct err e = {0};

    (void)state;
    write_model("m.gguf", "llama", "{{ tools }}<think>");
    write_model("n.gguf", "llama", "plain");
    write_model("lora.gguf", "lora", "");
    if (store_open(&store, make_path("store"), &e) < 0)
        fail_msg("%s", e.msg);
    return 0;
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return nftw(make_dir(), drop, 16, FTW_DEPTH | FTW_PHYS);
}

static int create(const char *name, const char *text, struct err *e)
{
    struct modelfile mf;
    int rc = modelfile_parse(&mf, str_of(text), e);

    if (rc == 0)
        rc = store_create(store, str_of(name), &mf, make_dir(), NULL, NULL, e);
    modelfile_done(&mf);
    return rc;
}

static void created(const char *name, const char *text)
{
    struct err e = {0};

    if (create(name, text, &e) < 0)
        fail_msg("%s: %s", name, e.msg);
}

static void find(const char *name, struct store_model *m)
{
    struct err e = {0};

    if (store_find(store, str_of(name), m, &e) < 0)
        fail_msg("%s: %s", name, e.msg);
}

static void test_create(void **state)
{
    struct store_model m;

    (void)state;
    created("First", "FROM m.gguf\nSYSTEM Be brief.\nPARAMETER temperature 0.1\n"
                     "PARAMETER stop x\nADAPTER ./lora.gguf\nLICENSE MIT\nMESSAGE user Hi\n");
    find("fIRST:LATEST", &m);
    assert_string_equal(m.name, "First:latest");
    assert_string_equal(m.path, make_path("m.gguf"));
    assert_int_equal(m.n_adapter, 1);
    assert_string_equal(m.adapter[0], make_path("lora.gguf"));
    assert_true(str_is(m.system, "Be brief."));
    assert_null(m.template.p);
    assert_true(str_is(m.license[0], "MIT"));
    assert_string_equal(m.format, "gguf");
    assert_string_equal(m.family, "llama");
    assert_string_equal(m.parameter_size, "1.3K");
    assert_string_equal(m.quantization, "Q8_0");
    assert_int_equal(m.n_param, 1280);
    assert_int_equal(m.n_ctx_train, 4096);
    assert_int_equal(m.can, STORE_COMPLETION | STORE_TOOLS | STORE_THINKING | STORE_INSERT);
    assert_int_equal(strlen(m.digest), 64);
    assert_true(m.size > 2 * 1360);
    assert_true(m.modified_ns > 0);
    assert_int_equal(json_array_size(m.messages), 1);
    store_model_done(&m);
}

static void test_inherit(void **state)
{
    struct store_model m;
    const json_t *p;

    (void)state;
    created("second", "FROM first\nPARAMETER temperature 0.9\nTEMPLATE {{ .Prompt }}\n"
                      "LICENSE MIT\nLICENSE Other\n");
    find("second", &m);
    assert_string_equal(m.path, make_path("m.gguf"));
    assert_true(str_is(m.system, "Be brief."));
    assert_true(str_is(m.template, "{{ .Prompt }}"));
    assert_int_equal(m.n_license, 2);
    assert_int_equal(m.n_adapter, 1);
    p = json_object_get(m.params, "temperature");
    assert_true(json_real_value(p) == 0.9);
    assert_int_equal(json_array_size(json_object_get(m.params, "stop")), 1);
    assert_int_equal(json_array_size(m.messages), 1);
    assert_int_equal(m.can, STORE_COMPLETION | STORE_INSERT); /* by its own template */
    store_model_done(&m);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *text, *want;
        int code;
    } cases[] = {
        {"../x", "FROM m.gguf", "cannot begin", E_INVALID},
        {"x", "FROM nowhere.gguf", "neither a file", E_NOT_FOUND},
        {"x", "FROM lora.gguf", "an adapter", E_UNSUPPORTED},
        {"x", "FROM m.gguf\nADAPTER n.gguf", "not an adapter", E_UNSUPPORTED},
        {"x", "FROM m.gguf\nADAPTER none", "ADAPTER: no file", E_NOT_FOUND},
        {"x", "FROM m.gguf\nDRAFT m.gguf", "DRAFT: the same", E_INVALID},
        {"x", "FROM m.gguf\nFROM n.gguf", "more than one", E_UNSUPPORTED},
        {"x", "FROM broken.gguf", "broken.gguf", E_FORMAT},
    };

    (void)state;
    write_text(make_path("broken.gguf"), "not a model at all, whatever its name says");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err e = {0};
        int rc = create(cases[i].name, cases[i].text, &e);

        if (rc != cases[i].code || !strstr(e.msg, cases[i].want))
            fail_msg("%s: %d %s", cases[i].text, rc, e.msg);
    }
}

/* Whoever comes over the network names models, never files. */
static void test_no_paths(void **state)
{
    struct modelfile mf;
    struct err e = {0};
    char text[600];

    (void)state;
    (void)snprintf(text, sizeof(text), "FROM %s", make_path("m.gguf"));
    assert_int_equal(modelfile_parse(&mf, str_of(text), &e), 0);
    assert_int_equal(store_create(store, str_of("x"), &mf, NULL, NULL, NULL, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "not allowed"));
    modelfile_done(&mf);
    assert_int_equal(modelfile_parse(&mf, str_of("FROM first\nADAPTER lora.gguf"), &e), 0);
    assert_int_equal(store_create(store, str_of("x"), &mf, NULL, NULL, NULL, &e), E_INVALID);
    modelfile_done(&mf);
}

static int names(void *ctx, const struct store_model *m)
{
    struct buf *b = ctx;

    return buf_fmt(b, "%s ", m->name) < 0;
}

/* The manifests' times decide, so they are set here. */
static void age(const char *path, int seconds)
{
    struct timespec t[2] = {{.tv_sec = 1000000 - seconds}, {.tv_sec = 1000000 - seconds}};
    char full[600];

    (void)snprintf(full, sizeof(full), "%s/manifests/%s.json", store_dir(store), path);
    if (utimensat(AT_FDCWD, full, t, 0) != 0)
        fail_msg("%s: %s", full, strerror(errno));
}

static void test_copy_list_remove(void **state)
{
    struct store_model a, b;
    struct err e = {0};
    struct buf list;
    int skipped = -1;

    (void)state;
    buf_init(&list, 1000);
    assert_int_equal(store_copy(store, str_of("FIRST"), str_of("me/Third:v1"), &e), 0);
    assert_int_equal(store_copy(store, str_of("none"), str_of("me/x"), &e), E_NOT_FOUND);
    assert_string_equal(e.msg, "model 'none' not found");
    assert_int_equal(store_copy(store, str_of("first"), str_of("a:b:c"), &e), E_INVALID);
    find("first", &a);
    find("ME/third:V1", &b);
    assert_string_equal(a.digest, b.digest);
    assert_string_equal(b.name, "me/Third:v1");
    store_model_done(&a);
    store_model_done(&b);
    age("registry.ollama.ai/library/First/latest", 30);
    age("registry.ollama.ai/library/second/latest", 10);
    age("registry.ollama.ai/me/Third/v1", 20);
    assert_int_equal(store_each(store, names, &list, &skipped, &e), 0);
    assert_string_equal(list.p, "second:latest me/Third:v1 First:latest ");
    assert_int_equal(skipped, 0);
    assert_int_equal(store_remove(store, str_of("me/THIRD:v1"), &e), 0);
    assert_int_equal(store_remove(store, str_of("me/third:v1"), &e), E_NOT_FOUND);
    assert_int_equal(store_remove(store, str_of("../../x"), &e), E_INVALID);
    buf_clear(&list);
    assert_int_equal(store_each(store, names, &list, &skipped, &e), 0);
    assert_string_equal(list.p, "second:latest First:latest ");
    buf_done(&list);
}

/* One that nobody can read hides none of the others. */
static void test_damaged(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\": 1}",
        "{\"version\": 2, \"path\": \"/x\"}",
        "{\"version\": 1, \"path\": \"relative\"}",
        "{\"version\": 1, \"path\": 5}",
        "{\"version\": 1, \"path\": \"/x\", \"size\": -1}",
        "{\"version\": 1, \"path\": \"/x\", \"context_length\": 1e400}",
        "{\"version\": 1, \"path\": \"/x\", \"context_length\": 99999999999}",
        "{\"version\": 1, \"path\": \"/x\", \"adapters\": [1]}",
        "{\"version\": 1, \"path\": \"/x\", \"parameters\": {\"top_k\": \"y\"}}",
        "{\"version\": 1, \"path\": \"/x\", \"parameters\": []}",
        "{\"version\": 1, \"path\": \"/x\", \"messages\": [{\"role\": 1}]}",
        "{\"version\": 1, \"path\": \"/x\\u0000y\"}",
    };
    char path[600], stray[600];
    struct err e = {0};
    struct buf list;
    int skipped;

    (void)state;
    (void)snprintf(path, sizeof(path),
                   "%s/manifests/registry.ollama.ai/library/second/bad.json", store_dir(store));
    (void)snprintf(stray, sizeof(stray),
                   "%s/manifests/registry.ollama.ai/library/second/README", store_dir(store));
    write_text(stray, "x");
    buf_init(&list, 1000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct store_model m;

        write_text(path, bad[i]);
        if (store_find(store, str_of("second:bad"), &m, &e) != E_FORMAT)
            fail_msg("'%s' was taken", bad[i]);
        store_model_done(&m);
        assert_non_null(strstr(e.msg, "bad.json"));
        buf_clear(&list);
        assert_int_equal(store_each(store, names, &list, &skipped, &e), 0);
        assert_string_equal(list.p, "second:latest First:latest ");
        assert_int_equal(skipped, 2);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody waits for a writer */
    assert_int_equal(store_each(store, names, &list, &skipped, &e), 0);
    assert_int_equal(skipped, 2);
    (void)unlink(path);
    (void)unlink(stray);
    buf_done(&list);
}

static void test_modelfile(void **state)
{
    struct store_model a, b;
    struct err e = {0};
    struct buf text;

    (void)state;
    buf_init(&text, 10000);
    find("second", &a);
    assert_int_equal(store_modelfile(&a, &text), 0);
    if (create("again", text.p, &e) < 0)
        fail_msg("%s", e.msg);
    find("again", &b);
    assert_string_equal(a.digest, b.digest);
    store_model_done(&a);
    store_model_done(&b);
    assert_int_equal(store_remove(store, str_of("again"), &e), 0);
    buf_done(&text);
}

static void test_path(void **state)
{
    struct store_model m;
    struct err e = {0};

    (void)state;
    assert_int_equal(store_from_path(&m, make_path("m.gguf"), &e), 0);
    assert_string_equal(m.family, "llama");
    assert_int_equal(strlen(m.digest), 64);
    store_model_done(&m);
    assert_int_equal(store_from_path(&m, make_path("none.gguf"), &e), E_NOT_FOUND);
    store_model_done(&m);
}

/* Two processes write the same name over and over; a third always finds it whole. */
static void test_race(void **state)
{
    struct store_model m;
    struct err e = {0};
    pid_t child[2];
    int status;

    (void)state;
    created("race", "FROM m.gguf");
    for (int k = 0; k < 2; k++) {
        child[k] = fork();
        if (child[k] == 0) {
            int rc = 0;

            for (int i = 0; rc == 0 && i < 20; i++)
                rc = create("race", k ? "FROM m.gguf\nSYSTEM one" : "FROM n.gguf", &e);
            _exit(rc != 0);
        }
    }
    for (int i = 0; i < 200; i++) {
        find("race", &m);
        store_model_done(&m);
    }
    for (int k = 0; k < 2; k++) {
        assert_int_equal(waitpid(child[k], &status, 0), child[k]);
        assert_int_equal(status, 0);
    }
    find("race", &m);
    store_model_done(&m);
    assert_int_equal(store_remove(store, str_of("race"), &e), 0);
}

static void test_empty(void **state)
{
    struct err e = {0};
    struct store *s;
    int skipped = 1;

    (void)state;
    assert_int_equal(store_open(&s, make_path("nothing"), &e), 0);
    assert_int_equal(store_each(s, names, NULL, &skipped, &e), 0);
    assert_int_equal(skipped, 0);
    assert_int_equal(access(make_path("nothing"), F_OK), -1); /* looking makes nothing */
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_inherit),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_paths),
        cmocka_unit_test(test_copy_list_remove),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_modelfile),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
