#include "store/modelfile_text.h"

#include "base/utf8.h"

/* Reads one character of UTF-16: its length in bytes, and -1 for what is none. */
static size_t utf16_next(const unsigned char *p, size_t n, int big, int32_t *c)
{
    int32_t hi, lo;

    *c = -1;
    if (n < 2)
        return n;
    hi = p[!big] << 8 | p[big];
    if (hi < 0xd800 || hi > 0xdfff) {
        *c = hi;
        return 2;
    }
    if (n < 4 || hi > 0xdbff)
        return 2;
    lo = p[2 + !big] << 8 | p[2 + big];
    if (lo < 0xdc00 || lo > 0xdfff)
        return 2;
    *c = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
    return 4;
}

/* Whether a character is left out: controls, but tabs and line feeds. */
static int is_dropped(int32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

int modelfile_text(struct buf *out, struct str text, struct err *e)
{
    const unsigned char *b = (const unsigned char *)text.p;
    int big = text.n >= 2 && b[0] == 0xfe && b[1] == 0xff;
    int wide = big || (text.n >= 2 && b[0] == 0xff && b[1] == 0xfe);
    size_t i = wide ? 2 : text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    int line = 1, rc = 0;

    while (i < text.n && rc == 0) {
        int32_t c;
        char put[4];
        size_t n = wide ? utf16_next(b + i, text.n - i, big, &c)
                        : (size_t)utf8_next(text.p + i, text.n - i, &c);

        if (c < 0)
            return err_set(e, E_INVALID, "(line %d): bytes that are not %s", line,
                           wide ? "UTF-16" : "UTF-8");
        if (c == 0)
            return err_set(e, E_INVALID, "(line %d): a NUL byte: this is no Modelfile", line);
        line += c == '\n';
        if (!is_dropped(c))
            rc = buf_put(out, put, (size_t)utf8_put(c, put));
        i += n;
    }
    return rc < 0 ? err_set(e, rc, "no memory for a Modelfile of %zu bytes", text.n) : 0;
}
