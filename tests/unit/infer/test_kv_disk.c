/* Kept pages on disk as a store: what is put is found again, or is not there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/kv_disk.h"
#include "temp_dir.h"

#include <time.h>

enum { N_ID = 4, N_DATA = 1000, FILE_SIZE = 80 + 4 * N_ID + N_DATA };

struct thing {
    int32_t ids[N_ID];
    unsigned char data[N_DATA];
    struct kv_disk_item it;
};

static struct thing *thing_of(int kind, int i)
{
    static struct thing all[2][64];
    struct thing *t = &all[kind][i];
    struct rng r;

    rng_seed(&r, (uint64_t)(i + 1));
    for (int k = 0; k < N_ID; k++)
        t->ids[k] = (int32_t)(rng_u64(&r) % 1000);
    for (int k = 0; k < N_DATA; k++)
        t->data[k] = (unsigned char)(rng_u64(&r) + (unsigned)kind);
    t->it = (struct kv_disk_item){.kind = kind, .ids = t->ids, .n_data = N_DATA};
    memset(t->it.key, 0x30 + i, KV_DISK_KEY);
    return t;
}

static struct kv_disk *disk_open(uint64_t max)
{
    struct kv_disk *d = NULL;
    struct err e = {0};

    if (kv_disk_open(&d, temp_dir, max, N_ID, N_DATA, &e) < 0)
        fail_msg("%s", e.msg);
    return d;
}

static void put(struct kv_disk *d, int kind, int i, uint64_t older)
{
    const struct thing *t = thing_of(kind, i);

    kv_disk_put(d, &t->it, t->data, older, 1);
}

/* 1 when it is found, and then it is what was put. */
static int get(struct kv_disk *d, int kind, int i)
{
    const struct thing *t = thing_of(kind, i);
    unsigned char data[N_DATA];
    int got = kv_disk_get(d, &t->it, data);

    if (got)
        assert_memory_equal(data, t->data, N_DATA);
    return got;
}

static struct kv_disk_stats stats_of(struct kv_disk *d)
{
    struct kv_disk_stats st;

    kv_disk_stats(d, &st);
    return st;
}

static void check_modes(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, FILE_SIZE);
}

static void test_there_and_back(void **state)
{
    struct kv_disk *d;
    struct stat st;

    (void)state;
    temp_dir_make();
    assert_int_equal(rmdir(temp_dir), 0); /* it is made */
    d = disk_open(0);
    assert_int_equal(stat(temp_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_false(kv_disk_has(d, KV_DISK_PAGE, thing_of(KV_DISK_PAGE, 1)->it.key));
    assert_false(get(d, KV_DISK_PAGE, 1));
    put(d, KV_DISK_PAGE, 1, 0);
    put(d, KV_DISK_STATE, 1, 0); /* the same key, another kind */
    put(d, KV_DISK_PAGE, 1, 0);  /* it is there: one file */
    kv_disk_flush(d);
    assert_true(kv_disk_has(d, KV_DISK_PAGE, thing_of(KV_DISK_PAGE, 1)->it.key));
    assert_true(get(d, KV_DISK_PAGE, 1));
    assert_true(get(d, KV_DISK_STATE, 1));
    assert_false(get(d, KV_DISK_STATE, 2));
    assert_int_equal(stats_of(d).written, 2);
    assert_int_equal(stats_of(d).read, 2);
    assert_int_equal(stats_of(d).bad, 0);
    assert_int_equal(stats_of(d).bytes, 2 * FILE_SIZE);
    assert_int_equal(temp_dir_each("", check_modes), 2);
    put(d, KV_DISK_PAGE, 3, 0);
    kv_disk_close(d); /* writes what waits */
    d = disk_open(0);
    assert_true(get(d, KV_DISK_PAGE, 1));
    assert_true(get(d, KV_DISK_PAGE, 3));
    kv_disk_flush(d);
    kv_disk_close(d);
    kv_disk_close(NULL);
    temp_dir_remove();
}

/* -- what is not believed -------------------------------------------------------------- */

static void cut(const char *path)
{
    assert_int_equal(truncate(path, FILE_SIZE - 1), 0);
}

static void longer(const char *path)
{
    assert_int_equal(truncate(path, FILE_SIZE + 1), 0);
}

static void empty(const char *path)
{
    assert_int_equal(truncate(path, 0), 0);
}

static void open_to_others(const char *path)
{
    assert_int_equal(chmod(path, 0622), 0);
}

static void linked(const char *path)
{
    char to[600];

    (void)snprintf(to, sizeof(to), "%s/elsewhere", temp_dir);
    assert_int_equal(rename(path, to), 0);
    assert_int_equal(symlink(to, path), 0);
}

static void test_bad_files(void **state)
{
    static void (*const harm[])(const char *path) = {cut, longer, empty, open_to_others,
                                                     linked};
    struct kv_disk *d;

    (void)state;
    temp_dir_make();
    d = disk_open(0);
    for (size_t i = 0; i < sizeof(harm) / sizeof(*harm); i++) {
        put(d, KV_DISK_PAGE, 1, 0);
        kv_disk_flush(d);
        assert_int_equal(temp_dir_each(".page", harm[i]), 1);
        assert_false(get(d, KV_DISK_PAGE, 1));
        assert_int_equal(temp_dir_count(".page"), 0); /* it is removed */
        assert_int_equal(stats_of(d).bad, i + 1);
        put(d, KV_DISK_PAGE, 1, 0); /* and can be there again */
        kv_disk_flush(d);
        assert_true(get(d, KV_DISK_PAGE, 1));
        temp_dir_clear();
    }
    kv_disk_close(d);
    temp_dir_remove();
}

static void test_every_byte(void **state)
{
    struct kv_disk *d;
    char path[600];

    (void)state;
    temp_dir_make();
    d = disk_open(0);
    (void)snprintf(path, sizeof(path), "%s/", temp_dir);
    for (int i = 0; i < 32; i++)
        (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "%02x", 0x31);
    (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), ".page");
    for (int at = 0; at < FILE_SIZE; at++) {
        put(d, KV_DISK_PAGE, 1, 0);
        kv_disk_flush(d);
        temp_dir_flip(path, at);
        if (get(d, KV_DISK_PAGE, 1))
            fail_msg("byte %d", at);
    }
    kv_disk_close(d);
    temp_dir_remove();
}

/* A good file under another's name; and what stands there asks for other tokens, or other
 * sizes. */
static void test_not_the_same(void **state)
{
    const struct thing *a = thing_of(KV_DISK_PAGE, 1);
    unsigned char data[2 * N_DATA];
    int32_t ids[N_ID];
    struct kv_disk_item it = a->it;
    struct kv_disk *d;

    (void)state;
    temp_dir_make();
    d = disk_open(0);
    for (int k = 0; k < 3; k++) {
        it = a->it;
        memcpy(ids, a->ids, sizeof(ids));
        put(d, KV_DISK_PAGE, 1, 0);
        kv_disk_flush(d);
        if (k == 0) {
            ids[N_ID - 1]++;
            it.ids = ids;
        } else if (k == 1) {
            it.n_data--;
        } else {
            char from[600], to[600], hex[3] = "31";

            (void)snprintf(from, sizeof(from), "%s/", temp_dir);
            (void)snprintf(to, sizeof(to), "%s/", temp_dir);
            for (int i = 0; i < 32; i++) {
                (void)snprintf(from + strlen(from), 3, "%s", hex);
                (void)snprintf(to + strlen(to), 3, "32");
            }
            (void)snprintf(from + strlen(from), 6, ".page");
            (void)snprintf(to + strlen(to), 6, ".page");
            assert_int_equal(rename(from, to), 0);
            memset(it.key, 0x32, sizeof(it.key));
        }
        assert_int_equal(kv_disk_get(d, &it, data), 0);
        assert_int_equal(temp_dir_count(".page"), 0);
    }
    kv_disk_close(d);
    temp_dir_remove();
}

static void test_bad_places(void **state)
{
    struct kv_disk *d = NULL;
    struct err e = {0};
    char path[300];
    int fd;

    (void)state;
    temp_dir_make();
    assert_int_equal(chmod(temp_dir, 0777), 0);
    assert_int_equal(kv_disk_open(&d, temp_dir, 0, N_ID, N_DATA, &e), E_IO);
    assert_non_null(strstr(e.msg, temp_dir));
    assert_int_equal(chmod(temp_dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/file", temp_dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(kv_disk_open(&d, path, 0, N_ID, N_DATA, &e), E_IO);
    assert_null(d);
    temp_dir_remove();
}

/* What a writer that was killed left goes, what others keep here stays. */
static void test_left_over(void **state)
{
    static const char *const names[] = {"0123456789abcdef.kept.tmp", "notes.page", "x.state"};
    char path[300];

    (void)state;
    temp_dir_make();
    for (int i = 0; i < 3; i++) {
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", temp_dir, names[i]);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    kv_disk_close(disk_open(1));
    assert_int_equal(temp_dir_count(".kept.tmp"), 0);
    assert_int_equal(temp_dir_count(""), 2);
    temp_dir_remove();
}

/* -- the budget ------------------------------------------------------------------------ */

static void test_budget(void **state)
{
    enum { ROOM = 8 };
    struct kv_disk *d, *other;

    (void)state;
    temp_dir_make();
    d = disk_open(ROOM * FILE_SIZE);
    for (int i = 0; i < ROOM; i++)
        put(d, KV_DISK_PAGE, i, 1000000 * (uint64_t)(100 - i));
    kv_disk_flush(d);
    assert_int_equal(temp_dir_count(""), ROOM);
    kv_disk_used(d, KV_DISK_PAGE, thing_of(KV_DISK_PAGE, 0)->it.key, 0);
    put(d, KV_DISK_PAGE, 20, 0);
    kv_disk_flush(d);
    assert_int_equal(temp_dir_count(""), ROOM - 1); /* a sixteenth is kept free */
    assert_int_equal(stats_of(d).evicted, 2);
    assert_true(get(d, KV_DISK_PAGE, 0)); /* it was used */
    assert_false(get(d, KV_DISK_PAGE, 1));
    assert_false(get(d, KV_DISK_PAGE, 2));
    assert_true(get(d, KV_DISK_PAGE, 3));
    /* Another process writes, too: together they stay within it, but for what one of them may
     * write before it looks. */
    other = disk_open(ROOM * FILE_SIZE);
    for (int i = 30; i < 50; i++) {
        put(i % 2 ? d : other, KV_DISK_PAGE, i, 0);
        kv_disk_flush(i % 2 ? d : other);
        assert_in_range(temp_dir_count(""), 1, ROOM);
    }
    kv_disk_close(other);
    kv_disk_close(d);
    /* A smaller budget holds from the start; one that nothing fits keeps nothing. */
    kv_disk_close(disk_open(3 * FILE_SIZE));
    assert_in_range(temp_dir_count(""), 1, 3);
    d = disk_open(1);
    put(d, KV_DISK_PAGE, 60, 0);
    kv_disk_flush(d);
    assert_int_equal(temp_dir_count(""), 0);
    assert_int_equal(stats_of(d).left_out, 1);
    kv_disk_close(d);
    temp_dir_remove();
}

static void test_no_memory(void **state)
{
    uint64_t nth = 0;
    int rc;

    (void)state;
    temp_dir_make();
    do {
        struct kv_disk *d = NULL;

        (void)mem_fail_at(++nth, 0);
        rc = kv_disk_open(&d, temp_dir, 0, N_ID, N_DATA, NULL);
        (void)mem_fail_at(0, 0);
        assert_true(rc == 0 || (rc < 0 && !d));
        kv_disk_close(d);
    } while (rc < 0);
    assert_in_range(nth, 4, 20);
    temp_dir_remove();
}

/* -- the format ------------------------------------------------------------------------ */

static void test_check(void **state)
{
    _Alignas(8) unsigned char file[sizeof(struct kv_disk_head) + 8 + 5] = {0};
    struct kv_disk_head h = {.version = KV_DISK_VERSION, .n_id = 2, .n_data = 5};
    struct kv_disk_view v;
    struct err e = {0};

    (void)state;
    memcpy(h.magic, "HRTHKEPT", 8);
    memset(file + sizeof(h), 7, 13);
    h.data = digest_bytes(0, file + sizeof(h) + 8, 5);
    for (int bad = 0; bad < 6; bad++) {
        struct kv_disk_head b = h;

        b.magic[0] = (char)(bad == 1 ? 'h' : 'H');
        b.version += bad == 2;
        b.n_id = bad == 3 ? UINT64_MAX / 4 : 2;
        b.n_data += bad == 4;
        b.kind = bad == 5 ? 9 : 0;
        b.digest = digest_bytes(0, &b, offsetof(struct kv_disk_head, digest));
        b.digest = digest_bytes(b.digest, file + sizeof(h), 8);
        memcpy(file, &b, sizeof(b));
        assert_int_equal(kv_disk_check(file, sizeof(file), &v, &e), bad ? E_FORMAT : 0);
    }
    assert_int_equal(kv_disk_check(file, 10, &v, &e), E_FORMAT);
    assert_int_equal(kv_disk_check(NULL, 0, &v, &e), E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_byte),     cmocka_unit_test(test_not_the_same),
        cmocka_unit_test(test_bad_places),     cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_budget),         cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
