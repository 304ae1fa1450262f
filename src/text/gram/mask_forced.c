/* mask_forced.c - text that can only come as it is: its tokens without asking the model.
 *
 * While one byte alone can follow, and the text may not end, the bytes are certain. They are
 * cut as the tokenizer cuts them, as if the text went on behind a line's end, so that no space
 * is put in front. How the last ones are cut depends on what comes next: so all tokens go that
 * reach into a part which some longer token begins with. What is left is what the tokenizer
 * would have made of it, whatever follows; a model that was trained on its tokens expects
 * those. Where the tokenizer does not give the bytes back, nothing is forced.
 */
#include "text/gram/mask_priv.h"

#include "base/mem.h"

/* The bytes that are certain into out; *ends 1: then the text must end. */
static int certain(struct mask *m, gram_state s, struct buf *out, int *ends, struct err *e)
{
    int rc = 0;

    *ends = 0;
    while (rc == 0 && out->n < MASK_FORCED) {
        uint64_t live[4];
        int n = 0, b = 0;

        *ends = gram_must_end(m->g, s);
        if (gram_may_end(m->g, s))
            break;
        rc = mask_live(m, s, live, e);
        for (int i = 0; i < 4; i++) {
            n += __builtin_popcountll(live[i]);
            b = live[i] ? 64 * i + __builtin_ctzll(live[i]) : b;
        }
        if (rc < 0 || n != 1)
            break;
        rc = gram_step(m->g, s, (unsigned char)b, &s, e);
        if (rc < 0 || !s || s == GRAM_TOO_DEEP)
            break;
        if (buf_byte(out, b) < 0)
            rc = mask_full(e);
    }
    return rc;
}

/* 1: a token begins as these bytes do, and is longer. */
static int begins_token(const struct mask_vocab *v, const char *p, size_t n)
{
    uint32_t node = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t c = node + 1;

        while (c < v->skip[node] && v->byte[c] != (unsigned char)p[i])
            c = v->skip[c];
        if (c >= v->skip[node])
            return 0;
        node = c;
    }
    return v->skip[node] > node + 1;
}

/* How many of the bytes keep their tokens whatever follows. */
static size_t settled(const struct mask_vocab *v, const struct buf *text)
{
    size_t at = 0;

    while (at < text->n && !begins_token(v, text->p + at, text->n - at))
        at++;
    return at;
}

/* The tokens of a text behind the line's end that was put in front of it. */
static int cut(struct mask *m, const struct buf *text, size_t skip, size_t keep, int32_t *ids,
               int max, struct err *e)
{
    struct tok_ids all = {0};
    size_t at = 0;
    int n = 0, rc = tok_encode(m->v->t, text->p, text->n, TOK_PARSE_SPECIAL, &all, e);

    for (size_t i = 0; rc >= 0 && i < all.n; i++) {
        struct str s = tok_piece(m->v->t, all.id[i], 1); /* marks, too: mask_mark.c */
        size_t extra = i == 0 && s.n && s.p[0] == ' ' && text->p[0] != ' '; /* a put one */

        s.p += extra;
        s.n -= extra;
        if (tok_is_eog(m->v->t, all.id[i]) || s.n > text->n - at ||
            memcmp(s.p, text->p + at, s.n) != 0 || (at < skip && at + s.n > skip))
            break;
        if (at >= skip && (at + s.n > keep || n == max))
            break;
        if (at >= skip)
            ids[n++] = all.id[i];
        at += s.n;
    }
    tok_ids_done(&all);
    return rc < 0 ? rc : n;
}

/* How many of the tokens the grammar takes: the tokenizer also finds marks in strings, where
 * only their letters may stand. */
static int taken(struct mask *m, const int32_t *ids, int n, struct err *e)
{
    gram_state at = m->at.s;
    int i = 0, rc = 0;

    while (i < n && (rc = mask_accept(m, ids[i], e)) == 0)
        i++;
    m->at.s = at;
    return rc < 0 && rc != E_INVALID ? rc : i;
}

int mask_forced(struct mask *m, int32_t *ids, int max, struct err *e)
{
    struct err own = {0};
    struct buf text;
    int rc, ends = 0;

    if (!m->at.s || max <= 0)
        return 0;
    buf_init(&text, MASK_FORCED + 1);
    rc = buf_byte(&text, '\n') < 0 ? mask_full(&own) : certain(m, m->at.s, &text, &ends, &own);
    if (rc == 0 && text.n > 1) {
        struct buf behind = {.p = text.p + 1, .n = text.n - 1};

        rc = cut(m, &text, 1, ends ? text.n : 1 + settled(m->v, &behind), ids, max, &own);
        if (rc > 0)
            rc = taken(m, ids, rc, &own);
    }
    buf_done(&text);
    if (rc < 0 && e)
        *e = own;
    return rc;
}
