/* The tokenizer's keys: a vocabulary from the folder's tokenizer file, and tokens with a
 * meaning from tokenizer_config.json and its like.
 */
#include "model/hf/hf_priv.h"

#include "fmt/jfile.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TOKENIZER_MAX ((size_t)256 << 20)

enum { TOKENS_MAX = 1 << 22 };

const struct hf_vocab hf_vocab_new = {
    .add_space = -1,
    .one_space = -1,
    .lower = -1,
    .strip = -1,
    .add_bos = -1,
    .add_eos = -1,
    .bos = -1,
    .eos = -1,
    .unk = -1,
    .pad = -1,
    .cls = -1,
    .sep = -1,
    .mask = -1,
};

int hf_map_in(struct hf *h, const char *name, struct mapping *map)
{
    char path[PATH_MAX];
    struct stat st;

    *map = (struct mapping){0};
    if (h->rc < 0 || snprintf(path, sizeof(path), "%s/%s", h->dir, name) >= PATH_MAX ||
        stat(path, &st) != 0)
        return 0;
    h->rc = mmap_open(map, path, h->e);
    if (h->rc == 0 && map->n > TOKENIZER_MAX)
        hf_fail(h, E_TOO_LONG, "%s: %zu bytes, the limit is %zu", name, map->n, TOKENIZER_MAX);
    if (h->rc == 0 && map->n == 0)
        hf_fail(h, E_FORMAT, "%s: an empty file", name);
    return h->rc == 0;
}

void hf_unmap(struct hf *h, struct mapping *map)
{
    int gone = mmap_intact(map, h->e);

    h->rc = gone < 0 ? gone : h->rc;
    mmap_close(map);
}

/* -- vocabularies -------------------------------------------------------------------------- */

int hf_vocab_room(struct hf *h, struct hf_vocab *v, const char *what, int64_t n)
{
    if (n < 1 || n > TOKENS_MAX) {
        hf_fail(h, E_FORMAT, "%s: a vocabulary of %lld tokens; it may have 1 to %d", what,
                (long long)n, TOKENS_MAX);
        return 0;
    }
    v->n = (size_t)n;
    v->text = hf_alloc(h, v->n, sizeof(*v->text));
    v->type = hf_alloc(h, v->n, sizeof(*v->type));
    v->score = hf_alloc(h, v->n, sizeof(*v->score));
    v->side = hf_alloc(h, v->n, sizeof(*v->side));
    for (size_t i = 0; h->rc == 0 && i < v->n; i++)
        v->type[i] = HF_TOK_UNUSED;
    return h->rc == 0;
}

void hf_vocab_add(struct hf_vocab *v, size_t id, struct str text, const json_t *about)
{
    v->text[id] = text;
    v->type[id] =
        json_is_true(json_object_get(about, "special")) ? HF_TOK_CONTROL : HF_TOK_USER;
    v->side[id] =
        (unsigned char)((json_is_true(json_object_get(about, "lstrip")) ? HF_LSTRIP : 0) |
                        (json_is_true(json_object_get(about, "rstrip")) ? HF_RSTRIP : 0));
}

int64_t hf_vocab_find(const struct hf_vocab *v, struct str text)
{
    for (size_t i = 0; text.n && i < v->n; i++) {
        if (str_eq(v->text[i], text))
            return (int64_t)i;
    }
    return -1;
}

int hf_is_byte(struct str s)
{
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>';
}

/* As many tokens as the embedding has rows: models have rows that no token uses, and some
 * tokenizers have tokens (of images) that the language model has no row for. */
static void fit_rows(struct hf *h, struct hf_vocab *v)
{
    struct hf_vocab all = *v;
    char name[32];

    if (v->n > h->n_vocab)
        hf_add_note(h, "%zu tokens have no row in the embedding and are left out",
                    v->n - (size_t)h->n_vocab);
    if (!hf_vocab_room(h, v, "its embedding", (int64_t)h->n_vocab))
        return;
    for (size_t i = 0; h->rc == 0 && i < v->n; i++) {
        if (i < all.n && all.text[i].n) {
            v->text[i] = all.text[i];
            v->type[i] = all.type[i];
            v->score[i] = all.score[i];
            v->side[i] = all.side[i];
            continue;
        }
        (void)snprintf(name, sizeof(name), "[PAD%zu]", i);
        v->text[i].p = arena_strdup(&h->mem, str_of(name));
        v->text[i].n = strlen(name);
        if (!v->text[i].p)
            hf_fail(h, E_NOMEM, "no memory for tokens");
    }
}

/* -- keys ---------------------------------------------------------------------------------- */

static void put_id(struct hf *h, const char *name, int64_t id)
{
    char key[80];

    (void)snprintf(key, sizeof(key), "tokenizer.ggml.%s_token_id", name);
    if (h->rc == 0 && id >= 0 && (uint64_t)id < h->n_vocab)
        h->rc = gguf_put_u64(h->keys, key, GGUF_U32, (uint64_t)id, h->e);
}

/* A flag of -1 is not told. */
static void put_flag(struct hf *h, const char *name, int v)
{
    char key[80];

    (void)snprintf(key, sizeof(key), "tokenizer.ggml.%s", name);
    if (h->rc == 0 && v >= 0)
        h->rc = gguf_put_u64(h->keys, key, GGUF_BOOL, v != 0, h->e);
}

/* GGUF has no key for it, so it is one of ours. */
static void put_strip(struct hf *h, const struct hf_vocab *v, const char *key, int flag)
{
    int32_t *id = hf_alloc(h, v->n, sizeof(*id));
    size_t n = 0;

    for (size_t i = 0; h->rc == 0 && i < v->n; i++) {
        if (v->side[i] & flag)
            id[n++] = (int32_t)i;
    }
    if (h->rc == 0 && n)
        h->rc = gguf_put_arr(h->keys, key, GGUF_I32, id, n, h->e);
}

static int is_kind(const struct hf_vocab *v, const char *model)
{
    return strcmp(v->model, model) == 0;
}

static void put_vocab(struct hf *h, const struct hf_vocab *v)
{
    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.model", str_of(v->model), h->e);
    if (h->rc == 0 && v->pre)
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.pre", str_of(v->pre), h->e);
    if (h->rc == 0)
        h->rc = gguf_put_strs(h->keys, "tokenizer.ggml.tokens", v->text, v->n, h->e);
    if (h->rc == 0 && (is_kind(v, "llama") || is_kind(v, "t5")))
        h->rc = gguf_put_arr(h->keys, "tokenizer.ggml.scores", GGUF_F32, v->score, v->n, h->e);
    if (h->rc == 0)
        h->rc =
            gguf_put_arr(h->keys, "tokenizer.ggml.token_type", GGUF_I32, v->type, v->n, h->e);
    if (h->rc == 0 && v->merge)
        h->rc = gguf_put_strs(h->keys, "tokenizer.ggml.merges", v->merge, v->n_merge, h->e);
    if (h->rc == 0 && v->charsmap.n)
        h->rc = gguf_put_arr(h->keys, "tokenizer.ggml.precompiled_charsmap", GGUF_U8,
                             v->charsmap.p, v->charsmap.n, h->e);
    put_strip(h, v, "hearth.tokenizer.lstrip", HF_LSTRIP);
    put_strip(h, v, "hearth.tokenizer.rstrip", HF_RSTRIP);
    put_flag(h, "add_space_prefix", v->add_space);
    put_flag(h, "remove_extra_whitespaces", v->one_space);
    put_flag(h, "normalizer.lowercase", v->lower);
    put_flag(h, "normalizer.strip_accents", v->strip);
}

/* A token's text: a string, or an object with "content"; of tokenizer_config.json or of what
 * older folders have beside it. */
static struct str special_text(const struct hf *h, const char *name)
{
    const json_t *j = json_object_get(h->tok_config, name);

    if (!j || json_is_null(j))
        j = json_object_get(h->tok_map, name);
    if (json_is_object(j))
        j = json_object_get(j, "content");
    return (struct str){json_string_value(j), json_string_length(j)};
}

/* Number i of the ids that end a generation; -1 past the last. */
static int64_t end_id(const struct hf *h, size_t i)
{
    const json_t *j = json_object_get(h->generation, "eos_token_id");

    if (!j || json_is_null(j))
        j = hf_get(h, "eos_token_id");
    if (json_is_integer(j))
        return i == 0 ? json_integer_value(j) : -1;
    j = json_array_get(j, i);
    return json_is_integer(j) ? json_integer_value(j) : -1;
}

/* The id of a token with a meaning: by its text, by what the tokenizer's file says, by the
 * text that it usually has. */
static int64_t meaning(const struct hf *h, const struct hf_vocab *v, const char *name, int own,
                       const char *usual)
{
    int64_t id = hf_vocab_find(v, special_text(h, name));

    if (id < 0)
        id = own;
    return id < 0 && usual ? hf_vocab_find(v, str_of(usual)) : id;
}

/* Candidate i for an end; -1: none. first: what ends texts, which need not end an answer. */
static int64_t end_at(const struct hf *h, const struct hf_vocab *v, int64_t first, size_t i)
{
    if (i == 0)
        return first;
    return i == 1 ? hf_vocab_find(v, special_text(h, "eos_token")) : end_id(h, i - 2);
}

/* GGUF has a key for each of three; what tokenizers know as an end by its text needs none. */
static void put_ends(struct hf *h, const struct hf_vocab *v, int64_t first)
{
    static const char *const keys[] = {"eos", "eot", "eom"};
    int64_t end[HF_COUNT(keys)], id = first;
    size_t n = 0;

    for (size_t i = 0; i < 2 || id >= 0; i++, id = end_at(h, v, first, i)) {
        int known = id < 0 || id >= (int64_t)v->n;

        for (size_t k = 0; k < n; k++)
            known |= end[k] == id;
        if (!known && n == HF_COUNT(keys)) {
            hf_add_note(h, "generation_config.json: more than three tokens end an answer; the "
                           "file says three");
            break;
        }
        if (!known)
            end[n++] = id;
    }
    for (size_t k = 0; k < n; k++)
        put_id(h, keys[k], end[k]);
}

static void put_specials(struct hf *h, const struct hf_vocab *v)
{
    int bert = is_kind(v, "bert");
    int64_t bos = meaning(h, v, "bos_token", v->bos, NULL),
            eos = meaning(h, v, "eos_token", v->eos, NULL),
            cls = meaning(h, v, "cls_token", v->cls, bert ? "[CLS]" : NULL),
            sep = meaning(h, v, "sep_token", v->sep, bert ? "[SEP]" : NULL);

    /* What the post-processor puts counts, whatever is called so elsewhere. */
    if (v->add_bos > 0 && v->bos >= 0)
        bos = v->bos;
    if (v->add_eos > 0 && v->eos >= 0)
        eos = v->eos;
    if (bert) {
        bos = cls;
        eos = sep;
    }
    if (bos < 0)
        bos = hf_int(h, "bos_token_id", -1);
    if (eos < 0)
        eos = end_id(h, 0);
    put_id(h, "bos", bos);
    put_id(h, "padding", meaning(h, v, "pad_token", v->pad, bert ? "[PAD]" : NULL));
    put_id(h, "seperator", sep);
    put_id(h, "cls", cls);
    put_id(h, "mask", meaning(h, v, "mask_token", v->mask, bert ? "[MASK]" : NULL));
    put_id(h, "unknown", v->unk >= 0 ? v->unk : bert ? hf_vocab_find(v, str_of("[UNK]")) : -1);
    put_ends(h, v, eos);
}

/* Programs for SentencePiece's models put a BOS by themselves; those of one that goes by
 * tokenizer.json alone do what it says. */
static int adds_bos_unasked(const struct hf *h, const struct hf_vocab *v)
{
    const char *class = json_string_value(json_object_get(h->tok_config, "tokenizer_class"));

    return is_kind(v, "llama") && !(class && strcmp(class, "PreTrainedTokenizerFast") == 0);
}

static void put_adds(struct hf *h, const struct hf_vocab *v)
{
    static const char *const names[] = {"add_bos_token", "add_eos_token"};

    for (int after = 0; after < 2; after++) {
        const json_t *told = json_object_get(h->tok_config, names[after]);
        int puts = after ? v->add_eos : v->add_bos;

        if (json_is_boolean(told))
            puts = json_is_true(told);
        if (puts < 0)
            puts = !after && adds_bos_unasked(h, v);
        put_flag(h, names[after], is_kind(v, "bert") ? 1 : puts);
    }
}

static void put_tokenizer(struct hf *h, struct hf_vocab *v)
{
    if (h->rc == 0 && v->model) {
        fit_rows(h, v);
        put_vocab(h, v);
        put_specials(h, v);
        put_adds(h, v);
    } else if (h->rc == 0) {
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.model", str_of("no_vocab"), h->e);
    }
}

/* Tokens that tokenizer_config.json adds to a vocabulary that has no place for them. */
static void add_decoder(struct hf *h, struct hf_vocab *v)
{
    json_t *all = json_object_get(h->tok_config, "added_tokens_decoder"), *t;
    struct hf_vocab more = *v;
    const char *id;
    size_t n = v->n;

    json_object_foreach(all, id, t)
    {
        unsigned long i = strtoul(id, NULL, 10);

        n = i < h->n_vocab && i >= n ? i + 1 : n;
    }
    if (!json_object_size(all) || h->rc < 0 ||
        !hf_vocab_room(h, &more, "tokenizer_config.json", (int64_t)n))
        return;
    memcpy(more.text, v->text, v->n * sizeof(*v->text));
    memcpy(more.type, v->type, v->n * sizeof(*v->type));
    memcpy(more.score, v->score, v->n * sizeof(*v->score));
    memcpy(more.side, v->side, v->n);
    json_object_foreach(all, id, t)
    {
        unsigned long i = strtoul(id, NULL, 10);
        const json_t *text = json_object_get(t, "content");

        if (i >= n || !json_is_string(text) || more.type[i] == HF_TOK_UNKNOWN)
            continue;
        hf_vocab_add(&more, i, (struct str){json_string_value(text), json_string_length(text)},
                     t);
    }
    *v = more;
}

/* -- files --------------------------------------------------------------------------------- */

typedef void read_json_fn(struct hf *h, struct hf_vocab *v, const json_t *j);

/* *j keeps what v borrows from. */
static void read_as_json(struct hf *h, struct hf_vocab *v, const char *name, struct str bytes,
                         json_t **j, read_json_fn *read)
{
    h->rc = jfile_parse(j, name, bytes.p, bytes.n, h->e);
    if (h->rc == 0)
        read(h, v, *j);
}

/* By what is in it: files of one name hold one thing or the other. */
static void read_other(struct hf *h, struct hf_vocab *v, const char *name, struct str bytes)
{
    if (hf_is_tiktoken(bytes))
        hf_tok_tiktoken(h, v, name, bytes);
    else
        hf_tok_spm(h, v, name, bytes);
    if (h->rc == 0 && v->model)
        add_decoder(h, v);
}

/* The first file NAME.tiktoken; "" when there is none. */
static void find_tiktoken(const struct hf *h, char *name, size_t n_name)
{
    static const char end[] = ".tiktoken";
    DIR *dir = opendir(h->dir);
    struct dirent *entry;

    name[0] = '\0';
    while (dir && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);

        if (n > strlen(end) && n < n_name &&
            strcmp(entry->d_name + n - strlen(end), end) == 0 &&
            (!name[0] || strcmp(entry->d_name, name) < 0))
            memcpy(name, entry->d_name, n + 1);
    }
    if (dir)
        (void)closedir(dir);
}

void hf_tokenizer(struct hf *h)
{
    char found[NAME_MAX + 1];
    const char *const names[] = {"tokenizer.json",
                                 "tekken.json",
                                 "tokenizer.model",
                                 "tiktoken.model",
                                 "spiece.model",
                                 "sentencepiece.bpe.model",
                                 found};
    struct hf_vocab v = hf_vocab_new;
    struct mapping map = {0};
    json_t *j = NULL;
    size_t i;

    find_tiktoken(h, found, sizeof(found));
    for (i = 0; i < HF_COUNT(names) && h->rc == 0 && !map.n; i++) {
        struct str bytes;

        if (!names[i][0] || !hf_map_in(h, names[i], &map))
            continue;
        bytes = (struct str){(const char *)map.p, map.n};
        if (i < 2)
            read_as_json(h, &v, names[i], bytes, &j, i == 0 ? hf_tok_json : hf_tok_tekken);
        else
            read_other(h, &v, names[i], bytes);
    }
    if (h->rc == 0 && !map.n)
        hf_add_note(h,
                    "neither tokenizer.json, tekken.json, tokenizer.model nor a tiktoken file "
                    "is there, so the model has no tokenizer");
    put_tokenizer(h, &v);
    json_decref(j);
    hf_unmap(h, &map);
    hf_templates(h);
}
