/* store_header.c - what weights say of themselves: for lists, without opening them again. */
#include "store/store_priv.h"

#include "fmt/jfile.h"
#include "fmt/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { POOL_NONE = 0, POOL_RANK = 4 }; /* of the key pooling_type */

#define CONFIG_MAX ((size_t)64 << 20) /* bytes of a folder's JSON files */

/* -- what templates and vocabularies say --------------------------------------------------- */

static int holds(struct str text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word)) != NULL;
}

/* By words; text/ finds out better, and slower. */
static int can_of_template(struct str t)
{
    int can = 0;

    if (holds(t, "tools") || holds(t, ".Tools"))
        can |= STORE_TOOLS;
    if (holds(t, "<think>") || holds(t, "enable_thinking") || holds(t, "reasoning") ||
        holds(t, ".Think") || holds(t, "thinking"))
        can |= STORE_THINKING;
    if (holds(t, ".Suffix"))
        can |= STORE_INSERT;
    return can;
}

static int is_fim(struct str token)
{
    static const char *const names[] = {
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\uff5cfim\u2581begin\uff5c>",
        "<PRE>",          "\u2581<PRE>",  "[PREFIX]",     "<|code_prefix|>"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_is(token, names[i]))
            return 1;
    return 0;
}

/* Whether the vocabulary has a token that begins a text to be filled in. */
static int can_insert(const struct gguf *g, struct arena *mem)
{
    const struct gguf_kv *kv = gguf_kv(g, "tokenizer.ggml.tokens");
    struct str *tokens;

    if (gguf_kv(g, "tokenizer.ggml.fim_pre_token_id") ||
        gguf_kv(g, "tokenizer.ggml.prefix_token_id"))
        return STORE_INSERT;
    if (!kv || kv->type != GGUF_ARR || kv->elem_type != GGUF_STR)
        return 0;
    tokens = arena_calloc(mem, kv->n, sizeof(*tokens));
    if (!tokens)
        return 0;
    gguf_arr_strs(kv, tokens);
    for (uint64_t i = 0; i < kv->n; i++)
        if (is_fim(tokens[i]))
            return STORE_INSERT;
    return 0;
}

/* -- GGUF ---------------------------------------------------------------------------------- */

static struct str text_of(const struct gguf *g, const char *key)
{
    struct str s = {"", 0};

    return gguf_str(g, key, &s, NULL) > 0 ? s : (struct str){"", 0};
}

/* The key ARCH.name. */
static const char *arch_key(struct str arch, const char *name, char out[128])
{
    (void)snprintf(out, 128, "%.*s.%s", (int)(arch.n < 64 ? arch.n : 64), arch.p, name);
    return out;
}

static int small(const struct gguf *g, const char *key)
{
    uint64_t v = 0;

    return gguf_u64(g, key, &v, NULL) > 0 && v <= INT32_MAX ? (int)v : 0;
}

/* Whether it is a model; if not, *why (may be NULL) says what it is. */
static int stands_alone(const struct gguf *g, const char **why)
{
    struct str type = text_of(g, "general.type");
    const char *is = NULL;

    if (gguf_n_tensor(g) == 0)
        is = "has no weights, only words";
    else if (str_is(type, "adapter"))
        is = "an adapter, not a model; FROM names the model, ADAPTER this file";
    else if (str_is(type, "mmproj") || str_is(text_of(g, "general.architecture"), "clip"))
        is = "the part of a model that sees pictures, which hearth does not yet";
    if (why)
        *why = is;
    return !is;
}

int store_can_of(const struct gguf *g)
{
    struct arena scratch;
    char key[128];
    struct str arch = text_of(g, "general.architecture");
    struct str chat = text_of(g, "tokenizer.chat_template");
    int causal = 1, can = 0, pool = small(g, arch_key(arch, "pooling_type", key));

    if (!stands_alone(g, NULL))
        return 0;
    if (pool != POOL_NONE)
        return pool == POOL_RANK ? STORE_RERANK : STORE_EMBEDDING;
    if (gguf_bool(g, arch_key(arch, "attention.causal", key), &causal, NULL) < 0 || !causal)
        return 0;
    arena_init(&scratch, (size_t)256 << 20);
    if (gguf_kv(g, "tokenizer.ggml.tokens") && gguf_tensor(g, "token_embd.weight"))
        can = STORE_COMPLETION | can_of_template(chat) | can_insert(g, &scratch);
    arena_done(&scratch);
    return can;
}

static int no_room(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for what a model says of itself");
}

static int set_text(struct store_model *m, const char **out, struct str s, struct err *e)
{
    const char *end = memchr(s.p ? s.p : "", 0, s.n);
    struct str copy =
        store_keep(m, (struct str){s.p ? s.p : "", end ? (size_t)(end - s.p) : s.n});

    if (!copy.p)
        return no_room(e);
    *out = copy.p;
    return 0;
}

/* 1234567890 is "1.2B". */
static int set_size(struct store_model *m, struct err *e)
{
    static const struct {
        uint64_t unit;
        char letter;
    } units[] = {{1000000000000u, 'T'}, {1000000000u, 'B'}, {1000000u, 'M'}, {1000u, 'K'}};
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, m->n_param);
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        uint64_t tenth = units[i].unit / 10;
        uint64_t x = m->n_param / tenth + (m->n_param % tenth >= tenth / 2);

        if (x < 10)
            continue;
        (void)snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64 "%c", x / 10, x % 10,
                       units[i].letter);
        break;
    }
    return set_text(m, &m->parameter_size, str_of(text), e);
}

static int read_gguf(struct store_model *m, const struct gguf *g, struct err *e)
{
    struct str arch = text_of(g, "general.architecture");
    const char *quant = gguf_file_type(g), *why;
    char key[128];
    int rc;

    if (!stands_alone(g, &why))
        return err_set(e, E_UNSUPPORTED, "%s: %s", m->path, why);
    for (size_t i = 0; i < gguf_n_tensor(g); i++)
        m->n_param += gguf_tensor_at(g, i)->n_elem;
    m->size = gguf_file_bytes(g);
    m->n_ctx_train = small(g, arch_key(arch, "context_length", key));
    m->n_embd = small(g, arch_key(arch, "embedding_length", key));
    m->can = store_can_of(g);
    m->has_template = text_of(g, "tokenizer.chat_template").n > 0;
    m->format = "gguf";
    rc = set_text(m, &m->family, arch, e);
    if (rc == 0)
        rc = set_text(m, &m->quantization, str_of(quant ? quant : ""), e);
    return rc < 0 ? rc : set_size(m, e);
}

/* -- Hugging Face folders -------------------------------------------------------------- */

static int config_int(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    if (!v)
        v = json_object_get(json_object_get(o, "text_config"), name);
    return json_is_integer(v) && json_integer_value(v) > 0 && json_integer_value(v) <= INT32_MAX
               ? (int)json_integer_value(v)
               : 0;
}

/* The type that most bytes have. */
static const char *main_type(const struct st *s)
{
    uint64_t bytes[ST_DTYPE_N] = {0};
    int best = 0;

    for (size_t i = 0; i < st_n_tensor(s); i++)
        bytes[st_tensor_at(s, i)->dtype] += st_tensor_at(s, i)->n_byte;
    for (int i = 1; i < ST_DTYPE_N; i++)
        if (bytes[i] > bytes[best])
            best = i;
    return st_n_tensor(s) ? st_dtype_name(best) : "";
}

static int can_of_folder(const char *dir, const char *class, int *has_template)
{
    char path[STORE_PATH_MAX];
    struct str chat;
    struct mapping map;
    json_t *o = NULL;
    int can = STORE_COMPLETION;

    if (strstr(class, "ForSequenceClassification"))
        return STORE_RERANK;
    if (!strstr(class, "ForCausalLM") && !strstr(class, "ForConditionalGeneration") && *class)
        return STORE_EMBEDDING;
    (void)snprintf(path, sizeof(path), "%s/tokenizer_config.json", dir);
    if (jfile_load(&o, path, CONFIG_MAX, NULL) == 0) {
        const json_t *t = json_object_get(o, "chat_template");

        chat = (struct str){json_string_value(t), json_string_length(t)};
        can |= can_of_template(chat);
        *has_template |= t != NULL; /* also an array of several */
    }
    json_decref(o);
    (void)snprintf(path, sizeof(path), "%s/chat_template.jinja", dir);
    if (mmap_open(&map, path, NULL) == 0) {
        can |= can_of_template((struct str){(const char *)map.p, map.n});
        *has_template |= map.n > 0;
        mmap_close(&map);
    }
    return can;
}

static int read_folder(struct store_model *m, struct err *e)
{
    char path[STORE_PATH_MAX];
    const char *type, *class;
    json_t *o = NULL;
    struct st *s = NULL;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/config.json", m->path);
    rc = jfile_load(&o, path, CONFIG_MAX, e);
    if (rc == 0)
        rc = st_open(&s, m->path, e);
    for (size_t i = 0; rc == 0 && i < st_n_tensor(s); i++) {
        m->n_param += st_tensor_at(s, i)->n_elem;
        m->size += st_tensor_at(s, i)->n_byte;
    }
    if (rc == 0) {
        type = json_string_value(json_object_get(o, "model_type"));
        class = json_string_value(json_array_get(json_object_get(o, "architectures"), 0));
        m->format = "safetensors";
        m->n_ctx_train = config_int(o, "max_position_embeddings");
        m->n_embd = config_int(o, "hidden_size");
        m->can = can_of_folder(m->path, class ? class : "", &m->has_template);
        rc = set_text(m, &m->family, str_of(type ? type : ""), e);
    }
    if (rc == 0)
        rc = set_text(m, &m->quantization, str_of(main_type(s)), e);
    if (rc == 0)
        rc = set_size(m, e);
    st_free(s);
    json_decref(o);
    return rc;
}

int store_header(struct store_model *m, struct err *e)
{
    struct gguf *g = NULL;
    struct stat st;
    int rc;

    if (stat(m->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        rc = read_folder(m, e);
    } else {
        rc = gguf_open(&g, m->path, e);
        if (rc == 0)
            rc = read_gguf(m, g, e);
        if (rc == 0)
            rc = gguf_intact(g, e);
        gguf_free(g);
    }
    /* A template of its own takes the place of the weights'. */
    if (rc == 0 && m->template.n) {
        m->has_template = 1;
        m->can = (m->can & ~(STORE_TOOLS | STORE_THINKING)) | can_of_template(m->template);
    }
    return rc;
}

/* -- what is beside a model ------------------------------------------------------------ */

int store_header_adapter(struct store_model *m, const char *path, struct err *e)
{
    struct gguf *g = NULL;
    int rc = gguf_open(&g, path, e);

    if (rc == 0 && !str_is(text_of(g, "general.type"), "adapter"))
        rc = err_set(e, E_UNSUPPORTED, "%s: not an adapter (a LoRA in GGUF)", path);
    if (rc == 0)
        rc = gguf_intact(g, e);
    if (rc == 0)
        m->size += gguf_file_bytes(g);
    gguf_free(g);
    return rc;
}

int store_header_draft(struct store_model *m, const char *path, struct err *e)
{
    struct store_model d;
    int rc;

    store_model_init(&d);
    d.path = path;
    rc = store_header(&d, e);
    if (rc == 0 && !(d.can & STORE_COMPLETION))
        rc = err_set(e, E_UNSUPPORTED, "%s: does not write text, so it cannot guess ahead",
                     path);
    if (rc == 0)
        m->size += d.size;
    store_model_done(&d);
    return rc;
}
