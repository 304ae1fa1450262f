/* Files of kept pages: as they come, and with what a forger would set right (the sizes and the
 * digests), so that what stands behind them is reached. What passes is walked. */
#include "infer/kv_disk.h"

#include "base/digest.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void walk(const struct kv_disk_view *v, const unsigned char *p, size_t n)
{
    if (v->head != (const void *)p || (const unsigned char *)v->ids < p || v->data < p ||
        v->data + v->head->n_data != p + n || v->head->kind > KV_DISK_STATE)
        abort();
    for (uint64_t i = 0; i < v->head->n_id; i++)
        sink += (unsigned)v->ids[i];
    for (uint64_t i = 0; i < v->head->n_data; i++)
        sink += v->data[i];
}

static void check(const unsigned char *p, size_t n)
{
    struct kv_disk_view v;
    struct err e = {0};

    if (kv_disk_check(p, n, &v, &e) == 0)
        walk(&v, p, n);
    else if (e.code != E_FORMAT || !e.msg[0])
        abort();
}

/* The number of ids is the input's, the rest is made to fit it. */
static void forge(unsigned char *p, size_t n)
{
    struct kv_disk_head h;
    size_t room = n - sizeof(h);

    memcpy(&h, p, sizeof(h));
    memcpy(h.magic, "HRTHKEPT", 8);
    h.version = KV_DISK_VERSION;
    h.kind &= 1;
    if (h.n_id <= room / 4) {
        size_t n_id = (size_t)h.n_id * 4;

        h.n_data = room - n_id;
        h.data = digest_bytes(0, p + sizeof(h) + n_id, room - n_id);
        h.digest = digest_bytes(digest_bytes(0, &h, offsetof(struct kv_disk_head, digest)),
                                p + sizeof(h), n_id);
    }
    memcpy(p, &h, sizeof(h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *p = size ? mem_aligned(size, 64) : NULL;

    if (size && !p)
        abort();
    if (p)
        memcpy(p, data, size);
    check(p, size);
    if (size >= sizeof(struct kv_disk_head)) {
        forge(p, size);
        check(p, size);
    }
    mem_free(p);
    return 0;
}
