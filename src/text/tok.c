#include "text/tok.h"

#include "base/mem.h"
#include "text/kind.h"
#include "text/tmpl/marked.h"
#include "text/tok_ids.h"

#include <stdio.h>

/* Longer texts are refused: positions inside a word are 32 bits. */
#define TEXT_MAX ((size_t)1 << 31)

static const struct kind *const kinds[] = {&spm_kind, &bpe_kind, &wpm_kind, &ugm_kind,
                                           &gemma4_kind};

enum { N_KIND = sizeof(kinds) / sizeof(*kinds) };

/* -- building ------------------------------------------------------------------------ */

static int find_kind(const struct kind **out, const struct gguf *g, struct err *e)
{
    struct str name = {"no_vocab", 8};
    char known[64] = "";
    size_t n = 0;
    int rc = gguf_str(g, "tokenizer.ggml.model", &name, e);

    if (rc < 0)
        return rc;
    if (str_is(name, "no_vocab"))
        return err_set(e, E_NOT_FOUND, "the file has no tokenizer");
    for (int i = 0; i < N_KIND; i++) {
        if (str_is(name, kinds[i]->name)) {
            *out = kinds[i];
            return 0;
        }
        n += (size_t)snprintf(known + n, sizeof(known) - n, " %s", kinds[i]->name);
    }
    return err_set(e, E_UNSUPPORTED, "tokenizer \"%.*s\" is not one of these:%s",
                   (int)(name.n < 64 ? name.n : 64), name.p, known);
}

static int read_flags(struct tok *t, const struct gguf *g, struct err *e)
{
    int rc = gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos, e);

    if (rc >= 0)
        rc = gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos, e);
    if (rc >= 0)
        rc = gguf_bool(g, "tokenizer.ggml.add_sep_token", &t->add_sep, e);
    if (rc >= 0)
        rc = gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space, e);
    return rc < 0 ? rc : 0;
}

static void set_ends(struct tok *t)
{
    if (t->kind->always_bos)
        t->add_bos = 1;
    t->front = t->add_bos ? t->vocab.bos : -1;
    t->back = t->add_eos ? t->vocab.eos : -1;
    t->drop_space |= t->add_space;
    if (t->kind->add_sep)
        t->back = t->vocab.sep;
}

/* Special and user-defined tokens stand for their text as it is. */
static int is_verbatim(int type)
{
    return type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_USER;
}

/* What every token stands for, once and for all. */
static int make_pieces(struct tok *t, struct err *e)
{
    struct buf out;
    int rc = 0;

    buf_init(&out, t->vocab.n_byte);
    t->pieces = mem_alloc(((size_t)t->vocab.n + 1) * sizeof(*t->pieces));
    if (!t->pieces)
        rc = E_NOMEM;
    for (int i = 0; rc >= 0 && i < t->vocab.n; i++) {
        t->pieces[i] = (uint32_t)out.n;
        if (is_verbatim(t->vocab.type[i]))
            rc = buf_put(&out, t->vocab.text[i].p, t->vocab.text[i].n);
        else
            rc = t->kind->piece(t, i, &out);
    }
    if (rc < 0) {
        buf_done(&out);
        return err_set(e, rc, "no memory for the pieces of %d tokens", t->vocab.n);
    }
    t->pieces[t->vocab.n] = (uint32_t)out.n;
    t->piece = out.p;
    return 0;
}

int tok_new(struct tok **out, const struct gguf *g, struct err *e)
{
    struct tok *t = mem_calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return err_set(e, E_NOMEM, "no memory for a tokenizer");
    rc = find_kind(&t->kind, g, e);
    if (rc < 0)
        goto out;
    t->add_bos = t->kind->add_bos;
    t->add_eos = t->kind->add_eos;
    t->add_sep = t->kind->add_sep;
    t->add_space = t->kind->add_space;
    rc = vocab_init(&t->vocab, g, &t->kind->ids, e);
    if (rc >= 0)
        rc = t->kind->open(t, g, e);
    if (rc >= 0)
        rc = read_flags(t, g, e);
    if (rc >= 0)
        rc = make_pieces(t, e);
    set_ends(t);
    if (rc >= 0 && special_init(&t->special, &t->vocab) < 0)
        rc = err_set(e, E_NOMEM, "no memory for the special tokens");
    if (rc < 0)
        goto out;
    *out = t;
    t = NULL;
out:
    tok_free(t);
    return rc < 0 ? rc : 0;
}

void tok_free(struct tok *t)
{
    if (!t)
        return;
    if (t->kind)
        t->kind->close(t);
    special_done(&t->special);
    vocab_done(&t->vocab);
    mem_free(t->piece);
    mem_free(t->pieces);
    mem_free(t);
}

/* -- facts --------------------------------------------------------------------------- */

static int is_id(const struct tok *t, int id)
{
    return id >= 0 && id < t->vocab.n;
}

int tok_count(const struct tok *t)
{
    return t->vocab.n;
}

const char *tok_kind(const struct tok *t)
{
    return t->kind->name;
}

const char *tok_pre(const struct tok *t)
{
    return t->pre ? t->pre->name : "";
}

int tok_bos(const struct tok *t)
{
    return t->vocab.bos;
}

int tok_eos(const struct tok *t)
{
    return t->vocab.eos;
}

int tok_eot(const struct tok *t)
{
    return t->vocab.eot;
}

int tok_eom(const struct tok *t)
{
    return t->vocab.eom;
}

int tok_unk(const struct tok *t)
{
    return t->vocab.unk;
}

int tok_sep(const struct tok *t)
{
    return t->vocab.sep;
}

int tok_pad(const struct tok *t)
{
    return t->vocab.pad;
}

int tok_mask(const struct tok *t)
{
    return t->vocab.mask;
}

int tok_fim(const struct tok *t, enum tok_fim_part part)
{
    return t->vocab.fim[part];
}

const int32_t *tok_suppressed(const struct tok *t, size_t *n)
{
    *n = t->vocab.n_suppressed;
    return t->vocab.suppressed;
}

int tok_add_bos(const struct tok *t)
{
    return t->add_bos;
}

int tok_add_eos(const struct tok *t)
{
    return t->add_eos;
}

int tok_add_sep(const struct tok *t)
{
    return t->add_sep;
}

int tok_is_eog(const struct tok *t, int id)
{
    return is_id(t, id) && t->vocab.eog[id];
}

int tok_type_of(const struct tok *t, int id)
{
    return is_id(t, id) ? t->vocab.type[id] : TOK_UNKNOWN;
}

struct str tok_text(const struct tok *t, int id)
{
    return is_id(t, id) ? t->vocab.text[id] : (struct str){"", 0};
}

int tok_find(const struct tok *t, struct str text)
{
    return vocab_find(&t->vocab, text);
}

const char *tok_kind_name(int i)
{
    return i >= 0 && i < N_KIND ? kinds[i]->name : NULL;
}

const char *tok_pre_name(int i)
{
    const struct pre *p = pre_at(i);

    return p ? p->name : NULL;
}

/* -- encoding ------------------------------------------------------------------------ */

static int put_text(void *ctx, struct str text)
{
    struct work *w = ctx;

    return w->t->kind->encode(w, text);
}

static int put_token(void *ctx, int32_t id)
{
    struct work *w = ctx;

    return tok_ids_put(w->out, id);
}

/* 1 when a template wrote the BOS that the model wants. */
static int has_bos(const struct tok *t, const struct marked *m)
{
    struct str bos = t->vocab.text[t->vocab.bos];

    return m && m->n && !m->mark[0].user && bos.n <= m->mark[0].end &&
           memcmp(m->text.p, bos.p, bos.n) == 0;
}

static int encode(struct work *w, struct str text, int flags, const struct marked *marks)
{
    const struct tok *t = w->t;
    struct special_sink sink = {put_text, put_token, w};
    int rc = words_init(&w->words, text.n), front = t->front, back = t->back;

    if (!(flags & TOK_ADD_SPECIAL))
        front = back = -1;
    if (rc >= 0 && front >= 0 && !(front == t->vocab.bos && has_bos(t, marks)))
        rc = tok_ids_put(w->out, front);
    if (rc >= 0)
        rc = special_split(&t->special, text, flags & TOK_PARSE_SPECIAL, marks, &sink);
    if (rc >= 0 && back >= 0)
        rc = tok_ids_put(w->out, back);
    return rc;
}

static int encode_text(const struct tok *t, struct str text, int flags,
                       const struct marked *marks, struct tok_ids *out, struct err *e)
{
    struct work w = {.t = t, .out = out};
    size_t before = out->n;
    int rc;

    if (text.n > TEXT_MAX)
        return err_set(e, E_TOO_LONG, "a text of %zu bytes, at most %zu can be encoded", text.n,
                       TEXT_MAX);
    buf_init(&w.text, SIZE_MAX);
    rc = encode(&w, text, flags, marks);
    merge_done(&w.merge);
    words_done(&w.words);
    buf_done(&w.text);
    mem_free(w.best.sum);
    mem_free(w.best.last);
    if (rc >= 0)
        return 0;
    out->n = before;
    if (rc == E_TOO_LONG)
        return err_set(e, rc, "a text of %zu bytes grows too long where spaces are written out",
                       text.n);
    return err_set(e, rc, "no memory to encode %zu bytes", text.n);
}

int tok_encode(const struct tok *t, const char *text, size_t n, int flags, struct tok_ids *out,
               struct err *e)
{
    return encode_text(t, (struct str){text, n}, flags, NULL, out, e);
}

int tok_encode_marked(const struct tok *t, const struct marked *text, int flags,
                      struct tok_ids *out, struct err *e)
{
    struct str all = {text->text.n ? text->text.p : "", text->text.n};

    return encode_text(t, all, flags | TOK_PARSE_SPECIAL, text, out, e);
}

struct str tok_piece(const struct tok *t, int id, int show_control)
{
    if (!is_id(t, id))
        return (struct str){"", 0};
    if (!show_control && !(t->vocab.flags[id] & VOCAB_SHOWN) &&
        (t->vocab.type[id] == TOK_CONTROL || t->vocab.type[id] == TOK_UNKNOWN))
        return (struct str){"", 0};
    if (!t->piece)
        return (struct str){"", 0};
    return (struct str){t->piece + t->pieces[id], t->pieces[id + 1] - t->pieces[id]};
}
