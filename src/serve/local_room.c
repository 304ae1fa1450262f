/* local_room.c - room for engines: who leaves so that another can come, and who waits for it.
 *
 * Loads find room one after the other, in the order in which they began: a load's turn lasts
 * until all of its memory is granted, so that no two of them wait for what the other one has.
 * Idle models leave at once. When that is not enough, busy ones leave, too: they answer what
 * they are answering, but who asks for one from then on begins a new load of it, which comes
 * after those that wait already. So everybody has a turn, and no answer is cut.
 */
#include "serve/local_priv.h"

#include "base/clock.h"
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
    struct local_engine *idle, *busy; /* the ones that go first; NULL: none */
    int turn;                         /* 1: nobody who began earlier waits */
};

/* Of low priority first, then who was used longest ago. */
static int goes_before(const struct local_engine *a, const struct local_engine *b)
{
    int x = local_engine_priority(a), y = b ? local_engine_priority(b) : 0;

    return !b || (x != y ? x < y : a->used_ns < b->used_ns);
}

/* What one of the other models means for who wants room. A busy one of higher priority is
 * waited for, but not made to leave. */
static void look_at(struct room *r, const struct local_engine *self, struct local_engine *en)
{
    r->used += en->bytes;
    if (!en->settled && en->number < self->number)
        r->turn = 0;
    if (en->state == LOCAL_LEAVING)
        r->leaving += en->bytes;
    else if (local_engine_pinned(en))
        r->pinned += en->bytes;
    else if (en->state == LOCAL_READY && !en->refs && goes_before(en, r->idle))
        r->idle = en;
    else if (en->settled && local_engine_priority(en) <= local_engine_priority(self) &&
             goes_before(en, r->busy))
        r->busy = en;
}

static struct room room_of(const struct local_engine *self)
{
    struct room r = {.turn = 1};

    for (struct local_engine *en = self->l->engines; en; en = en->next) {
        if (en != self)
            look_at(&r, self, en);
    }
    return r;
}

static void send_away(struct local_engine *en, const struct local_engine *self)
{
    if (en->refs)
        log_line(LOG_INFO, "model '%s' makes room for '%s' when its requests have ended",
                 en->name, self->name);
    for (struct local_model *m = en->l->models; m; m = m->next) {
        if (m->en != en || m->leaving)
            continue;
        local_leave(m);
        m->sent_by = self->number;
    }
}

/* Whoever was sent away for nothing, and is still there, stays; unless somebody who did not
 * know that is loading it again. */
static void call_back(const struct local_engine *self)
{
    for (struct local_model *m = self->l->models; m; m = m->next) {
        struct local_engine *en = m->en;

        if (m->sent_by != self->number || !en->refs || en->why.code ||
            local_loaded(m->l, local_name(m)))
            continue;
        m->sent_by = 0;
        m->leaving = 0;
        en->state = en->loaded ? LOCAL_READY : LOCAL_LOADING;
    }
}

/* -- who waits ------------------------------------------------------------------------- */

static int never_fits(const struct local_engine *en, uint64_t need, uint64_t budget,
                      uint64_t used, struct err *e)
{
    const double mib = 1 << 20;

    return err_set(e, E_NOMEM,
                   "model '%s' needs %.1f MiB of memory, but %.1f MiB of %.1f MiB are free and "
                   "no idle model can make room; 'memory' in the configuration allows more",
                   en->name, (double)need / mib,
                   (double)(used < budget ? budget - used : 0) / mib, (double)budget / mib);
}

int local_wanted(struct local_engine *en, struct err *e)
{
    if (en->l->stopping)
        return err_set(e, E_CANCELLED, "the server is shutting down");
    if (en->l->draining)
        return err_set(e, E_BUSY, "the server is shutting down");
    if (en->refs || (en->state != LOCAL_LEAVING && (en->stays || local_engine_pinned(en))))
        return 0;
    local_leave_all(en); /* so that nobody comes to wait for it */
    return err_set(e, E_CANCELLED, "nobody waits for model '%s' any more", en->name);
}

/* One look. 1: it has room, or can have none; 0: look again. Under the lock, which is left
 * while it waits. */
static int find_room(struct local_engine *en, uint64_t bytes, uint64_t machine, int *rc,
                     struct err *e)
{
    struct local *l = en->l;
    uint64_t budget = budget_of(l, machine);
    struct room r = room_of(en);

    *rc = local_wanted(en, e);
    if (*rc < 0)
        return 1;
    if (bytes > budget || r.pinned > budget - bytes) {
        *rc = never_fits(en, bytes, budget, r.used, e);
        return 1;
    }
    if (r.turn && r.used <= budget - bytes)
        return 1;
    if (r.turn && r.used - r.leaving > budget - bytes && (r.idle || r.busy))
        send_away(r.idle ? r.idle : r.busy, en);
    else
        (void)pthread_cond_wait(&l->change, &l->lock);
    return 0;
}

int local_room(struct local_engine *en, uint64_t bytes, int all, struct err *e)
{
    struct local *l = en->l;
    uint64_t machine = machine_bytes();
    int rc = 0;

    local_lock(l);
    while (!find_room(en, bytes, machine, &rc, e)) {
    }
    if (rc == 0 && !en->bytes)
        en->load_ns = clock_ns(); /* what went before was waiting */
    if (rc == 0)
        en->bytes = bytes;
    if (rc == 0 && all) {
        en->settled = 1;
        (void)pthread_cond_broadcast(&l->change);
    }
    local_unlock(l);
    return rc;
}

void local_room_lost(struct local_engine *en)
{
    en->settled = 1;
    call_back(en);
    (void)pthread_cond_broadcast(&en->l->change);
}
