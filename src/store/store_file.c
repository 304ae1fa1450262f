/* store_file.c - where manifests lie, and how they are replaced whole.
 *
 * A name is four folders deep, and its parts are letters that name.h allows: none begins with a
 * dot or holds a slash, so no name leads out of the store. What this file makes for itself
 * begins with a dot. */
#include "store/store_priv.h"

#include "sys/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".json"

/* Looks in folder dir for an entry that is part + suffix in letters of any case, and puts its
 * spelling into part, which has room for as many. */
static int find_spelling(const char *dir, char *part, const char *suffix)
{
    size_t n = strlen(part), k = strlen(suffix);
    const struct dirent *d;
    DIR *list = opendir(dir);
    int found = 0;

    while (list && !found && (d = readdir(list)) != NULL) {
        if (strlen(d->d_name) == n + k && strncasecmp(d->d_name, part, n) == 0 &&
            strcmp(d->d_name + n, suffix) == 0) {
            memcpy(part, d->d_name, n);
            found = 1;
        }
    }
    if (list)
        (void)closedir(list);
    return found;
}

int store_place(const struct store *s, struct name *n, char path[STORE_PATH_MAX], struct err *e)
{
    char *const parts[] = {n->host, n->space, n->model, n->tag};
    size_t at = (size_t)snprintf(path, STORE_PATH_MAX, "%s/manifests", s->dir);
    int exists = 1;

    if (at + sizeof(*n) + sizeof(SUFFIX) >= STORE_PATH_MAX)
        return err_set(e, E_TOO_LONG, "%s: the path is too long for a store", s->dir);
    for (int i = 0; i < 4; i++) {
        const char *suffix = i == 3 ? SUFFIX : "";
        int k = snprintf(path + at, STORE_PATH_MAX - at, "/%s%s", parts[i], suffix);
        struct stat st;

        if (exists && stat(path, &st) != 0) {
            path[at] = '\0';
            exists = find_spelling(path, parts[i], suffix);
            k = snprintf(path + at, STORE_PATH_MAX - at, "/%s%s", parts[i], suffix);
        }
        at += (size_t)k;
    }
    return exists;
}

/* A manifest is a regular file; nothing else is waited for. */
static int open_file(const char *path, struct stat *st, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return err_sys(e, errno == ENOENT || errno == ENOTDIR ? E_NOT_FOUND : E_IO, errno,
                       "read %s", path);
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    (void)close(fd);
    return err_set(e, E_FORMAT, "%s: not a regular file", path);
}

int store_file_read(const char *path, struct buf *out, int64_t *modified_ns, struct err *e)
{
    struct stat st;
    int fd = open_file(path, &st, e), rc = 0;
    ssize_t k = 1;

    if (fd < 0)
        return fd;
    while (rc == 0 && k > 0) {
        char piece[4096];

        k = read(fd, piece, sizeof(piece));
        if (k < 0 && errno == EINTR)
            k = 1;
        else if (k < 0)
            rc = err_sys(e, E_IO, errno, "read %s", path);
        else if (buf_put(out, piece, (size_t)k) < 0)
            rc = err_set(e, E_FORMAT, "%s: more than %zu bytes", path, out->max);
    }
    (void)close(fd);
    *modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return rc;
}

int store_lock(const struct store *s, struct err *e)
{
    char path[STORE_PATH_MAX];
    int fd, rc = path_mkdirs(s->dir, e);

    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "%s/.lock", s->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, E_IO, errno, "%s", path);
    do {
        rc = flock(fd, LOCK_EX);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    rc = err_sys(e, E_IO, errno, "lock %s", path);
    (void)close(fd);
    return rc;
}

void store_unlock(int fd)
{
    (void)close(fd);
}

/* The folder of a path; its length. */
static int folder_of(const char *path)
{
    return (int)(strrchr(path, '/') - path);
}

static int sync_folder(const char *path)
{
    char dir[STORE_PATH_MAX];
    int fd, rc;

    (void)snprintf(dir, sizeof(dir), "%.*s", folder_of(path), path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    (void)close(fd);
    return rc;
}

static int write_whole(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t k = write(fd, bytes.p, bytes.n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        bytes.p += k;
        bytes.n -= (size_t)k;
    }
    return fsync(fd);
}

/* What a crash leaves of ".new" the next writer overwrites. */
int store_file_write(const char *path, struct str bytes, struct err *e)
{
    char temp[STORE_PATH_MAX];
    int k, fd, rc, why;

    k = snprintf(temp, sizeof(temp), "%.*s", folder_of(path), path);
    rc = path_mkdirs(temp, e);
    if (rc < 0)
        return rc;
    (void)snprintf(temp + k, sizeof(temp) - (size_t)k, "/.new");
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, E_IO, errno, "write %s", temp);
    rc = write_whole(fd, bytes);
    why = errno;
    if (close(fd) != 0 && rc == 0) {
        rc = -1;
        why = errno;
    }
    if (rc == 0 && rename(temp, path) != 0) {
        rc = -1;
        why = errno;
    }
    if (rc == 0 && sync_folder(path) == 0)
        return 0;
    if (rc == 0)
        why = errno;
    (void)unlink(temp);
    return err_sys(e, E_IO, why, "write %s", path);
}

int store_file_remove(const struct store *s, const char *path, struct err *e)
{
    size_t root = strlen(s->dir) + strlen("/manifests");
    char dir[STORE_PATH_MAX];
    int n;

    if (unlink(path) != 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "remove %s", path);
    (void)sync_folder(path); /* a name that comes back after a crash is no harm */
    (void)snprintf(dir, sizeof(dir), "%s", path);
    for (;;) {
        n = folder_of(dir);
        dir[n] = '\0';
        if ((size_t)n <= root || rmdir(dir) != 0)
            return 0;
    }
}
