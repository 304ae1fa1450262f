/* What commands share: here, that packing is stopped by a signal without leaving half a file.
 */
#include "../infer/engine_test.h"

#include "base/clock.h"
#include "cmd/cmd.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

static char dir[256];
static volatile sig_atomic_t got; /* signals that came to our own handler */
static atomic_int done;

static void on_signal(int sig)
{
    (void)sig;
    got++;
}

/* Waits until another handler than ours is there, and then, once, sends. */
static void *sender(void *unused)
{
    struct sigaction now;

    while (!atomic_load(&done)) {
        assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
        if (now.sa_handler == on_signal)
            continue;
        assert_int_equal(kill(getpid(), SIGINT), 0);
        return unused;
    }
    return unused;
}

/* Removes what the directory holds and returns how many there were. */
static int clear(void)
{
    DIR *d = opendir(dir);
    char path[600];
    int n = 0;

    for (const struct dirent *at = d ? readdir(d) : NULL; at; at = readdir(d)) {
        if (at->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, at->d_name);
        assert_int_equal(unlink(path), 0);
        n++;
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
    return n;
}

/* A signal while the weights are packed and written: 1 when it came in time. */
static int stop_once(void)
{
    struct hearth_model_options o = {.n_thread = 1, .pack_cache = dir};
    struct hearth_model *m = NULL;
    struct hearth_engine *en;
    struct err e = {0};
    pthread_t t;
    int rc, before = got;

    FINE(hearth_model_open(&m, tiny_path(), &o, &fine));
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    atomic_store(&done, 0);
    assert_int_equal(pthread_create(&t, NULL, sender, NULL), 0);
    rc = cmd_engine_pack(en, &e);
    atomic_store(&done, 1);
    assert_int_equal(pthread_join(t, NULL), 0);
    hearth_engine_free(en);
    hearth_model_close(m);
    if (rc < 0) {
        assert_int_equal(rc, E_CANCELLED);
        assert_int_equal(got, before + 1); /* passed on, once */
        assert_int_equal(clear(), 0);
    } else {
        assert_int_equal(clear(), 1);
    }
    return rc < 0;
}

static void test_stop(void **state)
{
    struct sigaction sa = {.sa_handler = on_signal}, old, after;
    struct tiny t = tiny_of(QUANT_Q8_0);
    uint64_t start = clock_ns();
    int stopped = 0;

    (void)state;
    if (kern_tier_best() == KERN_REF) {
        print_message("# SKIP the reference tier packs nothing\n");
        skip();
    }
    t.n_vocab = 10240;
    t.n_embd = 512;
    tiny_write(&t, tiny_path());
    assert_int_equal(sigaction(SIGINT, &sa, &old), 0);
    while (!stopped && clock_ns() - start < 60000000000u)
        stopped = stop_once();
    assert_true(stopped);
    assert_int_equal(sigaction(SIGINT, &old, &after), 0);
    assert_true(after.sa_handler == on_signal); /* and is back in its place */
    (void)unlink(tiny_path());
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s/hearth-cmd-%ld", tmp && *tmp ? tmp : "/tmp",
                   (long)getpid());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
