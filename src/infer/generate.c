/* generate.c - the loop from a prompt to text for one sequence: feed, step, take tokens. */
#include "infer/gen.h"

#include "base/clock.h"

void hearth_sampling_defaults(struct hearth_sampling *s)
{
    struct sampler_options o;

    sampler_defaults(&o);
    *s = (struct hearth_sampling){.temperature = o.temperature,
                                  .top_k = o.top_k,
                                  .top_p = o.top_p,
                                  .min_p = o.min_p,
                                  .typical_p = o.typical_p,
                                  .repeat_penalty = o.repeat_penalty,
                                  .presence_penalty = o.presence_penalty,
                                  .frequency_penalty = o.frequency_penalty,
                                  .repeat_last_n = o.repeat_last_n,
                                  .seed = o.seed,
                                  .xtc_threshold = o.xtc_threshold,
                                  .dry_base = o.dry_base,
                                  .dry_allowed_length = o.dry_allowed_length,
                                  .dry_last_n = o.dry_last_n,
                                  .dynatemp_exponent = o.dynatemp_exponent};
}

static void options_of(struct gen_options *out, const struct hearth_generate_options *o)
{
    struct hearth_sampling d;
    const struct hearth_sampling *h = o->sampling;

    if (!h) {
        hearth_sampling_defaults(&d);
        h = &d;
    }
    *out = (struct gen_options){.stop = o->stop,
                                .n_stop = o->n_stop,
                                .n_predict = o->n_predict,
                                .n_logprobs = o->n_logprobs ? o->n_logprobs : -1,
                                .show_control = o->show_control,
                                .ignore_eog = o->ignore_eog,
                                .guide = o->guide,
                                .hidden = o->hidden};
    out->sampling =
        (struct sampler_options){.temperature = h->temperature,
                                 .top_k = h->top_k,
                                 .top_p = h->top_p,
                                 .min_p = h->min_p,
                                 .typical_p = h->typical_p,
                                 .repeat_penalty = h->repeat_penalty,
                                 .presence_penalty = h->presence_penalty,
                                 .frequency_penalty = h->frequency_penalty,
                                 .repeat_last_n = h->repeat_last_n,
                                 .seed = h->seed,
                                 .bias = (const struct sampler_bias *)(const void *)o->bias,
                                 .n_bias = o->n_bias,
                                 .top_n_sigma = h->top_n_sigma,
                                 .xtc_probability = h->xtc_probability,
                                 .xtc_threshold = h->xtc_threshold,
                                 .dry_multiplier = h->dry_multiplier,
                                 .dry_base = h->dry_base,
                                 .dry_allowed_length = h->dry_allowed_length,
                                 .dry_last_n = h->dry_last_n,
                                 .dynatemp_range = h->dynatemp_range,
                                 .dynatemp_exponent = h->dynatemp_exponent,
                                 .min_keep = h->min_keep};
}

/* Computes the certain token that waits, with guesses behind it. */
static int step_ahead(struct gen *g, struct hearth_seq *s, struct err *e)
{
    struct engine_part part;
    int rc = gen_guess_ahead(g, s->en->n_draft, e);

    if (rc < 0)
        return rc;
    part = (struct engine_part){s, s->n_len - s->n_done, gen_rows(g), 0};
    rc = engine_compute_parts(s->en, &part, 1, 0, e);
    if (rc < 0 && gen_forget(g, NULL) < 0)
        return E_INTERNAL; /* guesses that wait can be forgotten */
    return rc;
}

/* Steps until the sequence has caught up. */
static int catch_up(struct gen *g, struct hearth_seq *s, struct err *e)
{
    while (!s->logits) {
        int rc = s->en->n_draft && gen_may_guess(g, 1) ? step_ahead(g, s, e)
                                                       : engine_compute(s->en, s, WANT_LAST, e);

        if (rc < 0)
            return rc;
        if (rc == 0)
            return err_set(e, E_INVALID,
                           "nothing to continue: the sequence is empty, or has no logits "
                           "since another step; feed tokens");
    }
    return 0;
}

static int generate(struct gen *g, struct hearth_seq *s, struct err *e)
{
    struct hearth_stats *st = gen_stats(g);
    uint64_t t0 = clock_ns();
    int rc = gen_begin(g, s, e);

    if (rc == 0 && gen_finish(g) < 0)
        rc = catch_up(g, s, e);
    st->prompt_ns = clock_ns() - t0;
    t0 = clock_ns();
    while (rc == 0 && gen_finish(g) < 0) {
        rc = gen_go(g, e);
        if (rc == 0 && gen_finish(g) < 0)
            rc = catch_up(g, s, e);
    }
    st->output_ns = clock_ns() - t0;
    if (rc < 0 && rc != E_CANCELLED)
        return rc;
    rc = gen_end(g, e);
    if (st->finish < 0)
        st->finish = HEARTH_FINISH_CALLER;
    return rc;
}

int hearth_generate(struct hearth_seq *s, const int32_t *prompt, size_t n_prompt,
                    const struct hearth_generate_options *opt, struct hearth_stats *stats,
                    int (*piece)(void *ctx, const struct hearth_piece *p), void *ctx,
                    struct hearth_error *error)
{
    static const struct hearth_generate_options none;
    struct err *e = engine_err(error);
    struct gen_options o;
    struct gen *g;
    size_t reused = 0;
    int rc;

    if (stats)
        *stats = (struct hearth_stats){0};
    options_of(&o, opt ? opt : &none);
    if (opt && opt->n_logprobs < 0)
        return err_set(e, E_INVALID, "n_logprobs: %d, expected 0 or more", opt->n_logprobs);
    rc = gen_new(&g, s->en, &o, piece, ctx, e);
    if (rc < 0)
        return rc;
    rc = seq_feed(s, prompt, n_prompt, 1, &reused, e);
    if (rc == 0) {
        gen_stats(g)->n_prompt = (int)n_prompt;
        gen_stats(g)->n_prompt_reused = (int)reused;
        rc = generate(g, s, e);
    }
    if (stats)
        *stats = *gen_stats(g);
    gen_free(g);
    return rc;
}
