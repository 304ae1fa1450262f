/* text.h - what the measurements of the text room share: a bench per file, bench/text_<name>.c,
 * with a function bench_<name> and a line in BENCH_TEXTS. Each prints a table of its own.
 *
 * All runs on one thread. Bytes per nanosecond times 1000 are MB/s.
 */
#ifndef HEARTH_BENCH_TEXT_H
#define HEARTH_BENCH_TEXT_H

#include "base/buf.h"

#define BENCH_TEXTS(X) X(tok) X(grammar)

struct bench_text {
    const char *shared; /* folder of the fixtures */
    const char *peer;   /* another's program, or NULL; each bench says what it asks of it */
    char **word;        /* what the caller asked for; none: everything */
    int n_word;
};

#define BENCH_TEXT_DECL(name) void bench_##name(const struct bench_text *b);
BENCH_TEXTS(BENCH_TEXT_DECL)
#undef BENCH_TEXT_DECL

/* 1 when the caller asked for nothing in particular, or for that name. */
int bench_text_wants(const struct bench_text *b, const char *name);
/* Nanoseconds of the processor, the best of several calls. */
double bench_text_ns(void (*fn)(void *ctx), void *ctx);
/* Ends the program. */
void bench_text_die(const char *what, const char *which);

#endif
