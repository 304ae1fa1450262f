#include "sys/cache_dir.h"

#include "base/check.h"
#include "base/rng.h"
#include "sys/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* What writing leaves free on the disk. */
#define DISK_SPARE ((uint64_t)1 << 30)

/* Sixteen digits and the suffix, as cache_dir_temp makes it. */
static int is_temp(const char *name, const char *suffix)
{
    return strspn(name, "0123456789abcdef") == 16 && strcmp(name + 16, suffix) == 0;
}

/* Removes a temporary file whose writer is dead: a living one holds its lock. Where there are
 * no locks, one that nobody has touched for an hour. */
static void remove_left(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 ||
        (errno != EWOULDBLOCK && fstat(fd, &st) == 0 && st.st_mtim.tv_sec + 3600 < time(NULL)))
        (void)unlinkat(dir, name, 0);
    (void)close(fd);
}

/* What writers that were killed have left. */
static void clean(const char *dir, const char *suffix)
{
    DIR *d = opendir(dir);

    if (!d)
        return;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    for (const struct dirent *at = readdir(d); at; at = readdir(d)) {
        if (is_temp(at->d_name, suffix))
            remove_left(dirfd(d), at->d_name);
    }
    (void)closedir(d);
}

int cache_dir_open(const char *dir, const char *temp_suffix, struct err *e)
{
    struct stat st;
    int rc = path_mkdirs(dir, e);

    if (rc < 0)
        return rc;
    if (stat(dir, &st) != 0)
        return err_sys(e, E_IO, errno, "%s", dir);
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(e, E_IO, "%s: not a directory that only its owner, you, may write", dir);
    clean(dir, temp_suffix);
    return 0;
}

/* One that was not locked yet may have been taken for a dead writer's, and removed: then
 * another. */
int cache_dir_temp(const char *dir, const char *temp_suffix, struct buf *name, int *out,
                   struct err *e)
{
    struct stat st;
    int fd;

    for (;;) {
        buf_clear(name);
        if (buf_fmt(name, "%s/%016llx%s", dir, (unsigned long long)rng_entropy(), temp_suffix) <
            0)
            return err_set(e, E_NOMEM, "%s: no memory", dir);
        fd = open(name->p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(e, E_IO, errno, "%s", name->p);
        if (flock(fd, LOCK_EX) != 0 || (fstat(fd, &st) == 0 && st.st_nlink > 0))
            break;
        (void)close(fd);
    }
    *out = fd;
    return 0;
}

int cache_dir_put(int fd, const void *p, size_t n, uint64_t at)
{
    const char *b = p;

    while (n > 0) {
        ssize_t k = pwrite(fd, b, n, (off_t)at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        b += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

int cache_dir_spare(const char *dir, uint64_t n, struct err *e)
{
    struct statvfs v;
    uint64_t free;

    if (statvfs(dir, &v) != 0)
        return err_sys(e, E_IO, errno, "%s", dir);
    if (!check_mul(v.f_bavail, v.f_frsize, &free) || free >= n + DISK_SPARE)
        return 0;
    return err_set(e, E_IO, "%s: %llu MiB are free, %llu MiB and 1 GiB to spare are needed",
                   dir, (unsigned long long)(free >> 20), (unsigned long long)(n >> 20));
}
