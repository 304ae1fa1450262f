#include "infer/draft.h"
#include "infer/kv_tier.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sys/mmap.h"

#include <string.h>

enum { PACK_NS_MAX = 30 * 1000000 };

/* -- making ---------------------------------------------------------------------------- */

static int check_range(const char *name, int v, int max, struct err *e)
{
    if (v >= 1 && v <= max)
        return 0;
    return err_set(e, E_INVALID, "%s: %d, expected 1 to %d", name, v, max);
}

static int check_kv(const char *name, int v, struct err *e)
{
    if (v >= HEARTH_KV_AUTO && v <= HEARTH_KV_Q4_0)
        return 0;
    return err_set(e, E_INVALID, "%s: %d is no enum hearth_kv_type", name, v);
}

/* 1: how long texts may become changes nothing about short ones. */
static int may_grow(const struct hearth_engine *en)
{
    const struct model *m = en->model->m;

    return m->p.causal && !m->global.t[T_ROPE_FACTORS_LONG];
}

static int read_options(struct hearth_engine *en, const struct hearth_engine_options *o,
                        struct err *e)
{
    const struct params *p = &en->model->m->p;
    int rc;

    en->n_usual = engine_pick(
        o->n_ctx, p->n_ctx_train < ENGINE_CTX || o->kv_bytes ? p->n_ctx_train : ENGINE_CTX);
    en->n_ctx = o->n_ctx_most > en->n_usual && may_grow(en) ? o->n_ctx_most : en->n_usual;
    en->n_seq_max = engine_pick(o->n_seq_max, 1);
    en->n_batch = engine_pick(o->n_batch, ENGINE_BATCH);
    rc = check_range("n_ctx", en->n_ctx, PARAMS_CTX_MAX, e);
    if (rc == 0)
        rc = check_range("n_seq_max", en->n_seq_max, ENGINE_SEQ_MAX, e);
    if (rc == 0)
        rc = check_range("n_batch", en->n_batch, ENGINE_BATCH_MAX, e);
    if (rc == 0)
        rc = check_kv("kv_type", o->kv_type, e);
    if (rc == 0)
        rc = check_kv("kv_type_v", o->kv_type_v, e);
    if (rc < 0)
        return rc;
    en->n_row = en->n_seq_max > ENGINE_ROWS ? en->n_seq_max : ENGINE_ROWS;
    if (en->n_row > en->n_batch)
        en->n_batch = en->n_row;
    if (ENGINE_ROWS_SEQ * en->n_seq_max > en->n_row)
        en->n_row = ENGINE_ROWS_SEQ * en->n_seq_max < en->n_batch
                        ? ENGINE_ROWS_SEQ * en->n_seq_max
                        : en->n_batch;
    if (!en->model->m->global.t[T_OUTPUT]) /* hidden states are small */
        en->n_row = en->n_batch;
    if (!p->causal) /* every token sees all others: they are computed together */
        en->n_row = en->n_batch = en->n_ctx > en->n_batch ? en->n_ctx : en->n_batch;
    return 0;
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* Scratch of the step and of its workers, and the rows of results, in one block. */
static int make_block(struct hearth_engine *en, struct err *e)
{
    const struct params *p = &en->model->m->p;
    size_t n_scratch, n_worker, n_workers = (size_t)pool_size(en->pool), n_logits, n_hidden;
    unsigned char *at;

    step_plan(en->model->m, &en->layout, en->n_ctx, en->n_batch, en->n_row, &n_scratch,
              &n_worker);
    n_logits = en->model->m->global.t[T_OUTPUT]
                   ? round64((size_t)en->n_row * (size_t)p->n_vocab * sizeof(float))
                   : 0;
    n_hidden = round64((size_t)en->n_row * (size_t)p->n_embd * sizeof(float));
    n_worker = round64(n_worker);
    en->n_block = n_scratch + n_worker * n_workers + n_logits + n_hidden;
    en->block = at = en->n_block <= engine_machine_bytes() ? vm_alloc(en->n_block) : NULL;
    if (!at)
        return err_set(e, E_NOMEM,
                       "no memory for %zu MiB of scratch; ask for fewer tokens in a step",
                       en->n_block >> 20);
    en->step.scratch = at;
    en->step.n_scratch = n_scratch;
    en->step.worker = at += n_scratch;
    en->step.n_worker = n_worker;
    at += n_worker * n_workers;
    en->logits = n_logits ? (float *)(void *)at : NULL;
    en->hidden = (float *)(void *)(at + n_logits);
    return 0;
}

static int make_arrays(struct hearth_engine *en, struct err *e)
{
    size_t n_tok = (size_t)en->n_batch, n_seq = (size_t)en->n_seq_max;

    en->seq = mem_calloc(n_seq, sizeof(struct hearth_seq *));
    en->run_seq = mem_calloc(n_seq, sizeof(struct hearth_seq *));
    en->run_rows = mem_calloc(n_seq, sizeof(*en->run_rows));
    en->run = mem_calloc(n_seq, sizeof(*en->run));
    en->id = mem_calloc(n_tok, sizeof(*en->id));
    en->pos = mem_calloc(n_tok, sizeof(*en->pos));
    en->out = mem_calloc((size_t)en->n_row, sizeof(*en->out));
    if (!en->seq || !en->run_seq || !en->run_rows || !en->run || !en->id || !en->pos ||
        !en->out)
        return err_set(e, E_NOMEM, "no memory for %zu sequences", n_seq);
    return 0;
}

int hearth_engine_new(struct hearth_engine **out, struct hearth_model *model,
                      const struct hearth_engine_options *opt, struct hearth_error *error)
{
    static const struct hearth_engine_options none;
    struct err *e = engine_err(error);
    const struct hearth_engine_options *o = opt ? opt : &none;
    struct hearth_engine *en = mem_calloc(1, sizeof(*en));
    int rc;

    if (!en)
        return err_set(e, E_NOMEM, "no memory for an engine");
    en->model = model;
    rc = read_options(en, o, e);
    if (rc == 0)
        rc = pool_new(&en->pool,
                      &(struct pool_options){engine_pick(o->n_thread, model->n_thread), o->pin},
                      e);
    if (rc == 0)
        rc = engine_cache_make(en, o, e);
    if (en->n_ctx > en->n_usual && en->n_fit < en->n_ctx) /* no scratch for what cannot be */
        en->n_ctx = en->n_fit > en->n_usual ? en->n_fit : en->n_usual;
    if (rc == 0)
        rc = make_block(en, e);
    if (rc == 0)
        rc = make_arrays(en, e);
    if (rc == 0)
        rc = draft_new(en, o->n_draft, e);
    if (rc == 0)
        rc = model_intact(model->m, e);
    if (rc < 0) {
        hearth_engine_free(en);
        return rc;
    }
    en->step.m = model->m;
    en->step.k = &model->m->kern;
    en->step.pool = en->pool;
    en->step.cache = &en->layout;
    en->step.cancel = &en->cancel;
    en->step.n_ctx = en->n_ctx;
    en->step.id = en->id;
    en->step.pos = en->pos;
    en->step.run = en->run;
    en->step.out = en->out;
    *out = en;
    return 0;
}

void hearth_engine_free(struct hearth_engine *en)
{
    if (!en)
        return;
    mem_free(en->seq);
    mem_free(en->run_seq);
    mem_free(en->run_rows);
    mem_free(en->run);
    mem_free(en->id);
    mem_free(en->pos);
    mem_free(en->out);
    vm_free(en->block, en->n_block);
    draft_free(en);
    engine_cache_free(en);
    pool_free(en->pool);
    mem_free(en);
}

void hearth_engine_info(const struct hearth_engine *en, struct hearth_engine_info *out)
{
    struct kv_stats st;

    kv_stats(en->kv, &st);
    *out = (struct hearth_engine_info){
        .n_ctx = en->n_ctx,
        .n_seq_max = en->n_seq_max,
        .n_batch = en->n_batch,
        .n_thread = pool_size(en->pool),
        .kv_bytes = (uint64_t)st.n_page * en->layout.page_bytes + en->n_states +
                    (en->snap ? (uint64_t)snap_room(en->snap) * en->layout.state_bytes : 0),
        .scratch_bytes = en->n_block,
        .pages = st.n_page,
        .pages_used = st.used,
        .pages_cached = st.cached,
        .page_tokens = KERN_PAGE,
        .n_fit = en->n_fit,
    };
    if (en->tier) {
        struct kv_disk_stats disk;

        kv_disk_stats(kv_tier_disk(en->tier), &disk);
        out->disk_bytes = disk.bytes;
        out->disk_read = disk.read;
        out->disk_written = disk.written;
        out->disk_left_out = disk.left_out;
        out->disk_bad = disk.bad;
        out->disk_evicted = disk.evicted;
    }
}

void hearth_engine_cancel(struct hearth_engine *en)
{
    atomic_store_explicit(&en->cancel, 1, memory_order_relaxed);
}

/* -- a step ---------------------------------------------------------------------------- */

/* The next n waiting tokens of a sequence. */
static void add_run(struct hearth_engine *en, struct hearth_seq *s, int n)
{
    struct step *st = &en->step;
    struct step_run *r = &en->run[st->n_run];

    *r = (struct step_run){.first = st->n_tok,
                           .n = n,
                           .pos = s->n_done,
                           .base = s->base,
                           .page = s->data,
                           .state = s->state};
    en->run_seq[st->n_run++] = s;
    for (int i = 0; i < n; i++) {
        en->id[st->n_tok] = s->ids[s->n_done + i];
        en->pos[st->n_tok++] = s->base + s->n_done + i;
    }
}

/* cut: 1 where it may take fewer than waiting and limit allow. */
static int take_run(struct hearth_engine *en, struct hearth_seq *s, int limit, int cut,
                    struct err *e)
{
    int waiting = s->n_len - s->n_done, n = waiting < limit ? waiting : limit, rc;

    /* A text that is read in both directions goes in one piece, or waits for room. */
    if (!en->model->m->p.causal && n < waiting)
        return en->step.n_run
                   ? 0
                   : err_set(e, E_TOO_LONG, "%d tokens are read together, a step takes %d",
                             waiting, limit);
    n = cut ? seq_take(s, n) : n;
    rc = seq_cover(s, s->n_done + n, e);
    if (rc == 0)
        add_run(en, s, n);
    return rc;
}

/* Fills the step from all sequences: those that make one token each go first, so that a long
 * prompt never holds up the others; what is left of the batch goes to prompts in turn. A
 * sequence for which no page is free is passed over as long as another can run. */
static int take_all(struct hearth_engine *en, struct err *e)
{
    int rc = 0;

    for (int prompts = 0; prompts < 2; prompts++) {
        for (int i = 0; i < en->n_seq_max; i++) {
            struct hearth_seq *s = en->seq[(en->turn + i) % en->n_seq_max];
            int waiting = s ? s->n_len - s->n_done : 0, left = en->n_batch - en->step.n_tok;

            if (waiting > 0 && (waiting > 1) == prompts && left > 0) {
                int got = take_run(en, s, left, 1, e);

                rc = got < 0 ? got : rc;
            }
        }
    }
    en->turn = (en->turn + 1) % en->n_seq_max;
    return en->step.n_run ? 0 : rc;
}

/* Of which tokens rows are wanted: the last of each sequence that catches up, or all. */
static void want_rows(struct hearth_engine *en, int want)
{
    for (int i = 0; i < en->step.n_run; i++) {
        const struct step_run *r = &en->run[i];
        const struct hearth_seq *s = en->run_seq[i];

        en->run_rows[i] = want != WANT_LAST ? r->n : s->n_done + r->n == s->n_len;
    }
}

static void choose_rows(struct hearth_engine *en)
{
    struct step *st = &en->step;

    st->n_out = 0;
    for (int i = 0; i < st->n_run; i++) {
        const struct step_run *r = &en->run[i];
        int at = r->n - en->run_rows[i];

        en->run_seq[i]->row_tok = r->first + at;
        en->run_seq[i]->row_pos = r->pos + at;
        for (; at < r->n; at++)
            en->out[st->n_out++] = r->first + at;
    }
}

/* The step is done: sequences move on, and get their rows. */
static void finish(struct hearth_engine *en, int theirs)
{
    struct step *st = &en->step;
    size_t row = 0, n_vocab = (size_t)en->model->m->p.n_vocab;

    for (int i = 0; i < st->n_run; i++) {
        struct hearth_seq *s = en->run_seq[i];

        seq_advance(s, en->run[i].n);
        if (theirs && en->run_rows[i] && en->logits)
            s->logits = en->logits + n_vocab * row;
        row += (size_t)en->run_rows[i];
    }
}

/* How long to pack before this step: a quarter of what the last one took, and at most what a
 * reader does not notice. Nothing before the first: somebody waits for its token. */
static uint64_t pack_time(const struct hearth_engine *en)
{
    return en->step_ns / 4 < PACK_NS_MAX ? en->step_ns / 4 : PACK_NS_MAX;
}

void engine_void_rows(struct hearth_engine *en)
{
    for (int i = 0; i < en->n_seq_max; i++) {
        if (en->seq[i])
            en->seq[i]->logits = NULL;
    }
}

/* Computes the step that was put together. theirs: 1: rows are the sequences' logits. */
static int compute(struct hearth_engine *en, int hidden, int theirs, struct err *e)
{
    struct step *st = &en->step;
    uint64_t start;
    int rc;

    engine_void_rows(en); /* a step that has nothing to do leaves them */
    choose_rows(en);
    st->logits = hidden == 1 ? NULL : en->logits;
    st->hidden = hidden ? en->hidden : NULL;
    st->all_hidden = en->n_draft ? en->known : NULL;
    pack_some(en->model->m->packer, en->pool, pack_time(en));
    start = clock_ns();
    step_run(st);
    if (en->n_draft)
        draft_follow(en);
    en->step_ns = clock_ns() - start;
    if (atomic_exchange(&en->cancel, 0)) {
        for (int i = 0; i < st->n_run; i++)
            seq_spoilt(en->run_seq[i]);
        return err_set(e, E_CANCELLED, "stopped");
    }
    rc = model_intact(en->model->m, e);
    if (rc < 0) { /* before anything is published, or told */
        for (int i = 0; i < st->n_run; i++)
            seq_spoilt(en->run_seq[i]);
        return rc;
    }
    finish(en, theirs);
    return st->n_tok;
}

int engine_compute(struct hearth_engine *en, struct hearth_seq *only, int want, struct err *e)
{
    struct step *st = &en->step;
    int rc;

    st->n_tok = st->n_run = 0;
    if (!only)
        rc = take_all(en, e);
    else
        rc = only->n_len > only->n_done
                 ? take_run(en, only, want == WANT_LAST ? en->n_batch : en->n_row,
                            want == WANT_LAST, e)
                 : 0;
    if (rc < 0 || st->n_run == 0)
        return rc;
    want_rows(en, want);
    return compute(en, want == WANT_ALL_HIDDEN, want == WANT_LAST, e);
}

/* Takes a part into the step, as much of it as fits. */
static int take_part(struct hearth_engine *en, struct engine_part *p, int n_out, struct err *e)
{
    struct step *st = &en->step;
    int i = st->n_run, left = en->n_batch - st->n_tok, asked = p->n, rc;

    p->n = 0;
    if (asked <= 0 || left <= 0 || n_out + p->rows > en->n_row || i == en->n_seq_max ||
        (p->rows > 1 && asked > left))
        return 0;
    rc = take_run(en, p->seq, asked < left ? asked : left, p->rows <= 1, e);
    if (rc < 0 || st->n_run == i)
        return rc;
    p->n = en->run[i].n;
    en->run_rows[i] = p->n == asked ? p->rows : 0;
    return 0;
}

int engine_compute_parts(struct hearth_engine *en, struct engine_part *part, int n, int hidden,
                         struct err *e)
{
    struct step *st = &en->step;
    int n_out = 0, rc = 0;

    st->n_tok = st->n_run = 0;
    for (int i = 0; i < n; i++) {
        int before = st->n_run, got = take_part(en, &part[i], n_out, e);

        rc = got < 0 ? got : rc;
        part[i].row = n_out;
        part[i].rows = st->n_run > before ? en->run_rows[before] : 0;
        n_out += part[i].rows;
    }
    if (st->n_run == 0)
        return rc;
    return compute(en, hidden, hidden != 1, e);
}

int hearth_engine_pack(struct hearth_engine *en, int (*progress)(void *ctx, double done),
                       void *ctx, struct hearth_error *error)
{
    return pack_all(en->model->m->packer, en->pool, progress, ctx, engine_err(error));
}

int hearth_engine_step(struct hearth_engine *en, struct hearth_error *error)
{
    return engine_compute(en, NULL, WANT_LAST, engine_err(error));
}
