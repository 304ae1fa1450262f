/* kv.h - pages of the key/value cache: who holds them, and which can be found again.
 *
 * A page is KERN_PAGE positions of one sequence, for every layer (model.h, struct
 * cache_layout). Pages are reference counted. A full page can be published under its content:
 * its tokens and the page before it. A sequence that begins with the same tokens then takes
 * the page instead of computing it. A published page that nobody holds stays until its room
 * is needed; the one that was let go longest ago leaves first.
 *
 * Content is compared, not only hashed: a page is found only if its tokens are the same and
 * the page before it is the very one that it was published behind.
 *
 * Pages are numbers: i is 0 .. n_page - 1.
 *
 * Threads  the engine's thread
 * Uses     base/, sys/
 * Source   Kwon et al. 2023, arXiv:2309.06180, section 4
 */
#ifndef HEARTH_INFER_KV_H
#define HEARTH_INFER_KV_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct kv;

/* n_page pages of page_bytes each; their memory is zero and is not touched before use.
 * tokens: positions of a page. Fails: E_NOMEM. */
MUST_CHECK int kv_new(struct kv **out, size_t page_bytes, int n_page, int tokens,
                      struct err *e);
void kv_free(struct kv *kv); /* NULL is fine */

/* A page for writing, held once by the caller. Fails: E_BUSY every page is held. */
MUST_CHECK int kv_take(struct kv *kv, struct err *e);
void kv_ref(struct kv *kv, int i);
void kv_unref(struct kv *kv, int i);

/* 1 when the page may be written by its one holder: nobody else holds or can find it. */
int kv_private(const struct kv *kv, int i);

/* Publishes a full page that follows `parent` (a serial; 0 at the start of a text). Returns
 * the serial that stands for this content: another page's when the same content was
 * published before. */
uint64_t kv_publish(struct kv *kv, int i, uint64_t parent, const int32_t *ids);

/* Finds the published page with this content, holds it for the caller and sets *serial.
 * -1: there is none. */
int kv_find(struct kv *kv, uint64_t parent, const int32_t *ids, uint64_t *serial);

/* What stands before the first page of texts that share no pages with others: the serial of
 * this salt, to be published and found behind; 0 of salt 0. The one that was asked for longest
 * ago is forgotten when there are more than KV_ROOTS, and its pages are not found again. */
enum { KV_ROOTS = 1024 };
uint64_t kv_root(struct kv *kv, uint64_t salt);

unsigned char *kv_data(const struct kv *kv, int i);
const int32_t *kv_ids(const struct kv *kv, int i); /* of a published page */

/* leaves(ctx, i): published page i is about to lose its content. */
void kv_watch(struct kv *kv, void (*leaves)(void *ctx, int i), void *ctx);
/* Visits the published pages that nobody holds, the one that was let go last first. */
void kv_each_cached(const struct kv *kv, void (*visit)(void *ctx, int i), void *ctx);

struct kv_stats {
    int n_page, used, cached; /* held; published and not held */
};

void kv_stats(const struct kv *kv, struct kv_stats *out);

#endif
