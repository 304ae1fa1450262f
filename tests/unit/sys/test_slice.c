/* Short slices of time: asked for where the system knows them, and nothing else changes. */
#include "sys/slice.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct sched_attr attr_of(void)
{
    struct sched_attr a = {.size = sizeof(a)};

    assert_int_equal(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
    return a;
}

static void test_short(void **state)
{
    struct sched_attr before, after;

    (void)state;
    (void)nice(3);
    before = attr_of();
    if (before.sched_policy != SCHED_NORMAL) {
        print_message("SKIP: this process has another policy\n");
        skip();
    }
    slice_short();
    after = attr_of();
    assert_int_equal(after.sched_policy, before.sched_policy);
    assert_int_equal(after.sched_nice, before.sched_nice);
    assert_int_equal(after.sched_flags, before.sched_flags);
    /* Systems that know slices say them; for others it is 0 for ever. */
    if (before.sched_runtime)
        assert_true(after.sched_runtime <= before.sched_runtime &&
                    after.sched_runtime <= 1000000);
    else
        assert_int_equal(after.sched_runtime, 0);
    slice_normal();
    after = attr_of();
    assert_int_equal(after.sched_runtime, before.sched_runtime);
    assert_int_equal(after.sched_nice, before.sched_nice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_short)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
