#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "sys/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void clear(void)
{
    static const char *const vars[] = {"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
                                       "XDG_STATE_HOME", "HOME"};

    for (int i = 0; i < 5; i++)
        (void)unsetenv(vars[i]);
}

static void check(enum path_kind kind, const char *name, const char *want)
{
    struct err e = {0};
    struct buf b;

    buf_init(&b, 1000);
    if (path_xdg(&b, kind, name, &e) < 0)
        fail_msg("%s", e.msg);
    assert_string_equal(b.p, want);
    buf_done(&b);
}

static void test_home(void **state)
{
    (void)state;
    clear();
    (void)setenv("HOME", "/home/someone", 1);
    check(PATH_CONFIG, NULL, "/home/someone/.config/hearth");
    check(PATH_CONFIG, "config.yaml", "/home/someone/.config/hearth/config.yaml");
    check(PATH_DATA, NULL, "/home/someone/.local/share/hearth");
    check(PATH_CACHE, NULL, "/home/someone/.cache/hearth");
    check(PATH_STATE, "history", "/home/someone/.local/state/hearth/history");
}

static void test_variables(void **state)
{
    (void)state;
    clear();
    (void)setenv("XDG_STATE_HOME", "/var/s", 1);
    check(PATH_STATE, "x", "/var/s/hearth/x"); /* HOME is not needed */
    (void)setenv("HOME", "/h", 1);
    (void)setenv("XDG_DATA_HOME", "relative", 1); /* as if unset */
    check(PATH_DATA, NULL, "/h/.local/share/hearth");
    (void)setenv("XDG_DATA_HOME", "", 1);
    check(PATH_DATA, NULL, "/h/.local/share/hearth");
}

static void test_fails(void **state)
{
    struct err e = {0};
    struct buf b;

    (void)state;
    clear();
    buf_init(&b, 10);
    assert_int_equal(path_xdg(&b, PATH_CACHE, NULL, &e), E_NOT_FOUND);
    assert_int_equal(e.code, E_NOT_FOUND);
    (void)setenv("HOME", "relative", 1);
    assert_int_equal(path_xdg(&b, PATH_CACHE, NULL, NULL), E_NOT_FOUND);
    (void)setenv("HOME", "/home/someone", 1);
    assert_int_equal(buf_str(&b, "x:"), 0);
    assert_int_equal(path_xdg(&b, PATH_CACHE, NULL, &e), E_TOO_LONG);
    assert_string_equal(b.p, "x:");
    buf_done(&b);
}

static void test_mkdirs(void **state)
{
    char base[256], dir[300], file[400];
    const char *tmp = getenv("TMPDIR");
    struct err e = {0};
    struct stat st;
    FILE *f;

    (void)state;
    (void)snprintf(base, sizeof(base), "%s/hearth-path-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    assert_non_null(mkdtemp(base));
    (void)snprintf(dir, sizeof(dir), "%s/a//b/c/", base);
    if (path_mkdirs(dir, &e) < 0 || path_mkdirs(dir, &e) < 0) /* twice: it is there then */
        fail_msg("%s", e.msg);
    (void)snprintf(dir, sizeof(dir), "%s/a/b/c", base);
    assert_int_equal(stat(dir, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);

    (void)snprintf(file, sizeof(file), "%s/file", dir);
    f = fopen(file, "w");
    assert_non_null(f);
    (void)fclose(f);
    assert_int_equal(path_mkdirs(file, &e), E_IO);
    (void)unlink(file);
    assert_int_equal(path_mkdirs("", &e), E_IO);
    assert_int_equal(path_mkdirs("/proc/no/such", &e), E_IO);
    assert_non_null(strstr(e.msg, "/proc/no/such"));
    (void)mem_fail_at(1, 0);
    assert_int_equal(path_mkdirs(dir, &e), E_NOMEM);
    (void)mem_fail_at(0, 0);

    (void)rmdir(dir);
    (void)snprintf(dir, sizeof(dir), "%s/a/b", base);
    (void)rmdir(dir);
    (void)snprintf(dir, sizeof(dir), "%s/a", base);
    (void)rmdir(dir);
    assert_int_equal(rmdir(base), 0); /* nothing else was made */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mkdirs), /* before TMPDIR's neighbours are cleared */
        cmocka_unit_test(test_home),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
