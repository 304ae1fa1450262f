/* Writing a folder as a GGUF: which type each tensor gets, and making its bytes in pieces while
 * the file is written, so that memory holds a few megabytes of it at a time.
 */
#include "model/hf/hf_priv.h"

#include "base/mem.h"
#include "quant/quant.h"
#include "sys/pool.h"

#include <stdio.h>

enum {
    GRAIN = 16384,     /* numbers of a thread's piece: whole blocks of every type */
    ROUND = GRAIN * 64 /* of a piece of the file */
};

/* What all tensors of a file share while it is written. */
struct job {
    const struct hf_write *o;
    const struct hf *h;
    struct pool *pool;
    float *room; /* GRAIN for each worker */
    unsigned char *out;
    uint64_t done, all; /* numbers */
};

/* A tensor and the type that it gets. */
struct item {
    struct job *job;
    const struct hf_tensor *t;
    const struct quant *q; /* NULL: its own type */
    uint64_t from;         /* of the piece in work */
    uint64_t n;
};

/* -- types --------------------------------------------------------------------------------- */

/* What takes the place of a type whose blocks do not fill a row: the nearest with blocks of 32,
 * then F16. */
static int fallback(int type)
{
    static const int near[][2] = {
        {QUANT_Q4_K, QUANT_Q5_0},    {QUANT_Q5_K, QUANT_Q5_1},    {QUANT_Q6_K, QUANT_Q8_0},
        {QUANT_Q2_K, QUANT_IQ4_NL},  {QUANT_Q3_K, QUANT_IQ4_NL},  {QUANT_IQ4_XS, QUANT_IQ4_NL},
        {QUANT_TQ1_0, QUANT_IQ4_NL}, {QUANT_TQ2_0, QUANT_IQ4_NL}, {QUANT_NVFP4, QUANT_IQ4_NL},
        {QUANT_Q1_0, QUANT_IQ4_NL},  {QUANT_Q2_0, QUANT_IQ4_NL},
    };

    for (size_t i = 0; i < HF_COUNT(near); i++) {
        if (near[i][0] == type)
            return near[i][1];
    }
    return QUANT_F16;
}

/* The matrix of the output decides about every token: no less than 6 bits for it, as is usual.
 */
static int is_output(const struct hf *h, const struct hf_tensor *t)
{
    if (str_is(t->name, "output.weight"))
        return 1;
    if (!str_is(t->name, "token_embd.weight"))
        return 0;
    for (size_t i = 0; i < h->n_stacked; i++) {
        if (str_is(h->stacked[i].name, "output.weight"))
            return 0;
    }
    return 1;
}

static int is_small(const struct quant *q)
{
    const struct quant *six = quant_find(QUANT_Q6_K);

    return q->bytes * six->block < six->bytes * q->block;
}

/* The type of t when matrices are to be `want`; counts those that get another one. */
static int choose(const struct hf *h, const struct hf_tensor *t, int want, size_t *n_other)
{
    const struct quant *q;

    if (want < 0 || t->made || hf_stays_f32(t) || t->type == HF_TYPE_I32 ||
        t->type == QUANT_MXFP4)
        return t->type;
    if (is_small(quant_find(want)) && is_output(h, t))
        want = QUANT_Q6_K;
    for (q = quant_find(want); t->ne[0] % (uint64_t)q->block; q = quant_find(want)) {
        *n_other += 1;
        want = fallback(want);
    }
    return want;
}

/* -- bytes --------------------------------------------------------------------------------- */

static void make_piece(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct item *it = ctx;
    const struct quant *q = it->q;

    for (size_t i = lo; i < hi; i++) {
        uint64_t at = (uint64_t)i * GRAIN, n = it->n - at < GRAIN ? it->n - at : GRAIN;
        float *room = it->job->room + (size_t)worker * GRAIN;

        hf_read_f32(it->t, it->from + at, n, room);
        q->from_f32(room, it->job->out + at / (uint64_t)q->block * (uint64_t)q->bytes,
                    (size_t)n);
    }
}

static int make(const void *ctx, struct gguf_out *out, struct err *e)
{
    struct item it = *(const struct item *)ctx;
    struct job *job = it.job;
    int rc = 0;

    for (it.from = 0; it.from < it.t->n_elem && rc == 0; it.from += it.n) {
        int block = 1, bytes = 0;

        it.n = it.t->n_elem - it.from < ROUND ? it.t->n_elem - it.from : ROUND;
        (void)gguf_tensor_type_size(it.q ? it.q->type : it.t->type, &block, &bytes);
        if (it.q)
            pool_run(job->pool, (size_t)((it.n + GRAIN - 1) / GRAIN), 1, make_piece, &it);
        else
            hf_read(it.t, it.from, it.n, job->out);
        rc = hf_intact(job->h, e);
        if (rc == 0)
            rc = gguf_out_put(out, job->out, (size_t)(it.n / (uint64_t)block * (uint64_t)bytes),
                              e);
        job->done += it.n;
        if (rc == 0 && job->o->progress)
            rc = job->o->progress(job->o->ctx, (double)job->done / (double)job->all);
        if (rc == E_CANCELLED)
            (void)err_set(e, rc, "stopped on request; nothing was written");
    }
    hf_let_go(it.t);
    return rc;
}

/* -- the file ------------------------------------------------------------------------------ */

/* The number of general.file_type for most weights of that type; -1: it has none. */
static int file_type(int type)
{
    const char *want = quant_type_name(type);
    char name[32];

    for (uint64_t i = 0; want && i < 64; i++) {
        const char *is = gguf_file_type_name(i);

        (void)snprintf(name, sizeof(name), "%s_S", want);
        if (is && (strcmp(is, want) == 0 || strcmp(is, name) == 0))
            return (int)i;
    }
    return -1;
}

/* Of the type that most numbers have. */
static int put_file_type(struct hf *h, const int *type, struct err *e)
{
    uint64_t n[QUANT_TYPE_MAX] = {0};
    int most = 0, id;

    for (size_t i = 0; i < h->n_stacked; i++)
        n[type[i]] += h->stacked[i].n_elem;
    for (int i = 1; i < QUANT_TYPE_MAX; i++)
        most = n[i] > n[most] ? i : most;
    id = file_type(most);
    return id < 0 ? 0 : gguf_put_u64(h->keys, "general.file_type", GGUF_U32, (uint64_t)id, e);
}

static int put_all(struct hf *h, struct job *job, struct item *item, struct err *e)
{
    int *type = arena_calloc(&h->mem, h->n_stacked, sizeof(*type)), rc = 0;
    size_t n_other = 0;

    if (!type)
        return err_set(e, E_NOMEM, "no memory for %zu tensors", h->n_stacked);
    for (size_t i = 0; i < h->n_stacked && rc == 0; i++) {
        const struct hf_tensor *t = &h->stacked[i];

        type[i] = choose(h, t, job->o->type, &n_other);
        item[i] = (struct item){job, t, type[i] == t->type ? NULL : quant_find(type[i]), 0, 0};
        job->all += t->n_elem;
        rc = gguf_put_tensor_made(h->keys, t->name.p, type[i], t->n_dim, t->ne, make, &item[i],
                                  e);
    }
    if (n_other)
        hf_add_note(h,
                    "%zu tensors have rows that blocks of %s do not fill: they got the nearest "
                    "type that fits",
                    n_other, quant_type_name(job->o->type));
    return rc == 0 ? put_file_type(h, type, e) : rc;
}

int hf_write(struct hf *h, const char *path, const struct hf_write *o, struct err *e)
{
    const struct quant *q = o->type < 0 ? NULL : quant_find(o->type);
    struct job job = {.o = o, .h = h};
    struct item *item = arena_calloc(&h->mem, h->n_stacked, sizeof(*item));
    int rc;

    if (o->type >= 0 && (!q || !q->from_f32))
        return err_set(e, E_INVALID, "%s has no writer here", q ? q->name : "that type");
    rc = pool_new(&job.pool, &(struct pool_options){.n_thread = o->n_thread}, e);
    if (rc < 0)
        return rc;
    job.room = mem_alloc((size_t)pool_size(job.pool) * GRAIN * sizeof(float));
    job.out = mem_alloc((size_t)ROUND * sizeof(float));
    if (!item || !job.room || !job.out)
        rc = err_set(e, E_NOMEM, "no memory to convert in");
    if (rc == 0)
        rc = put_all(h, &job, item, e);
    if (rc == 0)
        rc = gguf_write(h->keys, path, e);
    mem_free(job.room);
    mem_free(job.out);
    pool_free(job.pool);
    return rc;
}
