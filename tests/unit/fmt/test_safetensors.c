/* Safetensors: good files and folders, every way that they are known to be broken, and every
 * allocation on the way failed once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_make.h"

#include "base/mem.h"
#include "fmt/safetensors.h"

#include <sys/stat.h>

static struct err err;

/* A file with that header and n bytes of data. */
static void make_st(const char *path, const char *head, size_t n)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    make_u64(&b, strlen(head));
    make_bytes(&b, head, strlen(head));
    for (size_t i = 0; i < n; i++)
        make_bytes(&b, &(char){(char)i}, 1);
    make_file(path, b.p, b.n);
    buf_done(&b);
}

/* -- good ones ----------------------------------------------------------------------------- */

static void test_good(void **state)
{
    const char *path = make_path("good.safetensors");
    const struct st_tensor *t;
    struct mapping *maps;
    struct st *s = NULL;
    size_t n = 0;

    (void)state;
    make_st(path,
            "{\"__metadata__\": {\"format\": \"pt\"},"
            " \"w\": {\"dtype\": \"BF16\", \"shape\": [3, 2], \"data_offsets\": [4, 16]},"
            " \"a\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [0, 4]},"
            " \"none\": {\"dtype\": \"I64\", \"shape\": [0, 7], \"data_offsets\": [5, 5]}}   ",
            16);
    if (st_open_file(&s, path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(st_n_tensor(s), 3);
    t = st_tensor_at(s, 0);
    assert_true(str_is(t->name, "a"));
    assert_int_equal(t->n_dim, 0);
    assert_int_equal(t->n_elem, 1);
    t = st_tensor(s, str_of("w"));
    assert_non_null(t);
    assert_int_equal(t->dtype, ST_BF16);
    assert_int_equal(t->shape[0], 3);
    assert_int_equal(t->n_byte, 12);
    assert_int_equal(t->data[0], 4);
    assert_int_equal(st_tensor(s, str_of("none"))->n_elem, 0);
    assert_null(st_tensor(s, str_of("b")));
    maps = st_take_mappings(s, &n);
    assert_int_equal(n, 1);
    st_free(s);
    mmap_close(&maps[0]);
    mem_free(maps);
    (void)unlink(path);
}

/* -- broken files -------------------------------------------------------------------------- */

#define ONE(dtype, shape, place)                                                               \
    "{\"t\": {\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " place "}}"

static const struct {
    const char *head;
    int code;
    const char *says;
} broken[] = {
    {"", E_FORMAT, "not JSON"},
    {"[]", E_FORMAT, "not an object"},
    {"{\"t\": 3}", E_FORMAT, "tensor t: not an object"},
    {"{\"t\": {}, \"t\": {}}", E_FORMAT, "not JSON: duplicate"},
    {"{\"\": {}}", E_FORMAT, "name is empty"},
    {"{\"a\\u001bb\": {}}", E_FORMAT, "no text"},
    {"{\"t\": {\"shape\": [1]}}", E_FORMAT, "tensor t: it has no dtype"},
    {ONE("F3", "[1]", "[0, 4]"), E_UNSUPPORTED, "tensor t: its dtype is F3"},
    {ONE("F32", "1", "[0, 4]"), E_FORMAT, "its shape is not a list"},
    {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0, 4]"), E_FORMAT,
     "its shape is not a list of up to 8"},
    {ONE("F32", "[-1]", "[0, 4]"), E_FORMAT, "size 0 of its shape"},
    {ONE("F32", "[1.0]", "[0, 4]"), E_FORMAT, "size 0 of its shape"},
    {ONE("F32", "[9223372036854775807, 2]", "[0, 4]"), E_FORMAT, "over 2^63"},
    {ONE("F32", "[9223372036854775807]", "[0, 4]"), E_FORMAT, "over 2^64"},
    {ONE("F32", "[1]", "[0]"), E_FORMAT, "its data_offsets"},
    {ONE("F32", "[1]", "[4, 0]"), E_FORMAT, "its data are bytes 4 to 0 of 64"},
    {ONE("F32", "[1]", "[0, 65]"), E_FORMAT, "bytes 0 to 65 of 64 (get the file again"},
    {ONE("F32", "[1]", "[0, 5]"), E_FORMAT, "5 bytes, its shape and dtype need 4"},
    {"{\"a\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [0, 4]},"
     " \"b\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [3, 7]}}",
     E_FORMAT, "tensor b: its data overlap those of a"},
};

static void test_broken(void **state)
{
    const char *path = make_path("broken.safetensors");

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct st *s = NULL;
        int rc;

        make_st(path, broken[i].head, 64);
        rc = st_open_file(&s, path, &err);
        if (rc != broken[i].code || s || !strstr(err.msg, broken[i].says) ||
            !strstr(err.msg, path))
            fail_msg("%s: %d: %s, want: %s", broken[i].head, rc, rc < 0 ? err.msg : "",
                     broken[i].says);
    }
    (void)unlink(path);
}

static void test_cut(void **state)
{
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    const char *path = make_path("cut.safetensors");
    struct st *s = NULL;

    (void)state;
    for (size_t n = 0; n < 8; n++) {
        make_file(path, "\1\0\0\0\0\0\0\0", n);
        assert_int_equal(st_open_file(&s, path, &err), E_FORMAT);
    }
    make_file(path, "\3\0\0\0\0\0\0\0{}", 10);
    assert_int_equal(st_open_file(&s, path, &err), E_FORMAT);
    assert_non_null(strstr(err.msg, "not a safetensors file"));
    make_file(path, lfs, strlen(lfs));
    assert_int_equal(st_open_file(&s, path, &err), E_FORMAT);
    assert_non_null(strstr(err.msg, "git lfs pull"));
    (void)unlink(path);
    assert_int_equal(st_open_file(&s, path, &err), E_NOT_FOUND);
}

/* -- folders ------------------------------------------------------------------------------- */

#define INDEX "model.safetensors.index.json"

static void put(const char *name, const char *text)
{
    make_file(make_path(name), text, strlen(text));
}

/* Opens the folder, whose index has that weight_map. */
static int open_with(const char *map, struct st **out)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "{\"weight_map\": %s}", map);
    put(INDEX, text);
    return st_open(out, make_dir(), &err);
}

static const struct {
    const char *map;
    int code;
    const char *says;
} indexes[] = {
    {"{\"t\": \"1.safetensors\", \"u\": \"2.safetensors\"}", 0, ""},
    {"3", E_FORMAT, "it has no weight_map"},
    {"{}", E_FORMAT, "it has no weight_map"},
    {"{\"t\": 3}", E_FORMAT, "tensor t: \"\" is no name of a file"},
    {"{\"t\": \"../1.safetensors\"}", E_FORMAT, "is no name of a file"},
    {"{\"t\": \"/etc/passwd\"}", E_FORMAT, "\"/etc/passwd\" is no name of a file"},
    {"{\"t\": \"..\"}", E_FORMAT, "is no name of a file"},
    {"{\"t\": \"\"}", E_FORMAT, "is no name of a file"},
    {"{\"t\": \"9.safetensors\"}", E_NOT_FOUND, "9.safetensors"},
    {"{\"x\": \"1.safetensors\"}", E_FORMAT, "tensor x: 1.safetensors does not have it"},
    {"{\"t\": \"1.safetensors\", \"u\": \"1b.safetensors\"}", E_FORMAT,
     "tensor t: another file has it, too"},
};

static void test_folder(void **state)
{
    static const char one[] = ONE("F32", "[1]", "[0, 4]");
    static const char two[] = "{\"u\": {\"dtype\": \"U8\", \"shape\": [2], "
                              "\"data_offsets\": [0, 2]}}";

    (void)state;
    make_st(make_path("1.safetensors"), one, 4);
    make_st(make_path("1b.safetensors"), one, 4);
    make_st(make_path("2.safetensors"), two, 2);
    for (size_t i = 0; i < sizeof(indexes) / sizeof(*indexes); i++) {
        struct st *s = NULL;
        int rc = open_with(indexes[i].map, &s);

        if (rc != indexes[i].code || (rc < 0 && !strstr(err.msg, indexes[i].says)))
            fail_msg("%s: %d: %s", indexes[i].map, rc, rc < 0 ? err.msg : "");
        assert_true(rc < 0 || st_n_tensor(s) == 2);
        st_free(s);
    }
    (void)unlink(make_path(INDEX));
}

static void test_no_weights(void **state)
{
    struct st *s = NULL;

    (void)state;
    assert_int_equal(st_open(&s, make_dir(), &err), E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "neither model.safetensors nor"));
    put("pytorch_model.bin", "x");
    assert_int_equal(st_open(&s, make_dir(), &err), E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "pytorch_model.bin is there, which is not read here"));
    (void)unlink(make_path("pytorch_model.bin"));
}

/* -- no memory ----------------------------------------------------------------------------- */

/* jansson's own requests are left alone: it tells a refusal as an error of syntax. */
static void test_no_memory(void **state)
{
    uint64_t n = 1;
    int rc;

    (void)state;
    do {
        struct st *s = NULL;

        put(INDEX, "{\"weight_map\": {\"t\": \"1.safetensors\", \"u\": \"2.safetensors\"}}");
        (void)mem_fail_at(n++, 0);
        rc = st_open(&s, make_dir(), &err);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && rc != E_NOMEM)
            fail_msg("allocation %d: code %d: %s", (int)n - 1, rc, err.msg);
        st_free(s);
    } while (rc < 0 && n < 1000);
    assert_int_equal(rc, 0);
    assert_true(n > 10);
}

static int clean(void **state)
{
    static const char *const names[] = {INDEX, "1.safetensors", "1b.safetensors",
                                        "2.safetensors"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        (void)unlink(make_path(names[i]));
    make_dir_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cut),        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_no_weights), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
