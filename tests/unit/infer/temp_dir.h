/* temp_dir.h - a directory of a test's own, and what is done to the files in it. */
#ifndef HEARTH_TESTS_TEMP_DIR_H
#define HEARTH_TESTS_TEMP_DIR_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temp_dir[256];

static inline void temp_dir_make(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(temp_dir, sizeof(temp_dir), "%s/hearth-test-XXXXXX",
                   tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(temp_dir))
        fail_msg("mkdtemp %s", temp_dir);
}

/* Calls fn for each file whose name ends so ("": all), in no order; returns how many. */
static inline int temp_dir_each(const char *end, void (*fn)(const char *path))
{
    DIR *d = opendir(temp_dir);
    char path[600];
    int n = 0;

    assert_non_null(d);
    for (const struct dirent *at = readdir(d); at; at = readdir(d)) {
        size_t len = strlen(at->d_name), k = strlen(end);

        if (at->d_name[0] == '.' || len < k || strcmp(at->d_name + len - k, end) != 0)
            continue;
        n++;
        (void)snprintf(path, sizeof(path), "%s/%s", temp_dir, at->d_name);
        if (fn)
            fn(path);
    }
    (void)closedir(d);
    return n;
}

static inline int temp_dir_count(const char *end)
{
    return temp_dir_each(end, NULL);
}

static inline void temp_dir_unlink(const char *path)
{
    if (unlink(path) != 0)
        (void)rmdir(path);
}

static inline void temp_dir_clear(void)
{
    (void)temp_dir_each("", temp_dir_unlink);
}

static inline void temp_dir_remove(void)
{
    temp_dir_clear();
    assert_int_equal(rmdir(temp_dir), 0);
}

/* Changes one bit of byte `at`; from the end when that is negative. */
static inline void temp_dir_flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    struct stat st;
    unsigned char b = 0;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    at = at < 0 ? st.st_size + at : at;
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 4;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    (void)close(fd);
}

#endif
