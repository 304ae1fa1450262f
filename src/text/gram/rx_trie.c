/* rx_trie.c - the texts of a long enumeration, sorted, so that a state is a part of their list.
 */
#include "text/gram/rx_priv.h"

#include <stdlib.h>

/* The texts of entries [at, at + 2 count) in words, of which `done` bytes are behind us. */
static rx_id trie(struct rx *r, uint32_t at, uint32_t count, uint32_t done)
{
    const uint32_t *e = RX_AT(uint32_t, r->word) + at;
    struct rx_node want = {.kind = RX_K_TRIE, .a = at, .b = count, .c = done};
    rx_id id;

    if (count == 1)
        return rx_text_at(r, e[0] + done, e[1] - done);
    if (r->failed.code)
        return RX_NONE;
    want.flags = e[1] == done ? RX_NULLABLE : 0;
    want.least = e[1] == done ? 0 : 1;
    want.hash = want.shape = rx_mix(rx_mix(RX_K_TRIE, at), rx_mix(count, done));
    id = rx_find(r, &want, NULL);
    return id ? id : rx_add(r, &want);
}

int rx_trie_edges(struct rx *r, rx_id id)
{
    struct rx_node n = *rx_at(r, id);
    size_t i = n.flags & RX_NULLABLE ? 1 : 0, k;
    uint32_t len, other;
    int rc = rx_count(r, n.b);

    r->out.n = 0;
    for (; i < n.b && rc == 0; i = k) {
        const uint32_t *e = RX_AT(uint32_t, r->word) + n.a;
        uint32_t cp = rx_text_char(r, e[2 * i] + n.c, e[2 * i + 1] - n.c, &len);

        for (k = i + 1; k < n.b; k++) {
            if (rx_text_char(r, e[2 * k] + n.c, e[2 * k + 1] - n.c, &other) != cp)
                break;
        }
        rc = rx_out_only(r, cp, cp,
                         trie(r, n.a + (uint32_t)(2 * i), (uint32_t)(k - i), n.c + len));
        if (r->failed.code)
            rc = r->failed.code;
    }
    return rc < 0 ? rc : rx_out_take(r, id);
}

struct entry {
    struct str text;
    uint32_t at;
};

static int by_text(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    int c = memcmp(x->text.p, y->text.p, n);

    return c ? c : x->text.n < y->text.n ? -1 : x->text.n > y->text.n;
}

/* The texts among the kids of an alternation as a trie; RX_NONE when those are too few. */
rx_id rx_trie_of(struct rx *r, rx_id alt)
{
    struct rx_node n = *rx_at(r, alt);
    struct entry *e;
    uint32_t at, count = 0;

    r->event.n = 0;
    /* Spans and entries share their scratch: entries are used up before spans begin. */
    if (rx_room(r, &r->event,
                n.b * ((sizeof(*e) + sizeof(struct rx_span) - 1) / sizeof(struct rx_span)),
                sizeof(struct rx_span)) < 0)
        return RX_NONE;
    e = r->event.p;
    for (uint32_t i = 0; i < n.b; i++) {
        const struct rx_node *k = rx_at(r, RX_AT(uint32_t, r->word)[n.a + i]);

        if (k->kind == RX_K_TEXT)
            e[count++] = (struct entry){{RX_AT(char, r->text) + k->a, k->b}, k->a};
    }
    if (count < RX_TRIE_MIN || rx_count(r, count) < 0 ||
        rx_room(r, &r->word, (size_t)count * 2, sizeof(uint32_t)) < 0)
        return RX_NONE;
    qsort(e, count, sizeof(*e), by_text);
    at = (uint32_t)r->word.n;
    for (uint32_t i = 0; i < count; i++) {
        RX_AT(uint32_t, r->word)[r->word.n++] = e[i].at;
        RX_AT(uint32_t, r->word)[r->word.n++] = (uint32_t)e[i].text.n;
    }
    return trie(r, at, count, 0);
}
