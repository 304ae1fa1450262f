/* cmd_debug_grammar.c - `hearth debug grammar`: lines of stdin against a grammar.
 *
 * With a vocabulary each line also goes through the masks token by token, as a generation does,
 * and both must say the same.
 */
#include "cmd/cmd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "fmt/gguf.h"
#include "fmt/jbig.h"
#include "model/hf/hf.h"
#include "text/gram/gbnf.h"
#include "text/gram/mask.h"
#include "text/gram/schema.h"

#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 * 1024, TIMES_MAX = 1000 * 1000 };

struct options {
    const char *schema, *gbnf, *regex, *vocab;
    int writing, json, verbose;
};

/* clang-format off */
#define AT(f) offsetof(struct options, f)
static const struct opt_row rows[] = {
    {.name = "schema", .type = OPT_STR, .at = AT(schema), .arg = "FILE", .help = "a JSON Schema"},
    {.name = "writing", .type = OPT_FLAG, .at = AT(writing),
     .help = "the schema as a model is held to it: its order, little whitespace"},
    {.name = "gbnf", .type = OPT_STR, .at = AT(gbnf), .arg = "FILE", .help = "a grammar in GBNF"},
    {.name = "regex", .type = OPT_STR, .at = AT(regex), .arg = "RE",
     .help = "a regular expression, for whole lines"},
    {.name = "vocab", .type = OPT_STR, .at = AT(vocab), .arg = "MODEL",
     .help = "also token by token, through the masks of this model's vocabulary"},
    {.name = "json", .type = OPT_FLAG, .at = AT(json), .help = "a JSON object for each line"},
    {.name = "verbose", .type = OPT_FLAG, .at = AT(verbose), .help = "timings on stderr"},
};
/* clang-format on */

struct grammar {
    struct options opt;
    struct gram *g;
    struct gguf *file;
    struct tok *t;
    struct mask_vocab *v;
    struct mask *m;
    uint32_t *bits;
    float *us; /* of each mask */
    size_t n_us;
    uint64_t compile_ns, vocab_ns;
};

/* -- what is asked for ---------------------------------------------------------------- */

static int add_schema(struct grammar *c, struct str text, gram_ref *root, struct err *e)
{
    struct schema_options o = {.writing = c->opt.writing};
    json_t *schema;
    int rc =
        jbig_load(&schema, text, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, e);

    if (rc < 0)
        return err_wrap(e, E_INVALID, "no JSON");
    rc = schema_add(c->g, schema, &o, root, e);
    json_decref(schema);
    return rc;
}

static int add_regex(struct grammar *c, gram_ref *root, struct err *e)
{
    rx_id rx;
    int rc = rx_parse(gram_rx(c->g), str_of(c->opt.regex), 0, &rx, e);

    if (rc == 0)
        *root = gram_text(c->g, rx);
    return rc;
}

static int compile(struct grammar *c, struct err *e)
{
    const struct options *o = &c->opt;
    const char *path = o->schema ? o->schema : o->gbnf;
    uint64_t from;
    gram_ref root = GRAM_NEVER;
    struct buf text;
    int rc, read_it;

    if (!!o->schema + !!o->gbnf + !!o->regex != 1)
        return err_set(e, E_INVALID, "one of --schema, --gbnf and --regex is needed");
    buf_init(&text, FILE_MAX);
    rc = path ? cmd_read_file(path, &text, e) : 0;
    read_it = rc == 0;
    from = clock_ns();
    if (rc == 0)
        rc = gram_new(&c->g, NULL, e);
    if (rc == 0 && o->schema)
        rc = add_schema(c, (struct str){text.p, text.n}, &root, e);
    else if (rc == 0 && o->gbnf)
        rc = gbnf_parse(c->g, (struct str){text.p, text.n}, &root, e);
    else if (rc == 0)
        rc = add_regex(c, &root, e);
    if (rc < 0 && read_it)
        rc = err_wrap(e, rc, "--%s%s%s",
                      o->schema ? "schema"
                      : o->gbnf ? "gbnf"
                                : "regex",
                      path ? ": " : "", path ? path : "");
    if (rc == 0)
        rc = gram_finish(c->g, root, e);
    c->compile_ns = clock_ns() - from;
    buf_done(&text);
    return rc;
}

static int open_vocab(struct grammar *c, struct err *e)
{
    uint64_t from;
    int rc = hf_open_model(&c->file, c->opt.vocab, 0, e);

    if (rc == 0)
        rc = tok_new(&c->t, c->file, e);
    from = clock_ns();
    if (rc == 0)
        rc = mask_vocab_new(&c->v, c->t, e);
    c->vocab_ns = clock_ns() - from;
    if (rc == 0)
        rc = mask_new(&c->m, c->g, c->v, e);
    if (rc < 0)
        return rc;
    c->bits = mem_alloc(MASK_WORDS(tok_count(c->t)) * sizeof(*c->bits));
    c->us = mem_alloc(TIMES_MAX * sizeof(*c->us));
    return c->bits && c->us ? 0 : err_set(e, E_NOMEM, "no memory for masks");
}

/* -- a line as tokens ----------------------------------------------------------------- */

/* The ids of a line that stands behind another, so that no space is put in front. *from: the
 * first one of the line. 0: the tokens do not give the line back. */
static int line_ids(const struct tok *t, struct str line, struct tok_ids *ids, size_t *from,
                    struct err *e)
{
    struct buf text;
    size_t at = 0;
    int rc;

    *from = 0;
    buf_init(&text, line.n + 1);
    if (buf_byte(&text, '\n') < 0 || buf_put(&text, line.p, line.n) < 0)
        rc = err_set(e, E_NOMEM, "no memory for a line");
    else
        rc = tok_encode(t, text.p, text.n, 0, ids, e);
    buf_done(&text);
    if (rc < 0)
        return rc;
    while (*from < ids->n && *from < 2 && !str_is(tok_piece(t, ids->id[*from], 0), "\n"))
        ++*from;
    if (*from < ids->n && *from < 2) {
        ++*from;
    } else { /* the line's end is part of a longer token: without it then */
        *from = ids->n = 0;
        rc = tok_encode(t, line.p, line.n, 0, ids, e);
    }
    for (size_t i = *from; rc >= 0 && i < ids->n; i++) {
        struct str s = tok_piece(t, ids->id[i], 0);

        if (s.n > line.n - at || (s.n && memcmp(s.p, line.p + at, s.n) != 0))
            return 0;
        at += s.n;
    }
    return rc < 0 ? rc : at == line.n;
}

/* 1: the token may come, and was taken. */
static int take(struct grammar *c, int32_t id, struct err *e)
{
    uint64_t from = clock_ns();
    int rc = mask_fill(c->m, c->bits, e);

    if (c->n_us < TIMES_MAX)
        c->us[c->n_us++] = (float)(clock_ns() - from) / 1000;
    if (rc < 0)
        return rc;
    if (!(c->bits[id / 32] >> (id % 32) & 1))
        return 0;
    rc = mask_accept(c->m, id, e);
    return rc < 0 ? err_wrap(e, rc, "a token that its mask allows") : 1;
}

/* Goes through the masks; they must say what the bytes said: ok of them are fine, to end. */
static int check_tokens(struct grammar *c, struct str line, size_t ok, int whole, struct err *e)
{
    struct tok_ids ids = {0};
    size_t from, at = 0;
    int rc = line_ids(c->t, line, &ids, &from, e), more = rc;

    mask_reset(c->m, gram_start(c->g));
    for (size_t i = from; rc > 0 && more && i < ids.n; i++) {
        size_t n = tok_piece(c->t, ids.id[i], 0).n;

        more = rc = take(c, ids.id[i], e);
        if (rc >= 0 && rc != (at + n <= ok))
            rc = err_set(e, E_INTERNAL,
                         "the mask says %s to token %d at byte %zu, the bytes do not",
                         rc ? "yes" : "no", (int)ids.id[i], at);
        else if (rc >= 0)
            rc = 1;
        at += n;
    }
    if (rc > 0 && more && gram_may_end(c->g, mask_state(c->m)) != whole)
        rc = err_set(e, E_INTERNAL, "masks and bytes end in different places");
    tok_ids_done(&ids);
    return rc < 0 ? rc : 0;
}

/* -- lines ---------------------------------------------------------------------------- */

static int check_line(struct grammar *c, struct str line, unsigned long number, struct err *e)
{
    static const char *const words[] = {"incomplete", "accepted", "rejected"};
    gram_state s = 0;
    size_t ok = 0;
    int rc = gram_put(c->g, gram_start(c->g), line.p, line.n, &s, &ok, e), result;

    if (rc < 0)
        return err_wrap(e, rc, "line %lu", number);
    result = s ? gram_may_end(c->g, s) : 2;
    if (c->opt.json && s)
        (void)printf("{\"line\":%lu,\"result\":\"%s\"}\n", number, words[result]);
    else if (c->opt.json)
        (void)printf("{\"line\":%lu,\"result\":\"%s\",\"byte\":%zu}\n", number, words[result],
                     ok);
    else if (s)
        (void)printf("%s\n", words[result]);
    else
        (void)printf("rejected at byte %zu\n", ok);
    rc = c->m ? check_tokens(c, line, ok, result == 1, e) : 0;
    return rc < 0 ? err_wrap(e, rc, "line %lu", number) : 0;
}

static int check_lines(struct grammar *c, struct err *e)
{
    struct buf text;
    unsigned long number = 1;
    int rc;

    buf_init(&text, (size_t)1 << 30);
    rc = cmd_read_all(STDIN_FILENO, &text, e);
    for (size_t at = 0; rc == 0 && at < text.n; number++) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - text.p) - at : text.n - at;

        rc = check_line(c, (struct str){text.p + at, n}, number, e);
        at += n + 1;
    }
    buf_done(&text);
    return rc;
}

static int by_time(const void *a, const void *b)
{
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void print_times(struct grammar *c)
{
    double sum = 0;

    (void)fprintf(stderr, "grammar: %.3f ms\n", (double)c->compile_ns / 1e6);
    if (!c->n_us)
        return;
    qsort(c->us, c->n_us, sizeof(*c->us), by_time);
    for (size_t i = 0; i < c->n_us; i++)
        sum += (double)c->us[i];
    (void)fprintf(stderr,
                  "vocabulary: %.1f ms\nmasks: %zu, %.1f us on average, half under %.1f, "
                  "99%% under %.1f, all under %.1f\n",
                  (double)c->vocab_ns / 1e6, c->n_us, sum / (double)c->n_us,
                  (double)c->us[c->n_us / 2], (double)c->us[c->n_us * 99 / 100],
                  (double)c->us[c->n_us - 1]);
}

int cmd_debug_grammar(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug grammar --schema FILE | --gbnf FILE | --regex RE <LINES",
        .about = "Says of each line of stdin whether the grammar accepts it, would accept more "
                 "behind it, or rejects it, at which byte.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct grammar c = {0};
    struct err e = {0};
    int status, rc;

    if (cmd_options(&spec, argc, argv, &c.opt, 0, 0, &status) < 0)
        return status;
    rc = compile(&c, &e);
    if (rc == 0 && c.opt.vocab)
        rc = open_vocab(&c, &e);
    if (rc == 0)
        rc = check_lines(&c, &e);
    if (rc == 0 && c.opt.verbose)
        print_times(&c);
    mask_free(c.m);
    mask_vocab_free(c.v);
    tok_free(c.t);
    gguf_free(c.file);
    gram_free(c.g);
    mem_free(c.bits);
    mem_free(c.us);
    return rc < 0 ? cmd_fail(&e) : 0;
}
