/* llama_put.c - parts of answers: timings, probabilities, settings. */
#include "serve/api/llama.h"

#include <math.h>

static void put_double(struct json_out *w, const char *key, double x)
{
    json_out_key(w, key);
    json_out_double(w, x);
}

static void put_int(struct json_out *w, const char *key, int64_t n)
{
    json_out_key(w, key);
    json_out_int(w, n);
}

/* So many tokens in so much time, as three numbers. */
static void put_rate(struct json_out *w, const char *const key[4], int n, uint64_t ns)
{
    double ms = (double)ns / 1e6;

    put_int(w, key[0], n);
    put_double(w, key[1], ms);
    put_double(w, key[2], n > 0 ? ms / n : 0);
    put_double(w, key[3], ns > 0 ? n * 1e9 / (double)ns : 0);
}

void llama_put_timings(struct json_out *w, const struct gate_usage *u)
{
    static const char *const prompt[] = {"prompt_n", "prompt_ms", "prompt_per_token_ms",
                                         "prompt_per_second"},
                             *const output[] = {"predicted_n", "predicted_ms",
                                                "predicted_per_token_ms",
                                                "predicted_per_second"};

    json_out_key(w, "timings");
    json_out_open(w, '{');
    put_int(w, "cache_n", u->n_cached);
    put_rate(w, prompt, u->n_prompt - u->n_cached, u->prompt_ns);
    put_rate(w, output, u->n_output, u->output_ns);
    if (u->n_drafted) {
        put_int(w, "draft_n", u->n_drafted);
        put_int(w, "draft_n_accepted", u->n_accepted);
    }
    json_out_close(w, '}');
}

static void put_token(struct json_out *w, const struct gate_token *t)
{
    put_int(w, "id", t->id);
    json_out_key(w, "token");
    json_out_text(w, t->text);
    json_out_key(w, "bytes");
    json_out_open(w, '[');
    for (size_t i = 0; i < t->text.n; i++)
        json_out_int(w, (unsigned char)t->text.p[i]);
    json_out_close(w, ']');
    json_out_key(w, "logprob");
    json_out_float(w, isfinite(t->logprob) ? t->logprob : -1e9f);
}

void llama_put_probs(struct json_out *w, const struct gate_token *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_out_open(w, '{');
        put_token(w, &t[i]);
        json_out_key(w, "top_logprobs");
        json_out_open(w, '[');
        for (size_t k = 0; k < t[i].n_top; k++) {
            json_out_open(w, '{');
            put_token(w, &t[i].top[k]);
            json_out_close(w, '}');
        }
        json_out_close(w, ']');
        json_out_close(w, '}');
    }
}

/* -- settings -------------------------------------------------------------------------- */

#define AT(f) offsetof(struct gate_sampling, f)

static const struct {
    const char *name;
    size_t at;
} floats[] =
    {
        {"temperature", AT(temperature)},
        {"dynatemp_range", AT(dynatemp_range)},
        {"dynatemp_exponent", AT(dynatemp_exponent)},
        {"top_p", AT(top_p)},
        {"min_p", AT(min_p)},
        {"top_n_sigma", AT(top_n_sigma)},
        {"xtc_probability", AT(xtc_probability)},
        {"xtc_threshold", AT(xtc_threshold)},
        {"typical_p", AT(typical_p)},
        {"repeat_penalty", AT(repeat_penalty)},
        {"presence_penalty", AT(presence_penalty)},
        {"frequency_penalty", AT(frequency_penalty)},
        {"dry_multiplier", AT(dry_multiplier)},
        {"dry_base", AT(dry_base)},
},
  ints[] = {
      {"top_k", AT(top_k)},
      {"repeat_last_n", AT(repeat_last_n)},
      {"dry_allowed_length", AT(dry_allowed_length)},
      {"dry_penalty_last_n", AT(dry_last_n)},
      {"min_keep", AT(min_keep)},
};

static void put_known(struct json_out *w, const char *key, int n)
{
    json_out_key(w, key);
    if (n == GATE_UNSET)
        json_out_null(w);
    else
        json_out_int(w, n);
}

void llama_put_settings(struct json_out *w, const struct gate_request *q, int stream)
{
    const char *s = (const char *)&q->sampling;

    json_out_open(w, '{');
    json_out_key(w, "seed");
    if (q->sampling.has_seed)
        json_out_int(w, (int64_t)q->sampling.seed);
    else
        json_out_int(w, -1);
    for (size_t i = 0; i < sizeof(floats) / sizeof(*floats); i++) {
        json_out_key(w, floats[i].name);
        json_out_float(w, *(const float *)(const void *)(s + floats[i].at)); /* NAN: null */
    }
    for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++)
        put_known(w, ints[i].name, *(const int *)(const void *)(s + ints[i].at));
    json_out_key(w, "stop");
    json_out_open(w, '[');
    for (size_t i = 0; i < q->n_stop; i++)
        json_out_text(w, q->stop[i]);
    json_out_close(w, ']');
    put_known(w, "n_predict", q->n_predict);
    put_known(w, "max_tokens", q->n_predict);
    json_out_key(w, "ignore_eos");
    json_out_bool(w, q->sampling.ignore_eos);
    json_out_key(w, "stream");
    json_out_bool(w, stream);
    put_int(w, "n_probs", q->n_logprobs > 0 ? q->n_logprobs : 0);
    put_int(w, "mirostat", 0);
    json_out_key(w, "grammar");
    json_out_text(w, q->form == GATE_GBNF ? q->grammar : str_of(""));
    json_out_key(w, "samplers");
    json_out_raw(w,
                 str_of("[\"penalties\",\"dry\",\"top_n_sigma\",\"top_k\",\"typ_p\",\"top_p\","
                        "\"min_p\",\"xtc\",\"temperature\"]"));
    json_out_key(w, "lora");
    json_out_raw(w, str_of("[]"));
    json_out_close(w, '}');
}
