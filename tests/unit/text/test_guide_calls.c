/* Markers that are plain text, spelled by tokens that lie across their ends: whatever goes on a
 * text that is permitted may come. The guide's masks against the obvious way: every token's
 * bytes, put behind the text. */
#include "small.h"

#include "base/rng.h"
#include "text/guide.h"

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { N_PIECE = 200, TEXT_MAX = 512 };

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"],"
    "\"additionalProperties\":false}}}]";

/* Answers that are permitted in all of their beginnings, where calls are wanted (choice). */
static const struct {
    const char *format, *open, *close, *text;
    int choice;
} rows[] = {
    {"hermes", "", "",
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 12}}\n</tool_call>",
     REPLY_REQUIRED},
    {"hermes", "", "",
     "I'll <b>look</b>.\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
     "{\"a\":1}}\n</tool_call>",
     REPLY_AUTO},
    {"hermes", "<think>", "</think>",
     "<think>\nA tool?</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n"
     "</tool_call>",
     REPLY_AUTO},
    {"hermes", "<think>", "</think>",
     "<think>Yes</think><tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": "
     "1}}\n</tool_call>",
     REPLY_REQUIRED},
    {"nemotron2", "", "", "<TOOLCALL>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]</TOOLCALL>",
     REPLY_REQUIRED},
    {"nemotron2", "<think>", "</think>",
     "<think></think>So: <TOOLCALL>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]</TOOLCALL>",
     REPLY_AUTO},
    {"qwen3-xml", "<think>", "</think>",
     "<think>a</think>b<tool_call>\n<function=f>\n<parameter=a>\n12\n</parameter>\n</"
     "function>\n"
     "</tool_call>",
     REPLY_AUTO},
};

struct rig {
    struct small small;
    char name[N_PIECE][64];
    struct tok *tok;
    struct mask_vocab *vocab;
    struct reply_style style;
    struct gram *gram;
};

static int is_known(const struct small *s, const char *text)
{
    for (uint64_t i = 0; i < s->n; i++) {
        if (str_is(s->token[i], text))
            return 1;
    }
    return 0;
}

/* Pieces of the text are tokens, besides all bytes. */
static void add_pieces(struct rig *r, const char *text)
{
    size_t len = strlen(text);
    struct rng rng;

    rng_seed(&rng, 7);
    for (int i = 0; i < N_PIECE; i++) {
        size_t n = 2 + rng_u64(&rng) % 14, at = rng_u64(&rng) % (len - 2), k = 0;

        for (size_t j = 0; j < n && at + j < len; j++) {
            const char *c = r->small.bytes[(unsigned char)text[at + j]];

            memcpy(r->name[i] + k, c, strlen(c) + 1);
            k += strlen(c);
        }
        if (!is_known(&r->small, r->name[i]))
            small_add(&r->small, r->name[i], TOK_NORMAL, 0);
    }
}

static void rig_open(struct rig *r, size_t row)
{
    json_t *tools = json_loads(tools_text, 0, NULL);
    const struct reply_tools t = {tools, rows[row].choice, NULL, 1};
    gram_ref root = GRAM_NEVER;
    struct err e = {0};

    *r = (struct rig){.style = {.format = reply_find(str_of(rows[row].format))}};
    (void)snprintf(r->style.think_open, REPLY_MARK_MAX, "%s", rows[row].open);
    (void)snprintf(r->style.think_close, REPLY_MARK_MAX, "%s", rows[row].close);
    small_bpe(&r->small);
    add_pieces(r, rows[row].text);
    r->tok = small_tok(&r->small);
    assert_int_equal(mask_vocab_new(&r->vocab, r->tok, &e), 0);
    assert_int_equal(gram_new(&r->gram, NULL, &e), 0);
    if (reply_grammar(r->gram, &r->style, &t, &root, &e) < 0 ||
        gram_finish(r->gram, root, &e) < 0)
        fail_msg("%s", e.msg);
    json_decref(tools);
}

static void rig_close(struct rig *r)
{
    mask_vocab_free(r->vocab);
    gram_free(r->gram);
    tok_free(r->tok);
}

static int begins(struct str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static int is_content(const struct rig *r, struct str s)
{
    gram_state to = 0;
    struct err e;

    assert_int_equal(gram_put(r->gram, gram_start(r->gram), s.p, s.n, &to, NULL, &e), 0);
    return to != 0;
}

/* Whether an answer may begin so. */
static int is_permitted(const struct rig *r, struct str s)
{
    size_t n_open = strlen(r->style.think_open), n_close = strlen(r->style.think_close);
    const char *close;

    if (n_open && s.n < n_open && memcmp(s.p, r->style.think_open, s.n) == 0)
        return 1;
    if (!n_open || !begins(s, r->style.think_open))
        return is_content(r, s);
    s = (struct str){s.p + n_open, s.n - n_open};
    close = s.n ? memmem(s.p, s.n, r->style.think_close, n_close) : NULL;
    if (!close)
        return 1;
    close += n_close;
    return is_content(r, (struct str){close, s.n - (size_t)(close - s.p)});
}

/* All tokens, each behind the first n bytes. */
static void compare(struct rig *r, struct guide *g, size_t row, size_t n)
{
    uint32_t bits[MASK_WORDS(SMALL_MAX)] = {0};
    char text[TEXT_MAX];
    struct err e = {0};
    int rc = guide_mask(g, bits, &e);

    if (rc < 0)
        fail_msg("%.*s: %s", (int)n, rows[row].text, e.msg);
    memcpy(text, rows[row].text, n);
    for (int id = 0; id < tok_count(r->tok); id++) {
        struct str s = tok_piece(r->tok, id, 1);
        int may = rc == GUIDE_ANY || (rc == GUIDE_MASK && (bits[id / 32] >> (id % 32) & 1));

        if (tok_is_eog(r->tok, id) || tok_type_of(r->tok, id) == TOK_CONTROL)
            continue;
        assert_true(n + s.n < sizeof(text));
        memcpy(text + n, s.p, s.n);
        if (may != is_permitted(r, (struct str){text, n + s.n}))
            fail_msg("%s: '%.*s' is %sallowed behind '%.*s'", rows[row].format, (int)s.n, s.p,
                     may ? "" : "not ", (int)n, rows[row].text);
    }
}

static struct guide *guide_make(const struct rig *r)
{
    struct guide *g = NULL;
    struct err e = {0};
    struct guide_options o = {
        .gram = r->gram, .vocab = r->vocab, .tok = r->tok, .style = &r->style, .may_think = 1};

    assert_int_equal(guide_new(&g, &o, &e), 0);
    return g;
}

static void take(struct guide *g, int id)
{
    struct err e = {0};

    if (guide_accept(g, id, &e) < 0)
        fail_msg("token %d: %s", id, e.msg);
}

static void test_bytes(void **state)
{
    static struct rig r;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct guide *g;

        rig_open(&r, i);
        g = guide_make(&r);
        for (size_t n = 0; n <= strlen(rows[i].text); n++) {
            compare(&r, g, i, n);
            if (rows[i].text[n])
                take(g, (unsigned char)rows[i].text[n]);
        }
        if (!guide_may_end(g))
            fail_msg("not whole: %s", rows[i].text);
        guide_free(g);
        rig_close(&r);
    }
}

/* A token that the text goes on with. */
static int next_token(const struct rig *r, struct rng *rng, const char *rest)
{
    int best = -1, n = 0;

    for (int id = 0; id < tok_count(r->tok); id++) {
        struct str s = tok_piece(r->tok, id, 1);

        if (s.n && s.n <= strlen(rest) && memcmp(rest, s.p, s.n) == 0 &&
            tok_type_of(r->tok, id) != TOK_CONTROL && rng_u64(rng) % (uint64_t)++n == 0)
            best = id;
    }
    return best;
}

/* The same by tokens that lie across the ends of markers: what was taken counts alike. */
static void test_pieces(void **state)
{
    static struct rig r;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 11);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rig_open(&r, i);
        for (int k = 0; k < 20; k++) {
            struct guide *g = guide_make(&r);

            for (size_t n = 0; n < strlen(rows[i].text);) {
                int id = next_token(&r, &rng, rows[i].text + n);

                compare(&r, g, i, n);
                take(g, id);
                n += tok_piece(r.tok, id, 1).n;
            }
            if (!guide_may_end(g))
                fail_msg("not whole: %s", rows[i].text);
            guide_free(g);
        }
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
