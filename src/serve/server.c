/* The server's life. The main thread waits for signals and for the clock: it is the timer of
 * everything that must be looked at once a second.
 *
 *   start    config, keys, store, engine, sockets, in this order: what is likeliest to be wrong
 *            first, and nothing listens before all is there
 *   run      SIGHUP reads the configuration and the keys again
 *   drain    SIGTERM, SIGINT: no new connections; requests under way go on, for
 *            drain_timeout_s at most, then they are cancelled; nothing is loaded any more. The
 *            signal again: at once, also while all is taken down
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/many.h"
#include "serve/api/openai_store.h"
#include "serve/ask.h"
#include "serve/auth.h"
#include "serve/config.h"
#include "serve/http.h"
#include "serve/local.h"
#include "serve/metrics.h"
#include "serve/notify.h"
#include "serve/serve.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND ((uint64_t)1000000000)

enum { CANCEL_S = 5, DRAIN_TICK_MS = 50 };

/* A configuration that was replaced: others may still be looking at it. */
struct old_config {
    struct config *config;
    struct old_config *next;
};

struct server {
    struct serve s;
    struct http *http;
    struct many *many; /* in front of the local provider */
    struct config *config;
    struct old_config *old;
    const struct server_options *options;
    int signals; /* fd */
    uint64_t tick_ns, alive_ns;
    int draining, hung, cancelled;
    uint64_t drain_ns; /* when it is over */
};

/* -- the second ---------------------------------------------------------------------------- */

static void look(struct server *v, uint64_t now)
{
    struct err e = {0};
    uint64_t every = notify_watchdog_ns();
    int hangs = v->s.local && local_hangs(v->s.local, &e);

    if (hangs && !v->hung)
        log_line(LOG_ERROR, "%s", e.msg);
    v->hung = hangs;
    metrics_put(v->s.metrics, METRIC_CONNECTIONS, NULL, NULL, NULL, http_connections(v->http));
    if (every && !hangs && now - v->alive_ns >= every) {
        v->alive_ns = now;
        notify_send("WATCHDOG=1");
    }
}

static void tick(struct server *v)
{
    uint64_t now = clock_ns();

    if (now < v->tick_ns)
        return;
    v->tick_ns = now + SECOND;
    ask_tick(&v->s);
    look(v, now);
}

/* -- signals ------------------------------------------------------------------------------- */

static void set_logging(const struct config *c)
{
    log_set_level((enum log_level)c->log_level);
}

/* What cannot change while it runs is said, so that nobody waits for it. */
static void say_kept(const struct config *was, const struct config *is)
{
    if (strcmp(was->host, is->host) != 0 || was->port != is->port ||
        !was->tls_cert != !is->tls_cert)
        log_line(LOG_WARN, "where it listens changes with the next start only");
}

/* Takes both over. Where nothing has changed nothing is kept: servers are reloaded by the
 * clock. */
static void replace(struct server *v, struct config *c, struct old_config *old)
{
    if (config_same(v->config, c)) {
        config_free(c);
        mem_free(old);
        return;
    }
    *old = (struct old_config){v->config, v->old};
    v->old = old;
    say_kept(v->config, c);
    v->config = c;
    v->s.config = c;
    set_logging(c);
}

static int reload_all(struct server *v, struct err *e)
{
    struct config *c = NULL;
    struct http_daemon *renewed = NULL;
    struct old_config *old = mem_alloc(sizeof(*old));
    int rc =
        old ? config_load(&c, v->options->config_path, v->options->set, v->options->n_set, e)
            : err_set(e, E_NOMEM, "no memory");

    if (rc == 0 && http_is_open(v->http) && !c->keys && !c->allow_no_key)
        rc = err_set(e, E_INVALID, "other machines could ask without a key: listen.keys");
    if (rc == 0)
        rc = http_tls_load(v->http, c, &renewed, e);
    if (rc == 0)
        rc = auth_reload(v->s.auth, c->keys, e);
    if (rc < 0) {
        http_daemon_free(renewed);
        config_free(c);
        mem_free(old);
        return rc;
    }
    http_tls_use(v->http, renewed);
    replace(v, c, old);
    local_reload(v->s.local, v->config);
    return 0;
}

static void reload(struct server *v)
{
    struct err e = {0};

    notify_reloading();
    if (reload_all(v, &e) < 0) {
        metrics_put(v->s.metrics, METRIC_RELOAD_FAILED, NULL, NULL, NULL, 1);
        log_line(LOG_ERROR, "not reloaded, all stays as it was: %s", e.msg);
    } else {
        log_line(LOG_INFO, "reloaded");
    }
    notify_send("READY=1");
}

static void drain(struct server *v)
{
    if (v->draining) {
        log_line(LOG_WARN, "stopped at once: %d requests under way were cut",
                 http_active(v->http));
        _exit(1);
    }
    v->draining = 1;
    v->drain_ns = clock_ns() + (uint64_t)v->config->drain_timeout_s * SECOND;
    notify_send("STOPPING=1");
    log_line(LOG_INFO, "stopping: %d requests are under way", http_active(v->http));
    http_quiesce(v->http);
    local_quiesce(v->s.local);
}

static void on_signal(struct server *v)
{
    struct signalfd_siginfo si;

    if (read(v->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
        return;
    if (si.ssi_signo == SIGHUP)
        reload(v);
    else
        drain(v);
}

static void on_late_signal(int number)
{
    static const char words[] = "hearth: stopped at once\n";

    (void)number;
    (void)!write(STDERR_FILENO, words, sizeof(words) - 1);
    _exit(1);
}

/* From now on nobody reads the signals: the next one is not to wait. */
static void end_on_signals(void)
{
    struct sigaction act = {.sa_handler = on_late_signal};
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGINT, &act, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* 1: all requests have ended, or had the time for it. */
static int is_drained(struct server *v)
{
    uint64_t now = clock_ns();

    if (http_active(v->http) == 0 && ask_count(&v->s) == 0)
        return 1;
    if (now < v->drain_ns)
        return 0;
    if (v->cancelled)
        return 1;
    log_line(LOG_WARN, "%d requests did not end in time and are cancelled", ask_count(&v->s));
    v->cancelled = 1;
    ask_cancel_all(&v->s);
    v->drain_ns = now + CANCEL_S * SECOND;
    return 0;
}

static void run(struct server *v)
{
    struct pollfd p = {.fd = v->signals, .events = POLLIN};

    while (!v->draining || !is_drained(v)) {
        uint64_t now = clock_ns();
        int ms = v->tick_ns > now ? (int)((v->tick_ns - now) / 1000000 + 1) : 0;

        if (v->draining && ms > DRAIN_TICK_MS)
            ms = DRAIN_TICK_MS;
        if (poll(&p, 1, ms) > 0)
            on_signal(v);
        tick(v);
    }
}

/* -- starting and stopping ----------------------------------------------------------------- */

static int catch_signals(struct server *v, sigset_t *before, struct err *e)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, before); /* threads that are made inherit it */
    v->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return v->signals < 0 ? err_sys(e, E_IO, errno, "listen for signals") : 0;
}

/* What is kept of /v1/responses: without a place that somebody chose, it can be done without.
 */
static int start_responses(struct serve *s, struct err *e)
{
    const struct config *c = s->config;
    int rc = openai_store_open(&s->responses, c->responses, c->responses_ttl_s,
                               c->responses_bytes, e);

    if (rc == 0 || c->responses)
        return rc;
    log_line(LOG_WARN, "/v1/responses keeps nothing: %s", e->msg);
    return 0;
}

static int start(struct server *v, struct err *e)
{
    const struct server_options *o = v->options;
    struct serve *s = &v->s;
    int rc = config_load(&v->config, o->config_path, o->set, o->n_set, e);

    if (rc < 0)
        return rc;
    set_logging(v->config);
    s->config = v->config;
    s->start_ns = clock_ns();
    s->start_time = (int64_t)time(NULL);
    if ((rc = auth_new(&s->auth, v->config->keys, e)) < 0 ||
        (rc = store_open(&s->store, v->config->models, e)) < 0 ||
        (rc = metrics_new(&s->metrics, e)) < 0 || (rc = ask_list_new(&s->asks, e)) < 0 ||
        (rc = start_responses(s, e)) < 0 ||
        (rc = local_new(&s->local, v->config, s->store, s->metrics, e)) < 0)
        return rc;
    if ((rc = many_new(&v->many, local_provider(s->local), e)) < 0)
        return rc;
    s->provider = many_provider(v->many);
    return http_start(&v->http, s, e);
}

static void stop(struct server *v)
{
    struct old_config *next;

    http_stop(v->http);
    local_free(v->s.local);
    many_free(v->many);
    openai_store_close(v->s.responses);
    ask_list_free(v->s.asks);
    metrics_free(v->s.metrics);
    store_close(v->s.store);
    auth_free(v->s.auth);
    config_free(v->config);
    for (; v->old; v->old = next) {
        next = v->old->next;
        config_free(v->old->config);
        mem_free(v->old);
    }
    if (v->signals >= 0)
        (void)close(v->signals);
}

int server_run(const struct server_options *o, struct err *e)
{
    struct server v = {.options = o, .signals = -1};
    sigset_t before;
    int rc = catch_signals(&v, &before, e);

    if (rc == 0)
        rc = start(&v, e);
    if (rc == 0) {
        if (!o->quiet)
            (void)fprintf(stderr, "hearth listens on %s\n", http_address(v.http));
        notify_send("READY=1");
        run(&v);
    }
    end_on_signals();
    stop(&v);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
