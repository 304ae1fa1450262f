/* generate.c - the loop from a prompt to text: feed, step, sample, show. */
#include "infer/draft.h"

#include "base/clock.h"
#include "base/mem.h"
#include "infer/stop.h"

#include <string.h>

enum { GEN_TOP_MAX = 20, GEN_PIECE_MAX = 1 << 20, GEN_FORCED_MAX = 32 };

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

struct gen {
    struct hearth_seq *s;
    const struct hearth_generate_options *opt;
    struct hearth_stats *stats;
    int (*piece)(void *ctx, const struct hearth_piece *p);
    void *ctx;
    struct sampler *sampler;
    struct stop *stop;
    struct tok_stream stream;
    uint32_t *allowed;     /* the guide's mask; NULL: no guide */
    struct buf raw, ready; /* detokenised; past the stop strings */
    int finish;            /* enum hearth_finish, -1: goes on */
    /* Guesses that the last step computed behind a certain token: next of them is what the next
     * sampled token must be for its row to count. */
    int32_t guess[ENGINE_DRAFT_MAX];
    int n_guess, next;
};

static int gen_sampler(struct gen *g, struct err *e)
{
    struct hearth_sampling d;
    const struct hearth_sampling *h = g->opt->sampling;
    struct sampler_options o;
    const struct model *m = g->s->en->model->m;

    if (!h) {
        hearth_sampling_defaults(&d);
        h = &d;
    }
    o = (struct sampler_options){.temperature = h->temperature,
                                 .top_k = h->top_k,
                                 .top_p = h->top_p,
                                 .min_p = h->min_p,
                                 .typical_p = h->typical_p,
                                 .repeat_penalty = h->repeat_penalty,
                                 .presence_penalty = h->presence_penalty,
                                 .frequency_penalty = h->frequency_penalty,
                                 .repeat_last_n = h->repeat_last_n,
                                 .seed = h->seed,
                                 .bias =
                                     (const struct sampler_bias *)(const void *)g->opt->bias,
                                 .n_bias = g->opt->n_bias,
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
    if (h->dry_multiplier > 0) {
        o.dry_breakers = infer_dry_breakers(g->s->en->model);
        if (!o.dry_breakers)
            return err_set(e, E_NOMEM, "no memory for bits of %d tokens", m->p.n_vocab);
    }
    return sampler_new(&g->sampler, &o, m->p.n_vocab, g->s->en->n_ctx, e);
}

/* The penalties look back over the whole sequence, not only at this prompt. */
static void gen_look_back(struct gen *g)
{
    for (int i = 0; i < g->s->n_len; i++)
        sampler_accept(g->sampler, g->s->ids[i]);
}

static int gen_open(struct gen *g, struct err *e)
{
    struct hearth_model *h = g->s->en->model;
    int rc;

    buf_init(&g->raw, GEN_PIECE_MAX);
    buf_init(&g->ready, GEN_PIECE_MAX);
    if (g->opt->n_logprobs < 0 || g->opt->n_logprobs > GEN_TOP_MAX)
        return err_set(e, E_INVALID, "n_logprobs: %d, expected 0 to %d", g->opt->n_logprobs,
                       GEN_TOP_MAX);
    if (g->opt->guide && g->opt->ignore_eog)
        return err_set(e, E_INVALID, "ignore_eog with a guide: it says where the text ends");
    if (g->opt->guide) {
        g->allowed = mem_calloc(((size_t)h->m->p.n_vocab + 31) / 32, sizeof(*g->allowed));
        if (!g->allowed)
            return err_set(e, E_NOMEM, "no memory for a mask of %d tokens", h->m->p.n_vocab);
    }
    rc = gen_sampler(g, e);
    if (rc == 0)
        rc = stop_new(&g->stop, g->opt->stop, g->opt->n_stop, e);
    if (rc == 0 && h->tok)
        tok_stream_init(&g->stream, h->tok, 0, g->opt->show_control);
    return rc;
}

static void gen_close(struct gen *g)
{
    sampler_free(g->sampler);
    stop_free(g->stop);
    mem_free(g->allowed);
    buf_done(&g->raw);
    buf_done(&g->ready);
}

/* Tokens that are certain: without the guesses that are still open. */
static int gen_len(const struct gen *g)
{
    return g->s->n_len - (g->n_guess - g->next);
}

/* Forgets the guesses that are still open. What the last certain token gave stays, where nobody
 * else's step has written over it. */
static int gen_forget(struct gen *g, struct err *e)
{
    struct hearth_seq *s = g->s;
    int open = g->n_guess - g->next, row = g->next, rows_hold = s->logits != NULL, rc;

    g->n_guess = g->next = 0;
    if (!open)
        return 0;
    draft_goes_on(s, row);
    rc = hearth_seq_truncate(s, s->n_len - open, (struct hearth_error *)(void *)e);
    if (rc == 0 && rows_hold && s->n_done == s->n_len)
        s->logits = s->en->logits + (size_t)row * (size_t)s->en->model->m->p.n_vocab;
    return rc;
}

/* The sampled token id is the next one of the text: the row of a guess that came true is used,
 * others are forgotten. */
static int gen_feed(struct gen *g, int32_t id, struct err *e)
{
    struct hearth_seq *s = g->s;
    int rc = 0;

    if (s->logits && g->next < g->n_guess && g->guess[g->next] == id) {
        g->stats->n_accepted++;
        g->next++;
        s->logits = s->en->logits + (size_t)g->next * (size_t)s->en->model->m->p.n_vocab;
        return 0;
    }
    if (g->n_guess)
        rc = gen_forget(g, e);
    return rc < 0 ? rc : seq_feed(s, &id, 1, 0, NULL, e);
}

/* Computes the certain token that waits, with guesses behind it. */
static int gen_ahead(struct gen *g, struct err *e)
{
    struct hearth_seq *s = g->s;
    int certain = s->n_len - 1, n, rc = hearth_seq_truncate(s, certain, NULL);
    int32_t id = s->ids[certain];

    if (rc < 0)
        return rc;
    n = rc = draft_guess(s, id, s->en->n_draft, g->guess, e);
    if (rc >= 0)
        rc = seq_feed(s, &id, 1, 0, NULL, e);
    if (rc == 0 && n)
        rc = seq_feed(s, g->guess, (size_t)n, 0, NULL, e);
    if (rc == 0)
        rc = engine_compute(s->en, s, WANT_ALL_LOGITS, e);
    if (rc < 0) { /* the certain token waits, as before, and nothing else */
        if (hearth_seq_truncate(s, certain, NULL) < 0 || seq_feed(s, &id, 1, 0, NULL, NULL) < 0)
            return E_INTERNAL; /* it was there before */
        return rc;
    }
    g->stats->n_drafted += n;
    g->n_guess = n;
    g->next = 0;
    s->logits = s->en->logits;
    return 0;
}

/* Steps until the sequence has caught up. */
static int gen_catch_up(struct gen *g, struct err *e)
{
    if (g->s->en->n_draft && !g->s->logits && g->s->n_len == g->s->n_done + 1 && g->s->n_done)
        return gen_ahead(g, e);
    while (!g->s->logits) {
        int rc = engine_compute(g->s->en, g->s, WANT_LAST, e);

        if (rc < 0)
            return rc;
        if (rc == 0)
            return err_set(e, E_INVALID,
                           "nothing to continue: the sequence is empty, or has no logits "
                           "since another step; feed tokens");
    }
    return 0;
}

/* The text that token id makes ready; id -1: the end, what is still held. */
static int gen_text(struct gen *g, int id, struct err *e)
{
    const uint32_t *hidden = g->opt->hidden;
    int rc = 0;

    buf_clear(&g->raw);
    buf_clear(&g->ready);
    if (g->s->en->model->tok && !(id >= 0 && hidden && hidden[id / 32] >> (id % 32) & 1))
        rc = id < 0 ? tok_stream_end(&g->stream, &g->raw)
                    : tok_stream_put(&g->stream, id, &g->raw);
    if (rc == 0 && g->raw.n)
        rc = stop_put(g->stop, g->raw.p, g->raw.n, &g->ready);
    if (rc == 1)
        g->finish = HEARTH_FINISH_STOP;
    if (rc == 0 && id < 0)
        rc = stop_end(g->stop, &g->ready);
    return rc < 0 ? err_set(e, rc, "no memory for the text of a token") : 0;
}

static void gen_show(struct gen *g, int id)
{
    struct sampler_logprob top[GEN_TOP_MAX];
    struct hearth_token_logprob best[GEN_TOP_MAX];
    struct hearth_piece p = {
        .text = g->ready.n ? g->ready.p : "", .n_text = g->ready.n, .id = id};
    int n_vocab = g->s->en->model->m->p.n_vocab, n = g->opt->n_logprobs;

    if (id >= 0 && n > 0 && g->s->logits) {
        n = n < n_vocab ? n : n_vocab;
        sampler_logprobs(g->s->logits, n_vocab, id, &p.logprob, top, n);
        for (int i = 0; i < n; i++)
            best[i] = (struct hearth_token_logprob){top[i].id, top[i].logprob};
        p.top = best;
        p.n_top = n;
    }
    if (g->piece && g->piece(g->ctx, &p) && g->finish < 0)
        g->finish = HEARTH_FINISH_CALLER;
}

/* Token id is taken: show it, feed it. Sets finish when it was the last. */
static int gen_take(struct gen *g, int id, struct err *e)
{
    int rc = gen_text(g, id, e);

    g->stats->n_output++;
    if (rc < 0)
        return rc;
    gen_show(g, id);
    if (g->finish == HEARTH_FINISH_STOP)
        return 0;
    if (gen_len(g) == g->s->en->n_ctx) {
        g->finish = HEARTH_FINISH_LENGTH;
        return 0;
    }
    sampler_accept(g->sampler, id);
    rc = gen_feed(g, id, e);
    if (rc == 0 && g->finish < 0 && g->opt->n_predict > 0 &&
        g->stats->n_output == g->opt->n_predict)
        g->finish = HEARTH_FINISH_LENGTH;
    return rc;
}

/* What the guide leaves no choice of goes in front of the next step, all at once. */
static int gen_forced(struct gen *g, struct err *e)
{
    const struct hearth_guide *guide = g->opt->guide;
    int32_t ids[GEN_FORCED_MAX];
    int n, rc = 0;

    /* Logprobs are asked of each token, and these get no logits. */
    if (!guide || !guide->forced || g->opt->n_logprobs || g->finish >= 0)
        return 0;
    n = guide->forced(guide->ctx, ids, GEN_FORCED_MAX, (struct hearth_error *)(void *)e);
    if (n < 0)
        return n;
    for (int i = 0; i < n && rc == 0 && g->finish < 0; i++) {
        rc = guide->accept(guide->ctx, ids[i], (struct hearth_error *)(void *)e);
        if (rc == 0) {
            g->stats->n_forced++;
            rc = gen_take(g, ids[i], e);
        }
    }
    return rc;
}

/* Samples the next token under the guide: its id, -1 and finish when the text is whole. */
static int gen_pick(struct gen *g, int *id, struct err *e)
{
    const struct hearth_guide *guide = g->opt->guide;
    int rc = 0, any = 1;

    if (guide) {
        memset(g->allowed, 0,
               ((size_t)g->s->en->model->m->p.n_vocab + 31) / 32 * sizeof(*g->allowed));
        rc = guide->mask(guide->ctx, g->allowed, (struct hearth_error *)(void *)e);
        if (rc < 0)
            return rc;
        any = rc == 0;
    }
    if (rc == 2) {
        *id = -1;
        return 0;
    }
    *id = rc = sampler_pick(g->sampler, g->s->logits, any ? NULL : g->allowed, e);
    return rc < 0 ? rc : 0;
}

/* One token: sample, show, feed. Sets finish when it was the last. */
static int gen_token(struct gen *g, struct err *e)
{
    const struct hearth_guide *guide = g->opt->guide;
    int id, rc = gen_pick(g, &id, e);

    if (rc < 0)
        return rc;
    if (id < 0 || (hearth_is_eog(g->s->en->model, id) && !g->opt->ignore_eog)) {
        g->finish = HEARTH_FINISH_EOG;
        return 0;
    }
    if (guide)
        rc = guide->accept(guide->ctx, id, (struct hearth_error *)(void *)e);
    if (rc == 0)
        rc = gen_take(g, id, e);
    return rc < 0 ? rc : gen_forced(g, e);
}

static int gen_loop(struct gen *g, struct err *e)
{
    uint64_t t0 = clock_ns();
    int rc = gen_forced(g, e);

    if (rc == 0 && g->finish < 0)
        rc = gen_catch_up(g, e);
    g->stats->prompt_ns = clock_ns() - t0;
    t0 = clock_ns();
    while (rc == 0 && g->finish < 0) {
        rc = gen_token(g, e);
        if (rc == 0 && g->finish < 0)
            rc = gen_catch_up(g, e);
    }
    g->stats->output_ns = clock_ns() - t0;
    if (g->n_guess) {
        int forgot = gen_forget(g, rc < 0 ? NULL : e);

        rc = rc < 0 ? rc : forgot;
    }
    if (rc == E_CANCELLED) {
        g->finish = HEARTH_FINISH_CALLER;
        rc = 0;
    }
    return rc;
}

int hearth_generate(struct hearth_seq *s, const int32_t *prompt, size_t n_prompt,
                    const struct hearth_generate_options *opt, struct hearth_stats *stats,
                    int (*piece)(void *ctx, const struct hearth_piece *p), void *ctx,
                    struct hearth_error *error)
{
    static const struct hearth_generate_options none;
    struct err *e = engine_err(error);
    struct hearth_stats unused;
    struct gen g = {.s = s,
                    .opt = opt ? opt : &none,
                    .stats = stats ? stats : &unused,
                    .piece = piece,
                    .ctx = ctx,
                    .finish = -1};
    size_t reused = 0;
    int rc;

    *g.stats = (struct hearth_stats){0};
    if (!s->en->logits)
        return err_set(e, E_UNSUPPORTED, "a %s model gives embeddings only: it writes no text",
                       s->en->model->m->arch->name);
    rc = gen_open(&g, e);
    if (rc == 0)
        rc = seq_feed(s, prompt, n_prompt, 1, &reused, e);
    if (rc == 0) {
        g.stats->n_prompt = (int)n_prompt;
        g.stats->n_prompt_reused = (int)reused;
        gen_look_back(&g);
        rc = gen_loop(&g, e);
    }
    if (rc == 0) {
        int finish = g.finish;

        rc = gen_text(&g, -1, e);
        gen_show(&g, -1);
        g.stats->finish = finish;
    }
    gen_close(&g);
    return rc;
}
