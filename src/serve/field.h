/* field.h - reading a request's JSON by a table: each field is honoured, refused by name, or
 * reported; none is ignored in silence.
 *
 * A row says everything about a field: its type, its range, where it goes. Fields that no row
 * has are listed as warnings, or refused when the client asked for strictness. Fields that we
 * know and do not do are rows too: FIELD_REFUSED with the reason, which values are harmless
 * (equal to what happens anyway) excepted.
 *
 * Uses     base/, fmt/; jansson
 */
#ifndef HEARTH_SERVE_FIELD_H
#define HEARTH_SERVE_FIELD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum field_type {
    FIELD_BOOL,    /* int, 0 or 1 */
    FIELD_INT,     /* int, min .. max; 40.0 is 40, 1.5 is none */
    FIELD_I64,     /* int64_t, min .. max (as far as a double says), and none is rounded */
    FIELD_FLOAT,   /* float, min .. max */
    FIELD_STR,     /* struct str, borrowed from the JSON; min .. max bytes (max 0: any) */
    FIELD_JSON,    /* json_t *, borrowed: whatever it is, null excepted */
    FIELD_OBJECT,  /* json_t *, borrowed: an object */
    FIELD_ARRAY,   /* json_t *, borrowed: an array of min .. max items (max 0: any number) */
    FIELD_CALL,    /* `read` decides */
    FIELD_NOTED,   /* known, and without effect here in any way that a client could tell: any
                      value that is what `is` says (user, metadata) */
    FIELD_REFUSED, /* not done here: refused, unless its value is `harmless`, null, or {} or []
                    */
    FIELD_WARNED   /* not done here, and the answer is right without it: a warning says so */
};

struct field_row {
    const char *name;
    int type;
    size_t at; /* offsetof in `into` */
    double min, max;
    int flags;                                               /* enum field_flag */
    int (*read)(void *into, const json_t *v, struct err *e); /* FIELD_CALL: fails with E_INVALID
                                                              and the rest of a sentence:
                                                              "is not ..." */
    const char *harmless; /* FIELD_REFUSED: JSON text of the value that changes nothing, or
                             several separated by '|' */
    const char *why;      /* FIELD_REFUSED, FIELD_WARNED: "is not supported", or what to do */
    int is; /* enum field_is, of FIELD_NOTED, FIELD_REFUSED and FIELD_WARNED: what the value
               must be all the same */
};

enum field_is {
    FIELD_IS_ANY,
    FIELD_IS_STR,
    FIELD_IS_INT,
    FIELD_IS_NUM,
    FIELD_IS_BOOL,
    FIELD_IS_ARRAY,
    FIELD_IS_OBJECT,
    FIELD_IS_STRS /* an object of strings */
};

enum field_flag {
    FIELD_NEEDED = 1, /* absent or null is an error; else null is as if absent */
    FIELD_ABOVE = 2,  /* min itself is not allowed */
    FIELD_CLAMP = 4,  /* past max is max, which a warning says; not past 64 bits */
    FIELD_ASKS = 8    /* FIELD_REFUSED: {} and [] ask for something, too */
};

struct field_report {
    int strict;          /* 1: unknown fields are errors */
    char param[96];      /* after a failure: the field, with its path ("options.top_k") */
    struct buf warnings; /* lines of text */
};

void field_report_init(struct field_report *r, int strict);
void field_report_done(struct field_report *r);
/* Adds a warning. Past a limit more of them are dropped. */
void field_warn(struct field_report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Reads o, which must be an object, by n rows; what is absent leaves its field alone. Rows of
 * one place are names of one thing, which may not differ. path: put in front of names in
 * messages ("options."), or "". Fails: E_INVALID with the field in front
 * of the message and in r->param; E_UNSUPPORTED a field that is refused; E_NOMEM. */
MUST_CHECK int field_read(const struct field_row *rows, size_t n, const char *path,
                          const json_t *o, void *into, struct field_report *r, struct err *e);

/* n bytes as JSON: strict (RFC 8259), UTF-8, no key twice in an object, at most FIELD_DEPTH
 * deep and of at most FIELD_VALUES values. Whole numbers past 64 bits: fmt/jbig.h. The caller
 * owns *out. Fails: E_INVALID what is wrong
 * and at which byte; E_NOMEM. */
enum { FIELD_DEPTH = 128, FIELD_VALUES = 2 << 20 };
MUST_CHECK int field_parse(json_t **out, struct str body, struct err *e);

#endif
