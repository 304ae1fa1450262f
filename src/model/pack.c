#include "model/pack.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "kern/tile.h"
#include "model/model.h"
#include "model/pack_cache.h"
#include "sys/mmap.h"

#include <pthread.h>
#include <stdio.h>

/* Bytes that are packed before their pages of the file are let go and progress is told: less
 * than a millisecond of work. */
enum { PACK_PIECE = 4 << 20 };

/* Memory that packing leaves to others. */
#define PACK_SPARE ((uint64_t)256 << 20)

struct item {
    struct weight *w;
    struct kern_weight tiles, cached; /* packed here; in the cache's file */
    size_t at, n_group;               /* in the block; groups of rows */
};

struct packer {
    struct model *m;
    struct item *item; /* in the order of forward */
    size_t n_item;
    unsigned char *block; /* the tiles, one matrix after the other */
    size_t n_block;
    atomic_int state; /* enum pack_state; leaves PACK_GOES_ON once */
    /* What is told to others, who must not wait for the packing: under its own lock. */
    pthread_mutex_t told;
    uint64_t ns;
    char note[ERR_MAX];
    int cached; /* 1: the tiles of the cache are in use */
    /* Under the lock, which is held while packing. */
    pthread_mutex_t lock;
    uint64_t spent_ns;       /* on packing, or on checking what the cache has */
    size_t next, next_group; /* item, and group of it */
    uint64_t n_done;         /* bytes */
    /* The cache, under the lock too. */
    struct pack_cache cache; /* path NULL: none */
    struct pack_entry *entry;
    struct mapping map; /* the file of an earlier run, until the packer goes */
    struct pack_view view;
    int written; /* 1: the file is there, or was tried to be written */
};

/* -- what is packed, and where --------------------------------------------------------- */

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static void add_item(struct packer *p, const struct weight *cw)
{
    const struct model *m = p->m;
    struct weight *w;
    struct item *it = &p->item[p->n_item];
    size_t n_group = m->kern.n_group;

    /* Vectors, and what the tier reads as it is; the embedding is read by rows. */
    if (!cw || !cw->w.n_row || m->kern.mm[cw->w.type].layout == KERN_ROWS ||
        cw == m->global.t[T_TOKEN_EMBD])
        return;
    w = &m->weight[cw - m->weight];
    *it = (struct item){.w = w,
                        .tiles = w->w,
                        .at = p->n_block,
                        .n_group = (w->w.n_row + n_group - 1) / n_group};
    it->tiles.layout = KERN_TILES;
    it->tiles.stride = tile_group_bytes(quant_find(w->w.type), w->w.n_col, n_group);
    it->cached = it->tiles;
    p->n_block += round64(it->n_group * it->tiles.stride);
    p->n_item++;
}

static size_t item_bytes(const struct item *it)
{
    return it->n_group * it->tiles.stride;
}

static int is_experts(int role)
{
    return role == T_FFN_GATE_EXPS || role == T_FFN_UP_EXPS || role == T_FFN_DOWN_EXPS;
}

/* Sizes were checked when the tensors were: tiles are as large as rows, padding aside. The
 * weights of a layer's experts follow the first. */
static void add_items(struct packer *p)
{
    const struct model *m = p->m;

    for (int l = 0; l < m->p.n_layer; l++) {
        for (int role = 0; role < T_ROLE_N; role++) {
            const struct weight *w = m->layer[l].t[role];

            for (int i = 0; w && i < (is_experts(role) ? m->p.moe.n : 1); i++)
                add_item(p, w + i);
        }
    }
    for (int role = 0; role < T_ROLE_N; role++)
        add_item(p, m->global.t[role]);
}

static void note(struct packer *p, const char *text)
{
    (void)pthread_mutex_lock(&p->told);
    (void)snprintf(p->note, sizeof(p->note), "%s", text);
    (void)pthread_mutex_unlock(&p->told);
}

static void end(struct packer *p, int state)
{
    (void)pthread_mutex_lock(&p->told);
    if (state == PACK_DONE)
        p->ns = p->spent_ns;
    (void)pthread_mutex_unlock(&p->told);
    atomic_store_explicit(&p->state, state, memory_order_release);
}

static void put_in_place(const struct item *it, const struct kern_weight *w)
{
    atomic_store_explicit(&it->w->now, w, memory_order_release);
}

/* Memory for the tiles; without it packing ends. */
static void take_block(struct packer *p)
{
    uint64_t free = vm_available();
    char why[128];

    if (free >= PACK_SPARE && free - PACK_SPARE >= p->n_block)
        p->block = vm_alloc(p->n_block);
    if (p->block)
        return;
    (void)snprintf(why, sizeof(why),
                   "no memory for %zu MiB of packed weights: they stay as in the file, which "
                   "is slower",
                   p->n_block >> 20);
    note(p, why);
    end(p, PACK_NOT);
}

/* -- the cache ------------------------------------------------------------------------- */

static struct pack_want want_of(const struct packer *p)
{
    for (size_t i = 0; i < p->n_item; i++) {
        const struct item *it = &p->item[i];
        struct str name = it->w->src->name;

        p->entry[i] = (struct pack_entry){.name = digest_bytes(0, name.p, name.n),
                                          .type = (uint64_t)it->w->w.type,
                                          .n_row = it->w->w.n_row,
                                          .n_col = it->w->w.n_col,
                                          .at = it->at,
                                          .n_byte = item_bytes(it)};
    }
    return (struct pack_want){kern_tier_name(p->m->kern.tier), (uint32_t)p->m->kern.n_group,
                              p->n_block, p->entry, p->n_item};
}

/* Has the pages of n bytes read, asking between pieces whether to go on. A disk takes seconds
 * for what the digest then takes a moment for. Fails: E_CANCELLED. */
static int fetch(const struct packer *p, size_t at, size_t n, const struct pack_options *opt)
{
    const volatile unsigned char *data = p->view.data;

    for (size_t i = 0; i < n; i += PACK_PIECE) {
        size_t end = n - i < PACK_PIECE ? n : i + PACK_PIECE;

        if (opt->progress && opt->progress(opt->ctx, (double)(at + i) / (double)p->n_block))
            return E_CANCELLED;
        for (size_t k = i; k < end; k += PACK_CACHE_PAGE)
            (void)data[at + k];
    }
    return 0;
}

/* 1 when every matrix in the file is what was written. All of them are needed for the first
 * token, so reading them now costs little more than reading them then. Fails: E_CANCELLED. */
static int cache_whole(const struct packer *p, const struct pack_options *opt)
{
    for (size_t i = 0; i < p->n_item; i++) {
        const struct item *it = &p->item[i];

        if (fetch(p, it->at, item_bytes(it), opt) < 0)
            return E_CANCELLED;
        if (digest_bytes(0, p->view.data + it->at, item_bytes(it)) != p->view.entry[i].digest)
            return 0;
    }
    return 1;
}

/* Uses the tiles of an earlier run when they are there, and right. Fails: E_CANCELLED; all else
 * is a note. */
static int cache_start(struct packer *p, const struct pack_options *opt, struct err *why)
{
    struct pack_want want = want_of(p);
    struct err e = {0};
    uint64_t start = clock_ns();
    int rc = pack_cache_open(&p->cache, opt->cache, opt->cache_max, p->m->file, want.tier, &e);

    if (rc == 0)
        rc = pack_cache_map(&p->cache, &want, &p->map, &p->view, &e);
    if (rc < 0)
        note(p, e.msg);
    if (rc <= 0)
        return 0;
    rc = cache_whole(p, opt);
    if (rc < 0)
        return err_set(why, rc, "reading packed weights was stopped");
    if (rc == 0) {
        mmap_close(&p->map);
        pack_cache_remove(&p->cache);
        note(p, "the copy of packed weights was damaged and is made anew");
        return 0;
    }
    for (size_t i = 0; i < p->n_item; i++) {
        p->item[i].cached.data = p->view.data + p->item[i].at;
        put_in_place(&p->item[i], &p->item[i].cached);
    }
    p->cached = p->written = 1;
    p->spent_ns = clock_ns() - start;
    end(p, PACK_DONE);
    return 0;
}

static int cache_write(struct packer *p, int (*progress)(void *ctx, double done), void *ctx,
                       struct err *e)
{
    struct pack_want want = want_of(p);
    struct err why = {0};
    int rc = pack_cache_write(&p->cache, &want, p->block, progress, ctx, &why);

    if (rc == E_CANCELLED)
        return err_set(e, rc, "packing was stopped");
    p->written = 1;
    if (rc < 0) {
        (void)err_wrap(&why, rc, "packed weights are not kept");
        note(p, why.msg);
    }
    return 0;
}

/* -- making ---------------------------------------------------------------------------- */

int pack_new(struct packer **out, struct model *m, const struct pack_options *opt,
             struct err *e)
{
    struct packer *p = mem_calloc(1, sizeof(*p));
    int rc = 0;

    if (p) {
        p->item = mem_calloc(m->n_weight, sizeof(*p->item));
        p->entry = opt->cache ? mem_calloc(m->n_weight, sizeof(*p->entry)) : NULL;
    }
    if (!p || !p->item || (opt->cache && !p->entry)) {
        if (p) {
            mem_free(p->item);
            mem_free(p->entry);
        }
        mem_free(p);
        return err_set(e, E_NOMEM, "no memory for %zu tensors", m->n_weight);
    }
    p->m = m;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_mutex_init(&p->told, NULL);
    add_items(p);
    if (!p->n_item && opt->cache)
        note(p, "nothing to keep: this tier reads the weights as they are in the file");
    if (!p->n_item)
        end(p, PACK_DONE);
    else if (opt->cache)
        rc = cache_start(p, opt, e);
    if (rc < 0) {
        pack_free(p);
        return rc;
    }
    if (p->n_item && !p->cached)
        take_block(p);
    *out = p;
    return 0;
}

void pack_free(struct packer *p)
{
    if (!p)
        return;
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_mutex_destroy(&p->told);
    vm_free(p->block, p->n_block);
    mmap_close(&p->map);
    pack_cache_close(&p->cache);
    mem_free(p->entry);
    mem_free(p->item);
    mem_free(p);
}

/* -- packing --------------------------------------------------------------------------- */

struct pack_job {
    const struct packer *p;
    const struct item *it;
    size_t first; /* group */
};

static void pack_groups(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct pack_job *j = ctx;
    const struct weight *w = j->it->w;

    (void)worker;
    tile_pack(&j->p->m->kern, quant_find(w->w.type), w->w.data, w->w.n_row, w->w.n_col,
              j->p->block + j->it->at, j->first + lo, j->first + hi);
}

/* The pages of the file that bytes [from, from + n) of an item lie in are not needed. */
static void drop(const struct item *it, size_t from, size_t n)
{
    const struct kern_weight *rows = &it->w->w;
    size_t left = rows->n_row * rows->stride - from;

    vm_drop((const unsigned char *)rows->data + from, n < left ? n : left);
}

static void publish(struct packer *p, struct item *it)
{
    it->tiles.data = p->block + it->at;
    put_in_place(it, &it->tiles);
    /* Steps may have read pages after they were dropped. */
    drop(it, 0, SIZE_MAX);
    p->next++;
    p->next_group = 0;
    if (p->next < p->n_item)
        return;
    for (size_t i = 0; i < p->n_item; i++)
        drop(&p->item[i], 0, SIZE_MAX);
    end(p, PACK_DONE);
}

/* The next piece of a matrix. */
static void pack_piece(struct packer *p, struct pool *pool)
{
    struct item *it = &p->item[p->next];
    size_t group = it->tiles.stride, left = it->n_group - p->next_group,
           n = PACK_PIECE / group ? PACK_PIECE / group : 1;
    struct pack_job j = {p, it, p->next_group};
    uint64_t start = clock_ns();

    n = n < left ? n : left;
    pool_run(pool, n, 1, pack_groups, &j);
    drop(it, p->next_group * group, n * group);
    p->n_done += n * group;
    p->next_group += n;
    p->spent_ns += clock_ns() - start;
    if (n == left)
        publish(p, it);
}

static int goes_on(const struct packer *p)
{
    return atomic_load_explicit(&p->state, memory_order_acquire) == PACK_GOES_ON;
}

void pack_some(struct packer *p, struct pool *pool, uint64_t ns)
{
    uint64_t start;

    if (!ns || !goes_on(p) || pthread_mutex_trylock(&p->lock) != 0)
        return;
    start = clock_ns();
    /* A matrix that was begun is finished: the step reads all of its rows else, and it would be
     * in memory twice. */
    while (goes_on(p) && (clock_ns() - start < ns || p->next_group))
        pack_piece(p, pool);
    (void)pthread_mutex_unlock(&p->lock);
}

int pack_all(struct packer *p, struct pool *pool, int (*progress)(void *ctx, double done),
             void *ctx, struct err *e)
{
    int rc = 0;

    (void)pthread_mutex_lock(&p->lock);
    while (goes_on(p) && rc == 0) {
        pack_piece(p, pool);
        if (progress && progress(ctx, (double)p->n_done / (double)p->n_block))
            rc = err_set(e, E_CANCELLED, "packing was stopped");
    }
    if (rc == 0)
        rc = model_intact(p->m, e); /* else zeros are in the tiles */
    if (rc == 0 && p->cache.path && !p->written && atomic_load(&p->state) == PACK_DONE)
        rc = cache_write(p, progress, ctx, e);
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

int pack_intact(const struct packer *p, struct err *e)
{
    return mmap_intact(&p->map, e);
}

void pack_info(struct packer *p, struct pack_info *out)
{
    out->state = atomic_load_explicit(&p->state, memory_order_acquire);
    (void)pthread_mutex_lock(&p->told);
    out->cached = p->cached;
    out->ns = p->ns;
    (void)snprintf(out->note, sizeof(out->note), "%s", p->note);
    (void)pthread_mutex_unlock(&p->told);
}
