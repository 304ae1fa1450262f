/* local_room.c - room for engines: who leaves so that another can come, and who waits for it.
 *
 * Idle models leave at once. When that is not enough, busy ones leave, too: they answer what
 * they are answering, but who asks for one from then on begins a new load of it, which comes
 * after those that wait already. So everybody has a turn, and no answer is cut.
 *
 * Order    Loads find room in the order in which they began. What an earlier one waits for is
 *          promised to it: a later one has what it needs only where that fits beside all that
 *          stays and all that is promised, so it delays nobody who was before it; and it waits
 *          while an earlier one is at work between its two grants, for what that will need is
 *          not known yet. One load is passed, without a promise: one that could not have room
 *          though all that it may send away went, since busy models of higher priority are in
 *          its way, which may be busy for ever. It has its place again when one of them rests
 * Deadlock Memory is granted in two steps: for the weights, then for all. Only the first of
 *          those who wait, and only one that is not passed, waits with the first grant in its
 *          hands. Any other that cannot have the second one at once steps back: it lets go of
 *          what it has made, and begins again, now knowing what it needs
 */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "sys/cgroup.h"

#include <unistd.h>

/* Of the memory for models, what one model's cache takes at most, when nothing is configured.
 */
enum { KV_PART = 4, NAMES_MAX = 300 };

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

enum part { PART_NONE, PART_LEAVING, PART_PINNED, PART_IDLE, PART_BUSY, PART_ABOVE };

/* What one of the other models is for one that wants room. A busy one of higher priority is
 * waited for, but not made to leave; one that is being loaded may have nothing that could. */
static enum part part_of(const struct local_engine *en, const struct local_engine *self)
{
    if (en->state == LOCAL_LEAVING)
        return PART_LEAVING;
    if (local_engine_pinned(en))
        return PART_PINNED;
    if (en->state == LOCAL_READY && !en->refs)
        return PART_IDLE;
    if (!en->settled)
        return PART_NONE;
    return local_engine_priority(en) <= local_engine_priority(self) ? PART_BUSY : PART_ABOVE;
}

/* Of low priority first, then who was used longest ago. */
static int goes_before(const struct local_engine *a, const struct local_engine *b)
{
    int x = local_engine_priority(a), y = b ? local_engine_priority(b) : 0;

    return !b || (x != y ? x < y : a->used_ns < b->used_ns);
}

static int fits(uint64_t bytes, uint64_t beside, uint64_t budget)
{
    return bytes <= budget && beside <= budget - bytes;
}

/* Though all that it may send away went, it would not fit. */
static int is_stuck(const struct local_engine *self, uint64_t budget)
{
    uint64_t kept = 0;

    for (const struct local_engine *en = self->l->engines; en; en = en->next) {
        enum part part = en == self ? PART_NONE : part_of(en, self);

        kept += part == PART_PINNED || part == PART_ABOVE ? en->bytes : 0;
    }
    return !fits(self->need, kept, budget);
}

struct room {
    uint64_t used, pinned;
    uint64_t stays;                   /* of that, what is not on its way out */
    uint64_t kept;                    /* of that, what cannot be sent away now */
    uint64_t promised;                /* to those who began earlier */
    struct local_engine *idle, *busy; /* the ones that go first; NULL: none */
    int turn;                         /* 1: nobody who began earlier is at work */
    int stuck;
};

static void look_at(struct room *r, const struct local_engine *self, struct local_engine *en,
                    uint64_t budget)
{
    enum part part = part_of(en, self);

    r->used += en->bytes;
    r->stays += part == PART_LEAVING ? 0 : en->bytes;
    r->pinned += part == PART_PINNED ? en->bytes : 0;
    r->kept += part == PART_PINNED || part == PART_ABOVE || part == PART_NONE ? en->bytes : 0;
    if (part == PART_IDLE && goes_before(en, r->idle))
        r->idle = en;
    if (part == PART_BUSY && goes_before(en, r->busy))
        r->busy = en;
    if (en->settled || en->number > self->number)
        return;
    if (!en->waits)
        r->turn = 0;
    else if (!is_stuck(en, budget))
        r->promised += en->need - en->bytes;
}

static struct room room_of(const struct local_engine *self, uint64_t budget)
{
    struct room r = {.turn = 1, .stuck = is_stuck(self, budget)};

    for (struct local_engine *en = self->l->engines; en; en = en->next) {
        if (en != self)
            look_at(&r, self, en, budget);
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

/* Adds the names of pinned models to *text, as far as they go in. */
static void name_pinned(const struct local_engine *self, struct buf *text)
{
    for (const struct local_model *m = self->l->models; m; m = m->next) {
        if (m->en != self && m->en->bytes && m->pinned && !m->leaving &&
            buf_fmt(text, "%s'%s'", text->n ? ", " : "", local_name(m)) < 0)
            return;
    }
}

/* It cannot be had by waiting: what is in the way, and what to do. */
static int never_fits(const struct local_engine *en, uint64_t need, uint64_t budget,
                      uint64_t pinned, struct err *e)
{
    const double mib = 1 << 20;
    struct buf names;

    if (need > budget)
        return err_set(
            e, E_NOMEM,
            "model '%s' needs %.1f MiB of memory, all models together may have %.1f: "
            "allow more (models.memory), or let it have less (a smaller context, or "
            "fewer texts at once)",
            en->name, (double)need / mib, (double)budget / mib);
    buf_init(&names, NAMES_MAX);
    name_pinned(en, &names);
    (void)err_set(
        e, E_NOMEM,
        "model '%s' needs %.1f MiB of memory, but %.1f of %.1f MiB are those of pinned "
        "models, which do not leave: %.*s; unpin one (pin), or allow more "
        "(models.memory)",
        en->name, (double)need / mib, (double)pinned / mib, (double)budget / mib, (int)names.n,
        names.p ? names.p : "");
    buf_done(&names);
    return E_NOMEM;
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

/* 1: there is room for it now, and for what is promised to others. */
static int has_room(const struct local_engine *en, const struct room *r, uint64_t budget)
{
    return r->turn && fits(en->need, r->used, budget) &&
           (!r->promised || fits(en->need, r->stays + r->promised, budget));
}

/* Whom to send away for it; NULL: nobody, or not now, or it would be for nothing. */
static struct local_engine *who_goes(const struct local_engine *en, const struct room *r,
                                     uint64_t budget)
{
    if (!r->turn || r->stuck || fits(en->need, r->stays + r->promised, budget) ||
        !fits(en->need, r->kept + r->promised, budget))
        return NULL;
    return r->idle ? r->idle : r->busy;
}

enum look { LOOK_AGAIN, LOOK_OVER };

/* One look. OVER: *rc is 0: it has room; 1: it steps back; or why it can have none. Under the
 * lock, which is left while it waits. */
static enum look find_room(struct local_engine *en, uint64_t machine, int *rc, struct err *e)
{
    struct local *l = en->l;
    uint64_t budget = budget_of(l, machine);
    struct room r = room_of(en, budget);
    struct local_engine *goes;

    *rc = local_wanted(en, e);
    if (*rc == 0 && !fits(en->need, r.pinned, budget))
        *rc = never_fits(en, en->need, budget, r.pinned, e);
    if (*rc < 0 || has_room(en, &r, budget))
        return LOOK_OVER;
    goes = who_goes(en, &r, budget);
    if (goes) {
        send_away(goes, en);
    } else if (en->bytes && (r.stuck || (r.turn && r.promised))) {
        *rc = 1;
        return LOOK_OVER;
    } else {
        (void)pthread_cond_wait(&l->change, &l->lock);
    }
    return LOOK_AGAIN;
}

int local_room(struct local_engine *en, uint64_t bytes, int all, struct err *e)
{
    struct local *l = en->l;
    uint64_t machine = machine_bytes();
    int rc = 0;

    local_lock(l);
    if (bytes > en->need || all)
        en->need = bytes;
    en->waits = 1;
    (void)pthread_cond_broadcast(&l->change); /* what it needs is known now */
    while (find_room(en, machine, &rc, e) == LOOK_AGAIN) {
    }
    en->waits = 0;
    if (rc == 0 && !en->bytes)
        en->load_ns = clock_ns(); /* what went before was waiting */
    if (rc == 0)
        en->bytes = en->need;
    if (rc == 0 && all)
        en->settled = 1;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    return rc;
}

void local_room_back(struct local_engine *en)
{
    local_lock(en->l);
    en->bytes = 0;
    (void)pthread_cond_broadcast(&en->l->change);
    local_unlock(en->l);
}

void local_room_lost(struct local_engine *en)
{
    en->settled = 1;
    call_back(en);
    (void)pthread_cond_broadcast(&en->l->change);
}
