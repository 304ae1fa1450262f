/* store.c - opening a store, finding models in it, and going through all. */
#include "store/store_priv.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "sys/path.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int store_open(struct store **out, const char *dir, struct err *e)
{
    const char *env = getenv("HEARTH_MODELS");
    struct store *s = mem_calloc(1, sizeof(*s));
    struct buf b;
    int rc = 0;

    if (!s)
        return err_set(e, E_NOMEM, "no memory for a store");
    buf_init(&b, STORE_PATH_MAX);
    if (!dir && env && *env)
        dir = env;
    if (!dir) {
        rc = path_xdg(&b, PATH_DATA, "models", e);
        dir = b.p;
    }
    if (rc == 0) {
        s->dir = mem_strdup(dir);
        if (!s->dir)
            rc = err_set(e, E_NOMEM, "no memory for a store");
    }
    buf_done(&b);
    if (rc < 0)
        store_close(s);
    else
        *out = s;
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    mem_free(s->dir);
    mem_free(s);
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

/* -- one ----------------------------------------------------------------------------------- */

static int load(const char *path, const struct name *n, struct store_model *m, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, STORE_MANIFEST_MAX);
    rc = store_file_read(path, &b, &m->modified_ns, e);
    if (rc == 0)
        rc = store_manifest_read(m, path, (struct str){b.p, b.n}, e);
    buf_done(&b);
    name_text(n, m->name);
    return rc;
}

/* Where the model lies that is called so. */
static int find(const struct store *s, struct str name, struct name *n,
                char path[STORE_PATH_MAX], struct err *e)
{
    int rc = name_parse(n, name, e);

    if (rc == 0)
        rc = store_place(s, n, path, e);
    if (rc == 0)
        return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
    return rc < 0 ? rc : 0;
}

int store_find(struct store *s, struct str name, struct store_model *out, struct err *e)
{
    char path[STORE_PATH_MAX];
    struct name n;
    int rc;

    store_model_init(out);
    rc = find(s, name, &n, path, e);
    if (rc == 0)
        rc = load(path, &n, out, e);
    if (rc == E_NOT_FOUND) /* gone meanwhile, too */
        (void)err_set(e, rc, "model '%.*s' not found", (int)(name.n < 400 ? name.n : 400),
                      name.p);
    return rc;
}

int store_from_path(struct store_model *out, const char *path, struct err *e)
{
    char full[PATH_MAX];
    struct buf b;
    int rc = 0;

    store_model_init(out);
    if (!realpath(path, full))
        return err_sys(e, errno == ENOENT || errno == ENOTDIR ? E_NOT_FOUND : E_IO, errno, "%s",
                       path);
    out->path = store_keep(out, str_of(full)).p;
    out->params = json_object();
    out->messages = json_array();
    if (!out->path || !out->params || !out->messages)
        return err_set(e, E_NOMEM, "no memory for a model");
    rc = store_header(out, e);
    buf_init(&b, STORE_MANIFEST_MAX);
    if (rc == 0)
        rc = store_manifest_write(out, &b, e);
    if (rc == 0)
        sha256_hex(b.p, b.n, out->digest);
    buf_done(&b);
    (void)snprintf(out->name, sizeof(out->name), "%s", path);
    return rc;
}

int store_copy(struct store *s, struct str from, struct str to, struct err *e)
{
    char source[STORE_PATH_MAX], target[STORE_PATH_MAX];
    struct name n, m;
    int64_t when;
    struct buf b;
    int rc = find(s, from, &n, source, e), lock;

    if (rc == 0)
        rc = name_parse(&m, to, e);
    if (rc < 0)
        return rc;
    lock = store_lock(s, e);
    if (lock < 0)
        return lock;
    buf_init(&b, STORE_MANIFEST_MAX);
    rc = store_file_read(source, &b, &when, e);
    if (rc == 0)
        rc = store_place(s, &m, target, e);
    if (rc >= 0)
        rc = store_file_write(target, (struct str){b.p, b.n}, e);
    buf_done(&b);
    store_unlock(lock);
    return rc;
}

int store_remove(struct store *s, struct str name, struct err *e)
{
    char path[STORE_PATH_MAX];
    struct name n;
    int rc = find(s, name, &n, path, e), lock;

    if (rc < 0)
        return rc;
    lock = store_lock(s, e);
    if (lock < 0)
        return lock;
    rc = store_file_remove(s, path, e);
    store_unlock(lock);
    if (rc == E_NOT_FOUND)
        (void)err_set(e, rc, "model '%.*s' not found", (int)name.n, name.p);
    return rc;
}

int store_modelfile(const struct store_model *m, struct buf *out)
{
    struct modelfile mf = {
        .template = m->template,
        .system = m->system,
        .renderer = m->renderer,
        .parser = m->parser,
        .requires = m->requires,
        .license = m->license,
        .n_license = m->n_license,
        .params = m->params,
        .messages = m->messages,
    };
    struct str from = str_of(m->path);
    int rc = 0;

    mf.from = &from;
    mf.n_from = 1;
    mf.draft = m->draft ? str_of(m->draft) : (struct str){NULL, 0};
    arena_init(&mf.mem, SIZE_MAX / 2);
    if (m->n_adapter) {
        mf.adapter = arena_calloc(&mf.mem, m->n_adapter, sizeof(*mf.adapter));
        rc = mf.adapter ? 0 : E_NOMEM;
    }
    for (size_t i = 0; rc == 0 && i < m->n_adapter; i++)
        mf.adapter[mf.n_adapter++] = str_of(m->adapter[i]);
    if (rc == 0)
        rc = buf_fmt(out, "# Made by hearth. To change the model, copy this into a Modelfile\n"
                          "# and run: hearth create NAME -f Modelfile\n");
    if (rc == 0)
        rc = modelfile_write(&mf, out);
    arena_done(&mf.mem);
    return rc;
}
