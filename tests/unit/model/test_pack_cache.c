/* Packed weights on disk: found again, never believed when anything about them is wrong, kept
 * within bounds, and written by several at once. */
#include "../infer/engine_test.h"

#include "base/digest.h"
#include "model/pack_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>

static char dir[256], file[256]; /* of packed weights; the model */

/* -- files ----------------------------------------------------------------------------- */

/* Names of the directory that end so; the last one's path goes to `path`. */
static int count(const char *end, char path[600])
{
    DIR *d = opendir(dir);
    int n = 0;

    for (const struct dirent *at = d ? readdir(d) : NULL; at; at = readdir(d)) {
        size_t len = strlen(at->d_name), k = strlen(end);

        if (len < k || strcmp(at->d_name + len - k, end) != 0)
            continue;
        n++;
        if (path)
            (void)snprintf(path, 600, "%s/%s", dir, at->d_name);
    }
    if (d)
        (void)closedir(d);
    return n;
}

static void clear(void)
{
    char path[600];

    while (count(".tiles", path) > 0 || count(".tmp", path) > 0)
        assert_int_equal(unlink(path), 0);
    (void)rmdir(dir);
}

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* One bit of a file. */
static void flip(const char *path, off_t at)
{
    unsigned char c;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 4;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

/* -- models ---------------------------------------------------------------------------- */

struct use {
    struct hearth_model_info info; /* right after opening */
    struct hearth_model_info end;  /* at the end */
    float row[TINY_VOCAB];
};

/* Opens the model, computes, and with `keep` packs and writes. */
static struct use use(uint64_t max, int keep)
{
    struct hearth_model_options o = {.n_thread = 1, .pack_cache = dir, .pack_cache_max = max};
    struct hearth_model *m = NULL;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct use u;

    FINE(hearth_model_open(&m, file, &o, &fine));
    hearth_model_info(m, &u.info);
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    s = seq_make(en);
    (void)feed(s, (int32_t[]){1, 2, 3}, 3);
    memcpy(u.row, catch_up(en, s), sizeof(u.row));
    if (keep)
        FINE(hearth_engine_pack(en, NULL, NULL, &fine));
    FINE(hearth_seq_truncate(s, 2, &fine));
    (void)feed(s, (int32_t[]){3}, 1);
    assert_memory_equal(catch_up(en, s), u.row, sizeof(u.row));
    hearth_model_info(m, &u.end);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
    return u;
}

static void start(int type)
{
    struct tiny t = tiny_of(type);

    if (kern_tier_best() == KERN_REF) {
        print_message("# SKIP the reference tier packs nothing\n");
        skip();
    }
    clear();
    tiny_write(&t, file);
}

static void expect_hit(const struct use *want)
{
    struct use u = use(0, 1);

    assert_int_equal(u.info.pack_cached, 1);
    assert_int_equal(u.end.pack_cached, 1);
    assert_int_equal(u.end.packing, HEARTH_PACKED);
    assert_string_equal(u.end.pack_note, "");
    assert_memory_equal(u.row, want->row, sizeof(u.row));
}

/* Not used, with these words; and made anew, so that the next start finds it. */
static void expect_replaced(const struct use *want, const char *note)
{
    struct use u = use(0, 1);

    if (u.end.pack_cached || !strstr(u.end.pack_note, note))
        fail_msg("cached %d, '%s', expected '%s'", u.end.pack_cached, u.end.pack_note, note);
    assert_int_equal(u.end.packing, HEARTH_PACKED);
    assert_memory_equal(u.row, want->row, sizeof(u.row));
    assert_int_equal(count(".tmp", NULL), 0);
    assert_int_equal(count(".tiles", NULL), 1);
    expect_hit(want);
}

static void test_hit(void **state)
{
    char path[600];
    struct stat st;
    struct use first;

    (void)state;
    start(QUANT_Q4_K);
    first = use(0, 0);
    assert_int_equal(count(".tiles", NULL), 0); /* steps write nothing */
    first = use(0, 1);
    assert_int_equal(first.info.pack_cached, 0);
    assert_string_equal(first.end.pack_note, "");
    assert_int_equal(count(".tiles", path), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    expect_hit(&first);
    (void)unlink(file);
}

static void test_damage(void **state)
{
    static const off_t head[] = {0, 8, 12, 16, 32, 40, 48, 56, 64, 72, 80, 4096, 4104, 4140};
    char path[600];
    struct use first;
    off_t n;

    (void)state;
    start(QUANT_Q8_0);
    first = use(0, 1);
    assert_int_equal(count(".tiles", path), 1);
    n = size_of(path);
    for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++) {
        flip(path, head[i]);
        expect_replaced(&first, path);
    }
    assert_int_equal(truncate(path, n - 1), 0);
    expect_replaced(&first, "its header says");
    assert_int_equal(truncate(path, 100), 0);
    expect_replaced(&first, "no file of packed weights");
    assert_int_equal(truncate(path, 0), 0);
    expect_replaced(&first, path);
    assert_int_equal(truncate(path, n + 4096), 0);
    expect_replaced(&first, "its header says");
    assert_int_equal(chmod(path, 0666), 0);
    expect_replaced(&first, "only its owner");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    expect_replaced(&first, "only its owner");
    (void)unlink(file);
}

/* Tiles are used before they are checked, and left when they do not fit. */
static void test_damaged_tiles(void **state)
{
    char path[600];
    struct use first, u;

    (void)state;
    start(QUANT_Q4_0);
    first = use(0, 1);
    assert_int_equal(count(".tiles", path), 1);
    for (int i = 0; i < 6; i++) {
        struct hearth_model_options o = {.n_thread = 1, .pack_cache = dir};
        struct hearth_model *m = NULL;
        struct hearth_engine *en;
        struct hearth_seq *s;

        flip(path, i == 5 ? size_of(path) - 5000 : 8192 + 1000 * i);
        FINE(hearth_model_open(&m, file, &o, &fine));
        en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
        s = seq_make(en);
        hearth_model_info(m, &u.info);
        assert_int_equal(u.info.pack_cached, 0);
        assert_non_null(strstr(u.info.pack_note, "damaged"));
        /* Right from the first step on. */
        (void)feed(s, (int32_t[]){1, 2, 3}, 3);
        assert_memory_equal(catch_up(en, s), first.row, sizeof(first.row));
        FINE(hearth_engine_pack(en, NULL, NULL, &fine));
        hearth_model_info(m, &u.info);
        assert_int_equal(u.info.packing, HEARTH_PACKED);
        hearth_seq_close(s);
        hearth_engine_free(en);
        hearth_model_close(m);
        expect_hit(&first);
    }
    (void)unlink(file);
}

/* The model's file changes and keeps its size: the first byte of the embedding's last row. */
static void test_changed_model(void **state)
{
    struct use first, u;
    struct stat st;
    off_t n;

    (void)state;
    start(QUANT_F16);
    first = use(0, 1);
    expect_hit(&first);
    n = size_of(file);
    flip(file, n - 5001);
    assert_int_equal(size_of(file), n);
    u = use(0, 1);
    assert_int_equal(u.info.pack_cached, 0);
    assert_int_equal(count(".tiles", NULL), 2);
    /* Even with the old time of change: the file's own time has moved. */
    assert_int_equal(stat(file, &st), 0);
    flip(file, n - 6001);
    assert_int_equal(utimensat(AT_FDCWD, file, (struct timespec[]){st.st_atim, st.st_mtim}, 0),
                     0);
    u = use(0, 1);
    assert_int_equal(u.info.pack_cached, 0);
    assert_int_equal(count(".tiles", NULL), 3);
    (void)unlink(file);
}

/* -- bounds ---------------------------------------------------------------------------- */

static void model_of_seed(uint64_t seed)
{
    struct tiny t = tiny_of(QUANT_Q8_0);

    t.seed = seed;
    (void)unlink(file);
    tiny_write(&t, file);
}

static void age(const char *path, int hours)
{
    struct timespec t[2] = {{0}};

    (void)clock_gettime(CLOCK_REALTIME, &t[0]);
    t[0].tv_sec -= hours * 3600L;
    t[1] = t[0];
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void test_eviction(void **state)
{
    char first[600], second[600], other[600], stranger[600];
    uint64_t n;
    struct use u;

    (void)state;
    start(QUANT_Q8_0);
    u = use(0, 1);
    assert_int_equal(count(".tiles", first), 1);
    n = (uint64_t)size_of(first);
    age(first, 3);
    model_of_seed(8);
    u = use(2 * n, 1);
    assert_int_equal(count(".tiles", NULL), 2); /* both fit */
    model_of_seed(9);
    u = use(2 * n, 1);
    assert_int_equal(u.end.packing, HEARTH_PACKED);
    assert_int_equal(count(".tiles", NULL), 2); /* the oldest went */
    assert_int_equal(access(first, F_OK), -1);
    /* Used now is younger than written then. */
    assert_int_equal(count(".tiles", second), 2);
    clear();
    assert_int_equal(use(0, 1).info.pack_cached, 0);
    assert_int_equal(count(".tiles", first), 1);
    age(first, 5);
    assert_int_equal(use(0, 1).info.pack_cached, 1);
    model_of_seed(10);
    (void)snprintf(other, sizeof(other), "%s/0000000000000000-avx2.tiles", dir);
    put_file(other, "HRTHTILE");
    assert_int_equal(truncate(other, (off_t)n), 0);
    age(other, 4);
    /* It ends as ours do, but is somebody else's: it neither counts nor goes. */
    (void)snprintf(stranger, sizeof(stranger), "%s/floor.tiles", dir);
    put_file(stranger, "marble, oak");
    assert_int_equal(truncate(stranger, (off_t)n), 0);
    age(stranger, 1000);
    u = use(2 * n, 1);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(access(first, F_OK), 0);
    assert_int_equal(unlink(stranger), 0);
    /* More than the cache may have: nothing is written, nothing goes. */
    model_of_seed(11);
    u = use(n - 1, 1);
    assert_non_null(strstr(u.end.pack_note, "not kept"));
    assert_int_equal(u.end.packing, HEARTH_PACKED);
    assert_int_equal(count(".tiles", NULL), 2);
    (void)unlink(file);
}

/* What a dead writer left goes at the next start; not what a living one has locked, however
 * old, nor what is a stranger's. */
static void test_leftovers(void **state)
{
    char dead[400], alive[400], stranger[400], other[400];
    int fd;

    (void)state;
    start(QUANT_Q8_0);
    assert_int_equal(mkdir(dir, 0700), 0);
    (void)snprintf(dead, sizeof(dead), "%s/0123456789abcdef.tiles.tmp", dir);
    (void)snprintf(alive, sizeof(alive), "%s/fedcba9876543210.tiles.tmp", dir);
    (void)snprintf(stranger, sizeof(stranger), "%s/notes.txt", dir);
    (void)snprintf(other, sizeof(other), "%s/kitchen.tiles.tmp", dir);
    put_file(dead, "");
    put_file(stranger, "");
    put_file(other, "");
    fd = open(alive, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    age(alive, 5);
    age(stranger, 1000);
    age(other, 1000);
    (void)use(0, 0);
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(access(alive, F_OK), 0);
    assert_int_equal(close(fd), 0);
    (void)use(0, 0);
    assert_int_equal(access(alive, F_OK), -1);
    assert_int_equal(unlink(stranger), 0);
    assert_int_equal(unlink(other), 0);
    (void)unlink(file);
}

static void test_bad_dirs(void **state)
{
    char other[400];
    struct use u;
    struct hearth_model *m = NULL;
    struct hearth_model_options o = {.pack_cache = other, .n_thread = 1};

    (void)state;
    start(QUANT_Q8_0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    u = use(0, 1);
    assert_non_null(strstr(u.end.pack_note, "only its owner"));
    assert_int_equal(u.end.packing, HEARTH_PACKED);
    assert_int_equal(count(".tiles", NULL), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    if (geteuid() != 0) {
        assert_int_equal(chmod(dir, 0500), 0);
        u = use(0, 1);
        assert_non_null(strstr(u.end.pack_note, "not kept"));
        assert_int_equal(u.end.packing, HEARTH_PACKED);
        assert_int_equal(chmod(dir, 0700), 0);
    }
    /* A file where the directory should be. */
    (void)snprintf(other, sizeof(other), "%s/x.tmp", dir);
    assert_int_equal(close(open(other, O_WRONLY | O_CREAT, 0600)), 0);
    FINE(hearth_model_open(&m, file, &o, &fine));
    hearth_model_info(m, &u.info);
    assert_non_null(strstr(u.info.pack_note, other));
    hearth_model_close(m);
    (void)unlink(file);
}

/* -- at once --------------------------------------------------------------------------- */

static void *writer(void *ctx)
{
    *(struct use *)ctx = use(0, 1);
    return NULL;
}

static void test_writers(void **state)
{
    enum { N = 4 };
    static struct use u[N];
    pthread_t t[N];

    (void)state;
    start(QUANT_Q4_K);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&t[i], NULL, writer, &u[i]), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(u[i].end.packing, HEARTH_PACKED);
        assert_string_equal(u[i].end.pack_note, "");
        assert_memory_equal(u[i].row, u[0].row, sizeof(u[i].row));
    }
    assert_int_equal(count(".tiles", NULL), 1);
    assert_int_equal(count(".tmp", NULL), 0);
    expect_hit(&u[0]);
    (void)unlink(file);
}

static int stop_at_once(void *ctx, double done)
{
    (void)ctx;
    return done >= 1;
}

/* Stopped while it writes: nothing is left, and the next one writes. */
static void test_stopped_writer(void **state)
{
    struct hearth_model_options o = {.n_thread = 1, .pack_cache = dir};
    struct hearth_model *m = NULL;
    struct hearth_engine *en;

    (void)state;
    start(QUANT_Q8_0);
    FINE(hearth_model_open(&m, file, &o, &fine));
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    assert_int_equal(hearth_engine_pack(en, stop_at_once, NULL, NULL), HEARTH_E_CANCELLED);
    assert_int_equal(hearth_engine_pack(en, stop_at_once, NULL, NULL), HEARTH_E_CANCELLED);
    assert_int_equal(count(".tiles", NULL) + count(".tmp", NULL), 0);
    FINE(hearth_engine_pack(en, NULL, NULL, &fine));
    assert_int_equal(count(".tiles", NULL), 1);
    hearth_engine_free(en);
    hearth_model_close(m);
    (void)unlink(file);
}

/* -- digests --------------------------------------------------------------------------- */

static void test_digest(void **state)
{
    unsigned char b[200];
    uint64_t d = 0, seen[sizeof(b) * 8];
    size_t n = 0;

    (void)state;
    /* The format depends on it: these do not change. */
    assert_true(digest_bytes(0, "", 0) == 0x26ed6b45d1fd96cau);
    assert_true(digest_bytes(3, "The quick brown fox jumps over the lazy dog", 43) ==
                0xaa4b04b962ad67b4u);
    memset(b, 7, sizeof(b));
    for (size_t i = 0; i < sizeof(b) * 8; i++) {
        b[i / 8] ^= (unsigned char)(1 << i % 8);
        seen[n] = digest_bytes(1, b, sizeof(b));
        for (size_t k = 0; k < n; k++)
            assert_true(seen[k] != seen[n]);
        n++;
        b[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i < sizeof(b); i++) {
        uint64_t was = d;

        d = digest_bytes(0, b, i + 1);
        assert_true(d != was && d != digest_bytes(1, b, i + 1));
    }
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s/hearth-packs-%ld", tmp && *tmp ? tmp : "/tmp",
                   (long)getpid());
    (void)snprintf(file, sizeof(file), "%s", tiny_path());
    return 0;
}

static int done(void **state)
{
    (void)state;
    clear();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_damaged_tiles),
        cmocka_unit_test(test_changed_model),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_bad_dirs),
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_stopped_writer),
        cmocka_unit_test(test_digest),
    };

    return cmocka_run_group_tests(tests, setup, done);
}
