/* kv_tier.h - the cache of prefixes on disk: what leaves the pages in memory is written, and is
 * read again instead of being computed, also after a restart.
 *
 * A page's key is a digest of all that its bits depend on: the build of this program, its tier,
 * the model's files and adapters, the types of the cache, a salt, and all tokens up to its end.
 * So the key of the page before it is enough to make the next. States (snap.h) have the key of
 * the page behind which they were copied.
 *
 * Written  when its room in memory is given to another (without waiting: what the disk cannot
 *          follow is left out), and all that is left when the engine ends, for at most
 *          KV_TIER_LAST_NS
 * Read     when tokens are fed to a sequence that may take over pages, before a step, for at
 * most KV_TIER_LOAD_NS at a time: others wait meanwhile. What is not read is computed
 *
 * Threads  the engine's thread
 * Uses     infer/engine.h, infer/kv_disk.h
 */
#ifndef HEARTH_INFER_KV_TIER_H
#define HEARTH_INFER_KV_TIER_H

#include "infer/engine.h"
#include "infer/kv_disk.h"

#define KV_TIER_LOAD_NS ((uint64_t)50 * 1000000)
#define KV_TIER_AHEAD   ((size_t)128 << 20) /* bytes */
#define KV_TIER_LAST_NS ((uint64_t)10 * 1000000000)

/* For an engine whose pages are made. Fails: as kv_disk_open. */
MUST_CHECK int kv_tier_new(struct kv_tier **out, struct hearth_engine *en,
                           const struct hearth_engine_options *o, struct err *e);
/* Writes what is only in memory. NULL is fine. */
void kv_tier_free(struct kv_tier *t);

/* Page i of s was published, under itself; state was kept behind page i, as copy number copy.
 */
void kv_tier_published(struct hearth_seq *s, int i);
void kv_tier_kept(struct hearth_seq *s, int i, int copy);

/* s holds pages, the first `good` of which can be gone on from. Reads the pages that follow.
 * Returns how many can be gone on from now; when that is more than good, the state is that
 * behind them. */
int kv_tier_load(struct hearth_seq *s, int good);

/* Instead of KV_TIER_LOAD_NS; 0: a page at a time. */
void kv_tier_hurry(struct kv_tier *t, uint64_t load_ns);

struct kv_disk *kv_tier_disk(const struct kv_tier *t);

#endif
