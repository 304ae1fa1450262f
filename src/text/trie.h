/* trie.h - the texts of tokens as a tree of bytes: all tokens that a text begins with are met
 * on one walk.
 *
 * The children of a node lie side by side in the order of their bytes. Node 0 is the root; as a
 * child it means that there is none.
 *
 * Threads  any number may read
 * Uses     base/
 */
#ifndef HEARTH_TEXT_TRIE_H
#define HEARTH_TEXT_TRIE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct trie_node {
    uint32_t first; /* child */
    int32_t id;     /* of the token that ends here; -1: none */
    uint16_t n;     /* children */
    unsigned char byte;
};

struct trie {
    struct trie_node *node;
    uint32_t n, cap;
    uint32_t root[256]; /* the children of the root */
};

struct trie_text {
    struct str text;
    int32_t id;
};

/* n texts, which are sorted in place; of equal ones the highest id stays, empty ones are left
 * out. Fails: E_NOMEM; then *t is empty. */
MUST_CHECK int trie_init(struct trie *t, struct trie_text *text, size_t n);
void trie_done(struct trie *t); /* a zeroed struct is an empty one, in which nothing is found */

/* The child of a node other than the root (that is root[]); 0: none. */
static inline uint32_t trie_child(const struct trie *t, uint32_t node, unsigned char byte)
{
    const struct trie_node *c = t->node + t->node[node].first;
    uint32_t n = t->node[node].n;

    while (n > 1) {
        uint32_t half = n / 2;

        c += c[half].byte <= byte ? half : 0;
        n -= half;
    }
    return n && c->byte == byte ? (uint32_t)(c - t->node) : 0;
}

#endif
