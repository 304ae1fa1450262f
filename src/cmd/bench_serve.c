#include "cmd/bench_serve.h"

#include "base/mem.h"
#include "base/rng.h"
#include "net/client.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* How a server holds under load: from the arrival of a request to its first piece of text,
 * between pieces, and to its end; how much comes out in all; and how much of it came in time.
 */

/* clang-format off */
#define AT(f) offsetof(struct bench_serve_options, f)
static const struct opt_row rows[] = {
    {.name = "rate", .type = OPT_FLOAT, .at = AT(rate), .def = "0", .min = 0, .max = 1e6, .arg = "R",
     .help = "requests a second arrive by chance (open loop, Poisson), ended or not; 0: closed loop"},
    {.name = "concurrency", .letter = 'j', .type = OPT_INT, .at = AT(at_once), .def = "8",
     .min = 1, .max = 65536, .arg = "N", .help = "closed loop: requests under way at any time"},
    {.name = "requests", .letter = 'n', .type = OPT_INT, .at = AT(n), .def = "64",
     .min = 1, .max = 1000000, .arg = "N", .help = "requests in all"},
    {.name = "prompt-tokens", .letter = 'p', .type = OPT_INT, .at = AT(n_prompt), .def = "128",
     .min = 1, .max = 1 << 20, .arg = "N", .help = "tokens of a prompt, about"},
    {.name = "output-tokens", .letter = 'o', .type = OPT_INT, .at = AT(n_output), .def = "64",
     .min = 1, .max = 1 << 20, .arg = "N", .help = "most tokens of an answer"},
    {.name = "shared-prefix", .type = OPT_FLOAT, .at = AT(shared), .def = "0", .min = 0, .max = 1,
     .arg = "X", .help = "share of requests that begin with the same text"},
    {.name = "shared-tokens", .type = OPT_INT, .at = AT(n_shared), .def = "0",
     .min = 0, .max = 1 << 20, .arg = "N", .help = "tokens of that text, part of the prompt; 0: nine tenths of it"},
    {.name = "cancel", .type = OPT_FLOAT, .at = AT(cancel), .def = "0", .min = 0, .max = 1,
     .arg = "X", .help = "share of requests whose client leaves in the middle of the answer"},
    {.name = "warmup", .type = OPT_INT, .at = AT(n_warm), .def = "1", .min = 0, .max = 10000,
     .arg = "N", .help = "requests before, one after the other, that do not count"},
    {.name = "seed", .type = OPT_INT, .at = AT(seed), .def = "1", .min = 0, .max = 1e9, .arg = "N",
     .help = "of prompts and arrivals: the same numbers make the same load"},
    {.name = "api", .type = OPT_CHOICE, .at = AT(api), .def = "openai", .arg = LOAD_API_NAMES,
     .help = "what the server is spoken to in"},
    {.name = "model", .letter = 'm', .type = OPT_STR, .at = AT(model), .arg = "NAME",
     .help = "default: the first that the server lists"},
    {.name = "temp", .type = OPT_FLOAT, .at = AT(temp), .def = "0", .min = 0, .max = 100, .arg = "X",
     .help = "temperature"},
    {.name = "ignore-eos", .type = OPT_FLAG, .at = AT(ignore_eos),
     .help = "ask for answers of full length, where the server knows how"},
    {.name = "words", .type = OPT_FLOAT, .at = AT(words), .def = "0", .min = 0, .max = 100, .arg = "X",
     .help = "words for each token; 0: the server is asked with two short prompts"},
    {.name = "slo-ttft", .type = OPT_FLOAT, .at = AT(slo_ttft), .def = "1000", .min = 0, .max = 1e7,
     .arg = "MS", .help = "in time is: the first text within so many milliseconds, and"},
    {.name = "slo-itl", .type = OPT_FLOAT, .at = AT(slo_itl), .def = "200", .min = 0, .max = 1e7,
     .arg = "MS", .help = "99 of 100 gaps between texts not above this"},
    {.name = "timeout", .type = OPT_INT, .at = AT(timeout_s), .def = "600", .min = 1, .max = 86400,
     .arg = "S", .help = "seconds that a request may take"},
    {.name = "json", .type = OPT_FLAG, .at = AT(json), .help = "one JSON object"},
};
/* clang-format on */

static const struct opt_spec spec = {
    .usage = "hearth bench serve [URL] [-j N | --rate R] [-n N] [-p N] [-o N] [--api NAME]",
    .about = "Measures a server under load: time to first token, between tokens, to the end, "
             "tokens per second.\nA key is taken from HEARTH_API_KEY.",
    .rows = rows,
    .n = (int)(sizeof(rows) / sizeof(rows[0])),
};

/* -- which model ------------------------------------------------------------------------- */

static int first_model(struct bench_serve *b, struct err *e)
{
    struct client_options o = {.base = b->url.p, .key = b->load.key, .idle_timeout_ms = 60000};
    struct client_answer a = {0};
    struct client *c = NULL;
    const char *id = NULL;
    json_t *j = NULL;
    int rc = client_new(&c, &o, e);

    if (rc == 0)
        rc = client_ask(c, "GET", "/v1/models", NULL, 0, NULL, NULL, &a, e);
    if (rc == 0 && a.status == 200)
        j = json_loadb(a.body.p, a.body.n, 0, NULL);
    id =
        json_string_value(json_object_get(json_array_get(json_object_get(j, "data"), 0), "id"));
    if (rc == 0 && !id)
        rc = err_set(e, E_NOT_FOUND, "%s lists no models (HTTP status %d); --model names one",
                     b->url.p, a.status);
    if (rc == 0 && buf_str(&b->model, id) < 0)
        rc = err_set(e, E_NOMEM, "no memory for a name");
    json_decref(j);
    client_answer_done(&a);
    client_free(c);
    return rc;
}

/* -- how many words ---------------------------------------------------------------------- */

static int run(struct bench_serve *b, const struct load_options *o, struct load_request *r,
               int n, struct err *e)
{
    struct load_gaps gaps = {0};
    uint64_t wall;
    int rc = load_run(o, r, n, &gaps, &wall, b->told, e);

    mem_free(gaps.v);
    for (int i = 0; i < n && rc == 0; i++) {
        if (r[i].outcome != LOAD_OK)
            rc = err_set(e, E_IO, "%s: %s", b->url.p, b->told);
    }
    return rc;
}

/* Words and tokens on a straight line through two prompts: a template adds some to each. */
static int calibrate(struct bench_serve *b, struct err *e)
{
    enum { FEW = 20, MANY = 60 };
    struct load_options o = b->load;
    struct load_request r[2] = {{.n_word = FEW, .text = 1u << 30, .n_output = 1},
                                {.n_word = MANY, .text = 1u << 31, .n_output = 1}};
    int rc, more;

    b->per_token = (double)b->opt.words;
    if (b->opt.words > 0)
        return 0;
    o.at_once = 1;
    rc = run(b, &o, r, 2, e);
    if (rc < 0)
        return rc;
    more = r[1].got_prompt - r[0].got_prompt;
    if (r[0].got_prompt < 0 || more <= 0)
        return err_set(e, E_UNSUPPORTED,
                       "%s does not say how many tokens a prompt has; --words says how many "
                       "words make a token",
                       b->url.p);
    b->per_token = (double)(MANY - FEW) / more;
    b->n_around = r[0].got_prompt - FEW / b->per_token;
    return 0;
}

/* -- the plan ---------------------------------------------------------------------------- */

static int words_of(const struct bench_serve *b, double tokens)
{
    double n = tokens * b->per_token;

    return n > 1 ? (int)(n + 0.5) : 1;
}

/* Every request draws the same numbers, whatever is asked for: a load with cancels has the
 * arrivals and prompts of one without. */
static void plan(struct bench_serve *b)
{
    const struct bench_serve_options *o = &b->opt;
    int n_shared = o->n_shared ? o->n_shared : o->n_prompt * 9 / 10;
    double at = 0;
    struct rng g;

    rng_seed(&g, (uint64_t)o->seed);
    n_shared = n_shared < o->n_prompt ? n_shared : o->n_prompt;
    for (int i = 0; i < o->n; i++) {
        struct load_request *r = &b->r[i];
        double arrives = rng_unit(&g), shares = rng_unit(&g), leaves = rng_unit(&g),
               after = rng_unit(&g);

        at += o->rate > 0 ? -log(1 - arrives) / (double)o->rate : 0;
        *r = (struct load_request){.at_ns = (uint64_t)(at * 1e9),
                                   .text = (uint64_t)i,
                                   .n_word = words_of(b, o->n_prompt - b->n_around),
                                   .n_output = o->n_output};
        if (shares < (double)o->shared)
            r->n_shared = words_of(b, n_shared);
        if (r->n_shared > r->n_word)
            r->n_shared = r->n_word;
        if (leaves < (double)o->cancel)
            r->leave_after = 1 + (int)(after * o->n_output * 0.9);
    }
}

static int warm_up(struct bench_serve *b, struct err *e)
{
    struct load_options o = b->load;
    struct load_request r = {.n_word = words_of(b, 16), .n_output = 4};
    int rc = 0;

    o.at_once = 1;
    for (int i = 0; i < b->opt.n_warm && rc == 0; i++) {
        struct load_request once = r;

        once.text = (1u << 29) + (uint64_t)i;
        rc = run(b, &o, &once, 1, e);
    }
    return rc;
}

static int open_bench(struct bench_serve *b, const char *url, struct err *e)
{
    const struct bench_serve_options *o = &b->opt;
    int rc = url ? buf_str(&b->url, url) : client_host(&b->url, e);

    if (rc == 0)
        rc = buf_str(&b->model, o->model ? o->model : "");
    if (rc < 0)
        return e->code ? rc : err_set(e, rc, "the URL or the model's name is too long");
    b->load = (struct load_options){.url = b->url.p,
                                    .key = getenv("HEARTH_API_KEY"),
                                    .api = o->api,
                                    .at_once = o->rate > 0 ? 0 : o->at_once,
                                    .seed = (uint64_t)o->seed,
                                    .temp = (double)o->temp,
                                    .ignore_eos = o->ignore_eos,
                                    .timeout_s = o->timeout_s,
                                    .slo_gap_s = (double)o->slo_itl / 1e3};
    if (!o->model)
        rc = first_model(b, e);
    b->load.model = b->model.p;
    b->r = mem_calloc((size_t)o->n, sizeof(*b->r));
    if (rc == 0 && !b->r)
        rc = err_set(e, E_NOMEM, "no memory for %d requests", o->n);
    if (rc == 0)
        rc = calibrate(b, e);
    return rc < 0 ? rc : warm_up(b, e);
}

int cmd_bench_serve(int argc, char **argv)
{
    struct bench_serve b = {0};
    struct err e = {0};
    int status, rc, n = cmd_options(&spec, argc, argv, &b.opt, 0, 1, &status);

    if (n < 0)
        return status;
    buf_init(&b.url, 4096);
    buf_init(&b.model, 4096);
    rc = open_bench(&b, n ? argv[0] : NULL, &e);
    if (rc == 0) {
        plan(&b);
        rc = load_run(&b.load, b.r, b.opt.n, &b.gaps, &b.wall_ns, b.told, &e);
    }
    if (rc == 0)
        rc = bench_serve_report(&b, &e);
    mem_free(b.gaps.v);
    mem_free(b.r);
    buf_done(&b.model);
    buf_done(&b.url);
    return rc < 0 ? cmd_fail(&e) : 0;
}
