/* store_each.c - goes through all models, the newest first. */
#include "store/store_priv.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *path;
    struct name name;
    struct store_model *model;
};

struct listing {
    struct store *store;
    struct entry *v;
    size_t n, cap;
    int skipped;
};

static int no_room(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for a list of models");
}

static int add(struct listing *l, const char *path, const struct name *n, struct err *e)
{
    char *copy = mem_strdup(path);

    if (copy && l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct entry *more = mem_realloc(l->v, cap * sizeof(*more));

        if (!more) {
            mem_free(copy);
            return no_room(e);
        }
        l->v = more;
        l->cap = cap;
    }
    if (!copy)
        return no_room(e);
    l->v[l->n++] = (struct entry){copy, *n, NULL};
    return 0;
}

/* A file four folders deep: its path below the manifests is its name. */
static int add_file(struct listing *l, const char *path, struct err *e)
{
    const char *rest = path + strlen(l->store->dir) + strlen("/manifests/");
    size_t len = strlen(rest), tail = strlen(".json");
    char text[STORE_PATH_MAX];
    struct err why = {0};
    struct name n;
    char *slash;
    int rc;

    (void)snprintf(text, sizeof(text), "%.*s", (int)(len > tail ? len - tail : 0), rest);
    slash = strrchr(text, '/');
    if (slash)
        *slash = ':';
    if (len <= tail || strcmp(rest + len - tail, ".json") != 0)
        rc = err_set(&why, E_FORMAT, "its name does not end in .json");
    else
        rc = name_parse(&n, str_of(text), &why);
    if (rc == 0)
        return add(l, path, &n, e);
    l->skipped++;
    (void)err_set(e, rc, "%s: not a manifest: %s", path, why.msg);
    return 0;
}

/* path has room to grow; depth: folders above the files. */
static int walk(struct listing *l, char *path, int depth, struct err *e)
{
    size_t n = strlen(path);
    const struct dirent *d;
    DIR *dir = opendir(path);
    int rc = 0;

    if (!dir)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_sys(e, E_IO, errno, "read the folder %s", path);
    while (rc == 0 && (d = readdir(dir)) != NULL) {
        if (d->d_name[0] == '.' || (size_t)snprintf(path + n, STORE_PATH_MAX - n, "/%s",
                                                    d->d_name) >= STORE_PATH_MAX - n)
            continue;
        rc = depth > 0 ? walk(l, path, depth - 1, e) : add_file(l, path, e);
    }
    path[n] = '\0';
    (void)closedir(dir);
    return rc;
}

static int load(struct listing *l, struct entry *en, struct err *e)
{
    struct err why = {0};
    char text[NAME_MAX_TEXT];
    int rc;

    en->model = mem_calloc(1, sizeof(*en->model));
    if (!en->model)
        return no_room(e);
    name_text(&en->name, text);
    rc = store_find(l->store, str_of(text), en->model, &why);
    if (rc == 0)
        return 0;
    store_model_done(en->model);
    mem_free(en->model);
    en->model = NULL;
    if (rc == E_NOMEM)
        return no_room(e);
    if (rc == E_NOT_FOUND) /* removed meanwhile */
        return 0;
    l->skipped++;
    (void)err_set(e, rc, "%s", why.msg);
    return 0;
}

/* Those that were not loaded come last. */
static int newer_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (!x->model || !y->model)
        return !x->model - !y->model;
    if (x->model->modified_ns != y->model->modified_ns)
        return x->model->modified_ns < y->model->modified_ns ? 1 : -1;
    return strcmp(x->model->name, y->model->name);
}

int store_each(struct store *s, int (*visit)(void *ctx, const struct store_model *m), void *ctx,
               int *skipped, struct err *e)
{
    struct listing l = {.store = s};
    char path[STORE_PATH_MAX];
    int rc = 0;

    if (snprintf(path, sizeof(path), "%s/manifests", s->dir) >= (int)sizeof(path))
        return err_set(e, E_TOO_LONG, "%s: the path is too long for a store", s->dir);
    rc = walk(&l, path, 3, e);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = load(&l, &l.v[i], e);
    if (rc == 0 && l.n)
        qsort(l.v, l.n, sizeof(*l.v), newer_first);
    for (size_t i = 0; rc == 0 && i < l.n && l.v[i].model; i++)
        if (visit(ctx, l.v[i].model))
            break;
    for (size_t i = 0; i < l.n; i++) {
        if (l.v[i].model)
            store_model_done(l.v[i].model);
        mem_free(l.v[i].model);
        mem_free(l.v[i].path);
    }
    mem_free(l.v);
    if (skipped)
        *skipped = l.skipped;
    return rc;
}
