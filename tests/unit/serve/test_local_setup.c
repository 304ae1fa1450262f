/* What the configuration says of models: that each setting changes what it is there to change.
 */
#include "local_test.h"

#include <dirent.h>

/* One request to its end; what it counted. */
static struct gate_usage usage_of(struct local *l, struct gate_request *q)
{
    struct gate_usage u;
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_fine(&g);
    u = g.usage;
    got_done(&g);
    return u;
}

static void refused(struct local *l, struct gate_request *q, int code, const char *words)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_error(&g, code, words);
    got_done(&g);
}

/* A prompt of several pages of the cache. */
static struct gate_request *ask_long(uint64_t tenant)
{
    struct gate_request *q;
    char text[600] = "";
    size_t n = 0;

    for (int i = 0; i < 24; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "Lily saw bird %d. ", i);
    q = ask_text("tiny", text, 2);
    q->tenant = tenant;
    return q;
}

static struct config config_long(void)
{
    struct config c = config_small();

    c.n_ctx = 512;
    return c;
}

static void test_share_prefixes(void **state)
{
    struct config c = config_long();

    (void)state;
    NEEDS_TINY();
    for (int share = 0; share < 2; share++) {
        struct local *l;

        c.share_prefixes = share;
        l = local_make(&c);
        assert_int_equal(usage_of(l, ask_long(7)).n_cached, 0);
        assert_true(usage_of(l, ask_long(7)).n_cached > 0);
        assert_true((usage_of(l, ask_long(8)).n_cached > 0) == share);
        local_free(l);
    }
}

/* Removes a directory of files; returns how many there were. */
static int clear_dir(const char *path)
{
    const struct dirent *d;
    DIR *dir = opendir(path);
    int n = 0;

    while (dir && (d = readdir(dir))) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        n += unlinkat(dirfd(dir), d->d_name, 0) == 0;
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
    return n;
}

static void test_kv_disk(void **state)
{
    struct config c = config_long();
    char dir[] = "/tmp/hearth-test-XXXXXX";
    struct local *l;

    (void)state;
    NEEDS_TINY();
    assert_non_null(mkdtemp(dir));
    c.kv_disk = dir;
    c.kv_disk_bytes = 64 << 20;
    l = local_make(&c);
    assert_int_equal(usage_of(l, ask_long(0)).n_cached, 0);
    local_free(l);
    l = local_make(&c);
    assert_true(usage_of(l, ask_long(0)).n_cached > 0);
    local_free(l);
    assert_true(clear_dir(dir) > 0);
}

static void test_pack_cache(void **state)
{
    struct config c = config_small();
    char dir[] = "/tmp/hearth-test-XXXXXX";

    (void)state;
    NEEDS_TINY();
    assert_non_null(mkdtemp(dir));
    c.pack_cache = dir;
    for (int again = 0; again < 2; again++) {
        struct local *l = local_make(&c);
        struct hearth_model_info info;
        struct local_model *m = NULL;
        struct err e = {0};

        assert_int_equal(local_hold(l, str_of("tiny"), &m, &e), 0);
        hearth_model_info(local_hearth(m), &info);
        assert_int_equal(info.pack_cached, again);
        local_let_go(m);
        local_free(l);
    }
    assert_int_equal(clear_dir(dir), 1);
}

static void kv_of(void *ctx, const struct local_info *i)
{
    *(uint64_t *)ctx = i->kv_bytes;
}

static uint64_t kv_bytes(const struct config *c)
{
    struct local *l = local_make(c);
    uint64_t n = 0;

    (void)usage_of(l, ask_text("tiny", "Once", 2));
    local_each(l, kv_of, &n);
    local_free(l);
    return n;
}

static void test_kv(void **state)
{
    struct config c = config_long();
    uint64_t f16, f32, some;

    (void)state;
    NEEDS_TINY();
    f16 = kv_bytes(&c);
    c.kv = "f32";
    f32 = kv_bytes(&c);
    assert_true(f32 > f16 + f16 / 2);
    c.kv_memory = (int64_t)(f32 / 2);
    some = kv_bytes(&c);
    assert_true(some > 0 && some <= f32 / 2);
}

/* A text that says the same again and again is guessed ahead from itself. */
static struct gate_request *ask_again(const char *model)
{
    return ask_text(model, "The cat sat. The cat sat. The cat sat. The cat sat. The cat", 24);
}

/* Whether guesses pay is told by the time that steps took, which is anything on a busy machine:
 * what ask_it makes is asked until some were tried. */
static struct gate_usage guessed(struct local *l, struct gate_request *(*ask_it)(const char *))
{
    struct gate_usage u = {0};

    for (int i = 0; i < 200 && u.n_drafted == 0; i++)
        u = usage_of(l, ask_it("tiny"));
    assert_true(u.n_drafted > 0);
    return u;
}

static void test_lookup(void **state)
{
    static struct config_model own[] = {
        {.name = "other:latest", .lookup = 0, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    assert_int_equal(usage_of(l, ask_again("tiny")).n_drafted, 0);
    local_free(l);
    c.lookup = 4;
    c.model = own;
    c.n_model = 1;
    l = local_make(&c);
    (void)guessed(l, ask_again);
    assert_int_equal(usage_of(l, ask_again("other")).n_drafted, 0);
    local_free(l);
}

static struct gate_request *ask_once(const char *model)
{
    return ask_text(model, "Once upon a time", 24);
}

static void test_draft(void **state)
{
    static struct config_model own[] = {
        {.name = "tiny:latest", .draft = "other", .keep_alive_ns = GATE_KEEP_DEFAULT},
        {.name = "talker:latest", .draft = "nobody", .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;
    uint64_t both;

    (void)state;
    NEEDS_TINY();
    c.model = own;
    c.n_model = 2;
    l = local_make(&c);
    assert_true(guessed(l, ask_once).n_accepted > 0); /* it is the model itself */
    both = count_models(l, -1).bytes;
    assert_int_equal(usage_of(l, ask_once("other")).n_drafted, 0);
    /* Which takes of the budget what it takes. */
    assert_true(both > (count_models(l, -1).bytes - both) * 3 / 2);
    refused(l, ask_text("talker", "Once", 2), E_NOT_FOUND, "draft: model 'nobody' not found");
    local_free(l);
}

static void names_of(void *ctx, const struct local_info *i)
{
    struct buf *b = ctx;

    assert_int_equal(buf_fmt(b, " %s", i->name), 0);
}

/* The one of lower priority leaves, though it was used last. */
static void test_priority(void **state)
{
    static struct config_model own[] = {
        {.name = "other:latest", .priority = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;
    struct buf b;

    (void)state;
    NEEDS_TINY();
    c.model = own;
    c.n_model = 1;
    l = local_make(&c);
    (void)usage_of(l, ask_text("tiny", "Once", 2));
    (void)usage_of(l, ask_text("other", "Once", 2));
    c.memory = (int64_t)(count_models(l, -1).bytes * 5 / 4); /* of two and a half */
    local_reload(l, config_kept(&c));
    (void)usage_of(l, ask_text("talker", "Once", 2));
    buf_init(&b, 1000);
    local_each(l, names_of, &b);
    assert_non_null(strstr(b.p, "tiny"));
    assert_null(strstr(b.p, "other"));
    buf_done(&b);
    local_free(l);
}

/* gate/many.h is there for several prompts; who comes without it is not answered in part. */
static void test_several(void **state)
{
    static const char *const text[] = {"Once", "The cat"};
    struct config c = config_small();
    struct local *l = local_make(&c);

    (void)state;
    refused(l, ask_inputs(GATE_TEXT, "tiny", text, 2), E_INVALID, "2 prompts");
    refused(l, ask_inputs(GATE_INFILL, "tiny", text, 2), E_INVALID, "2 prompts");
    assert_int_equal(count_models(l, -1).n, 0);
    local_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_prefixes), cmocka_unit_test(test_kv_disk),
        cmocka_unit_test(test_pack_cache),     cmocka_unit_test(test_kv),
        cmocka_unit_test(test_lookup),         cmocka_unit_test(test_draft),
        cmocka_unit_test(test_priority),       cmocka_unit_test(test_several),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
