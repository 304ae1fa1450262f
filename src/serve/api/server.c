#include "serve/api/server.h"

#include "base/buf.h"
#include "serve/ask.h"
#include "serve/local.h"
#include "serve/metrics.h"

#include <string.h>

#define METRICS_MAX ((size_t)64 << 20)

/* Clients look for these words to see whether something is there. */
static void get_root(struct serve *s, struct call *c)
{
    static const char text[] = "Ollama is running";

    (void)s;
    call_reply(c, 200, "text/plain; charset=utf-8", text, sizeof(text) - 1);
}

static void get_health(struct serve *s, struct call *c)
{
    static const char well[] = "{\"status\":\"ok\"}";
    struct err e = {0};

    if (s->local && local_hangs(s->local, &e))
        ask_error_status(c, 503, &e, NULL);
    else
        call_reply(c, 200, c->route->dialect->json_type, well, sizeof(well) - 1);
}

static void gauge_model(void *ctx, const struct local_info *i)
{
    const struct sched_stats *st = &i->sched;
    const struct {
        enum metric id;
        double value;
    } all[] = {
        {METRIC_RUNNING, st->n_running},      {METRIC_WAITING, st->n_waiting},
        {METRIC_KV_PAGES, st->pages},         {METRIC_KV_USED, st->pages_used},
        {METRIC_KV_CACHED, st->pages_cached}, {METRIC_MODEL_BYTES, (double)i->bytes},
    };

    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
        metrics_put(ctx, all[k].id, i->engine, NULL, NULL, all[k].value);
}

static void get_metrics(struct serve *s, struct call *c)
{
    struct err e = {0};
    struct buf out;

    buf_init(&out, METRICS_MAX);
    if (s->local)
        local_each(s->local, gauge_model, s->metrics);
    if (metrics_text(s->metrics, &out) < 0) {
        (void)err_set(&e, E_NOMEM, "no memory for the metrics");
        ask_error(c, &e, NULL);
    } else {
        call_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8", out.p, out.n);
    }
    buf_done(&out);
}

/* clang-format off */
const struct route server_routes[SERVER_N_ROUTE] = {
    {"GET", "/",          SCOPE_PUBLIC,  ROUTE_QUICK, "server.root",    &dialect_llama,  get_root},
    {"GET", "/health",    SCOPE_PUBLIC,  ROUTE_QUICK, "server.health",  &dialect_llama,  get_health},
    {"GET", "/v1/health", SCOPE_PUBLIC,  ROUTE_QUICK, "server.health",  &dialect_llama,  get_health},
    {"GET", "/metrics",   SCOPE_METRICS, 0,           "server.metrics", &dialect_openai, get_metrics},
};
/* clang-format on */
