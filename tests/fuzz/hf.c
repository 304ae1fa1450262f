/* Whatever a Hugging Face folder has in its files: it opens or is refused, and all tensors of
 * one that opens can be made and read.
 *
 * The input is the files one after the other, with "\n====\n" between them: config.json, the
 * header of model.safetensors (some bytes of weights follow), tokenizer.json,
 * tokenizer_config.json, tokenizer.model. Those that are not there are left out. */
#include "model/hf/hf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_WEIGHT = 8192 };

static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json",
                                    "tokenizer_config.json", "tokenizer.model"};
enum { N_NAME = sizeof(names) / sizeof(*names) };

static char dir[64];
static volatile uint64_t sink;

static const char *path_of(int i)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
    return path;
}

static void clean(void)
{
    for (int i = 0; i < N_NAME; i++)
        (void)unlink(path_of(i));
    (void)rmdir(dir);
}

static void must_write(int fd, const void *p, size_t n)
{
    if (n && write(fd, p, n) != (ssize_t)n)
        abort();
}

static void write_file(int i, const uint8_t *p, size_t n)
{
    static const unsigned char weights[N_WEIGHT] = {1, 2, 3, 64, 65, 66};
    uint64_t n_head = n;
    int fd = open(path_of(i), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        abort();
    if (i == 1)
        must_write(fd, &n_head, sizeof(n_head));
    must_write(fd, p, n);
    if (i == 1)
        must_write(fd, weights, sizeof(weights));
    (void)close(fd);
}

static void write_files(const uint8_t *data, size_t size)
{
    static const char gap[] = "\n====\n";

    for (int i = 0; i < N_NAME; i++) {
        const uint8_t *end = size ? memmem(data, size, gap, strlen(gap)) : NULL;
        size_t n = end ? (size_t)(end - data) : size;

        if (n)
            write_file(i, data, n);
        else
            (void)unlink(path_of(i));
        size -= end ? n + strlen(gap) : n;
        data += end ? n + strlen(gap) : n;
    }
}

static void walk(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        for (uint64_t k = 0; k < t->n_byte; k++)
            sink += t->data[k];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct err e;

    if (!dir[0]) {
        (void)snprintf(dir, sizeof(dir), "/tmp/hearth-fuzz-hf-XXXXXX");
        if (!mkdtemp(dir) || atexit(clean) != 0)
            abort();
    }
    write_files(data, size);
    if (hf_open_model(&g, dir, 1, &e) == 0) {
        walk(g);
        gguf_free(g);
    } else if (e.code == E_INTERNAL || !e.msg[0]) {
        abort();
    }
    return 0;
}
