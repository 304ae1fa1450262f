/* reply_priv.h - the inside of reply.h: how a format is written down, and the reader's state.
 *
 * A format is a list of steps: in a place, a literal, then something to read, then the next
 * place. Place 0 is outside of calls: its literals are the markers that stop the flow of text.
 * What a step reads is kept (raw), so that it can be given back as text when it was no call.
 *
 * Everything goes through one byte at a time, and decisions depend on the bytes so far only.
 *
 * Files    reply.c the flow of text and its markers; call.c the steps of a call; object.c calls
 *          that are JSON objects; param.c values between markers; tools.c what tools declare;
 *          lit*.c literals; reply_grammar.c and grammar_args.c grammars; fmt_*.c the formats;
 *          reply_list.c their list
 */
#ifndef HEARTH_TEXT_REPLY_REPLY_PRIV_H
#define HEARTH_TEXT_REPLY_REPLY_PRIV_H

#include "base/map.h"
#include "text/reply/lit.h"
#include "text/reply/reply.h"

enum {
    REPLY_PLACES = 16,
    REPLY_CALL_MAX = 16 << 20, /* bytes of a call */
    REPLY_CALLS_MAX = 4096,
    REPLY_NAME_MAX = 256, /* bytes of a name, an id, a key or a header */
    REPLY_MARKS_MAX = 96
};

/* -- formats ----------------------------------------------------------------------------- */

enum reply_act {
    REPLY_PASS,   /* nothing */
    REPLY_NAME,   /* the tool's name, up to `until`, or as long as it looks like a name */
    REPLY_TAKE,   /* an id, up to `until` */
    REPLY_IDNAME, /* functions.NAME:0, an id that says the name */
    REPLY_KEY,    /* a parameter's name, up to `until` */
    REPLY_VALUE,  /* its value, up to `until`: as its type says */
    REPLY_LINE,   /* the same; one newline on each side is not part of it */
    REPLY_STRING, /* a value that is a string */
    REPLY_DATA,   /* a value that is JSON */
    REPLY_NESTED, /* a value of elements (fmt_minimax.c); `until` and the key and ">" end it */
    REPLY_ARGS,   /* the arguments, a JSON object whose "{" is the literal */
    REPLY_OBJECT, /* the whole call, a JSON object whose "{" is the literal */
    REPLY_STRICT, /* the same; name and arguments must be there, and nothing unknown */
    REPLY_CALLED, /* arguments of Python behind "(" */
    REPLY_BRACES, /* arguments as {key:value} with the format's mark; "{" is the literal */
    REPLY_HEADER, /* a message's header, up to `until`: the format's function reads it */
    REPLY_DONE,   /* the call is complete: its parameters were between markers */
    REPLY_DROP    /* place 0 and `start` only: a marker that is not passed on */
};

struct reply_step {
    int at;
    const char *lit; /* "": nothing is expected, if no other literal fits; blanks count */
    int act;
    const char *until;
    int to;
};

/* How calls are written, for grammars: begin, then calls with sep between them, then end. In
 * these texts \1 stands for a number. */
struct reply_writing {
    const char *begin, *end, *sep;
    const char *before_name, *after_name, *after_args;
    int args; /* enum reply_act: REPLY_ARGS, REPLY_LINE, REPLY_VALUE, REPLY_STRING, ... */
    /* Of arguments one by one. after_string: behind the key of a string; NULL: as the others.
     */
    const char *before_key, *after_key, *after_string, *string_end, *after_value;
    int single; /* one call only */
    /* What begins text that is no call; calls behind it begin with sep. */
    const char *lead;
    /* A pattern of what must not be in such text; NULL: the markers of place 0 and `start`. */
    const char *forbid;
    const struct reply_writing *other; /* another way, of the first call */
};

struct reply_format {
    const char *name, *about;
    const struct reply_step *steps;
    int n_steps;
    unsigned soft; /* bits of places where no call is unfinished: what does not fit is text */
    unsigned may_end;     /* bits of places where the text may end: the call is whole */
    int start;            /* place where content begins; 0: outside */
    const char *think[2]; /* markers of reasoning that belong to the format */
    const char *mark;     /* around strings: REPLY_BRACES */
    const char *end;      /* of a turn: dropped at the end of the text */
    /* What may begin content under a grammar, and, not always, end it. NULL: nothing. */
    const char *heading[2], *closing;
    const struct reply_writing *writing;
};

#define REPLY_STEPS(a) .steps = (a), .n_steps = (int)(sizeof(a) / sizeof((a)[0]))

extern const struct reply_format *const reply_formats[]; /* NULL behind the last */
extern const char *const reply_ends[];                   /* ends of turns, of all models */

/* -- tools ------------------------------------------------------------------------------- */

enum { /* types of a schema, as bits; none: unknown, any */
       REPLY_T_STRING = 1,
       REPLY_T_NUMBER = 2,
       REPLY_T_OBJECT = 4,
       REPLY_T_ARRAY = 8,
       REPLY_T_BOOL = 16,
       REPLY_T_NULL = 32
};

struct reply_tools_of {
    struct map names; /* to an index into tools */
    const json_t *tools;
};

MUST_CHECK int reply_tools_init(struct reply_tools_of *t, const json_t *tools, struct err *e);
void reply_tools_done(struct reply_tools_of *t);
/* Index, or -1. What stands before the last "." may be left out of the name. */
int reply_tools_find(const struct reply_tools_of *t, struct str name);
struct str reply_tools_name(const struct reply_tools_of *t, int i);
const json_t *reply_tools_schema(const struct reply_tools_of *t, int i); /* NULL: none */
unsigned reply_schema_types(const json_t *schema);
const json_t *reply_schema_of(const json_t *schema, struct str key); /* of a property */
struct str reply_schema_key(const json_t *schema, size_t i);         /* p NULL: no such */

/* -- reading ----------------------------------------------------------------------------- */

enum reply_where {
    REPLY_AT_START, /* content may begin; blanks wait */
    REPLY_AT_TEXT,  /* in content */
    REPLY_AT_THINK, /* in reasoning */
    REPLY_AT_CALL   /* in the steps of the format */
};

enum reply_mark_kind { REPLY_M_STEP, REPLY_M_OPEN, REPLY_M_CLOSE, REPLY_M_END };

struct reply_mark {
    struct str text;
    int kind;                      /* enum reply_mark_kind */
    unsigned where;                /* bits of enum reply_where */
    const struct reply_step *step; /* of REPLY_M_STEP */
};

struct reply_object { /* a call that is a JSON object; object.c */
    int st, key, level, strict;
    int text;          /* the arguments are no object themselves */
    int named, n_args; /* 1: was there */
};

struct reply_param { /* a value between markers; param.c */
    struct buf key, value;
    const json_t *schema;
    struct str end[2]; /* what ends it: the longer one has a newline in front */
    int n_end;
    int stream; /* it is a string: written as it comes */
    int first;  /* nothing of it was read */
    int quoted; /* 1: in a string of its JSON; 2: behind a backslash there; guided only */
    char until[REPLY_NAME_MAX + REPLY_MARK_MAX];
};

struct reply {
    const struct reply_format *format;
    struct reply_style style;
    struct reply_tools_of tools;
    reply_sink *sink;
    void *ctx;
    int rc;       /* what ended it; sticks */
    int where;    /* enum reply_where */
    int back;     /* where a call that is none gives its text back */
    int said;     /* content was passed on */
    int began;    /* text, reasoning or a call was there */
    int skip_nl;  /* the next newline of reasoning is not part of it */
    int verbatim; /* nothing can be marked: all is content */
    int guided;   /* it is written under a grammar */
    int cut;      /* a limit ended the text: half a marker at its end is none of it */
    struct reply_mark marks[REPLY_MARKS_MAX];
    int n_marks;
    unsigned char first_byte[256]; /* bits of enum reply_where: a marker begins so */
    struct buf hold;               /* may become a marker */
    struct buf blank;              /* before hold: passed on if text follows */
    size_t ended;   /* bytes of blank to the end of its last end marker; 0: none */
    size_t content; /* bytes of blank before its first end marker */
    struct buf out; /* to be passed on, of one kind */
    int out_kind;

    /* A call. */
    struct buf raw;                /* its text so far */
    int place;                     /* of the format's steps */
    const struct reply_step *step; /* whose something is being read; NULL: between */
    struct buf lex;                /* a name, an id, a key, a value */
    int tool;                      /* index; -1: not known yet */
    int open;                      /* REPLY_CALL was passed on, its end not yet */
    int n_calls;
    struct buf id;   /* that waits for its event */
    struct buf held; /* arguments that came before the name */
    struct reply_lit lit;
    struct reply_object object;
    struct reply_param param;
    int n_params;
};

/* What something to read made of a byte. */
enum { REPLY_MORE, REPLY_READ, REPLY_AGAIN, REPLY_BAD };

/* reply.c: to pass on; what fails sticks in r->rc. */
void reply_say(struct reply *r, int kind, const char *p, size_t n);
void reply_event(struct reply *r, int kind, struct str name, struct str id);
void reply_keep(struct reply *r, int rc);         /* of a buffer */
struct buf *reply_out(struct reply *r, int kind); /* to append text of that kind */
void reply_leave(struct reply *r, int where);     /* where the text goes on */
int reply_is_markup(const struct buf *b);         /* it begins as words do not */

/* call.c */
void reply_call_enter(struct reply *r, const struct reply_step *s, int back);
int reply_call_run(struct reply *r,
                   int final); /* one decision about r->hold; 0: it needs more */
void reply_call_end(struct reply *r);
int reply_call_named(struct reply *r, struct str name); /* 1: a tool's; the call was opened */
void reply_call_done(struct reply *r);
/* The step of a place that needs no literal, or NULL. */
const struct reply_step *reply_call_nothing(const struct reply *r, int place);

/* object.c, param.c: begin, then byte by byte: one of REPLY_MORE, ... */
void reply_object_begin(struct reply *r, int strict);
int reply_object_put(struct reply *r, char c);
int reply_object_end(struct reply *r); /* the text ends within: 1 when the call is whole */
void reply_param_key(struct reply *r, struct str key);
void reply_param_begin(struct reply *r);
int reply_param_put(struct reply *r, char c);

/* fmt_*.c. A value of elements as JSON; 0: it is none, or *fail says why not. */
int reply_nested(struct str s, const json_t *schema, struct buf *out, int *fail);
/* Where a message with this header goes: 1, or 0 when it is no header. */
int reply_header(struct reply *r, struct str head);

#endif
