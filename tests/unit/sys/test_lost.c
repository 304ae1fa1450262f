/* Files that are cut while they are mapped: zeros, a note, and nothing else changes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sys/lost.h"
#include "sys/mmap.h"
#include "sys/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 40, THREADS = 4 };

static char dir[256], path[300], other_path[300];
static size_t page;
static struct sigaction before;

/* As the program does it. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
    int row = info->si_code > 0 ? lost_find(info->si_addr) : 0;

    (void)context;
    if (!row || !lost_mend(row, info->si_addr))
        (void)sigaction(sig, &before, NULL);
}

/* In each test: cmocka puts its own handlers there before. */
static void watch(void)
{
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};

    before = (struct sigaction){.sa_handler = SIG_DFL};
    assert_int_equal(sigaction(SIGBUS, &sa, NULL), 0);
}

static void make(const char *name, size_t n)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        (void)fputc((int)(i % 250 + 1), f);
    assert_int_equal(fclose(f), 0);
}

static void map(struct mapping *m, const char *name)
{
    struct err e = {0};

    if (mmap_open(m, name, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(mmap_intact(m, &e), 0);
}

static int byte(const struct mapping *m, size_t at)
{
    return *(const volatile unsigned char *)(m->p + at);
}

static void test_cut(void **state)
{
    struct mapping m, other;
    struct err e = {0};

    (void)state;
    watch();
    make(path, PAGES * page);
    make(other_path, PAGES * page);
    map(&m, path);
    map(&other, other_path);
    assert_int_equal(truncate(path, (off_t)page), 0);
    assert_int_equal(byte(&m, page - 1), (int)((page - 1) % 250 + 1));
    assert_int_equal(mmap_intact(&m, &e), 0); /* nothing was missed yet */
    errno = 77;
    assert_int_equal(byte(&m, 5 * page + 10), 0);
    assert_int_equal(errno, 77);
    assert_int_equal(mmap_intact(&m, &e), E_IO);
    assert_int_equal(e.code, E_IO);
    assert_non_null(strstr(e.msg, path));
    assert_non_null(strstr(e.msg, "load it again"));
    /* Zeros from there on; before, whatever is there. */
    for (size_t i = page; i < m.n; i += page / 2)
        assert_int_equal(byte(&m, i), 0);
    assert_int_equal(byte(&m, 0), 1);
    vm_drop(m.p, m.n);
    assert_int_equal(byte(&m, m.n - 1), 0);
    assert_int_equal(mmap_intact(&m, NULL), E_IO);
    /* It concerns nobody else. */
    assert_int_equal(mmap_intact(&other, &e), 0);
    for (size_t i = 0; i < other.n; i++)
        assert_int_equal(byte(&other, i), (int)(i % 250 + 1));
    mmap_close(&m);
    mmap_close(&other);
    /* Who opens it again has the file as it is now. */
    make(path, PAGES * page);
    map(&m, path);
    assert_int_equal(byte(&m, 5 * page), (int)(5 * page % 250 + 1));
    assert_int_equal(mmap_intact(&m, &e), 0);
    mmap_close(&m);
}

struct reader {
    pthread_t thread;
    const struct mapping *m;
    size_t first;
    unsigned char sum;
    int told;
};

static void *read_all(void *reader)
{
    struct reader *r = reader;

    for (size_t i = r->first; i < r->first + PAGES; i++)
        r->sum |= (unsigned char)byte(r->m, i % PAGES * page + 1);
    r->told = mmap_intact(r->m, NULL);
    return NULL;
}

/* Many at once in the same bytes, in threads whose signals are blocked: each goes on, and each
 * is told. */
static void test_threads(void **state)
{
    (void)state;
    watch();
    for (int round = 0; round < 20; round++) {
        struct reader r[THREADS];
        struct mapping m;

        make(path, PAGES * page);
        map(&m, path);
        assert_int_equal(truncate(path, 0), 0);
        for (size_t i = 0; i < THREADS; i++) {
            r[i] = (struct reader){.m = &m, .first = (i % 2) * i * 7};
            assert_int_equal(thread_start(&r[i].thread, read_all, &r[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(r[i].thread, NULL), 0);
            assert_int_equal(r[i].sum, 0);
            assert_int_equal(r[i].told, E_IO);
        }
        mmap_close(&m);
    }
}

/* A fault that is not ours ends the program as ever. */
static void test_elsewhere(void **state)
{
    struct mapping m;
    pid_t child;
    int status, fd;
    unsigned char *p;

    (void)state;
    watch();
    make(path, 3 * page);
    map(&m, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    p = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(close(fd), 0);
    assert_int_equal(lost_find(p), 0);
    assert_int_equal(truncate(path, 0), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(60);
        _exit(*(volatile unsigned char *)(p + page));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    assert_int_equal(mmap_intact(&m, NULL), 0);
    (void)munmap(p, 3 * page);
    mmap_close(&m);
}

/* The table ends, and what finds no row is mapped all the same. */
static void test_many(void **state)
{
    enum { N = 1030 };
    static struct mapping m[N];

    (void)state;
    make(path, 10);
    for (int i = 0; i < N; i++)
        map(&m[i], path);
    assert_int_equal(m[N - 1].row, 0);
    assert_int_equal(lost_find(m[N - 1].p), 0);
    assert_int_equal(byte(&m[N - 1], 3), 4);
    assert_int_equal(lost_find(m[3].p + 9), m[3].row);
    assert_int_equal(lost_find(m[3].p - 1) == m[3].row, 0);
    for (int i = 0; i < N; i++)
        mmap_close(&m[i]);
    map(&m[0], path);
    assert_true(m[0].row > 0);
    mmap_close(&m[0]);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    (void)snprintf(dir, sizeof(dir), "%s/hearth-lost-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    (void)snprintf(other_path, sizeof(other_path), "%s/other", dir);
    return 0;
}

static int done(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other_path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, setup, done);
}
