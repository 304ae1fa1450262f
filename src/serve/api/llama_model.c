/* llama_model.c - which model is meant by who names none: the only one that is loaded, or else
 * the only one that there is.
 */
#include "serve/api/llama.h"

#include "serve/auth.h"
#include "serve/local.h"
#include "store/store.h"

#include <stdio.h>

/* The models that this client may use: how many, and the first one's name. */
struct search {
    const struct call *c;
    char name[NAME_MAX_TEXT];
    int n;
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
