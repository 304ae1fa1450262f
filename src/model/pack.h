/* pack.h - weights into the layout of the machine's tier, while the model runs.
 *
 * A model computes at once, from the rows of its file. Between two steps an engine packs for a
 * share of the last step's time, with its own threads, in the order in which forward reads the
 * matrices; each is put into its place by swapping one pointer (struct weight, now), which a
 * product loads once: a step may meet both layouts, and other engines of the model may run,
 * since both give the same bits. The file's pages are let go after each piece, so that memory
 * stays near the size of the file.
 *
 * Why not a thread in the background: with as many compute threads as processors it either
 * takes time from one of them, for which all others wait, or (with a low priority) gets none,
 * and closing waits for it. Why not at load or in the first step: the first token would wait.
 *
 * With a directory for packed copies (pack_cache.h) the tiles of an earlier run are mapped and
 * used at once, when their digests are right; else pack_all writes such a copy.
 *
 * What goes wrong here stops nobody: the model goes on from its file, and pack_info says why.
 *
 * Owners   the model owns its packer
 * Threads  pack_new and pack_free belong to the model's owner; the others any, one of which
 *          packs at a time
 * Uses     base/, sys/, quant/, kern/
 */
#ifndef HEARTH_MODEL_PACK_H
#define HEARTH_MODEL_PACK_H

#include "base/err.h"
#include "sys/pool.h"

#include <stdint.h>

struct model;
struct packer;

enum pack_state {
    PACK_GOES_ON,
    PACK_DONE, /* all is in the tier's layout */
    PACK_NOT   /* some is not, and will not be: see note */
};

struct pack_options {
    const char *cache;  /* directory of packed copies, made when missing; NULL: none */
    uint64_t cache_max; /* bytes that copies may take; 0: PACK_CACHE_MAX */
    /* As of pack_all, while a copy is read; NULL: nobody. */
    int (*progress)(void *ctx, double done);
    void *ctx;
};

struct pack_info {
    int state;          /* enum pack_state */
    int cached;         /* 1: the tiles of an earlier run are in use */
    uint64_t ns;        /* what packing took, without the steps between; 0: there was nothing
                           to pack, or not all is */
    char note[ERR_MAX]; /* what went wrong, or empty */
};

/* Finds out what the tier wants packed, maps it or takes memory for it. Fails: E_NOMEM for the
 * small things only; E_CANCELLED. */
MUST_CHECK int pack_new(struct packer **out, struct model *m, const struct pack_options *opt,
                        struct err *e);
void pack_free(struct packer *p); /* no step may run; NULL is fine */

/* Packs whole matrices for about ns nanoseconds; none while another thread packs. Allocates
 * nothing. */
void pack_some(struct packer *p, struct pool *pool, uint64_t ns);

/* Packs all, and writes it to the cache. progress (may be NULL) is called now and then with
 * the share that is done; nonzero stops. Fails: E_CANCELLED; E_IO as model_intact. */
MUST_CHECK int pack_all(struct packer *p, struct pool *pool,
                        int (*progress)(void *ctx, double done), void *ctx, struct err *e);

/* The copy of packed weights that is in use is as it was (mmap_intact). Fails: E_IO. */
MUST_CHECK int pack_intact(const struct packer *p, struct err *e);

void pack_info(struct packer *p, struct pack_info *out);

#endif
