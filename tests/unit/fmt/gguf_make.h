/* gguf_make.h - GGUF files for tests, byte by byte: the writer of src/fmt would refuse to make
 * most of them. Anything that goes wrong here ends the test.
 */
#ifndef HEARTH_TESTS_GGUF_MAKE_H
#define HEARTH_TESTS_GGUF_MAKE_H

#include "base/buf.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- bytes --------------------------------------------------------------------------- */

static inline void make_bytes(struct buf *b, const void *p, size_t n)
{
    if (buf_put(b, p, n) < 0)
        abort();
}

static inline void make_u32(struct buf *b, uint32_t v)
{
    make_bytes(b, &v, sizeof(v));
}

static inline void make_u64(struct buf *b, uint64_t v)
{
    make_bytes(b, &v, sizeof(v));
}

static inline void make_str(struct buf *b, const char *s)
{
    make_u64(b, strlen(s));
    make_bytes(b, s, strlen(s));
}

static inline void make_head(struct buf *b, uint32_t version, uint64_t n_tensor, uint64_t n_kv)
{
    make_bytes(b, "GGUF", 4);
    make_u32(b, version);
    make_u64(b, n_tensor);
    make_u64(b, n_kv);
}

/* A key and its type; the value comes next. */
static inline void make_key(struct buf *b, const char *key, uint32_t type)
{
    make_str(b, key);
    make_u32(b, type);
}

static inline void make_kv_u32(struct buf *b, const char *key, uint32_t v)
{
    make_key(b, key, 4);
    make_u32(b, v);
}

static inline void make_kv_str(struct buf *b, const char *key, const char *v)
{
    make_key(b, key, 8);
    make_str(b, v);
}

static inline void make_tensor(struct buf *b, const char *name, uint32_t n_dim,
                               const uint64_t *ne, uint32_t type, uint64_t offset)
{
    make_str(b, name);
    make_u32(b, n_dim);
    for (uint32_t i = 0; i < n_dim && i < 8; i++)
        make_u64(b, ne[i]);
    make_u32(b, type);
    make_u64(b, offset);
}

/* An f32 vector of n. */
static inline void make_vec(struct buf *b, const char *name, uint64_t n, uint64_t offset)
{
    make_tensor(b, name, 1, &n, 0, offset);
}

/* Zeros to the next multiple of align, then n bytes of data. */
static inline void make_data(struct buf *b, size_t align, size_t n)
{
    while (b->n % align)
        make_bytes(b, "", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)(i * 7 + 1);

        make_bytes(b, &c, 1);
    }
}

/* -- files --------------------------------------------------------------------------- */

/* A directory of this test's own, under $TMPDIR. */
static char make_dir_path[256];

static inline const char *make_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!make_dir_path[0]) {
        int n = snprintf(make_dir_path, sizeof(make_dir_path), "%s/hearth-gguf-XXXXXX",
                         tmp && tmp[0] ? tmp : "/tmp");

        if (n < 0 || (size_t)n >= sizeof(make_dir_path) || !mkdtemp(make_dir_path))
            abort();
    }
    return make_dir_path;
}

static inline void make_dir_done(void)
{
    if (make_dir_path[0])
        (void)rmdir(make_dir_path);
}

/* The path of a file in it; good until the fourth call after. */
static inline const char *make_path(const char *name)
{
    static char path[4][512];
    static int at;
    int n;

    at = (at + 1) % 4;
    n = snprintf(path[at], sizeof(path[at]), "%s/%s", make_dir(), name);
    if (n < 0 || (size_t)n >= sizeof(path[at]))
        abort();
    return path[at];
}

static inline void make_file(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || (n && write(fd, p, n) != (ssize_t)n) || close(fd) < 0)
        abort();
}

#endif
