#include "infer/embed.h"

#include "base/mem.h"
#include "model/head.h"

#include <string.h>

/* Of which tokens the result is made: what the file says; else, and under a classifier, what
 * sees the whole text. */
static int pooling_of(const struct params *p)
{
    if (p->pooling == POOL_RANK)
        return p->causal ? POOL_LAST : POOL_CLS;
    if (p->pooling == POOL_NONE)
        return p->causal ? POOL_LAST : POOL_MEAN;
    return p->pooling;
}

int embed_new(struct embed *p, const struct model *m, size_t n, struct err *e)
{
    size_t n_embd = (size_t)m->p.n_embd;

    *p = (struct embed){m, pooling_of(&m->p), n, mem_calloc(n_embd, sizeof(float))};
    return p->state ? 0 : err_set(e, E_NOMEM, "no memory for %zu numbers", n_embd);
}

void embed_done(struct embed *p)
{
    mem_free(p->state);
    p->state = NULL;
}

void embed_reset(struct embed *p)
{
    memset(p->state, 0, (size_t)p->m->p.n_embd * sizeof(*p->state));
}

int embed_last_only(const struct model *m)
{
    return pooling_of(&m->p) == POOL_LAST;
}

void embed_row(struct embed *p, size_t i, const float *x)
{
    size_t n_embd = (size_t)p->m->p.n_embd;

    if ((p->how == POOL_LAST && i + 1 == p->n) || (p->how == POOL_CLS && i == 0))
        memcpy(p->state, x, n_embd * sizeof(*x));
    for (size_t d = 0; d < n_embd && p->how == POOL_MEAN; d++)
        p->state[d] += x[d] / (float)p->n;
}

int embed_end(struct embed *p, float *out, struct err *e)
{
    int rc = p->m->p.pooling == POOL_RANK ? head_rank(p->m, p->state, out, e)
                                          : head_embed(p->m, p->state, out, e);

    return rc < 0 ? rc : model_intact(p->m, e);
}

static int pool_row(void *ctx, size_t i, const float *x)
{
    embed_row(ctx, i, x);
    return 0;
}

int hearth_seq_embed(struct hearth_seq *s, const int32_t *ids, size_t n, float *out,
                     struct hearth_error *error)
{
    struct err *e = engine_err(error);
    struct embed p;
    int rc;

    if (n == 0 || s->n_len)
        return err_set(e, E_INVALID, n ? "the sequence is not empty" : "no tokens to embed");
    rc = embed_new(&p, s->en->model->m, n, e);
    if (rc < 0)
        return rc;
    rc = seq_each_row(s, ids, n, WANT_ALL_HIDDEN, pool_row, &p, e);
    if (rc == 0)
        rc = embed_end(&p, out, e);
    embed_done(&p);
    if (hearth_seq_truncate(s, 0, NULL) < 0)
        return E_INTERNAL;
    return rc;
}
