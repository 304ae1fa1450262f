/* Files of packed weights: as they come, and with what a forger would set right (the size and
 * the digest), so that what stands behind the digest is reached. What passes is walked. */
#include "model/pack_cache.h"

#include "base/digest.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void walk(const struct pack_view *v, const unsigned char *p, size_t n)
{
    if (v->head != (const void *)p || v->data < p || v->data + v->head->n_data != p + n)
        abort();
    for (uint64_t i = 0; i < v->head->n_entry; i++) {
        const struct pack_entry *e = &v->entry[i];

        if (e->at % 64 || e->at > v->head->n_data || e->n_byte > v->head->n_data - e->at)
            abort();
        for (uint64_t k = 0; k < e->n_byte; k++)
            sink += v->data[e->at + k];
    }
}

static void check(const unsigned char *p, size_t n)
{
    struct pack_view v;
    struct err e = {0};

    if (pack_cache_check(p, n, &v, &e) == 0)
        walk(&v, p, n);
    else if (e.code != E_FORMAT || !e.msg[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *p = size ? mem_aligned(size, 64) : NULL;
    struct pack_head h;

    if (size && !p)
        abort();
    if (p)
        memcpy(p, data, size);
    check(p, size);
    if (size >= PACK_CACHE_PAGE) {
        memcpy(&h, p, sizeof(h));
        memcpy(h.magic, "HRTHTILE", 8);
        h.version = PACK_CACHE_VERSION;
        h.n_file = size;
        if (h.n_entry <= (size - PACK_CACHE_PAGE) / sizeof(struct pack_entry)) {
            h.digest = digest_bytes(digest_bytes(0, &h, offsetof(struct pack_head, digest)),
                                    p + PACK_CACHE_PAGE,
                                    (size_t)h.n_entry * sizeof(struct pack_entry));
        }
        memcpy(p, &h, sizeof(h));
        check(p, size);
    }
    mem_free(p);
    return 0;
}
