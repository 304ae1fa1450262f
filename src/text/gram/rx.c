/* rx.c - the store: memory with limits, errors that stick, nodes found by their hash. */
#include "text/gram/rx_priv.h"

#include "base/map.h"
#include "base/mem.h"

enum { NODES = 1000 * 1000, BYTES = 64 << 20, NODES_MIN = 16, BYTES_MIN = 64 << 10 };

int rx_fail(struct rx *r, int code, const char *fmt, ...)
{
    va_list ap;

    if (r->failed.code)
        return r->failed.code;
    va_start(ap, fmt);
    err_setv(&r->failed, code, fmt, ap);
    va_end(ap);
    return code;
}

int rx_error(const struct rx *r, struct err *e)
{
    return r->failed.code ? err_set(e, r->failed.code, "%s", r->failed.msg) : 0;
}

int rx_count(struct rx *r, uint64_t steps)
{
    r->work += steps;
    if (r->work <= RX_STEPS)
        return 0;
    return rx_fail(r, E_TOO_LONG, "a regular expression takes more than %d steps at once",
                   RX_STEPS);
}

int rx_room(struct rx *r, struct rx_vec *v, size_t more, size_t size)
{
    size_t cap = v->cap ? v->cap : 32, left = r->limits.bytes - r->bytes;
    void *p;

    if (r->failed.code)
        return r->failed.code;
    if (more <= v->cap - v->n)
        return 0;
    if (more > UINT32_MAX - v->n)
        return rx_fail(r, E_TOO_LONG, "a regular expression has too many parts");
    while (cap < v->n + more)
        cap *= 2;
    /* Near the limit it grows by less than double. */
    if (cap - v->cap > left / size)
        cap = v->cap + left / size;
    if (cap - v->n < more || cap < v->n)
        return rx_fail(r, E_TOO_LONG, "regular expressions need more than %zu bytes",
                       r->limits.bytes);
    p = mem_realloc(v->p, cap * size);
    if (!p)
        return rx_fail(r, E_NOMEM, "no memory for a regular expression");
    r->bytes += (cap - v->cap) * size;
    v->p = p;
    v->cap = cap;
    return 0;
}

void rx_drop(struct rx *r, struct rx_vec *v, size_t size)
{
    r->bytes -= v->cap * size;
    mem_free(v->p);
    *v = (struct rx_vec){0};
}

int rx_push(struct rx *r, struct rx_vec *v, uint32_t word)
{
    int rc = rx_room(r, v, 1, sizeof(word));

    if (rc == 0)
        RX_AT(uint32_t, *v)[v->n++] = word;
    return rc;
}

uint32_t rx_mix(uint32_t a, uint32_t b)
{
    return (uint32_t)(map_hash64((uint64_t)a << 32 | b) >> 16);
}

/* Where the content of a node lies, and its bytes. */
static const void *content(const struct rx *r, const struct rx_node *n, size_t *bytes)
{
    switch (n->kind) {
    case RX_K_SET:
        *bytes = n->b * sizeof(struct rx_range);
        return RX_AT(struct rx_range, r->range) + n->a;
    case RX_K_TEXT:
        *bytes = n->b;
        return RX_AT(char, r->text) + n->a;
    case RX_K_ALT:
    case RX_K_AND:
        *bytes = n->b * sizeof(uint32_t);
        return RX_AT(uint32_t, r->word) + n->a;
    default:
        *bytes = 0;
        return NULL;
    }
}

static int same(const struct rx *r, const struct rx_node *n, const struct rx_node *want,
                const void *data)
{
    size_t bytes;
    const void *p;

    if (n->hash != want->hash || n->kind != want->kind || n->b != want->b || n->c != want->c)
        return 0;
    p = content(r, n, &bytes);
    return p ? p == data || memcmp(p, data, bytes) == 0 : n->a == want->a;
}

/* The node that is equal to want, whose content (sets, texts, kids) is data; 0: none is. */
rx_id rx_find(const struct rx *r, const struct rx_node *want, const void *data)
{
    const uint32_t *slot = r->slot.p;
    size_t mask = r->slot.cap - 1;

    for (size_t i = want->hash & mask; slot[i]; i = (i + 1) & mask) {
        if (same(r, rx_at(r, slot[i]), want, data))
            return slot[i];
    }
    return RX_NONE;
}

static void enter(uint32_t *slot, size_t mask, uint32_t hash, rx_id id)
{
    size_t i = hash & mask;

    while (slot[i])
        i = (i + 1) & mask;
    slot[i] = id;
}

uint32_t *rx_zeroed(struct rx *r, size_t n)
{
    uint32_t *p = NULL;

    if (n > (r->limits.bytes - r->bytes) / sizeof(*p)) {
        rx_fail(r, E_TOO_LONG, "regular expressions need more than %zu bytes", r->limits.bytes);
        return NULL;
    }
    p = mem_calloc(n, sizeof(*p));
    if (!p)
        rx_fail(r, E_NOMEM, "no memory for a regular expression");
    else
        r->bytes += n * sizeof(*p);
    return p;
}

static int more_slots(struct rx *r)
{
    size_t cap = r->slot.cap ? r->slot.cap * 2 : 1024;
    uint32_t *slot = rx_zeroed(r, cap);

    if (!slot)
        return r->failed.code;
    for (size_t i = 2; i < r->node.n; i++)
        enter(slot, cap - 1, rx_at(r, (rx_id)i)->hash, (rx_id)i);
    mem_free(r->slot.p);
    r->bytes -= r->slot.cap * sizeof(*slot);
    r->slot.p = slot;
    r->slot.cap = cap;
    return 0;
}

/* Adds a node that is not there. */
rx_id rx_add(struct rx *r, const struct rx_node *node)
{
    rx_id id = (rx_id)r->node.n;

    if (r->node.n >= r->limits.nodes) {
        rx_fail(r, E_TOO_LONG, "regular expressions need more than %u states",
                (unsigned)r->limits.nodes);
        return RX_NONE;
    }
    if (rx_room(r, &r->node, 1, sizeof(*node)) < 0 ||
        ((r->node.n + 1) * 3 > r->slot.cap * 2 && more_slots(r) < 0))
        return RX_NONE;
    RX_AT(struct rx_node, r->node)[r->node.n++] = *node;
    if (id > RX_EMPTY)
        enter(r->slot.p, r->slot.cap - 1, node->hash, id);
    return id;
}

int rx_new(struct rx **out, const struct rx_limits *limits, struct err *e)
{
    struct rx *r = mem_calloc(1, sizeof(*r));

    if (!r)
        return err_set(e, E_NOMEM, "no memory for regular expressions");
    if (limits)
        r->limits = *limits;
    r->limits.nodes = r->limits.nodes ? r->limits.nodes : NODES;
    r->limits.bytes = r->limits.bytes ? r->limits.bytes : BYTES;
    /* What every store needs. */
    r->limits.nodes = r->limits.nodes > NODES_MIN ? r->limits.nodes : NODES_MIN;
    r->limits.bytes = r->limits.bytes > BYTES_MIN ? r->limits.bytes : BYTES_MIN;
    rx_add(r, &(struct rx_node){.kind = RX_K_NONE, .least = UINT32_MAX});
    rx_add(r, &(struct rx_node){.kind = RX_K_EMPTY, .flags = RX_NULLABLE});
    if (rx_push(r, &r->word, 0) == 0) { /* place 0 stands for no edges */
        r->any = rx_set(r, &(struct rx_range){0, RX_CP_MAX}, 1);
        r->all = rx_repeat(r, r->any, 0, RX_INF);
        r->maybe = rx_repeat(r, r->any, 0, 1);
    }
    if (r->failed.code == E_NOMEM) {
        rx_free(r);
        return err_set(e, E_NOMEM, "no memory for regular expressions");
    }
    *out = r;
    return 0;
}

void rx_free(struct rx *r)
{
    if (!r)
        return;
    mem_free(r->node.p);
    mem_free(r->slot.p);
    mem_free(r->word.p);
    mem_free(r->range.p);
    mem_free(r->text.p);
    mem_free(r->part.p);
    mem_free(r->part_slot.p);
    mem_free(r->list.p);
    mem_free(r->kept.p);
    mem_free(r->ranges.p);
    mem_free(r->chain.p);
    mem_free(r->shaped.p);
    mem_free(r->todo.p);
    mem_free(r->event.p);
    mem_free(r->active.p);
    mem_free(r->out.p);
    mem_free(r->target.p);
    mem_free(r->ids.p);
    mem_free(r->flat.p);
    mem_free(r->seen.p);
    mem_free(r->heap.p);
    mem_free(r->path.p);
    mem_free(r->turn.p);
    mem_free(r->visited.p);
    mem_free(r->property.p);
    mem_free(r);
}

int rx_accepts(const struct rx *r, rx_id state)
{
    return state < r->node.n && (rx_at(r, state)->flags & RX_NULLABLE) != 0;
}
