/* Whatever bytes a GGUF file has: it opens or is refused, and all that an open one gives can
 * be read. */
#include "base/mem.h"
#include "fmt/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the compiler from dropping reads. */
static volatile uint64_t sink;

static void touch(const void *p, size_t n)
{
    const unsigned char *b = p;

    if (n)
        sink += (uint64_t)b[0] + b[n - 1];
}

static void walk_array(const struct gguf_kv *kv)
{
    if (kv->n == 0)
        return;
    if (kv->elem_type == GGUF_STR) {
        struct str *s = mem_calloc(kv->n, sizeof(*s));

        if (!s)
            return;
        gguf_arr_strs(kv, s);
        for (uint64_t i = 0; i < kv->n; i++)
            touch(s[i].p, s[i].n);
        mem_free(s);
        return;
    }
    for (uint64_t i = 0; i < kv->n; i += i + 1 < kv->n && i > 16 ? kv->n - 1 - i : 1) {
        sink += (uint64_t)gguf_arr_int(kv, i);
        sink += gguf_arr_f64(kv, i) > 0;
    }
}

static void walk_kv(const struct gguf *g, const struct gguf_kv *kv)
{
    char key[256];
    struct err e;
    struct str s;
    uint64_t u;
    int64_t i;
    double f;
    int b;

    touch(kv->key.p, kv->key.n);
    if (!gguf_type_name(kv->type))
        abort();
    if (kv->type == GGUF_ARR)
        walk_array(kv);
    if (kv->key.n >= sizeof(key))
        return;
    memcpy(key, kv->key.p, kv->key.n);
    key[kv->key.n] = '\0';
    if (gguf_kv(g, key) != kv || gguf_u64(g, key, &u, &e) == 0 ||
        gguf_i64(g, key, &i, &e) == 0 || gguf_f64(g, key, &f, &e) == 0 ||
        gguf_bool(g, key, &b, &e) == 0 || gguf_str(g, key, &s, &e) == 0)
        abort();
    if (kv->type == GGUF_STR)
        touch(kv->v.s.p, kv->v.s.n);
}

static void walk_tensor(const struct gguf_tensor *t)
{
    int block, bytes;

    touch(t->name.p, t->name.n);
    touch(t->data, t->n_byte);
    if (!gguf_tensor_type_size(t->type, &block, &bytes) || t->ne[0] % (uint64_t)block ||
        t->n_elem / (uint64_t)block * (uint64_t)bytes != t->n_byte)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("gguf", MFD_CLOEXEC);
    char path[64];
    struct gguf *g = NULL;
    struct err e;

    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (gguf_open(&g, path, &e) == 0) {
        for (size_t i = 0; i < gguf_n_kv(g); i++)
            walk_kv(g, gguf_kv_at(g, i));
        for (size_t i = 0; i < gguf_n_tensor(g); i++)
            walk_tensor(gguf_tensor_at(g, i));
        if (gguf_trailing_bytes(g) > gguf_file_bytes(g))
            abort();
        gguf_free(g);
    } else if (e.code == E_INTERNAL || !e.msg[0]) {
        abort();
    }
    (void)close(fd);
    return 0;
}
