#include "model/ident.h"

#include "base/digest.h"
#include "sys/mmap.h"

enum { SAMPLE = 256 };

uint64_t ident_stamp(const struct gguf *g)
{
    uint64_t d = 0;

    for (int i = 0; i < gguf_n_part(g); i++) {
        const struct mapping *map = gguf_mapping(g, i);
        uint64_t n = map->n;

        d = digest_bytes(d, &n, sizeof(n));
        d = digest_bytes(d, map->stamp, sizeof(map->stamp));
    }
    return d;
}

/* What comes before the tensors of a part. */
static size_t head_bytes(const struct gguf *g, int part)
{
    uint64_t n = gguf_mapping(g, part)->n;

    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        if (t->part == part && t->offset < n)
            n = t->offset;
    }
    return (size_t)n;
}

uint64_t ident_sample(const struct gguf *g)
{
    uint64_t d = 0;

    for (int i = 0; i < gguf_n_part(g); i++)
        d = digest_bytes(d, gguf_mapping(g, i)->p, head_bytes(g, i));
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t n = (size_t)t->n_byte, k = n < SAMPLE ? n : SAMPLE;

        d = digest_bytes(d, t->data, k);
        d = digest_bytes(d, t->data + (n - k) / 2, k);
        d = digest_bytes(d, t->data + (n - k), k);
        vm_drop(t->data, n); /* each sample made its neighbours resident */
    }
    return d;
}
