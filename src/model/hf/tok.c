/* The tokenizer's keys: a vocabulary from tokenizer.json or tokenizer.model, tokens with a
 * meaning from tokenizer_config.json and generation_config.json, and the chat template.
 */
#include "model/hf/hf_priv.h"

#include "fmt/jfile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TOKENIZER_MAX ((size_t)256 << 20)
#define TEMPLATE_MAX  ((size_t)4 << 20)

/* Text of a file in the folder; *map is empty when it is not there. */
static int map_in(struct hf *h, const char *name, struct mapping *map)
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
    return h->rc == 0 && map->p;
}

/* A token's text in tokenizer_config.json: a string, or an object with "content". */
static struct str special_text(const struct hf *h, const char *name)
{
    const json_t *j = json_object_get(h->tok_config, name);

    if (json_is_object(j))
        j = json_object_get(j, "content");
    return (struct str){json_string_value(j), json_string_length(j)};
}

static int64_t find_text(const struct hf_vocab *v, struct str s)
{
    for (size_t i = 0; s.n && i < v->n; i++) {
        if (str_eq(v->text[i], s))
            return (int64_t)i;
    }
    return -1;
}

static void put_id(struct hf *h, const char *name, int64_t id)
{
    char key[80];

    (void)snprintf(key, sizeof(key), "tokenizer.ggml.%s_token_id", name);
    if (h->rc == 0 && id >= 0)
        h->rc = gguf_put_u64(h->keys, key, GGUF_U32, (uint64_t)id, h->e);
}

static void put_flag(struct hf *h, const char *name, int v)
{
    char key[80];

    (void)snprintf(key, sizeof(key), "tokenizer.ggml.%s", name);
    if (h->rc == 0)
        h->rc = gguf_put_u64(h->keys, key, GGUF_BOOL, v != 0, h->e);
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

/* GGUF has a key for each of three; what tokenizers know as an end by its text needs none. */
static void put_ends(struct hf *h, const struct hf_vocab *v)
{
    static const char *const keys[] = {"eot", "eom"};
    int64_t eos = find_text(v, special_text(h, "eos_token"));
    size_t used = 0;

    if (eos < 0)
        eos = end_id(h, 0);
    if (eos >= (int64_t)v->n)
        eos = -1;
    put_id(h, "eos", eos);
    for (size_t i = 0; end_id(h, i) >= 0; i++) {
        int64_t id = end_id(h, i);

        if (id == eos || id >= (int64_t)v->n)
            continue;
        if (used == HF_COUNT(keys)) {
            hf_add_note(h, "generation_config.json: more than three tokens end an answer; the "
                           "file says three");
            break;
        }
        put_id(h, keys[used++], id);
    }
}

static void put_specials(struct hf *h, const struct hf_vocab *v)
{
    static const struct {
        const char *name, *key;
    } rows[] = {{"bos_token", "bos"},
                {"pad_token", "padding"},
                {"sep_token", "seperator"},
                {"cls_token", "cls"},
                {"mask_token", "mask"}};

    for (size_t i = 0; i < HF_COUNT(rows); i++) {
        int64_t id = find_text(v, special_text(h, rows[i].name));

        if (id < 0 && i == 0 && hf_has(h, "bos_token_id"))
            id = hf_int(h, "bos_token_id", -1);
        put_id(h, rows[i].key, id < (int64_t)v->n ? id : -1);
    }
    put_id(h, "unknown", v->unk);
    put_ends(h, v);
}

/* Does the post-processor put the token before, or after, every text? -1: it does not tell. */
static int template_puts(const json_t *tokenizer, int after)
{
    const json_t *single =
        json_object_get(hf_step(tokenizer, "post_processor", "TemplateProcessing"), "single");
    size_t n = json_array_size(single);

    if (n == 0)
        return -1;
    return json_object_get(json_array_get(single, after ? n - 1 : 0), "SpecialToken") != NULL;
}

static void put_adds(struct hf *h, const struct hf_vocab *v, const json_t *tokenizer)
{
    static const char *const names[] = {"add_bos_token", "add_eos_token"};

    for (int after = 0; after < 2; after++) {
        const json_t *told = json_object_get(h->tok_config, names[after]);
        int puts = template_puts(tokenizer, after);

        if (json_is_boolean(told))
            puts = json_is_true(told);
        if (puts < 0)
            puts = !after && strcmp(v->model, "llama") == 0;
        put_flag(h, names[after], puts);
    }
    if (v->add_space >= 0)
        put_flag(h, "add_space_prefix", v->add_space);
}

/* -- the vocabulary ------------------------------------------------------------------------ */

/* As many tokens as the embedding has rows: models have rows that no token uses, and some
 * tokenizers have tokens (of images) that the language model has no row for. */
static void fit_rows(struct hf *h, struct hf_vocab *v)
{
    struct str *text = hf_alloc(h, h->n_vocab, sizeof(*text));
    int32_t *type = hf_alloc(h, h->n_vocab, sizeof(*type));
    float *score = hf_alloc(h, h->n_vocab, sizeof(*score));
    char name[32];

    if (v->n > h->n_vocab)
        hf_add_note(h, "%zu tokens have no row in the embedding and are left out",
                    v->n - (size_t)h->n_vocab);
    for (size_t i = 0; h->rc == 0 && i < h->n_vocab; i++) {
        if (i < v->n && v->text[i].n) {
            text[i] = v->text[i];
            type[i] = v->type[i];
            score[i] = v->score[i];
            continue;
        }
        (void)snprintf(name, sizeof(name), "[PAD%zu]", i);
        text[i].p = arena_strdup(&h->mem, str_of(name));
        text[i].n = strlen(name);
        type[i] = HF_TOK_UNUSED;
        if (!text[i].p)
            hf_fail(h, E_NOMEM, "no memory for tokens");
    }
    v->text = text;
    v->type = type;
    v->score = score;
    v->n = (size_t)h->n_vocab;
}

static void put_vocab(struct hf *h, const struct hf_vocab *v)
{
    int scored = strcmp(v->model, "llama") == 0 || strcmp(v->model, "t5") == 0;

    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.model", str_of(v->model), h->e);
    if (h->rc == 0 && v->pre)
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.pre", str_of(v->pre), h->e);
    if (h->rc == 0)
        h->rc = gguf_put_strs(h->keys, "tokenizer.ggml.tokens", v->text, v->n, h->e);
    if (h->rc == 0 && scored)
        h->rc = gguf_put_arr(h->keys, "tokenizer.ggml.scores", GGUF_F32, v->score, v->n, h->e);
    if (h->rc == 0)
        h->rc =
            gguf_put_arr(h->keys, "tokenizer.ggml.token_type", GGUF_I32, v->type, v->n, h->e);
    if (h->rc == 0 && v->merges)
        (void)hf_put_merges(h, v->merges);
}

/* Tokens that tokenizer_config.json adds to a SentencePiece model. */
static void add_decoder(struct hf *h, struct hf_vocab *v)
{
    json_t *all = json_object_get(h->tok_config, "added_tokens_decoder"), *t;
    const char *id;
    size_t n = v->n;
    struct hf_vocab more = *v;

    json_object_foreach(all, id, t)
    {
        unsigned long i = strtoul(id, NULL, 10);

        n = i < h->n_vocab && i >= n ? i + 1 : n;
    }
    more.text = hf_alloc(h, n, sizeof(*more.text));
    more.type = hf_alloc(h, n, sizeof(*more.type));
    more.score = hf_alloc(h, n, sizeof(*more.score));
    if (h->rc < 0)
        return;
    memcpy(more.text, v->text, v->n * sizeof(*v->text));
    memcpy(more.type, v->type, v->n * sizeof(*v->type));
    memcpy(more.score, v->score, v->n * sizeof(*v->score));
    more.n = n;
    json_object_foreach(all, id, t)
    {
        unsigned long i = strtoul(id, NULL, 10);
        const json_t *text = json_object_get(t, "content");

        if (i >= n || !json_is_string(text) || more.type[i] == HF_TOK_UNKNOWN)
            continue;
        more.text[i] = (struct str){json_string_value(text), json_string_length(text)};
        more.type[i] =
            json_is_true(json_object_get(t, "special")) ? HF_TOK_CONTROL : HF_TOK_USER;
    }
    *v = more;
}

static void put_tokenizer(struct hf *h, struct hf_vocab *v, const json_t *json)
{
    if (h->rc == 0 && v->model) {
        fit_rows(h, v);
        put_vocab(h, v);
        put_specials(h, v);
        put_adds(h, v, json);
    } else if (h->rc == 0) {
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.model", str_of("no_vocab"), h->e);
    }
}

/* -- chat templates ------------------------------------------------------------------------ */

static void put_template(struct hf *h, const char *name, struct str text)
{
    char key[128] = "tokenizer.chat_template";

    if (strcmp(name, "default") != 0)
        (void)snprintf(key, sizeof(key), "tokenizer.chat_template.%.60s", name);
    if (h->rc == 0 && text.n && text.n <= TEMPLATE_MAX)
        h->rc = gguf_put_str(h->keys, key, text, h->e);
}

static void put_template_json(struct hf *h, const json_t *j)
{
    if (json_is_string(j))
        put_template(h, "default", (struct str){json_string_value(j), json_string_length(j)});
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *one = json_array_get(j, i), *text = json_object_get(one, "template");
        const char *name = json_string_value(json_object_get(one, "name"));

        if (name && json_is_string(text))
            put_template(h, name,
                         (struct str){json_string_value(text), json_string_length(text)});
    }
}

/* A file of its own goes before what tokenizer_config.json says. */
static void put_templates(struct hf *h)
{
    struct mapping map;
    json_t *j = NULL;

    if (map_in(h, "chat_template.jinja", &map)) {
        put_template(h, "default", (struct str){(const char *)map.p, map.n});
    } else if (map_in(h, "chat_template.json", &map)) {
        h->rc = jfile_parse(&j, "chat_template.json", (const char *)map.p, map.n, h->e);
        put_template_json(h, json_object_get(j, "chat_template"));
        json_decref(j);
    } else {
        put_template_json(h, json_object_get(h->tok_config, "chat_template"));
    }
    mmap_close(&map);
}

/* -- all of it ----------------------------------------------------------------------------- */

void hf_tokenizer(struct hf *h)
{
    struct hf_vocab v = {0};
    struct mapping map;
    json_t *j = NULL;

    if (map_in(h, "tokenizer.json", &map)) {
        h->rc = jfile_parse(&j, "tokenizer.json", (const char *)map.p, map.n, h->e);
        if (h->rc == 0)
            hf_tok_json(h, &v, j);
    } else if (map_in(h, "tokenizer.model", &map)) {
        h->rc = hf_spm_read(&v, &h->mem, map.p, map.n, h->e);
        if (h->rc < 0)
            (void)err_wrap(h->e, h->rc, "tokenizer.model");
        else
            add_decoder(h, &v);
    }
    if (h->rc == 0 && !map.p)
        hf_add_note(h,
                    "neither tokenizer.json nor tokenizer.model is there, so the model has no "
                    "tokenizer");
    put_tokenizer(h, &v, j);
    json_decref(j);
    mmap_close(&map);
    put_templates(h);
}
