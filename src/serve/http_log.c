/* A line for each request: who, what, how it went; never what was said. */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/auth.h"
#include "serve/metrics.h"

#include <stdio.h>
#include <string.h>

/* A label must live as long as the metrics do. */
static const char *status_text(int status)
{
    static const char text[][4] = {"200", "204", "400", "401", "403", "404", "405", "408",
                                   "409", "413", "414", "415", "417", "421", "422", "429",
                                   "431", "499", "500", "501", "502", "503", "504", "507"};

    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        if (status == (text[i][0] - '0') * 100 + (text[i][1] - '0') * 10 + text[i][2] - '0')
            return text[i];
    }
    return status < 300 ? "2xx" : status < 500 ? "4xx" : "5xx";
}

/* libmicrohttpd takes any word for a method. */
static const char *method_text(const char *method)
{
    return method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] ? "-" : method;
}

static void put_json(const struct exchange *x, const char *route, const char *model, int status,
                     double ms, int whole)
{
    const struct call *c = &x->call;
    const char *method = method_text(c->method);
    const struct log_field fields[] = {
        {"id", LOG_TEXT, c->id, 0},
        {"method", LOG_TEXT, method, 0},
        {"route", LOG_TEXT, route, 0},
        {"model", LOG_TEXT, *model ? model : NULL, 0},
        {"status", LOG_NUMBER, NULL, status},
        {"ms", LOG_NUMBER, NULL, (double)(int64_t)(ms * 10) / 10},
        {"bytes", LOG_NUMBER, NULL, (double)x->n_sent},
        {"key", LOG_TEXT, c->who ? c->who->name : NULL, 0},
        {"whole", LOG_FLAG, NULL, whole},
    };

    log_fields(LOG_INFO, fields, (int)(sizeof(fields) / sizeof(fields[0])), "%.16s %s %d",
               method, route, status);
}

void http_log(struct exchange *x)
{
    const struct call *c = &x->call;
    const char *route = c->route ? c->route->name : "none", *who = c->who ? c->who->name : "";
    double ms = (double)(clock_ns() - c->start_ns) / 1e6;
    struct serve *s = x->http->s;
    char model[sizeof(x->model)];
    int status, whole;

    (void)pthread_mutex_lock(&x->lock);
    status = x->queued || x->refused ? x->status : 499; /* the client left before the answer */
    whole = !x->chunked || (x->state == X_ENDED && !x->cut && x->taken == x->out.n);
    memcpy(model, x->model, sizeof(model));
    (void)pthread_mutex_unlock(&x->lock);
    if (s->metrics)
        metrics_put(s->metrics, METRIC_REQUESTS, NULL, route, status_text(status), 1);
    if (http_config(x->http)->log_json)
        put_json(x, route, model, status, ms, whole);
    else
        log_line(LOG_INFO, "%s %.16s %s %d %.1f ms %llu bytes%s%.64s%s", c->id,
                 method_text(c->method), route, status, ms, (unsigned long long)x->n_sent,
                 c->who ? " key " : "", who, whole ? "" : " (cut)");
}
