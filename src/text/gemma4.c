/* gemma4.c - the BPE of Gemma 4: characters, not bytes, with spaces as U+2581, are joined in
 * the order of the merges, inside lines.
 *
 * Merges rarely make a text with a U+2581 behind something else, so lines are cut in front of
 * the spaces where none does, and the words are encoded one by one; the ids are the same.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/kind.h"
#include "text/merges.h"
#include "text/spaces.h"
#include "text/tok_ids.h"

struct gemma4 {
    struct merges merges;
    struct spaces_joins joins;
    int32_t byte_id[256]; /* of the byte tokens; -1: none */
    uint32_t ascii[128];  /* texts of one ASCII character; MERGE_NONE: none */
};

/* -- building ------------------------------------------------------------------------ */

/* What merges can make is what a cut must not part: the tokens, and the texts that are none. */
static void see_texts(struct gemma4 *s, const struct vocab *v)
{
    const struct map *extra = &s->merges.extra;

    for (int i = 0; i < v->n; i++)
        spaces_see(&s->joins, v->text[i]);
    for (size_t i = 0; i < extra->cap; i++) {
        if (extra->slots[i].hash)
            spaces_see(&s->joins, extra->slots[i].key);
    }
    spaces_seen(&s->joins);
}

static int gemma4_open(struct tok *t, const struct gguf *g, struct err *e)
{
    struct gemma4 *s;
    int rc;

    t->self = s = mem_calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, E_NOMEM, "no memory for a tokenizer");
    rc = merges_init(&s->merges, &t->vocab, g, 1, e);
    if (rc < 0)
        return rc;
    see_texts(s, &t->vocab);
    spaces_byte_ids(&t->vocab, s->byte_id);
    for (int i = 0; i < 128; i++) {
        char c = (char)i;

        if (!merges_find(&s->merges, (struct str){&c, 1}, &s->ascii[i]))
            s->ascii[i] = MERGE_NONE;
    }
    return 0;
}

static void gemma4_close(struct tok *t)
{
    struct gemma4 *s = t->self;

    if (s)
        merges_done(&s->merges);
    mem_free(s);
    t->self = NULL;
}

/* -- encoding ------------------------------------------------------------------------ */

static uint32_t pair(const void *ctx, const struct merge_sym *left,
                     const struct merge_sym *right, size_t n_byte)
{
    const struct gemma4 *s = ctx;

    (void)n_byte;
    if (left->id == MERGE_NONE || right->id == MERGE_NONE)
        return MERGE_NONE;
    return merges_pair(&s->merges, left->id, right->id);
}

static int emit(struct work *w, uint32_t id, struct str bytes)
{
    const struct gemma4 *s = w->t->self;
    int rc = 0;

    if (id < (uint32_t)w->t->vocab.n)
        return tok_ids_put(w->out, (int32_t)id);
    for (size_t i = 0; rc >= 0 && i < bytes.n; i++) {
        int32_t byte = s->byte_id[(unsigned char)bytes.p[i]];

        if (byte >= 0)
            rc = tok_ids_put(w->out, byte);
    }
    return rc;
}

/* The ids of text in which spaces are U+2581 by now. */
static int encode_row(struct work *w, const char *p, size_t n)
{
    const struct gemma4 *s = w->t->self;
    struct merge_rules rules = {pair, s, NULL, s->merges.made};
    struct merge *m = &w->merge;
    int rc = merge_start(m, n);

    for (size_t at = 0, len = 1; rc >= 0 && at < n; at += len) {
        uint32_t id = MERGE_NONE;
        int32_t cp = (unsigned char)p[at];

        len = cp < 0x80 ? 1 : (size_t)utf8_next(p + at, n - at, &cp);
        if (cp >= 0 && cp < 0x80)
            id = s->ascii[cp];
        else if (!merges_find(&s->merges, (struct str){p + at, len}, &id))
            id = MERGE_NONE;
        merge_add(m, id, (uint32_t)at);
    }
    if (rc >= 0)
        rc = merge_run(m, &rules, (uint32_t)n);
    for (uint32_t i = 0; rc >= 0 && i < m->n; i = m->sym[i].next) {
        const struct merge_sym *x = &m->sym[i];

        rc = emit(w, x->id, (struct str){p + x->at, m->sym[x->next].at - x->at});
    }
    return rc;
}

/* newlines: the word is all newlines. */
static int encode_word(struct work *w, struct str word, int newlines)
{
    struct words_slot *slot;
    size_t at = w->out->n;
    int id, rc = words_get(&w->words, word, w->out, &slot);

    if (rc != 0)
        return rc;
    id = newlines ? vocab_find(&w->t->vocab, word) : -1;
    if (id >= 0)
        rc = tok_ids_put(w->out, id);
    else
        rc = spaces_escape(&w->text, word, 0);
    if (rc >= 0 && id < 0)
        rc = encode_row(w, w->text.p, w->text.n);
    if (rc >= 0)
        words_put(slot, word, w->out, at);
    return rc;
}

/* [^\n]+|\n+ */
static size_t line_length(const char *p, size_t n, int newlines)
{
    size_t at = 0;
    const char *end;

    if (!newlines) {
        end = memchr(p, '\n', n);
        return end ? (size_t)(end - p) : n;
    }
    while (at < n && p[at] == '\n')
        at++;
    return at;
}

static int gemma4_encode(struct work *w, struct str text)
{
    const struct gemma4 *s = w->t->self;
    int rc = 0;

    for (size_t at = 0, end, n; rc >= 0 && at < text.n; at = end) {
        int newlines = text.p[at] == '\n';

        end = at + line_length(text.p + at, text.n - at, newlines);
        for (; rc >= 0 && at < end; at += n) {
            n = newlines ? end - at : spaces_piece(&s->joins, text.p + at, end - at);
            rc = encode_word(w, (struct str){text.p + at, n}, newlines);
        }
    }
    return rc < 0 ? rc : 0;
}

static int gemma4_piece(const struct tok *t, int id, struct buf *out)
{
    return spaces_text(&t->vocab, id, out);
}

const struct kind gemma4_kind = {
    .name = "gemma4",
    .ids = {.bos = -1, .eos = -1, .unk = -1, .sep = -1, .pad = -1, .mask = -1},
    .add_bos = 1,
    .always_bos = 1,
    .open = gemma4_open,
    .close = gemma4_close,
    .encode = gemma4_encode,
    .piece = gemma4_piece,
};
