/* rx_live.c - from which states a word is still accepted, and whether there are finitely many.
 *
 * Only intersections and complements can be empty and not look so. For those a search follows
 * edges, first to the states that are nearest to an end as far as one can see, until it finds
 * one that is live or has seen all there are.
 */
#include "text/gram/rx_priv.h"

/* What is known of a node at a glance: 1 live, 0 dead, -1 nothing. */
static int glance(const struct rx *r, rx_id id)
{
    const struct rx_node *n = rx_at(r, id);

    if (n->flags & (RX_LIVE | RX_NULLABLE))
        return 1;
    if (id == RX_NONE || (n->flags & RX_DEAD))
        return 0;
    return n->flags & RX_HARD ? -1 : 1;
}

/* -- the search ------------------------------------------------------------------------ */

struct seen {
    rx_id id;
    uint32_t from; /* place of the state that led here */
};

static uint32_t nearness(const struct rx *r, uint32_t place)
{
    return rx_at(r, RX_AT(struct seen, r->seen)[place].id)->least;
}

/* The heap holds places; of equally near ones the earlier comes first. */
static int nearer(const struct rx *r, uint32_t a, uint32_t b)
{
    uint32_t x = nearness(r, a), y = nearness(r, b);

    return x != y ? x < y : a < b;
}

static int heap_put(struct rx *r, uint32_t place)
{
    int rc = rx_push(r, &r->heap, place);
    uint32_t *h = r->heap.p;
    size_t i = r->heap.n - 1;

    if (rc < 0)
        return rc;
    for (; i > 0 && nearer(r, place, h[(i - 1) / 2]); i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = place;
    return 0;
}

static uint32_t heap_take(struct rx *r)
{
    uint32_t *h = r->heap.p, top = h[0], last = h[--r->heap.n];
    size_t n = r->heap.n, i = 0, k;

    while ((k = 2 * i + 1) < n) {
        if (k + 1 < n && nearer(r, h[k + 1], h[k]))
            k++;
        if (!nearer(r, h[k], last))
            break;
        h[i] = h[k];
        i = k;
    }
    h[i] = last;
    return top;
}

static int see(struct rx *r, rx_id id, uint32_t from)
{
    int rc = rx_room(r, &r->seen, 1, sizeof(struct seen));

    if (rc < 0)
        return rc;
    RX_AT(struct seen, r->seen)[r->seen.n++] = (struct seen){id, from};
    rx_at(r, id)->flags |= RX_FOUND;
    return heap_put(r, (uint32_t)r->seen.n - 1);
}

/* One state: 1 when a live one follows, 0 when not, all others that follow are seen now. */
static int expand(struct rx *r, uint32_t place)
{
    rx_id id = RX_AT(struct seen, r->seen)[place].id;
    uint32_t n;
    int rc;

    n = rx_part_of(r, id)->n_class;
    rc = rx_count(r, n);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        if (glance(r, rx_targets(r, id)[i]) == 1)
            return 1;
    }
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rx_id to = rx_targets(r, id)[i];

        if (glance(r, to) < 0 && !(rx_at(r, to)->flags & RX_FOUND))
            rc = see(r, to, place);
    }
    return rc;
}

/* Whether some word is accepted from id; what is learnt on the way is kept. */
static int search(struct rx *r, rx_id id)
{
    uint32_t place = 0;
    int rc;

    r->seen.n = r->heap.n = 0;
    rc = see(r, id, 0);
    while (rc == 0 && r->heap.n > 0) {
        place = heap_take(r);
        rc = rx_ensure(r, RX_AT(struct seen, r->seen)[place].id);
        if (rc == 0)
            rc = expand(r, place);
    }
    for (size_t i = 0; i < r->seen.n; i++) {
        struct rx_node *n = rx_at(r, RX_AT(struct seen, r->seen)[i].id);

        n->flags &= (uint16_t)~RX_FOUND;
        if (rc == 0)
            n->flags |= RX_DEAD;
    }
    if (rc == 1) {
        for (;; place = RX_AT(struct seen, r->seen)[place].from) {
            rx_at(r, RX_AT(struct seen, r->seen)[place].id)->flags |= RX_LIVE;
            if (place == 0)
                break;
        }
    }
    return rc;
}

/* -- by parts -------------------------------------------------------------------------- */

/* What the parts of a node say of it: 1 live, 0 dead; -1: ask *part first. */
static int by_parts(const struct rx *r, const struct rx_node *n, rx_id *part)
{
    const uint32_t *kid = RX_AT(uint32_t, r->word) + n->a;
    int a;

    if (n->kind == RX_K_ALT) {
        int known = 0;

        for (uint32_t i = 0; i < n->b; i++) {
            a = glance(r, kid[i]);
            if (a == 1)
                return 1;
            if (a < 0) {
                *part = kid[i];
                known = -1;
            }
        }
        return known;
    }
    *part = n->a;
    a = glance(r, n->a);
    if (a == 1 && n->kind == RX_K_SEQ) {
        *part = n->b;
        a = glance(r, n->b);
    }
    return a;
}

int rx_alive(struct rx *r, rx_id id)
{
    int rc = glance(r, id);

    if (rc >= 0)
        return rc;
    r->path.n = 0;
    rc = rx_push(r, &r->path, id);
    while (rc == 0 && r->path.n > 0) {
        rx_id top = RX_AT(uint32_t, r->path)[r->path.n - 1], part = RX_NONE;
        struct rx_node *n = rx_at(r, top);
        int live = glance(r, top);

        if (live < 0 && (n->kind == RX_K_AND || n->kind == RX_K_NOT)) {
            live = search(r, top);
            if (live < 0)
                return live;
        } else if (live < 0) {
            live = by_parts(r, n, &part);
        }
        if (live < 0) {
            rc = rx_push(r, &r->path, part);
            continue;
        }
        rx_at(r, top)->flags |= live ? RX_LIVE : RX_DEAD;
        r->path.n--;
    }
    return rc < 0 ? rc : glance(r, id);
}

int rx_live(struct rx *r, rx_id state, struct err *e)
{
    int rc = r->failed.code;

    if (rc == 0 && state >= r->node.n)
        return err_set(e, E_INTERNAL, "%u is no expression", (unsigned)state);
    r->work = 0;
    if (rc == 0)
        rc = rx_alive(r, state);
    return rc < 0 ? rx_error(r, e) : rc;
}

/* -- finitely many --------------------------------------------------------------------- */

struct turn {
    rx_id id;
    uint32_t next; /* class */
};

/* What one target says: 1 infinitely many, 0 finitely many or asked already; -1: ask it. */
static int endless(const struct rx *r, rx_id to)
{
    const struct rx_node *n = rx_at(r, to);

    if (to == RX_NONE || !(n->flags & RX_UNBOUNDED))
        return 0;
    if (!(n->flags & RX_HARD) || (n->flags & RX_OPEN))
        return 1;
    return n->flags & RX_SEEN ? 0 : -1;
}

static int turn_put(struct rx *r, rx_id id)
{
    int rc = rx_room(r, &r->turn, 1, sizeof(struct turn));

    if (rc == 0)
        rc = rx_push(r, &r->visited, id);
    if (rc < 0)
        return rc;
    RX_AT(struct turn, r->turn)[r->turn.n++] = (struct turn){id, 0};
    rx_at(r, id)->flags |= RX_SEEN | RX_OPEN;
    return 0;
}

/* Goes on from the state on top: 1 when its texts are endless. */
static int turn_step(struct rx *r)
{
    struct turn *t = RX_AT(struct turn, r->turn) + r->turn.n - 1;
    int rc = rx_ready(r, t->id);

    if (rc < 0)
        return rc;
    if (t->next == rx_part_of(r, t->id)->n_class) {
        rx_at(r, t->id)->flags &= (uint16_t)~RX_OPEN;
        r->turn.n--;
        return 0;
    }
    rc = endless(r, rx_targets(r, t->id)[t->next++]);
    return rc < 0 ? turn_put(r, rx_targets(r, t->id)[t->next - 1]) : rc;
}

int rx_finite(struct rx *r, rx_id state, struct err *e)
{
    int rc = rx_live(r, state, e);

    if (rc <= 0)
        return rc < 0 ? rc : 1;
    rc = endless(r, state);
    if (rc >= 0)
        return !rc;
    r->turn.n = r->visited.n = 0;
    /* A live state that is met while it is still open can be gone through again and again. */
    rc = turn_put(r, state);
    while (rc == 0 && r->turn.n > 0)
        rc = turn_step(r);
    for (size_t i = 0; i < r->visited.n; i++)
        rx_at(r, RX_AT(uint32_t, r->visited)[i])->flags &= (uint16_t) ~(RX_SEEN | RX_OPEN);
    return rc < 0 ? rx_error(r, e) : !rc;
}
