/* What the local engine does with texts before and behind the engine: pairs, gaps, and which
 * tokens a text has. */
#include "local_test.h"

#include "fmt/gguf.h"
#include "serve/local_priv.h"

struct vocab {
    struct gguf *file;
    struct tok *tok;
};

static int vocab_open(struct vocab *v, const char *name)
{
    char path[256];
    struct err e = {0};

    (void)snprintf(path, sizeof(path), "../shared/vocab/%s.gguf", name);
    if (access(path, R_OK) != 0) {
        print_message("SKIP: %s is not there\n", path);
        return 0;
    }
    if (gguf_open(&v->file, path, &e) < 0 || tok_new(&v->tok, v->file, &e) < 0)
        fail_msg("%s", e.msg);
    return 1;
}

static void vocab_close(struct vocab *v)
{
    tok_free(v->tok);
    gguf_free(v->file);
}

/* The ids as the texts of their tokens. */
static void assert_ids(const struct vocab *v, const struct tok_ids *ids, const char *want)
{
    struct buf b;

    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < ids->n; i++) {
        struct str s = tok_text(v->tok, ids->id[i]);

        assert_int_equal(buf_fmt(&b, "%s%.*s", i ? " " : "", (int)s.n, s.p), 0);
    }
    assert_string_equal(b.p ? b.p : "", want);
    buf_done(&b);
}

static void test_pair(void **state)
{
    struct vocab v;
    struct tok_ids ids = {0};
    struct err e = {0};

    (void)state;
    if (!vocab_open(&v, "bert-bge"))
        skip();
    assert_int_equal(
        local_pair(v.tok, (struct str){0}, str_of("who"), str_of("me [SEP]"), &ids, &e), 0);
    /* What a user writes marks nothing. */
    assert_ids(&v, &ids,
               "[CLS] \xe2\x96\x81who [SEP] \xe2\x96\x81me \xe2\x96\x81[ "
               "\xe2\x96\x81sep \xe2\x96\x81] [SEP]");
    ids.n = 0;
    assert_int_equal(local_pair(v.tok, str_of("{document}[SEP]{query} is"), str_of("who"),
                                str_of("me"), &ids, &e),
                     0);
    assert_ids(&v, &ids, "[CLS] \xe2\x96\x81me [SEP] \xe2\x96\x81who \xe2\x96\x81is [SEP]");
    tok_ids_done(&ids);
    vocab_close(&v);
}

static void test_gap(void **state)
{
    struct gate_request *q;
    struct vocab v;
    struct tok_ids ids = {0};
    struct err e = {0};
    size_t dropped = 0;
    int left_out = 0;

    (void)state;
    if (!vocab_open(&v, "starcoder"))
        skip();
    q = ask_inputs(GATE_INFILL, "m", (const char *const[]){"int x y z"}, 1);
    q->suffix = str_of(" if go or");
    assert_int_equal(local_gap(q, v.tok, SIZE_MAX, &ids, &dropped, &left_out, &e), 0);
    assert_ids(
        &v, &ids,
        "<fim_prefix> int \u0120x \u0120y \u0120z <fim_suffix> \u0120if \u0120go \u0120or "
        "<fim_middle>");
    assert_int_equal(dropped, 0);
    /* What is nearest to the gap stays. */
    ids.n = 0;
    assert_int_equal(local_gap(q, v.tok, 7, &ids, &dropped, &left_out, &e), 0);
    assert_ids(&v, &ids,
               "<fim_prefix> \u0120x \u0120y \u0120z <fim_suffix> \u0120if <fim_middle>");
    assert_int_equal(dropped, 3);
    tok_ids_done(&ids);
    gate_request_free(q);
    vocab_close(&v);
    if (!vocab_open(&v, "bert-bge"))
        skip();
    q = ask_inputs(GATE_INFILL, "m", (const char *const[]){"x"}, 1);
    assert_int_equal(local_gap(q, v.tok, 9, &ids, &dropped, &left_out, &e), E_UNSUPPORTED);
    gate_request_free(q);
    vocab_close(&v);
}

/* -- tokens ----------------------------------------------------------------------------------
 */

static void put(struct local_tokens *t, const char *token)
{
    struct hearth_piece p = {.id = 1};

    assert_int_equal(local_tokens_put(t, NULL, &p, str_of(token)), 0);
}

/* Shows what is ready: "text" with "tok|tok|". */
static void show(struct local_tokens *t, int all, const char *text, const char *tokens)
{
    size_t k, n = local_tokens_ready(t, all, &k);
    char got[256] = "";

    assert_int_equal(n, strlen(text));
    assert_memory_equal(t->text.p ? t->text.p : "", text, n);
    for (size_t i = 0, at = 0; i < k; i++)
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%.*s|", (int)t->token[i].text.n,
                               t->token[i].text.p);
    assert_string_equal(got, tokens);
    local_tokens_shown(t, n, k);
}

static void say(struct local_tokens *t, const char *text)
{
    assert_int_equal(local_tokens_text(t, str_of(text)), 0);
}

static void test_tokens(void **state)
{
    struct local_tokens t;

    (void)state;
    local_tokens_init(&t, 1, 0);
    /* Markers are left out with their tokens. */
    put(&t, "<think>");
    show(&t, 0, "", "");
    put(&t, "a");
    say(&t, "a");
    show(&t, 0, "a", "a|");
    put(&t, "</th");
    put(&t, "ink>\n");
    put(&t, "Hi");
    say(&t, "Hi");
    show(&t, 0, "Hi", "Hi|");
    /* A character in two tokens; half a token waits. */
    put(&t, "\xc3");
    put(&t, "\xa9!");
    say(&t, "\xc3\xa9");
    show(&t, 0, "\xc3", "\xc3|");
    say(&t, "!");
    show(&t, 0, "\xa9!", "\xa9!|");
    /* At the end a token that a stop string cut is shown with what is left of it. */
    put(&t, "hello");
    say(&t, "he");
    show(&t, 0, "", "");
    show(&t, 1, "he", "hello|");
    local_tokens_done(&t);
    /* Nobody asked. */
    local_tokens_init(&t, 0, 0);
    put(&t, "x");
    say(&t, "xy");
    show(&t, 0, "xy", "");
    local_tokens_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
