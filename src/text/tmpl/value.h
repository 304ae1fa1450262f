/* value.h - what templates compute with: dynamic values in the memory of one render.
 *
 * A value is two words, copied freely; what it points to lives in the room (an arena with a
 * budget) until the render ends, so nothing is ever freed one by one. Strings never change;
 * lists, dicts and namespaces do, and are shared by all who hold them.
 *
 * Strings carry marks: which of their bytes a user wrote (marked.h). Slices share bytes and
 * marks with what they were cut from. New strings are written with a struct value_build, which
 * takes pieces together with their marks; there is no other way, so no mark is lost by
 * oversight.
 *
 * Every function that returns an int gives 0 (or what it says) or a negative code, whose words
 * are then in the room's err; the interpreter puts the line in front. Work is paid for in steps
 * and in bytes of the room, so that no function runs longer than the budget.
 *
 * Threads  one per room
 * Uses     base/; jansson
 */
#ifndef HEARTH_TEXT_TMPL_VALUE_H
#define HEARTH_TEXT_TMPL_VALUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "text/tmpl/marked.h"
#include "text/tmpl/tmpl.h"

#include <jansson.h>
#include <stdint.h>

/* -- the room ------------------------------------------------------------------------- */

struct value_room {
    struct arena a;
    uint64_t steps, max_steps; /* taken; allowed */
    int depth, max_depth; /* of calls and nesting, now; allowed. value_enter, value_leave */
    struct err *e;        /* never NULL */
};

/* limits: NULL, or with zeros, for tmpl.h's defaults. */
void value_room_init(struct value_room *r, const struct tmpl_limits *limits, struct err *e);
void value_room_done(struct value_room *r);

/* Sets the err and returns code. */
void value_say(struct value_room *r, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A macro, so that whoever reads the code sees that what it gives is negative. */
#define value_fail(room, code, ...) (value_say((room), (code), __VA_ARGS__), (code))
/* The code of what went wrong before. */
static inline int value_failed(const struct value_room *r)
{
    return r->e->code < 0 ? r->e->code : E_INTERNAL;
}
/* Takes n steps. Fails: E_TOO_LONG. */
MUST_CHECK int value_pay(struct value_room *r, uint64_t n);
/* n bytes. NULL: E_TOO_LONG or E_NOMEM, which is in r->e->code, too. */
void *value_alloc(struct value_room *r, size_t n);
/* Around everything that may nest without end. Fails: E_TOO_LONG. */
MUST_CHECK int value_enter(struct value_room *r);
void value_leave(struct value_room *r);

/* -- values --------------------------------------------------------------------------- */

enum value_kind {
    VALUE_UNDEF, /* no such variable, member or item */
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STR,
    VALUE_LIST,
    VALUE_TUPLE, /* a list that does not change and may be a key */
    VALUE_DICT,
    VALUE_NAMESPACE, /* a dict whose members may be set by name */
    VALUE_OBJ        /* an interpreter's own: functions, loops */
};

struct value {
    uint16_t kind; /* enum value_kind */
    uint16_t from; /* undefined: of which kind the owner was + 1, 0: a variable; of other kinds
                      an interpreter's own note, 0 in new values */
    union {
        int64_t i; /* also of a bool */
        double f;
        struct value_text *s; /* undefined: its name, or NULL */
        struct value_list *l; /* list, tuple */
        struct value_dict *d; /* dict, namespace */
        struct value_obj *o;
    };
};

struct value_text {
    const char *p;           /* not NUL-terminated; may lie in the JSON or the template */
    size_t n;                /* bytes: UTF-8 */
    const struct mark *mark; /* n_mark of them, as in marked.h; the last may end behind n */
    size_t n_mark;
    size_t n_char;            /* code points; SIZE_MAX: not yet counted (value_chars) */
    size_t spare, spare_mark; /* room behind p + n and mark + n_mark that this one may take */
    struct mark one;          /* where mark points when there is one */
};

struct value_list {
    struct value *v;
    size_t n, cap;
};

struct value_entry {
    struct value key, val; /* key.kind VALUE_UNDEF: was deleted */
};

/* In the order in which keys were first set. */
struct value_dict {
    struct value_entry *entry;
    size_t n, cap, live; /* n counts deleted ones, live does not */
    uint32_t *slot;      /* n_slot, a power of two: index of an entry + 1; none when few */
    size_t n_slot;
};

/* The head of an interpreter's object. */
struct value_obj {
    const char *type; /* its name in messages; which object it is, is known by this pointer */
    int is_false;     /* as a condition */
};

static inline struct value value_undef(void)
{
    return (struct value){.kind = VALUE_UNDEF};
}

static inline struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}

static inline struct value value_bool(int b)
{
    return (struct value){.kind = VALUE_BOOL, .i = !!b};
}

static inline struct value value_int(int64_t i)
{
    return (struct value){.kind = VALUE_INT, .i = i};
}

static inline struct value value_float(double f)
{
    return (struct value){.kind = VALUE_FLOAT, .f = f};
}

static inline struct value value_of_obj(struct value_obj *o)
{
    return (struct value){.kind = VALUE_OBJ, .o = o};
}

static inline int value_is_dict(struct value v)
{
    return v.kind == VALUE_DICT || v.kind == VALUE_NAMESPACE;
}

static inline int value_is_list(struct value v)
{
    return v.kind == VALUE_LIST || v.kind == VALUE_TUPLE;
}

/* "str", "int", "list", ...: as Python calls them. */
const char *value_type_name(struct value v);

/* Python's and Go's agree: undefined, none, false, 0, 0.0 and what is empty are false; objects
 * are what they say. */
int value_true(struct value v);

/* 1 or 0; numbers of all kinds compare with each other, lists and dicts by what is in them.
 * Fails: E_TOO_LONG too deep, or too many steps. */
MUST_CHECK int value_eq(struct value_room *r, struct value a, struct value b);

/* *out -1, 0, 1: numbers, strings by code point, lists item by item; 2: one is not a number
 * (NaN). Fails: E_INVALID what has no order; as value_eq. */
MUST_CHECK int value_order(struct value_room *r, struct value a, struct value b, int *out);

/* Sorts n values in place, stably; key: what is compared of each (NULL: itself), as an array of
 * n values that moves along. reverse: descending, equal ones still in their order. */
MUST_CHECK int value_sort(struct value_room *r, struct value *v, struct value *key, size_t n,
                          int reverse);

/* -- strings -------------------------------------------------------------------------- */

/* Bytes that outlive the room: not copied. */
MUST_CHECK int value_str(struct value_room *r, struct str s, int user, struct value *out);

static inline struct str value_bytes(struct value v) /* of a VALUE_STR */
{
    return (struct str){v.s->p, v.s->n};
}

static inline int value_is(struct value v, const char *s) /* a string, and that one */
{
    return v.kind == VALUE_STR && str_is(value_bytes(v), s);
}

/* Bytes from..to of s, with their marks; nothing is copied. */
MUST_CHECK int value_cut(struct value_room *r, const struct value_text *s, size_t from,
                         size_t to, struct value *out);
/* a with b behind it. Appending to the same string again and again takes linear time. */
MUST_CHECK int value_concat(struct value_room *r, struct value a, struct value b,
                            struct value *out);
size_t value_chars(struct value_text *s); /* its length in code points */
size_t value_char_at(const struct value_text *s,
                     size_t i); /* byte offset of the ith; n at most */

/* The run of equal marks at byte `at` (< s->n): returns where it ends, and whose it is. Pass
 * the same *run (0 at first) while going forward. */
size_t value_run(const struct value_text *s, size_t at, size_t *run, int *user);
int value_user_at(const struct value_text *s, size_t at); /* whose the byte is */

/* A string under construction. After a failure puts do nothing and value_built fails. */
struct value_build {
    struct value_room *r;
    char *p;
    size_t n, cap;
    struct mark *mark;
    size_t n_mark, cap_mark;
    int rc;
};

void value_build(struct value_build *b, struct value_room *r);
void value_put(struct value_build *b, struct str s, int user);
void value_put_c(struct value_build *b, const char *s); /* the template's */
void value_put_char(struct value_build *b, int32_t cp, int user);
void value_put_text(struct value_build *b, const struct value_text *s);
void value_put_cut(struct value_build *b, const struct value_text *s, size_t from, size_t to);
void value_put_int(struct value_build *b, int64_t i);
/* The shortest digits that give f again: "0.1", "1e-07". As Python: with ".0" where there is no
 * point, exponents below -4 and from 16; go: as Go's JSON, without ".0", below -6 and from 21.
 */
void value_put_float(struct value_build *b, double f, int go);
MUST_CHECK int value_built(struct value_build *b, struct value *out);

/* -- lists and dicts ------------------------------------------------------------------ */

/* kind: VALUE_LIST or VALUE_TUPLE; room for cap items. */
MUST_CHECK int value_list(struct value_room *r, int kind, size_t cap, struct value *out);
MUST_CHECK int value_append(struct value_room *r, struct value list, struct value item);

/* kind: VALUE_DICT or VALUE_NAMESPACE */
MUST_CHECK int value_dict(struct value_room *r, int kind, struct value *out);
/* Fails: E_INVALID a key of a kind that cannot be one (list, dict). */
MUST_CHECK int value_set(struct value_room *r, struct value dict, struct value key,
                         struct value v);
MUST_CHECK int value_set_c(struct value_room *r, struct value dict, const char *key,
                           struct value v);
/* NULL: not there. It stands until the dict is changed. */
struct value_entry *value_find(struct value dict, struct value key);
struct value_entry *value_find_str(struct value dict, struct str key);
/* The value of a key, or undefined. */
struct value value_get(struct value dict, struct str key);
void value_delete(struct value dict, struct value_entry *entry);
/* The next entry from *i on, NULL at the end: for (size_t i = 0; (p = value_next(d, &i));) */
struct value_entry *value_next(struct value dict, size_t *i);

/* -- JSON ----------------------------------------------------------------------------- */

/* The strings, keys included, are borrowed and marked as `user` says. Fails: E_TOO_LONG too
 * deep; E_NOMEM. */
MUST_CHECK int value_of_json(struct value_room *r, const json_t *j, int user,
                             struct value *out);
/* Parses text; the strings are the user's if any byte of the text is. Fails: E_INVALID no JSON;
 * as value_of_json. */
MUST_CHECK int value_parse_json(struct value_room *r, const struct value_text *s,
                                struct value *out);

struct value_json {
    const char *item, *key; /* separators: ", " and ": " in Python, "," and ":" in Go */
    const char *indent;     /* a level's, or NULL: all on one line */
    int ascii;              /* escape everything past ASCII */
    int sort;               /* members by key */
    int go;                 /* as Go: <, >, &, U+2028 escaped; its form of numbers */
};

/* Strings keep their marks, also where a character is escaped; the rest is the template's.
 * Fails (in b->rc): E_INVALID undefined, objects, NaN in Go; E_TOO_LONG too deep. */
void value_put_json(struct value_build *b, struct value v, const struct value_json *how);

#endif
