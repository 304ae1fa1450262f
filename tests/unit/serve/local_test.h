/* local_test.h - what tests of the local engine share: a store and a configuration of a few
 * names, and a client that keeps what it hears and judges the order of it. */
#ifndef HEARTH_TESTS_LOCAL_TEST_H
#define HEARTH_TESTS_LOCAL_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gate/provider.h"
#include "serve/config.h"
#include "serve/local.h"
#include "serve/metrics.h"
#include "store/store.h"
#include "text/tok.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TINY "../shared/models/stories260k.gguf"

/* Messages as [role|content]; tools are shown, calls are Hermes'. */
#define TEMPLATE                                                                               \
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"                             \
    "{% for m in messages %}[{{ m.role }}|{{ m.content }}"                                     \
    "{% for c in m.tool_calls or [] %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>"    \
    "{% endfor %}]{% endfor %}{% if add_generation_prompt %}[assistant|{% endif %}"

/* It reasons always: the prompt begins it. */
#define THINKS                                                                                 \
    "{% for m in messages %}[{{ m.role }}|{% if m.reasoning_content %}<think>\n"               \
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}]{% endfor %}"           \
    "{% if add_generation_prompt %}[assistant|<think>\n{% endif %}"

/* -- a store and a configuration --------------------------------------------------------- */

struct known {
    const char *name, *path, *template, *system, *params; /* path NULL: a file of its own */
};

static const struct known known[] = {
    {"tiny:latest", TINY, NULL, NULL, NULL},
    {"other:latest", NULL, NULL, NULL, NULL},
    {"talker:latest", NULL, TEMPLATE, "Be kind.", "{\"temperature\": 0, \"num_predict\": 12}"},
    {"thinker:latest", TINY, THINKS, NULL, "{\"temperature\": 0}"},
    {"wide:latest", TINY, NULL, NULL, "{\"num_ctx\": 128}"},
    {"broken:latest", TINY, "{% if x %}", NULL, NULL},
    {"mute:latest", "../shared/golden/models/qwen3.gguf", NULL, NULL, NULL}, /* no tokenizer */
    {"lost:latest", "/nowhere/at/all.gguf", NULL, NULL, NULL},
};

enum { N_KNOWN = sizeof(known) / sizeof(known[0]) };

/* Copies of TINY, for models that are to have a file of their own; removed at the end. */
static char own_file[N_KNOWN][64];
static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;

static void own_remove(void)
{
    for (int i = 0; i < N_KNOWN; i++) {
        if (own_file[i][0])
            (void)unlink(own_file[i]);
    }
}

static inline const char *own_path(int i)
{
    static int said;
    FILE *from, *to = NULL;
    char block[1 << 16];
    size_t n;
    int fd = -1;

    (void)pthread_mutex_lock(&own_lock);
    from = own_file[i][0] ? NULL : fopen(TINY, "rb");
    if (from) {
        if (!said++)
            (void)atexit(own_remove);
        (void)snprintf(own_file[i], sizeof(own_file[i]), "/tmp/hearth-test-XXXXXX");
        fd = mkstemp(own_file[i]);
        to = fd < 0 ? NULL : fdopen(fd, "wb");
        while (to && (n = fread(block, 1, sizeof(block), from)) > 0)
            (void)fwrite(block, 1, n, to);
        (void)(to ? fclose(to) : 0);
        (void)fclose(from);
    }
    (void)pthread_mutex_unlock(&own_lock);
    return own_file[i][0] ? own_file[i] : TINY;
}

#define WEAK __attribute__((weak))

static atomic_int edition; /* of all manifests */
static atomic_int removed; /* number of the one that the store has no more, from 1; 0: none */

WEAK int store_find(struct store *s, struct str name, struct store_model *out, struct err *e)
{
    (void)s;
    *out = (struct store_model){0};
    if (str_is(name, "slow")) /* and not there */
        (void)usleep(50000);
    for (int i = 0; i < N_KNOWN; i++) {
        const struct known *k = &known[i];
        size_t n = strcspn(k->name, ":");

        if (name.n == strlen(k->name))
            n = name.n;
        if (name.n != n || strncasecmp(name.p, k->name, n) != 0 ||
            atomic_load(&removed) == i + 1)
            continue;
        (void)snprintf(out->name, sizeof(out->name), "%s", k->name);
        out->path = k->path ? k->path : own_path(i);
        out->template = k->template ? str_of(k->template) : (struct str){NULL, 0};
        out->system = k->system ? str_of(k->system) : (struct str){NULL, 0};
        out->params = k->params ? json_loads(k->params, 0, NULL) : NULL;
        out->size = 1000;
        out->modified_ns = atomic_load(&edition);
        return 0;
    }
    return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
}

WEAK int store_from_path(struct store_model *out, const char *path, struct err *e)
{
    (void)e;
    *out = (struct store_model){.path = TINY};
    (void)snprintf(out->name, sizeof(out->name), "%s", path);
    return 0;
}

WEAK void store_model_done(struct store_model *m)
{
    json_decref(m->params);
    *m = (struct store_model){0};
}

WEAK void config_model(const struct config *c, const char *name, struct config_model *out)
{
    *out =
        (struct config_model){.name = name, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT};
    for (int i = 0; i < c->n_model; i++) {
        if (strcasecmp(c->model[i].name, name) == 0)
            *out = c->model[i];
    }
}

static atomic_int evicted, loads;
static char load_order[256];            /* names; under own_lock */
static atomic_int metric_put[METRIC_N]; /* what was put last, of any model */

WEAK void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                      const char *what, double value)
{
    (void)m, (void)model, (void)route, (void)what;
    if (id == METRIC_EVICTIONS)
        (void)atomic_fetch_add(&evicted, 1);
    if (id == METRIC_LOADS) {
        (void)atomic_fetch_add(&loads, 1);
        (void)pthread_mutex_lock(&own_lock);
        (void)snprintf(load_order + strlen(load_order), sizeof(load_order) - strlen(load_order),
                       "%s ", model);
        (void)pthread_mutex_unlock(&own_lock);
    }
    atomic_store(&metric_put[id], (int)value);
}

static inline struct config config_small(void)
{
    return (struct config){.n_thread = 1,
                           .n_parallel = 4,
                           .n_ctx = 256,
                           .kv = "f16",
                           .memory = (int64_t)4 << 30,
                           .keep_alive_ns = GATE_KEEP_FOREVER,
                           .share_prefixes = 1};
}

/* A copy that stays as it is: threads read it while the test changes its own. */
static inline const struct config *config_kept(const struct config *c)
{
    enum { KEPT = 256 };
    static struct config kept[KEPT];
    static int n;

    assert_true(n < KEPT);
    kept[n] = *c;
    return &kept[n++];
}

static inline struct local *local_make(const struct config *c)
{
    struct local *l = NULL;
    struct err e = {0};

    if (local_new(&l, config_kept(c), NULL, NULL, &e) < 0)
        fail_msg("%s", e.msg);
    return l;
}

#define NEEDS_TINY()                                                                           \
    do {                                                                                       \
        if (access(TINY, R_OK) != 0) {                                                         \
            print_message("SKIP: %s is not there\n", TINY);                                    \
            skip();                                                                            \
        }                                                                                      \
    } while (0)

/* -- a client ---------------------------------------------------------------------------- */

enum { CHOICES = 8 };

struct got {
    pthread_mutex_t lock;
    pthread_cond_t change;
    int terminal; /* GATE_EV_DONE, GATE_EV_ERROR; 0: not yet */
    int started, finished[CHOICES], finish[CHOICES], in_call[CHOICES], calls;
    struct buf content[CHOICES], reasoning, warnings, arguments, name, tokens;
    char stop[64];
    int n_text, n_token, n_loading, n_vector, bad_logprob, n_top;
    double norm[16];
    int n_dim;
    double score[16];
    struct err err;
    char param[64]; /* of the error */
    struct gate_usage usage;
    /* What it answers. */
    int pause_at, stop_at; /* number of the text event; 0: never */
    struct gate_call *call;
    const struct provider_ops *ops;
};

static inline void got_init(struct got *g)
{
    *g = (struct got){0};
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_cond_init(&g->change, NULL);
    for (int i = 0; i < CHOICES; i++)
        buf_init(&g->content[i], 1 << 20);
    buf_init(&g->reasoning, 1 << 20);
    buf_init(&g->warnings, 1 << 20);
    buf_init(&g->arguments, 1 << 20);
    buf_init(&g->name, 1 << 20);
    buf_init(&g->tokens, 1 << 20);
}

static inline void got_done(struct got *g)
{
    for (int i = 0; i < CHOICES; i++)
        buf_done(&g->content[i]);
    buf_done(&g->reasoning);
    buf_done(&g->warnings);
    buf_done(&g->arguments);
    buf_done(&g->name);
    buf_done(&g->tokens);
    (void)pthread_mutex_destroy(&g->lock);
    (void)pthread_cond_destroy(&g->change);
}

static inline void must(int ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "events out of order: %s\n", what);
        abort();
    }
}

static inline void got_text(struct got *g, const struct gate_event *ev, struct buf *to)
{
    must(g->started && !g->finished[ev->choice], "text");
    must(buf_put(to, ev->text.p, ev->text.n) == 0, "memory");
    g->n_text++;
    for (size_t i = 0; i < ev->n_token; i++) {
        const struct gate_token *t = &ev->token[i];

        must(buf_put(&g->tokens, t->text.p, t->text.n) == 0, "memory");
        g->n_token++;
        g->bad_logprob += !(t->logprob <= 0);
        g->n_top = (int)t->n_top;
        for (size_t k = 1; k < t->n_top; k++)
            g->bad_logprob += t->top[k].logprob > t->top[k - 1].logprob;
    }
}

static inline void got_event(struct got *g, const struct gate_event *ev)
{
    int c = ev->choice;

    must(!g->terminal, "after the end");
    switch (ev->kind) {
    case GATE_EV_WARNING:
        must(buf_put(&g->warnings, ev->text.p, ev->text.n) == 0, "memory");
        break;
    case GATE_EV_LOADING:
        g->n_loading++;
        must(!g->started, "loading");
        break;
    case GATE_EV_QUEUED:
    case GATE_EV_PREFILL:
        must(!g->started, "waiting");
        break;
    case GATE_EV_START:
        must(!g->started, "START");
        g->started = 1;
        break;
    case GATE_EV_REASONING:
        got_text(g, ev, &g->reasoning);
        break;
    case GATE_EV_CONTENT:
        must(!g->in_call[c], "content within a call");
        got_text(g, ev, &g->content[c]);
        break;
    case GATE_EV_CALL:
        must(!g->in_call[c] && ev->id.n && ev->name.n, "CALL");
        g->in_call[c] = 1;
        g->calls++;
        buf_clear(&g->arguments);
        must(buf_put(&g->name, ev->name.p, ev->name.n) == 0, "memory");
        break;
    case GATE_EV_ARGUMENTS:
        must(g->in_call[c], "ARGUMENTS");
        got_text(g, ev, &g->arguments);
        break;
    case GATE_EV_CALL_END:
        must(g->in_call[c], "CALL_END");
        g->in_call[c] = 0;
        break;
    case GATE_EV_VECTOR:
        must(g->started, "VECTOR");
        g->n_vector++;
        g->n_dim = (int)ev->n;
        for (int64_t i = 0; i < ev->n; i++)
            g->norm[ev->index] += (double)ev->vector[i] * (double)ev->vector[i];
        break;
    case GATE_EV_SCORE:
        g->score[ev->index] = ev->score;
        break;
    case GATE_EV_FINISH:
        must(g->started && !g->finished[c] && !g->in_call[c], "FINISH");
        g->finished[c] = 1;
        g->finish[c] = ev->finish;
        (void)snprintf(g->stop, sizeof(g->stop), "%.*s", (int)ev->stop.n,
                       ev->stop.p ? ev->stop.p : "");
        break;
    default:
        g->terminal = ev->kind;
        if (ev->err)
            g->err = *ev->err;
        (void)snprintf(g->param, sizeof(g->param), "%s", ev->param ? ev->param : "");
        must(ev->kind == GATE_EV_ERROR || g->started, "DONE");
        if (ev->usage)
            g->usage = *ev->usage;
    }
}

static inline int got_sink(void *ctx, const struct gate_event *ev)
{
    struct got *g = ctx;
    int says = GATE_MORE, was;

    (void)pthread_mutex_lock(&g->lock);
    was = g->n_text;
    got_event(g, ev);
    if (g->n_text != was && g->n_text == g->pause_at)
        says = GATE_PAUSE;
    if (g->n_text != was && g->n_text == g->stop_at)
        says = GATE_STOP_NOW;
    (void)pthread_cond_broadcast(&g->change);
    (void)pthread_mutex_unlock(&g->lock);
    return says;
}

static inline void got_wait(struct got *g)
{
    (void)pthread_mutex_lock(&g->lock);
    while (!g->terminal)
        (void)pthread_cond_wait(&g->change, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
}

static inline void got_wait_text(struct got *g, int n)
{
    (void)pthread_mutex_lock(&g->lock);
    while (!g->terminal && g->n_text < n)
        (void)pthread_cond_wait(&g->change, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
}

static inline void got_start(struct local *l, struct got *g, struct gate_request *q)
{
    struct err e = {0};

    g->ops = local_provider(l)->ops;
    if (gate_start(local_provider(l), q, got_sink, g, &g->call, &e) < 0) {
        g->terminal = GATE_EV_ERROR;
        g->err = e;
        g->call = NULL;
    }
}

/* Lets go of the call, also of one whose engine is gone. */
static inline void got_free(struct got *g)
{
    if (g->call)
        g->ops->free(g->call);
    g->call = NULL;
}

static inline void got_end(struct got *g)
{
    got_wait(g);
    got_free(g);
}

/* Waits for the end, which is to be DONE. */
static inline void got_fine(struct got *g)
{
    got_end(g);
    if (g->terminal != GATE_EV_DONE)
        fail_msg("%s", g->err.msg);
}

static inline void got_error(struct got *g, int code, const char *words)
{
    got_end(g);
    assert_int_equal(g->terminal, GATE_EV_ERROR);
    if (g->err.code != code || !strstr(g->err.msg, words))
        fail_msg("code %d '%s', wanted %d '%s'", g->err.code, g->err.msg, code, words);
}

/* -- requests ---------------------------------------------------------------------------- */

static inline struct gate_request *ask(int kind, const char *model)
{
    struct gate_request *q = gate_request_new(kind);

    assert_non_null(q);
    q->model = gate_str(q, model, strlen(model));
    return q;
}

static inline struct gate_request *ask_inputs(int kind, const char *model,
                                              const char *const *text, size_t n)
{
    struct gate_request *q = ask(kind, model);
    struct gate_input *in = arena_calloc(&q->mem, n ? n : 1, sizeof(*in));

    for (size_t i = 0; i < n; i++)
        in[i].text = gate_str(q, text[i], strlen(text[i]));
    q->input = in;
    q->n_input = n;
    q->raw = 1;
    return q;
}

/* The model goes when its requests have ended. */
static inline struct gate_request *ask_unload(const char *model)
{
    struct gate_request *q = ask(GATE_LOAD, model);

    q->keep_alive_ns = 0;
    return q;
}

static inline void unload(struct local *l, const char *model)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, ask_unload(model));
    got_fine(&g);
    got_done(&g);
}

static inline struct gate_request *ask_text(const char *model, const char *text, int n)
{
    struct gate_request *q = ask_inputs(GATE_TEXT, model, &text, 1);

    q->n_predict = n;
    q->sampling.temperature = 0;
    return q;
}

static inline struct gate_request *ask_chat(const char *model, const char *messages)
{
    struct gate_request *q = ask(GATE_CHAT, model);

    q->messages = json_loads(messages, 0, NULL);
    assert_non_null(q->messages);
    return q;
}

static inline int is_text(const struct buf *b, const char *s)
{
    return b->n == strlen(s) && memcmp(b->p ? b->p : "", s, b->n) == 0;
}

static inline int same(const struct buf *a, const struct buf *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

/* What has become of a model; -1: it is not there. One name may be there twice, of which the
 * newer one counts. */
struct state {
    const char *name;
    int state;
};

static inline void state_one(void *ctx, const struct local_info *i)
{
    struct state *s = ctx;
    size_t n = strlen(s->name);

    if (strncmp(i->name, s->name, n) == 0 && i->name[n] == ':' &&
        (s->state < 0 || i->state < s->state))
        s->state = i->state;
}

static inline int state_of(struct local *l, const char *name)
{
    struct state s = {.name = name, .state = -1};

    local_each(l, state_one, &s);
    return s.state;
}

/* Waits until it is in that state; gives up after a minute. */
static inline void wait_state(struct local *l, const char *name, int state)
{
    for (int i = 0; i < 6000 && state_of(l, name) != state; i++)
        (void)usleep(10000);
    assert_int_equal(state_of(l, name), state);
}

/* How many models there are in a state; -1: in any. */
struct count {
    int state, n;
    uint64_t bytes;
};

static inline void count_one(void *ctx, const struct local_info *i)
{
    struct count *c = ctx;

    if (c->state < 0 || i->state == c->state) {
        c->n++;
        c->bytes += i->bytes;
    }
}

static inline struct count count_models(struct local *l, int state)
{
    struct count c = {.state = state};

    local_each(l, count_one, &c);
    return c;
}

/* Waits until as many are there; gives up after a minute. */
static inline void wait_models(struct local *l, int n)
{
    for (int i = 0; i < 6000 && count_models(l, -1).n != n; i++)
        (void)usleep(10000);
    assert_int_equal(count_models(l, -1).n, n);
}

#endif
