/* test_auth.c - keys: who they let in, for what, how often; the file that they stand in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "serve/auth.h"
#include "serve/route.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/hearth-auth-XXXXXX";
static char path[64];

static void write_file(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void add(struct buf *key, const char *name, int scopes, int per_minute,
                const char *model)
{
    struct auth_key k = {.name = name,
                         .scopes = scopes,
                         .per_minute = per_minute,
                         .priority = per_minute ? 3 : 0,
                         .model = &model,
                         .n_model = model != NULL};
    struct err e = {0};

    buf_init(key, 256);
    if (auth_add(path, &k, key, &e) < 0)
        fail_msg("%s", e.msg);
}

static struct auth *load(void)
{
    struct auth *a = NULL;
    struct err e = {0};

    if (auth_new(&a, path, &e) < 0)
        fail_msg("%s", e.msg);
    return a;
}

static int check(struct auth *a, const char *token, int scope, const struct auth_key **who)
{
    int retry = -1, answer = auth_check(a, str_of(token), scope, who, &retry);

    assert_true(answer != AUTH_SLOW || (retry >= 1 && retry <= 61));
    assert_true((answer == AUTH_OK) == (*who != NULL));
    return answer;
}

static void test_none(void **state)
{
    struct auth *a = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(auth_new(&a, NULL, &e), 0);
    assert_int_equal(auth_any(a), 0);
    auth_free(a);
    auth_free(NULL);
    assert_int_equal(auth_new(&a, "/nowhere/keys", &e), E_NOT_FOUND);
}

static void test_keys(void **state)
{
    struct buf alice, root;
    const struct auth_key *who;
    struct auth *a;
    struct stat st;
    char wrong[128];

    (void)state;
    (void)unlink(path);
    add(&alice, "alice", SCOPE_INFER, 0, "qwen*");
    add(&root, "root", SCOPE_INFER | SCOPE_MANAGE | SCOPE_METRICS, 0, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(alice.n > 40);
    a = load();
    assert_int_equal(auth_any(a), 1);
    assert_int_equal(check(a, alice.p, SCOPE_INFER, &who), AUTH_OK);
    assert_string_equal(who->name, "alice");
    assert_true(who->id != 0);
    assert_int_equal(auth_model(who, str_of("qwen3:4b")), 1);
    assert_int_equal(auth_model(who, str_of("llama3")), 0);
    assert_int_equal(auth_model(NULL, str_of("llama3")), 1);
    assert_int_equal(check(a, alice.p, SCOPE_MANAGE, &who), AUTH_SCOPE);
    assert_int_equal(check(a, root.p, SCOPE_METRICS, &who), AUTH_OK);
    assert_int_equal(auth_model(who, str_of("llama3")), 1);
    assert_int_equal(check(a, "", SCOPE_INFER, &who), AUTH_WHO);
    assert_int_equal(check(a, "hearth-", SCOPE_INFER, &who), AUTH_WHO);
    (void)snprintf(wrong, sizeof(wrong), "%sx", alice.p);
    assert_int_equal(check(a, wrong, SCOPE_INFER, &who), AUTH_WHO);
    wrong[alice.n - 1] = '\0';
    assert_int_equal(check(a, wrong, SCOPE_INFER, &who), AUTH_WHO);
    auth_free(a);
    buf_done(&alice);
    buf_done(&root);
}

/* "*" stands for slashes too, but no way leads out of what a pattern allows. */
static void test_paths(void **state)
{
    const char *models[] = {"/m/a/*"};
    const struct auth_key who = {.name = "k", .model = models, .n_model = 1};

    (void)state;
    assert_int_equal(auth_model(&who, str_of("/m/a/b/x.gguf")), 1);
    assert_int_equal(auth_model(&who, str_of("/m/a/x..gguf")), 1);
    assert_int_equal(auth_model(&who, str_of("/m/a/../b/x.gguf")), 0);
    assert_int_equal(auth_model(&who, str_of("/m/a/b/..")), 0);
    assert_int_equal(auth_model(&who, str_of("/m/b/x.gguf")), 0);
    assert_int_equal(auth_model(&who, (struct str){"/m/a/x\0/../..", 13}), 0);
}

static void test_hidden(void **state)
{
    struct buf key;
    char text[4096] = "";
    int fd;

    (void)state;
    (void)unlink(path);
    add(&key, "k", SCOPE_INFER, 0, NULL);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_int_equal(close(fd), 0);
    assert_null(strstr(text, key.p));
    assert_null(strstr(text, key.p + 7));
    buf_done(&key);
}

static void test_rate(void **state)
{
    const struct auth_key *who;
    struct err e = {0};
    struct buf key;
    struct auth *a;

    (void)state;
    (void)unlink(path);
    add(&key, "slow", SCOPE_INFER, 3, NULL);
    a = load();
    for (int i = 0; i < 3; i++)
        assert_int_equal(check(a, key.p, SCOPE_INFER, &who), AUTH_OK);
    assert_int_equal(who->priority, 3);
    assert_int_equal(check(a, key.p, SCOPE_INFER, &who), AUTH_SLOW);
    assert_int_equal(auth_reload(a, path, &e), 0);
    assert_int_equal(check(a, key.p, SCOPE_INFER, &who), AUTH_SLOW); /* still */
    auth_free(a);
    buf_done(&key);
}

static void test_reload(void **state)
{
    const struct auth_key *old, *who;
    struct err e = {0};
    struct buf one, two;
    struct auth *a;

    (void)state;
    (void)unlink(path);
    add(&one, "one", SCOPE_INFER, 0, NULL);
    a = load();
    assert_int_equal(check(a, one.p, SCOPE_INFER, &old), AUTH_OK);
    /* The same file makes the same keys, and takes no memory again. */
    assert_int_equal(auth_reload(a, path, &e), 0);
    assert_int_equal(check(a, one.p, SCOPE_INFER, &who), AUTH_OK);
    assert_ptr_equal(who, old);
    add(&two, "two", SCOPE_INFER, 0, NULL);
    assert_int_equal(check(a, two.p, SCOPE_INFER, &who), AUTH_WHO);
    assert_int_equal(auth_remove(path, "one", &e), 0);
    assert_int_equal(auth_reload(a, path, &e), 0);
    assert_int_equal(check(a, two.p, SCOPE_INFER, &who), AUTH_OK);
    assert_int_equal(check(a, one.p, SCOPE_INFER, &who), AUTH_WHO);
    assert_string_equal(old->name, "one"); /* who has it still may look at it */
    write_file("nonsense\n", 0600);
    assert_int_equal(auth_reload(a, path, &e), E_INVALID);
    assert_int_equal(check(a, two.p, SCOPE_INFER, &who), AUTH_OK);
    auth_free(a);
    buf_done(&one);
    buf_done(&two);
}

static void test_add(void **state)
{
    static const char *const names[] = {"", "a b", "a\nb", "../x", "a:b", "#a"};
    const char *model = "a b";
    struct auth_key k = {.name = "same", .scopes = SCOPE_INFER};
    struct err e = {0};
    struct buf key;

    (void)state;
    (void)unlink(path);
    buf_init(&key, 1024);
    assert_int_equal(auth_remove(path, "same", &e), E_NOT_FOUND);
    assert_int_equal(auth_add(path, &k, &key, &e), 0);
    assert_int_equal(auth_add(path, &k, &key, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "already"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        k.name = names[i];
        if (auth_add(path, &k, &key, &e) != E_INVALID)
            fail_msg("taken: '%s'", names[i]);
    }
    k.name = "m";
    k.model = &model;
    k.n_model = 1;
    assert_int_equal(auth_add(path, &k, &key, &e), E_INVALID);
    assert_int_equal(auth_remove(path, "sam", &e), E_NOT_FOUND);
    assert_int_equal(auth_remove(path, "same", &e), 0);
    auth_free(load());
    buf_done(&key);
}

#define HEX16 "00112233445566778899aabbccddeeff"

static void test_file(void **state)
{
    static const struct {
        const char *text, *what;
        mode_t mode;
    } wrong[] = {
        {"a " HEX16 ":" HEX16 HEX16 " infer\n", "chmod 600", 0640},
        {"a " HEX16 ":" HEX16 HEX16 " infer\n", "chmod 600", 0604},
        {"a " HEX16 ":" HEX16 HEX16 "\n", ":1: this is no line", 0600},
        {"# c\n\na " HEX16 ":" HEX16 " infer\n", ":3: this is no line", 0600},
        {"a " HEX16 ":" HEX16 HEX16 " all\n", "'all' is no scope", 0600},
        {"a " HEX16 ":" HEX16 HEX16 " infer x=1\n", "'x' is no setting", 0600},
        {"a " HEX16 ":" HEX16 HEX16 " infer per_minute=-1\n", "no number", 0600},
        {"a " HEX16 ":" HEX16 HEX16 " infer per_minute=\n", "no number", 0600},
        {"a " HEX16 ":" HEX16 HEX16 " infer\na " HEX16 ":" HEX16 HEX16 " infer\n",
         ":2: there are two", 0600},
        {"a " HEX16 ":" HEX16 "00112233445566778899AABBCCDDEEFF infer\n", "no line", 0600},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct auth *a = NULL;
        struct err e = {0};

        write_file(wrong[i].text, wrong[i].mode);
        assert_int_equal(auth_new(&a, path, &e), E_INVALID);
        if (!strstr(e.msg, wrong[i].what))
            fail_msg("'%s', want '%s'", e.msg, wrong[i].what);
    }
    write_file("# nobody\n", 0600);
    auth_free(load());
}

static void count(void *ctx, const struct auth_key *k)
{
    assert_true(k->scopes > 0);
    ++*(int *)ctx;
}

static void test_each(void **state)
{
    struct auth *a;
    int n = 0;

    (void)state;
    write_file("\ta  " HEX16 ":" HEX16 HEX16
               "\tinfer,metrics  models=a,b priority=-5 per_minute=7\n"
               "b " HEX16 ":" HEX16 HEX16 " manage",
               0600);
    a = load();
    auth_each(a, count, &n);
    assert_int_equal(n, 2);
    auth_free(a);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/keys", dir);
    return 0;
}

static int tear_down(void **state)
{
    char lock[80];

    (void)state;
    (void)snprintf(lock, sizeof(lock), "%s.lock", path);
    (void)unlink(lock);
    (void)unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_paths),  cmocka_unit_test(test_rate),
        cmocka_unit_test(test_hidden), cmocka_unit_test(test_rate),
        cmocka_unit_test(test_reload), cmocka_unit_test(test_add),
        cmocka_unit_test(test_file),   cmocka_unit_test(test_each),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
