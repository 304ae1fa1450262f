#include "sys/mmap.h"

#include "base/mem.h"
#include "sys/cgroup.h"
#include "sys/lost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t time_ns(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

/* -- files ------------------------------------------------------------------------------ */

int mmap_open(struct mapping *m, const char *path, struct err *e)
{
    /* O_NONBLOCK: a FIFO without a writer must not hang us before fstat can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    struct stat st;
    void *p;

    *m = (struct mapping){0};
    if (fd < 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "%s", path);
    if (fstat(fd, &st) < 0) {
        rc = err_sys(e, E_IO, errno, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, E_INVALID, "%s: %s, expected a regular file", path,
                     S_ISDIR(st.st_mode) ? "is a directory" : "is not a file");
    } else if (st.st_size > 0) {
        p = mem_should_fail() ? MAP_FAILED
                              : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            rc = err_set(e, E_NOMEM, "%s: cannot map %lld bytes", path, (long long)st.st_size);
        } else {
            m->p = p;
            m->n = (size_t)st.st_size;
            m->stamp[0] = (uint64_t)st.st_ino;
            m->stamp[1] = time_ns(&st.st_mtim);
            m->stamp[2] = time_ns(&st.st_ctim);
            m->row = lost_add(p, m->n, path);
        }
    }
    (void)close(fd);
    return rc;
}

/* Shared memory has a place behind it from which dropped pages come back, as files have; the
 * pages of private memory would come back as zeros. */
int mmap_memory(struct mapping *m, size_t n, struct err *e)
{
    void *p = n == 0 || n > SIZE_MAX / 2 || mem_should_fail()
                  ? MAP_FAILED
                  : mmap(NULL, n, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    *m = (struct mapping){0};
    if (p == MAP_FAILED)
        return err_set(e, E_NOMEM, "no memory for %zu bytes", n);
    m->p = p;
    m->n = n;
    return 0;
}

void mmap_close(struct mapping *m)
{
    if (m->p) {
        lost_remove(m->row);
        (void)munmap((void *)(uintptr_t)m->p, m->n);
    }
    *m = (struct mapping){0};
}

int mmap_intact(const struct mapping *m, struct err *e)
{
    if (!lost_is(m->row))
        return 0;
    return err_set(
        e, E_IO,
        "%s: the file changed on disk (it was cut, or its disk failed) while it was in "
        "use; load it again, and replace a model by renaming, never by writing over it",
        lost_name(m->row));
}

int mmap_changed(const struct mapping *m)
{
    struct stat st;

    return m->row && stat(lost_name(m->row), &st) == 0 &&
           ((uint64_t)st.st_ino != m->stamp[0] || time_ns(&st.st_mtim) != m->stamp[1] ||
            (uint64_t)st.st_size != m->n);
}

void vm_drop(const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE),
              from = ((uintptr_t)p + page - 1) & ~(page - 1),
              to = ((uintptr_t)p + n) & ~(page - 1);

    if (p && to > from)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

uint64_t vm_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    uint64_t group = cgroup_memory(NULL, NULL), machine;
    char line[128];
    int found = 0;

    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    if (f)
        (void)fclose(f);
    machine = found ? (uint64_t)kib * 1024 : UINT64_MAX;
    return group < machine ? group : machine;
}

enum { VM_HUGE = 2 << 20 };

void *vm_alloc(size_t n)
{
    size_t len;
    unsigned char *p;
    uintptr_t at, up;

    if (n == 0 || n > SIZE_MAX / 2 || mem_should_fail())
        return NULL;
    len = (n + VM_HUGE - 1) & ~(size_t)(VM_HUGE - 1);
    p = mmap(NULL, len + VM_HUGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    /* Give back what lies outside of the aligned range. */
    at = (uintptr_t)p;
    up = (at + VM_HUGE - 1) & ~(uintptr_t)(VM_HUGE - 1);
    if (up > at)
        (void)munmap(p, up - at);
    if (at + VM_HUGE > up)
        (void)munmap(p + (up - at) + len, at + VM_HUGE - up);
    p += up - at;
    (void)madvise(p, len, MADV_HUGEPAGE);
    return p;
}

void vm_free(void *p, size_t n)
{
    if (p)
        (void)munmap(p, (n + VM_HUGE - 1) & ~(size_t)(VM_HUGE - 1));
}
