/* run_stored.c - `hearth run NAME`: what the store keeps of a model, as if it had been said on
 * the command line, where the line's own words win. */
#include "cmd/run.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A parameter's value as options are read. */
static const char *text_of(const json_t *v, char room[NUM_TEXT])
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_integer(v))
        (void)snprintf(room, NUM_TEXT, "%lld", (long long)json_integer_value(v));
    else
        (void)num_double(room, json_real_value(v));
    return room;
}

static int apply(struct run *r, const char *name, const json_t *v, struct err *e)
{
    const struct opt_row *row = opt_param(&run_spec, name);
    char room[NUM_TEXT];
    const json_t *item;
    size_t i;
    int rc = 0;

    if (strcmp(name, "num_ctx") == 0) {
        r->opt.num_ctx = (int)json_integer_value(v);
        return 0;
    }
    if (strcmp(name, "num_predict") == 0 && json_integer_value(v) < 0)
        return 0; /* as many as fit, in both of its ways */
    if (strcmp(name, "seed") == 0 && json_integer_value(v) < 0)
        return 0; /* another each time */
    if (!row) {
        log_line(LOG_WARN, "the model's parameter %s changes nothing here", name);
        return 0;
    }
    if (!json_is_array(v))
        return opt_set(row, name, text_of(v, room), &r->opt, e);
    json_array_foreach(v, i, item)
    {
        if (rc == 0)
            rc = opt_set(row, name, json_string_value(item), &r->opt, e);
    }
    return rc;
}

static int apply_all(struct run *r, struct err *e)
{
    const struct store_model *m = &r->stored;
    const char *name;
    json_t *v;
    int rc = 0;

    json_object_foreach(m->params, name, v)
    {
        if (rc == 0)
            rc = apply(r, name, v, e);
    }
    if (rc == 0 && m->system.n)
        r->opt.system = m->system.p;
    for (size_t i = 0; rc == 0 && i < m->n_adapter && r->opt.lora.path.n < OPT_LIST_MAX; i++)
        r->opt.lora.path.v[r->opt.lora.path.n++] = m->adapter[i];
    if (m->draft)
        log_line(LOG_WARN, "the model that guesses ahead (DRAFT) is used by a server only");
    return rc;
}

int run_stored(struct run *r, int argc, char **argv, struct err *e)
{
    struct store *s = NULL;
    int rc;

    if (access(r->path, F_OK) == 0 || store_open(&s, NULL, NULL) < 0)
        return 0;
    rc = store_find(s, str_of(r->path), &r->stored, e);
    store_close(s);
    if (rc == E_NOT_FOUND || rc == E_INVALID)
        return 0; /* said with better words when it is opened as a path */
    if (rc < 0)
        return rc;
    r->path = r->stored.path;
    opt_defaults(&run_spec, &r->opt);
    rc = apply_all(r, e);
    if (rc < 0)
        return err_wrap(e, rc, "%s", r->stored.name);
    rc = opt_parse(&run_spec, argc, argv, &r->opt, e);
    return rc < 0 ? rc : 0;
}
