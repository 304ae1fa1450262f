/* rx_priv.h - the inside of a store of regular expressions.
 *
 * Expressions are nodes in one array, found again by their hash. What has no fixed size stands
 * in pools, and a node holds its place there: ranges of a set, bytes of a text, kids of an
 * alternation or intersection, edges.
 *
 * Code points are squeezed in here: without the gap of the surrogates, so that the complement
 * of a set needs no exception.
 *
 * Edges of a node are a partition of all code points into classes, and a target for each
 * class. Partitions are shared: the states of a long counted repetition have the same one.
 */
#ifndef HEARTH_TEXT_GRAM_RX_PRIV_H
#define HEARTH_TEXT_GRAM_RX_PRIV_H

#include "text/gram/rx.h"

enum rx_kind {
    RX_K_NONE,
    RX_K_EMPTY,
    RX_K_SET,    /* a: first range, b: how many */
    RX_K_TEXT,   /* a: first byte, b: bytes; two characters or more, RX_CHUNK bytes at most */
    RX_K_TRIE,   /* of sorted texts (place, bytes) in words: a first, b count; c: bytes done */
    RX_K_SEQ,    /* a: no RX_K_SEQ, then b */
    RX_K_ALT,    /* a: first kid in words, b: how many; sorted, none of them RX_K_ALT */
    RX_K_AND,    /* likewise */
    RX_K_NOT,    /* a */
    RX_K_MOD,    /* digits that make b, a number before them, a multiple of a */
    RX_K_REPEAT, /* a, b to c times; not {0,1}: that is an alternation with RX_EMPTY */
};

enum rx_node_flags {
    RX_NULLABLE = 1,
    RX_HARD = 2,      /* has an intersection or complement: may be empty and not look so */
    RX_UNBOUNDED = 4, /* not there: finitely many texts. There and not hard: infinitely many */
    RX_COUNTED = 8,   /* a repetition with numbers is in its sequence */
    RX_LIVE = 16,     /* known to be */
    RX_DEAD = 32,
    RX_CUT = 64,   /* its edges lead to live states only */
    RX_SEEN = 128, /* by rx_finite */
    RX_OPEN = 256,
    RX_FOUND = 512, /* by the search for live states */
};

struct rx_node {
    uint8_t kind;
    uint16_t flags;
    uint32_t a, b, c;
    uint32_t least; /* characters at least */
    uint32_t edges; /* place in words of the partition's number and the targets; 0: none yet */
    uint32_t hash;
    uint32_t shape; /* as hash, but blind to the bounds of counted repetitions */
    uint32_t mark;  /* scratch, 0 when nobody uses it */
};

struct rx_vec {
    void *p;
    size_t n, cap;
};

/* A partition, in words: begins and classes. Classes are numbered as they come. */
struct rx_part {
    uint32_t at, n, n_class, hash;
    uint8_t ascii[128]; /* class of each */
};

/* For building edges: an interval and where it leads. */
struct rx_span {
    uint32_t lo, hi;
    rx_id to;
};

enum {
    RX_CHUNK = 256,
    RX_TRIE_MIN = 8, /* texts in an alternation that make a trie worth it */
    RX_SQ_MAX = 0x10FFFF - 0x800,
    RX_STEPS = 100 * 1000 * 1000, /* of work in one call */
};

struct rx {
    struct rx_limits limits;
    size_t bytes; /* allocated */
    struct err failed;
    uint64_t work;
    rx_id any, all, maybe;                       /* one character, any number, at most one */
    struct rx_vec node, slot, word, range, text; /* node: struct rx_node, ... */
    struct rx_vec part, part_slot;
    /* scratch of constructors */
    struct rx_vec list, kept, ranges, chain, shaped;
    /* scratch of edges */
    struct rx_vec todo, event, active, out, target, ids, flat;
    /* scratch of searches */
    struct rx_vec seen, heap, path, turn, visited;
    struct rx_vec property; /* sets of \p{...}: pairs of a mask and an expression */
};

#define RX_AT(type, vec) ((type *)(vec).p)

static inline struct rx_node *rx_at(const struct rx *r, rx_id id)
{
    return &RX_AT(struct rx_node, r->node)[id];
}

static inline uint32_t rx_squeeze(uint32_t cp)
{
    return cp < 0xD800 ? cp : cp - 0x800;
}

static inline uint32_t rx_spread(uint32_t sq)
{
    return sq < 0xD800 ? sq : sq + 0x800;
}

/* rx.c: the store */
int rx_fail(struct rx *r, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
MUST_CHECK int rx_room(struct rx *r, struct rx_vec *v, size_t more, size_t size);
MUST_CHECK int rx_push(struct rx *r, struct rx_vec *v, uint32_t word);
void rx_drop(struct rx *r, struct rx_vec *v, size_t size); /* frees */
uint32_t *rx_zeroed(struct rx *r, size_t n);               /* NULL: failed */
MUST_CHECK int rx_count(struct rx *r, uint64_t steps);     /* of work */
uint32_t rx_mix(uint32_t a, uint32_t b);
rx_id rx_find(const struct rx *r, const struct rx_node *want, const void *data);
rx_id rx_add(struct rx *r, const struct rx_node *node);

/* rx_set.c */
rx_id rx_set_of(struct rx *r, struct rx_range *range, size_t n); /* squeezed; sorts them */
rx_id rx_set_and(struct rx *r, rx_id a, rx_id b);
rx_id rx_char(struct rx *r, uint32_t sq);
rx_id rx_text_at(struct rx *r, uint32_t at, uint32_t n);
uint32_t rx_text_char(const struct rx *r, uint32_t at, uint32_t n, uint32_t *bytes);

/* The part of lo..hi that is characters, squeezed; 0: nothing is. */
int rx_squeeze_range(uint32_t lo, uint32_t hi, struct rx_range *out);

/* rx_class.c. Ranges of sets are squeezed. */
enum rx_shorthand { RX_DIGIT, RX_WORD, RX_SPACE, RX_DOT };
rx_id rx_shorthand(struct rx *r, enum rx_shorthand which);
rx_id rx_outside(struct rx *r, rx_id set); /* all other characters */
/* \p{name}, with \p{name=value} as `name` whole. Fails: E_UNSUPPORTED by its name. */
MUST_CHECK int rx_property(struct rx *r, struct str name, rx_id *out, struct err *e);
/* A class of a pattern, [ at p[*at]; *at: behind ]. */
struct rx_scan;
MUST_CHECK int rx_class(struct rx_scan *p, rx_id *out);

/* What reads a pattern. */
struct rx_scan {
    struct rx *r;
    struct str s;
    size_t at;
    struct err *e;
};

struct rx_escape {
    int is_set;
    rx_id set;
    uint32_t cp; /* may be a surrogate */
};

/* rx_escape.c: what \ at p->at begins. */
MUST_CHECK int rx_escape(struct rx_scan *p, int in_class, struct rx_escape *out);
MUST_CHECK int rx_scan_char(struct rx_scan *p, uint32_t *cp);
int rx_wrong(struct rx_scan *p, int code, size_t at, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* rx_make.c */
rx_id rx_join(struct rx *r, rx_id a, rx_id b);         /* rx_seq, but texts stay apart */
rx_id rx_before(struct rx *r, rx_id head, rx_id tail); /* head: no sequence */
rx_id rx_repeat_node(struct rx *r, rx_id a, uint32_t min, uint32_t max);

/* rx_group.c */
rx_id rx_ands(struct rx *r, const rx_id *part, size_t n);

/* rx_part.c. Edges are made of r->out: intervals from one begin to the next. */
MUST_CHECK int rx_set_edges(struct rx *r, rx_id id, uint32_t part, const uint32_t *target,
                            size_t n);
MUST_CHECK int rx_out(struct rx *r, uint32_t lo, rx_id to);
MUST_CHECK int rx_out_only(struct rx *r, uint32_t lo, uint32_t hi, rx_id to);
MUST_CHECK int rx_out_take(struct rx *r, rx_id id);

/* rx_trie.c */
rx_id rx_trie_of(struct rx *r, rx_id alt); /* of the texts in it; RX_NONE: too few */
MUST_CHECK int rx_trie_edges(struct rx *r, rx_id id);

/* rx_number.c */
MUST_CHECK int rx_mod_edges(struct rx *r, rx_id id);

/* rx_edge.c */
MUST_CHECK int rx_ensure(struct rx *r, rx_id id); /* edges, dead ones too */
MUST_CHECK int rx_ready(struct rx *r, rx_id id);  /* edges without dead ones */

static inline const struct rx_part *rx_part_of(const struct rx *r, rx_id id)
{
    return &RX_AT(struct rx_part, r->part)[RX_AT(uint32_t, r->word)[rx_at(r, id)->edges]];
}

static inline uint32_t *rx_targets(const struct rx *r, rx_id id)
{
    return &RX_AT(uint32_t, r->word)[rx_at(r, id)->edges + 1];
}

/* rx_live.c */
MUST_CHECK int rx_alive(struct rx *r, rx_id id); /* 1, 0, or what failed */

#endif
