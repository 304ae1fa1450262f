/* vocab_ids.c - which tokens have a meaning: those that the file's keys name, those that are
 * known by their text when it names none, and those at which a generation ends. */
#include "base/mem.h"
#include "text/tok.h"
#include "text/vocab.h"

#include <stdio.h>
#include <strings.h>

/* -- roles --------------------------------------------------------------------------- */

enum { TEXTS_MAX = 12 };

#define ROLE(field) offsetof(struct vocab, field)

/* Texts are tried in order when the file has no key. `ends`: a generation ends there. */
static const struct role {
    size_t at; /* of its id in struct vocab */
    const char *key, *old_key;
    int ends;
    const char *text[TEXTS_MAX];
} roles[] = {
    {ROLE(bos), "bos", NULL, 0, {NULL}},
    {ROLE(eos), "eos", NULL, 1, {NULL}},
    {ROLE(unk), "unknown", NULL, 0, {NULL}},
    {ROLE(sep), "seperator", NULL, 0, {NULL}},
    {ROLE(pad), "padding", NULL, 0, {NULL}},
    {ROLE(mask), "mask", NULL, 0, {NULL}},
    {ROLE(cls), "cls", NULL, 0, {NULL}},
    {ROLE(eot),
     "eot",
     NULL,
     1,
     {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
      "<|end_of_text|>", "<EOT>", "[EOT]", "<\uff5cend\u2581of\u2581sentence\uff5c>", "_<EOT>",
      "<end_of_utterance>"}},
    {ROLE(eom), "eom", NULL, 1, {"<|eom_id|>"}},
    {ROLE(fim[TOK_FIM_PRE]),
     "fim_pre",
     "prefix",
     0,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\uff5cfim\u2581begin\uff5c>",
      "\u2581<PRE>", "<PRE>", "<|code_prefix|>", "<|prefix|>"}},
    {ROLE(fim[TOK_FIM_SUF]),
     "fim_suf",
     "suffix",
     0,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<\uff5cfim\u2581hole\uff5c>",
      "\u2581<SUF>", "<SUF>", "<|code_suffix|>", "<|suffix|>"}},
    {ROLE(fim[TOK_FIM_MID]),
     "fim_mid",
     "middle",
     0,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<\uff5cfim\u2581end\uff5c>",
      "\u2581<MID>", "<MID>", "<|code_middle|>", "<|middle|>"}},
    {ROLE(fim[TOK_FIM_PAD]),
     "fim_pad",
     NULL,
     1,
     {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {ROLE(fim[TOK_FIM_REP]),
     "fim_rep",
     NULL,
     1,
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {ROLE(fim[TOK_FIM_SEP]), "fim_sep", NULL, 1, {"<|file_sep|>"}},
};

static int find(const struct vocab *v, const char *text)
{
    return vocab_find(v, str_of(text));
}

static int has(const struct vocab *v, const char *text)
{
    return find(v, text) >= 0;
}

/* 1 when text only ends a message there, not the turn of the model: <|end|> of harmony and of
 * Solar Open, </s> beside the turns of Gemma 4. */
static int only_ends_message(const struct vocab *v, const char *text)
{
    if (strcmp(text, "<|end|>") == 0)
        return (has(v, "<|return|>") && has(v, "<|call|>")) ||
               (has(v, "<|flush|>") && has(v, "<|calls|>"));
    return strcmp(text, "</s>") == 0 && has(v, "<|tool_response>");
}

/* The id of that key: 1, 0 when there is none, or an error. Writers without such a token leave
 * the key out or put -1. */
static int read_id(const struct vocab *v, const struct gguf *g, const char *name, int *out,
                   struct err *e)
{
    char key[64];
    int64_t id;
    int rc;

    (void)snprintf(key, sizeof(key), "tokenizer.ggml.%s_token_id", name);
    rc = gguf_i64(g, key, &id, e);
    if (rc <= 0)
        return rc;
    if (id == UINT32_MAX)
        id = -1;
    if (id < -1 || id >= v->n)
        return err_set(e, E_FORMAT, "%s is %lld, the vocabulary has %d tokens", key,
                       (long long)id, v->n);
    *out = (int)id;
    return 1;
}

static int read_role(struct vocab *v, const struct gguf *g, const struct role *r, struct err *e)
{
    int *id = (int *)(void *)((char *)v + r->at);
    int rc = read_id(v, g, r->key, id, e);

    if (rc == 0 && r->old_key)
        rc = read_id(v, g, r->old_key, id, e);
    if (rc == 0 && *id < 0) {
        for (size_t i = 0; i < TEXTS_MAX && r->text[i] && *id < 0; i++)
            *id = only_ends_message(v, r->text[i]) ? -1 : find(v, r->text[i]);
    }
    if (rc >= 0 && r->ends && *id >= 0)
        v->eog[*id] = 1;
    return rc < 0 ? rc : 0;
}

static void set_defaults(struct vocab *v, const struct vocab_defaults *d)
{
    const struct {
        int *id, absent;
    } all[] = {{&v->bos, d->bos}, {&v->eos, d->eos}, {&v->unk, d->unk},  {&v->sep, d->sep},
               {&v->pad, d->pad}, {&v->cls, -1},     {&v->mask, d->mask}};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        *all[i].id = all[i].absent < v->n ? all[i].absent : -1;
    v->eot = v->eom = -1;
    for (int i = 0; i < TOK_FIM_N; i++)
        v->fim[i] = -1;
}

/* -- endings ------------------------------------------------------------------------- */

/* Texts that end a generation in one model or another. */
static const char *const eog_text[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "[e~[",
};

/* Headings of a message in the harmony format: they structure what the reader gets to see. In
 * a user's text they are text, whatever the file calls them. */
static const char *const shown_text[] = {"<|channel|>", "<|message|>", "<|start|>",
                                         "<|constrain|>"};

static void make_control(struct vocab *v, int id)
{
    if (v->type[id] == TOK_NORMAL || v->type[id] == TOK_USER)
        v->type[id] = TOK_CONTROL;
}

static void mark_endings(struct vocab *v)
{
    int id, user = find(v, "<|user|>"), seen = find(v, "<|observation|>");

    for (size_t i = 0; i < sizeof(eog_text) / sizeof(*eog_text); i++) {
        id = find(v, eog_text[i]);
        if (id < 0)
            continue;
        v->eog[id] = !only_ends_message(v, eog_text[i]);
        make_control(v, id);
    }
    /* GLM: what it writes instead of an ending is the next speaker. */
    if (user >= 0 && seen >= 0)
        v->eog[user] = v->eog[seen] = 1;
    for (size_t i = 0; i < sizeof(shown_text) / sizeof(*shown_text); i++) {
        id = find(v, shown_text[i]);
        if (id < 0)
            continue;
        make_control(v, id);
        v->flags[id] |= VOCAB_SHOWN;
    }
}

/* -- spaces beside special tokens ---------------------------------------------------- */

static int name_has(const struct gguf *g, const char *key, const char *part)
{
    struct str name = {"", 0};
    size_t n = strlen(part);

    if (gguf_str(g, key, &name, NULL) < 0)
        return 0;
    for (size_t i = 0; i + n <= name.n; i++) {
        if (strncasecmp(name.p + i, part, n) == 0)
            return 1;
    }
    return 0;
}

/* Of folders of Hugging Face we know which tokens take the spaces beside them along. Returns
 * how many, or an error. */
static int read_strip(struct vocab *v, const struct gguf *g, const char *key, int flag,
                      struct err *e)
{
    const struct gguf_kv *kv;
    int rc = vocab_array(g, key, 0, 0, &kv, e);

    if (rc < 0 || !kv)
        return rc;
    if (kv->elem_type == GGUF_F32 || kv->elem_type == GGUF_F64)
        return err_set(e, E_FORMAT, "%s is not an array of integers", key);
    for (uint64_t i = 0; i < kv->n; i++) {
        int64_t id = gguf_arr_int(kv, i);

        if (id >= 0 && id < v->n)
            v->flags[id] |= (unsigned char)flag;
    }
    return kv->n > 0;
}

/* Other files have no key for that; the models are known. */
static void mark_strip(struct vocab *v, const struct gguf *g)
{
    static const char *const whole[] = {"<unk>", "<s>", "<|endoftext|>"};
    const char *pre = "tokenizer.ggml.pre", *arch = "general.architecture";
    const char *name = "general.name", *mask = NULL;

    if (name_has(g, pre, "jina-v2-de") || name_has(g, pre, "jina-v2-es") ||
        name_has(g, pre, "jina-v2-code") || name_has(g, arch, "nomic-bert-moe") ||
        name_has(g, arch, "jina-bert-v3"))
        mask = "<mask>";
    else if (name_has(g, name, "modern-bert"))
        mask = "[MASK]";
    if (mask && has(v, mask))
        v->flags[find(v, mask)] |= VOCAB_LSTRIP;
    if (mask || (!name_has(g, name, "phi-3") && !name_has(g, name, "phi3")))
        return;
    for (int i = 0; i < v->n; i++)
        v->flags[i] |= v->type[i] == TOK_CONTROL ? VOCAB_RSTRIP : 0;
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
        if (has(v, whole[i]))
            v->flags[find(v, whole[i])] &= (unsigned char)~VOCAB_RSTRIP;
    }
}

/* -- suppressed tokens --------------------------------------------------------------- */

static int read_suppressed(struct vocab *v, const struct gguf *g, struct err *e)
{
    const char *key = "tokenizer.ggml.suppress_tokens";
    const struct gguf_kv *kv;
    int rc = vocab_array(g, key, 0, 0, &kv, e);

    if (rc < 0 || !kv || kv->n == 0)
        return rc;
    if (kv->elem_type == GGUF_F32 || kv->elem_type == GGUF_F64)
        return err_set(e, E_FORMAT, "%s is not an array of integers", key);
    if (kv->n > (uint64_t)v->n)
        return err_set(e, E_FORMAT, "%s has %llu elements, the vocabulary has %d tokens", key,
                       (unsigned long long)kv->n, v->n);
    v->suppressed = mem_alloc((size_t)kv->n * sizeof(*v->suppressed));
    if (!v->suppressed)
        return err_set(e, E_NOMEM, "no memory for %s", key);
    for (uint64_t i = 0; i < kv->n; i++) {
        int64_t id = gguf_arr_int(kv, i);

        /* Vocabularies are cut and padded after such a list was written. */
        if (id >= 0 && id < v->n)
            v->suppressed[v->n_suppressed++] = (int32_t)id;
    }
    return 0;
}

int vocab_ids(struct vocab *v, const struct gguf *g, const struct vocab_defaults *d,
              struct err *e)
{
    int rc = 0, left, right = 0;

    set_defaults(v, d);
    for (size_t i = 0; rc == 0 && i < sizeof(roles) / sizeof(*roles); i++)
        rc = read_role(v, g, &roles[i], e);
    if (rc == 0)
        rc = read_suppressed(v, g, e);
    if (rc < 0)
        return rc;
    mark_endings(v);
    left = read_strip(v, g, "hearth.tokenizer.lstrip", VOCAB_LSTRIP, e);
    if (left >= 0)
        right = read_strip(v, g, "hearth.tokenizer.rstrip", VOCAB_RSTRIP, e);
    if (left < 0 || right < 0)
        return left < 0 ? left : right;
    if (!left && !right)
        mark_strip(v, g);
    return 0;
}
