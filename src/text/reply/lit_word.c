/* Numbers and words: which are values, and how JSON has them. */
#include "text/reply/lit.h"

#include <string.h>

static void put(struct reply_lit *l, const char *p, size_t n)
{
    int rc = l->fail ? l->fail : buf_put(l->out, p, n);

    l->fail = rc;
}

static void put_str(struct reply_lit *l, const char *s)
{
    put(l, s, strlen(s));
}

static int blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_number(const char *p, size_t n)
{
    size_t i = 0, from;

    i += i < n && p[i] == '-';
    from = i;
    while (i < n && digit(p[i]))
        i++;
    if (i == from || (i > from + 1 && p[from] == '0'))
        return 0;
    if (i < n && p[i] == '.') {
        from = ++i;
        while (i < n && digit(p[i]))
            i++;
        if (i == from)
            return 0;
    }
    if (i < n && (p[i] | 0x20) == 'e') {
        i++;
        i += i < n && (p[i] == '-' || p[i] == '+');
        from = i;
        while (i < n && digit(p[i]))
            i++;
        if (i == from)
            return 0;
    }
    return i == n;
}

void reply_lit_text(struct reply_lit *l, struct str s)
{
    put_str(l, "\"");
    for (size_t i = 0; i < s.n; i++)
        reply_lit_byte(l, s.p[i]);
    reply_lit_bytes_end(l);
    put_str(l, "\"");
}

int reply_lit_word(struct reply_lit *l)
{
    static const char *const words[][2] = {{"true", "true"},   {"false", "false"},
                                           {"null", "null"},   {"True", "true"},
                                           {"False", "false"}, {"None", "null"}};
    struct str w = {l->word, l->n_word};

    while (w.n && blank(w.p[w.n - 1]))
        w.n--;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_is(w, words[i][0])) {
            put_str(l, words[i][1]);
            return 1;
        }
    }
    if (is_number(w.p, w.n))
        put(l, w.p, w.n);
    else if (l->lang == REPLY_BARE && w.n)
        reply_lit_text(l, w);
    else
        return 0;
    return 1;
}
