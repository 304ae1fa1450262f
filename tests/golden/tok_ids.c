/* Encodes many texts, or cuts them by a pre-tokenizer, for the scripts beside it.
 *
 *     tok_ids FILE.gguf | pre:NAME <records
 *
 * A record is two little-endian 32-bit numbers, flags of tok_encode and a length, and as many
 * bytes. A line of numbers comes out for each: ids, or the lengths of the words. */
#include "text/pre.h"
#include "text/tok.h"

#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what)
{
    (void)fprintf(stderr, "tok_ids: %s\n", what);
    exit(1);
}

static struct tok *open_tok(const char *path)
{
    struct gguf *g;
    struct tok *t = NULL;
    struct err e = {0};

    if (gguf_open(&g, path, &e) < 0 || tok_new(&t, g, &e) < 0)
        fail(e.msg);
    gguf_free(g);
    return t;
}

static void print_ids(const struct tok *t, struct str text, int flags)
{
    struct tok_ids ids = {0};
    struct err e = {0};

    if (tok_encode(t, text.p, text.n, flags, &ids, &e) < 0)
        fail(e.msg);
    for (size_t i = 0; i < ids.n; i++)
        (void)printf(i ? " %d" : "%d", (int)ids.id[i]);
    (void)putchar('\n');
    tok_ids_done(&ids);
}

static void print_words(const struct pre *pre, struct str text)
{
    struct pre_iter it;
    struct str word;
    const char *gap = "";

    pre_iter_init(&it, pre, text);
    for (; pre_iter_next(&it, &word); gap = " ")
        (void)printf("%s%zu", gap, word.n);
    (void)putchar('\n');
}

int main(int argc, char **argv)
{
    const struct pre *pre = NULL;
    struct tok *t = NULL;
    uint32_t head[2];
    char *text = NULL;

    if (argc != 2)
        fail("usage: tok_ids FILE.gguf | pre:NAME");
    if (strncmp(argv[1], "pre:", 4) == 0) {
        pre = pre_find(str_of(argv[1] + 4));
        if (!pre)
            fail("no such pre-tokenizer");
    } else {
        t = open_tok(argv[1]);
    }
    while (fread(head, sizeof(head), 1, stdin) == 1) {
        text = realloc(text, (size_t)head[1] + 1);
        if (!text || fread(text, 1, head[1], stdin) != head[1])
            fail("half a record");
        if (pre)
            print_words(pre, (struct str){text, head[1]});
        else
            print_ids(t, (struct str){text, head[1]}, (int)head[0]);
    }
    free(text);
    tok_free(t);
    return 0;
}
