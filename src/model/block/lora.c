/* lora.c - what adapters add to products. */
#include "model/adapter.h"
#include "model/block/block.h"

#include <string.h>

void blk_lora(struct step *s, const struct weight *w, const float *x, const struct lora_out *o)
{
    size_t mark = step_mark(s);

    for (const struct lora *l = w->lora; l; l = l->next) {
        size_t r = l->a.n_row;
        float *t = step_floats(s, o->n * r);
        struct kern_acts in = blk_forms_of(s, x, o->n, l->a.n_col, s->k->mm[l->a.type].form),
                         mid;
        struct kern_mul down = {
            .w = {&l->a}, .x = &in, .y = t, .ldy = r, .epilogue = KERN_STORE};
        struct kern_mul up = {.w = {&l->b},
                              .x = &mid,
                              .scale = {l->scale},
                              .y = o->y,
                              .ldy = o->ldy,
                              .epilogue = KERN_ADD,
                              .to = o->to,
                              .factor = o->factor};

        blk_muls(s, &down, 1);
        mid = blk_forms_of(s, t, o->n, r, s->k->mm[l->b.type].form);
        blk_muls(s, &up, 1);
        step_release(s, mark);
    }
}

/* B A[id], row by row: once for a token. */
void blk_lora_embed(const struct weight *w, int32_t id, float *x)
{
    for (const struct lora *l = w->lora; l; l = l->next) {
        const struct quant *qa = quant_find(l->a.type), *qb = quant_find(l->b.type);
        size_t r = l->a.n_col;
        float a[LORA_RANK_MAX], b[LORA_RANK_MAX];

        qa->to_f32((const unsigned char *)l->a.data + (size_t)id * l->a.stride, a, r);
        for (size_t d = 0; d < l->b.n_row; d++) {
            double sum = 0;

            qb->to_f32((const unsigned char *)l->b.data + d * l->b.stride, b, r);
            for (size_t i = 0; i < r; i++)
                sum += (double)a[i] * (double)b[i];
            x[d] += l->scale * (float)sum;
        }
    }
}
