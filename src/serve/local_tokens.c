/* local_tokens.c - which tokens the text of an answer comes from.
 *
 * Tokens come with their bytes, in order; the text that is shown is these bytes with some left
 * out (markers of reasoning, what a stop string held back). So the text is looked for in the
 * bytes that were not shown yet: what lies before it was left out. Text is given out with whole
 * tokens only: a token that is half shown waits for its other half.
 */
#include "serve/local_priv.h"

#include "base/mem.h"

#define TEXT_MAX ((size_t)64 << 20)

void local_tokens_init(struct local_tokens *t, int wanted, int n_top)
{
    *t = (struct local_tokens){.wanted = wanted, .n_top = n_top > 0 ? (size_t)n_top : 0};
    buf_init(&t->bytes, TEXT_MAX);
    buf_init(&t->text, TEXT_MAX);
}

void local_tokens_done(struct local_tokens *t)
{
    buf_done(&t->bytes);
    buf_done(&t->text);
    mem_free(t->token);
    mem_free(t->top);
    mem_free(t->at);
}

static int more_room(struct local_tokens *t)
{
    size_t cap = t->cap ? 2 * t->cap : 32;
    struct gate_token *token = mem_realloc(t->token, cap * sizeof(*token)), *top;
    size_t *at;

    if (!token)
        return E_NOMEM;
    t->token = token;
    at = mem_realloc(t->at, cap * sizeof(*at));
    if (!at)
        return E_NOMEM;
    t->at = at;
    if (t->n_top) {
        top = mem_realloc(t->top, cap * t->n_top * sizeof(*top));
        if (!top)
            return E_NOMEM;
        t->top = top;
    }
    t->cap = cap;
    return 0;
}

int local_tokens_put(struct local_tokens *t, const struct tok *tok,
                     const struct hearth_piece *p, struct str bytes)
{
    size_t n_top = (size_t)p->n_top < t->n_top ? (size_t)p->n_top : t->n_top;
    struct gate_token *to;

    if (!t->wanted)
        return 0;
    if ((t->n == t->cap && more_room(t) < 0) || buf_put(&t->bytes, bytes.p, bytes.n) < 0)
        return E_NOMEM;
    t->at[t->n] = t->bytes.n - bytes.n;
    to = &t->token[t->n];
    /* Pieces of a tokenizer stay where they are. */
    *to =
        (struct gate_token){.id = p->id, .text = bytes, .logprob = p->logprob, .n_top = n_top};
    for (size_t i = 0; i < n_top; i++)
        t->top[t->n * t->n_top + i] =
            (struct gate_token){.id = p->top[i].id,
                                .text = tok_piece(tok, p->top[i].id, 1),
                                .logprob = p->top[i].logprob};
    t->n++;
    return 0;
}

/* Forgets the first k tokens. */
static void drop(struct local_tokens *t, size_t k)
{
    size_t n_byte;

    if (!k)
        return;
    n_byte = k < t->n ? t->at[k] : t->bytes.n;
    t->n -= k;
    memmove(t->token, t->token + k, t->n * sizeof(*t->token));
    memmove(t->at, t->at + k, t->n * sizeof(*t->at));
    if (t->n_top)
        memmove(t->top, t->top + k * t->n_top, t->n * t->n_top * sizeof(*t->top));
    buf_shift(&t->bytes, n_byte);
    t->pos = t->pos > n_byte ? t->pos - n_byte : 0;
    for (size_t i = 0; i < t->n; i++)
        t->at[i] -= n_byte;
}

static size_t end_of(const struct local_tokens *t, size_t i)
{
    return i + 1 < t->n ? t->at[i + 1] : t->bytes.n;
}

/* Tokens that were left out whole, before anything that is to be shown. */
static void drop_hidden(struct local_tokens *t, size_t upto)
{
    size_t k = 0;

    if (t->text.n)
        return;
    while (k < t->n && end_of(t, k) <= upto && end_of(t, k) > t->at[k])
        k++;
    drop(t, k);
}

int local_tokens_text(struct local_tokens *t, struct str text)
{
    if (t->wanted && text.n && t->pos < t->bytes.n) {
        const char *from = t->bytes.p + t->pos,
                   *at = memmem(from, t->bytes.n - t->pos, text.p, text.n);

        if (at > from) {
            size_t before = t->bytes.n, upto = (size_t)(at - t->bytes.p);

            drop_hidden(t, upto);
            t->pos = upto - (before - t->bytes.n);
        }
        t->pos += text.n < t->bytes.n - t->pos ? text.n : t->bytes.n - t->pos;
    }
    return buf_put(&t->text, text.p, text.n);
}

size_t local_tokens_ready(struct local_tokens *t, int all, size_t *n_token)
{
    size_t k = 0, half = 0;

    *n_token = 0;
    if (!t->wanted)
        return t->text.n;
    while (k < t->n && end_of(t, k) <= t->pos)
        k++;
    if (k < t->n && t->at[k] < t->pos)
        half = t->pos - t->at[k];
    if (all && half) {
        k++;
        half = 0;
    }
    *n_token = k;
    for (size_t i = 0; i < k && t->n_top; i++)
        t->token[i].top = &t->top[i * t->n_top];
    return half < t->text.n ? t->text.n - half : 0;
}

void local_tokens_shown(struct local_tokens *t, size_t n_text, size_t n_token)
{
    buf_shift(&t->text, n_text);
    drop(t, n_token);
}
