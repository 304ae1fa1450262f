/* Masks against the obvious way: every token, tried alone. And texts that grow by random
 * tokens: they must never get stuck, and end as whole texts. */
#include "gram_make.h"

#include "../small.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/gram/mask.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define DIR "../shared/vocab/"

static struct rng rng;
static int n_done; /* texts that came to their end */

static int load(const char *name, struct tok **t)
{
    char path[256];
    struct gguf *file;
    struct err e = {0};

    (void)snprintf(path, sizeof(path), DIR "%s.gguf", name);
    if (access(path, R_OK) != 0) {
        print_message("SKIP: no %s\n", path);
        return 0;
    }
    if (gguf_open(&file, path, &e) < 0 || tok_new(t, file, &e) < 0)
        fail_msg("%s: %s", path, e.msg);
    gguf_free(file);
    return 1;
}

/* -- grammars ------------------------------------------------------------------------- */

static gram_ref json(struct gram *g)
{
    return make_json(g, 1);
}

static gram_ref record(struct gram *g)
{
    return make_record(g, 1, 0);
}

static gram_ref record_in_order(struct gram *g)
{
    return make_record(g, 0, 1);
}

/* Calls in the midst of any text. */
static gram_ref calls(struct gram *g)
{
    struct rx *r = gram_rx(g);
    rx_id mark = rx_text(r, str_of("<call>")), any = make_any(g);
    gram_ref text = gram_text(g, rx_not(r, rx_seq(r, any, rx_seq(r, mark, any))));
    gram_ref call[] = {gram_bytes(g, str_of("<call>")), make_record(g, 0, 0),
                       gram_bytes(g, str_of("</call>")), text};
    gram_ref all[] = {text, gram_repeat(g, gram_seq(g, call, 4), 0, 3)};

    return gram_seq(g, all, 2);
}

/* Strings and free text of so many characters. */
static gram_ref lengths(struct gram *g)
{
    struct rx *r = gram_rx(g);
    rx_id any = rx_any(r), low = make_range(g, 'a', 'z');
    gram_ref one[] = {
        gram_json_string(g, rx_repeat(r, any, 3, 12), 0),
        gram_json_string(g, rx_repeat(r, rx_alt(r, low, make_range(g, ' ', ' ')), 9, 40), 1),
        gram_text(g, rx_seq(r, rx_repeat(r, any, 5, 30), rx_text(r, str_of("."))))};

    return gram_list(g, gram_alt(g, one, 3), gram_bytes(g, str_of(", ")), 1, 5);
}

/* Words and signs, with ways to read a text that are many. */
static gram_ref words(struct gram *g)
{
    struct rx *r = gram_rx(g);
    rx_id letter = rx_alt(r, make_range(g, 'a', 'z'), make_range(g, 0xC0, 0x24F));
    gram_ref word = gram_text(g, rx_repeat(r, letter, 1, RX_INF)), expr = gram_rule(g);
    gram_ref sign[] = {gram_bytes(g, str_of(" ")), gram_bytes(g, str_of(", ")), GRAM_EMPTY};
    gram_ref group[] = {gram_bytes(g, str_of("(")), expr, gram_bytes(g, str_of(")"))};
    gram_ref one[] = {word, gram_seq(g, group, 3)};

    gram_rule_set(g, expr,
                  gram_list(g, gram_alt(g, one, 2), gram_alt(g, sign, 3), 1, GRAM_INF));
    return expr;
}

static const struct {
    const char *name;
    gram_ref (*make)(struct gram *);
} grammars[] = {
    {"any JSON", json},         {"a record", record}, {"a record in order", record_in_order},
    {"calls in a text", calls}, {"lengths", lengths}, {"words", words}};

enum { N_GRAMMAR = sizeof(grammars) / sizeof(*grammars) };

static struct gram *make(int which, size_t bytes)
{
    struct gram *g;
    struct err e = {0};

    if (gram_new(&g, &(struct gram_limits){.bytes = bytes}, &e) < 0 ||
        gram_finish(g, grammars[which].make(g), &e) < 0)
        fail_msg("%s: %s", grammars[which].name, e.msg);
    return g;
}

/* -- the obvious way ------------------------------------------------------------------ */

static int may_come(struct gram *g, gram_state s, const struct tok *t, int id)
{
    struct str piece = tok_piece(t, id, 0);
    int type = tok_type_of(t, id);
    gram_state to = 0;

    if (tok_is_eog(t, id))
        return gram_may_end(g, s);
    if (type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_UNUSED || !piece.n)
        return 0;
    assert_int_equal(gram_put(g, s, piece.p, piece.n, &to, NULL, NULL), 0);
    return to != 0;
}

static void compare(struct gram *g, gram_state s, const struct tok *t, const uint32_t *bits,
                    int n, const char *name, const struct buf *text)
{
    int count = 0;

    for (int i = 0; i < tok_count(t); i++) {
        int bit = (int)(bits[i / 32] >> (i % 32) & 1);

        count += bit;
        if (bit != may_come(g, s, t, i))
            fail_msg("%s: behind \"%s\" token %d \"%.*s\" is %s", name, text->p ? text->p : "",
                     i, (int)tok_piece(t, i, 0).n, tok_piece(t, i, 0).p,
                     bit ? "allowed" : "not allowed");
    }
    assert_int_equal(count, n);
}

/* One of those that are allowed; often one that brings the text to its end. */
static int choose(const struct tok *t, const uint32_t *bits, int hurry)
{
    int best = -1, best_score = -1, n = tok_count(t);

    for (int tries = 0; best < 0 || tries < 400; tries++) {
        int id = (int)(rng_u64(&rng) % (uint64_t)n), score = 0;
        struct str s;

        if (tries > 400) /* few are allowed: the next one */
            while (!(bits[id / 32] >> (id % 32) & 1))
                id = (id + 1) % n;
        if (!(bits[id / 32] >> (id % 32) & 1))
            continue;
        s = tok_piece(t, id, 0);
        for (size_t i = 0; i < s.n; i++)
            score += 2 * (strchr("\"]})", s.p[i]) != NULL) - (strchr("[{(", s.p[i]) != NULL);
        score = hurry || rng_u64(&rng) % 2 ? 10 + score + 20 * tok_is_eog(t, id) : 0;
        if (score > best_score) {
            best_score = score;
            best = id;
        }
    }
    return best;
}

/* Texts under a grammar; at `checks` places the mask is compared. */
static void generate(const struct tok *t, const struct mask_vocab *v, int which, int n_text,
                     int *checks)
{
    enum { TOKENS = 120 };
    struct gram *g = make(which, 0), *slow = make(which, (size_t)4 << 30);
    uint32_t *bits = mem_alloc(MASK_WORDS(tok_count(t)) * sizeof(*bits));
    struct mask *m;
    struct err e = {0};

    assert_int_equal(mask_new(&m, g, v, &e), 0);
    for (int i = 0; i < n_text; i++) {
        gram_state s = gram_start(slow);
        struct buf text;
        int done = 0;

        buf_init(&text, 1 << 20);
        mask_reset(m, gram_start(g));
        for (int k = 0; !done && k < 4 * TOKENS; k++) {
            int n = mask_fill(m, bits, &e), id;
            struct str piece;

            if (n <= 0)
                fail_msg("%s: behind \"%s\": %s", grammars[which].name, text.p, e.msg);
            if (*checks > 0 && rng_u64(&rng) % 3 == 0) {
                compare(slow, s, t, bits, n, grammars[which].name, &text);
                --*checks;
            }
            id = choose(t, bits, k > TOKENS);
            done = tok_is_eog(t, id);
            piece = tok_piece(t, id, 0);
            assert_int_equal(mask_accept(m, id, &e), 0);
            if (done)
                break;
            assert_int_equal(buf_put(&text, piece.p, piece.n), 0);
            assert_int_equal(gram_put(slow, s, piece.p, piece.n, &s, NULL, &e), 0);
            assert_true(s);
        }
        n_done += done;
        buf_done(&text);
    }
    mask_free(m);
    gram_free(slow);
    gram_free(g);
    mem_free(bits);
}

static void test_vocabularies(void **state)
{
    static const struct {
        const char *name;
        int checks;
    } all[] = {{"llama-spm", 60},
               {"gpt-2", 30},
               {"llama-bpe", 8},
               {"phi-3", 10},
               {"deepseek-coder", 20}};

    (void)state;
    rng_seed(&rng, 5);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct mask_vocab *v;
        struct tok *t;

        if (!load(all[i].name, &t))
            continue;
        assert_int_equal(mask_vocab_new(&v, t, NULL), 0);
        for (int k = 0; k < N_GRAMMAR; k++) {
            int checks = all[i].checks;

            generate(t, v, k, 4, &checks);
        }
        mask_vocab_free(v);
        tok_free(t);
        print_message("%s: %d texts of %d finished\n", all[i].name, n_done, 4 * (int)N_GRAMMAR);
        assert_true(n_done > 2 * N_GRAMMAR);
        n_done = 0;
    }
}

/* -- small vocabularies --------------------------------------------------------------- */

struct with {
    struct small s;
    struct tok *t;
    struct mask_vocab *v;
    struct gram *g;
    struct mask *m;
    uint32_t bits[MASK_WORDS(SMALL_MAX)];
};

static void with_init(struct with *w, gram_ref (*build)(struct gram *),
                      const struct gram_limits *limits)
{
    struct err e = {0};

    small_spm(&w->s);
    w->t = small_tok(&w->s);
    if (mask_vocab_new(&w->v, w->t, &e) < 0 || gram_new(&w->g, limits, &e) < 0 ||
        gram_finish(w->g, build(w->g), &e) < 0 || mask_new(&w->m, w->g, w->v, &e) < 0)
        fail_msg("%s", e.msg);
}

static void with_done(struct with *w)
{
    mask_free(w->m);
    gram_free(w->g);
    mask_vocab_free(w->v);
    tok_free(w->t);
}

static int find(const struct with *w, const char *text)
{
    int id = tok_find(w->t, str_of(text));

    assert_true(id >= 0);
    return id;
}

static int allowed(struct with *w, const char *text)
{
    int id = find(w, text);
    struct err e = {0};

    if (mask_fill(w->m, w->bits, &e) < 0)
        fail_msg("%s", e.msg);
    return (int)(w->bits[id / 32] >> (id % 32) & 1);
}

static void accept(struct with *w, const char *text)
{
    struct err e = {0};

    if (mask_accept(w->m, find(w, text), &e) < 0)
        fail_msg("%s", e.msg);
}

static gram_ref abc(struct gram *g)
{
    gram_ref part[] = {gram_bytes(g, str_of("abc b")), GRAM_EMPTY};

    part[1] = gram_repeat(g, gram_bytes(g, str_of("<s>")), 0, 1);
    return gram_seq(g, part, 2);
}

static void test_small(void **state)
{
    struct with w;
    struct err e = {0};

    (void)state;
    with_init(&w, abc, NULL);
    assert_int_equal(mask_fill(w.m, w.bits, &e), 4); /* a, ab, abc, and a as a byte */
    assert_true(allowed(&w, "ab"));
    assert_true(allowed(&w, "<0x61>"));
    assert_false(allowed(&w, "bc"));
    assert_false(allowed(&w, "\xe2\x96\x81"
                             "a"));
    assert_int_equal(mask_accept(w.m, find(&w, "bc"), &e), E_INVALID);
    assert_int_equal(mask_accept(w.m, find(&w, "</s>"), &e), E_INVALID);
    assert_int_equal(mask_accept(w.m, -1, &e), E_INVALID);
    assert_int_equal(mask_accept(w.m, 1 << 20, &e), E_INVALID);
    accept(&w, "a");
    accept(&w, "bc");
    assert_true(allowed(&w, "\xe2\x96\x81"));
    assert_false(allowed(&w, "\xe2\x96\x81"
                             "a"));
    accept(&w, "<0x20>");
    accept(&w, "b");
    /* The control token is no text, even where its text could stand; the end may come. */
    assert_false(allowed(&w, "<s>"));
    assert_true(allowed(&w, "<"));
    assert_true(allowed(&w, "</s>"));
    assert_int_equal(mask_accept(w.m, find(&w, "</s>"), &e), 0);
    accept(&w, "<");
    assert_false(allowed(&w, "</s>"));
    mask_reset(w.m, 0);
    assert_int_equal(mask_fill(w.m, w.bits, &e), E_INVALID);
    with_done(&w);
    mask_free(NULL);
    mask_vocab_free(NULL);
}

/* Without tokens for all bytes a grammar may want what cannot be written. */
static void test_cannot_write(void **state)
{
    struct with w;
    struct err e = {0};

    (void)state;
    small_spm(&w.s);
    for (int i = 0; i < 256; i++)
        w.s.type[3 + i] = TOK_CONTROL;
    w.t = small_tok(&w.s);
    assert_int_equal(mask_vocab_new(&w.v, w.t, &e), 0);
    assert_int_equal(gram_new(&w.g, NULL, &e), 0);
    assert_int_equal(gram_finish(w.g, gram_bytes(w.g, str_of("ad")), &e), 0);
    assert_int_equal(mask_new(&w.m, w.g, w.v, &e), 0);
    accept(&w, "a");
    assert_int_equal(mask_fill(w.m, w.bits, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "no token"));
    with_done(&w);
}

/* -- long texts in little memory ------------------------------------------------------ */

/* Counters make every state new; keys of any kind; nested values. */
static gram_ref counted(struct gram *g)
{
    struct gram_rest rest = {make_any(g), make_number(g)};
    struct gram_object o = make_object(g, NULL, 0, 0);
    struct gram_array a = make_array(g, GRAM_NEVER, 0);
    gram_ref item[] = {make_number(g), GRAM_NEVER};

    o.rest = &rest;
    o.n_rest = 1;
    item[1] = gram_object(g, &o);
    a.items = gram_alt(g, item, 2);
    a.max = 1000000;
    return gram_array(g, &a);
}

static void type(struct with *w, const char *text)
{
    for (; *text; text++) {
        char name[8];
        struct err e = {0};

        if (mask_fill(w->m, w->bits, &e) < 0)
            fail_msg("%s", e.msg);
        (void)snprintf(name, sizeof(name), "<0x%02X>", (unsigned)(unsigned char)*text);
        accept(w, name);
    }
}

static void test_long(void **state)
{
    struct with w;
    struct err e = {0};
    gram_state s;

    (void)state;
    with_init(&w, counted, &(struct gram_limits){.bytes = 1536 * 1024});
    type(&w, "[");
    for (int i = 0; i < 6000; i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "%d,{\"k%d\":1,\"k\":2},", i, i % 10);
        type(&w, text);
    }
    type(&w, "{\"abc\":1,");
    assert_int_equal(gram_put(w.g, mask_state(w.m), "\"abc\"", 5, &s, NULL, &e), 0);
    assert_int_equal(s, 0);
    type(&w, "\"ab\":1}]");
    assert_true(gram_must_end(w.g, mask_state(w.m)));
    mask_reset(w.m, gram_start(w.g)); /* it moved, too */
    type(&w, "[1]");
    with_done(&w);
}

/* When there is no memory to forget in, the text is lost: nothing stands in a place that has
 * another number now. */
static void test_no_room_to_forget(void **state)
{
    struct with w;
    struct err e = {0};
    int rc;

    (void)state;
    with_init(&w, counted, &(struct gram_limits){.bytes = 1536 * 1024});
    type(&w, "[");
    for (uint64_t i = 0; i < 100000 && mask_state(w.m); i++) {
        (void)mem_fail_at(1 + i % 8, 1);
        rc = mask_fill(w.m, w.bits, &e);
        (void)mem_fail_at(0, 0);
        assert_true(rc > 0 || mask_state(w.m) || rc == E_NOMEM);
        if (mask_state(w.m))
            type(&w, "1,");
    }
    assert_int_equal(mask_state(w.m), 0);
    assert_int_equal(gram_start(w.g), 0);
    assert_true(mask_fill(w.m, w.bits, &e) < 0);
    assert_true(mask_accept(w.m, find(&w, "<0x31>"), &e) < 0);
    with_done(&w);
}

/* -- what is certain ------------------------------------------------------------------ */

static gram_ref greeting(struct gram *g)
{
    gram_ref mood[] = {gram_bytes(g, str_of("good")), gram_bytes(g, str_of("bad"))};
    gram_ref part[] = {gram_bytes(g, str_of("{\"greeting\": \"hello world\", \"mood\": \"")),
                       gram_alt(g, mood, 2), gram_bytes(g, str_of("\"}\n"))};

    return gram_seq(g, part, 3);
}

static void check_forced(const struct tok *t, const char *before, const char *want,
                         int at_least)
{
    int32_t ids[64];
    struct mask_vocab *v;
    struct gram *g;
    struct mask *m;
    struct err e = {0};
    gram_state s;
    struct buf text;
    int n;

    assert_int_equal(mask_vocab_new(&v, t, &e), 0);
    assert_int_equal(gram_new(&g, NULL, &e), 0);
    assert_int_equal(gram_finish(g, greeting(g), &e), 0);
    assert_int_equal(mask_new(&m, g, v, &e), 0);
    assert_int_equal(gram_put(g, gram_start(g), before, strlen(before), &s, NULL, &e), 0);
    mask_reset(m, s);
    buf_init(&text, 1000);
    n = mask_forced(m, ids, 64, &e);
    assert_int_equal(mask_state(m), s);
    assert_true(n >= at_least);
    for (int i = 0; i < n; i++) {
        assert_int_equal(mask_accept(m, ids[i], &e), 0);
        assert_int_equal(buf_put(&text, tok_piece(t, ids[i], 0).p, tok_piece(t, ids[i], 0).n),
                         0);
    }
    if (strncmp(text.p ? text.p : "", want, text.n) != 0)
        fail_msg("\"%s\" is no part of \"%s\"", text.p, want);
    if (at_least > 1)
        assert_int_equal(mask_forced(m, ids, 1, &e) <= 1, 1);
    buf_done(&text);
    mask_free(m);
    gram_free(g);
    mask_vocab_free(v);
}

static void test_forced(void **state)
{
    static const char *const names[] = {"llama-spm", "gpt-2", "llama-bpe"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct tok *t;

        if (!load(names[i], &t))
            continue;
        check_forced(t, "", "{\"greeting\": \"hello world\", \"mood\": \"", 5);
        check_forced(t, "{\"greeting\": \"hello world\", \"mood\": \"", "", 0);
        check_forced(t, "{\"greeting\": \"hello world\", \"mood\": \"b", "ad\"}\n", 1);
        tok_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),  cmocka_unit_test(test_cannot_write),
        cmocka_unit_test(test_long),   cmocka_unit_test(test_no_room_to_forget),
        cmocka_unit_test(test_forced), cmocka_unit_test(test_vocabularies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
