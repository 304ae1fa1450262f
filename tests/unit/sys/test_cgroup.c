/* test_cgroup.c - limits of both versions, in hierarchies made of plain files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sys/cgroup.h"
#include "sys/mmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], self[80];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/hearth-cgroup-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(self, sizeof(self), "%s/self", root);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command) == 0 ? 0 : -1; /* NOLINT(cert-env33-c): a folder of our own */
}

/* A file below the root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        (void)mkdir(path, 0700);
        *p = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_version_2(void **state)
{
    (void)state;
    put("self", "0::/a/b\n");
    assert_int_equal(cgroup_cpus(root, self), 0); /* no such group */
    put("a/b/cpu.max", "max 100000\n");
    assert_int_equal(cgroup_cpus(root, self), 0);
    put("a/b/cpu.max", "200000 100000\n");
    assert_int_equal(cgroup_cpus(root, self), 2);
    put("a/b/cpu.max", "250000 100000\n"); /* a part of a CPU is worth a thread */
    assert_int_equal(cgroup_cpus(root, self), 3);
    put("a/b/cpu.max", "1000 100000\n");
    assert_int_equal(cgroup_cpus(root, self), 1);
}

static void test_tightest_above(void **state)
{
    (void)state;
    put("self", "0::/t/u/v\n");
    put("t/u/v/cpu.max", "800000 100000\n");
    put("t/cpu.max", "300000 100000\n");
    assert_int_equal(cgroup_cpus(root, self), 3);
    put("cpu.max", "100000 50000\n"); /* of a container: the way is the host's */
    assert_int_equal(cgroup_cpus(root, self), 2);
    put("self", "0::/not/here\n");
    assert_int_equal(cgroup_cpus(root, self), 2);
    put("self", "0::/\n");
    assert_int_equal(cgroup_cpus(root, self), 2);
    put("cpu.max", "max 100000\n");
    assert_int_equal(cgroup_cpus(root, self), 0);
}

static void test_version_1(void **state)
{
    (void)state;
    put("self", "9:name=systemd:/x\n4:memory,cpuset:/x\n3:cpu,cpuacct:/x\n0::/x\n");
    assert_int_equal(cgroup_cpus(root, self), 0);
    put("cpu/x/cpu.cfs_quota_us", "-1\n");
    put("cpu/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cgroup_cpus(root, self), 0);
    put("cpu/x/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(cgroup_cpus(root, self), 4);
    put("cpu/cpu.cfs_quota_us", "50000\n");
    assert_int_equal(cgroup_cpus(root, self), 4); /* a quota without its period */
    put("cpu/cpu.cfs_period_us", "50000\n");
    assert_int_equal(cgroup_cpus(root, self), 1);
    put("self", "3:cpuacct:/x\n4:cpuset:/x\n");
    assert_int_equal(cgroup_cpus(root, self), 0); /* other controllers */
}

/* Both at once: version 2 then stands in a folder of its own. */
static void test_hybrid(void **state)
{
    (void)state;
    put("self", "2:cpu:/h\n0::/h\n");
    put("unified/h/cpu.max", "300000 100000\n");
    put("cpu/h/cpu.cfs_quota_us", "200000\n");
    put("cpu/h/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cgroup_cpus(root, self), 2);
    put("cpu/h/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(cgroup_cpus(root, self), 3);
}

static void test_nonsense(void **state)
{
    static const char *const lines[] = {"", "0", "0::", "0:cpu", "::\n", "0::a/b\n", "\n\n"};
    static const char *const quotas[] = {
        "", "x", "-5 100000", "5", "5 0", "9223372036854775807 1", "0 100000"};
    char long_line[9000];

    (void)state;
    put("cpu.max", "100000 100000\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        put("self", lines[i]);
        assert_int_equal(cgroup_cpus(root, self), 0);
    }
    put("self", "0::/\n");
    assert_int_equal(cgroup_cpus(root, self), 1);
    for (size_t i = 0; i < sizeof(quotas) / sizeof(*quotas); i++) {
        put("cpu.max", quotas[i]);
        assert_int_equal(cgroup_cpus(root, self), 0);
    }
    memset(long_line, 'a', sizeof(long_line));
    memcpy(long_line, "0::/", 4);
    long_line[sizeof(long_line) - 1] = 0;
    put("self", long_line);
    assert_int_equal(cgroup_cpus(root, self), 0);
    assert_int_equal(cgroup_cpus(root, "/nonexistent"), 0);
}

static void test_memory_2(void **state)
{
    (void)state;
    put("self", "0::/a/b\n");
    assert_true(cgroup_memory(root, self) == UINT64_MAX); /* no such group */
    put("a/b/memory.max", "max\n");
    put("a/b/memory.current", "1000\n");
    assert_true(cgroup_memory(root, self) == UINT64_MAX);
    put("a/b/memory.max", "5000\n");
    assert_true(cgroup_memory(root, self) == 4000);
    put("a/b/memory.current", "7000\n");
    assert_true(cgroup_memory(root, self) == 0);
    /* Pages of files are given back when they are in the way. */
    put("a/b/memory.stat", "anon 50\nfile 9000\ninactive_file 2000\nactive_file 500\n"
                           "workingset_refault_file 77\n");
    assert_true(cgroup_memory(root, self) == 500);
    put("a/b/memory.high", "4800\n");
    assert_true(cgroup_memory(root, self) == 300);
    put("a/b/memory.high", "max\n");
    put("a/memory.max", "10000\n");
    put("a/memory.current", "9900\n");
    assert_true(cgroup_memory(root, self) == 100); /* what is above counts too */
    put("a/memory.current", "x\n");
    assert_true(cgroup_memory(root, self) == 500); /* what makes no sense does not */
    put("self", "0::/not/here\n");
    assert_true(cgroup_memory(root, self) == UINT64_MAX);
    put("memory.max", "3000\n");
    put("memory.current", "1\n");
    assert_true(cgroup_memory(root, self) == 2999);
}

static void test_memory_1(void **state)
{
    (void)state;
    put("self", "3:cpu,cpuacct:/x\n4:cpuset,memory:/x\n0::/x\n");
    assert_true(cgroup_memory(root, self) == UINT64_MAX);
    put("memory/x/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put("memory/x/memory.usage_in_bytes", "4096\n");
    assert_true(cgroup_memory(root, self) > (uint64_t)1 << 62);
    put("memory/x/memory.limit_in_bytes", "8000\n");
    assert_true(cgroup_memory(root, self) == 3904);
    put("memory/x/memory.stat", "inactive_file 1\nactive_file 1\ntotal_inactive_file 1000\n"
                                "total_active_file 96\n");
    assert_true(cgroup_memory(root, self) == 5000);
    put("memory/memory.limit_in_bytes", "100\n");
    put("memory/memory.usage_in_bytes", "20\n");
    assert_true(cgroup_memory(root, self) == 80);
    assert_int_equal(cgroup_cpus(root, self), 0);
    put("self", "3:cpu:/x\n");
    assert_true(cgroup_memory(root, self) == UINT64_MAX);
}

/* This machine's own: whatever it is, it is no failure. */
static void test_here(void **state)
{
    int n = cgroup_cpus(NULL, NULL);

    (void)state;
    printf("quota here: %d CPUs\n", n);
    assert_true(n >= 0);
    printf("memory left in the group: %llu bytes\n",
           (unsigned long long)cgroup_memory(NULL, NULL));
    if (cgroup_memory(NULL, NULL) < UINT64_MAX >> 1)
        assert_true(vm_available() <= cgroup_memory(NULL, NULL) + ((uint64_t)256 << 20));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_version_2), CASE(test_tightest_above), CASE(test_version_1),
        CASE(test_hybrid),    CASE(test_nonsense),       CASE(test_memory_2),
        CASE(test_memory_1),  CASE(test_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
