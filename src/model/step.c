#include "model/step.h"

#include <assert.h>
#include <string.h>

void *step_alloc(struct step *s, size_t n_byte)
{
    unsigned char *p = s->scratch ? s->scratch + s->used : NULL;

    s->used += (n_byte + 63) & ~(size_t)63;
    if (s->used > s->peak)
        s->peak = s->used;
    assert(s->dry || s->used <= s->n_scratch);
    return p;
}

float *step_floats(struct step *s, size_t n)
{
    return step_alloc(s, n * sizeof(float));
}

void step_plan(const struct model *m, const struct cache_layout *c, int n_ctx, int n_tok,
               int n_out, size_t *n_scratch, size_t *n_worker)
{
    struct step s = {.m = m,
                     .k = &m->kern,
                     .cache = c,
                     .n_ctx = n_ctx,
                     .n_tok = n_tok,
                     .n_out = n_out,
                     .dry = 1};

    step_worker_needs(&s, kern_mul_scratch((size_t)n_tok));
    step_worker_needs(&s, kern_attn_scratch(m->p.d_k, m->p.d_v));
    m->arch->forward(&s);
    s.used = 0;
    if (m->guesses)
        m->arch->nextn(&s);
    *n_scratch = s.peak;
    *n_worker = s.n_worker;
}

void step_run(struct step *s)
{
    s->used = 0;
    if (s->nextn_h)
        s->m->arch->nextn(s);
    else
        s->m->arch->forward(s);
}
