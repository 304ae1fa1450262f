#include "model/arch/arch.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct arch *const list[] = {
#define X(name) &arch_##name,
    ARCH_LIST(X)
#undef X
};

const struct arch *arch_at(int i)
{
    return i >= 0 && (size_t)i < sizeof(list) / sizeof(*list) ? list[i] : NULL;
}

static int has_role(const struct arch *a, int role)
{
    for (int i = 0; i < a->n_tensor; i++) {
        if (a->tensors[i].role == role)
            return 1;
    }
    return 0;
}

static int keeps_state(const struct arch *a)
{
    return has_role(a, T_SSM_A);
}

const char *arch_features(const struct arch *a, char *line, size_t n)
{
    const struct {
        int is;
        const char *name;
    } feature[] = {
        {has_role(a, T_OUTPUT), "text"},
        {!has_role(a, T_OUTPUT), "embeddings"},
        {has_role(a, T_CLS_OUTPUT), "reranking"},
        {has_role(a, T_FFN_DOWN_EXPS), "experts"},
        {has_role(a, T_ATTN_KV_A), "latent attention"},
        {keeps_state(a), "state of constant size"},
        {a->nextn != NULL, "guesses ahead"},
    };
    size_t at = 0;

    line[0] = '\0';
    for (size_t i = 0; i < sizeof(feature) / sizeof(*feature) && at < n; i++) {
        if (feature[i].is)
            at += (size_t)snprintf(line + at, n - at, "%s%s", at ? ", " : "", feature[i].name);
    }
    return line;
}

/* Changes of a letter that make one name of the other (Levenshtein), of names below 64 bytes.
 */
static int distance(struct str a, const char *b)
{
    int row[64], n = (int)strlen(b);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        int before = row[0]++; /* row[j - 1] of the line above */

        for (int j = 1; j <= n; j++) {
            int above = row[j], best = before + (tolower((unsigned char)a.p[i]) != b[j - 1]);

            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            before = above;
        }
    }
    return row[n];
}

/* The less the likelier meant: names that begin alike come before those that look alike. */
static int unlikeness(struct str name, const char *of)
{
    size_t same = 0;

    while (same < name.n && of[same] == name.p[same])
        same++;
    return 2 * distance(name, of) - 3 * (int)same;
}

int arch_nearest(struct str name, const struct arch **near, int n)
{
    int found = 0;

    name.n = name.n < 63 ? name.n : 63;
    for (int i = 0; arch_at(i); i++) {
        const struct arch *a = arch_at(i);
        int at = found < n ? found : n, d = unlikeness(name, a->name);

        for (; at > 0 && d < unlikeness(name, near[at - 1]->name); at--) {
            if (at < n)
                near[at] = near[at - 1];
        }
        if (at < n)
            near[at] = a;
        found += found < n;
    }
    return found;
}

const struct arch *arch_find(struct str name)
{
    for (int i = 0; arch_at(i); i++) {
        if (str_is(name, arch_at(i)->name) ||
            (arch_at(i)->also && str_is(name, arch_at(i)->also)))
            return arch_at(i);
    }
    return NULL;
}
