/* What the local engine does with texts before and behind the engine: pairs, gaps, and which
 * tokens a text has. */
#include "local_test.h"

#include "fmt/gguf.h"
#include "serve/local_answer.h"

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

/* -- tokens ---------------------------------------------------------------------------- */

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

/* -- calls ----------------------------------------------------------------------------- */

#define TOOLS                                                                                  \
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":"     \
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]"
#define CALL                                                                                   \
    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"

struct talk {
    struct local_call c;
    struct local_answer a;
    struct sched_job *job;
    struct got got;
    json_t *tools;
    char log[4096];
};

static int log_sink(void *ctx, const struct gate_event *ev)
{
    static const char *const names[] = {"W", "Q", "L", "P", "", "R", "", "call ", "", ";"};
    struct talk *t = ctx;
    size_t at = strlen(t->log);
    struct str s = ev->kind == GATE_EV_CALL ? ev->name : ev->text;

    if (ev->kind <= GATE_EV_CALL_END)
        (void)snprintf(t->log + at, sizeof(t->log) - at, "%s%.*s", names[ev->kind], (int)s.n,
                       s.p ? s.p : "");
    else if (ev->kind == GATE_EV_FINISH)
        (void)snprintf(t->log + at, sizeof(t->log) - at, "=%d", ev->finish);
    return GATE_MORE;
}

static void talk_open(struct talk *t, int certain, int one_call)
{
    static const struct reply_style style_of_think = {.think_open = "<think>",
                                                      .think_close = "</think>"};
    struct reply_style style = style_of_think;
    struct err e = {0};

    *t = (struct talk){0};
    style.format = reply_find(str_of("hermes"));
    t->tools = json_loads(TOOLS, 0, NULL);
    t->c.sink = log_sink;
    t->c.ctx = t;
    t->c.q = ask(GATE_CHAT, "m");
    t->c.q->one_call = one_call;
    t->c.job = &t->job;
    t->c.n_job = 1;
    t->c.n_live = 2; /* its end is not what is looked at */
    (void)pthread_mutex_init(&t->c.emit, NULL);
    (void)pthread_mutex_init(&t->c.lock, NULL);
    t->a.c = &t->c;
    t->a.kind = GATE_EV_CONTENT;
    t->a.certain = certain;
    local_tokens_init(&t->a.tokens, 0, 0);
    buf_init(&t->a.clean, 1 << 20);
    buf_init(&t->a.name, 1 << 20);
    buf_init(&t->a.id, 1 << 20);
    buf_init(&t->a.arguments, 1 << 20);
    assert_int_equal(reply_new(&t->a.reply, &style, t->tools, 0, local_on_reply, &t->a, &e), 0);
}

static void talk_close(struct talk *t)
{
    reply_free(t->a.reply);
    local_tokens_done(&t->a.tokens);
    buf_done(&t->a.clean);
    buf_done(&t->a.name);
    buf_done(&t->a.id);
    buf_done(&t->a.arguments);
    gate_request_free(t->c.q);
    json_decref(t->tools);
}

/* The text a few bytes at a time, then the end. Returns what was said. */
static const char *talk(struct talk *t, const char *text, size_t step, int finish)
{
    struct hearth_stats st = {.finish = finish};
    struct sched_event ev = {.kind = SCHED_DONE, .stats = &st, .stop = -1};
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i += step) {
        struct hearth_piece p = {.text = text + i, .n_text = n - i < step ? n - i : step};
        struct sched_event piece = {.kind = SCHED_PIECE, .piece = &p};

        if (local_on_job(&t->a, &piece) < 0) { /* the job is cancelled */
            struct err why = {.code = E_CANCELLED};

            ev = (struct sched_event){.kind = SCHED_ERROR, .err = &why};
            (void)local_on_job(&t->a, &ev);
            return t->log;
        }
    }
    (void)local_on_job(&t->a, &ev);
    return t->log;
}

static void test_calls(void **state)
{
    static const struct {
        const char *text;
        int certain, one_call, finish;
        const char *said;
    } cases[] = {
        {"Well. " CALL CALL, 0, 0, HEARTH_FINISH_EOG,
         "Well.call weather{\"city\": \"Rome\"};call weather{\"city\": \"Rome\"};=3"},
        {"<think>Hm</think>" CALL, 1, 0, HEARTH_FINISH_EOG,
         "RHmcall weather{\"city\": \"Rome\"};=3"},
        {CALL CALL "x", 0, 1, HEARTH_FINISH_EOG, "call weather{\"city\": \"Rome\"};=3"},
        /* What is no call after all is text, and nothing of a call was said. */
        {"<tool_call>\n{\"name\": \"weather\", \"arguments\": [1]}\n</tool_call>", 0, 0,
         HEARTH_FINISH_EOG,
         "<tool_call>\n{\"name\": \"weather\", \"arguments\": [1]}\n</tool_call>=0"},
        {"<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", 0, 0,
         HEARTH_FINISH_EOG,
         "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>=0"},
        /* Cut: a call that was not said is none; one that was has an end. */
        {"A<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"ci", 0, 0,
         HEARTH_FINISH_LENGTH, "A=2"},
        {"A<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"ci", 1, 0,
         HEARTH_FINISH_LENGTH, "Acall weather{\"ci;=2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step < 40; step += 6) {
            struct talk t;
            char *one, *said;

            talk_open(&t, cases[i].certain, cases[i].one_call);
            said = (char *)(uintptr_t)talk(&t, cases[i].text, step, cases[i].finish);
            while ((one = strstr(said, "RR"))) /* reasoning in pieces */
                memmove(one, one + 1, strlen(one));
            if ((one = strstr(said, "HRm")))
                memmove(one + 1, one + 2, strlen(one + 1));
            assert_string_equal(said, cases[i].said);
            assert_int_equal(t.c.n_live, 1);
            talk_close(&t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
