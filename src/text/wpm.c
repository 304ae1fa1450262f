/* wpm.c - WordPiece, as BERT has it: words without accents and capitals, each taken apart from
 * the left into the longest tokens there are, or unknown as a whole.
 *
 * The file writes U+2581 in front of tokens that begin a word. Runs without white space are
 * normalised one by one, so that no more than the longest word is kept; a character of a word
 * is looked at once per token that it could belong to, as far as some token goes.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/kind.h"
#include "text/spaces.h"
#include "text/tok_ids.h"
#include "text/trie.h"
#include "text/uclass.h"

#include <stdlib.h>
#include <utf8proc.h>

struct wpm {
    struct trie trie;
    uint32_t begin; /* the node of U+2581, 0: no word can begin */
    int lowercase;
    int strip; /* accents: letters are taken apart, and what has no width is dropped */
};

/* -- building ------------------------------------------------------------------------ */

static int open_trie(struct wpm *s, const struct vocab *v)
{
    struct trie_text *text = mem_alloc((size_t)v->n * sizeof(*text));
    static const char mark[] = SPACES_MARK;
    int rc = E_NOMEM;

    if (text) {
        for (int i = 0; i < v->n; i++)
            text[i] = (struct trie_text){v->text[i], i};
        rc = trie_init(&s->trie, text, (size_t)v->n);
    }
    mem_free(text);
    s->begin = rc < 0 ? 0 : s->trie.root[(unsigned char)mark[0]];
    for (int i = 1; i < SPACES_LEN && s->begin; i++)
        s->begin = trie_child(&s->trie, s->begin, (unsigned char)mark[i]);
    return rc;
}

static int wpm_open(struct tok *t, const struct gguf *g, struct err *e)
{
    struct wpm *s = t->self = mem_calloc(1, sizeof(*s));
    int rc;

    if (!s || open_trie(s, &t->vocab) < 0)
        return err_set(e, E_NOMEM, "no memory for the texts of %d tokens", t->vocab.n);
    s->lowercase = 1;
    rc = gguf_bool(g, "tokenizer.ggml.normalizer.lowercase", &s->lowercase, e);
    s->strip = s->lowercase;
    if (rc >= 0)
        rc = gguf_bool(g, "tokenizer.ggml.normalizer.strip_accents", &s->strip, e);
    /* The token in front goes by either name. */
    if (t->vocab.cls >= 0)
        t->vocab.bos = t->vocab.cls;
    t->tidy = 1;
    return rc < 0 ? rc : 0;
}

static void wpm_close(struct tok *t)
{
    struct wpm *s = t->self;

    if (s)
        trie_done(&s->trie);
    mem_free(s);
    t->self = NULL;
}

/* -- matching ------------------------------------------------------------------------ */

/* Where the longest token ends whose walk is at node before the byte `at`; *id stays when there
 * is none. */
static size_t longest(const struct wpm *s, struct str word, size_t at, uint32_t node,
                      int32_t *id)
{
    const struct trie *t = &s->trie;
    size_t found = 0;

    while (node) {
        if (t->node[node].id >= 0) {
            *id = t->node[node].id;
            found = at;
        }
        node = at < word.n ? trie_child(t, node, (unsigned char)word.p[at]) : 0;
        at++;
    }
    return found;
}

static int match_word(struct work *w, struct str word)
{
    const struct wpm *s = w->t->self;
    size_t before = w->out->n, at = 0;
    uint32_t node = s->begin;
    int rc = 0;

    for (int begun = 0; rc == 0 && at < word.n; begun = 1) {
        int32_t id = -1;

        if (begun)
            node = s->trie.root[(unsigned char)word.p[at++]];
        at = longest(s, word, at, node, &id);
        if (id < 0) {
            w->out->n = before;
            return w->t->vocab.unk < 0 ? 0 : tok_ids_put(w->out, w->t->vocab.unk);
        }
        rc = tok_ids_put(w->out, id);
    }
    return rc;
}

/* The ids of the word in w->text, which is empty afterwards. */
static int put_word(struct work *w)
{
    int rc = w->text.n ? match_word(w, (struct str){w->text.p, w->text.n}) : 0;

    buf_clear(&w->text);
    return rc;
}

/* -- normalising --------------------------------------------------------------------- */

/* What is kept of marks until their order is known: class, position, character. */
struct marks {
    uint64_t *mark;
    size_t n, cap;
};

enum { MARK_CHAR_BITS = 21, MARK_AT_BITS = 35 };

static int is_cjk(int32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0xf900 && cp <= 0xfaff) ||
           (cp >= 0x2f800 && cp <= 0x2fa1f) || (cp >= 0x2a700 && cp <= 0x2ceaf);
}

/* What Unicode calls white space past ASCII. */
static int is_white(int32_t cp)
{
    utf8proc_category_t k;

    if (cp == 0x85)
        return 1;
    k = utf8proc_category(cp);
    return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static int is_alone(int32_t cp, utf8proc_category_t k)
{
    return (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO) ||
           (cp < 0x7f && k >= UTF8PROC_CATEGORY_SM && k <= UTF8PROC_CATEGORY_SO) || is_cjk(cp);
}

/* The next character of a run, after it was taken apart and put in order. */
static int put_char(struct work *w, int32_t cp)
{
    const struct wpm *s = w->t->self;
    utf8proc_category_t k = utf8proc_category(cp);
    int alone = is_alone(cp, k), rc = 0;
    char utf8[4];

    if (cp == 0 || cp == 0xfffd || k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF ||
        (s->strip && k == UTF8PROC_CATEGORY_MN))
        return 0;
    if (alone)
        rc = put_word(w);
    if (rc == 0 && s->lowercase && cp == 0x130) /* the one whose small letter is two */
        rc = buf_put(&w->text, "i\xcc\x87", 3);
    else if (rc == 0)
        rc = buf_put(&w->text, utf8,
                     (size_t)utf8_put(s->lowercase ? utf8proc_tolower(cp) : cp, utf8));
    if (rc == 0 && alone)
        rc = put_word(w);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int put_marks(struct work *w, struct marks *m)
{
    int rc = 0;

    if (m->n > 1)
        qsort(m->mark, m->n, sizeof(*m->mark), by_number);
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = put_char(w, (int32_t)(m->mark[i] & ((1 << MARK_CHAR_BITS) - 1)));
    m->n = 0;
    return rc;
}

static int add_mark(struct marks *m, unsigned order, int32_t cp)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        uint64_t *mark = mem_realloc(m->mark, cap * sizeof(*mark));

        if (!mark)
            return E_NOMEM;
        m->mark = mark;
        m->cap = cap;
    }
    m->mark[m->n] = (uint64_t)order << (MARK_AT_BITS + MARK_CHAR_BITS) |
                    (uint64_t)m->n << MARK_CHAR_BITS | (uint64_t)cp;
    m->n++;
    return 0;
}

/* A character that is no white space, in the canonical decomposition. */
static int put_wide(struct work *w, struct marks *m, int32_t cp)
{
    const struct wpm *s = w->t->self;
    int32_t part[8];
    utf8proc_ssize_t n;
    int rc = 0, bound = 0;

    if (!s->strip)
        return put_char(w, cp);
    n = utf8proc_decompose_char(cp, part, 8, UTF8PROC_DECOMPOSE, &bound);
    for (utf8proc_ssize_t i = 0; rc == 0 && i < n && i < 8; i++) {
        const utf8proc_property_t *p = utf8proc_get_property(part[i]);

        if (p->category == UTF8PROC_CATEGORY_MN)
            continue;
        if (p->combining_class > 0) {
            rc = add_mark(m, (unsigned)p->combining_class, part[i]);
            continue;
        }
        if (m->n)
            rc = put_marks(w, m);
        if (rc == 0)
            rc = put_char(w, part[i]);
    }
    return rc;
}

/* An ASCII character that is no white space. */
static int put_ascii(struct work *w, char c)
{
    const struct wpm *s = w->t->self;
    unsigned cls = uclass_ascii[(unsigned char)c];
    int rc = 0;

    if (!cls)
        return 0;
    if (cls & (UC_PUNCT | UC_SYM)) {
        rc = put_word(w);
        if (rc == 0)
            rc = buf_byte(&w->text, c);
        return rc < 0 ? rc : put_word(w);
    }
    if (s->lowercase && (cls & UC_UPPER))
        c = (char)(c | 0x20);
    if (w->text.n + 1 >= w->text.cap)
        return buf_byte(&w->text, c);
    w->text.p[w->text.n++] = c;
    return 0;
}

static int put_run(struct work *w, struct marks *m, struct str run)
{
    size_t len;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < run.n; i += len) {
        int32_t cp = (unsigned char)run.p[i];

        len = cp < 0x80 ? 1 : (size_t)utf8_next(run.p + i, run.n - i, &cp);
        if (cp >= 0x80) {
            rc = put_wide(w, m, cp);
            continue;
        }
        if (m->n)
            rc = put_marks(w, m);
        /* A byte that is no character becomes one that no token has. */
        if (rc == 0)
            rc = cp >= 0 ? put_ascii(w, (char)cp) : buf_put(&w->text, "\xff", 1);
    }
    if (rc == 0 && m->n)
        rc = put_marks(w, m);
    return rc < 0 ? rc : put_word(w);
}

/* The length of the run of white space at p, or of what is none. */
static size_t run_length(const char *p, size_t n, int white)
{
    size_t at = 0;

    while (at < n) {
        int32_t cp = (unsigned char)p[at];
        size_t len = 1;
        int is = cp < 0x80 && (uclass_ascii[cp] & UC_SPACE) != 0;

        if (cp >= 0x80) {
            len = (size_t)utf8_next(p + at, n - at, &cp);
            is = cp >= 0 && is_white(cp);
        }
        if (is != white)
            break;
        at += len;
    }
    return at;
}

static int wpm_encode(struct work *w, struct str text)
{
    struct marks m = {0};
    int rc = 0;

    for (size_t at = run_length(text.p, text.n, 1); rc >= 0 && at < text.n;) {
        struct str run = {text.p + at, run_length(text.p + at, text.n - at, 0)};
        struct words_slot *slot;
        size_t before = w->out->n;

        rc = words_get(&w->words, run, w->out, &slot);
        if (rc == 0) {
            rc = put_run(w, &m, run);
            if (rc >= 0)
                words_put(slot, run, w->out, before);
        }
        at += run.n;
        at += run_length(text.p + at, text.n - at, 1);
    }
    mem_free(m.mark);
    return rc < 0 ? rc : 0;
}

static int wpm_piece(const struct tok *t, int id, struct buf *out)
{
    return spaces_text(&t->vocab, id, out);
}

const struct kind wpm_kind = {
    .name = "bert",
    .ids = {.bos = 101, .eos = -1, .unk = 100, .sep = 102, .pad = 0, .mask = 103},
    .add_bos = 1,
    .always_bos = 1,
    .add_sep = 1,
    .open = wpm_open,
    .close = wpm_close,
    .encode = wpm_encode,
    .piece = wpm_piece,
};
