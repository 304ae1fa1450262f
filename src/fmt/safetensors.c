/* A file begins with 8 bytes, the length of its header; the header is a JSON object that says
 * of each tensor its type, shape and the bytes that it has behind the header. A folder with
 * many files has an index, which says of each tensor in which file it is.
 */
#include "fmt/safetensors.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "fmt/jfile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* clang-format off */
static const struct {
    const char *name;
    unsigned char bytes;
} dtypes[ST_DTYPE_N] = {
    [ST_F64] = {"F64", 8},         [ST_F32] = {"F32", 4},
    [ST_F16] = {"F16", 2},         [ST_BF16] = {"BF16", 2},
    [ST_F8_E4M3] = {"F8_E4M3", 1}, [ST_F8_E5M2] = {"F8_E5M2", 1},
    [ST_F8_E8M0] = {"F8_E8M0", 1},
    [ST_I64] = {"I64", 8},         [ST_I32] = {"I32", 4},
    [ST_I16] = {"I16", 2},         [ST_I8] = {"I8", 1},
    [ST_U64] = {"U64", 8},         [ST_U32] = {"U32", 4},
    [ST_U16] = {"U16", 2},         [ST_U8] = {"U8", 1},
    [ST_BOOL] = {"BOOL", 1},
};
/* clang-format on */

enum {
    ST_HEAD_MAX = 100 * 1000 * 1000, /* bytes of a header, as the format has it */
    ST_INDEX_MAX = 100 * 1000 * 1000,
    ST_NAME_MAX = 512,         /* bytes of a tensor's name */
    ST_COUNT_MAX = 1024 * 1024 /* tensors of a folder */
};
#define ST_ARENA_MAX ((size_t)1 << 30)

struct st {
    struct arena names;
    struct mapping *maps;
    size_t n_map, cap_map;
    struct st_tensor *tensors;
    size_t n_tensor, cap_tensor;
    struct map by_name; /* to the index in tensors */
};

const char *st_dtype_name(int dtype)
{
    return dtype >= 0 && dtype < ST_DTYPE_N ? dtypes[dtype].name : NULL;
}

uint64_t st_dtype_bytes(int dtype)
{
    return dtype >= 0 && dtype < ST_DTYPE_N ? dtypes[dtype].bytes : 0;
}

/* -- one tensor ------------------------------------------------------------------------ */

static int read_dtype(const json_t *j, int *out, struct err *e)
{
    const char *name = json_string_value(json_object_get(j, "dtype"));

    if (!name)
        return err_set(e, E_FORMAT, "it has no dtype");
    for (int i = 0; i < ST_DTYPE_N; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = i;
            return 0;
        }
    }
    return err_set(e, E_UNSUPPORTED, "its dtype is %.32s, which is not read here", name);
}

/* Element i of an array of sizes. */
static int read_size(const json_t *array, size_t i, uint64_t *out)
{
    const json_t *j = json_array_get(array, i);

    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return 0;
    *out = (uint64_t)json_integer_value(j);
    return 1;
}

static int read_shape(const json_t *j, struct st_tensor *t, struct err *e)
{
    const json_t *shape = json_object_get(j, "shape");
    size_t n = json_array_size(shape);

    if (!json_is_array(shape) || n > ST_DIMS)
        return err_set(e, E_FORMAT, "its shape is not a list of up to %d sizes", ST_DIMS);
    t->n_dim = (int)n;
    t->n_elem = 1;
    for (size_t i = 0; i < n; i++) {
        if (!read_size(shape, i, &t->shape[i]))
            return err_set(e, E_FORMAT, "size %zu of its shape is not a number from 0", i);
        if (!check_mul(t->n_elem, t->shape[i], &t->n_elem) || t->n_elem > INT64_MAX)
            return err_set(e, E_FORMAT, "the product of its shape is over 2^63");
    }
    if (!check_mul(t->n_elem, dtypes[t->dtype].bytes, &t->n_byte))
        return err_set(e, E_FORMAT, "its size in bytes is over 2^64");
    return 0;
}

/* n_data: bytes behind the header, which begin at data. */
static int read_place(const json_t *j, struct st_tensor *t, const unsigned char *data,
                      uint64_t n_data, struct err *e)
{
    const json_t *place = json_object_get(j, "data_offsets");
    uint64_t from = 0, to = 0;

    if (json_array_size(place) != 2 || !read_size(place, 0, &from) || !read_size(place, 1, &to))
        return err_set(e, E_FORMAT, "its data_offsets are not two numbers from 0");
    if (from > to || to > n_data)
        return err_set(e, E_FORMAT,
                       "its data are bytes %llu to %llu of %llu (get the file again if a "
                       "download was cut short)",
                       (unsigned long long)from, (unsigned long long)to,
                       (unsigned long long)n_data);
    if (to - from != t->n_byte)
        return err_set(e, E_FORMAT, "its data have %llu bytes, its shape and dtype need %llu",
                       (unsigned long long)(to - from), (unsigned long long)t->n_byte);
    t->data = data + from;
    return 0;
}

static int room_for_tensors(struct st *s, size_t more, struct err *e)
{
    size_t need = s->n_tensor + more;
    struct st_tensor *grown;

    if (need > ST_COUNT_MAX)
        return err_set(e, E_FORMAT, "over %d tensors", ST_COUNT_MAX);
    if (need <= s->cap_tensor)
        return 0;
    grown = mem_realloc(s->tensors, need * sizeof(*grown));
    if (!grown)
        return err_set(e, E_NOMEM, "no memory for %zu tensors", need);
    s->tensors = grown;
    s->cap_tensor = need;
    return 0;
}

/* Names are printed in messages: what could drive a terminal is refused here. */
static int name_ok(const char *name)
{
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return 0;
    }
    return *name && strlen(name) <= ST_NAME_MAX;
}

static int read_tensor(struct st *s, const char *name, const json_t *j,
                       const unsigned char *data, uint64_t n_data, struct err *e)
{
    struct st_tensor *t = &s->tensors[s->n_tensor];
    char *copy;
    int rc;

    *t = (struct st_tensor){.file = (int)s->n_map - 1};
    if (!name_ok(name))
        return err_set(e, E_FORMAT, "a tensor's name is empty, over %d bytes, or no text",
                       ST_NAME_MAX);
    if (!json_is_object(j))
        return err_set(e, E_FORMAT, "tensor %s: not an object", name);
    if ((rc = read_dtype(j, &t->dtype, e)) < 0 || (rc = read_shape(j, t, e)) < 0 ||
        (rc = read_place(j, t, data, n_data, e)) < 0)
        return err_wrap(e, rc, "tensor %s", name);
    copy = arena_strdup(&s->names, str_of(name));
    if (!copy)
        return err_set(e, E_NOMEM, "no memory for names");
    t->name = str_of(copy);
    rc = map_put(&s->by_name, t->name, (uint32_t)s->n_tensor, NULL);
    if (rc < 0)
        return err_set(e, rc, "no memory for names");
    if (rc > 0)
        return err_set(e, E_FORMAT, "tensor %s: another file has it, too", name);
    s->n_tensor++;
    return 0;
}

/* -- one file -------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *const *x = a, *const *y = b;

    if ((*x)->data != (*y)->data)
        return (*x)->data < (*y)->data ? -1 : 1;
    return ((*x)->n_byte > (*y)->n_byte) - ((*x)->n_byte < (*y)->n_byte);
}

/* The tensors from number `first` on are those of one file. */
static int check_overlaps(const struct st *s, size_t first, struct err *e)
{
    size_t all = s->n_tensor - first, n = 0;
    const struct st_tensor **order;
    int rc = 0;

    if (!all)
        return 0;
    order = mem_calloc(all, sizeof(*order));
    if (!order)
        return err_set(e, E_NOMEM, "no memory for %zu tensors", all);
    for (size_t i = first; i < s->n_tensor; i++) {
        if (s->tensors[i].n_byte)
            order[n++] = &s->tensors[i];
    }
    if (n)
        qsort(order, n, sizeof(*order), by_place);
    for (size_t i = 1; i < n && rc == 0; i++) {
        if (order[i - 1]->data + order[i - 1]->n_byte > order[i]->data)
            rc = err_set(e, E_FORMAT, "tensor %.*s: its data overlap those of %.*s",
                         (int)order[i]->name.n, order[i]->name.p, (int)order[i - 1]->name.n,
                         order[i - 1]->name.p);
    }
    mem_free(order);
    return rc;
}

/* The header's JSON, and where it ends. */
static int read_head(const struct mapping *map, const char *path, json_t **out, uint64_t *end,
                     struct err *e)
{
    uint64_t n = 0;

    if (map->n >= sizeof(n))
        memcpy(&n, map->p, sizeof(n));
    if (map->n < sizeof(n) || n > map->n - sizeof(n) || n > ST_HEAD_MAX) {
        if (map->n > 7 && memcmp(map->p, "version", 7) == 0)
            return err_set(e, E_FORMAT,
                           "%s: a pointer of git-lfs, not the file: 'git lfs pull' gets it",
                           path);
        return err_set(e, E_FORMAT,
                       "%s: not a safetensors file: %zu bytes, and a header of %llu", path,
                       map->n, (unsigned long long)n);
    }
    *end = sizeof(n) + n;
    return jfile_parse(out, path, (const char *)map->p + sizeof(n), (size_t)n, e);
}

static int add_map(struct st *s, const char *path, struct err *e)
{
    if (s->n_map == s->cap_map) {
        size_t cap = s->cap_map ? s->cap_map * 2 : 4;
        struct mapping *more = mem_realloc(s->maps, cap * sizeof(*more));

        if (!more)
            return err_set(e, E_NOMEM, "%s: no memory", path);
        s->maps = more;
        s->cap_map = cap;
    }
    return mmap_open(&s->maps[s->n_map], path, e);
}

static int add_file(struct st *s, const char *path, struct err *e)
{
    const struct mapping *map;
    json_t *head = NULL, *j;
    const char *name;
    uint64_t end = 0;
    size_t first = s->n_tensor;
    int rc = add_map(s, path, e);

    if (rc < 0)
        return rc;
    map = &s->maps[s->n_map++];
    rc = read_head(map, path, &head, &end, e);
    if (mmap_intact(map, e) < 0)
        rc = E_IO;
    if (rc < 0) {
        json_decref(head);
        return rc;
    }
    rc = room_for_tensors(s, json_object_size(head), e);
    json_object_foreach(head, name, j)
    {
        if (rc == 0 && strcmp(name, "__metadata__") != 0)
            rc = read_tensor(s, name, j, map->p + end, map->n - end, e);
    }
    if (rc == 0)
        rc = check_overlaps(s, first, e);
    json_decref(head);
    return rc < 0 ? err_wrap(e, rc, "%s", path) : 0;
}

/* -- a folder -------------------------------------------------------------------------- */

static int path_in(char out[PATH_MAX], const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);

    return n < PATH_MAX ? 0 : err_set(e, E_INVALID, "%.80s...: the path is too long", dir);
}

/* A name from an index must not lead out of its folder. */
static int is_plain(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Opens each file that the index names, once. */
static int add_shards(struct st *s, const char *dir, const json_t *files, struct err *e)
{
    char path[PATH_MAX];
    struct map seen;
    const char *name;
    json_t *file;
    int rc = map_init(&seen, 16);

    if (rc < 0)
        return err_set(e, rc, "%s: no memory", dir);
    json_object_foreach((json_t *)(uintptr_t)files, name, file)
    {
        const char *base = json_string_value(file);
        int had;

        if (!base || !is_plain(base)) {
            rc = err_set(e, E_FORMAT, "tensor %.100s: \"%.100s\" is no name of a file", name,
                         base ? base : "");
            break;
        }
        had = map_put(&seen, str_of(base), 0, NULL);
        if (had < 0)
            rc = err_set(e, had, "no memory");
        else if (!had && (rc = path_in(path, dir, base, e)) == 0)
            rc = add_file(s, path, e);
        if (rc < 0)
            break;
    }
    map_done(&seen);
    return rc;
}

static int open_index(struct st *s, const char *dir, const char *path, struct err *e)
{
    json_t *index = NULL, *files, *file;
    const char *name;
    int rc = jfile_load(&index, path, ST_INDEX_MAX, e);

    if (rc < 0)
        return rc;
    files = json_object_get(index, "weight_map");
    if (json_object_size(files) == 0)
        rc = err_set(e, E_FORMAT, "it has no weight_map");
    if (rc == 0)
        rc = add_shards(s, dir, files, e);
    json_object_foreach(files, name, file)
    {
        if (rc == 0 && !st_tensor(s, str_of(name)))
            rc = err_set(e, E_FORMAT, "tensor %.100s: %.100s does not have it", name,
                         json_string_value(file));
    }
    json_decref(index);
    return rc < 0 ? err_wrap(e, rc, "%s", path) : 0;
}

/* What a folder without safetensors may have instead. */
static int no_weights(const char *dir, struct err *e)
{
    static const char *const other[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "consolidated.safetensors", "tf_model.h5"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
        if (path_in(path, dir, other[i], NULL) == 0 && access(path, F_OK) == 0)
            return err_set(e, E_NOT_FOUND,
                           "%s: no model.safetensors; %s is there, which is not read here: get "
                           "the model in safetensors or GGUF",
                           dir, other[i]);
    }
    return err_set(e, E_NOT_FOUND,
                   "%s: neither model.safetensors nor model.safetensors.index.json is there",
                   dir);
}

static int by_name(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int c = memcmp(x->name.p, y->name.p, n);

    return c ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* Sorts the tensors; the map of names follows. */
static int settle(struct st *s, struct err *e)
{
    if (s->n_tensor)
        qsort(s->tensors, s->n_tensor, sizeof(*s->tensors), by_name);
    for (size_t i = 0; i < s->n_tensor; i++) {
        if (map_put(&s->by_name, s->tensors[i].name, (uint32_t)i, NULL) < 0)
            return err_set(e, E_NOMEM, "no memory for names");
    }
    return 0;
}

static int st_new(struct st **out, struct err *e)
{
    struct st *s = mem_calloc(1, sizeof(*s));

    if (!s || map_init(&s->by_name, 64) < 0) {
        mem_free(s);
        return err_set(e, E_NOMEM, "no memory for tensors");
    }
    arena_init(&s->names, ST_ARENA_MAX);
    *out = s;
    return 0;
}

int st_open(struct st **out, const char *dir, struct err *e)
{
    char path[PATH_MAX];
    struct st *s = NULL;
    int rc = st_new(&s, e);

    if (rc == 0)
        rc = path_in(path, dir, "model.safetensors.index.json", e);
    if (rc == 0 && access(path, F_OK) == 0) {
        rc = open_index(s, dir, path, e);
    } else if (rc == 0 && (rc = path_in(path, dir, "model.safetensors", e)) == 0) {
        rc = access(path, F_OK) == 0 ? add_file(s, path, e) : no_weights(dir, e);
    }
    if (rc == 0)
        rc = settle(s, e);
    if (rc == 0) {
        *out = s;
        s = NULL;
    }
    st_free(s);
    return rc;
}

int st_open_file(struct st **out, const char *path, struct err *e)
{
    struct st *s = NULL;
    int rc = st_new(&s, e);

    if (rc == 0)
        rc = add_file(s, path, e);
    if (rc == 0)
        rc = settle(s, e);
    if (rc == 0) {
        *out = s;
        s = NULL;
    }
    st_free(s);
    return rc;
}

void st_free(struct st *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_map; i++)
        mmap_close(&s->maps[i]);
    map_done(&s->by_name);
    arena_done(&s->names);
    mem_free(s->maps);
    mem_free(s->tensors);
    mem_free(s);
}

/* -- what is there --------------------------------------------------------------------- */

size_t st_n_tensor(const struct st *s)
{
    return s->n_tensor;
}

const struct st_tensor *st_tensor_at(const struct st *s, size_t i)
{
    return &s->tensors[i];
}

const struct st_tensor *st_tensor(const struct st *s, struct str name)
{
    uint32_t i;

    return map_get(&s->by_name, name, &i) ? &s->tensors[i] : NULL;
}

int st_intact(const struct st *s, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < s->n_map && rc == 0; i++)
        rc = mmap_intact(&s->maps[i], e);
    return rc;
}

struct mapping *st_take_mappings(struct st *s, size_t *n)
{
    struct mapping *maps = s->maps;

    *n = s->n_map;
    s->maps = NULL;
    s->n_map = s->cap_map = 0;
    return maps;
}
