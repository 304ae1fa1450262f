/* Keys in memory. Whoever reads the file again makes another set if it is another file; former
 * ones stay until the end, since calls may hold their keys. The file: auth_file.c. */
#include "serve/auth_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fnmatch.h>
#include <pthread.h>
#include <string.h>

enum { TOKEN_MAX = 512 }; /* of a key: nobody has to hash more, for each key that there is */

struct auth {
    pthread_mutex_t lock; /* of `now` and the buckets */
    struct auth_keys *now;
};

int auth_new(struct auth **out, const char *path, struct err *e)
{
    struct auth *a = mem_calloc(1, sizeof(*a));
    int rc;

    if (!a)
        return err_set(e, E_NOMEM, "no memory for keys");
    (void)pthread_mutex_init(&a->lock, NULL);
    rc = auth_reload(a, path, e);
    if (rc < 0) {
        auth_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void auth_free(struct auth *a)
{
    struct auth_keys *k, *next;

    if (!a)
        return;
    for (k = a->now; k; k = next) {
        next = k->older;
        auth_keys_free(k);
    }
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

int auth_any(const struct auth *a)
{
    struct auth *w = (struct auth *)(uintptr_t)a; /* its lock */
    int any;

    (void)pthread_mutex_lock(&w->lock);
    any = w->now && w->now->asked;
    (void)pthread_mutex_unlock(&w->lock);
    return any;
}

/* Who was slowed down stays slowed down. */
static void keep_buckets(struct auth_keys *to, const struct auth_keys *from)
{
    for (int i = 0; from && i < to->n; i++) {
        for (int k = 0; k < from->n; k++) {
            if (strcmp(to->key[i].pub.name, from->key[k].pub.name) == 0) {
                to->key[i].left = from->key[k].left;
                to->key[i].left_ns = from->key[k].left_ns;
            }
        }
    }
}

int auth_reload(struct auth *a, const char *path, struct err *e)
{
    struct auth_keys *k = NULL;
    int rc = auth_file_read(&k, path, e), same;

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&a->lock);
    same = a->now && a->now->asked == k->asked &&
           memcmp(a->now->text, k->text, sizeof(k->text)) == 0;
    if (!same) {
        keep_buckets(k, a->now);
        k->older = a->now;
        a->now = k;
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (same)
        auth_keys_free(k);
    return 0;
}

/* All keys are compared, all bytes of each. */
static struct auth_stored *find(struct auth_keys *keys, struct str token)
{
    struct auth_stored *found = NULL;

    for (int i = 0; i < keys->n; i++) {
        struct auth_stored *k = &keys->key[i];
        unsigned char hash[SHA256_SIZE], differs = 0;

        auth_hash(k->salt, token, hash);
        for (int b = 0; b < SHA256_SIZE; b++)
            differs |= (unsigned char)(hash[b] ^ k->hash[b]);
        found = differs ? found : k;
    }
    return found;
}

/* A bucket that holds a minute's requests and fills evenly: 1, or 0 and when to come back. */
static int may_pass(struct auth_stored *k, int *retry_s)
{
    double most = k->pub.per_minute, rate = most / 60e9;
    uint64_t now = clock_ns();

    if (k->pub.per_minute <= 0)
        return 1;
    if (k->left_ns == 0)
        k->left = most;
    else
        k->left += (double)(now - k->left_ns) * rate;
    k->left = k->left < most ? k->left : most;
    k->left_ns = now;
    if (k->left >= 1) {
        k->left -= 1;
        return 1;
    }
    *retry_s = (int)((1 - k->left) / (rate * 1e9)) + 1;
    return 0;
}

int auth_check(struct auth *a, struct str token, int scope, const struct auth_key **who,
               int *retry_s)
{
    struct auth_stored *k;
    int answer = AUTH_OK;

    *who = NULL;
    (void)pthread_mutex_lock(&a->lock);
    k = token.n <= TOKEN_MAX ? find(a->now, token) : NULL;
    if (!k || token.n == 0)
        answer = AUTH_WHO;
    else if ((k->pub.scopes & scope) != scope)
        answer = AUTH_SCOPE;
    else if (!may_pass(k, retry_s))
        answer = AUTH_SLOW;
    else
        *who = &k->pub;
    (void)pthread_mutex_unlock(&a->lock);
    return answer;
}

/* 1: a path that leaves the folder which it seems to lie in. */
static int goes_up(const char *name)
{
    for (const char *at = strstr(name, ".."); at; at = strstr(at + 1, "..")) {
        if ((at == name || at[-1] == '/') && (at[2] == '/' || !at[2]))
            return 1;
    }
    return 0;
}

int auth_model(const struct auth_key *who, struct str model)
{
    char name[256];

    if (!who || who->n_model == 0)
        return 1;
    if (model.n >= sizeof(name))
        return 0;
    memcpy(name, model.p, model.n);
    name[model.n] = '\0';
    if (strlen(name) != model.n || goes_up(name))
        return 0;
    for (int i = 0; i < who->n_model; i++) {
        if (fnmatch(who->model[i], name, FNM_NOESCAPE) == 0)
            return 1;
        if (strchr(name, ':') == NULL && model.n + 8 < sizeof(name)) {
            memcpy(name + model.n, ":latest", 8); /* what a name without a tag means */
            if (fnmatch(who->model[i], name, FNM_NOESCAPE) == 0)
                return 1;
            name[model.n] = '\0';
        }
    }
    return 0;
}

void auth_each(struct auth *a, void (*visit)(void *ctx, const struct auth_key *k), void *ctx)
{
    (void)pthread_mutex_lock(&a->lock);
    for (int i = 0; i < a->now->n; i++)
        visit(ctx, &a->now->key[i].pub);
    (void)pthread_mutex_unlock(&a->lock);
}
