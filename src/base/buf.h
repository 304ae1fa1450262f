/* buf.h - bytes: a borrowed view (str) and a growing, bounded buffer (buf).
 *
 * A buf must declare its maximum when it is made; what would pass it is refused whole, so
 * that no input can grow memory without end. The bytes are always followed by a NUL that is
 * not counted.
 *
 * Threads  a buf belongs to one thread at a time.
 */
#ifndef HEARTH_BASE_BUF_H
#define HEARTH_BASE_BUF_H

#include "base/err.h"

#include <stddef.h>
#include <string.h>

struct str {
    const char *p; /* not NUL-terminated */
    size_t n;      /* bytes */
};

static inline struct str str_of(const char *s)
{
    return (struct str){s, strlen(s)};
}

static inline int str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline int str_is(struct str a, const char *s)
{
    return str_eq(a, str_of(s));
}

struct buf {
    char *p;    /* NULL until the first byte */
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* n never passes this */
};

/* An empty buffer of at most max bytes. Nothing is allocated yet. */
void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; the buffer is empty and usable again */
void buf_clear(struct buf *b); /* n = 0; keeps the memory */

/* Appends. Fails: E_TOO_LONG past max, E_NOMEM; then the buffer is as it was. */
MUST_CHECK int buf_put(struct buf *b, const void *p, size_t n);
MUST_CHECK int buf_str(struct buf *b, const char *s);
MUST_CHECK int buf_byte(struct buf *b, int c);
MUST_CHECK int buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes room for n more bytes and returns where they begin (NULL: as above); the caller
 * writes them and adds to b->n. */
char *buf_reserve(struct buf *b, size_t n);

/* Drops the first n bytes (n <= b->n). */
void buf_shift(struct buf *b, size_t n);

#endif
