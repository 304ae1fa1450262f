/* Whatever bytes a safetensors file has: it opens or is refused, and all that an open one gives
 * can be read. */
#include "base/mem.h"
#include "fmt/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the compiler from dropping reads. */
static volatile uint64_t sink;

static void walk(const struct st *s)
{
    for (size_t i = 0; i < st_n_tensor(s); i++) {
        const struct st_tensor *t = st_tensor_at(s, i);

        if (st_tensor(s, t->name) != t || !st_dtype_name(t->dtype) || !t->name.n ||
            t->n_elem * st_dtype_bytes(t->dtype) != t->n_byte)
            abort();
        if (t->n_byte)
            sink += (uint64_t)t->data[0] + t->data[t->n_byte - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("safetensors", MFD_CLOEXEC);
    char path[64];
    struct st *s = NULL;
    struct err e;

    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (st_open_file(&s, path, &e) == 0) {
        walk(s);
        st_free(s);
    } else if (e.code == E_INTERNAL || !e.msg[0]) {
        abort();
    }
    (void)close(fd);
    return 0;
}
