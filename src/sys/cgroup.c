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

/* "QUOTA PERIOD" in microseconds, or "max PERIOD". */
static int quota_v2(const char *dir, long long v[2])
{
    return read_numbers(dir, "cpu.max", v) == 2;
}

/* A file for each; the quota is -1 when there is none. */
static int quota_v1(const char *dir, long long v[2])
{
    long long unused[2];

    if (read_numbers(dir, "cpu.cfs_quota_us", unused) < 1)
        return 0;
    v[0] = unused[0];
    if (read_numbers(dir, "cpu.cfs_period_us", unused) < 1)
        return 0;
    v[1] = unused[0];
    return 1;
}

/* The tightest quota of the group at mount + group and those above it; 0: none. */
static int tightest(const char *mount, const char *group,
                    int (*quota)(const char *, long long *))
{
    char dir[PATH_BYTES];
    size_t n_mount = strlen(mount);
    int n = snprintf(dir, sizeof(dir), "%s%s", mount, group), least = 0;
    long long v[2];

    if (n < 0 || (size_t)n >= sizeof(dir))
        return 0;
    for (;;) {
        char *end = strrchr(dir + n_mount, '/');

        if (quota(dir, v) && v[0] > 0 && v[1] > 0 && (v[0] - 1) / v[1] < INT_MAX) {
            int cpus = (int)((v[0] - 1) / v[1] + 1);

            least = least == 0 || cpus < least ? cpus : least;
        }
        if (!end)
            return least;
        *end = 0;
    }
}

/* Is the cpu controller among "cpu,cpuacct"? */
static int has_cpu(const char *list)
{
    size_t n;

    for (; *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (n == 3 && strncmp(list, "cpu", 3) == 0)
            return 1;
    }
    return 0;
}

/* A line is ID:CONTROLLERS:GROUP, with no controllers for version 2, whose hierarchy is the
 * root itself, or beside those of version 1 in a folder of its own. */
static int line_cpus(const char *root, char *line)
{
    static const char *const v2[] = {"", "/unified"};
    char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL,
         mount[PATH_BYTES];
    int least = 0;

    if (!group || group[1] != '/')
        return 0;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    if (has_cpu(list + 1)) {
        (void)snprintf(mount, sizeof(mount), "%s/cpu", root);
        return tightest(mount, group, quota_v1);
    }
    for (int i = 0; i < 2 && !list[1] && !least; i++) {
        (void)snprintf(mount, sizeof(mount), "%s%s", root, v2[i]);
        least = tightest(mount, group, quota_v2);
    }
    return least;
}

int cgroup_cpus(const char *root, const char *self)
{
    FILE *f = fopen(self ? self : "/proc/self/cgroup", "re");
    char line[PATH_BYTES];
    int least = 0;

    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f)) {
        int cpus = line_cpus(root ? root : "/sys/fs/cgroup", line);

        least = cpus && (least == 0 || cpus < least) ? cpus : least;
    }
    (void)fclose(f);
    return least;
}
