#include "sys/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* Up to two numbers at the start of DIR/NAME; returns how many there are. */
static int read_numbers(const char *dir, const char *name, long long v[2])
{
    char path[PATH_BYTES + 64];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;

    if (!f)
        return 0;
    n = fscanf(f, "%lld %lld", &v[0], &v[1]);
    (void)fclose(f);
    return n > 0 ? n : 0;
}

/* A limit of a kind of resource: its value in a group's folder, UINT64_MAX for none. */
typedef uint64_t (*limit_fn)(const char *dir);

struct kind {
    const char *controller; /* of version 1; also the name of the folder it is mounted in */
    limit_fn v1, v2;
};

/* -- processors ------------------------------------------------------------------------- */

static uint64_t whole_cpus(long long quota, long long period)
{
    return quota > 0 && period > 0 ? (uint64_t)((quota - 1) / period + 1) : UINT64_MAX;
}

/* "QUOTA PERIOD" in microseconds, or "max PERIOD". */
static uint64_t cpus_v2(const char *dir)
{
    long long v[2];

    return read_numbers(dir, "cpu.max", v) == 2 ? whole_cpus(v[0], v[1]) : UINT64_MAX;
}

/* A file for each; the quota is -1 when there is none. */
static uint64_t cpus_v1(const char *dir)
{
    long long quota[2], period[2];

    if (read_numbers(dir, "cpu.cfs_quota_us", quota) < 1 ||
        read_numbers(dir, "cpu.cfs_period_us", period) < 1)
        return UINT64_MAX;
    return whole_cpus(quota[0], period[0]);
}

/* -- memory ----------------------------------------------------------------------------- */

/* Bytes of files that the group has in memory, which are given back when they are in the way:
 * two lines of memory.stat, "NAME BYTES" each, whose names begin with `head`. */
static uint64_t file_bytes(const char *dir, const char *head)
{
    char path[PATH_BYTES + 64], line[128], name[64];
    int n = snprintf(path, sizeof(path), "%s/memory.stat", dir);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;
    uint64_t sum = 0;
    long long v;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%63s %lld", name, &v) == 2 && v > 0 &&
            strncmp(name, head, strlen(head)) == 0 &&
            (strcmp(name + strlen(head), "inactive_file") == 0 ||
             strcmp(name + strlen(head), "active_file") == 0))
            sum += (uint64_t)v;
    }
    if (f)
        (void)fclose(f);
    return sum;
}

/* What is left of a limit; without one, or without knowing what is used, all there is. */
static uint64_t left_of(const char *dir, const char *limit, const char *used, const char *head)
{
    long long max[2], now[2];
    uint64_t files, held;

    if (read_numbers(dir, limit, max) < 1 || max[0] < 0 || read_numbers(dir, used, now) < 1 ||
        now[0] < 0)
        return UINT64_MAX;
    files = file_bytes(dir, head);
    held = (uint64_t)now[0] > files ? (uint64_t)now[0] - files : 0;
    return (uint64_t)max[0] > held ? (uint64_t)max[0] - held : 0;
}

/* Above "high" the group is slowed down, above "max" it is killed. */
static uint64_t memory_v2(const char *dir)
{
    uint64_t max = left_of(dir, "memory.max", "memory.current", ""),
             high = left_of(dir, "memory.high", "memory.current", "");

    return high < max ? high : max;
}

static uint64_t memory_v1(const char *dir)
{
    return left_of(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
}

/* -- the way to the root ---------------------------------------------------------------- */

/* The tightest limit of the group at mount + group and those above it. */
static uint64_t tightest(const char *mount, const char *group, limit_fn limit)
{
    char dir[PATH_BYTES];
    size_t n_mount = strlen(mount);
    int n = snprintf(dir, sizeof(dir), "%s%s", mount, group);
    uint64_t least = UINT64_MAX;

    if (n < 0 || (size_t)n >= sizeof(dir))
        return least;
    for (;;) {
        char *end = strrchr(dir + n_mount, '/');
        uint64_t here = limit(dir);

        least = here < least ? here : least;
        if (!end)
            return least;
        *end = 0;
    }
}

/* Is the controller among "cpu,cpuacct"? */
static int has(const char *list, const char *controller)
{
    size_t n;

    for (; *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (n == strlen(controller) && strncmp(list, controller, n) == 0)
            return 1;
    }
    return 0;
}

/* A line is ID:CONTROLLERS:GROUP, with no controllers for version 2, whose hierarchy is the
 * root itself, or beside those of version 1 in a folder of its own. */
static uint64_t line_limit(const char *root, char *line, const struct kind *k)
{
    static const char *const v2[] = {"", "/unified"};
    char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL,
         mount[PATH_BYTES];
    uint64_t least = UINT64_MAX;

    if (!group || group[1] != '/')
        return least;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    if (has(list + 1, k->controller)) {
        (void)snprintf(mount, sizeof(mount), "%s/%s", root, k->controller);
        return tightest(mount, group, k->v1);
    }
    for (int i = 0; i < 2 && !list[1] && least == UINT64_MAX; i++) {
        (void)snprintf(mount, sizeof(mount), "%s%s", root, v2[i]);
        least = tightest(mount, group, k->v2);
    }
    return least;
}

static uint64_t limit_of(const char *root, const char *self, const struct kind *k)
{
    FILE *f = fopen(self ? self : "/proc/self/cgroup", "re");
    char line[PATH_BYTES];
    uint64_t least = UINT64_MAX;

    if (!f)
        return least;
    while (fgets(line, sizeof(line), f)) {
        uint64_t here = line_limit(root ? root : "/sys/fs/cgroup", line, k);

        least = here < least ? here : least;
    }
    (void)fclose(f);
    return least;
}

int cgroup_cpus(const char *root, const char *self)
{
    static const struct kind cpu = {"cpu", cpus_v1, cpus_v2};
    uint64_t n = limit_of(root, self, &cpu);

    return n <= INT_MAX ? (int)n : 0;
}

uint64_t cgroup_memory(const char *root, const char *self)
{
    static const struct kind memory = {"memory", memory_v1, memory_v2};

    return limit_of(root, self, &memory);
}
