/* States of a page, and what moves it:
 *
 *   free       not held, not published     kv_take -> private; on the free list
 *   private    held once, not published    kv_publish -> published; last kv_unref -> free
 *   published  held, can be found          last kv_unref -> cached
 *   cached     not held, can be found      kv_find -> published; kv_take -> private
 *
 * Invariants: a page is on exactly one list (free or cached) when nobody holds it, on none
 * when somebody does; `found` maps the hash of a content to at most one page.
 */
#include "infer/kv.h"

#include "base/map.h"
#include "base/mem.h"
#include "sys/mmap.h"

#include <assert.h>
#include <string.h>

struct page {
    int refs;
    int prev, next;  /* on the free or the cached list; -1: end */
    uint64_t serial; /* 0: not published */
    uint64_t parent;
    uint64_t hash;
};

struct list {
    int head, tail; /* -1: empty */
    int n;
};

/* What texts of one salt begin behind. */
struct root {
    uint64_t salt, serial; /* serial 0: free */
    uint64_t used;
};

struct kv {
    unsigned char *data;
    size_t page_bytes, n_byte;
    int n_page, tokens;
    struct page *page;
    int32_t *ids; /* [n_page][tokens] of published pages */
    struct list free, cached;
    struct map64 found;
    uint64_t next_serial;
    struct root *root; /* [KV_ROOTS] */
    uint64_t root_now;
    void (*leaves)(void *ctx, int i); /* or NULL */
    void *leaves_ctx;
};

static void list_push(struct kv *kv, struct list *l, int i)
{
    kv->page[i].prev = l->tail;
    kv->page[i].next = -1;
    if (l->tail >= 0)
        kv->page[l->tail].next = i;
    else
        l->head = i;
    l->tail = i;
    l->n++;
}

static void list_drop(struct kv *kv, struct list *l, int i)
{
    struct page *p = &kv->page[i];

    if (p->prev >= 0)
        kv->page[p->prev].next = p->next;
    else
        l->head = p->next;
    if (p->next >= 0)
        kv->page[p->next].prev = p->prev;
    else
        l->tail = p->prev;
    l->n--;
}

int kv_new(struct kv **out, size_t page_bytes, int n_page, int tokens, struct err *e)
{
    struct kv *kv = mem_calloc(1, sizeof(*kv));
    uint64_t n;

    if (!kv || __builtin_mul_overflow((uint64_t)page_bytes, (uint64_t)n_page, &n))
        goto fail;
    kv->page_bytes = page_bytes;
    kv->n_page = n_page;
    kv->tokens = tokens;
    kv->n_byte = (size_t)n;
    kv->free = kv->cached = (struct list){-1, -1, 0};
    kv->next_serial = 1;
    kv->root = mem_calloc(KV_ROOTS, sizeof(*kv->root));
    kv->page = mem_calloc((size_t)n_page, sizeof(*kv->page));
    kv->ids = mem_calloc((size_t)n_page * (size_t)tokens, sizeof(*kv->ids));
    /* As large as it gets: publishing allocates nothing. */
    if (!kv->root || !kv->page || !kv->ids || map64_init(&kv->found, (size_t)n_page + 16) < 0)
        goto fail;
    kv->data = vm_alloc(kv->n_byte);
    if (!kv->data)
        goto fail;
    for (int i = 0; i < n_page; i++)
        list_push(kv, &kv->free, i);
    *out = kv;
    return 0;
fail:
    kv_free(kv);
    return err_set(e, E_NOMEM, "no memory for a key/value cache of %d pages of %zu bytes",
                   n_page, page_bytes);
}

void kv_free(struct kv *kv)
{
    if (!kv)
        return;
    vm_free(kv->data, kv->n_byte);
    map64_done(&kv->found);
    mem_free(kv->ids);
    mem_free(kv->page);
    mem_free(kv->root);
    mem_free(kv);
}

static void unpublish(struct kv *kv, int i)
{
    struct page *p = &kv->page[i];
    uint32_t at;

    if (map64_get(&kv->found, p->hash, &at) && at == (uint32_t)i)
        (void)map64_del(&kv->found, p->hash);
    p->serial = 0;
}

int kv_take(struct kv *kv, struct err *e)
{
    int i = kv->free.head;

    if (i >= 0) {
        list_drop(kv, &kv->free, i);
    } else {
        i = kv->cached.head;
        if (i < 0)
            return err_set(e, E_BUSY, "all %d pages of the key/value cache are in use",
                           kv->n_page);
        if (kv->leaves)
            kv->leaves(kv->leaves_ctx, i);
        list_drop(kv, &kv->cached, i);
        unpublish(kv, i);
    }
    kv->page[i].refs = 1;
    return i;
}

void kv_ref(struct kv *kv, int i)
{
    struct page *p = &kv->page[i];

    if (p->refs++ == 0) {
        assert(p->serial);
        list_drop(kv, &kv->cached, i);
    }
}

void kv_unref(struct kv *kv, int i)
{
    struct page *p = &kv->page[i];

    assert(p->refs > 0);
    if (--p->refs == 0)
        list_push(kv, p->serial ? &kv->cached : &kv->free, i);
}

int kv_private(const struct kv *kv, int i)
{
    return kv->page[i].refs == 1 && kv->page[i].serial == 0;
}

static uint64_t content_hash(const struct kv *kv, uint64_t parent, const int32_t *ids)
{
    return map_hash(ids, (size_t)kv->tokens * sizeof(*ids)) ^ map_hash64(parent);
}

static int same_content(const struct kv *kv, int i, uint64_t parent, const int32_t *ids)
{
    return kv->page[i].serial && kv->page[i].parent == parent &&
           memcmp(kv->ids + (size_t)i * (size_t)kv->tokens, ids,
                  (size_t)kv->tokens * sizeof(*ids)) == 0;
}

uint64_t kv_publish(struct kv *kv, int i, uint64_t parent, const int32_t *ids)
{
    struct page *p = &kv->page[i];
    uint64_t hash = content_hash(kv, parent, ids);
    uint32_t at;

    if (map64_get(&kv->found, hash, &at) && same_content(kv, (int)at, parent, ids))
        return kv->page[at].serial;
    p->serial = kv->next_serial++;
    p->parent = parent;
    p->hash = hash;
    memcpy(kv->ids + (size_t)i * (size_t)kv->tokens, ids, (size_t)kv->tokens * sizeof(*ids));
    if (map64_put(&kv->found, hash, (uint32_t)i) < 0)
        p->serial = 0; /* cannot happen: the map has room for every page */
    return p->serial;
}

int kv_find(struct kv *kv, uint64_t parent, const int32_t *ids, uint64_t *serial)
{
    uint32_t at;

    if (!map64_get(&kv->found, content_hash(kv, parent, ids), &at) ||
        !same_content(kv, (int)at, parent, ids))
        return -1;
    kv_ref(kv, (int)at);
    *serial = kv->page[at].serial;
    return (int)at;
}

uint64_t kv_root(struct kv *kv, uint64_t salt)
{
    struct root *oldest = &kv->root[0];

    if (!salt)
        return 0;
    for (int i = 0; i < KV_ROOTS; i++) {
        struct root *r = &kv->root[i];

        if (r->serial && r->salt == salt) {
            r->used = ++kv->root_now;
            return r->serial;
        }
        if (r->used < oldest->used)
            oldest = r;
    }
    *oldest = (struct root){salt, kv->next_serial++, ++kv->root_now};
    return oldest->serial;
}

const int32_t *kv_ids(const struct kv *kv, int i)
{
    return kv->ids + (size_t)i * (size_t)kv->tokens;
}

void kv_watch(struct kv *kv, void (*leaves)(void *ctx, int i), void *ctx)
{
    kv->leaves = leaves;
    kv->leaves_ctx = ctx;
}

void kv_each_cached(const struct kv *kv, void (*visit)(void *ctx, int i), void *ctx)
{
    for (int i = kv->cached.tail; i >= 0; i = kv->page[i].prev)
        visit(ctx, i);
}

unsigned char *kv_data(const struct kv *kv, int i)
{
    return kv->data + (size_t)i * kv->page_bytes;
}

void kv_stats(const struct kv *kv, struct kv_stats *out)
{
    *out = (struct kv_stats){kv->n_page, kv->n_page - kv->free.n - kv->cached.n, kv->cached.n};
}
