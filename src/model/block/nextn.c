/* nextn.c - heads that predict the token after the next (multi-token prediction).
 *
 * One more layer behind the last reads, at the place of a token, the token itself and the final
 * hidden state of the token before it:  u = P [norm(E[id]) | norm(h)], a layer as the others,
 * and logits. It attends to its own keys and values; place 0 has none, since nothing is before
 * it.
 *
 * Source  DeepSeek-AI 2024, arXiv:2412.19437, section 2.2
 */
#include "model/block/block.h"

#include <string.h>

float *blk_nextn_in(struct step *s, const float *h)
{
    const struct layer *l = &s->m->layer[s->m->p.n_layer];
    const struct weight *embed = l->t[T_NEXTN_EMBED];
    size_t n = (size_t)s->m->p.n_embd, n_tok = (size_t)s->n_tok, mark;
    float *u = step_floats(s, n_tok * n), *e, *both;
    struct kern_acts a;

    mark = step_mark(s);
    e = embed ? blk_embed_of(s, embed) : blk_embed(s);
    both = step_floats(s, n_tok * 2 * n);
    for (size_t t = 0; t < n_tok && !step_stopped(s); t++) {
        s->k->rms_norm(e + t * n, l->t[T_NEXTN_ENORM]->vec, both + t * 2 * n, n, s->m->p.eps);
        s->k->rms_norm(h + t * n, l->t[T_NEXTN_HNORM]->vec, both + t * 2 * n + n, n,
                       s->m->p.eps);
    }
    a = blk_acts(s, both, n_tok, 2 * n, l->t[T_NEXTN_EH_PROJ]);
    blk_linear(s, l->t[T_NEXTN_EH_PROJ], NULL, &a, u, KERN_STORE);
    step_release(s, mark);
    return u;
}

void blk_nextn_out(struct step *s, const float *u)
{
    const struct layer *l = &s->m->layer[s->m->p.n_layer], *g = &s->m->global;
    const struct weight *norm = l->t[T_NEXTN_HEAD_NORM], *out = l->t[T_NEXTN_HEAD];

    blk_output_by(s, u, norm ? norm : g->t[T_OUTPUT_NORM], out ? out : g->t[T_OUTPUT]);
}
