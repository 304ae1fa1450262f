/* engine_cache.c - how much an engine keeps: pages of keys and values, states, copies of them.
 */
#include "infer/kv_tier.h"

#include "sys/mmap.h"

#include <unistd.h>

/* Copies of state that an engine keeps: for each sequence, and in all as a part of the memory.
 */
enum { SNAPS_SEQ = 8, SNAPS_PART = 8 };

uint64_t engine_machine_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The numbers of enum kern_kv, with one for "auto" before them. */
_Static_assert(HEARTH_KV_F16 == KERN_KV_F16 + 1 && HEARTH_KV_F32 == KERN_KV_F32 + 1 &&
                   HEARTH_KV_Q8_0 == KERN_KV_Q8_0 + 1 && HEARTH_KV_Q4_0 == KERN_KV_Q4_0 + 1,
               "the same order");

/* State of each sequence, twice for those who go back often; and room for copies. */
static int make_states(struct hearth_engine *en, int drafts, struct err *e)
{
    size_t n = en->layout.state_bytes, most = (size_t)engine_machine_bytes() / SNAPS_PART / n,
           want = SNAPS_SEQ * (size_t)en->n_seq_max;

    en->n_states = (size_t)(drafts ? 2 : 1) * n * (size_t)en->n_seq_max;
    en->states = en->n_states <= engine_machine_bytes() ? vm_alloc(en->n_states) : NULL;
    if (!en->states)
        return err_set(e, E_NOMEM, "no memory for the state of %d sequences, %zu KiB each",
                       en->n_seq_max, n >> 10);
    return snap_new(&en->snap, n, (int)(want < most ? want : most), e);
}

static uint64_t pages_of(int n_tok)
{
    return ((uint64_t)n_tok + KERN_PAGE - 1) / KERN_PAGE;
}

/* How many pages: those of full sequences, each with one to write what it had shared; or what
 * the budget allows. */
static int count_pages(const struct hearth_engine *en, uint64_t budget, uint64_t *out,
                       struct err *e)
{
    uint64_t bytes = en->layout.page_bytes, have = engine_machine_bytes(),
             full = (uint64_t)en->n_seq_max * (pages_of(en->n_usual) + 1),
             least =
                 pages_of(en->n_usual < ENGINE_CTX_LEAST ? en->n_usual : ENGINE_CTX_LEAST) + 1,
             pages = budget ? budget / bytes : full;

    if (pages < least)
        return err_set(e, E_INVALID,
                       "kv_bytes: %llu bytes hold %llu pages of %d tokens, at least %llu are "
                       "needed, %llu bytes",
                       (unsigned long long)budget, (unsigned long long)pages, KERN_PAGE,
                       (unsigned long long)least, (unsigned long long)(least * bytes));
    if (pages > INT32_MAX || pages * bytes > have)
        return err_set(e, E_NOMEM,
                       "a context of %d tokens for %d sequences needs %llu MiB of key/value "
                       "cache, this machine has %llu MiB; ask for a smaller context%s",
                       en->n_usual, en->n_seq_max,
                       (unsigned long long)(pages * (bytes >> 10) >> 10),
                       (unsigned long long)(have >> 20), budget ? ", or fewer kv_bytes" : "");
    *out = pages;
    return 0;
}

int engine_cache_make(struct hearth_engine *en, const struct hearth_engine_options *o,
                      struct err *e)
{
    int kv_k = engine_pick(o->kv_type, HEARTH_KV_F16), kv_v = engine_pick(o->kv_type_v, kv_k);
    uint64_t pages = 0;
    int rc = cache_layout_init(&en->layout, en->model->m, kv_k - HEARTH_KV_F16,
                               kv_v - HEARTH_KV_F16, e);

    if (rc == 0)
        rc = count_pages(en, o->kv_bytes, &pages, e);
    if (rc == 0)
        rc = kv_new(&en->kv, en->layout.page_bytes, (int)pages, KERN_PAGE, e);
    en->n_fit = pages < pages_of(en->n_ctx) ? (int)pages * KERN_PAGE : en->n_ctx;
    if (rc == 0 && en->layout.state_bytes)
        rc = make_states(en, o->n_draft > 0, e);
    if (rc == 0 && o->kv_dir && en->model->m->p.causal) /* others share no pages */
        rc = kv_tier_new(&en->tier, en, o, e);
    return rc;
}

void engine_cache_free(struct hearth_engine *en)
{
    kv_tier_free(en->tier);
    kv_free(en->kv);
    vm_free(en->states, en->n_states);
    snap_free(en->snap);
    cache_layout_done(&en->layout);
}
