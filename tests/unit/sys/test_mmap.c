#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sys/lost.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[256], path[300];

static void make(size_t n)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        (void)fputc((int)(i * 7 % 251), f);
    assert_int_equal(fclose(f), 0);
}

static void check_bytes(const struct mapping *m)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->p[i] != i * 7 % 251)
            fail_msg("byte %zu is %d", i, m->p[i]);
    }
}

static void test_open(void **state)
{
    struct mapping m;
    struct err e = {0};

    (void)state;
    make(100000);
    if (mmap_open(&m, path, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(m.n, 100000);
    assert_int_equal(unlink(path), 0); /* the bytes stay */
    check_bytes(&m);
    vm_drop(m.p, m.n);
    vm_drop(m.p + 5000, 50000);
    vm_drop(m.p + 4097, 10); /* less than a page */
    vm_drop(m.p + m.n, 0);
    vm_drop(m.p + 100, 50000);
    vm_drop(NULL, 10);
    check_bytes(&m);
    mmap_close(&m);
    assert_null(m.p);
    assert_int_equal(m.n, 0);
    mmap_close(&m);
}

static const char *name_at(const void *p)
{
    int row = lost_find(p);

    return row ? lost_name(row) : NULL;
}

static void test_names(void **state)
{
    struct mapping m, again;
    struct err e = {0};
    const unsigned char *p;
    char far[1700], *end = far + snprintf(far, sizeof(far), "%s/", dir);

    (void)state;
    make(5000);
    assert_int_equal(mmap_open(&m, path, &e), 0);
    p = m.p;
    assert_string_equal(name_at(p), path);
    assert_string_equal(name_at(p + 4999), path);
    assert_string_equal(name_at(p + 8191), path); /* the rest of its page */
    assert_null(name_at(NULL));
    assert_null(name_at(&m));
    /* A name that does not fit keeps its end. */
    memset(end, '/', 1300);
    memcpy(end + 1300, "file", 5);
    assert_int_equal(mmap_open(&again, far, &e), 0);
    assert_non_null(name_at(again.p));
    assert_memory_equal(name_at(again.p), "...//", 5);
    assert_string_equal(strrchr(name_at(again.p), '/'), "/file");
    mmap_close(&m);
    assert_null(name_at(p));
    mmap_close(&again);
    /* Rows are used again; more than there are do no harm. */
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(mmap_open(&m, path, &e), 0);
        assert_non_null(name_at(m.p));
        mmap_close(&m);
    }
    (void)unlink(path);
}

static void test_empty(void **state)
{
    struct mapping m = {.p = (const unsigned char *)path, .n = 3};
    struct err e = {0};

    (void)state;
    make(0);
    assert_int_equal(mmap_open(&m, path, &e), 0);
    assert_null(m.p);
    assert_int_equal(m.n, 0);
    vm_drop(m.p, 0);
    mmap_close(&m);
    (void)unlink(path);
}

static void test_no_files(void **state)
{
    struct mapping m;
    struct err e = {0};

    (void)state;
    assert_int_equal(mmap_open(&m, path, &e), E_NOT_FOUND);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(mmap_open(&m, dir, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "directory"));
    assert_int_equal(mmap_open(&m, "/dev/zero", &e), E_INVALID);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(mmap_open(&m, path, &e), E_INVALID); /* and does not hang */
    (void)unlink(path);
    make(10);
    (void)mem_fail_at(1, 0);
    assert_int_equal(mmap_open(&m, path, &e), E_NOMEM);
    (void)mem_fail_at(0, 0);
    assert_null(m.p);
    (void)unlink(path);
}

/* What is made of files must survive that its pages are let go. */
static void test_memory(void **state)
{
    size_t n = (size_t)1 << 20;
    struct mapping m;
    struct err e = {0};

    (void)state;
    assert_int_equal(mmap_memory(&m, n, &e), 0);
    assert_int_equal(m.n, n);
    assert_int_equal(m.stamp[0], 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(m.p[i], 0);
        ((unsigned char *)(uintptr_t)m.p)[i] = (unsigned char)(i * 7 % 251);
    }
    vm_drop(m.p, m.n);
    check_bytes(&m);
    mmap_close(&m);
    assert_null(m.p);
    (void)mem_fail_at(1, 0);
    assert_int_equal(mmap_memory(&m, n, &e), E_NOMEM);
    (void)mem_fail_at(0, 0);
    assert_int_equal(mmap_memory(&m, 0, &e), E_NOMEM);
}

static void test_vm(void **state)
{
    static const size_t sizes[] = {1,
                                   4096,
                                   ((size_t)2 << 20) - 1,
                                   (size_t)2 << 20,
                                   ((size_t)2 << 20) + 1,
                                   (size_t)9 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        unsigned char *p = vm_alloc(n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % ((size_t)2 << 20), 0);
        for (size_t k = 0; k < n; k += 1000)
            assert_int_equal(p[k], 0);
        p[0] = p[n - 1] = 1;
        vm_free(p, n);
    }
    assert_null(vm_alloc(0));
    assert_null(vm_alloc(SIZE_MAX));
    vm_free(NULL, 10);
    (void)mem_fail_at(1, 0);
    assert_null(vm_alloc(10));
    (void)mem_fail_at(0, 0);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s/hearth-mmap-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    return 0;
}

static int done(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_empty),  cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_vm),
    };

    return cmocka_run_group_tests(tests, setup, done);
}
