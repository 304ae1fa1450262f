/* go_fmt.h - how printf's verbs write numbers and strings: go_verb.c, called by go_fmt.c. */
#ifndef HEARTH_TEXT_TMPL_GO_FMT_H
#define HEARTH_TEXT_TMPL_GO_FMT_H

#include "text/tmpl/go_value.h"

struct go_fmt {
    struct value_build *b;
    int32_t verb;
    int width, prec; /* 0: none; -1: none */
    int minus, plus, sharp, space, zero;
    int names; /* %+v: of fields */
};

/* The character at p, a replacement where there is none; returns its length. */
int go_fmt_rune(const char *p, size_t n, int32_t *cp);

/* s as wide as is asked for; user: whose it is. */
void go_fmt_pad(struct go_fmt *f, struct str s, int user);
/* A value that the verb cannot show: "%!d(string=x)". */
void go_fmt_bad(struct go_fmt *f, struct value v);

void go_fmt_int(struct go_fmt *f, int64_t i);
void go_fmt_float(struct go_fmt *f, double v);
void go_fmt_string(struct go_fmt *f, struct value s);

/* s in quotes, as a Go literal; ascii: with nothing past it. */
void go_fmt_quote(struct value_build *b, const struct value_text *s, int ascii);

/* 1: unicode.IsPrint. */
int go_fmt_printable(int32_t cp);

#endif
