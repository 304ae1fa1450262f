#include "text/spaces.h"

#include "text/tok.h"

#include <stdio.h>

static const char mark[] = SPACES_MARK;

int spaces_escape(struct buf *out, struct str text, int add_space)
{
    size_t n_space = (size_t)add_space, run;
    char *at;

    for (size_t i = 0; i < text.n; i++)
        n_space += text.p[i] == ' ';
    buf_clear(out);
    /* Positions in the text are 32 bits. */
    if (text.n + n_space * SPACES_LEN >= UINT32_MAX)
        return E_TOO_LONG;
    at = buf_reserve(out, text.n + n_space * SPACES_LEN);
    if (!at)
        return E_NOMEM;
    if (add_space) {
        memcpy(at, mark, SPACES_LEN);
        at += SPACES_LEN;
    }
    for (size_t i = 0; i < text.n; i += run) {
        for (run = 0; i + run < text.n && text.p[i + run] != ' '; run++)
            *at++ = text.p[i + run];
        if (i + run < text.n) {
            memcpy(at, mark, SPACES_LEN);
            at += SPACES_LEN;
            run++;
        }
    }
    out->n = (size_t)(at - out->p);
    return 0;
}

/* -- cutting ------------------------------------------------------------------------- */

void spaces_see(struct spaces_joins *j, struct str token)
{
    for (size_t at = 1; at + SPACES_LEN <= token.n; at++) {
        if (memcmp(token.p + at, mark, SPACES_LEN) == 0)
            j->before[(unsigned char)token.p[at - 1]] = 1;
    }
}

void spaces_seen(struct spaces_joins *j)
{
    j->before[' '] = j->before[' '] || j->before[(unsigned char)mark[SPACES_LEN - 1]];
}

size_t spaces_piece(const struct spaces_joins *j, const char *p, size_t n)
{
    size_t end = 1;

    while (end < n && (p[end] != ' ' || j->before[(unsigned char)p[end - 1]]))
        end++;
    return end;
}

/* -- bytes --------------------------------------------------------------------------- */

void spaces_byte_ids(const struct vocab *v, int32_t id[256])
{
    for (int i = 0; i < 256; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
        id[i] = vocab_find(v, str_of(name));
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "<0xHH>" means, or -1. */
static int byte_of(struct str t)
{
    if (t.n != 6 || memcmp(t.p, "<0x", 3) != 0 || t.p[5] != '>' || hex(t.p[3]) < 0 ||
        hex(t.p[4]) < 0)
        return -1;
    return hex(t.p[3]) * 16 + hex(t.p[4]);
}

int spaces_text(const struct vocab *v, int id, struct buf *out)
{
    struct str x = v->text[id];
    int byte = v->type[id] == TOK_BYTE ? byte_of(x) : -1, rc = 0;

    if (byte >= 0)
        return buf_byte(out, byte);
    for (size_t i = 0; rc >= 0 && i < x.n; i++) {
        if (x.n - i >= SPACES_LEN && memcmp(x.p + i, mark, SPACES_LEN) == 0) {
            rc = buf_byte(out, ' ');
            i += SPACES_LEN - 1;
        } else {
            rc = buf_byte(out, (unsigned char)x.p[i]);
        }
    }
    return rc;
}
