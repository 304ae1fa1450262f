/* rx_set.c - what matches single characters, and plain texts. */
#include "text/gram/rx_priv.h"

#include "base/map.h"
#include "base/utf8.h"

#include <stdlib.h>

static int by_lo(const void *a, const void *b)
{
    const struct rx_range *x = a, *y = b;

    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Sorts and joins ranges; returns how many are left. */
static size_t tidy(struct rx_range *range, size_t n)
{
    size_t k = 0, i = 1;

    while (i < n && range[i - 1].lo <= range[i].lo)
        i++;
    if (i < n)
        qsort(range, n, sizeof(*range), by_lo);
    for (i = 1; i < n; i++) {
        if (range[i].lo <= range[k].hi || range[i].lo == range[k].hi + 1)
            range[k].hi = range[i].hi > range[k].hi ? range[i].hi : range[k].hi;
        else
            range[++k] = range[i];
    }
    return n ? k + 1 : 0;
}

rx_id rx_set_of(struct rx *r, struct rx_range *range, size_t n)
{
    struct rx_node want = {.kind = RX_K_SET, .least = 1};
    rx_id id;

    n = tidy(range, n);
    if (n == 0 || r->failed.code || rx_count(r, n) < 0)
        return RX_NONE;
    want.b = (uint32_t)n;
    want.hash = rx_mix(RX_K_SET, (uint32_t)map_hash(range, n * sizeof(*range)));
    want.shape = want.hash;
    id = rx_find(r, &want, range);
    if (id)
        return id;
    if (rx_room(r, &r->range, n, sizeof(*range)) < 0)
        return RX_NONE;
    want.a = (uint32_t)r->range.n;
    memcpy(RX_AT(struct rx_range, r->range) + r->range.n, range, n * sizeof(*range));
    r->range.n += n;
    return rx_add(r, &want);
}

int rx_squeeze_range(uint32_t lo, uint32_t hi, struct rx_range *out)
{
    hi = hi > RX_CP_MAX ? RX_CP_MAX : hi;
    lo = lo >= 0xD800 && lo <= 0xDFFF ? 0xE000 : lo;
    hi = hi >= 0xD800 && hi <= 0xDFFF ? 0xD7FF : hi;
    if (lo > hi)
        return 0;
    *out = (struct rx_range){rx_squeeze(lo), rx_squeeze(hi)};
    return 1;
}

rx_id rx_set(struct rx *r, const struct rx_range *range, size_t n)
{
    struct rx_range *out;
    size_t k = 0;

    r->ranges.n = 0;
    if (rx_room(r, &r->ranges, n, sizeof(*range)) < 0)
        return RX_NONE;
    out = r->ranges.p;
    for (size_t i = 0; i < n; i++)
        k += (size_t)rx_squeeze_range(range[i].lo, range[i].hi, &out[k]);
    return rx_set_of(r, out, k);
}

rx_id rx_any(struct rx *r)
{
    return r->failed.code ? RX_NONE : r->any;
}

rx_id rx_char(struct rx *r, uint32_t sq)
{
    struct rx_range one = {sq, sq};

    return rx_set_of(r, &one, 1);
}

rx_id rx_set_and(struct rx *r, rx_id a, rx_id b)
{
    uint32_t i = rx_at(r, a)->a, k = rx_at(r, b)->a;
    uint32_t i_end = i + rx_at(r, a)->b, k_end = k + rx_at(r, b)->b;

    r->ranges.n = 0;
    while (i < i_end && k < k_end) {
        const struct rx_range *x = RX_AT(struct rx_range, r->range) + i;
        const struct rx_range *y = RX_AT(struct rx_range, r->range) + k;
        struct rx_range both = {x->lo > y->lo ? x->lo : y->lo, x->hi < y->hi ? x->hi : y->hi};

        if (both.lo <= both.hi) {
            if (rx_room(r, &r->ranges, 1, sizeof(both)) < 0)
                return RX_NONE;
            RX_AT(struct rx_range, r->ranges)[r->ranges.n++] = both;
        }
        if (x->hi < y->hi)
            i++;
        else
            k++;
    }
    return rx_set_of(r, r->ranges.p, r->ranges.n);
}

/* -- texts ----------------------------------------------------------------------------- */

/* The first character of n bytes in the pool, squeezed, and its length. They are well-formed.
 */
uint32_t rx_text_char(const struct rx *r, uint32_t at, uint32_t n, uint32_t *bytes)
{
    int32_t cp;

    *bytes = (uint32_t)utf8_next(RX_AT(char, r->text) + at, n, &cp);
    return rx_squeeze((uint32_t)cp);
}

static uint32_t characters(const char *p, uint32_t n)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xC0) != 0x80;
    return count;
}

/* A text whose bytes are in the pool. */
rx_id rx_text_at(struct rx *r, uint32_t at, uint32_t n)
{
    struct rx_node want = {.kind = RX_K_TEXT, .a = at, .b = n};
    const char *p = RX_AT(char, r->text) + at;
    uint32_t len;
    rx_id id;

    if (n == 0 || r->failed.code)
        return n == 0 ? RX_EMPTY : RX_NONE;
    (void)rx_text_char(r, at, n, &len);
    if (len == n)
        return rx_char(r, rx_text_char(r, at, n, &len));
    want.hash = rx_mix(RX_K_TEXT, (uint32_t)map_hash(p, n));
    want.shape = want.hash;
    id = rx_find(r, &want, p);
    if (id)
        return id;
    want.least = characters(p, n);
    return rx_add(r, &want);
}

/* One chunk; its bytes leave the pool again if such a text was there. */
static rx_id chunk(struct rx *r, const char *p, uint32_t n)
{
    uint32_t at = (uint32_t)r->text.n;
    rx_id id;

    if (rx_room(r, &r->text, n, 1) < 0)
        return RX_NONE;
    memcpy(RX_AT(char, r->text) + at, p, n);
    r->text.n += n;
    id = rx_text_at(r, at, n);
    if (rx_at(r, id)->kind != RX_K_TEXT || rx_at(r, id)->a != at)
        r->text.n = at;
    return id;
}

rx_id rx_text(struct rx *r, struct str utf8)
{
    rx_id id = RX_EMPTY;
    size_t n = utf8.n;

    if (!utf8_valid(utf8.p, utf8.n)) {
        rx_fail(r, E_INVALID, "a text is not valid UTF-8");
        return RX_NONE;
    }
    /* From the end, in chunks that begin and end with whole characters. */
    while (n > 0) {
        size_t from = n > RX_CHUNK ? n - RX_CHUNK : 0;

        while (((unsigned char)utf8.p[from] & 0xC0) == 0x80)
            from++;
        id = rx_join(r, chunk(r, utf8.p + from, (uint32_t)(n - from)), id);
        n = from;
    }
    return r->failed.code ? RX_NONE : id;
}
