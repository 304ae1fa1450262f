/* GGUF files that change after they were opened: what is read of them again stays inside, and
 * what was read of zeros is not believed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fmt/gguf.h"
#include "fmt/gguf_priv.h"
#include "sys/lost.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[300];

static void make(void)
{
    static const struct str words[] = {{"one", 3}, {"", 0}, {"three", 5}};
    struct gguf_writer *w = NULL;
    struct err e = {0};

    assert_int_equal(gguf_writer_new(&w, 3, &e), 0);
    assert_int_equal(gguf_put_strs(w, "words", words, 3, &e), 0);
    assert_int_equal(gguf_put_str(w, "last", str_of("text"), &e), 0);
    assert_int_equal(gguf_write(w, path, &e), 0);
    gguf_writer_free(w);
}

/* Writes a length over one that was checked. */
static void write_over(uint64_t at, uint64_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &n, sizeof(n), (off_t)at), sizeof(n));
    assert_int_equal(close(fd), 0);
}

static void test_written_over(void **state)
{
    static const uint64_t lengths[] = {0, 1, 20, 27, 28, 29, 1000, UINT64_MAX, UINT64_MAX - 7};
    struct gguf *g = NULL;
    struct err e = {0};
    const struct gguf_kv *kv;
    uint64_t at;

    (void)state;
    make();
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(gguf_changed(g), 0);
    kv = gguf_kv(g, "words");
    assert_int_equal(kv->n_byte, 3 * 8 + 8);
    at = (uint64_t)((const unsigned char *)kv->elems - gguf_mapping(g, 0)->p);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        const char *from = kv->elems, *to = from + kv->n_byte;
        struct str s[3];
        struct gguf_writer *w = NULL;

        write_over(at, lengths[i]);
        gguf_arr_strs(kv, s);
        for (int k = 0; k < 3; k++) {
            if (s[k].n && (s[k].p < from || s[k].p + s[k].n > to))
                fail_msg("length %llu: text %d reaches outside", (unsigned long long)lengths[i],
                         k);
        }
        assert_int_equal(gguf_writer_new(&w, 3, &e), 0);
        if (gguf_put_kv(w, kv, &e) < 0)
            assert_int_equal(e.code, E_IO);
        else
            assert_true(lengths[i] <= 16);
        gguf_writer_free(w);
    }
    gguf_free(g);
    (void)unlink(path);
}

static void test_zeros(void **state)
{
    struct mapping map;
    struct gguf_part part;
    struct gguf *g = NULL;
    struct err e = {0};

    (void)state;
    make();
    assert_int_equal(mmap_open(&map, path, &e), 0);
    assert_int_equal(lost_mend(map.row, map.p), 1);
    assert_int_equal(gguf_part_read(&part, &map, path, &e), E_IO);
    assert_non_null(strstr(e.msg, "changed on disk"));
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(gguf_intact(g, &e), 0);
    assert_int_equal(lost_mend(gguf_mapping(g, 0)->row, gguf_mapping(g, 0)->p), 1);
    assert_int_equal(gguf_intact(g, &e), E_IO);
    assert_null(gguf_kv(g, "words")); /* its key is zeros; nothing worse */
    gguf_free(g);
    (void)unlink(path);
}

static void test_changed(void **state)
{
    struct gguf *g = NULL;
    struct err e = {0};

    (void)state;
    make();
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gguf_changed(g), 0); /* what was mapped is still what it was */
    make();
    assert_int_equal(gguf_changed(g), 1);
    gguf_free(g);
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(gguf_changed(g), 1);
    gguf_free(g);
    (void)unlink(path);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/hearth-lost-%ld.gguf", tmp && *tmp ? tmp : "/tmp",
                   (long)getpid());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_over),
        cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_changed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
