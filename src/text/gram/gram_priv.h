/* gram_priv.h - the inside of a grammar.
 *
 * Three layers. Expressions (struct gram_node) are what was built. Terminals among them are
 * walked by an automaton over bytes (struct gram_bs), made while it is used: a state of it
 * knows its next states for each byte. Below that stands an automaton over code points
 * (struct gram_cs): a state of rx.h, or a set of names of which some are left, or rx.h without
 * some texts. UTF-8, and the ways that JSON has to write a character, are put on top of it.
 *
 * A place is a state over bytes and the frame of what follows; a frame is a node, where in it
 * the text stands, and its parent. A state of the grammar is a sorted set of places. All four
 * are numbers, equal ones are the same: records in a table (struct gram_table).
 *
 * Objects keep what was said of them in an object state (struct gram_os): which properties are
 * there, and so which may come.
 */
#ifndef HEARTH_TEXT_GRAM_GRAM_PRIV_H
#define HEARTH_TEXT_GRAM_GRAM_PRIV_H

#include "base/arena.h"
#include "base/map.h"
#include "text/gram/gram.h"

enum {
    GRAM_NODES = 200 * 1000,
    GRAM_DEPTH = 1000,
    GRAM_WIDTH = 4096,
    GRAM_BYTES = 64 * 1024 * 1024
};

/* -- arrays and tables ---------------------------------------------------------------- */

struct gram_vec {
    void *p;
    size_t n, cap;
};

#define GRAM_AT(type, vec) ((type *)(vec).p)

/* Records that are found again by their bytes: number 0 is taken by nothing. */
struct gram_table {
    struct map by;       /* of the record's bytes */
    struct gram_vec rec; /* const void * */
};

#define GRAM_REC(type, table, id) (((const type *const *)(table).rec.p)[id])

/* -- expressions ---------------------------------------------------------------------- */

enum gram_kind {
    GRAM_K_NEVER,
    GRAM_K_EMPTY,
    GRAM_K_LIT,  /* a: set of texts */
    GRAM_K_TEXT, /* a: rx_id */
    GRAM_K_JSON, /* a: rx_id */
    GRAM_K_SEQ,
    GRAM_K_ALT,
    GRAM_K_REP,  /* part[0], min to max times */
    GRAM_K_RULE, /* part[0]; n = 0: not set yet */
    GRAM_K_OBJ   /* a: object; its parts are the expressions it refers to */
};

#define GRAM_NO_HEIGHT UINT32_MAX

struct gram_node {
    uint8_t kind, plain;
    uint8_t nullable, reached; /* of gram_finish */
    uint32_t n;
    uint32_t a;
    uint32_t height; /* frames that it needs at least; GRAM_NO_HEIGHT: it matches nothing */
    uint32_t start;  /* a terminal's first state over bytes; 0: not made yet */
    uint32_t tail;   /* of a sequence: from this part on all may be empty */
    uint64_t min, max;
    const gram_ref *part;
};

/* Texts, sorted, each once. */
struct gram_lits {
    const struct str *s;
    uint32_t n;
};

struct gram_obj {
    gram_ref node;
    uint32_t n_prop, n_rest;
    const struct str *name;    /* sorted; as UTF-8 */
    const uint32_t *prop_of;   /* of each sorted name */
    const uint32_t *sorted_of; /* of each property */
    const gram_ref *value;     /* of each property, then of each rest */
    const rx_id *key;          /* of each rest */
    const uint64_t **closure;  /* of each property: what must be there with it, a set of
                                  properties; NULL: itself. NULL when nothing needs anything */
    uint64_t *required;        /* and all that they need */
    uint64_t *usable;          /* properties that can be written; of gram_finish */
    uint64_t *rest_size;       /* texts that a rest's key matches; GRAM_INF; 0: not usable */
    uint32_t words;            /* of a set of properties */
    uint32_t max_height;       /* of any value, colon, comma or close */
    uint64_t min, max;
    int ordered, plain;
    gram_ref open, colon, comma, close;
};

/* -- automata ------------------------------------------------------------------------- */

enum gram_cs_kind {
    GRAM_CS_RX,    /* a: rx_id */
    GRAM_CS_NAMES, /* a: object, b: set of those that are left (0: all), lo, hi, depth */
    GRAM_CS_BUT    /* a: rx_id, b: key set that it is without, lo, hi, depth */
};

/* A state over code points. */
struct gram_cs {
    uint32_t kind;
    uint32_t pay; /* what is known when it ends: 0, of a rest 1 + its number, of a name more */
    uint32_t a, b;
    uint32_t lo, hi, depth; /* texts of the sorted set that begin as what was read */
};

/* Code points lo..hi lead to a state over code points. */
struct gram_range {
    uint32_t lo, hi, to;
};

enum gram_bs_kind {
    GRAM_BS_LIT,  /* x: set, lo, hi, depth */
    GRAM_BS_TEXT, /* x: cs */
    GRAM_BS_PEND, /* inside a character: k bytes to come, x: ranges, lo: how many */
    GRAM_BS_OPEN, /* before the quote of a JSON string; x: cs */
    GRAM_BS_BODY, /* inside it; x: cs */
    GRAM_BS_ESC,  /* behind the backslash; x: cs */
    GRAM_BS_U,    /* behind \u; x: cs */
    GRAM_BS_UD,   /* behind \ud; x: cs */
    GRAM_BS_HEX,  /* k digits to come, x: ranges */
    GRAM_BS_HIGH, /* of the first half of a pair: k digits to come, x: ranges */
    GRAM_BS_LOW,  /* of the second half: before u (k = 1), d (2), the digit behind it (3) */
    GRAM_BS_END   /* behind the closing quote; x: pay */
};

enum { GRAM_TO_TEXT, GRAM_TO_JSON, GRAM_TO_PLAIN };

struct gram_bs_key {
    uint8_t kind, k, to, zero;
    uint32_t x, lo, hi, depth;
};

/* Bytes as classes, for stepping over what changes nothing: 26 of ASCII, and characters of
 * more than one byte. */
#define GRAM_WIDE   (1u << 30)
#define GRAM_BROKEN (1u << 31) /* no state loops over it */

/* A state over bytes. */
struct gram_bs {
    struct gram_bs_key key;
    uint32_t accept;      /* 0, or 1 + pay */
    uint8_t made, lo, hi; /* made: row is there, for the bytes lo..hi */
    /* Classes of which every character leads to one and the same state, and that state. It is
     * the state itself, or one that has counted: `far` steps are known to go on like this with
     * the same classes, which leads to far_at; ends: and not further. */
    uint32_t even, step, far, far_at;
    uint8_t ends;
    const uint32_t *row; /* NULL: no byte leads on */
};

/* -- places --------------------------------------------------------------------------- */

struct gram_frame {
    uint32_t node, parent;
    uint64_t at; /* part, count, or phase of an object with what belongs to it */
    uint32_t os; /* of an object */
    uint32_t depth;
};

/* A text that is found again, with its length. */
struct gram_key {
    size_t n;
    char p[];
};

enum gram_phase {
    GRAM_P_OPEN,
    GRAM_P_KEY,   /* in a name */
    GRAM_P_REST,  /* in another key; with it: what of it was read */
    GRAM_P_COLON, /* with it: which value follows */
    GRAM_P_VALUE,
    GRAM_P_COMMA
};

#define GRAM_PHASE(at)      ((uint32_t)((at) >> 32))
#define GRAM_WITH(at)       ((uint32_t)(at))
#define GRAM_POINT(p, with) ((uint64_t)(p) << 32 | (with))

struct gram_place {
    uint32_t bs, frame;
};

enum gram_state_flags {
    GRAM_MAY_END = 1,
    GRAM_CUT = 2 /* the limit on depth took something away */
};

/* The state of a text that only the limit on depth refuses: without places. */
#define GRAM_TOO_DEEP 1u

struct gram_set {
    uint32_t flags, n;
    struct gram_place place[];
};

/* The record of an object state: counts, then which were used of each rest, then which
 * properties were seen. */
struct gram_os {
    uint32_t obj;
    uint32_t pos; /* of ordered properties: the next one */
    uint64_t count;
    uint64_t word[]; /* of used keys, one set for each rest; then words of the set of seen */
};

struct gram_os_facts {
    int made, may_close;
    uint32_t names; /* those that may come: set of sorted names + 1; 0: none */
    int rest;       /* 1: other keys may come */
};

/* A state that somebody stands in while others are forgotten. */
struct gram_pin {
    gram_state s;
    struct gram_pin *next;
};

struct gram_item {
    uint32_t what, frame;
    int kind;
};

struct gram {
    struct gram_limits limits;
    struct err failed; /* what stuck */
    int finished;
    struct rx *rx;
    size_t heap;       /* bytes of arrays */
    struct arena kept; /* records of expressions and automata */
    struct arena walk; /* records of frames, states, object states */

    struct gram_vec node;    /* struct gram_node */
    struct gram_table same;  /* expressions by what they are; the record's number: by_node */
    struct gram_vec by_node; /* uint32_t: the node of a record in `same` */
    struct map64 lone;       /* of a literal's key: its set */
    struct gram_vec lits;    /* struct gram_lits */
    struct gram_vec obj;     /* struct gram_obj */

    struct gram_table cs, ranges, names, bs_keys; /* names: sets of sorted names */
    struct gram_vec bs;                           /* struct gram_bs */
    struct gram_vec range, range2;                /* scratch: struct gram_range */
    struct map64 sizes;                           /* of an rx_id: its place in size */
    struct gram_vec size;                         /* uint64_t */

    struct gram_table frames, states, os, keys, key_sets;
    struct gram_vec os_facts; /* struct gram_os_facts */
    struct map64 raw;         /* (raw text, byte): a longer raw text */
    struct gram_vec raws;     /* uint64_t: (shorter raw text, byte) */
    struct map64 steps;       /* (state, byte): state */
    gram_state start;
    struct gram_pin *pins;
    uint32_t epoch; /* how often states were given other numbers */

    /* scratch of one step */
    struct buf text;
    struct gram_vec items;  /* struct gram_item */
    struct gram_vec places; /* struct gram_place */
    struct gram_vec seen;   /* uint64_t slots of a hash set */
    struct gram_vec seen_at;
    size_t n_seen;
    uint32_t seen_now;
    uint32_t flags;
};

/* -- gram_store.c --------------------------------------------------------------------- */

/* Keeps the first thing that went wrong; returns its code. */
int gram_fail(struct gram *g, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What a refused allocation means: a limit or no memory. */
int gram_full(const struct gram *g, struct err *e);
/* Room for n more of size bytes. Fails: E_TOO_LONG, E_NOMEM, without words. */
MUST_CHECK int gram_room(struct gram *g, struct gram_vec *v, size_t more, size_t size);
void *gram_keep(struct gram *g, struct arena *a, const void *p, size_t n); /* NULL: full */
void gram_vec_done(struct gram_vec *v);
void gram_give(struct gram *g, struct gram_vec *v, size_t size); /* frees what was counted */
MUST_CHECK int gram_table_init(struct gram *g, struct gram_table *t);
void gram_table_done(struct gram_table *t);
/* Empty tables for frames and states. Fails: E_NOMEM. */
MUST_CHECK int gram_walk_init(struct gram *g);
/* The number of a text: 0: full. */
uint32_t gram_key(struct gram *g, struct str s);
struct str gram_key_text(const struct gram *g, uint32_t key);
/* The number of a record; *fresh (may be NULL): 1 when it is new. 0: full. */
uint32_t gram_intern(struct gram *g, struct gram_table *t, struct arena *a, const void *rec,
                     size_t n, int *fresh);

/* As memcmp; of two that begin alike the shorter one is less. */
static inline int gram_text_order(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* -- gram_build.c --------------------------------------------------------------------- */

int gram_add(struct gram *g, const struct gram_node *n, gram_ref *out);

/* -- gram_object.c -------------------------------------------------------------------- */

static inline struct gram_obj *gram_obj_at(const struct gram *g, uint32_t i)
{
    return &GRAM_AT(struct gram_obj, g->obj)[i];
}

static inline int gram_bit(const uint64_t *set, uint32_t i)
{
    return (int)(set[i / 64] >> (i % 64) & 1);
}

static inline void gram_bit_set(uint64_t *set, uint32_t i)
{
    set[i / 64] |= (uint64_t)1 << (i % 64);
}

/* 1: with values as far as their heights are known, a whole object can be written. */
int gram_obj_live(struct gram *g, struct gram_obj *o, struct err *e);
/* What is usable and how high, when all heights are known. */
int gram_obj_finish(struct gram *g, struct gram_obj *o, struct err *e);

/* -- gram_os.c ------------------------------------------------------------------------ */

uint32_t gram_os_start(struct gram *g, uint32_t obj, struct err *e); /* 0: failed */
/* With one more property, or key of a rest (raw: as it was written). 0: failed. */
uint32_t gram_os_prop(struct gram *g, uint32_t os, uint32_t prop, struct err *e);
uint32_t gram_os_rest(struct gram *g, uint32_t os, uint32_t rest, uint32_t raw, struct err *e);
/* The number of a record that stood in another table. */
uint32_t gram_os_again(struct gram *g, const struct gram_os *s, struct err *e);
/* The first byte state of a rest's next key, or of the names that may come; *bs 0: none. */
MUST_CHECK int gram_os_key(struct gram *g, uint32_t os, uint32_t rest, uint32_t *bs,
                           struct err *e);
MUST_CHECK int gram_os_name(struct gram *g, uint32_t os, uint32_t names, uint32_t *bs,
                            struct err *e);
uint32_t gram_raw(struct gram *g, uint32_t raw, unsigned byte, struct err *e); /* 0: failed */

/* -- gram_keys.c ---------------------------------------------------------------------- */

/* Of a rest's word: how many keys were used, and which set they are, as far as they are known;
 * 0: none. */
#define GRAM_USED_N(w)   ((uint32_t)((w) >> 32))
#define GRAM_USED_SET(w) ((uint32_t)(w))

/* A set of keys: how many, then their numbers, sorted by their texts. */
static inline uint32_t gram_keys_in(const struct gram *g, uint32_t set)
{
    return set ? GRAM_REC(uint32_t, g->key_sets, set)[0] : 0;
}

/* In place of what was read of a key: the mask of tokens looks at all keys at once. */
#define GRAM_RAW_UNKNOWN UINT32_MAX

/* What may come next; keys only whose value needs no more than `height` frames. */
MUST_CHECK int gram_os_facts(struct gram *g, uint32_t os, uint32_t height,
                             struct gram_os_facts *out, struct err *e);

/* -- gram_points.c: states over code points ------------------------------------------- */

uint32_t gram_cs(struct gram *g, const struct gram_cs *c, struct err *e); /* 0: failed */
int gram_cs_accepts(const struct gram *g, uint32_t cs);                   /* 0, or 1 + pay */
/* Its edges into g->range. */
MUST_CHECK int gram_cs_edges(struct gram *g, uint32_t cs, struct err *e);
/* How many texts match, GRAM_INF also for very many. */
MUST_CHECK int gram_rx_size(struct gram *g, rx_id rx, uint64_t *out, struct err *e);

/* -- gram_bytes.c: states over bytes -------------------------------------------------- */

uint32_t gram_bs(struct gram *g, const struct gram_bs_key *key, struct err *e); /* 0: failed */
/* The first state of a terminal. */
uint32_t gram_bs_start(struct gram *g, gram_ref terminal, struct err *e);
MUST_CHECK int gram_bs_make(struct gram *g, uint32_t bs, struct err *e); /* its row */
/* 1: from this state n characters of the classes lead on, whichever they are. */
MUST_CHECK int gram_bs_even(struct gram *g, uint32_t bs, uint32_t classes, uint32_t n,
                            struct err *e);
/* The class of an ASCII character, as a bit. */
uint32_t gram_class(unsigned char c);

static inline struct gram_bs *gram_bs_at(const struct gram *g, uint32_t id)
{
    return &GRAM_AT(struct gram_bs, g->bs)[id];
}

/* Of a state whose row is made. */
static inline uint32_t gram_bs_next(const struct gram_bs *s, unsigned char b)
{
    return s->row && b >= s->lo && b <= s->hi ? s->row[b - s->lo] : 0;
}

static inline struct gram_node *gram_at(const struct gram *g, gram_ref r)
{
    return &GRAM_AT(struct gram_node, g->node)[r];
}

/* -- gram_walk.c ---------------------------------------------------------------------- */

enum { GRAM_ENTER, GRAM_POP, GRAM_POP_EMPTY };

static inline const struct gram_frame *gram_frame_at(const struct gram *g, uint32_t f)
{
    return GRAM_REC(struct gram_frame, g->frames, f);
}

void gram_walk_begin(struct gram *g);
/* To be done: enter expression `what` on a frame, or pop the frame, on which something ended
 * of which `what` is known. */
MUST_CHECK int gram_walk_item(struct gram *g, int kind, uint32_t what, uint32_t frame,
                              struct err *e);
MUST_CHECK int gram_walk_enter(struct gram *g, gram_ref r, uint32_t frame, struct err *e);
MUST_CHECK int gram_walk_place(struct gram *g, uint32_t bs, uint32_t frame, struct err *e);
MUST_CHECK int gram_push(struct gram *g, const struct gram_frame *f, uint32_t *out,
                         struct err *e);
/* Does what is to be done until only places are left, and takes their state. */
MUST_CHECK int gram_walk_run(struct gram *g, gram_state *to, struct err *e);

/* -- gram_step.c ---------------------------------------------------------------------- */

MUST_CHECK int gram_begin(struct gram *g, gram_ref root, struct err *e);
/* Where one byte leads; *to 0: nowhere. */
MUST_CHECK int gram_step(struct gram *g, gram_state s, unsigned char b, gram_state *to,
                         struct err *e);
/* The state of g->places and g->flags; 0: there is none. */
MUST_CHECK int gram_take_state(struct gram *g, gram_state *to, struct err *e);
/* Where the text stands when what is on top of the frame has ended. */
MUST_CHECK int gram_pop(struct gram *g, uint32_t frame, uint32_t pay, gram_state *to,
                        struct err *e);

/* 1: the frame belongs to a key of the rest. */
int gram_is_rest(const struct gram *g, uint32_t frame);
/* 1: a key of the rest has begun where one before it is not known. */
int gram_is_guess(const struct gram *g, gram_state s);

/* -- gram_trim.c ---------------------------------------------------------------------- */

void gram_pin(struct gram *g, struct gram_pin *p);
void gram_unpin(struct gram *g, struct gram_pin *p);
/* When much was kept: forgets all states but those that are pinned, and the start; these get
 * other numbers. */
MUST_CHECK int gram_trim(struct gram *g, struct err *e);

static inline const struct gram_set *gram_set_at(const struct gram *g, gram_state s)
{
    return GRAM_REC(struct gram_set, g->states, s);
}

#endif
