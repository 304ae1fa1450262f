/* local_room.c - room for models: who leaves so that another can come, and who waits for it.
 *
 * Loads find room one after the other, in the order in which they began: a load's turn lasts
 * until all of its memory is granted, so that no two of them wait for what the other one has.
 * Idle models leave at once. When that is not enough, busy ones leave, too: they answer what
 * they are answering, but who asks for one from then on begins a new load of it, which comes
 * after those that wait already. So everybody has a turn, and no answer is cut.
 */
#include "serve/local_priv.h"

#include "base/log.h"
#include "sys/cgroup.h"

#include <unistd.h>

/* Of the memory for models, what one model's cache takes at most, when nothing is configured.
 */
enum { KV_PART = 4 };

#define SHARE_OF_MACHINE 0.8 /* of its memory, for models, when nothing is configured */

/* -- the budget ------------------------------------------------------------------------ */

static uint64_t machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    uint64_t group = cgroup_memory(NULL, NULL);

    return (uint64_t)((double)(group < all ? group : all) * SHARE_OF_MACHINE);
}

/* Under the lock. */
static uint64_t budget_of(const struct local *l, uint64_t machine)
{
    return l->config->memory > 0 ? (uint64_t)l->config->memory : machine;
}

uint64_t local_kv_most(struct local *l)
{
    uint64_t machine = machine_bytes(), all;

    local_lock(l);
    all = budget_of(l, machine);
    local_unlock(l);
    return all / KV_PART;
}

/* -- who leaves ------------------------------------------------------------------------ */

struct room {
    uint64_t used, leaving, pinned;
    struct local_model *idle, *busy; /* the ones that go first; NULL: none */
    int turn;                        /* 1: nobody who began earlier waits */
};

/* Of low priority first, then who was used longest ago. */
static int goes_before(const struct local_model *a, const struct local_model *b)
{
    return !b ||
           (a->priority != b->priority ? a->priority < b->priority : a->used_ns < b->used_ns);
}

/* What one of the other models means for who wants room. A busy one of higher priority is
 * waited for, but not made to leave. */
static void look_at(struct room *r, const struct local_model *self, struct local_model *m)
{
    r->used += m->bytes;
    if (!m->settled && m->number < self->number)
        r->turn = 0;
    if (m->state == LOCAL_LEAVING)
        r->leaving += m->bytes;
    else if (m->pinned)
        r->pinned += m->bytes;
    else if (m->state == LOCAL_READY && !m->refs && goes_before(m, r->idle))
        r->idle = m;
    else if (m->settled && m->priority <= self->priority && goes_before(m, r->busy))
        r->busy = m;
}

static struct room room_of(const struct local_model *self)
{
    struct room r = {.turn = 1};

    for (struct local_model *m = self->l->models; m; m = m->next) {
        if (m != self)
            look_at(&r, self, m);
    }
    return r;
}

static void send_away(struct local_model *m, const struct local_model *self)
{
    if (m->refs)
        log_line(LOG_INFO, "model '%s' makes room for '%s' when its requests have ended",
                 local_name(m), local_name(self));
    metrics_put(m->l->metrics, METRIC_EVICTIONS, local_name(m), NULL, NULL, 1);
    local_leave(m);
    m->sent_by = self->number;
}

/* Whoever was sent away for nothing, and is still there, stays; unless somebody who did not
 * know that is loading it again. */
static void call_back(const struct local_model *self)
{
    for (struct local_model *m = self->l->models; m; m = m->next) {
        if (m->sent_by != self->number || m->state != LOCAL_LEAVING || !m->refs ||
            m->why.code || local_loaded(m->l, local_name(m)))
            continue;
        m->sent_by = 0;
        m->state = m->loaded ? LOCAL_READY : LOCAL_LOADING;
    }
}

/* -- who waits ------------------------------------------------------------------------- */

static int never_fits(const struct local_model *m, uint64_t need, uint64_t budget,
                      uint64_t used, struct err *e)
{
    const double mib = 1 << 20;

    return err_set(e, E_NOMEM,
                   "model '%s' needs %.1f MiB of memory, but %.1f MiB of %.1f MiB are free and "
                   "no idle model can make room; 'memory' in the configuration allows more",
                   local_name(m), (double)need / mib,
                   (double)(used < budget ? budget - used : 0) / mib, (double)budget / mib);
}

int local_wanted(struct local_model *m, struct err *e)
{
    if (m->l->stopping)
        return err_set(e, E_CANCELLED, "the server is shutting down");
    if (m->refs || (m->state != LOCAL_LEAVING && (m->pinned || m->stays)))
        return 0;
    m->state = LOCAL_LEAVING; /* so that nobody comes to wait for it */
    return err_set(e, E_CANCELLED, "nobody waits for model '%s' any more", local_name(m));
}

/* One look. 1: it has room, or can have none; 0: look again. Under the lock, which is left
 * while it waits. */
static int find_room(struct local_model *m, uint64_t bytes, uint64_t machine, int *rc,
                     struct err *e)
{
    struct local *l = m->l;
    uint64_t budget = budget_of(l, machine);
    struct room r = room_of(m);

    *rc = local_wanted(m, e);
    if (*rc < 0)
        return 1;
    if (bytes > budget || r.pinned > budget - bytes) {
        *rc = never_fits(m, bytes, budget, r.used, e);
        return 1;
    }
    if (r.turn && r.used <= budget - bytes)
        return 1;
    if (r.turn && r.used - r.leaving > budget - bytes && (r.idle || r.busy))
        send_away(r.idle ? r.idle : r.busy, m);
    else
        (void)pthread_cond_wait(&l->change, &l->lock);
    return 0;
}

int local_room(struct local_model *m, uint64_t bytes, int all, struct err *e)
{
    struct local *l = m->l;
    uint64_t machine = machine_bytes();
    int rc = 0;

    local_lock(l);
    while (!find_room(m, bytes, machine, &rc, e)) {
    }
    if (rc == 0)
        m->bytes = bytes;
    if (rc == 0 && all) {
        m->settled = 1;
        (void)pthread_cond_broadcast(&l->change);
    }
    local_unlock(l);
    return rc;
}

void local_room_lost(struct local_model *m)
{
    m->settled = 1;
    call_back(m);
    (void)pthread_cond_broadcast(&m->l->change);
}
