/* Good GGUF files: read, written, read again; and every allocation on the way failed once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_make.h"

#include "base/mem.h"
#include "fmt/gguf.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#define STORIES "../shared/models/stories260k.gguf"
#define VOCAB   "../shared/vocab/llama-spm.gguf"

#define OK(call)                                                                               \
    do {                                                                                       \
        if ((call) < 0)                                                                        \
            fail_msg("%s: %s", #call, err.msg);                                                \
    } while (0)

static struct err err;

static struct gguf *must_open(const char *path)
{
    struct gguf *g = NULL;

    OK(gguf_open(&g, path, &err));
    assert_non_null(g);
    return g;
}

/* -- every type there and back --------------------------------------------------------- */

static const float vec[64] = {1, -2, 3.5f, INFINITY, 0.1f};

static struct gguf_writer *writer_of_all(int version)
{
    static const int8_t i8[] = {-128, 127};
    static const uint16_t u16[] = {0, 65535, 7};
    static const float f32[] = {1.5f, -0.0f};
    static const double f64[] = {1e300, (double)NAN, -1e300};
    static const uint64_t u64[] = {UINT64_MAX, 1};
    static const unsigned char flags[] = {0, 1, 1};
    static const struct str strs[] = {{"one", 3}, {"", 0}, {"a\0b", 3}, {"\xff", 1}};
    static const uint64_t ne[4] = {32, 2, 1, 1};
    struct gguf_writer *w = NULL;

    OK(gguf_writer_new(&w, version, &err));
    OK(gguf_put_str(w, "general.architecture", str_of("test"), &err));
    OK(gguf_put_u64(w, "x.u8", GGUF_U8, 255, &err));
    OK(gguf_put_i64(w, "x.i8", GGUF_I8, -128, &err));
    OK(gguf_put_u64(w, "x.u16", GGUF_U16, 65535, &err));
    OK(gguf_put_i64(w, "x.i16", GGUF_I16, -32768, &err));
    OK(gguf_put_u64(w, "x.u32", GGUF_U32, UINT32_MAX, &err));
    OK(gguf_put_i64(w, "x.i32", GGUF_I32, INT32_MIN, &err));
    OK(gguf_put_f64(w, "x.f32", GGUF_F32, 0.5, &err));
    OK(gguf_put_u64(w, "x.yes", GGUF_BOOL, 1, &err));
    OK(gguf_put_u64(w, "x.no", GGUF_BOOL, 0, &err));
    OK(gguf_put_str(w, "x.str", (struct str){"a\0\xff", 3}, &err));
    OK(gguf_put_u64(w, "x.u64", GGUF_U64, UINT64_MAX, &err));
    OK(gguf_put_i64(w, "x.i64", GGUF_I64, INT64_MIN, &err));
    OK(gguf_put_f64(w, "x.f64", GGUF_F64, 0.1, &err));
    OK(gguf_put_arr(w, "a.i8", GGUF_I8, i8, 2, &err));
    OK(gguf_put_arr(w, "a.u16", GGUF_U16, u16, 3, &err));
    OK(gguf_put_arr(w, "a.f32", GGUF_F32, f32, 2, &err));
    OK(gguf_put_arr(w, "a.f64", GGUF_F64, f64, 3, &err));
    OK(gguf_put_arr(w, "a.u64", GGUF_U64, u64, 2, &err));
    OK(gguf_put_arr(w, "a.flags", GGUF_BOOL, flags, 3, &err));
    OK(gguf_put_arr(w, "a.none", GGUF_U32, NULL, 0, &err));
    OK(gguf_put_strs(w, "a.strs", strs, 4, &err));
    OK(gguf_put_tensor(w, "v", GGUF_U8, 1, ne, vec, &err)); /* type 0: F32 */
    OK(gguf_put_tensor(w, "m", 8, 2, ne, vec, &err));       /* Q8_0: 2 blocks of 34 bytes */
    OK(gguf_put_tensor(w, "last", 0, 4, ne, vec, &err));
    return w;
}

static void check_scalars(const struct gguf *g)
{
    uint64_t u = 0;
    int64_t i = 0;
    double f = 0;
    int b = -1;
    struct str s;

    assert_int_equal(gguf_u64(g, "x.u8", &u, &err), 1);
    assert_int_equal(u, 255);
    assert_int_equal(gguf_u64(g, "x.u64", &u, &err), 1);
    assert_true(u == UINT64_MAX);
    assert_int_equal(gguf_i64(g, "x.i8", &i, &err), 1);
    assert_int_equal(i, -128);
    assert_int_equal(gguf_i64(g, "x.i16", &i, &err), 1);
    assert_int_equal(i, -32768);
    assert_int_equal(gguf_i64(g, "x.u32", &i, &err), 1);
    assert_true(i == UINT32_MAX);
    assert_int_equal(gguf_i64(g, "x.i64", &i, &err), 1);
    assert_true(i == INT64_MIN);
    assert_int_equal(gguf_f64(g, "x.f32", &f, &err), 1);
    assert_true(f == 0.5);
    assert_int_equal(gguf_f64(g, "x.f64", &f, &err), 1);
    assert_true(f == 0.1);
    assert_int_equal(gguf_f64(g, "x.i32", &f, &err), 1);
    assert_true(f == (double)INT32_MIN);
    assert_int_equal(gguf_bool(g, "x.yes", &b, &err), 1);
    assert_int_equal(b, 1);
    assert_int_equal(gguf_bool(g, "x.no", &b, &err), 1);
    assert_int_equal(b, 0);
    assert_int_equal(gguf_str(g, "x.str", &s, &err), 1);
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0\xff", 3);
}

/* Absent keys and wrong types leave the result alone. */
static void check_getters_refuse(const struct gguf *g)
{
    uint64_t u = 77;
    int64_t i = 77;
    double f = 77;
    int b = 77;
    struct str s = {"keep", 4};

    assert_int_equal(gguf_u64(g, "x.none", &u, &err), 0);
    assert_int_equal(gguf_i64(g, "x.none", &i, &err), 0);
    assert_int_equal(gguf_f64(g, "x.none", &f, &err), 0);
    assert_int_equal(gguf_bool(g, "x.none", &b, &err), 0);
    assert_int_equal(gguf_str(g, "x.none", &s, &err), 0);
    assert_int_equal(gguf_u64(g, "x.i8", &u, &err), E_FORMAT);
    assert_non_null(strstr(err.msg, "key x.i8: its value is of type i8 (-128)"));
    assert_non_null(strstr(err.msg, gguf_path(g)));
    assert_int_equal(gguf_u64(g, "x.f32", &u, &err), E_FORMAT);
    assert_int_equal(gguf_u64(g, "x.yes", &u, &err), E_FORMAT);
    assert_int_equal(gguf_i64(g, "x.u64", &i, &err), E_FORMAT);
    assert_int_equal(gguf_i64(g, "x.str", &i, &err), E_FORMAT);
    assert_int_equal(gguf_f64(g, "a.f32", &f, &err), E_FORMAT);
    assert_int_equal(gguf_bool(g, "x.u8", &b, &err), E_FORMAT);
    assert_int_equal(gguf_str(g, "x.u8", &s, NULL), E_FORMAT);
    assert_true(u == 77 && i == 77 && f == 77 && b == 77 && str_is(s, "keep"));
}

static void check_arrays(const struct gguf *g)
{
    const struct gguf_kv *kv = gguf_kv(g, "a.i8");
    struct str s[4];

    assert_int_equal(kv->type, GGUF_ARR);
    assert_int_equal(kv->elem_type, GGUF_I8);
    assert_int_equal(kv->n, 2);
    assert_int_equal(gguf_arr_int(kv, 0), -128);
    assert_true(gguf_arr_f64(kv, 1) == 127);
    assert_int_equal(gguf_arr_int(gguf_kv(g, "a.u16"), 1), 65535);
    assert_true(gguf_arr_f64(gguf_kv(g, "a.f32"), 0) == 1.5);
    kv = gguf_kv(g, "a.f64");
    assert_true(gguf_arr_int(kv, 0) == INT64_MAX);
    assert_int_equal(gguf_arr_int(kv, 1), 0);
    assert_true(gguf_arr_int(kv, 2) == INT64_MIN);
    assert_true(isnan(gguf_arr_f64(kv, 1)));
    assert_true(gguf_arr_int(gguf_kv(g, "a.u64"), 0) == INT64_MAX);
    assert_true(gguf_arr_f64(gguf_kv(g, "a.u64"), 0) == 0x1p64);
    assert_int_equal(gguf_arr_int(gguf_kv(g, "a.flags"), 2), 1);
    assert_int_equal(gguf_kv(g, "a.none")->n, 0);
    kv = gguf_kv(g, "a.strs");
    assert_int_equal(kv->n, 4);
    gguf_arr_strs(kv, s);
    assert_true(str_is(s[0], "one") && s[1].n == 0 && s[2].n == 3 && str_is(s[3], "\xff"));
    assert_memory_equal(s[2].p, "a\0b", 3);
}

static void check_tensors(const struct gguf *g)
{
    const struct gguf_tensor *t = gguf_tensor(g, "m");

    assert_int_equal(gguf_n_tensor(g), 3);
    assert_ptr_equal(t, gguf_tensor_at(g, 1));
    assert_int_equal(t->type, 8);
    assert_int_equal(t->n_dim, 2);
    assert_int_equal(t->ne[1], 2);
    assert_int_equal(t->ne[2], 1);
    assert_int_equal(t->ne[3], 1);
    assert_int_equal(t->n_elem, 64);
    assert_int_equal(t->n_byte, 68);
    assert_int_equal((uintptr_t)t->data % 32, 0);
    assert_memory_equal(t->data, vec, 68);
    assert_int_equal(gguf_tensor(g, "last")->n_dim, 4);
    assert_memory_equal(gguf_tensor(g, "last")->data, vec, 256);
    assert_null(gguf_tensor(g, "none"));
}

static void test_round_trip(void **state)
{
    const char *path = make_path("all.gguf");

    (void)state;
    for (int version = 2; version <= 3; version++) {
        struct gguf_writer *w = writer_of_all(version);
        struct stat st;
        struct gguf *g;

        OK(gguf_write(w, path, &err));
        gguf_writer_free(w);
        g = must_open(path);
        assert_int_equal(gguf_version(g), version);
        assert_int_equal(gguf_n_part(g), 1);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(gguf_file_bytes(g), st.st_size);
        assert_int_equal(gguf_trailing_bytes(g), 0);
        assert_int_equal(gguf_n_kv(g), 22);
        assert_true(str_is(gguf_kv_at(g, 1)->key, "x.u8"));
        check_scalars(g);
        check_getters_refuse(g);
        check_arrays(g);
        check_tensors(g);
        gguf_free(g);
        (void)unlink(path);
    }
}

/* -- what the writer refuses ----------------------------------------------------------- */

static void test_writer_refuses(void **state)
{
    static const uint64_t ne[2] = {33, 1};
    static const unsigned char flag = 2;
    char name[65];
    struct gguf_writer *w = NULL;

    (void)state;
    assert_int_equal(gguf_writer_new(&w, 1, &err), E_INVALID);
    assert_null(w);
    OK(gguf_writer_new(&w, 3, &err));
    OK(gguf_put_u64(w, "k", GGUF_U8, 1, &err));
    assert_int_equal(gguf_put_u64(w, "k", GGUF_U8, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "", GGUF_U8, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "\xc0\x80", GGUF_U8, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "b", GGUF_U8, 256, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "b", GGUF_BOOL, 2, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "b", GGUF_I8, 2, &err), E_INVALID);
    assert_int_equal(gguf_put_i64(w, "b", GGUF_I8, -129, &err), E_INVALID);
    assert_int_equal(gguf_put_i64(w, "b", GGUF_I32, (int64_t)1 << 31, &err), E_INVALID);
    assert_int_equal(gguf_put_i64(w, "b", GGUF_U8, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_f64(w, "b", GGUF_U8, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_arr(w, "b", GGUF_STR, NULL, 0, &err), E_INVALID);
    assert_int_equal(gguf_put_arr(w, "b", GGUF_BOOL, &flag, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "general.alignment", GGUF_U32, 3, &err), E_INVALID);
    assert_int_equal(gguf_put_u64(w, "general.alignment", GGUF_U64, 32, &err), E_INVALID);
    assert_int_equal(gguf_put_arr(w, "general.alignment", GGUF_U32, ne, 1, &err), E_INVALID);
    assert_int_equal(gguf_put_tensor(w, "t", 8, 2, ne, vec, &err), E_INVALID);
    assert_int_equal(gguf_put_tensor(w, "t", 4, 2, ne, vec, &err), E_INVALID);
    assert_int_equal(gguf_put_tensor(w, "t", 0, 0, ne, vec, &err), E_INVALID);
    assert_int_equal(gguf_put_tensor(w, "", 0, 1, ne, vec, &err), E_INVALID);
    memset(name, 'n', 64);
    name[64] = '\0';
    assert_int_equal(gguf_put_tensor(w, name, 0, 1, ne, vec, &err), E_INVALID);
    name[63] = '\0';
    OK(gguf_put_tensor(w, name, 0, 1, ne, vec, &err));
    assert_int_equal(gguf_put_tensor(w, name, 0, 1, ne, vec, &err), E_INVALID);
    gguf_writer_free(w);
}

/* The file that was there stays when a write fails, and no other is left. */
static void test_write_is_atomic(void **state)
{
    const char *dir = make_path("sub"), *path = make_path("sub/file.gguf");
    struct gguf_writer *w = writer_of_all(3);
    struct dirent *d;
    int n_file = 0;
    DIR *list;

    (void)state;
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* a directory cannot be replaced by a file */
    assert_int_equal(gguf_write(w, path, &err), E_IO);
    list = opendir(dir);
    assert_non_null(list);
    while ((d = readdir(list)))
        n_file += d->d_name[0] != '.';
    (void)closedir(list);
    assert_int_equal(n_file, 1);
    assert_int_equal(rmdir(path), 0);
    OK(gguf_write(w, path, &err));
    OK(gguf_write(w, path, &err)); /* over the old one */
    gguf_free(must_open(path));
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(gguf_write(w, path, &err), E_IO); /* no such directory */
    gguf_writer_free(w);
}

static void test_alignment(void **state)
{
    static const uint64_t ne[1] = {5};
    const char *path = make_path("align.gguf");
    struct gguf_writer *w = NULL;
    struct gguf *g;

    (void)state;
    OK(gguf_writer_new(&w, 3, &err));
    OK(gguf_put_u64(w, "general.alignment", GGUF_U32, 4096, &err));
    OK(gguf_put_tensor(w, "a", 0, 1, ne, vec, &err));
    OK(gguf_put_tensor(w, "b", 0, 1, ne, vec, &err));
    OK(gguf_write(w, path, &err));
    gguf_writer_free(w);
    g = must_open(path);
    assert_int_equal((uintptr_t)gguf_tensor(g, "b")->data % 4096, 0);
    assert_int_equal(gguf_file_bytes(g), 3 * 4096);
    gguf_free(g);
    (void)unlink(path);
}

/* -- real files ------------------------------------------------------------------------- */

static struct gguf_writer *copy_of(const struct gguf *g)
{
    struct gguf_writer *w = NULL;

    OK(gguf_writer_new(&w, gguf_version(g), &err));
    for (size_t i = 0; i < gguf_n_kv(g); i++)
        OK(gguf_put_kv(w, gguf_kv_at(g, i), &err));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char name[64];

        assert_true(t->name.n < sizeof(name));
        memcpy(name, t->name.p, t->name.n);
        name[t->name.n] = '\0';
        OK(gguf_put_tensor(w, name, t->type, t->n_dim, t->ne, t->data, &err));
    }
    return w;
}

static void check_same_file(const char *a, const char *b)
{
    struct {
        char *p;
        size_t n;
    } m[2];
    const char *path[2] = {a, b};

    for (int i = 0; i < 2; i++) {
        struct stat st;
        int fd = open(path[i], O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        m[i].n = (size_t)st.st_size;
        m[i].p = mem_alloc(m[i].n);
        assert_non_null(m[i].p);
        assert_int_equal(read(fd, m[i].p, m[i].n), m[i].n);
        (void)close(fd);
    }
    assert_int_equal(m[0].n, m[1].n);
    assert_memory_equal(m[0].p, m[1].p, m[0].n);
    mem_free(m[0].p);
    mem_free(m[1].p);
}

static void rewrite(const char *from)
{
    const char *path = make_path("copy.gguf");
    struct gguf_writer *w;
    struct gguf *g;

    if (access(from, R_OK) < 0) {
        print_message("%s is not here: not tried\n", from);
        skip();
    }
    g = must_open(from);
    w = copy_of(g);
    OK(gguf_write(w, path, &err));
    gguf_writer_free(w);
    gguf_free(g);
    check_same_file(from, path);
    (void)unlink(path);
}

static void test_rewrite_model(void **state)
{
    (void)state;
    rewrite(STORIES);
}

static void test_rewrite_vocab(void **state)
{
    (void)state;
    rewrite(VOCAB);
}

static void test_stories(void **state)
{
    const struct gguf_tensor *t;
    struct gguf *g;
    struct str s = {0};
    uint64_t u = 0;

    (void)state;
    if (access(STORIES, R_OK) < 0) {
        print_message("%s is not here: not tried\n", STORIES);
        skip();
    }
    g = must_open(STORIES);
    assert_int_equal(gguf_n_tensor(g), 47);
    assert_int_equal(gguf_n_kv(g), 24);
    assert_int_equal(gguf_str(g, "general.architecture", &s, &err), 1);
    assert_true(str_is(s, "llama"));
    assert_int_equal(gguf_u64(g, "llama.embedding_length", &u, &err), 1);
    assert_int_equal(u, 64);
    t = gguf_tensor(g, "token_embd.weight");
    assert_non_null(t);
    assert_int_equal(t->ne[0], 64);
    assert_int_equal(t->ne[1], 512);
    gguf_free(g);
}

/* -- no memory --------------------------------------------------------------------------- */

/* Fails each allocation of fn in turn until it succeeds. */
static void fail_each(int (*fn)(struct err *e), const char *what)
{
    uint64_t n = 1;
    int rc;

    do {
        struct err e = {0};

        (void)mem_fail_at(n++, 0);
        rc = fn(&e);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && (rc != E_NOMEM || e.code != E_NOMEM || !e.msg[0]))
            fail_msg("%s, allocation %d: code %d: %s", what, (int)n - 1, rc, e.msg);
    } while (rc < 0 && n < 10000);
    assert_int_equal(rc, 0);
    assert_true(n > 4); /* the hook did something */
}

static char oom_path[512];

static int oom_open(struct err *e)
{
    struct gguf *g = NULL;
    int rc = gguf_open(&g, oom_path, e);

    assert_true((rc == 0) == (g != NULL));
    gguf_free(g);
    return rc;
}

static int oom_write(struct err *e)
{
    static const struct str strs[] = {{"one", 3}, {"two", 3}};
    static const uint64_t ne[1] = {8};
    struct gguf_writer *w = NULL;
    int rc = gguf_writer_new(&w, 3, e);

    if (rc == 0)
        rc = gguf_put_u64(w, "a", GGUF_U8, 1, e);
    if (rc == 0)
        rc = gguf_put_strs(w, "b", strs, 2, e);
    if (rc == 0)
        rc = gguf_put_tensor(w, "t", 0, 1, ne, vec, e);
    if (rc == 0)
        rc = gguf_write(w, oom_path, e);
    gguf_writer_free(w);
    return rc;
}

/* One part of two, with one tensor. */
static void make_half(const char *path, uint32_t no, const char *tensor)
{
    struct buf b;

    buf_init(&b, 4096);
    make_head(&b, 3, 1, 2);
    make_kv_u32(&b, "split.no", no);
    make_kv_u32(&b, "split.count", 2);
    make_vec(&b, tensor, 8, 0);
    make_data(&b, 32, 32);
    make_file(path, b.p, b.n);
    buf_done(&b);
}

static void test_no_memory(void **state)
{
    const char *second = make_path("x-00002-of-00002.gguf");

    (void)state;
    (void)snprintf(oom_path, sizeof(oom_path), "%s", make_path("oom.gguf"));
    fail_each(oom_write, "write");
    fail_each(oom_open, "open");
    (void)unlink(oom_path);

    (void)snprintf(oom_path, sizeof(oom_path), "%s", make_path("x-00001-of-00002.gguf"));
    make_half(oom_path, 0, "a");
    make_half(second, 1, "b");
    fail_each(oom_open, "open split");
    (void)unlink(oom_path);
    (void)unlink(second);
}

/* -- tables -------------------------------------------------------------------------------- */

static void test_types(void **state)
{
    int block = 0, bytes = 0, n_known = 0;

    (void)state;
    for (int i = -2; i < 70; i++) {
        int known = gguf_tensor_type_size(i, &block, &bytes);

        n_known += known;
        if (known)
            assert_true(gguf_tensor_type_name(i) && block > 0 && bytes > 0);
    }
    assert_int_equal(n_known, 35);
    assert_int_equal(gguf_tensor_type_size(12, &block, &bytes), 1);
    assert_int_equal(block, 256);
    assert_int_equal(bytes, 144);
    assert_int_equal(gguf_tensor_type_size(31, &block, &bytes), 0);
    assert_int_equal(gguf_tensor_type_size(43, &block, &bytes), 0);
    assert_string_equal(gguf_tensor_type_name(39), "MXFP4");
    assert_null(gguf_tensor_type_name(43));
    assert_null(gguf_tensor_type_name(-1));
    assert_string_equal(gguf_type_name(GGUF_F64), "f64");
    assert_null(gguf_type_name(GGUF_TYPE_N));
    assert_string_equal(gguf_file_type_name(15), "Q4_K_M");
    assert_null(gguf_file_type_name(5));
    assert_null(gguf_file_type_name(UINT64_MAX));
}

static int done(void **state)
{
    (void)state;
    make_dir_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_write_is_atomic), cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_rewrite_model),   cmocka_unit_test(test_rewrite_vocab),
        cmocka_unit_test(test_stories),         cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
