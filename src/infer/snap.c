#include "infer/snap.h"

#include "base/mem.h"
#include "sys/mmap.h"

#include <string.h>

enum { SNAP_EVERY = 8 /* pages, in a short text */ };

struct entry {
    uint64_t serial; /* 0: free */
    uint64_t used;   /* when it was asked for last */
};

struct snap {
    unsigned char *data; /* [n][n_byte] */
    size_t n_byte;
    int n;
    struct entry *entry; /* [n] */
    uint64_t now;
    void (*leaves)(void *ctx, int i); /* or NULL */
    void *leaves_ctx;
};

int snap_new(struct snap **out, size_t n_byte, int n, struct err *e)
{
    struct snap *p = mem_calloc(1, sizeof(*p));

    if (!p)
        goto fail;
    p->n_byte = n_byte;
    p->n = n;
    if (n > 0) {
        p->entry = mem_calloc((size_t)n, sizeof(*p->entry));
        p->data = vm_alloc(n_byte * (size_t)n);
        if (!p->entry || !p->data)
            goto fail;
    }
    *out = p;
    return 0;
fail:
    snap_free(p);
    return err_set(e, E_NOMEM, "no memory for %d copies of %zu bytes of state", n, n_byte);
}

void snap_free(struct snap *p)
{
    if (!p)
        return;
    vm_free(p->data, p->n_byte * (size_t)p->n);
    mem_free(p->entry);
    mem_free(p);
}

int snap_room(const struct snap *p)
{
    return p->n;
}

/* Its number, or -1; it counts as asked for. */
static int entry_of(struct snap *p, uint64_t serial)
{
    for (int i = 0; i < p->n; i++) {
        if (p->entry[i].serial == serial) {
            p->entry[i].used = ++p->now;
            return i;
        }
    }
    return -1;
}

const unsigned char *snap_find(struct snap *p, uint64_t serial)
{
    int i = serial ? entry_of(p, serial) : -1;

    return i < 0 ? NULL : p->data + (size_t)i * p->n_byte;
}

int snap_put(struct snap *p, uint64_t serial, const unsigned char *state)
{
    int oldest = 0;

    if (p->n == 0 || serial == 0 || entry_of(p, serial) >= 0)
        return -1;
    for (int i = 1; i < p->n; i++) {
        if (p->entry[i].used < p->entry[oldest].used)
            oldest = i;
    }
    if (p->leaves && p->entry[oldest].serial)
        p->leaves(p->leaves_ctx, oldest);
    p->entry[oldest] = (struct entry){serial, ++p->now};
    memcpy(p->data + (size_t)oldest * p->n_byte, state, p->n_byte);
    return oldest;
}

void snap_watch(struct snap *p, void (*leaves)(void *ctx, int i), void *ctx)
{
    p->leaves = leaves;
    p->leaves_ctx = ctx;
}

const unsigned char *snap_at(const struct snap *p, int i)
{
    return p->entry[i].serial ? p->data + (size_t)i * p->n_byte : NULL;
}

int snap_wanted(int n_page)
{
    int every = SNAP_EVERY;

    while (n_page >= 8 * every)
        every *= 2;
    return n_page > 0 && n_page % every == 0;
}
