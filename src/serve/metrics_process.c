#include "serve/metrics_series.h"

#include "base/clock.h"

#include "hearth.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What Prometheus' own libraries say of every process, under the names that they gave it. */

/* Resident pages, the second number of statm; 0: unknown. */
static double resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &all, &resident) != 2)  // NOLINT(cert-err34-c): the kernel's
        resident = 0;
    (void)fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    if (!d)
        return 0;
    while (readdir(d))  // NOLINT(concurrency-mt-unsafe): a stream of this call alone
        n++;
    (void)closedir(d);
    return n - 3; /* ".", ".." and this listing itself */
}

void metrics_process(struct metrics *m)
{
    struct rlimit limit;

    metrics_set(m, METRIC_BUILD, NULL, hearth_version(), 1);
    metrics_set(m, METRIC_CPU, NULL, NULL, (double)clock_cpu_ns() / 1e9);
    metrics_set(m, METRIC_RSS, NULL, NULL, resident_bytes());
    metrics_set(m, METRIC_FDS, NULL, NULL, open_fds());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_set(m, METRIC_FDS_MAX, NULL, NULL, (double)limit.rlim_cur);
    metrics_set(m, METRIC_START_TIME, NULL, NULL, (double)m->start_time);
}
