#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    mem_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    size_t need, cap;
    char *p;

    if (b->n > b->max || n > b->max - b->n || n > (size_t)-1 - b->n - 1)
        return NULL;
    need = b->n + n + 1; /* the NUL */
    if (need <= b->cap)
        return b->p + b->n;
    cap = b->cap < 32 ? 64 : b->cap + b->cap / 2;
    if (cap < need)
        cap = need;
    p = mem_realloc(b->p, cap);
    if (!p)
        return NULL;
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
    char *at;

    if (n > b->max || b->n > b->max - n)
        return E_TOO_LONG;
    at = buf_reserve(b, n);
    if (!at)
        return E_NOMEM;
    if (n)
        memcpy(at, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return 0;
}

int buf_str(struct buf *b, const char *s)
{
    return buf_put(b, s, strlen(s));
}

int buf_byte(struct buf *b, int c)
{
    char ch = (char)c;

    return buf_put(b, &ch, 1);
}

int buf_fmt(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap;
    char *at;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return E_INTERNAL;
    if ((size_t)n < sizeof(small))
        return buf_put(b, small, (size_t)n);
    if ((size_t)n > b->max || b->n > b->max - (size_t)n)
        return E_TOO_LONG;
    at = buf_reserve(b, (size_t)n);
    if (!at)
        return E_NOMEM;
    va_start(ap, fmt);
    (void)vsnprintf(at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return 0;
}

void buf_shift(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}
