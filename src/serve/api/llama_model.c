/* llama_model.c - which model is meant by who names none: the only one that is loaded, or else
 * the only one that there is; and which one is looked at, where one of several will do.
 */
#include "serve/api/llama.h"

#include "serve/auth.h"
#include "serve/local.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

/* The models that this client may use: how many, and the first one's name. */
struct search {
    const struct call *c;
    char name[NAME_MAX_TEXT];
    int n;
    uint64_t used_ns; /* when the one of that name was asked for */
};

static void found(struct search *f, const char *name)
{
    if (f->c->who && !auth_model(f->c->who, str_of(name)))
        return;
    if (f->n++ == 0)
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
}

static void found_loaded(void *ctx, const struct local_info *i)
{
    if (i->state != LOCAL_LEAVING)
        found(ctx, i->name);
}

static int found_stored(void *ctx, const struct store_model *m)
{
    found(ctx, m->name);
    return 0;
}

/* The one that was asked for last; one that is loading is not waited for while there is
 * another. */
static void found_last(void *ctx, const struct local_info *i)
{
    struct search *f = ctx;
    uint64_t used = i->state == LOCAL_READY ? i->used_ns : 0;

    if (i->state == LOCAL_LEAVING || (f->n && used <= f->used_ns) ||
        (f->c->who && !auth_model(f->c->who, str_of(i->name))))
        return;
    f->n = 1;
    f->used_ns = used;
    (void)snprintf(f->name, sizeof(f->name), "%s", i->name);
}

int llama_model_seen(struct serve *s, const struct call *c, struct str named, struct str *out,
                     struct arena *mem, struct err *e)
{
    struct search f = {.c = c};
    int rc = 0;

    if (named.n)
        return llama_model(s, c, named, out, mem, e);
    if (s->local)
        local_each(s->local, found_last, &f);
    if (!f.n)
        rc = store_each(s->store, found_stored, &f, NULL, e);
    if (rc < 0)
        return rc;
    out->n = f.n == 1 ? strlen(f.name) : 0;
    out->p = arena_strdup(mem, (struct str){f.name, out->n});
    return out->p ? 0 : err_set(e, E_NOMEM, "no memory for a name");
}

int llama_model(struct serve *s, const struct call *c, struct str named, struct str *out,
                struct arena *mem, struct err *e)
{
    struct search loaded = {.c = c}, stored = {.c = c};
    struct str name = named;
    int rc = 0;

    if (named.n && c->who && !auth_model(c->who, named))
        return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)named.n, named.p);
    if (!named.n && s->local)
        local_each(s->local, found_loaded, &loaded);
    if (!named.n && loaded.n != 1)
        rc = store_each(s->store, found_stored, &stored, NULL, e);
    if (rc < 0)
        return rc;
    if (!named.n && loaded.n != 1 && stored.n != 1)
        return err_set(e, E_INVALID,
                       stored.n
                           ? "model is required, as there are %d; GET /models lists them"
                           : "model is required, and there are %d; `hearth create` makes one",
                       stored.n);
    if (!named.n)
        name = str_of(loaded.n == 1 ? loaded.name : stored.name);
    out->p = arena_strdup(mem, name);
    out->n = name.n;
    return out->p ? 0 : err_set(e, E_NOMEM, "no memory for a name");
}
