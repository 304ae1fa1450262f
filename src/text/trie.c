#include "text/trie.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* The texts that begin like a node, while their next bytes are not nodes yet. */
struct range {
    uint32_t lo, hi;
};

struct build {
    struct trie *t;
    const struct trie_text *text;
    struct range *range; /* of each node */
};

static int by_text(const void *a, const void *b)
{
    const struct trie_text *x = a, *y = b;
    size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    int order = n ? memcmp(x->text.p, y->text.p, n) : 0;

    if (order)
        return order;
    if (x->text.n != y->text.n)
        return x->text.n < y->text.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int add_node(struct build *b, unsigned char byte, struct range range)
{
    struct trie *t = b->t;

    if (t->n == t->cap) {
        uint32_t cap = t->cap ? t->cap + t->cap / 2 : 256;
        struct trie_node *node =
            cap > t->cap ? mem_realloc(t->node, cap * sizeof(*node)) : NULL;
        struct range *more;

        if (!node)
            return E_NOMEM;
        t->node = node;
        more = mem_realloc(b->range, cap * sizeof(*more));
        if (!more)
            return E_NOMEM;
        b->range = more;
        t->cap = cap;
    }
    assert(b->range); /* it grows with the nodes */
    t->node[t->n] = (struct trie_node){.id = -1, .byte = byte};
    b->range[t->n++] = range;
    return 0;
}

/* Makes the children of a node at that depth. */
static int add_children(struct build *b, uint32_t node, size_t depth)
{
    struct range all = b->range[node];
    uint32_t i = all.lo, first = b->t->n;

    for (; i < all.hi && b->text[i].text.n == depth; i++) {
        if (depth)
            b->t->node[node].id = b->text[i].id;
    }
    while (i < all.hi) {
        unsigned char byte = (unsigned char)b->text[i].text.p[depth];
        uint32_t from = i;

        while (i < all.hi && (unsigned char)b->text[i].text.p[depth] == byte)
            i++;
        if (add_node(b, byte, (struct range){from, i}) < 0)
            return E_NOMEM;
    }
    b->t->node[node].first = first;
    b->t->node[node].n = (uint16_t)(b->t->n - first);
    return 0;
}

int trie_init(struct trie *t, struct trie_text *text, size_t n)
{
    struct build b = {.t = t, .text = text};
    int rc;

    *t = (struct trie){0};
    if (n >= UINT32_MAX)
        return E_NOMEM;
    if (n)
        qsort(text, n, sizeof(*text), by_text);
    rc = add_node(&b, 0, (struct range){0, (uint32_t)n});
    for (uint32_t i = 0, end = 1, depth = 0; rc == 0 && i < t->n; i++) {
        if (i == end) {
            end = t->n;
            depth++;
        }
        rc = add_children(&b, i, depth);
    }
    mem_free(b.range);
    if (rc < 0) {
        trie_done(t);
        return rc;
    }
    for (uint32_t i = 0; i < t->node[0].n; i++)
        t->root[t->node[t->node[0].first + i].byte] = t->node[0].first + i;
    return 0;
}

void trie_done(struct trie *t)
{
    mem_free(t->node);
    *t = (struct trie){0};
}
