/* ask_key.c - what a key may ask for, beyond its routes: its models, and whether it has a say
 * in how long models stay. */
#include "serve/ask.h"

#include "serve/auth.h"

/* Fails: *status, *param of the answer. */
static int may_use(const struct call *c, const struct gate_request *q, int *status,
                   const char **param, struct err *e)
{
    if (!c->who)
        return 0;
    if (!auth_model(c->who, q->model)) {
        *status = 404;
        *param = "model";
        return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)q->model.n, q->model.p);
    }
    if (q->kind == GATE_LOAD && q->keep_alive_ns == 0 && !(c->who->scopes & SCOPE_MANAGE)) {
        *status = 403;
        *param = "keep_alive";
        return err_set(e, E_INVALID, "this key may not unload models: it has no scope manage");
    }
    return 0;
}

/* How long a model stays is everybody's matter: who may not manage models has no say in it. */
static void check_keep_alive(const struct call *c, struct gate_request *q,
                             struct field_report *report)
{
    if (!c->who || (c->who->scopes & SCOPE_MANAGE) || q->keep_alive_ns == GATE_KEEP_DEFAULT)
        return;
    q->keep_alive_ns = GATE_KEEP_DEFAULT;
    field_warn(report, "keep_alive has no effect: this key has no scope manage");
}

int ask_key(const struct call *c, struct gate_request *q, struct field_report *report,
            int *status, const char **param, struct err *e)
{
    int rc = may_use(c, q, status, param, e);

    if (rc == 0)
        check_keep_alive(c, q, report);
    return rc;
}
