/* Reads one GGUF file. The header is walked once, front to back, by a scan that knows what it
 * is looking at, so that every refusal can name the key or tensor and the byte. Counts are
 * compared with the room that the file has before memory is taken for them; duplicates are
 * found by hashing and overlaps by sorting, so that a hostile header costs no more time than
 * an honest one of its size.
 */
#include "fmt/gguf_priv.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct scan {
    const unsigned char *p;
    uint64_t n, at;
    const char *kind; /* "header", "key" or "tensor" */
    uint64_t index;   /* of the key or tensor */
    struct str name;  /* empty until it is read */
    struct err *e;
};

static void begin(struct scan *s, const char *kind, uint64_t index)
{
    s->kind = kind;
    s->index = index;
    s->name = (struct str){0};
}

/* Fails with "kind name: reason at byte at"; gguf_part_open puts the path in front. */
static int fail(struct scan *s, int code, uint64_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);

static int fail(struct scan *s, int code, uint64_t at, const char *fmt, ...)
{
    char why[256], who[100];
    unsigned long long byte = at;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    if (s->name.n)
        return err_set(s->e, code, "%s %s: %s at byte %llu", s->kind,
                       gguf_printable(s->name, who, sizeof(who)), why, byte);
    if (s->kind[0] == 'h')
        return err_set(s->e, code, "%s: %s at byte %llu", s->kind, why, byte);
    return err_set(s->e, code, "%s number %llu: %s at byte %llu", s->kind,
                   (unsigned long long)s->index, why, byte);
}

/* The next n bytes. */
static int take(struct scan *s, uint64_t n, const char *what, const unsigned char **out)
{
    if (n > s->n - s->at) {
        (void)fail(s, E_FORMAT, s->at, "the %s needs %llu bytes, the file has %llu more", what,
                   (unsigned long long)n, (unsigned long long)(s->n - s->at));
        return E_FORMAT; /* where an analyser sees it: *out is not set */
    }
    *out = s->p + s->at;
    s->at += n;
    return 0;
}

static int take_u32(struct scan *s, const char *what, uint32_t *out)
{
    const unsigned char *p = NULL;
    int rc = take(s, 4, what, &p);

    if (rc == 0)
        memcpy(out, p, 4);
    return rc;
}

static int take_u64(struct scan *s, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    int rc = take(s, 8, what, &p);

    if (rc == 0)
        memcpy(out, p, 8);
    return rc;
}

static int take_str(struct scan *s, const char *what, uint64_t max, struct str *out)
{
    uint64_t n = 0, at = s->at;
    const unsigned char *p = NULL;
    int rc = take_u64(s, what, &n);

    if (rc < 0)
        return rc;
    if (n > max)
        return fail(s, E_FORMAT, at, "the %s is %llu bytes long, the limit is %llu", what,
                    (unsigned long long)n, (unsigned long long)max);
    rc = take(s, n, what, &p);
    if (rc == 0)
        *out = (struct str){(const char *)p, (size_t)n};
    return rc;
}

/* -- the header ---------------------------------------------------------------------- */

/* What people have under the name of a model that is none. */
static const struct {
    const char *magic, *says;
} lookalikes[] = {
    {"PK\3\4", "a ZIP archive"},
    {"ggml", "a GGML file, from before GGUF"},
    {"lmgg", "a GGML file, from before GGUF"},
    {"fmgg", "a GGML file, from before GGUF"},
    {"tjgg", "a GGML file, from before GGUF"},
    {"FUGG", "a GGUF file of a big-endian machine"},
    {"\x1f\x8b", "a gzip archive"},
    {"version https://git-lfs", "a Git LFS pointer instead of the file itself"},
    {"<!doctype", "an HTML page"},
    {"<html", "an HTML page"},
    {"<?xml", "an XML page, perhaps a download error"},
    {"{", "JSON text, perhaps a download error"},
};

static const char *lookalike(const unsigned char *p, size_t n)
{
    static const unsigned char bom[3] = {0xef, 0xbb, 0xbf};
    size_t i = 0;

    if (n >= sizeof(bom) && memcmp(p, bom, sizeof(bom)) == 0)
        i = sizeof(bom);
    while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
        i++;
    for (size_t k = 0; k < sizeof(lookalikes) / sizeof(lookalikes[0]); k++) {
        size_t len = strlen(lookalikes[k].magic);

        if (len <= n - i && strncasecmp((const char *)p + i, lookalikes[k].magic, len) == 0)
            return lookalikes[k].says;
    }
    if (n >= 10 && p[8] == '{' && (p[9] == '"' || p[9] == '}' || p[9] == ' '))
        return "a safetensors file";
    return NULL;
}

static int read_magic(struct scan *s)
{
    const char *looks;
    char text[32];

    if (s->n == 0)
        return fail(s, E_FORMAT, 0, "the file is empty");
    if (s->n < 4 || memcmp(s->p, "GGUF", 4) != 0) {
        looks = lookalike(s->p, (size_t)s->n);
        if (looks)
            return fail(s, E_FORMAT, 0, "not a GGUF file, it looks like %s", looks);
    }
    if (s->n < GGUF_HEAD)
        return fail(s, E_FORMAT, s->n, "a GGUF header has %d bytes, the file ends", GGUF_HEAD);
    if (memcmp(s->p, "GGUF", 4) != 0)
        return fail(s, E_FORMAT, 0, "not a GGUF file, it begins with \"%s\"",
                    gguf_printable((struct str){(const char *)s->p, 4}, text, sizeof(text)));
    s->at = 4;
    return 0;
}

static int read_version(struct scan *s, int *version)
{
    uint32_t v = 0;
    int rc = take_u32(s, "version", &v);

    if (rc < 0)
        return rc;
    if (v && (v & 0xffff) == 0)
        return fail(s, E_UNSUPPORTED, 4,
                    "a big-endian GGUF file (version 0x%08x); only little-endian ones are read",
                    (unsigned)v);
    if (v == 0)
        return fail(s, E_FORMAT, 4, "version 0 does not exist");
    if (v != 2 && v != 3)
        return fail(s, E_UNSUPPORTED, 4, "GGUF version %u; versions 2 and 3 are read",
                    (unsigned)v);
    *version = (int)v;
    return 0;
}

/* A count of things that take at least each bytes of what the file still has. */
static int read_count(struct scan *s, const char *what, uint64_t each, size_t *out)
{
    uint64_t n = 0, at = s->at;
    int rc = take_u64(s, what, &n);

    if (rc < 0)
        return rc;
    if (n > (s->n - GGUF_HEAD) / each)
        return fail(s, E_FORMAT, at, "it tells of %llu %s, the file has room for at most %llu",
                    (unsigned long long)n, what,
                    (unsigned long long)((s->n - GGUF_HEAD) / each));
    if (n > GGUF_COUNT_MAX)
        return fail(s, E_FORMAT, at, "it tells of %llu %s, the limit is %d",
                    (unsigned long long)n, what, GGUF_COUNT_MAX);
    *out = (size_t)n;
    return 0;
}

/* -- keys ---------------------------------------------------------------------------- */

#define READ_NUM(T, to)                                                                        \
    do {                                                                                       \
        T num;                                                                                 \
        memcpy(&num, p, sizeof(num));                                                          \
        (to) = num;                                                                            \
    } while (0)

void gguf_scalar(struct gguf_kv *kv, const unsigned char *p)
{
    switch (kv->type) {
    case GGUF_U8:
    case GGUF_BOOL:
        kv->v.u = *p;
        break;
    case GGUF_U16:
        READ_NUM(uint16_t, kv->v.u);
        break;
    case GGUF_U32:
        READ_NUM(uint32_t, kv->v.u);
        break;
    case GGUF_U64:
        READ_NUM(uint64_t, kv->v.u);
        break;
    case GGUF_I8:
        READ_NUM(int8_t, kv->v.i);
        break;
    case GGUF_I16:
        READ_NUM(int16_t, kv->v.i);
        break;
    case GGUF_I32:
        READ_NUM(int32_t, kv->v.i);
        break;
    case GGUF_I64:
        READ_NUM(int64_t, kv->v.i);
        break;
    case GGUF_F32: {
        float f;

        memcpy(&f, p, sizeof(f));
        kv->v.f = (double)f;
        break;
    }
    default: /* GGUF_F64 */
        READ_NUM(double, kv->v.f);
    }
}

/* Bools must be 0 or 1: other values are the sign of a shifted or broken file. */
static int check_bools(struct scan *s, const unsigned char *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] > 1)
            return fail(s, E_FORMAT, (uint64_t)(p - s->p) + i,
                        "a bool of value %d, expected 0 or 1", p[i]);
    }
    return 0;
}

static int read_strings(struct scan *s, uint64_t n, uint64_t at)
{
    struct str one;
    int rc;

    if (n > (s->n - s->at) / 8)
        return fail(s, E_FORMAT, at,
                    "an array of %llu strings, the file has room for at most %llu",
                    (unsigned long long)n, (unsigned long long)((s->n - s->at) / 8));
    for (uint64_t i = 0; i < n; i++) {
        rc = take_str(s, "string in the array", UINT64_MAX, &one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_array(struct scan *s, struct gguf_kv *kv)
{
    uint32_t type = 0;
    uint64_t at = s->at, bytes;
    const unsigned char *p = NULL;
    int rc = take_u32(s, "array's type", &type);

    if (rc < 0)
        return rc;
    if (type == GGUF_ARR)
        return fail(s, E_FORMAT, at, "an array of arrays, which has no meaning in a model");
    if (type >= GGUF_TYPE_N)
        return fail(s, E_FORMAT, at, "an array of value type %u, which is not known",
                    (unsigned)type);
    at = s->at;
    rc = take_u64(s, "array's length", &kv->n);
    if (rc < 0)
        return rc;
    kv->elem_type = (int)type;
    kv->elems = s->p + s->at;
    if (type == GGUF_STR) {
        uint64_t begin_at = s->at;

        rc = read_strings(s, kv->n, at);
        kv->n_byte = s->at - begin_at;
        return rc;
    }
    if (!check_mul(kv->n, gguf_type_bytes(type), &bytes) || bytes > s->n - s->at)
        return fail(s, E_FORMAT, at, "an array of %llu %s, the file has %llu bytes more",
                    (unsigned long long)kv->n, gguf_type_name((int)type),
                    (unsigned long long)(s->n - s->at));
    rc = take(s, bytes, "array", &p);
    return rc == 0 && type == GGUF_BOOL ? check_bools(s, p, kv->n) : rc;
}

static int read_value(struct scan *s, struct gguf_kv *kv)
{
    uint32_t type = 0;
    uint64_t at = s->at;
    const unsigned char *p = NULL;
    int rc = take_u32(s, "value's type", &type);

    if (rc < 0)
        return rc;
    if (type >= GGUF_TYPE_N)
        return fail(s, E_FORMAT, at, "value type %u is not known", (unsigned)type);
    kv->type = (int)type;
    if (type == GGUF_STR)
        return take_str(s, "value", UINT64_MAX, &kv->v.s);
    if (type == GGUF_ARR)
        return read_array(s, kv);
    rc = take(s, gguf_type_bytes(type), "value", &p);
    if (rc < 0)
        return rc;
    if (type == GGUF_BOOL && (rc = check_bools(s, p, 1)) < 0)
        return rc;
    gguf_scalar(kv, p);
    return 0;
}

static int read_kv(struct scan *s, struct gguf_part *part, size_t i)
{
    struct gguf_kv *kv = &part->kv[i];
    uint64_t at = s->at;
    const char *fault;
    int rc;

    begin(s, "key", i);
    rc = take_str(s, "key", GGUF_KEY_MAX, &kv->key);
    if (rc < 0)
        return rc;
    s->name = kv->key;
    fault = gguf_key_fault(kv->key);
    if (fault)
        return fail(s, E_FORMAT, at, "%s", fault);
    rc = map_put(&part->keys, kv->key, (uint32_t)i, NULL);
    if (rc < 0)
        return err_set(s->e, rc, "no memory for %zu keys", part->n_kv);
    if (rc > 0)
        return fail(s, E_FORMAT, at, "the key is there twice");
    return read_value(s, kv);
}

static int read_kvs(struct scan *s, struct gguf_part *part)
{
    int rc = map_init(&part->keys, part->n_kv);

    if (rc == 0 && part->n_kv) {
        part->kv = mem_calloc(part->n_kv, sizeof(*part->kv));
        rc = part->kv ? 0 : E_NOMEM;
    }
    if (rc < 0)
        return err_set(s->e, rc, "no memory for %zu keys", part->n_kv);
    for (size_t i = 0; rc == 0 && i < part->n_kv; i++)
        rc = read_kv(s, part, i);
    return rc;
}

static int read_align(struct scan *s, struct gguf_part *part)
{
    const struct gguf_kv *kv = gguf_part_kv(part, "general.alignment");
    const char *fault;
    uint64_t at;

    part->align = GGUF_ALIGN;
    if (!kv)
        return 0;
    begin(s, "key", 0);
    s->name = kv->key;
    at = (uint64_t)((const unsigned char *)kv->key.p - s->p) + kv->key.n;
    if (kv->type != GGUF_U32)
        return fail(s, E_FORMAT, at, "its type is %s, expected u32", gguf_type_name(kv->type));
    fault = gguf_align_fault(kv->v.u);
    if (fault)
        return fail(s, E_FORMAT, at + 4, "an alignment of %llu is %s",
                    (unsigned long long)kv->v.u, fault);
    part->align = kv->v.u;
    return 0;
}

/* -- tensors ------------------------------------------------------------------------- */

/* Reads what the header says of a tensor; its place is judged when the header's end is
 * known. */
static int read_tensor(struct scan *s, struct gguf_part *part, size_t i)
{
    struct gguf_tensor *t = &part->tensors[i];
    uint64_t at = s->at;
    uint32_t n_dim = 0, type = 0;
    struct err why;
    int rc;

    begin(s, "tensor", i);
    rc = take_str(s, "name", GGUF_NAME_MAX, &t->name);
    if (rc < 0)
        return rc;
    if (t->name.n == 0)
        return fail(s, E_FORMAT, at, "its name is empty");
    s->name = t->name;
    rc = map_put(&part->names, t->name, (uint32_t)i, NULL);
    if (rc < 0)
        return err_set(s->e, rc, "no memory for %zu tensors", part->n_tensor);
    if (rc > 0)
        return fail(s, E_FORMAT, at, "the tensor is there twice");
    at = s->at;
    rc = take_u32(s, "number of dimensions", &n_dim);
    if (rc == 0 && (n_dim < 1 || n_dim > GGUF_DIMS))
        rc = fail(s, E_FORMAT, at, "%u dimensions, expected 1 to %d", (unsigned)n_dim,
                  GGUF_DIMS);
    for (uint32_t k = 0; k < GGUF_DIMS; k++) {
        t->ne[k] = 1;
        if (rc == 0 && k < n_dim)
            rc = take_u64(s, "dimension", &t->ne[k]);
    }
    if (rc == 0)
        rc = take_u32(s, "type", &type);
    if (rc == 0)
        rc = take_u64(s, "offset", &t->offset);
    if (rc < 0)
        return rc;
    t->n_dim = (int)n_dim;
    t->type = type > INT32_MAX ? INT32_MAX : (int)type;
    rc = gguf_shape(t->type, t->n_dim, t->ne, &t->n_elem, &t->n_byte, &why);
    return rc < 0 ? fail(s, rc, at, "%s", why.msg) : 0;
}

/* Turns the offset from the start of the data into one from the start of the file. */
static int place_tensor(struct scan *s, struct gguf_tensor *t, uint64_t data, uint64_t align)
{
    uint64_t from, to;

    s->name = t->name;
    if (!check_add(data, t->offset, &from) || !check_add(from, t->n_byte, &to) || to > s->n)
        return fail(
            s, E_FORMAT, s->n,
            "its %llu bytes at offset %llu go past the end of the file (get it again if a "
            "download was cut short), which is",
            (unsigned long long)t->n_byte, (unsigned long long)t->offset);
    if (t->offset % align)
        return fail(s, E_FORMAT, from,
                    "its data, at offset %llu, not a multiple of %llu, begin",
                    (unsigned long long)t->offset, (unsigned long long)align);
    t->offset = from;
    t->data = s->p + from;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct gguf_tensor *const *x = a, *const *y = b;

    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* Files list their tensors in the order of their data nearly always; when not, an index is
 * sorted. *end: where the last one ends. */
static int check_overlaps(struct scan *s, struct gguf_part *part, uint64_t *end)
{
    const struct gguf_tensor **order = mem_calloc(part->n_tensor, sizeof(*order)), *last;
    char who[100];
    int rc = 0, sorted = 1;

    if (!order)
        return err_set(s->e, E_NOMEM, "no memory for %zu tensors", part->n_tensor);
    for (size_t i = 0; i < part->n_tensor; i++) {
        order[i] = &part->tensors[i];
        sorted &= i == 0 || order[i - 1]->offset <= order[i]->offset;
    }
    if (!sorted)
        qsort(order, part->n_tensor, sizeof(*order), by_offset);
    for (size_t i = 1; rc == 0 && i < part->n_tensor; i++) {
        last = order[i - 1];
        s->name = order[i]->name;
        if (last->offset + last->n_byte > order[i]->offset)
            rc = fail(s, E_FORMAT, order[i]->offset, "its data overlap those of %s",
                      gguf_printable(last->name, who, sizeof(who)));
    }
    last = order[part->n_tensor - 1];
    *end = last->offset + last->n_byte;
    mem_free(order);
    return rc;
}

static int read_tensors(struct scan *s, struct gguf_part *part)
{
    uint64_t data = 0, end = s->at;
    int rc = map_init(&part->names, part->n_tensor);

    if (rc == 0 && part->n_tensor) {
        part->tensors = mem_calloc(part->n_tensor, sizeof(*part->tensors));
        rc = part->tensors ? 0 : E_NOMEM;
    }
    if (rc < 0)
        return err_set(s->e, rc, "no memory for %zu tensors", part->n_tensor);
    for (size_t i = 0; rc == 0 && i < part->n_tensor; i++)
        rc = read_tensor(s, part, i);
    if (rc < 0)
        return rc;
    begin(s, "tensor", 0);
    (void)check_align(s->at, part->align, &data); /* at is within a file, far below 2^64 */
    for (size_t i = 0; rc == 0 && i < part->n_tensor; i++)
        rc = place_tensor(s, &part->tensors[i], data, part->align);
    if (rc == 0 && part->n_tensor)
        rc = check_overlaps(s, part, &end);
    if (rc < 0)
        return rc;
    (void)check_align(end, part->align, &end); /* writers fill up the last tensor, too */
    part->n_trailing = s->n > end ? s->n - end : 0;
    return 0;
}

int gguf_part_read(struct gguf_part *p, struct mapping *map, const char *path, struct err *e)
{
    struct gguf_part part = {.map = *map};
    struct scan s = {.e = e};
    int rc, gone;

    *map = (struct mapping){0};
    s.p = part.map.p;
    s.n = part.map.n;
    begin(&s, "header", 0);
    if ((rc = read_magic(&s)) < 0 || (rc = read_version(&s, &part.version)) < 0 ||
        (rc = read_count(&s, "tensors", GGUF_TENSOR_BYTES_MIN, &part.n_tensor)) < 0 ||
        (rc = read_count(&s, "keys", GGUF_KV_BYTES_MIN, &part.n_kv)) < 0 ||
        (rc = read_kvs(&s, &part)) < 0 || (rc = read_align(&s, &part)) < 0 ||
        (rc = read_tensors(&s, &part)) < 0)
        (void)err_wrap(e, rc, "%s", path);
    /* What is wrong with zeros that are not the file's is not what is wrong with it. */
    gone = mmap_intact(&part.map, e);
    rc = gone < 0 ? gone : rc;
    if (rc < 0) {
        gguf_part_close(&part);
        return rc;
    }
    *p = part;
    return 0;
}

int gguf_part_open(struct gguf_part *p, const char *path, struct err *e)
{
    struct mapping map;
    int rc = mmap_open(&map, path, e);

    return rc < 0 ? rc : gguf_part_read(p, &map, path, e);
}

void gguf_part_close(struct gguf_part *p)
{
    map_done(&p->keys);
    map_done(&p->names);
    mem_free(p->kv);
    mem_free(p->tensors);
    mmap_close(&p->map);
    *p = (struct gguf_part){0};
}

const struct gguf_kv *gguf_part_kv(const struct gguf_part *p, const char *key)
{
    uint32_t i;

    return map_get(&p->keys, str_of(key), &i) ? &p->kv[i] : NULL;
}
