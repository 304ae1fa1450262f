/* hearth.c - models and tokens of the public face (include/hearth.h). */
#include "infer/engine.h"

#include "model/adapter.h"
#include "model/head.h"
#include "model/hf/hf.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hearth_version(void)
{
    return HEARTH_VERSION;
}

int hearth_exit_status(int code)
{
    return code >= 0 ? 0 : err_row(code)->exit_status;
}

/* -- opening --------------------------------------------------------------------------- */

int infer_tier(const char *asked, struct err *e)
{
    const char *name = asked ? asked : getenv("HEARTH_CPU"),
               *what = asked ? "cpu" : "HEARTH_CPU";
    int tier;

    if (!name || !*name)
        return kern_tier_best();
    tier = kern_tier_of(name);
    if (tier < 0)
        return err_set(e, E_INVALID, "%s: '%s' is no tier; these are: " KERN_TIER_NAMES, what,
                       name);
    if (!kern_tier_here(tier))
        return err_set(e, E_UNSUPPORTED, "%s: this machine has no %s; its best is %s", what,
                       kern_tier_name(tier), kern_tier_name(kern_tier_best()));
    return tier;
}

/* A copy of a text of the file; *out stays when there is none, or an empty one. */
static int copy_str(char **out, const struct gguf *g, const char *key)
{
    struct str s;
    char *p;

    if (gguf_str(g, key, &s, NULL) != 1 || s.n == 0)
        return 0;
    p = mem_alloc(s.n + 1);
    if (!p)
        return E_NOMEM;
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *out = p;
    return 0;
}

static int read_words(struct hearth_model *h, const char *path, struct err *e)
{
    const char *base = strrchr(path, '/');
    int rc = tok_new(&h->tok, h->m->file, &h->tok_why);

    if (rc < 0 && rc != E_NOT_FOUND && rc != E_UNSUPPORTED) {
        if (e)
            *e = h->tok_why;
        return rc;
    }
    rc = copy_str(&h->chat_template, h->m->file, "tokenizer.chat_template");
    if (rc == 0)
        rc = copy_str(&h->name, h->m->file, "general.name");
    if (rc == 0 && !h->name)
        h->name = mem_strdup(base ? base + 1 : path);
    if (!h->name)
        return err_set(e, E_NOMEM, "%s: no memory", path);
    if (h->tok && tok_count(h->tok) > h->m->p.n_vocab)
        return err_set(e, E_FORMAT, "%s: %d tokens, the model has rows for %d", path,
                       tok_count(h->tok), h->m->p.n_vocab);
    return 0;
}

int hearth_model_open(struct hearth_model **out, const char *path,
                      const struct hearth_model_options *opt, struct hearth_error *error)
{
    static const struct hearth_model_options none;
    const struct hearth_model_options *o = opt ? opt : &none;
    struct err *e = engine_err(error);
    uint64_t t0 = clock_ns();
    struct hearth_model *h = NULL;
    int tier = infer_tier(o->cpu, e), rc = tier, gone;

    if (rc < 0)
        return rc;
    if (o->n_thread < 0 || o->n_thread > POOL_THREADS_MAX)
        return err_set(e, E_INVALID, "%d threads: 1 to %d, or 0 for all CPUs", o->n_thread,
                       POOL_THREADS_MAX);
    h = mem_calloc(1, sizeof(*h));
    if (!h)
        return err_set(e, E_NOMEM, "%s: no memory", path);
    h->n_thread = o->n_thread ? o->n_thread : pool_default_threads();
    rc = model_open(&h->m, path, tier, &(struct hf_watch){o->progress, o->ctx}, e);
    if (rc == 0)
        rc = read_words(h, path, e);
    if (rc == 0)
        rc = pack_new(
            &h->m->packer, h->m,
            &(struct pack_options){o->pack_cache, o->pack_cache_max, o->progress, o->ctx}, e);
    gone = h->m ? model_intact(h->m, e) : 0; /* what was said of zeros is not so */
    rc = gone < 0 ? gone : rc;
    if (rc < 0) {
        hearth_model_close(h);
        return rc;
    }
    h->load_ns = clock_ns() - t0;
    *out = h;
    return 0;
}

void hearth_model_close(struct hearth_model *h)
{
    if (!h)
        return;
    mem_free(h->dry_breakers);
    tok_free(h->tok);
    model_free(h->m);
    mem_free(h->name);
    mem_free(h->chat_template);
    mem_free(h);
}

void hearth_model_info(const struct hearth_model *h, struct hearth_model_info *out)
{
    const struct params *p = &h->m->p;
    struct pack_info pack;

    pack_info(h->m->packer, &pack);
    *out = (struct hearth_model_info){
        .arch = h->m->arch->name,
        .name = h->name,
        .file_type = gguf_file_type(h->m->file),
        .tokenizer = h->tok ? tok_kind(h->tok) : NULL,
        .chat_template = h->chat_template,
        .cpu = kern_tier_name(h->m->kern.tier),
        .n_vocab = p->n_vocab,
        .n_embd = p->n_embd,
        .n_layer = p->n_layer,
        .n_head = p->n_head,
        .n_head_kv = p->n_head_kv,
        .n_ctx_train = p->n_ctx_train,
        .n_param = h->m->n_param,
        .file_bytes = gguf_file_bytes(h->m->file),
        .load_ns = h->load_ns,
        .packing = pack.state,
        .pack_ns = pack.ns,
        .pack_cached = pack.cached,
        .n_thread = h->n_thread,
        .bos = h->tok ? tok_bos(h->tok) : -1,
        .eos = h->tok ? tok_eos(h->tok) : -1,
        .add_bos = h->tok ? tok_add_bos(h->tok) : 0,
        .pooling = p->pooling,
        .n_embd_out = head_width(h->m),
    };
    (void)snprintf(out->pack_note, sizeof(out->pack_note), "%.*s",
                   (int)sizeof(out->pack_note) - 1, pack.note);
}

int hearth_model_adapt(struct hearth_model *h, const char *path, float scale,
                       struct hearth_error *error)
{
    return model_adapt(h->m, path, scale, engine_err(error));
}

const struct tok *infer_tok(const struct hearth_model *h)
{
    return h->tok;
}

const uint32_t *infer_dry_breakers(struct hearth_model *h)
{
    size_t n_word = ((size_t)h->m->p.n_vocab + 31) / 32;
    uint32_t *bits = atomic_load(&h->dry_breakers), *made;

    if (bits)
        return bits;
    made = mem_calloc(n_word, sizeof(*made));
    if (!made)
        return NULL;
    for (int i = 0; h->tok && i < tok_count(h->tok); i++) {
        struct str s = tok_piece(h->tok, i, 0);

        for (size_t k = 0; k < s.n; k++) {
            if (s.p[k] == '\n' || s.p[k] == ':' || s.p[k] == '"' || s.p[k] == '*')
                made[i / 32] |= 1U << (i % 32);
        }
    }
    if (atomic_compare_exchange_strong(&h->dry_breakers, &bits, made))
        return made;
    mem_free(made); /* another thread was faster */
    return bits;
}

int infer_intact(const struct hearth_model *h, struct err *e)
{
    return model_intact(h->m, e);
}

int infer_changed(const struct hearth_model *h)
{
    return infer_intact(h, NULL) < 0 || model_changed(h->m);
}

int infer_text(const struct hearth_model *h, const char *key, struct str *out)
{
    return gguf_str(h->m->file, key, out, NULL) == 1 && out->n > 0;
}

/* -- tokens ---------------------------------------------------------------------------- */

static int need_tok(const struct hearth_model *h, struct err *e)
{
    if (h->tok)
        return 0;
    if (e)
        *e = h->tok_why;
    return h->tok_why.code;
}

int infer_writes(const struct hearth_model *h, struct err *e)
{
    if (!h->m->global.t[T_OUTPUT])
        return err_set(e, E_UNSUPPORTED, "a %s model gives embeddings only: it writes no text",
                       h->m->arch->name);
    return need_tok(h, e);
}

int hearth_encode(const struct hearth_model *h, const char *text, size_t n, int flags,
                  int32_t *ids, size_t cap, struct hearth_error *error)
{
    struct err *e = engine_err(error);
    struct tok_ids got = {0};
    int tok_flags = 0, rc = need_tok(h, e);

    if (rc < 0)
        return rc;
    if (flags & HEARTH_ADD_SPECIAL)
        tok_flags |= TOK_ADD_SPECIAL;
    if (flags & HEARTH_PARSE_SPECIAL)
        tok_flags |= TOK_PARSE_SPECIAL;
    rc = tok_encode(h->tok, text, n, tok_flags, &got, e);
    if (rc >= 0 && got.n > INT32_MAX)
        rc = err_set(e, E_TOO_LONG, "text of %zu tokens", got.n);
    if (rc >= 0) {
        if (got.n && cap)
            memcpy(ids, got.id, (got.n < cap ? got.n : cap) * sizeof(*ids));
        rc = (int)got.n;
    }
    tok_ids_done(&got);
    return rc;
}

int64_t hearth_decode(const struct hearth_model *h, const int32_t *ids, size_t n,
                      int show_control, char *text, size_t cap, struct hearth_error *error)
{
    struct err *e = engine_err(error);
    size_t at = 0;
    int rc = need_tok(h, e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct str s;

        if (ids[i] < 0 || ids[i] >= tok_count(h->tok))
            return err_set(e, E_INVALID, "token id %d (number %zu): expected 0 to %d",
                           (int)ids[i], i, tok_count(h->tok) - 1);
        s = tok_piece(h->tok, ids[i], show_control);
        if (at < cap && s.n)
            memcpy(text + at, s.p, s.n < cap - at ? s.n : cap - at);
        at += s.n;
    }
    return (int64_t)at;
}

int hearth_is_eog(const struct hearth_model *h, int32_t id)
{
    return h->tok && id >= 0 && id < tok_count(h->tok) && tok_is_eog(h->tok, id);
}
