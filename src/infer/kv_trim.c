#include "infer/kv_trim.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 16, FOUND_MAX = 1 << 30 };

struct entry {
    struct timespec when;
    uint64_t n;
    char name[KV_TRIM_NAME];
};

static int is_ours(const char *name)
{
    return strspn(name, "0123456789abcdef") == KV_TRIM_DIGITS &&
           (strcmp(name + KV_TRIM_DIGITS, KV_TRIM_PAGE) == 0 ||
            strcmp(name + KV_TRIM_DIGITS, KV_TRIM_STATE) == 0);
}

static int older_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->when.tv_sec != y->when.tv_sec)
        return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
    if (x->when.tv_nsec != y->when.tv_nsec)
        return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* All files of ours; what there is no memory for is not seen. */
static void look(struct kv_trim *t, int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    buf_clear(&t->found);
    t->total = t->since = 0;
    if (!d && fd >= 0)
        (void)close(fd);
    if (!d)
        return;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    for (const struct dirent *at = readdir(d); at; at = readdir(d)) {
        struct entry e = {0};
        struct stat st;

        if (!is_ours(at->d_name) || fstatat(dir, at->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        e.when = st.st_mtim;
        e.n = (uint64_t)st.st_size;
        memcpy(e.name, at->d_name, strlen(at->d_name) + 1); /* fits: is_ours */
        t->total += e.n;
        if (buf_put(&t->found, &e, sizeof(e)) < 0)
            break;
    }
    (void)closedir(d);
}

static uint64_t trim(struct kv_trim *t, int dir)
{
    uint64_t keep = t->max - t->max / PART, removed = 0;
    struct entry *e;
    size_t n;

    look(t, dir);
    if (t->total <= t->max)
        return 0;
    e = (struct entry *)(void *)t->found.p;
    n = t->found.n / sizeof(*e);
    qsort(e, n, sizeof(*e), older_first);
    for (size_t i = 0; i < n && t->total > keep; i++) {
        (void)unlinkat(dir, e[i].name, 0);
        t->total -= e[i].n;
        removed++;
    }
    return removed;
}

uint64_t kv_trim_start(struct kv_trim *t, int dir, uint64_t max)
{
    *t = (struct kv_trim){.max = max};
    buf_init(&t->found, FOUND_MAX);
    return trim(t, dir);
}

uint64_t kv_trim_add(struct kv_trim *t, int dir, uint64_t n)
{
    t->total += n;
    t->since += n;
    return t->total > t->max || t->since > t->max / PART ? trim(t, dir) : 0;
}

void kv_trim_done(struct kv_trim *t)
{
    buf_done(&t->found);
}
