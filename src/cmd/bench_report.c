#include "cmd/bench_serve.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>

static const char *const api_name[LOAD_APIS] = {"openai", "openai-text", "ollama", "llama",
                                                "anthropic"};

/* Numbers of one kind, sorted when they are asked for. */
struct sample {
    float *v;
    size_t n;
};

enum { TTFT, TPOT, ITL, E2E, SAMPLES };

static const struct {
    const char *key, *words;
} sample_name[SAMPLES] = {{"ttft_ms", "to the first text"},
                          {"tpot_ms", "for each token after it"},
                          {"itl_ms", "between two texts"},
                          {"e2e_ms", "to the end"}};

struct totals {
    int n[LOAD_OUTCOMES], n_good;
    long long prompt, cached, output, pieces;
    long long whole;        /* tokens of answers that came to their end */
    int n_prompt, n_cached; /* requests that said so */
    int status[8], n_status[8];
    struct sample s[SAMPLES];
};

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The smallest of them that so many are not above. */
static double percentile(const struct sample *s, double p)
{
    size_t at = (size_t)(p / 100 * (double)s->n);

    if (s->n == 0)
        return 0;
    return (double)s->v[at < s->n ? at : s->n - 1] * 1e3;
}

static double mean(const struct sample *s)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += (double)s->v[i];
    return s->n ? sum / (double)s->n * 1e3 : 0;
}

static float since(uint64_t from, uint64_t to)
{
    return (float)((double)(to - from) / 1e9);
}

static void count_status(struct totals *t, int status)
{
    for (int i = 0; i < 8; i++) {
        if (t->status[i] && t->status[i] != status)
            continue;
        t->status[i] = status;
        t->n_status[i]++;
        return;
    }
}

static void count(struct totals *t, const struct load_request *r, double slo_ttft_ms)
{
    int n_token = r->got_output > 0 ? r->got_output : r->n_piece;
    struct sample *s = t->s;

    t->n[r->outcome]++;
    if (r->outcome == LOAD_STATUS)
        count_status(t, r->status);
    t->pieces += r->n_piece;
    t->output += n_token;
    if (r->got_prompt >= 0) {
        t->prompt += r->got_prompt;
        t->n_prompt++;
    }
    if (r->got_cached >= 0) {
        t->cached += r->got_cached;
        t->n_cached++;
    }
    if (r->n_piece)
        s[TTFT].v[s[TTFT].n++] = since(r->start_ns, r->first_ns);
    if (r->outcome != LOAD_OK)
        return;
    t->whole += n_token;
    s[E2E].v[s[E2E].n++] = since(r->start_ns, r->end_ns);
    if (r->n_piece > 1 && n_token > 1)
        s[TPOT].v[s[TPOT].n++] = since(r->first_ns, r->last_ns) / (float)(n_token - 1);
    t->n_good += r->n_piece && (double)since(r->start_ns, r->first_ns) * 1e3 <= slo_ttft_ms &&
                 100 * r->n_slow <= r->n_piece - 1;
}

static int sum_up(const struct bench_serve *b, struct totals *t)
{
    for (int i = 0; i < SAMPLES; i++) {
        if (i == ITL)
            t->s[i] = (struct sample){b->gaps.v, b->gaps.n};
        else
            t->s[i].v = mem_alloc((size_t)b->opt.n * sizeof(float));
        if (i != ITL && !t->s[i].v)
            return E_NOMEM;
    }
    for (int i = 0; i < b->opt.n; i++)
        count(t, &b->r[i], (double)b->opt.slo_ttft);
    for (int i = 0; i < SAMPLES; i++) {
        if (t->s[i].n)
            qsort(t->s[i].v, t->s[i].n, sizeof(float), compare);
    }
    return 0;
}

static int n_failed(const struct totals *t)
{
    int n = 0;

    for (int i = LOAD_LEFT + 1; i < LOAD_OUTCOMES; i++)
        n += t->n[i];
    return n;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* -- for programs ------------------------------------------------------------------------ */

static json_t *json_sample(const struct sample *s)
{
    if (s->n == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I}", "mean", mean(s), "p50",
                     percentile(s, 50), "p90", percentile(s, 90), "p99", percentile(s, 99),
                     "max", percentile(s, 100), "n", (json_int_t)s->n);
}

static json_t *json_errors(const struct totals *t)
{
    json_t *j = json_object();
    char name[32];

    for (int i = LOAD_LEFT + 1; i < LOAD_OUTCOMES; i++) {
        if (t->n[i] && i != LOAD_STATUS)
            (void)json_object_set_new(j, load_outcome_name[i], json_integer(t->n[i]));
    }
    for (int i = 0; i < 8 && t->n_status[i]; i++) {
        (void)snprintf(name, sizeof(name), "http_%d", t->status[i]);
        (void)json_object_set_new(j, name, json_integer(t->n_status[i]));
    }
    return j;
}

static int report_json(const struct bench_serve *b, const struct totals *t, struct err *e)
{
    const struct bench_serve_options *o = &b->opt;
    double wall = (double)b->wall_ns / 1e9;
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:f, s:i, s:f, s:f, s:i, s:i, s:i, s:o, s:f, s:f, s:f, s:f, "
        "s:I, s:I, s:I, s:I}",
        "url", b->url.p, "api", api_name[o->api], "model", b->model.p, "requests", o->n,
        "concurrency", o->rate > 0 ? 0 : o->at_once, "rate", (double)o->rate, "seed", o->seed,
        "wall_s", wall, "words_per_token", b->per_token, "ok", t->n[LOAD_OK], "cancelled",
        t->n[LOAD_LEFT], "failed", n_failed(t), "errors", json_errors(t), "requests_s",
        ratio(t->n[LOAD_OK], wall), "output_tok_s", ratio((double)t->output, wall),
        "prompt_tok_s", ratio((double)t->prompt, wall), "goodput_requests_s",
        ratio(t->n_good, wall), "prompt_tokens", (json_int_t)t->prompt, "cached_tokens",
        (json_int_t)t->cached, "output_tokens", (json_int_t)t->output, "pieces",
        (json_int_t)t->pieces);
    char *line;

    for (int i = 0; j && i < SAMPLES; i++)
        (void)json_object_set_new(j, sample_name[i].key, json_sample(&t->s[i]));
    line = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(j);
    if (!line)
        return err_set(e, E_NOMEM, "no memory for the report");
    (void)puts(line);
    free(line);
    return 0;
}

/* -- for people -------------------------------------------------------------------------- */

static void print_errors(const struct bench_serve *b, const struct totals *t)
{
    if (!n_failed(t))
        return;
    (void)printf("failed: %d", n_failed(t));
    for (int i = LOAD_LEFT + 1; i < LOAD_OUTCOMES; i++) {
        if (t->n[i] && i != LOAD_STATUS)
            (void)printf(", %s %d", load_outcome_name[i], t->n[i]);
    }
    for (int i = 0; i < 8 && t->n_status[i]; i++)
        (void)printf(", status %d: %d", t->status[i], t->n_status[i]);
    (void)printf("\nfirst: %s\n", b->told);
}

static void report_text(const struct bench_serve *b, const struct totals *t)
{
    const struct bench_serve_options *o = &b->opt;
    double wall = (double)b->wall_ns / 1e9;

    (void)printf("%s (%s), %s: %d request%s, ", b->url.p, api_name[o->api], b->model.p, o->n,
                 o->n == 1 ? "" : "s");
    if (o->rate > 0)
        (void)printf("%g a second by chance\n", (double)o->rate);
    else
        (void)printf("%d at once\n", o->at_once);
    (void)printf("prompts of %.0f tokens, %.0f %% of them from the cache; answers of %.1f\n\n",
                 ratio((double)t->prompt, t->n_prompt),
                 100 * ratio((double)t->cached, (double)t->prompt),
                 ratio((double)t->whole, t->n[LOAD_OK]));
    (void)printf("%-26s %10s %10s %10s %10s %10s\n", "milliseconds", "mean", "p50", "p90",
                 "p99", "max");
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample *s = &t->s[i];

        (void)printf("%-26s %10.1f %10.1f %10.1f %10.1f %10.1f\n", sample_name[i].words,
                     mean(s), percentile(s, 50), percentile(s, 90), percentile(s, 99),
                     percentile(s, 100));
    }
    (void)printf("\n%.2f requests/s, %.2f in time; %.1f tokens/s out, %.1f in; %.2f s\n",
                 ratio(t->n[LOAD_OK], wall), ratio(t->n_good, wall),
                 ratio((double)t->output, wall), ratio((double)t->prompt, wall), wall);
    if (t->n[LOAD_LEFT])
        (void)printf("cancelled: %d\n", t->n[LOAD_LEFT]);
    print_errors(b, t);
}

int bench_serve_report(struct bench_serve *b, struct err *e)
{
    struct totals t = {0};
    int rc = sum_up(b, &t);

    if (rc < 0)
        rc = err_set(e, rc, "no memory for the report");
    else if (t.n[LOAD_OK] + t.n[LOAD_LEFT] == 0)
        rc = err_set(e, E_IO, "not one of %d requests succeeded: %s", b->opt.n, b->told);
    else if (b->opt.json)
        rc = report_json(b, &t, e);
    else
        report_text(b, &t);
    for (int i = 0; i < SAMPLES; i++) {
        if (i != ITL)
            mem_free(t.s[i].v);
    }
    return rc;
}
