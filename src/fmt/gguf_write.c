/* Writes GGUF. Keys are kept as the bytes that go into the file, so that a value of any type
 * costs one append; tensors are kept as descriptions with borrowed data, or with a function
 * that makes them. gguf_write lays the tensors out in the order of their arrival, each at the
 * next multiple of the alignment.
 */
#include "fmt/gguf_priv.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct gguf_writer {
    int version;
    uint64_t align;
    struct arena names; /* of keys and tensors */
    struct map keys, tensors_by_name;
    struct buf kvs; /* as in the file */
    uint64_t n_kv;
    struct gguf_wtensor *tensors;
    size_t n_tensor, cap_tensor;
};

/* Keys of a model are megabytes; what passes this is a bug of the caller. */
#define WRITER_MAX ((size_t)4 << 30)

int gguf_writer_new(struct gguf_writer **out, int version, struct err *e)
{
    struct gguf_writer *w;

    if (version != 2 && version != 3)
        return err_set(e, E_INVALID, "GGUF version %d; versions 2 and 3 are written", version);
    w = mem_calloc(1, sizeof(*w));
    if (!w)
        return err_set(e, E_NOMEM, "no memory for a GGUF writer");
    w->version = version;
    w->align = GGUF_ALIGN;
    arena_init(&w->names, WRITER_MAX);
    buf_init(&w->kvs, WRITER_MAX);
    *out = w;
    return 0;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    map_done(&w->keys);
    map_done(&w->tensors_by_name);
    arena_done(&w->names);
    buf_done(&w->kvs);
    mem_free(w->tensors);
    mem_free(w);
}

/* -- appending ----------------------------------------------------------------------- */

static int put_u32(struct buf *b, uint32_t v)
{
    return buf_put(b, &v, sizeof(v));
}

static int put_u64(struct buf *b, uint64_t v)
{
    return buf_put(b, &v, sizeof(v));
}

static int put_str(struct buf *b, struct str s)
{
    int rc = put_u64(b, s.n);

    return rc < 0 ? rc : buf_put(b, s.p, s.n);
}

static int name_add(struct gguf_writer *w, struct map *m, struct str name, size_t i,
                    struct str *kept, struct err *e)
{
    uint32_t had;
    char *copy, text[100];

    if (map_get(m, name, &had))
        return err_set(e, E_INVALID, "%s: it is there already",
                       gguf_printable(name, text, sizeof(text)));
    copy = arena_strdup(&w->names, name);
    *kept = (struct str){copy, name.n};
    if (!copy || map_put(m, *kept, (uint32_t)i, NULL) < 0)
        return err_set(e, E_NOMEM, "no memory for the name of %zu bytes", name.n);
    return 0;
}

/* Appends everything of a key but its value, whose n bytes the caller adds next: room for
 * them is made here, so that a key is written whole or not at all. */
static int kv_begin(struct gguf_writer *w, struct str key, int type, uint64_t n_byte,
                    struct err *e)
{
    const char *fault = gguf_key_fault(key);
    struct str kept;
    int rc;

    if (fault)
        return err_set(e, E_INVALID, "key of %zu bytes: %s", key.n, fault);
    if (str_is(key, "general.alignment") && type != GGUF_U32)
        return err_set(e, E_INVALID, "general.alignment is of type %s, readers expect u32",
                       gguf_type_name(type));
    if (w->n_kv >= GGUF_COUNT_MAX)
        return err_set(e, E_INVALID, "more than %d keys", GGUF_COUNT_MAX);
    if (n_byte > WRITER_MAX || !buf_reserve(&w->kvs, 8 + key.n + 4 + (size_t)n_byte))
        return err_set(e, E_NOMEM, "no memory for a key of %llu bytes",
                       (unsigned long long)n_byte);
    rc = name_add(w, &w->keys, key, (size_t)w->n_kv, &kept, e);
    if (rc < 0)
        return rc;
    if ((rc = put_str(&w->kvs, kept)) < 0 || (rc = put_u32(&w->kvs, (uint32_t)type)) < 0)
        return err_set(e, rc, "no memory for a key");
    w->n_kv++;
    return 0;
}

/* A value of fixed size, from its little-endian bytes. */
static int kv_scalar(struct gguf_writer *w, struct str key, int type, const void *bytes,
                     struct err *e)
{
    uint64_t n = gguf_type_bytes((uint32_t)type);
    int rc = kv_begin(w, key, type, n, e);

    return rc < 0 ? rc : buf_put(&w->kvs, bytes, (size_t)n);
}

static int kv_u64(struct gguf_writer *w, struct str key, int type, uint64_t v, struct err *e)
{
    const char *fault;
    uint64_t max;
    int rc;

    switch (type) {
    case GGUF_BOOL:
        max = 1;
        break;
    case GGUF_U8:
        max = UINT8_MAX;
        break;
    case GGUF_U16:
        max = UINT16_MAX;
        break;
    case GGUF_U32:
        max = UINT32_MAX;
        break;
    case GGUF_U64:
        max = UINT64_MAX;
        break;
    default:
        return err_set(e, E_INVALID, "type %d does not hold unsigned integers", type);
    }
    if (v > max)
        return err_set(e, E_INVALID, "%llu does not fit in %s", (unsigned long long)v,
                       gguf_type_name(type));
    fault = str_is(key, "general.alignment") ? gguf_align_fault(v) : NULL;
    if (fault)
        return err_set(e, E_INVALID, "an alignment of %llu is %s", (unsigned long long)v,
                       fault);
    rc = kv_scalar(w, key, type, &v, e); /* little endian: the low bytes come first */
    if (rc == 0 && str_is(key, "general.alignment"))
        w->align = v;
    return rc;
}

static int kv_i64(struct gguf_writer *w, struct str key, int type, int64_t v, struct err *e)
{
    int bits = type == GGUF_I8 ? 8 : type == GGUF_I16 ? 16 : type == GGUF_I32 ? 32 : 64;

    if (bits == 64 && type != GGUF_I64)
        return err_set(e, E_INVALID, "type %d does not hold signed integers", type);
    if (v > (INT64_MAX >> (64 - bits)) || v < (INT64_MIN >> (64 - bits)))
        return err_set(e, E_INVALID, "%lld does not fit in %s", (long long)v,
                       gguf_type_name(type));
    return kv_scalar(w, key, type, &v, e);
}

static int kv_f64(struct gguf_writer *w, struct str key, int type, double v, struct err *e)
{
    float f = (float)v;

    if (type != GGUF_F32 && type != GGUF_F64)
        return err_set(e, E_INVALID, "type %d does not hold floats", type);
    return kv_scalar(w, key, type, type == GGUF_F32 ? (const void *)&f : &v, e);
}

static int kv_str(struct gguf_writer *w, struct str key, struct str v, struct err *e)
{
    int rc = kv_begin(w, key, GGUF_STR, 8 + (uint64_t)v.n, e);

    return rc < 0 ? rc : put_str(&w->kvs, v);
}

/* An array whose elements are n_byte bytes at elems, strings with their lengths. */
static int kv_arr(struct gguf_writer *w, struct str key, int elem_type, uint64_t n,
                  const void *elems, uint64_t n_byte, struct err *e)
{
    uint64_t all;
    int rc;

    if (!check_add(n_byte, 12, &all))
        return err_set(e, E_INVALID, "an array of %llu bytes", (unsigned long long)n_byte);
    rc = kv_begin(w, key, GGUF_ARR, all, e);
    if (rc < 0)
        return rc;
    if ((rc = put_u32(&w->kvs, (uint32_t)elem_type)) < 0 || (rc = put_u64(&w->kvs, n)) < 0)
        return rc;
    return buf_put(&w->kvs, elems, (size_t)n_byte);
}

int gguf_put_u64(struct gguf_writer *w, const char *key, int type, uint64_t v, struct err *e)
{
    return kv_u64(w, str_of(key), type, v, e);
}

int gguf_put_i64(struct gguf_writer *w, const char *key, int type, int64_t v, struct err *e)
{
    return kv_i64(w, str_of(key), type, v, e);
}

int gguf_put_f64(struct gguf_writer *w, const char *key, int type, double v, struct err *e)
{
    return kv_f64(w, str_of(key), type, v, e);
}

int gguf_put_str(struct gguf_writer *w, const char *key, struct str v, struct err *e)
{
    return kv_str(w, str_of(key), v, e);
}

int gguf_put_arr(struct gguf_writer *w, const char *key, int elem_type, const void *elems,
                 uint64_t n, struct err *e)
{
    uint64_t each = elem_type >= 0 ? gguf_type_bytes((uint32_t)elem_type) : 0, n_byte;

    if (!each || !check_mul(n, each, &n_byte))
        return err_set(e, E_INVALID, "an array of %llu elements of type %d",
                       (unsigned long long)n, elem_type);
    for (uint64_t i = 0; elem_type == GGUF_BOOL && i < n; i++) {
        if (((const unsigned char *)elems)[i] > 1)
            return err_set(e, E_INVALID, "element %llu is a bool, but not 0 or 1",
                           (unsigned long long)i);
    }
    return kv_arr(w, str_of(key), elem_type, n, elems, n_byte, e);
}

int gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, uint64_t n,
                  struct err *e)
{
    struct buf all;
    int rc = 0;

    buf_init(&all, WRITER_MAX);
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        rc = put_str(&all, v[i]);
    if (rc < 0)
        (void)err_set(e, rc, "no memory for %llu strings", (unsigned long long)n);
    else
        rc = kv_arr(w, str_of(key), GGUF_STR, n, all.p, all.n, e);
    buf_done(&all);
    return rc;
}

int gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct err *e)
{
    const unsigned char *p = kv->elems;
    uint64_t n_byte = 0, len;

    switch (kv->type) {
    case GGUF_STR:
        return kv_str(w, kv->key, kv->v.s, e);
    case GGUF_F32:
    case GGUF_F64:
        return kv_f64(w, kv->key, kv->type, kv->v.f, e);
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        return kv_i64(w, kv->key, kv->type, kv->v.i, e);
    case GGUF_ARR:
        break;
    default:
        return kv_u64(w, kv->key, kv->type, kv->v.u, e);
    }
    if (kv->elem_type != GGUF_STR) {
        if (!check_mul(kv->n, gguf_type_bytes((uint32_t)kv->elem_type), &n_byte))
            return err_set(e, E_INVALID, "an array of %llu elements",
                           (unsigned long long)kv->n);
        return kv_arr(w, kv->key, kv->elem_type, kv->n, p, n_byte, e);
    }
    for (uint64_t i = 0; i < kv->n; i++) {
        uint64_t left = kv->n_byte - n_byte;

        if (left >= sizeof(len))
            memcpy(&len, p + n_byte, sizeof(len));
        if (left < sizeof(len) || len > left - sizeof(len))
            return err_set(e, E_IO, "an array of strings changed on disk while it was read");
        n_byte += sizeof(len) + len;
    }
    return kv_arr(w, kv->key, GGUF_STR, kv->n, p, n_byte, e);
}

/* t comes with its name, type, dimensions and where its bytes come from. */
static int put_tensor(struct gguf_writer *w, struct gguf_wtensor t, const uint64_t *ne,
                      struct err *e)
{
    int rc;

    if (t.name.n == 0 || t.name.n > GGUF_NAME_WRITE_MAX)
        return err_set(e, E_INVALID, "a tensor's name of %zu bytes, the limit is %d", t.name.n,
                       GGUF_NAME_WRITE_MAX);
    if (gguf_shape(t.type, t.n_dim, ne, &t.n_elem, &t.n_byte, e) < 0)
        return err_wrap(e, E_INVALID, "tensor %.*s", (int)t.name.n, t.name.p);
    if (w->n_tensor >= GGUF_COUNT_MAX)
        return err_set(e, E_INVALID, "more than %d tensors", GGUF_COUNT_MAX);
    if (w->n_tensor == w->cap_tensor) {
        size_t cap = w->cap_tensor ? w->cap_tensor * 2 : 64;
        struct gguf_wtensor *more = mem_realloc(w->tensors, cap * sizeof(*more));

        if (!more)
            return err_set(e, E_NOMEM, "no memory for %zu tensors", cap);
        w->tensors = more;
        w->cap_tensor = cap;
    }
    for (int i = 0; i < GGUF_DIMS; i++)
        t.ne[i] = i < t.n_dim ? ne[i] : 1;
    rc = name_add(w, &w->tensors_by_name, t.name, w->n_tensor, &t.name, e);
    if (rc == 0)
        w->tensors[w->n_tensor++] = t;
    return rc;
}

int gguf_put_tensor(struct gguf_writer *w, const char *name, int type, int n_dim,
                    const uint64_t *ne, const void *data, struct err *e)
{
    return put_tensor(
        w,
        (struct gguf_wtensor){.name = str_of(name), .type = type, .n_dim = n_dim, .data = data},
        ne, e);
}

int gguf_put_tensor_made(struct gguf_writer *w, const char *name, int type, int n_dim,
                         const uint64_t *ne, gguf_make *make, const void *ctx, struct err *e)
{
    return put_tensor(
        w,
        (struct gguf_wtensor){
            .name = str_of(name), .type = type, .n_dim = n_dim, .make = make, .ctx = ctx},
        ne, e);
}

size_t gguf_writer_tensors(const struct gguf_writer *w, const struct gguf_wtensor **out)
{
    *out = w->tensors;
    return w->n_tensor;
}

/* -- the file ------------------------------------------------------------------------ */

/* The begin of a file that will list n_tensor tensors, with all keys. */
static int keys_build(const struct gguf_writer *w, uint64_t n_tensor, struct buf *b,
                      struct err *e)
{
    int rc;

    if ((rc = buf_put(b, "GGUF", 4)) < 0 || (rc = put_u32(b, (uint32_t)w->version)) < 0 ||
        (rc = put_u64(b, n_tensor)) < 0 || (rc = put_u64(b, w->n_kv)) < 0 ||
        (rc = buf_put(b, w->kvs.p, w->kvs.n)) < 0)
        return err_set(e, rc, "no memory for the header");
    return 0;
}

int gguf_writer_keys(const struct gguf_writer *w, struct mapping *out, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, WRITER_MAX * 2);
    rc = keys_build(w, 0, &b, e);
    if (rc == 0)
        rc = mmap_memory(out, b.n, e);
    if (rc == 0) {
        memcpy((void *)(uintptr_t)out->p, b.p, b.n);
        out->stamp[1] = digest_bytes(0, b.p, b.n);
    }
    buf_done(&b);
    return rc;
}

/* Builds all bytes before the data. */
static int head_build(const struct gguf_writer *w, struct buf *b, struct err *e)
{
    uint64_t at = 0;
    int rc = keys_build(w, w->n_tensor, b, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < w->n_tensor; i++) {
        const struct gguf_wtensor *t = &w->tensors[i];
        uint64_t end;

        if ((rc = put_str(b, t->name)) < 0 || (rc = put_u32(b, (uint32_t)t->n_dim)) < 0 ||
            (rc = buf_put(b, t->ne, (size_t)t->n_dim * sizeof(t->ne[0]))) < 0 ||
            (rc = put_u32(b, (uint32_t)t->type)) < 0 || (rc = put_u64(b, at)) < 0)
            return err_set(e, rc, "no memory for the header");
        if (!check_add(at, t->n_byte, &end) || !check_align(end, w->align, &at) ||
            at > INT64_MAX)
            return err_set(e, E_INVALID, "the tensors are over 2^63 bytes");
    }
    return 0;
}

static int write_all(int fd, const void *data, uint64_t n)
{
    const unsigned char *p = data;

    while (n) {
        ssize_t k = write(fd, p, n > (1u << 30) ? 1u << 30 : (size_t)n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (uint64_t)k;
    }
    return 0;
}

/* Zeros from at up to the next multiple of the alignment. */
static int write_pad(int fd, uint64_t at, uint64_t align)
{
    static const unsigned char zeros[4096];
    uint64_t end = at;

    (void)check_align(at, align, &end);
    while (at < end) {
        uint64_t n = end - at < sizeof(zeros) ? end - at : sizeof(zeros);

        if (write_all(fd, zeros, n) < 0)
            return -1;
        at += n;
    }
    return 0;
}

struct gguf_out {
    int fd;
    uint64_t n; /* bytes of this tensor so far */
};

static int write_failed(struct err *e)
{
    return err_sys(e, E_IO, errno, "write");
}

int gguf_out_put(struct gguf_out *out, const void *p, size_t n, struct err *e)
{
    if (write_all(out->fd, p, n) < 0)
        return write_failed(e);
    out->n += n;
    return 0;
}

static int write_tensor(const struct gguf_writer *w, const struct gguf_wtensor *t, int fd,
                        struct err *e)
{
    struct gguf_out out = {fd, 0};
    int rc = t->make ? t->make(t->ctx, &out, e) : 0;

    if (rc < 0)
        return rc;
    if (t->make && out.n != t->n_byte)
        return err_set(e, E_INTERNAL, "tensor %.*s: %llu bytes were made, expected %llu",
                       (int)t->name.n, t->name.p, (unsigned long long)out.n,
                       (unsigned long long)t->n_byte);
    if ((!t->make && write_all(fd, t->data, t->n_byte) < 0) ||
        write_pad(fd, t->n_byte, w->align) < 0)
        return write_failed(e);
    return 0;
}

static int write_body(const struct gguf_writer *w, int fd, const struct buf *head,
                      struct err *e)
{
    int rc = 0;

    if (write_all(fd, head->p, head->n) < 0 ||
        (w->n_tensor && write_pad(fd, head->n, w->align) < 0))
        return write_failed(e);
    for (size_t i = 0; rc == 0 && i < w->n_tensor; i++)
        rc = write_tensor(w, &w->tensors[i], fd, e);
    return rc == 0 && fsync(fd) < 0 ? write_failed(e) : rc;
}

/* A new file beside path, whose name nobody has. Returns its descriptor or -1. */
static int temp_open(const char *path, struct buf *name)
{
    for (int tries = 0; tries < 100; tries++) {
        int fd;

        buf_clear(name);
        if (buf_fmt(name, "%s.%016llx.tmp", path, (unsigned long long)rng_entropy()) < 0) {
            errno = ENOMEM;
            return -1;
        }
        fd = open(name->p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Opens the directory that path is in, for the sync that makes a rename last through a power
 * cut. *fd is -1 for one that we may write to, but not read: it goes without. */
static int dir_open(const char *path, int *fd)
{
    const char *slash = strrchr(path, '/');
    char *dir = mem_strdup(path);

    if (!dir) {
        errno = ENOMEM;
        return -1;
    }
    if (slash)
        dir[slash == path ? 1 : slash - path] = '\0';
    *fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(dir);
    return *fd >= 0 || errno == EACCES ? 0 : -1;
}

/* A directory that cannot be synced (some network file systems) is as safe as it gets. */
static int dir_sync(int fd)
{
    return fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : -1;
}

int gguf_write(const struct gguf_writer *w, const char *path, struct err *e)
{
    struct buf head, temp;
    int fd = -1, dir = -1, rc;

    buf_init(&head, WRITER_MAX * 2);
    buf_init(&temp, 65536);
    rc = head_build(w, &head, e);
    if (rc < 0) {
        rc = err_wrap(e, rc, "%s", path);
        goto out;
    }
    if (dir_open(path, &dir) < 0 || (fd = temp_open(path, &temp)) < 0) {
        rc = err_sys(e, errno == ENOMEM ? E_NOMEM : E_IO, errno, "%s: cannot be written", path);
        goto out;
    }
    rc = write_body(w, fd, &head, e);
    if (rc < 0)
        rc = err_wrap(e, rc, "%s", path);
    if (close(fd) < 0 && rc == 0)
        rc = err_sys(e, E_IO, errno, "%s: close", path);
    if (rc == 0 && rename(temp.p, path) < 0)
        rc = err_sys(e, E_IO, errno, "%s: rename", path);
    if (rc < 0)
        (void)unlink(temp.p);
    else if (dir_sync(dir) < 0)
        rc = err_sys(e, E_IO, errno, "%s: it is in place, but its directory cannot be synced",
                     path);
out:
    if (dir >= 0)
        (void)close(dir);
    buf_done(&head);
    buf_done(&temp);
    return rc;
}
