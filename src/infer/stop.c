#include "infer/stop.h"

#include "base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Each string is followed by Knuth, Morris and Pratt's method: `at` says how many of its
 * first bytes the text ends with just now. The longest of these ends is all that must be held
 * back, because no byte before it can still become part of a stop string. A step looks at one
 * byte only, so cuts between calls cannot matter. */

struct pattern {
    char *p;
    uint16_t *fail; /* [n]: of p[0..i], the longest proper prefix that is also its end */
    size_t n, at;
};

struct stop {
    struct pattern pat[STOP_MAX];
    int n_pat, which;
    size_t n_held;
    char held[STOP_LEN_MAX];
};

static void pattern_done(struct pattern *t)
{
    mem_free(t->p);
    mem_free(t->fail);
}

static void fail_links(struct pattern *t)
{
    size_t k = 0;

    t->fail[0] = 0;
    for (size_t i = 1; i < t->n; i++) {
        while (k > 0 && t->p[i] != t->p[k])
            k = t->fail[k - 1];
        k += t->p[i] == t->p[k];
        t->fail[i] = (uint16_t)k;
    }
}

static int pattern_init(struct pattern *t, const char *string, int i, struct err *e)
{
    size_t n = string ? strlen(string) : 0;

    if (n == 0)
        return err_set(e, E_INVALID, "stop string %d is empty", i + 1);
    if (n > STOP_LEN_MAX)
        return err_set(e, E_INVALID, "stop string %d has %zu bytes, at most %d are allowed",
                       i + 1, n, STOP_LEN_MAX);
    t->n = n;
    t->p = mem_strdup(string);
    t->fail = mem_alloc(n * sizeof(*t->fail));
    if (!t->p || !t->fail)
        return err_set(e, E_NOMEM, "no memory for stop string %d", i + 1);
    fail_links(t);
    return 0;
}

int stop_new(struct stop **out, const char *const *strings, int n, struct err *e)
{
    struct stop *s;
    int rc = 0;

    if (n < 0 || n > STOP_MAX)
        return err_set(e, E_INVALID, "%d stop strings, at most %d are allowed", n, STOP_MAX);
    s = mem_calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, E_NOMEM, "no memory for stop strings");
    s->which = -1;
    while (s->n_pat < n) {
        int i = s->n_pat++;

        rc = pattern_init(&s->pat[i], strings[i], i, e);
        if (rc < 0)
            goto out;
    }
    *out = s;
    s = NULL;
out:
    stop_free(s);
    return rc;
}

void stop_free(struct stop *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_pat; i++)
        pattern_done(&s->pat[i]);
    mem_free(s);
}

void stop_reset(struct stop *s)
{
    for (int i = 0; i < s->n_pat; i++)
        s->pat[i].at = 0;
    s->n_held = 0;
    s->which = -1;
}

/* One more byte of text: how much of the pattern the text ends with now. */
static size_t pattern_step(struct pattern *t, char c)
{
    while (t->at > 0 && t->p[t->at] != c)
        t->at = t->fail[t->at - 1];
    t->at += t->p[t->at] == c;
    return t->at;
}

/* Steps all patterns and returns how many bytes at the end of the text may belong to one.
 * Sets which when one is complete; of several, the longest begins earliest and wins. */
static size_t step(struct stop *s, char c)
{
    size_t keep = 0, full = 0;

    for (int i = 0; i < s->n_pat; i++) {
        struct pattern *t = &s->pat[i];
        size_t at = pattern_step(t, c);

        if (at == t->n && at > full) {
            full = at;
            s->which = i;
        }
        if (at > keep)
            keep = at;
    }
    return s->which >= 0 ? full : keep;
}

/* Appends to out all but the last `keep` bytes of held + p[n], and holds those. */
static int let_out(struct stop *s, const char *p, size_t n, size_t keep, struct buf *out)
{
    size_t go = s->n_held + n - keep, first = go < s->n_held ? go : s->n_held;
    int rc;

    assert(keep <= s->n_held + n && keep <= STOP_LEN_MAX);
    if (go > 0) {
        rc = buf_put(out, s->held, first);
        if (rc == 0)
            rc = buf_put(out, p, go - first);
        if (rc < 0)
            return rc;
    }
    memmove(s->held, s->held + first, s->n_held - first);
    s->n_held -= first;
    if (n > go - first) {
        size_t tail = n - (go - first);

        memcpy(s->held + s->n_held, p + (n - tail), tail);
        s->n_held += tail;
    }
    return 0;
}

int stop_put(struct stop *s, const char *p, size_t n, struct buf *out)
{
    size_t keep = s->n_held, i = 0;
    int rc;

    if (s->which >= 0)
        return 1;
    while (i < n && s->which < 0)
        keep = step(s, p[i++]);
    rc = let_out(s, p, i, keep, out);
    if (rc < 0)
        return rc;
    if (s->which < 0)
        return 0;
    s->n_held = 0;
    return 1;
}

int stop_end(struct stop *s, struct buf *out)
{
    int rc = 0;

    if (s->which < 0)
        rc = let_out(s, NULL, 0, 0, out);
    return rc;
}

int stop_which(const struct stop *s)
{
    return s->which;
}
