/* text_grammar.c - masks of tokens: what they cost before each token, and what a grammar costs.
 *
 * Texts under each grammar are cut into tokens, and the mask is asked for before each, first
 * with nothing cached but the vocabulary's trie, then again. Words choose grammars and
 * vocabularies; llama-bpe when no vocabulary is named.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "text.h"
#include "text/gram/gbnf.h"
#include "text/gram/mask.h"
#include "text/gram/schema.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXTS = 20, TOKENS_MAX = 100 * 1000, PROPS = 5000 };

static const char person[] =
    "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}, \"age\": "
    "{\"type\":"
    " \"integer\", \"minimum\": 0, \"maximum\": 150}, \"tags\": {\"type\": \"array\", "
    "\"items\": "
    "{\"type\": \"string\"}}, \"address\": {\"type\": \"object\", \"properties\": {\"street\": "
    "{\"type\": \"string\"}, \"zip\": {\"type\": \"string\", \"pattern\": \"^[0-9]{5}$\"}}, "
    "\"required\": [\"street\", \"zip\"]}}, \"required\": [\"name\", \"age\"]}";

static const char person_text[] =
    "{\"name\": \"Person @ of \xe6\x9d\xb1\xe4\xba\xac\", \"age\": @, \"tags\": [\"red\", "
    "\"no. @\", \"a longer text\\nwith lines\"], \"address\": {\"street\": \"@ Main "
    "Street\", "
    "\"zip\": \"12345\"}}";

static const char call[] =
    "{\"anyOf\": [{\"type\": \"object\", \"properties\": {\"name\": {\"const\": "
    "\"get_weather\"},"
    " \"arguments\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, "
    "\"unit\": {\"enum\": [\"celsius\", \"fahrenheit\"]}}, \"required\": [\"city\"], "
    "\"additionalProperties\": false}}, \"required\": [\"name\", \"arguments\"], "
    "\"additionalProperties\": false}, {\"type\": \"object\", \"properties\": {\"name\": "
    "{\"const\": \"search\"}, \"arguments\": {\"type\": \"object\", \"properties\": "
    "{\"query\": "
    "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 200}, \"limit\": {\"type\": "
    "\"integer\"}}, \"required\": [\"query\"], \"additionalProperties\": false}}, "
    "\"required\": "
    "[\"name\", \"arguments\"], \"additionalProperties\": false}]}";

static const char call_text[] =
    "{\"name\": \"search\", \"arguments\": {\"query\": \"what is no. @ "
    "of @ \xc3\xa9t\xc3\xa9\", \"limit\": @@}}";

static const char any[] = "{\"type\": \"object\"}";

static const char any_text[] =
    "{\"items\": [{\"id\": @, \"ok\": true, \"x\": [1.5, -2e3, null]}, {\"key@\": \"v@\", "
    "\"nested\": {\"deep\": {\"deeper\": [[], {}, \"end @\"]}}}]}";

static const char gbnf[] =
    "root ::= object\nvalue ::= object | array | string | number | (\"true\" | \"false\" | "
    "\"null\") ws\nobject ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws "
    "value)*)? "
    "\"}\" ws\narray ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\nstring ::= \"\\\"\" "
    "([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\" "
    "ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] "
    "[1-9]{0,15})? ws\nws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

static const char many_text[] =
    "{\"property @\": \"a\", \"property 1@\": \"b\", \"property 2@\": "
    "\"text\", \"property 3@\": \"\"}";

/* An object of PROPS properties. In texts @ is a number, each time another. */
static void many(struct buf *b)
{
    int rc = buf_str(b, "{\"additionalProperties\": false, \"properties\": {");

    for (int i = 0; rc == 0 && i < PROPS; i++)
        rc = buf_fmt(b, "%s\"property %d\": {\"type\": \"string\"}", i ? ", " : "", i);
    if (rc < 0 || buf_str(b, "}}") < 0)
        bench_text_die("no memory", "");
}

static const struct {
    const char *name, *grammar, *text;
    int writing;
} cases[] = {{"person", person, person_text, 0},    {"person, written", person, person_text, 1},
             {"call, written", call, call_text, 1}, {"any object", any, any_text, 0},
             {"json.gbnf", gbnf, any_text, 0},      {"5000 properties", NULL, many_text, 0}};

enum { N_CASE = sizeof(cases) / sizeof(*cases) };

static void must(int rc, const struct err *e)
{
    if (rc < 0)
        bench_text_die("", e->msg);
}

static struct gram *compile(int i, struct str text)
{
    struct schema_options o = {.writing = cases[i].writing};
    struct gram *g;
    gram_ref root;
    struct err e;

    must(gram_new(&g, NULL, &e), &e);
    if (cases[i].grammar == gbnf) {
        must(gbnf_parse(g, text, &root, &e), &e);
    } else {
        json_t *schema = json_loadb(text.p, text.n, 0, NULL);

        must(schema_add(g, schema, &o, &root, &e), &e);
        json_decref(schema);
    }
    must(gram_finish(g, root, &e), &e);
    return g;
}

/* -- masks --------------------------------------------------------------------------- */

struct times {
    float *us;
    size_t n;
};

/* The mask before each token of a text, and at its end. A space that the tokenizer puts in
 * front of everything is no part of the text. */
static void follow(struct mask *m, struct gram *g, const struct tok *t, struct str text,
                   uint32_t *bits, struct times *times)
{
    struct tok_ids ids = {0};
    size_t first = 0;
    struct err e;

    must(tok_encode(t, text.p, text.n, 0, &ids, &e), &e);
    if (ids.n && tok_piece(t, ids.id[0], 0).p[0] == ' ') {
        struct str s = tok_piece(t, ids.id[first++], 0);
        gram_state at = mask_state(m);

        must(gram_put(g, at, s.p + 1, s.n - 1, &at, NULL, &e), &e);
        mask_reset(m, at);
    }
    for (size_t i = first; i <= ids.n && times->n < TOKENS_MAX; i++) {
        uint64_t from = clock_ns();

        must(mask_fill(m, bits, &e), &e);
        times->us[times->n++] = (float)(clock_ns() - from) / 1000;
        if (i == ids.n)
            break;
        if (!(bits[ids.id[i] / 32] >> (ids.id[i] % 32) & 1))
            bench_text_die("the grammar does not allow its text: ", text.p);
        must(mask_accept(m, ids.id[i], &e), &e);
    }
    tok_ids_done(&ids);
}

static int by_time(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double average(const struct times *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->n; i++)
        sum += (double)t->us[i];
    return sum / (double)t->n;
}

static void pass(struct mask *m, struct gram *g, const struct tok *t, int which, uint32_t *bits,
                 struct times *times)
{
    times->n = 0;
    for (int i = 0; i < TEXTS; i++) {
        struct buf text;
        int k = 17 + i, rc = 0;

        buf_init(&text, SIZE_MAX);
        for (const char *p = cases[which].text; *p && rc == 0; p++) {
            rc = *p == '@' ? buf_fmt(&text, "%d", k) : buf_byte(&text, *p);
            k += *p == '@' ? 14 : 0;
        }
        if (rc < 0)
            bench_text_die("no memory", "");
        mask_reset(m, gram_start(g));
        follow(m, g, t, (struct str){text.p, text.n}, bits, times);
        buf_done(&text);
    }
}

static void measure(const struct tok *t, const struct mask_vocab *v, const char *vocab,
                    int which)
{
    struct times times = {.us = mem_alloc(TOKENS_MAX * sizeof(float))};
    uint32_t *bits = mem_alloc(MASK_WORDS(tok_count(t)) * sizeof(*bits));
    struct buf text;
    struct mask *m;
    struct gram *g;
    struct err e;
    uint64_t from;
    double compile_ms;

    if (!bits || !times.us)
        bench_text_die("no memory", "");
    buf_init(&text, SIZE_MAX);
    if (!cases[which].grammar)
        many(&text);
    else if (buf_str(&text, cases[which].grammar) < 0)
        bench_text_die("no memory", "");
    from = clock_ns();
    g = compile(which, (struct str){text.p, text.n});
    compile_ms = (double)(clock_ns() - from) / 1e6;
    must(mask_new(&m, g, v, &e), &e);
    pass(m, g, t, which, bits, &times);
    qsort(times.us, times.n, sizeof(*times.us), by_time);
    (void)printf("%-12s %-16s %8.2f %7zu %8.1f %8.1f %8.1f %8.1f", vocab, cases[which].name,
                 compile_ms, times.n, average(&times), (double)times.us[times.n / 2],
                 (double)times.us[times.n * 99 / 100], (double)times.us[times.n - 1]);
    pass(m, g, t, which, bits, &times);
    (void)printf(" %8.1f\n", average(&times));
    mask_free(m);
    gram_free(g);
    buf_done(&text);
    mem_free(times.us);
    mem_free(bits);
}

static void measure_vocab(const struct bench_text *b, const char *name)
{
    char path[512];
    struct mask_vocab *v;
    struct gguf *file;
    struct tok *t;
    struct err e;

    (void)snprintf(path, sizeof(path), "%s/vocab/%s.gguf", b->shared, name);
    must(gguf_open(&file, path, &e), &e);
    must(tok_new(&t, file, &e), &e);
    gguf_free(file);
    must(mask_vocab_new(&v, t, &e), &e);
    for (int i = 0; i < N_CASE; i++)
        measure(t, v, name, i);
    mask_vocab_free(v);
    tok_free(t);
}

void bench_grammar(const struct bench_text *b)
{
    (void)printf("%-12s %-16s %8s %7s %8s %8s %8s %8s %8s\n", "masks, us", "grammar",
                 "made, ms", "masks", "average", "50%", "99%", "most", "again");
    if (b->n_word == 0)
        measure_vocab(b, "llama-bpe");
    for (int i = 0; i < b->n_word; i++)
        measure_vocab(b, b->word[i]);
}
