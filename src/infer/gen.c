#include "infer/gen.h"

#include "base/clock.h"
#include "base/mem.h"
#include "infer/draft.h"
#include "infer/stop.h"

#include <string.h>

enum { GEN_TOP_MAX = 20, GEN_PIECE_MAX = 1 << 20, GEN_FORCED_MAX = 32 };

struct gen {
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct gen_options opt; /* without pointers to what is copied */
    struct hearth_guide guide;
    int n_vocab, n_ctx;
    struct hearth_stats stats;
    gen_piece *piece;
    void *ctx;
    struct sampler *sampler;
    struct stop *stop;
    struct tok_stream stream;
    uint32_t *allowed;     /* the guide's mask; NULL: no guide */
    struct buf raw, ready; /* detokenised; past the stop strings */
    int finish;            /* enum hearth_finish, -1: goes on */
    uint64_t end_ns;       /* when time is up; 0: never, or no token came yet */
    int had_line;
    /* Guesses that the last step computed behind a certain token, whose row is the first: next
     * of them is what the next sampled token must be for its row to count. */
    int32_t guess[ENGINE_DRAFT_MAX];
    const float *rows;
    int n_guess, next;
};

static int check_options(const struct gen_options *o, const struct hearth_engine *en,
                         struct err *e)
{
    if (!en->logits)
        return err_set(e, E_UNSUPPORTED, "a %s model gives embeddings only: it writes no text",
                       en->model->m->arch->name);
    if (o->n_logprobs < -1 || o->n_logprobs > GEN_TOP_MAX)
        return err_set(e, E_INVALID, "n_logprobs: %d, expected 0 to %d", o->n_logprobs,
                       GEN_TOP_MAX);
    if (o->guide && o->ignore_eog)
        return err_set(e, E_INVALID, "ignore_eog with a guide: it says where the text ends");
    return 0;
}

static size_t mask_words(const struct gen *g)
{
    return ((size_t)g->n_vocab + 31) / 32;
}

static int open_sampler(struct gen *g, const struct gen_options *o, struct err *e)
{
    struct sampler_options s = o->sampling;

    if (s.dry_multiplier > 0 && !s.dry_breakers) {
        s.dry_breakers = infer_dry_breakers(g->en->model);
        if (!s.dry_breakers)
            return err_set(e, E_NOMEM, "no memory for bits of %d tokens", g->n_vocab);
    }
    return sampler_new(&g->sampler, &s, g->n_vocab, g->en->n_ctx, e);
}

static int gen_open(struct gen *g, const struct gen_options *o, struct err *e)
{
    int rc = check_options(o, g->en, e);

    if (rc == 0 && o->guide) {
        g->guide = *o->guide;
        g->allowed = mem_calloc(mask_words(g), sizeof(*g->allowed));
        if (!g->allowed)
            return err_set(e, E_NOMEM, "no memory for a mask of %d tokens", g->n_vocab);
    }
    if (rc == 0)
        rc = open_sampler(g, o, e);
    if (rc == 0)
        rc = stop_new(&g->stop, o->stop, o->n_stop, e);
    if (rc == 0 && g->en->model->tok)
        tok_stream_init(&g->stream, g->en->model->tok, 0, o->show_control);
    return rc;
}

int gen_new(struct gen **out, struct hearth_engine *en, const struct gen_options *o,
            gen_piece *piece, void *ctx, struct err *e)
{
    struct gen *g = mem_calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return err_set(e, E_NOMEM, "no memory for a text");
    g->en = en;
    g->opt = *o;
    g->opt.stop = NULL;
    g->opt.guide = NULL;
    g->n_vocab = en->model->m->p.n_vocab;
    g->n_ctx = o->n_ctx > 0 && o->n_ctx < en->n_fit ? o->n_ctx : en->n_fit;
    g->piece = piece;
    g->ctx = ctx;
    g->finish = -1;
    buf_init(&g->raw, GEN_PIECE_MAX);
    buf_init(&g->ready, GEN_PIECE_MAX);
    rc = gen_open(g, o, e);
    if (rc < 0) {
        gen_free(g);
        return rc;
    }
    *out = g;
    return 0;
}

void gen_free(struct gen *g)
{
    if (!g)
        return;
    sampler_free(g->sampler);
    stop_free(g->stop);
    mem_free(g->allowed);
    buf_done(&g->raw);
    buf_done(&g->ready);
    mem_free(g);
}

int gen_finish(const struct gen *g)
{
    return g->finish;
}

struct hearth_stats *gen_stats(struct gen *g)
{
    return &g->stats;
}

int gen_stop_which(const struct gen *g)
{
    return stop_which(g->stop);
}

/* -- guesses --------------------------------------------------------------------------- */

/* Tokens that are certain: without the guesses that are still open. */
static int gen_len(const struct gen *g)
{
    return g->s->n_len - (g->n_guess - g->next);
}

int gen_rows(const struct gen *g)
{
    return 1 + g->n_guess;
}

int gen_may_guess(const struct gen *g, int n)
{
    const struct hearth_seq *s = g->s;
    int left = g->n_ctx - s->n_len;

    if (g->n_guess || s->logits || s->n_len != s->n_done + 1 || !s->n_done ||
        (s->state && !s->back))
        return 0;
    if (g->opt.n_predict > 0 && g->opt.n_predict - g->stats.n_output - 1 < left)
        left = g->opt.n_predict - g->stats.n_output - 1;
    left = left < ENGINE_DRAFT_MAX ? left : ENGINE_DRAFT_MAX;
    return n < left ? n : left > 0 ? left : 0;
}

int gen_guess(struct gen *g, const int32_t *ids, int n, struct err *e)
{
    int rc;

    seq_keep(g->s);
    rc = seq_feed(g->s, ids, (size_t)n, 0, NULL, e);
    if (rc < 0)
        return rc;
    memcpy(g->guess, ids, (size_t)n * sizeof(*ids));
    g->n_guess = n;
    g->next = 0;
    return 0;
}

int gen_guess_ahead(struct gen *g, int n, struct err *e)
{
    struct hearth_seq *s = g->s;
    int certain = s->n_len - 1, rc = hearth_seq_truncate(s, certain, NULL);
    int32_t id = s->ids[certain], ids[ENGINE_DRAFT_MAX];

    if (rc < 0)
        return rc;
    n = draft_guess(s, id, n, ids, e);
    rc = seq_feed(s, &id, 1, 0, NULL, NULL);
    if (n < 0 || rc < 0)
        return n < 0 ? n : E_INTERNAL; /* it was there before */
    return n ? gen_guess(g, ids, n, e) : 0;
}

static const float *gen_row(const struct gen *g)
{
    return g->rows + (size_t)g->next * (size_t)g->n_vocab;
}

/* What the last certain token gave stays, where nobody else's step has written over it. */
int gen_forget(struct gen *g, struct err *e)
{
    struct hearth_seq *s = g->s;
    int open = g->n_guess - g->next, rows_hold = s->logits != NULL, rc;
    const float *row = rows_hold ? gen_row(g) : NULL;

    if (open && g->en->n_draft && s->n_done == s->n_len)
        draft_goes_on(s, g->next);
    g->n_guess = g->next = 0;
    if (!open)
        return 0;
    rc = hearth_seq_truncate(s, s->n_len - open, (struct hearth_error *)(void *)e);
    if (rc == 0 && rows_hold && s->n_done == s->n_len)
        s->logits = row;
    return rc;
}

/* The sampled token id is the next one of the text: the row of a guess that came true is used,
 * others are forgotten. */
static int gen_feed(struct gen *g, int32_t id, struct err *e)
{
    struct hearth_seq *s = g->s;
    int rc = 0;

    if (s->logits && g->next < g->n_guess && g->guess[g->next] == id) {
        g->stats.n_accepted++;
        g->next++;
        s->logits = gen_row(g);
        return 0;
    }
    if (g->n_guess)
        rc = gen_forget(g, e);
    return rc < 0 ? rc : seq_feed(s, &id, 1, 0, NULL, e);
}

/* -- a token --------------------------------------------------------------------------- */

/* The text that token id makes ready; id -1: the end, what is still held. */
static int gen_text(struct gen *g, int id, struct err *e)
{
    const uint32_t *hidden = g->opt.hidden;
    int rc = 0;

    buf_clear(&g->raw);
    buf_clear(&g->ready);
    if (g->en->model->tok && !(id >= 0 && hidden && hidden[id / 32] >> (id % 32) & 1))
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
    int n_vocab = g->n_vocab, n = g->opt.n_logprobs;

    if (id >= 0 && n >= 0 && g->s->logits) {
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

/* 1: time is up, and the text has the end of a line. */
static int is_late(struct gen *g)
{
    uint64_t now;

    if (!g->opt.most_ns)
        return 0;
    now = clock_ns();
    if (!g->end_ns)
        g->end_ns = now + g->opt.most_ns;
    g->had_line |= g->raw.n && memchr(g->raw.p, '\n', g->raw.n) != NULL;
    return g->had_line && now > g->end_ns;
}

/* Token id is taken: show it, feed it. Sets finish when it was the last. */
static int gen_take(struct gen *g, int id, struct err *e)
{
    int rc = gen_text(g, id, e);

    g->stats.n_output++;
    if (rc < 0)
        return rc;
    gen_show(g, id);
    if (g->finish == HEARTH_FINISH_STOP)
        return 0;
    if (gen_len(g) >= g->n_ctx || is_late(g)) {
        g->finish = HEARTH_FINISH_LENGTH;
        return 0;
    }
    sampler_accept(g->sampler, id);
    rc = gen_feed(g, id, e);
    if (rc == 0 && g->finish < 0 && g->opt.n_predict > 0 &&
        g->stats.n_output == g->opt.n_predict)
        g->finish = HEARTH_FINISH_LENGTH;
    return rc;
}

/* What the guide leaves no choice of goes in front of the next step, all at once. */
static int gen_forced(struct gen *g, struct err *e)
{
    const struct hearth_guide *guide = &g->guide;
    int32_t ids[GEN_FORCED_MAX];
    int n, rc = 0;

    /* Logprobs are asked of each token, and these get no logits. */
    if (!guide->forced || g->opt.prompt_only || g->opt.n_logprobs >= 0 || g->finish >= 0)
        return 0;
    n = guide->forced(guide->ctx, ids, GEN_FORCED_MAX, (struct hearth_error *)(void *)e);
    if (n < 0)
        return n;
    for (int i = 0; i < n && rc == 0 && g->finish < 0; i++) {
        rc = guide->accept(guide->ctx, ids[i], (struct hearth_error *)(void *)e);
        if (rc == 0) {
            g->stats.n_forced++;
            rc = gen_take(g, ids[i], e);
        }
    }
    return rc;
}

/* Samples the next token under the guide: its id, -1 and finish when the text is whole. */
static int gen_pick(struct gen *g, int *id, struct err *e)
{
    const struct hearth_guide *guide = &g->guide;
    int rc = 0, any = 1;

    if (g->allowed) {
        memset(g->allowed, 0, mask_words(g) * sizeof(*g->allowed));
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
    const struct hearth_guide *guide = &g->guide;
    int id, rc = gen_pick(g, &id, e);

    if (rc < 0)
        return rc;
    if (id < 0 || (hearth_is_eog(g->en->model, id) && !g->opt.ignore_eog)) {
        g->finish = HEARTH_FINISH_EOG;
        return 0;
    }
    if (g->allowed)
        rc = guide->accept(guide->ctx, id, (struct hearth_error *)(void *)e);
    if (rc == 0)
        rc = gen_take(g, id, e);
    return rc < 0 ? rc : gen_forced(g, e);
}

int gen_begin(struct gen *g, struct hearth_seq *s, struct err *e)
{
    g->s = s;
    /* The penalties look back over the whole sequence, not only at this prompt. */
    for (int i = 0; i < s->n_len; i++)
        sampler_accept(g->sampler, s->ids[i]);
    return gen_forced(g, e);
}

int gen_go(struct gen *g, struct err *e)
{
    int rc = 0;

    g->rows = g->s->logits;
    if (g->opt.prompt_only && g->s->logits)
        g->finish = HEARTH_FINISH_LENGTH;
    g->stats.n_drafted += g->n_guess;
    while (rc == 0 && g->finish < 0 && g->s->logits)
        rc = gen_token(g, e);
    if (g->n_guess) {
        int forgot = gen_forget(g, rc < 0 ? NULL : e);

        rc = rc < 0 ? rc : forgot;
    }
    return rc;
}

int gen_end(struct gen *g, struct err *e)
{
    int finish = g->finish, rc = gen_text(g, -1, e);

    gen_show(g, -1);
    g->stats.finish = finish;
    return rc;
}
