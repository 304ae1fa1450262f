/* store_create.c - from a Modelfile to a manifest. */
#include "store/store_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
    struct store *store;
    const struct modelfile *mf;
    const char *dir;      /* NULL: no paths */
    struct store_model m; /* what is made */
    struct err *e;
};

static int no_room(struct making *k)
{
    return err_set(k->e, E_NOMEM, "no memory for a model");
}

/* What errors show of a text from a Modelfile. */
static int shown(struct str s)
{
    return s.n < 200 ? (int)s.n : 200;
}

/* 1 and an absolute path, when there is a file or a folder that is called so. */
static int find_path(const struct making *k, struct str text, char full[PATH_MAX])
{
    const char *home = getenv("HOME");
    char path[PATH_MAX];
    int n;

    if (!k->dir || text.n == 0 || memchr(text.p, 0, text.n))
        return 0;
    if (*text.p == '/')
        n = snprintf(path, sizeof(path), "%.*s", (int)text.n, text.p);
    else if (text.n > 1 && memcmp(text.p, "~/", 2) == 0 && home)
        n = snprintf(path, sizeof(path), "%s/%.*s", home, (int)text.n - 2, text.p + 2);
    else
        n = snprintf(path, sizeof(path), "%s/%.*s", k->dir, (int)text.n, text.p);
    return n >= 0 && n < (int)sizeof(path) && realpath(path, full) != NULL;
}

static int looks_like_path(struct str s)
{
    static const char end[] = ".gguf";
    size_t n = strlen(end);

    return s.n && (strchr("/.~", *s.p) || (s.n >= n && memcmp(s.p + s.n - n, end, n) == 0));
}

static int keep_path(struct making *k, const char *path, const char **out)
{
    *out = store_keep(&k->m, str_of(path)).p;
    return *out ? 0 : no_room(k);
}

/* Where ADAPTER and DRAFT lie. */
static int beside(struct making *k, const char *word, struct str text, const char **out)
{
    char full[PATH_MAX];

    if (!k->dir)
        return err_set(k->e, E_INVALID, "%s: paths are not allowed here", word);
    if (!find_path(k, text, full))
        return err_set(k->e, E_NOT_FOUND, "%s: no file '%.*s'", word, shown(text), text.p);
    return keep_path(k, full, out);
}

/* -- from another model ---------------------------------------------------------------- */

static int keep_text(struct making *k, struct str *out, struct str s)
{
    if (!s.p)
        return 0;
    *out = store_keep(&k->m, s);
    return out->p ? 0 : no_room(k);
}

static int add_licenses(struct making *k, const struct str *list, size_t n)
{
    struct str *all = arena_calloc(&k->m.mem, k->m.n_license + n + 1, sizeof(*all));

    if (!all)
        return no_room(k);
    for (size_t i = 0; i < k->m.n_license; i++)
        all[i] = k->m.license[i];
    k->m.license = all;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;

        while (at < k->m.n_license && !str_eq(all[at], list[i]))
            at++;
        if (at < k->m.n_license)
            continue;
        if (keep_text(k, &all[at], list[i]) < 0)
            return E_NOMEM;
        k->m.n_license++;
    }
    return 0;
}

static int inherit(struct making *k, const struct store_model *b)
{
    int rc = keep_path(k, b->path, &k->m.path);

    if (rc == 0 && b->draft)
        rc = keep_path(k, b->draft, &k->m.draft);
    if (rc == 0)
        rc = keep_text(k, &k->m.template, b->template);
    if (rc == 0)
        rc = keep_text(k, &k->m.system, b->system);
    if (rc == 0)
        rc = keep_text(k, &k->m.renderer, b->renderer);
    if (rc == 0)
        rc = keep_text(k, &k->m.parser, b->parser);
    if (rc == 0)
        rc = keep_text(k, &k->m.requires, b->requires);
    if (rc == 0)
        rc = add_licenses(k, b->license, b->n_license);
    if (rc == 0 && b->n_adapter) {
        k->m.adapter = arena_calloc(&k->m.mem, b->n_adapter, sizeof(*k->m.adapter));
        if (!k->m.adapter)
            return no_room(k);
        k->m.n_adapter = b->n_adapter;
        for (size_t i = 0; rc == 0 && i < b->n_adapter; i++)
            rc = keep_path(k, b->adapter[i], &k->m.adapter[i]);
    }
    if (rc == 0 && (json_object_update(k->m.params, b->params) != 0 ||
                    json_array_extend(k->m.messages, b->messages) != 0))
        rc = no_room(k);
    return rc;
}

static int find_from(struct making *k)
{
    struct str from = k->mf->from[0];
    struct store_model base;
    char full[PATH_MAX];
    int rc;

    if (k->mf->n_from > 1)
        return err_set(k->e, E_UNSUPPORTED,
                       "FROM: more than one; the other parts of a split model are found "
                       "without it, and models that see pictures are not supported yet");
    if (find_path(k, from, full))
        return keep_path(k, full, &k->m.path);
    rc = store_find(k->store, from, &base, k->e);
    if (rc == 0)
        rc = inherit(k, &base);
    store_model_done(&base);
    if (rc == E_NOT_FOUND || rc == E_INVALID) {
        if (!k->dir && looks_like_path(from))
            return err_set(k->e, E_INVALID, "FROM: '%.*s': paths are not allowed here",
                           shown(from), from.p);
        return err_set(k->e, E_NOT_FOUND,
                       k->dir ? "FROM: '%.*s' is neither a file or folder here, nor a model"
                              : "model '%.*s' not found",
                       shown(from), from.p);
    }
    return rc;
}

/* -- what the Modelfile says ----------------------------------------------------------- */

static int override(struct making *k)
{
    const struct modelfile *mf = k->mf;
    int rc = keep_text(k, &k->m.template, mf->template);

    if (rc == 0)
        rc = keep_text(k, &k->m.system, mf->system);
    if (rc == 0)
        rc = keep_text(k, &k->m.renderer, mf->renderer);
    if (rc == 0)
        rc = keep_text(k, &k->m.parser, mf->parser);
    if (rc == 0)
        rc = keep_text(k, &k->m.requires, mf->requires);
    if (rc == 0)
        rc = add_licenses(k, mf->license, mf->n_license);
    if (rc == 0 && json_object_update(k->m.params, mf->params) != 0)
        rc = no_room(k);
    if (rc == 0 && json_array_size(mf->messages)) {
        (void)json_array_clear(k->m.messages);
        if (json_array_extend(k->m.messages, mf->messages) != 0)
            rc = no_room(k);
    }
    if (rc == 0 && mf->draft.p)
        rc = beside(k, "DRAFT", mf->draft, &k->m.draft);
    if (rc == 0 && mf->n_adapter) {
        k->m.adapter = arena_calloc(&k->m.mem, mf->n_adapter, sizeof(*k->m.adapter));
        if (!k->m.adapter)
            return no_room(k);
        k->m.n_adapter = mf->n_adapter;
        for (size_t i = 0; rc == 0 && i < mf->n_adapter; i++)
            rc = beside(k, "ADAPTER", mf->adapter[i], &k->m.adapter[i]);
    }
    return rc;
}

static int look(struct making *k)
{
    int rc = store_header(&k->m, k->e);

    for (size_t i = 0; rc == 0 && i < k->m.n_adapter; i++)
        rc = store_header_adapter(&k->m, k->m.adapter[i], k->e);
    if (rc < 0 || !k->m.draft)
        return rc;
    if (strcmp(k->m.draft, k->m.path) == 0)
        return err_set(k->e, E_INVALID, "DRAFT: the same file as FROM");
    return store_header_draft(&k->m, k->m.draft, k->e);
}

static int put(struct making *k, struct str name)
{
    char path[STORE_PATH_MAX];
    struct name n;
    struct buf b;
    int rc = name_parse(&n, name, k->e), lock;

    if (rc < 0)
        return rc;
    lock = store_lock(k->store, k->e);
    if (lock < 0)
        return lock;
    buf_init(&b, STORE_MANIFEST_MAX);
    rc = store_manifest_write(&k->m, &b, k->e);
    if (rc == 0)
        rc = store_place(k->store, &n, path, k->e);
    if (rc >= 0)
        rc = store_file_write(path, (struct str){b.p, b.n}, k->e);
    buf_done(&b);
    store_unlock(lock);
    return rc;
}

static void say_nothing(void *ctx, const char *status)
{
    (void)ctx;
    (void)status;
}

int store_create(struct store *s, struct str name, const struct modelfile *mf, const char *dir,
                 void (*say)(void *ctx, const char *status), void *ctx, struct err *e)
{
    struct making k = {.store = s, .mf = mf, .dir = dir, .e = e};
    struct name n;
    int rc = name_parse(&n, name, e);

    if (rc < 0)
        return rc;
    if (!say)
        say = say_nothing;
    store_model_init(&k.m);
    k.m.params = json_object();
    k.m.messages = json_array();
    if (!k.m.params || !k.m.messages)
        rc = no_room(&k);
    if (rc == 0)
        rc = find_from(&k);
    if (rc == 0)
        rc = override(&k);
    if (rc == 0) {
        say(ctx, "reading model");
        rc = look(&k);
    }
    if (rc == 0) {
        say(ctx, "writing manifest");
        rc = put(&k, name);
    }
    store_model_done(&k.m);
    if (rc == 0)
        say(ctx, "success");
    return rc;
}
