#include "model/hf/hf_priv.h"

#include "base/mem.h"
#include "fmt/jfile.h"
#include "quant/quant.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { JSON_MAX = 16 << 20, LAYERS_MAX = 4096, DATA_ALIGN = 64, MAKE_PIECE = 1 << 20 };
#define ARENA_MAX ((size_t)4 << 30)

static const struct hf_family *const families[] = {
#define X(name) hf_##name,
    HF_FAMILIES(X)
#undef X
};

/* -- families ------------------------------------------------------------------------------ */

/* Is name one of "a|b|c"? */
static int is_one_of(const char *list, const char *name)
{
    size_t n = strlen(name);

    while (list && *list && n) {
        size_t len = strcspn(list, "|");

        if (len == n && memcmp(list, name, n) == 0)
            return 1;
        list += len + (list[len] != '\0');
    }
    return 0;
}

static const struct hf_family *find(const char *name, int by_class)
{
    for (size_t i = 0; i < HF_COUNT(families); i++) {
        for (const struct hf_family *f = families[i]; f->arch; f++) {
            if (is_one_of(by_class ? f->classes : f->types, name))
                return f;
        }
    }
    return NULL;
}

const char *hf_class_name(size_t i, const char **arch)
{
    for (size_t k = 0; k < HF_COUNT(families); k++) {
        for (const struct hf_family *f = families[k]; f->arch; f++) {
            if (!f->classes || i-- > 0)
                continue;
            if (arch)
                *arch = f->arch;
            return f->classes;
        }
    }
    return NULL;
}

/* What the makers' own code takes where a config says nothing. */
static void add_defaults(struct hf *h)
{
    json_t *more = NULL;

    if (!h->family->defaults)
        return;
    if (jfile_parse(&more, "defaults", h->family->defaults, strlen(h->family->defaults), h->e) <
            0 ||
        json_object_update_missing(h->config, more) != 0)
        hf_fail(h, E_NOMEM, "no memory for config.json");
    json_decref(more);
}

static void find_family(struct hf *h)
{
    const char *class = hf_text_at(h, "architectures", 0), *type = hf_text(h, "model_type");

    h->family = find(class, 1);
    if (!h->family && !*class)
        h->family = find(type, 0);
    if (h->family) {
        add_defaults(h);
        h->family += h->family->next && h->family->next(h);
        return;
    }
    if (!*class && !*type)
        hf_fail(
            h, E_FORMAT,
            "config.json: neither architectures, a list of names, nor model_type says which "
            "model this is");
    else
        hf_fail(
            h, E_UNSUPPORTED,
            "config.json: model class '%.60s' is not supported; `hearth debug list classes` "
            "names those that are",
            *class ? class : type);
}

/* Weights of 4 bits in layouts of other programs are refused by name. FP8 and MXFP4 are read.
 *
 * GPTQ: w = scale * (q - zero) with an F16 scale and a whole zero from 0 to 16. Q4_1 has w = d
 * * q
 * + m with F16 d and m, and m = -scale * zero is seldom an F16 number: near, but not the same
 * weights, so it would be a quantisation of its own. */
static void check_quant(struct hf *h)
{
    static const char *const known[] = {"fp8", "mxfp4"};
    const char *method = hf_text(h, "quantization_config.quant_method");

    if (!hf_has(h, "quantization_config"))
        return;
    for (size_t i = 0; i < HF_COUNT(known); i++) {
        if (strcmp(method, known[i]) == 0)
            return;
    }
    if (strcmp(method, "compressed-tensors") == 0 &&
        strcmp(hf_text(h, "quantization_config.format"), "float-quantized") == 0)
        return;
    hf_fail(
        h, E_UNSUPPORTED,
        "config.json: weights quantised by '%.40s' are not read here; take the folder of the "
        "original weights (convert --type makes them small) or a GGUF of this model",
        *method ? method : "?");
}

/* -- opening ------------------------------------------------------------------------------- */

int hf_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A JSON file of the folder. Returns 0 also when it is not there and need not be. */
static int load(const char *dir, const char *name, int must, json_t **out, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
        return err_set(e, E_INVALID, "%.80s...: the path is too long", dir);
    if (stat(path, &st) != 0) {
        if (!must)
            return 0;
        return err_set(e, E_NOT_FOUND,
                       "%s: no %s in it; give a .gguf file, or a folder with a model's "
                       "config.json and safetensors",
                       dir, name);
    }
    return jfile_load(out, path, JSON_MAX, e);
}

/* The language model's part of the config, over the rest. */
static int load_config(struct hf *h, const char *dir, struct err *e)
{
    static const char *const inner[] = {"text_config", "llm_config", "language_config"};
    int rc = load(dir, "config.json", 1, &h->config, e);
    json_t *all;

    for (size_t i = 0; rc == 0 && i < HF_COUNT(inner); i++) {
        const json_t *in = json_object_get(h->config, inner[i]);
        const json_t *classes = json_object_get(h->config, "architectures");

        if (!json_is_object(in))
            continue;
        all = json_copy(h->config);
        if (!all || json_object_update(all, (json_t *)(uintptr_t)in) != 0 ||
            (classes &&
             json_object_set(all, "architectures", (json_t *)(uintptr_t)classes) != 0))
            rc = err_set(e, E_NOMEM, "%s: no memory for config.json", dir);
        json_decref(h->config);
        h->config = all;
    }
    if (rc == 0)
        rc = load(dir, "generation_config.json", 0, &h->generation, e);
    if (rc == 0)
        rc = load(dir, "tokenizer_config.json", 0, &h->tok_config, e);
    if (rc == 0)
        rc = load(dir, "special_tokens_map.json", 0, &h->tok_map, e);
    return rc;
}

static void put_general(struct hf *h)
{
    const char *base, *name = hf_text(h, "_name_or_path");
    size_t n = strlen(h->dir);

    while (n > 1 && h->dir[n - 1] == '/')
        n--;
    for (base = h->dir + n; base > h->dir && base[-1] != '/'; base--)
        continue;
    if (strcmp(base, ".") != 0 && strcmp(base, "..") != 0)
        name = base;
    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, "general.architecture", str_of(h->family->arch), h->e);
    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, "general.type", str_of("model"), h->e);
    if (h->rc == 0 && *name)
        h->rc = gguf_put_str(h->keys, "general.name",
                             name == base ? (struct str){base, n - (size_t)(base - h->dir)}
                                          : str_of(name),
                             h->e);
}

static void translate(struct hf *h)
{
    const struct hf_family *f;

    find_family(h);
    check_quant(h);
    if (h->rc < 0)
        return;
    f = h->family;
    h->n_layer = (int)hf_size(h, "num_hidden_layers|n_layer|n_layers|num_layers");
    if (h->n_layer > LAYERS_MAX)
        hf_fail(h, E_FORMAT, "config.json: %d layers, the limit is %d", h->n_layer, LAYERS_MAX);
    if (f->ahead)
        hf_count_ahead(h);
    put_general(h);
    hf_put_u32(h, "block_count", (uint64_t)h->n_layer + (uint64_t)h->n_ahead);
    if (h->n_ahead)
        hf_put_u32(h, "nextn_predict_layers", (uint64_t)h->n_ahead);
    if (!f->own_keys)
        hf_put_keys(h, hf_decoder_keys, hf_n_decoder_key);
    hf_put_keys(h, f->keys, f->n_key);
    if (f->more && h->rc == 0)
        f->more(h);
    if (h->rc == 0)
        (void)hf_plan(h);
    for (size_t i = 0; i < h->n_stacked; i++) {
        if (str_is(h->stacked[i].name, "token_embd.weight"))
            h->n_vocab = h->stacked[i].ne[1];
    }
    if (h->rc == 0 && !h->n_vocab)
        hf_fail(h, E_FORMAT, "no embedding (embed_tokens.weight) among its tensors");
    hf_put_u32(h, "vocab_size", h->n_vocab);
    hf_tokenizer(h);
    mem_free(h->piece);
    h->piece = NULL;
}

int hf_open(struct hf **out, const char *dir, struct err *e)
{
    struct hf *h = mem_calloc(1, sizeof(*h));
    int rc;

    if (!h || !(h->dir = mem_strdup(dir))) {
        mem_free(h);
        return err_set(e, E_NOMEM, "%s: no memory", dir);
    }
    arena_init(&h->mem, ARENA_MAX);
    rc = load_config(h, dir, e);
    if (rc == 0)
        rc = st_open(&h->st, dir, e);
    if (rc == 0)
        rc = gguf_writer_new(&h->keys, 3, e);
    if (rc == 0) {
        h->e = e;
        translate(h);
        rc = h->rc < 0 ? err_wrap(e, h->rc, "%s", dir) : 0;
    }
    if (rc == 0) {
        *out = h;
        h = NULL;
    }
    hf_free(h);
    return rc;
}

void hf_free(struct hf *h)
{
    if (!h)
        return;
    st_free(h->st);
    for (int i = 0; i < HF_SUBS; i++)
        st_free(h->sub[i]);
    gguf_writer_free(h->keys);
    json_decref(h->config);
    json_decref(h->generation);
    json_decref(h->tok_config);
    json_decref(h->tok_map);
    arena_done(&h->mem);
    mem_free(h->piece);
    mem_free(h->dir);
    mem_free(h);
}

const char *hf_note(const struct hf *h, size_t i)
{
    return i < h->n_note ? h->note[i] : NULL;
}

static uint64_t weight_bytes(const struct st *s)
{
    uint64_t n = 0;

    for (size_t i = 0; s && i < st_n_tensor(s); i++)
        n += st_tensor_at(s, i)->n_byte;
    return n;
}

uint64_t hf_file_bytes(const struct hf *h)
{
    uint64_t n = weight_bytes(h->st);

    for (int i = 0; i < HF_SUBS; i++)
        n += weight_bytes(h->sub[i]);
    return n;
}

/* -- as a GGUF ----------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct hf_tensor *t, uint64_t n)
{
    int block = 1, bytes = 0;

    (void)gguf_tensor_type_size(t->type, &block, &bytes);
    return n / (uint64_t)block * (uint64_t)bytes;
}

static uint64_t tensor_bytes(const struct hf_tensor *t)
{
    return bytes_of(t, t->n_elem);
}

static uint64_t round_up(uint64_t n)
{
    return (n + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
}

struct make {
    const struct hf *h;
    const struct hf_watch *watch;
    uint64_t done, all; /* bytes */
};

/* Pieces are whole blocks of every type. */
static int make_tensor(struct make *k, const struct hf_tensor *t, unsigned char *at,
                       struct err *e)
{
    for (uint64_t i = 0, n; i < t->n_elem; i += n) {
        n = t->n_elem - i < MAKE_PIECE ? t->n_elem - i : MAKE_PIECE;
        if (k->watch && k->watch->progress &&
            k->watch->progress(k->watch->ctx, (double)k->done / (double)k->all))
            return err_set(e, E_CANCELLED, "%s: opening was stopped", k->h->dir);
        hf_read(t, i, n, at + bytes_of(t, i));
        k->done += bytes_of(t, n);
    }
    return 0;
}

/* Makes what cannot be used as it lies, in memory of our own. */
static int make_data(const struct hf *h, const struct hf_watch *watch, struct mapping *own,
                     struct err *e)
{
    struct make k = {.h = h, .watch = watch};
    unsigned char *at;
    int rc = 0;

    for (size_t i = 0; i < h->n_tensor; i++)
        k.all += hf_in_place(&h->tensor[i]) ? 0 : round_up(tensor_bytes(&h->tensor[i]));
    if (k.all == 0)
        return 0;
    if (mmap_memory(own, (size_t)k.all, e) < 0)
        return err_wrap(e, E_NOMEM, "%s: weights that must be rearranged", h->dir);
    at = (unsigned char *)(uintptr_t)own->p;
    for (size_t i = 0; i < h->n_tensor && rc == 0; i++) {
        const struct hf_tensor *t = &h->tensor[i];

        if (hf_in_place(t))
            continue;
        rc = make_tensor(&k, t, at, e);
        hf_let_go(t);
        at += round_up(tensor_bytes(t));
    }
    return rc;
}

/* With data: experts one by one, so that they can stay in the files. Without: as a file has it.
 */
static int put_tensors(struct hf *h, int with_data, const struct mapping *own, struct err *e)
{
    const unsigned char *at = own->p;
    size_t n = with_data ? h->n_tensor : h->n_stacked;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct hf_tensor *t = with_data ? &h->tensor[i] : &h->stacked[i];
        const unsigned char *data = hf_in_place(t);

        if (!data && with_data) {
            data = at;
            at += round_up(tensor_bytes(t));
        }
        rc = gguf_put_tensor(h->keys, t->name.p, t->type, t->n_dim, t->ne, data, e);
    }
    return rc;
}

/* Moves the mappings of s behind the *n of *maps. */
static int take_maps(struct st *s, struct mapping **maps, size_t *n, struct err *e)
{
    size_t n_more = 0;
    struct mapping *more = s ? st_take_mappings(s, &n_more) : NULL,
                   *all = mem_realloc(*maps, (*n + n_more + 1) * sizeof(*all));
    int rc = 0;

    if (all) {
        *maps = all;
        if (n_more)
            memcpy(all + *n, more, n_more * sizeof(*all));
        *n += n_more;
    } else {
        rc = err_set(e, E_NOMEM, "no memory for %zu files", *n + n_more);
        for (size_t i = 0; i < n_more; i++)
            mmap_close(&more[i]);
    }
    mem_free(more);
    return rc;
}

int hf_intact(const struct hf *h, struct err *e)
{
    int rc = st_intact(h->st, e);

    for (int i = 0; i < HF_SUBS && rc == 0; i++)
        rc = h->sub[i] ? st_intact(h->sub[i], e) : 0;
    return rc;
}

static int open_folder(struct gguf **out, const char *path, int with_data,
                       const struct hf_watch *watch, struct err *e)
{
    struct hf *h = NULL;
    struct mapping own = {0}, *maps = NULL;
    size_t n = 0;
    int rc = hf_open(&h, path, e);

    if (rc == 0 && with_data)
        rc = make_data(h, watch, &own, e);
    if (rc == 0)
        rc = hf_intact(h, e);
    if (rc == 0)
        rc = put_tensors(h, with_data, &own, e);
    if (rc == 0)
        rc = take_maps(h->st, &maps, &n, e);
    for (int i = 0; rc == 0 && i < HF_SUBS; i++)
        rc = take_maps(h->sub[i], &maps, &n, e);
    if (rc == 0) {
        maps[n] = own; /* there is room for one more */
        n += own.p != NULL;
        own = (struct mapping){0};
        rc = gguf_of_writer(out, h->keys, path, "Hugging Face folder", maps, n, e);
    } else {
        for (size_t i = 0; i < n; i++)
            mmap_close(&maps[i]);
    }
    mem_free(maps);
    mmap_close(&own);
    hf_free(h);
    return rc;
}

int hf_open_model(struct gguf **out, const char *path, int with_data, struct err *e)
{
    return hf_is_folder(path) ? open_folder(out, path, with_data, NULL, e)
                              : gguf_open(out, path, e);
}

int hf_open_watched(struct gguf **out, const char *path, const struct hf_watch *watch,
                    struct err *e)
{
    return hf_is_folder(path) ? open_folder(out, path, 1, watch, e) : gguf_open(out, path, e);
}
