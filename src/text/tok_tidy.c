#include "text/kind.h"

#include <string.h>

/* In this order, each over the whole text. */
static const struct {
    const char *find, *put;
} rules[] = {
    {" ?", "?"},   {" !", "!"},   {" .", "."},     {" ,", ","},     {" ' ", "'"},
    {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}, {" n't", "n't"},
};

static size_t replace(char *text, size_t n, const char *find, const char *put)
{
    size_t n_find = strlen(find), n_put = strlen(put), to = 0, at = 0;

    while (at < n) {
        if (n - at >= n_find && memcmp(text + at, find, n_find) == 0) {
            memcpy(text + to, put, n_put);
            to += n_put;
            at += n_find;
        } else {
            text[to++] = text[at++];
        }
    }
    return to;
}

size_t tok_tidy(const struct tok *t, char *text, size_t n)
{
    for (size_t i = 0; t->tidy && i < sizeof(rules) / sizeof(*rules); i++)
        n = replace(text, n, rules[i].find, rules[i].put);
    return n;
}
