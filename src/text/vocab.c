#include "text/vocab.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/tok.h"

#include <math.h>

/* Texts of all tokens together; tokens have a few bytes each. */
#define TEXT_MAX ((uint64_t)1 << 30)

/* How many tokens before its turn the place of one is fetched from memory. */
enum { AHEAD = 16 };

/* -- arrays -------------------------------------------------------------------------- */

static int is_number(int type)
{
    return type != GGUF_STR && type != GGUF_ARR;
}

int vocab_array(const struct gguf *g, const char *key, int strings, int needed,
                const struct gguf_kv **out, struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv && needed) {
        (void)err_set(e, E_FORMAT, "%s is missing", key);
        return E_FORMAT;
    }
    if (kv && (kv->type != GGUF_ARR ||
               (strings ? kv->elem_type != GGUF_STR : !is_number(kv->elem_type)))) {
        (void)err_set(e, E_FORMAT, "%s is not an array of %s", key,
                      strings ? "strings" : "numbers");
        return E_FORMAT;
    }
    *out = kv;
    return 0;
}

/* An array of numbers, one per token. */
static int array_per_token(const struct vocab *v, const struct gguf *g, const char *key,
                           int needed, const struct gguf_kv **out, struct err *e)
{
    int rc = vocab_array(g, key, 0, needed, out, e);

    if (rc < 0 || !*out || (*out)->n == v->n_file)
        return rc;
    return err_set(e, E_FORMAT, "%s has %llu elements, the vocabulary has %llu tokens", key,
                   (unsigned long long)(*out)->n, (unsigned long long)v->n_file);
}

/* One block for the bytes of all texts, so that the file may be closed. */
static int copy_texts(struct vocab *v, struct err *e)
{
    uint64_t n = 0;
    char *at;

    for (int i = 0; i < v->n; i++) {
        if (!check_add(n, v->text[i].n, &n) || n > TEXT_MAX)
            return err_set(e, E_FORMAT, "tokenizer.ggml.tokens has over %llu bytes of text",
                           (unsigned long long)TEXT_MAX);
    }
    v->n_byte = (size_t)n;
    at = v->bytes = mem_alloc(v->n_byte + 1);
    if (!at)
        return err_set(e, E_NOMEM, "no memory for %zu bytes of tokens", v->n_byte);
    for (int i = 0; i < v->n; i++) {
        if (v->text[i].n)
            memcpy(at, v->text[i].p, v->text[i].n);
        v->text[i].p = at;
        at += v->text[i].n;
    }
    return 0;
}

/* Tokens of the file. Some of Gemma 3 and 3n have more than the model has rows for: those are
 * left out. */
static int n_used(const struct gguf *g, uint64_t n)
{
    static const char *const name[] = {"token_embd.weight", "per_layer_token_embd.weight"};
    struct str arch = {"", 0};

    if (gguf_str(g, "general.architecture", &arch, NULL) < 0 ||
        !(str_is(arch, "gemma3") || str_is(arch, "gemma3n")))
        return (int)n;
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, name[i]);

        n = t && t->ne[1] < n ? t->ne[1] : n;
    }
    return (int)n;
}

static int read_texts(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *kv;
    int rc = vocab_array(g, "tokenizer.ggml.tokens", 1, 1, &kv, e);

    if (rc < 0)
        return rc;
    if (kv->n == 0 || kv->n > INT32_MAX)
        return err_set(e, E_FORMAT, "tokenizer.ggml.tokens has %llu elements",
                       (unsigned long long)kv->n);
    v->text = mem_calloc((size_t)kv->n, sizeof(*v->text));
    v->type = mem_calloc((size_t)kv->n, 1);
    v->eog = mem_calloc((size_t)kv->n, 1);
    v->flags = mem_calloc((size_t)kv->n, 1);
    if (!v->text || !v->type || !v->eog || !v->flags ||
        map_init(&v->by_text, (size_t)kv->n) < 0)
        return err_set(e, E_NOMEM, "no memory for %llu tokens", (unsigned long long)kv->n);
    v->n = n_used(g, kv->n);
    v->n_file = kv->n;
    gguf_arr_strs(kv, v->text);
    rc = copy_texts(v, e);
    if (rc < 0)
        return rc;
    for (int i = 0; i < v->n; i++) {
        if (i + AHEAD < v->n)
            (void)map_begin(&v->by_text, v->text[i + AHEAD]);
        if (v->text[i].n && map_put(&v->by_text, v->text[i], (uint32_t)i, NULL) < 0)
            return err_set(e, E_NOMEM, "no memory for %d tokens", v->n);
    }
    return 0;
}

static int read_types(struct vocab *v, const struct gguf *g, struct err *e)
{
    const char *key = "tokenizer.ggml.token_type";
    const struct gguf_kv *kv;
    int rc = array_per_token(v, g, key, 1, &kv, e);

    if (rc < 0)
        return rc;
    if (kv->elem_type == GGUF_F32 || kv->elem_type == GGUF_F64)
        return err_set(e, E_FORMAT, "%s is not an array of integers", key);
    for (int i = 0; i < v->n; i++) {
        int64_t type = gguf_arr_int(kv, (uint64_t)i);

        if (type < 0 || type > TOK_BYTE)
            return err_set(e, E_FORMAT, "%s: token %d has type %lld", key, i, (long long)type);
        v->type[i] = type ? (unsigned char)type : TOK_NORMAL;
    }
    return 0;
}

static int read_scores(struct vocab *v, const struct gguf *g, struct err *e)
{
    const char *key = "tokenizer.ggml.scores";
    const struct gguf_kv *kv;
    int rc = array_per_token(v, g, key, 0, &kv, e);

    if (rc < 0 || !kv)
        return rc;
    v->score = mem_alloc((size_t)v->n * sizeof(*v->score));
    if (!v->score)
        return err_set(e, E_NOMEM, "no memory for %d scores", v->n);
    for (int i = 0; i < v->n; i++) {
        v->score[i] = (float)gguf_arr_f64(kv, (uint64_t)i);
        if (isnan(v->score[i]))
            return err_set(e, E_FORMAT, "%s: token %d has no number", key, i);
    }
    return 0;
}

/* -- the whole ----------------------------------------------------------------------- */

int vocab_find(const struct vocab *v, struct str text)
{
    uint32_t id;

    return map_get(&v->by_text, text, &id) ? (int)id : -1;
}

void vocab_done(struct vocab *v)
{
    map_done(&v->by_text);
    mem_free(v->text);
    mem_free(v->type);
    mem_free(v->eog);
    mem_free(v->flags);
    mem_free(v->score);
    mem_free(v->suppressed);
    mem_free(v->bytes);
    *v = (struct vocab){0};
}

int vocab_init(struct vocab *v, const struct gguf *g, const struct vocab_defaults *d,
               struct err *e)
{
    int rc;

    *v = (struct vocab){0};
    rc = read_texts(v, g, e);
    if (rc >= 0)
        rc = read_types(v, g, e);
    if (rc >= 0)
        rc = read_scores(v, g, e);
    if (rc >= 0)
        rc = vocab_ids(v, g, d, e);
    if (rc < 0)
        vocab_done(v);
    return rc < 0 ? rc : 0;
}
