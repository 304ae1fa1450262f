#include "infer/kv_tier.h"

#include "base/mem.h"

#include <string.h>

/* A place among the engine's sequences, with the state that belongs to it. */
static int take_place(struct hearth_seq *s, struct err *e)
{
    struct hearth_engine *en = s->en;
    int i = 0;

    while (i < en->n_seq_max && en->seq[i])
        i++;
    if (i == en->n_seq_max)
        return err_set(e, E_BUSY, "all %d sequences of the engine are open", en->n_seq_max);
    if (en->states) {
        s->state = en->states + en->layout.state_bytes * (size_t)i;
        memset(s->state, 0, en->layout.state_bytes);
        if (en->n_states > en->layout.state_bytes * (size_t)en->n_seq_max)
            s->back = s->state + en->layout.state_bytes * (size_t)en->n_seq_max;
    }
    if (en->last_hidden) {
        size_t n = (size_t)en->model->m->p.n_embd;

        s->hidden = en->last_hidden + (size_t)i * n;
        s->back_hidden = en->last_hidden + (size_t)(en->n_seq_max + i) * n;
    }
    s->back_of = s->hidden_of = -1;
    en->seq[i] = s;
    return 0;
}

static void leave_place(struct hearth_seq *s)
{
    for (int i = 0; i < s->en->n_seq_max; i++) {
        if (s->en->seq[i] == s)
            s->en->seq[i] = NULL;
    }
}

enum { CAP_FIRST = 4096 };

/* Room for n tokens in all, and their pages. As much again as there is, so that a text that
 * grows by single tokens seldom asks for more. */
static int reserve(struct hearth_seq *s, int n, struct err *e)
{
    int most = s->en->n_ctx, cap = n > CAP_FIRST ? n : CAP_FIRST;
    size_t n_page;
    void *ids, *page, *data, *serial, *key = NULL;

    if (n <= s->cap)
        return 0;
    cap = cap > s->cap && cap - s->cap > s->cap ? cap : s->cap < most / 2 ? 2 * s->cap : most;
    cap = cap < most ? cap : most;
    n_page = ((size_t)cap + KERN_PAGE - 1) / KERN_PAGE;
    ids = mem_realloc(s->ids, (size_t)cap * sizeof(*s->ids));
    s->ids = ids ? ids : s->ids;
    page = mem_realloc(s->page, n_page * sizeof(*s->page));
    s->page = page ? page : s->page;
    data = mem_realloc(s->data, n_page * sizeof(unsigned char *));
    s->data = data ? data : s->data;
    serial = mem_realloc(s->serial, n_page * sizeof(*s->serial));
    s->serial = serial ? serial : s->serial;
    if (s->en->tier) {
        key = mem_realloc(s->key, n_page * sizeof(*s->key));
        s->key = key ? key : s->key;
    }
    if (!ids || !page || !data || !serial || (s->en->tier && !key))
        return err_set(e, E_NOMEM, "no memory for a sequence of %d tokens", n);
    s->cap = cap;
    return 0;
}

int seq_new(struct hearth_seq **out, struct hearth_engine *en, struct err *e)
{
    struct hearth_seq *s = mem_calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_set(e, E_NOMEM, "no memory for a sequence");
    s->en = en;
    rc = reserve(s, 1, e);
    if (rc < 0) {
        hearth_seq_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int hearth_seq_open(struct hearth_seq **out, struct hearth_engine *en,
                    struct hearth_error *error)
{
    struct hearth_seq *s;
    int rc = seq_new(&s, en, engine_err(error));

    if (rc == 0)
        rc = take_place(s, engine_err(error));
    else
        return rc;
    if (rc < 0)
        hearth_seq_close(s);
    else
        *out = s;
    return rc;
}

/* Lets go of pages from n on, the last first: of a text that is cached, the end leaves
 * before its beginning. */
static void drop_pages(struct hearth_seq *s, int n)
{
    while (s->n_page > n)
        kv_unref(s->en->kv, s->page[--s->n_page]);
    if (s->n_published > n)
        s->n_published = n;
}

void hearth_seq_close(struct hearth_seq *s)
{
    if (!s)
        return;
    drop_pages(s, 0);
    leave_place(s);
    mem_free(s->ids);
    mem_free(s->page);
    mem_free(s->data);
    mem_free(s->serial);
    mem_free(s->key);
    mem_free(s);
}

void seq_park(struct hearth_seq *s)
{
    drop_pages(s, 0);
    leave_place(s);
    s->n_done = 0;
    s->state = s->back = NULL;
    s->hidden = s->back_hidden = NULL;
    s->logits = NULL;
}

int seq_unpark(struct hearth_seq *s, struct err *e)
{
    return take_place(s, e);
}

void seq_add_page(struct hearth_seq *s, int page, uint64_t serial)
{
    s->page[s->n_page] = page;
    s->data[s->n_page] = kv_data(s->en->kv, page);
    s->serial[s->n_page++] = serial;
}

int seq_cover(struct hearth_seq *s, int n_pos, struct err *e)
{
    while (s->n_page * KERN_PAGE < n_pos) {
        int page = kv_take(s->en->kv, e);

        if (page < 0)
            return page;
        seq_add_page(s, page, 0);
    }
    return 0;
}

/* A page that others hold or can find is not written any more: the sequence goes on in a
 * copy of it. */
static int own_last_page(struct hearth_seq *s)
{
    int i = s->n_page - 1, page;

    /* What follows stands behind other content than was published for this page. */
    if (s->n_published > i)
        s->n_published = i;
    if (kv_private(s->en->kv, s->page[i]))
        return 0;
    page = kv_take(s->en->kv, NULL);
    if (page < 0)
        return page;
    memcpy(kv_data(s->en->kv, page), s->data[i], s->en->layout.page_bytes);
    drop_pages(s, i);
    seq_add_page(s, page, 0);
    return 0;
}

/* Keeps in pages what the first n tokens left, or where its last page cannot be written, of
 * those that fill pages: then it returns less than n. */
static int cut_pages(struct hearth_seq *s, int n)
{
    int rc = 0;

    drop_pages(s, (n + KERN_PAGE - 1) / KERN_PAGE);
    if (n % KERN_PAGE)
        rc = own_last_page(s);
    if (rc < 0) {
        drop_pages(s, n / KERN_PAGE);
        n = n / KERN_PAGE * KERN_PAGE;
    }
    /* Also a page that is ours alone may stand for a content that it loses now: the same
     * content was published by another page before. */
    if (s->n_published > n / KERN_PAGE)
        s->n_published = n / KERN_PAGE;
    return n;
}

/* The copy of state behind the most tokens, at most n of them; *at: how many. NULL: there is
 * none, *at is 0. */
static const unsigned char *state_before(const struct hearth_seq *s, int n, int *at)
{
    int n_page = n / KERN_PAGE;

    n_page = n_page < s->n_published ? n_page : s->n_published;
    for (; n_page > 0; n_page--) {
        const unsigned char *kept = snap_find(s->en->snap, s->serial[n_page - 1]);

        if (kept) {
            *at = n_page * KERN_PAGE;
            return kept;
        }
    }
    *at = 0;
    return NULL;
}

/* To what seq_keep remembered, with the last page that it had then. */
static int back_to_kept(struct hearth_seq *s)
{
    if (cut_pages(s, s->back_of) < s->back_of)
        return 0;
    memcpy(s->state, s->back, s->en->layout.state_bytes);
    s->n_done = s->back_of;
    if (s->hidden) {
        memcpy(s->hidden, s->back_hidden,
               (size_t)s->en->model->m->p.n_embd * sizeof(*s->hidden));
        s->hidden_of = s->back_hidden_of;
    }
    return 1;
}

/* State goes back to where there is a copy of it, at or before n. */
static void rewind_state(struct hearth_seq *s, int n)
{
    int at;
    const unsigned char *kept = state_before(s, n, &at);

    if (s->back_of >= at && s->back_of <= n && s->back_of <= s->n_done && back_to_kept(s))
        return;
    if (kept)
        memcpy(s->state, kept, s->en->layout.state_bytes);
    else
        memset(s->state, 0, s->en->layout.state_bytes);
    s->n_done = cut_pages(s, at);
}

/* Forgets results down to those of the first n tokens; of these as few as can be. */
static void rewind_to(struct hearth_seq *s, int n)
{
    if (!s->en->model->m->p.causal)
        n = 0;
    if (s->state)
        rewind_state(s, n);
    else
        s->n_done = cut_pages(s, n);
}

void seq_spoilt(struct hearth_seq *s)
{
    if (s->state)
        rewind_to(s, s->n_done);
}

void seq_keep(struct hearth_seq *s)
{
    if (!s->back)
        return;
    memcpy(s->back, s->state, s->en->layout.state_bytes);
    s->back_of = s->n_done;
    if (s->hidden) {
        memcpy(s->back_hidden, s->hidden,
               (size_t)s->en->model->m->p.n_embd * sizeof(*s->hidden));
        s->back_hidden_of = s->hidden_of;
    }
}

/* Whether pages stand for their content: what a token leaves depends on the tokens before it
 * only, and the first stands at position 0. */
static int is_shared(const struct hearth_seq *s)
{
    return s->en->model->m->p.causal && !s->base;
}

/* Whether state is to be kept behind n_page pages: now and then, and behind the last page of
 * what was fed, its last token left out: a text that begins so needs that one computed. */
static int keeps_state(const struct hearth_seq *s, int n_page)
{
    return s->state && snap_room(s->en->snap) > 0 && is_shared(s) &&
           (snap_wanted(n_page) || n_page == (s->n_len - 1) / KERN_PAGE);
}

int seq_take(const struct hearth_seq *s, int n)
{
    for (int i = s->n_done / KERN_PAGE + 1; i * KERN_PAGE < s->n_done + n; i++) {
        if (keeps_state(s, i))
            return i * KERN_PAGE - s->n_done;
    }
    return n;
}

uint64_t seq_parent(const struct hearth_seq *s, int i)
{
    return i ? s->serial[i - 1] : s->root;
}

void seq_advance(struct hearth_seq *s, int n)
{
    int n_page;

    s->n_done += n;
    if (!is_shared(s))
        return;
    for (; (s->n_published + 1) * KERN_PAGE <= s->n_done; s->n_published++) {
        int i = s->n_published;

        s->serial[i] =
            kv_publish(s->en->kv, s->page[i], seq_parent(s, i), s->ids + (size_t)i * KERN_PAGE);
        if (s->en->tier && !kv_private(s->en->kv, s->page[i]))
            kv_tier_published(s, i);
    }
    n_page = s->n_done / KERN_PAGE;
    if (s->n_done == n_page * KERN_PAGE && keeps_state(s, n_page)) {
        int copy = snap_put(s->en->snap, seq_parent(s, n_page), s->state);

        if (s->en->tier && copy >= 0)
            kv_tier_kept(s, n_page - 1, copy);
    }
}

/* Takes over published pages while the waiting tokens fill whole ones, as far as there is state
 * to go on from. The last token is always computed: somebody wants its logits. */
size_t seq_reuse(struct hearth_seq *s)
{
    int begun = s->n_page, good = begun;
    const unsigned char *from = NULL;

    s->loads = 0;
    if (!is_shared(s) || s->n_done != s->n_page * KERN_PAGE)
        return 0;
    while ((s->n_page + 1) * KERN_PAGE < s->n_len) {
        uint64_t serial;
        int page = kv_find(s->en->kv, seq_parent(s, s->n_page),
                           s->ids + (size_t)s->n_page * KERN_PAGE, &serial);
        const unsigned char *kept = NULL;

        if (page < 0)
            break;
        seq_add_page(s, page, serial);
        if (s->state)
            kept = snap_find(s->en->snap, serial);
        if (kept || !s->state) {
            from = kept;
            good = s->n_page;
        }
    }
    if (s->en->tier) {
        int loaded = kv_tier_load(s, good);

        from = loaded > good ? NULL : from;
        good = loaded;
    }
    drop_pages(s, good);
    if (from)
        memcpy(s->state, from, s->en->layout.state_bytes);
    if (good > begun) {
        s->n_published = good;
        s->n_done = good * KERN_PAGE;
    }
    return (size_t)(good - begun) * KERN_PAGE;
}

int seq_loads(const struct hearth_seq *s)
{
    return s->loads;
}

int seq_feed(struct hearth_seq *s, const int32_t *ids, size_t n, int reuse, size_t *n_reused,
             struct err *e)
{
    int n_vocab = s->en->model->m->p.n_vocab;
    size_t reused = 0;
    int rc;

    if (n > (size_t)(s->en->n_ctx - s->n_len))
        return err_set(e, E_TOO_LONG,
                       "%zu tokens after the %d there are do not fit a context of %d", n,
                       s->n_len, s->en->n_ctx);
    if (n > (size_t)(s->en->n_fit - s->n_len))
        return err_set(e, E_TOO_LONG,
                       "%zu tokens after the %d there are: the key/value cache has pages for "
                       "%d (kv_bytes)",
                       n, s->n_len, s->en->n_fit);
    if (s->en->model->m->global.t[T_POSITION_EMBD] &&
        (int)n > s->en->model->m->p.n_ctx_train - s->n_len - s->base)
        return err_set(e, E_TOO_LONG,
                       "%zu tokens after the %d there are: this model has no "
                       "positions from %d on",
                       n, s->n_len + s->base, s->en->model->m->p.n_ctx_train);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return err_set(e, E_INVALID, "token id %d (number %zu): expected 0 to %d",
                           (int)ids[i], i, n_vocab - 1);
    }
    rc = reserve(s, s->n_len + (int)n, e);
    if (rc < 0)
        return rc;
    if (n)
        memcpy(s->ids + s->n_len, ids, n * sizeof(*ids));
    s->n_len += (int)n;
    if (n)
        s->logits = NULL;
    if (n && !s->en->model->m->p.causal) /* earlier tokens see the new ones */
        rewind_to(s, 0);
    if (reuse) {
        do
            reused += seq_reuse(s);
        while (s->loads);
    }
    if (n_reused)
        *n_reused = reused;
    return 0;
}

int hearth_seq_feed(struct hearth_seq *s, const int32_t *ids, size_t n, size_t *n_reused,
                    struct hearth_error *error)
{
    return seq_feed(s, ids, n, 1, n_reused, engine_err(error));
}

const float *hearth_seq_logits(const struct hearth_seq *s)
{
    return s->logits;
}

int hearth_seq_len(const struct hearth_seq *s)
{
    return s->n_len;
}

int hearth_seq_truncate(struct hearth_seq *s, int n, struct hearth_error *error)
{
    struct err *e = engine_err(error);

    if (n < 0 || n > s->n_len)
        return err_set(e, E_INVALID, "position %d: the sequence has %d tokens", n, s->n_len);
    if (n < s->back_of)
        s->back_of = -1;
    if (n < s->n_done)
        rewind_to(s, n);
    if (n < s->n_len)
        s->logits = NULL;
    if (s->n_key > n / KERN_PAGE)
        s->n_key = n / KERN_PAGE;
    s->n_len = n;
    return 0;
}

int hearth_seq_set_position(struct hearth_seq *s, int pos, struct hearth_error *error)
{
    struct err *e = engine_err(error);

    if (s->n_len)
        return err_set(e, E_INVALID, "the sequence has tokens; positions begin at its first");
    if (pos < 0 || pos > PARAMS_CTX_MAX)
        return err_set(e, E_INVALID, "position %d: expected 0 to %d", pos, PARAMS_CTX_MAX);
    s->base = pos;
    return 0;
}

int seq_set_salt(struct hearth_seq *s, uint64_t salt, struct err *e)
{
    if (s->n_len)
        return err_set(e, E_INVALID, "the sequence has tokens; its salt is set before them");
    s->salt = salt;
    s->root = kv_root(s->en->kv, salt);
    return 0;
}
