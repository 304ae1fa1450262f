/* mask_vocab.c - the bytes of a vocabulary as a trie. */
#include "text/gram/mask_priv.h"

#include "base/mem.h"

#include <stdlib.h>

/* -- tokens --------------------------------------------------------------------------- */

struct text {
    struct str s;
    int32_t id;
};

static int by_text(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    size_t n = x->s.n < y->s.n ? x->s.n : y->s.n;
    int c = memcmp(x->s.p, y->s.p, n);

    if (c)
        return c;
    if (x->s.n != y->s.n)
        return x->s.n < y->s.n ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Control tokens and their like stand for no text. */
static int has_text(const struct tok *t, int id)
{
    int type = tok_type_of(t, id);
    struct str s = tok_piece(t, id, 0);

    return s.n && s.n <= MASK_LONGEST && !tok_is_eog(t, id) && type != TOK_CONTROL &&
           type != TOK_UNKNOWN && type != TOK_UNUSED;
}

static struct text *sorted_texts(struct mask_vocab *v)
{
    struct text *all = mem_alloc((v->n_tok + (size_t)1) * sizeof(*all));

    for (uint32_t i = 0; all && i < v->n_tok; i++) {
        if (tok_is_eog(v->t, (int)i))
            v->eog[v->n_eog++] = (int32_t)i;
        else if (has_text(v->t, (int)i))
            all[v->n_text++] = (struct text){tok_piece(v->t, (int)i, 0), (int32_t)i};
    }
    if (all)
        qsort(all, v->n_text, sizeof(*all), by_text);
    return all;
}

static size_t common(struct str a, struct str b)
{
    size_t n = 0;

    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* -- the trie ------------------------------------------------------------------------- */

static int make_room(struct mask_vocab *v, const struct text *all)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < v->n_text; i++)
        n += all[i].s.n - (i ? common(all[i - 1].s, all[i].s) : 0);
    if (n > UINT32_MAX / 8)
        return E_NOMEM;
    v->tok = mem_alloc((v->n_text + (size_t)1) * sizeof(*v->tok));
    v->byte = mem_alloc(n);
    v->depth = mem_alloc(n * sizeof(*v->depth));
    v->skip = mem_alloc(n * sizeof(*v->skip));
    v->first = mem_alloc((n + 1) * sizeof(*v->first));
    v->has = mem_calloc(n, sizeof(*v->has));
    v->tall = mem_calloc(n, sizeof(*v->tall));
    return v->tok && v->byte && v->depth && v->skip && v->first && v->has && v->tall ? 0
                                                                                     : E_NOMEM;
}

static void plant(struct mask_vocab *v, const struct text *all)
{
    static const struct str none = {"", 0};
    uint32_t open[MASK_LONGEST + 1], n = 1; /* open[d]: the node of depth d on the way */

    open[0] = 0;
    v->byte[0] = 0;
    v->depth[0] = 0;
    v->first[0] = 0;
    for (uint32_t i = 0; i < v->n_text; i++) {
        struct str s = all[i].s, before = i ? all[i - 1].s : none;
        size_t same = common(before, s);

        for (size_t d = before.n; d > same; d--)
            v->skip[open[d]] = n;
        for (size_t d = same; d < s.n; d++, n++) {
            v->byte[n] = (uint8_t)s.p[d];
            v->depth[n] = (uint16_t)(d + 1);
            v->first[n] = i;
            open[d + 1] = n;
        }
        v->tok[i] = all[i].id;
    }
    for (size_t d = v->n_text ? all[v->n_text - 1].s.n + 1 : 1; d-- > 0;)
        v->skip[open[d]] = n;
    v->first[n] = v->n_text;
    v->n_node = n;
}

/* -- what is below -------------------------------------------------------------------- */

enum { WHOLE, WRONG = 255 };

/* Where in a character of UTF-8 byte b leads from `at`: WHOLE, WRONG, how many bytes are still
 * to come, or the first byte that narrows what the second one may be. */
enum { E0 = 0xE0, ED = 0xED, F0 = 0xF0, F4 = 0xF4 };

static unsigned follow(unsigned at, unsigned b)
{
    unsigned lo = 0x80, hi = 0xBF;

    if (at == WHOLE) {
        if (b < 0x80)
            return WHOLE;
        if (b < 0xC2 || b > 0xF4)
            return WRONG;
        if (b < 0xE0)
            return 1;
        if (b < 0xF0)
            return b == 0xE0 ? E0 : b == 0xED ? ED : 2;
        return b == 0xF0 ? F0 : b == 0xF4 ? F4 : 3;
    }
    if (at == E0)
        lo = 0xA0;
    if (at == F0)
        lo = 0x90;
    if (at == ED)
        hi = 0x9F;
    if (at == F4)
        hi = 0x8F;
    if (at == WRONG || b < lo || b > hi)
        return WRONG;
    return at == E0 || at == ED ? 1 : at == F0 || at == F4 ? 2 : at - 1;
}

/* Classes go up from the leaves. A character of several bytes counts where it is whole; one
 * that the token cuts, or that is none, makes everything above it something to look at. */
static int sum_up(struct mask_vocab *v)
{
    uint8_t *at = mem_alloc(v->n_node), open[MASK_LONGEST + 1];
    uint32_t up[MASK_LONGEST + 2] = {0}; /* of the nodes of a depth that were seen last */
    uint16_t tall[MASK_LONGEST + 2] = {0};

    if (!at)
        return E_NOMEM;
    for (uint32_t i = 0; i < v->n_node; i++) {
        unsigned d = v->depth[i];

        at[i] = open[d] = d ? (uint8_t)follow(open[d - 1], v->byte[i]) : WHOLE;
    }
    for (uint32_t i = v->n_node; i-- > 0;) {
        unsigned d = v->depth[i];
        uint32_t below = v->skip[i] > i + 1 ? up[d + 1] : 0, own;

        v->tall[i] = v->skip[i] > i + 1 ? tall[d + 1] : 0;
        if (v->skip[i] > i + 1)
            up[d + 1] = tall[d + 1] = 0;
        if (tall[d] < v->tall[i] + 1)
            tall[d] = (uint16_t)(v->tall[i] + 1);
        if (at[i] == WHOLE)
            own = v->byte[i] < 0x80 ? gram_class(v->byte[i]) : GRAM_WIDE;
        else
            own = at[i] == WRONG || v->first[i + 1] > v->first[i] ? GRAM_BROKEN : 0;
        up[d] |= below | own;
        v->has[i] = below | (at[i] == WHOLE ? 0 : GRAM_BROKEN);
    }
    mem_free(at);
    return 0;
}

/* -- all of it ------------------------------------------------------------------------ */

int mask_vocab_new(struct mask_vocab **out, const struct tok *t, struct err *e)
{
    struct mask_vocab *v = mem_calloc(1, sizeof(*v));
    struct text *all = NULL;
    int rc = E_NOMEM;

    if (v) {
        v->t = t;
        v->n_tok = (uint32_t)tok_count(t);
        v->n_word = (uint32_t)MASK_WORDS(v->n_tok);
        v->eog = mem_alloc((v->n_tok + (size_t)1) * sizeof(*v->eog));
        all = v->eog ? sorted_texts(v) : NULL;
    }
    if (all) {
        rc = make_room(v, all);
        if (rc == 0)
            plant(v, all);
        if (rc == 0)
            rc = sum_up(v);
        if (rc == 0)
            rc = mask_marks_find(v);
    }
    mem_free(all);
    if (rc < 0) {
        mask_vocab_free(v);
        return err_set(e, rc, "no memory for the trie of %d tokens", tok_count(t));
    }
    *out = v;
    return 0;
}

void mask_vocab_free(struct mask_vocab *v)
{
    if (!v)
        return;
    mem_free(v->tok);
    mem_free(v->byte);
    mem_free(v->depth);
    mem_free(v->skip);
    mem_free(v->first);
    mem_free(v->has);
    mem_free(v->tall);
    mem_free(v->eog);
    mem_free(v->mark);
    mem_free(v);
}
