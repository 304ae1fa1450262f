#include "infer/kv_tier.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "model/ident.h"
#include "sys/build_id.h"

#include <string.h>

_Static_assert((int)KV_DISK_KEY == (int)SHA256_SIZE, "a key is a digest");

struct kv_tier {
    struct hearth_engine *en;
    struct kv_disk *disk;
    unsigned char self[KV_DISK_KEY];    /* what stands before a text's salt and tokens */
    unsigned char (*page)[KV_DISK_KEY]; /* of published pages */
    unsigned char (*copy)[KV_DISK_KEY]; /* of copies of state, */
    int32_t *copy_ids;                  /* [][KERN_PAGE] and the tokens of their page */
    unsigned char *state;               /* what is read, until it is known to be good */
    uint64_t load_ns;                   /* how long one call reads */
    /* While the rest is written. */
    int last;
    uint64_t order, end_ns;
};

/* -- keys ------------------------------------------------------------------------------ */

static void put_u64(struct sha256 *h, uint64_t v)
{
    sha256_put(h, &v, sizeof(v));
}

static void put_text(struct sha256 *h, const char *s)
{
    put_u64(h, strlen(s));
    sha256_put(h, s, strlen(s));
}

static void put_file(struct sha256 *h, const struct gguf *g)
{
    put_u64(h, ident_stamp(g));
    put_u64(h, ident_sample(g));
}

static void key_of_self(const struct hearth_engine *en, int drafts,
                        unsigned char out[KV_DISK_KEY])
{
    const struct model *m = en->model->m;
    unsigned char build[KV_DISK_KEY] = {0};
    struct sha256 h;

    (void)build_id(build, sizeof(build));
    sha256_init(&h);
    put_u64(&h, KV_DISK_VERSION);
    put_text(&h, HEARTH_VERSION);
    sha256_put(&h, build, sizeof(build));
    put_text(&h, kern_tier_name(m->kern.tier));
    put_u64(&h, KERN_PAGE);
    put_u64(&h, (uint64_t)en->layout.kv_k);
    put_u64(&h, (uint64_t)en->layout.kv_v);
    put_u64(&h, en->layout.page_bytes);
    put_u64(&h, en->layout.state_bytes);
    put_u64(&h, (uint64_t)drafts);
    /* Families with two sets of factors choose one by the longest text there may be. */
    put_u64(&h, m->global.t[T_ROPE_FACTORS_LONG] ? (uint64_t)en->n_ctx : 0);
    put_file(&h, m->file);
    for (int i = 0; i < m->n_adapter; i++) {
        put_file(&h, m->adapter[i]);
        sha256_put(&h, &m->adapter_scale[i], sizeof(m->adapter_scale[i]));
    }
    sha256_end(&h, out);
}

/* Of page i of s, from the keys before it. */
static const unsigned char *key_of(struct hearth_seq *s, int i)
{
    for (; s->n_key <= i; s->n_key++) {
        int n = s->n_key;
        struct sha256 h;

        sha256_init(&h);
        if (n) {
            sha256_put(&h, s->key[n - 1], KV_DISK_KEY);
        } else {
            sha256_put(&h, s->en->tier->self, KV_DISK_KEY);
            put_u64(&h, s->salt);
        }
        sha256_put(&h, s->ids + (size_t)n * KERN_PAGE, KERN_PAGE * sizeof(*s->ids));
        sha256_end(&h, s->key[n]);
    }
    return s->key[i];
}

static struct kv_disk_item item_of(const struct kv_tier *t, int kind, const unsigned char *key,
                                   const int32_t *ids)
{
    struct kv_disk_item it = {.kind = kind,
                              .ids = ids,
                              .n_data = kind == KV_DISK_PAGE ? t->en->layout.page_bytes
                                                             : t->en->layout.state_bytes};

    memcpy(it.key, key, KV_DISK_KEY);
    return it;
}

/* -- what leaves memory ---------------------------------------------------------------- */

static void keep(struct kv_tier *t, const struct kv_disk_item *it, const void *data)
{
    if (t->last && clock_ns() > t->end_ns)
        return;
    if (kv_disk_has(t->disk, it->kind, it->key))
        kv_disk_used(t->disk, it->kind, it->key, t->order);
    else
        kv_disk_put(t->disk, it, data, t->order, t->last);
    t->order += (uint64_t)t->last;
}

static void copy_leaves(void *ctx, int i)
{
    struct kv_tier *t = ctx;
    struct kv_disk_item it =
        item_of(t, KV_DISK_STATE, t->copy[i], t->copy_ids + (size_t)i * KERN_PAGE);

    keep(t, &it, snap_at(t->en->snap, i));
}

/* The copy of the state behind it is not found again without it. */
static void page_leaves(void *ctx, int i)
{
    struct kv_tier *t = ctx;
    struct kv_disk_item it = item_of(t, KV_DISK_PAGE, t->page[i], kv_ids(t->en->kv, i));

    keep(t, &it, kv_data(t->en->kv, i));
    for (int k = 0; t->copy && k < snap_room(t->en->snap); k++) {
        if (snap_at(t->en->snap, k) && memcmp(t->copy[k], t->page[i], KV_DISK_KEY) == 0)
            copy_leaves(t, k);
    }
}

void kv_tier_published(struct hearth_seq *s, int i)
{
    memcpy(s->en->tier->page[s->page[i]], key_of(s, i), KV_DISK_KEY);
}

void kv_tier_kept(struct hearth_seq *s, int i, int copy)
{
    struct kv_tier *t = s->en->tier;

    memcpy(t->copy[copy], key_of(s, i), KV_DISK_KEY);
    memcpy(t->copy_ids + (size_t)copy * KERN_PAGE, s->ids + (size_t)i * KERN_PAGE,
           KERN_PAGE * sizeof(*s->ids));
}

/* -- what comes back ------------------------------------------------------------------- */

/* Returns 1; 0: there is no good file; E_BUSY. */
static int load_page(struct hearth_seq *s)
{
    struct hearth_engine *en = s->en;
    int n = s->n_page, page = kv_take(en->kv, NULL);
    const int32_t *ids = s->ids + (size_t)n * KERN_PAGE;
    struct kv_disk_item it;

    if (page < 0)
        return page;
    it = item_of(en->tier, KV_DISK_PAGE, key_of(s, n), ids);
    if (!kv_disk_get(en->tier->disk, &it, kv_data(en->kv, page))) {
        kv_unref(en->kv, page);
        return 0;
    }
    seq_add_page(s, page, kv_publish(en->kv, page, seq_parent(s, n), ids));
    kv_tier_published(s, n);
    return 1;
}

/* The state behind n pages, which s holds. */
static int load_state(struct hearth_seq *s, int n)
{
    struct kv_tier *t = s->en->tier;
    struct kv_disk_item it =
        item_of(t, KV_DISK_STATE, key_of(s, n - 1), s->ids + (size_t)(n - 1) * KERN_PAGE);
    int copy;

    if (!kv_disk_get(t->disk, &it, t->state))
        return 0;
    memcpy(s->state, t->state, t->en->layout.state_bytes);
    copy = snap_put(s->en->snap, s->serial[n - 1], s->state);
    if (copy >= 0)
        kv_tier_kept(s, n - 1, copy);
    return 1;
}

/* How many pages are of use, of those that s holds and that there are files of. */
static int look_ahead(struct hearth_seq *s, int good)
{
    const struct kv_disk *d = s->en->tier->disk;
    int most = (s->n_len - 1) / KERN_PAGE, n = s->n_page;

    while (n < most && kv_disk_has(d, KV_DISK_PAGE, key_of(s, n)))
        n++;
    while (s->state && n > good && !kv_disk_has(d, KV_DISK_STATE, key_of(s, n - 1)))
        n--;
    return n;
}

/* Of a text the beginning stays longest. */
static void mark_used(struct hearth_seq *s, int from, int to)
{
    for (int i = from; i < to; i++)
        kv_disk_used(s->en->tier->disk, KV_DISK_PAGE, key_of(s, i), (uint64_t)i);
}

/* Lets the system fetch what comes next, so that the disk works while others compute. */
static void read_ahead(struct hearth_seq *s, int want)
{
    size_t left = KV_TIER_AHEAD;

    for (int i = s->n_page; i < want && left >= s->en->layout.page_bytes; i++) {
        kv_disk_ahead(s->en->tier->disk, KV_DISK_PAGE, key_of(s, i));
        left -= s->en->layout.page_bytes;
    }
}

/* More is to be read later; but not where the pages that were read are given away again before
 * the rest comes. */
static void note_rest(struct hearth_seq *s, int more)
{
    s->loads = more && s->n_page > s->loaded_to;
    s->loaded_to = s->loads ? s->n_page : 0;
}

int kv_tier_load(struct hearth_seq *s, int good)
{
    int had = s->n_page, want = look_ahead(s, good), rc = 1;
    uint64_t end = clock_ns() + s->en->tier->load_ns;

    read_ahead(s, want);
    while (s->n_page < want && rc > 0 && (s->n_page == had || clock_ns() < end))
        rc = load_page(s);
    note_rest(s, rc > 0 && s->n_page < want);
    mark_used(s, had, s->n_page);
    /* Where one is bad others may be, which would be found out one by one: all are made anew.
     */
    for (int i = s->n_page; i < want && rc == 0; i++)
        kv_disk_remove(s->en->tier->disk, KV_DISK_PAGE, key_of(s, i));
    if (!s->state)
        return s->n_page;
    for (int n = want < s->n_page ? want : s->n_page; n > good; n--) {
        if (load_state(s, n)) {
            kv_disk_used(s->en->tier->disk, KV_DISK_STATE, key_of(s, n - 1), (uint64_t)n);
            return n;
        }
    }
    return good;
}

/* -- its life -------------------------------------------------------------------------- */

struct kv_disk *kv_tier_disk(const struct kv_tier *t)
{
    return t->disk;
}

void kv_tier_hurry(struct kv_tier *t, uint64_t load_ns)
{
    t->load_ns = load_ns;
}

static int make_arrays(struct kv_tier *t)
{
    struct kv_stats st;
    size_t n_copy = t->en->snap ? (size_t)snap_room(t->en->snap) : 0;

    kv_stats(t->en->kv, &st);
    t->page = mem_calloc((size_t)st.n_page, sizeof(*t->page));
    if (t->en->layout.state_bytes)
        t->state = mem_calloc(1, t->en->layout.state_bytes);
    if (n_copy) {
        t->copy = mem_calloc(n_copy, sizeof(*t->copy));
        t->copy_ids = mem_calloc(n_copy, KERN_PAGE * sizeof(*t->copy_ids));
    }
    return t->page && (t->state || !t->en->layout.state_bytes) &&
                   (!n_copy || (t->copy && t->copy_ids))
               ? 0
               : E_NOMEM;
}

int kv_tier_new(struct kv_tier **out, struct hearth_engine *en,
                const struct hearth_engine_options *o, struct err *e)
{
    const struct cache_layout *l = &en->layout;
    struct kv_tier *t = mem_calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return err_set(e, E_NOMEM, "no memory for a cache on disk");
    t->en = en;
    t->load_ns = KV_TIER_LOAD_NS;
    rc = make_arrays(t) < 0 ? err_set(e, E_NOMEM, "no memory for a cache on disk") : 0;
    if (rc == 0)
        rc = kv_disk_open(&t->disk, o->kv_dir, o->kv_dir_bytes, KERN_PAGE,
                          l->page_bytes > l->state_bytes ? l->page_bytes : l->state_bytes, e);
    if (rc < 0) {
        kv_tier_free(t);
        return rc;
    }
    key_of_self(en, o->n_draft > 0, t->self);
    kv_watch(en->kv, page_leaves, t);
    if (en->snap)
        snap_watch(en->snap, copy_leaves, t);
    *out = t;
    return 0;
}

void kv_tier_free(struct kv_tier *t)
{
    if (!t)
        return;
    if (t->disk) {
        t->last = 1;
        t->end_ns = clock_ns() + KV_TIER_LAST_NS;
        kv_each_cached(t->en->kv, page_leaves, t);
    }
    kv_disk_close(t->disk);
    mem_free(t->page);
    mem_free(t->copy);
    mem_free(t->copy_ids);
    mem_free(t->state);
    mem_free(t);
}
