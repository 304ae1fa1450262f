#include "cmd/bench_load.h"

#include "base/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* -- words ------------------------------------------------------------------------------- */

/* Short and common, so that most vocabularies have each as one token. */
static const char *const words[] = {
    "time",     "year",    "people",  "way",       "day",      "man",      "thing",   "woman",
    "life",     "child",   "world",   "school",    "state",    "family",   "group",   "country",
    "hand",     "part",    "place",   "case",      "week",     "company",  "system",  "program",
    "question", "work",    "number",  "night",     "point",    "home",     "water",   "room",
    "mother",   "area",    "money",   "story",     "fact",     "month",    "lot",     "right",
    "study",    "book",    "eye",     "job",       "word",     "business", "issue",   "side",
    "kind",     "head",    "house",   "service",   "friend",   "father",   "power",   "hour",
    "game",     "line",    "end",     "member",    "law",      "car",      "city",    "name",
    "team",     "minute",  "idea",    "body",      "back",     "parent",   "face",    "level",
    "office",   "door",    "health",  "person",    "art",      "war",      "history", "party",
    "result",   "change",  "morning", "reason",    "research", "girl",     "guy",     "moment",
    "air",      "teacher", "force",   "education", "foot",     "boy",      "age",     "policy",
    "music",    "market",  "sense",
};

enum { N_WORD = sizeof(words) / sizeof(words[0]), BODY_MAX = 64 << 20 };

int load_words(uint64_t seed, uint64_t text, int n, struct buf *out)
{
    struct rng r;
    int rc = 0;

    rng_seed(&r, seed * 0x9e3779b97f4a7c15u + text);
    for (int i = 0; i < n && rc == 0; i++) {
        rc = buf_str(out, words[rng_u64(&r) % N_WORD]);
        if (rc == 0)
            rc = buf_byte(out, ' ');
    }
    return rc;
}

/* -- what is asked ----------------------------------------------------------------------- */

static json_t *messages(const char *prompt)
{
    return json_pack("[{s:s, s:s}]", "role", "user", "content", prompt);
}

static json_t *body_openai(const struct load_options *o, const struct load_request *r,
                           const char *prompt)
{
    json_t *j = json_pack("{s:s, s:i, s:f, s:b, s:{s:b}, s:I}", "model", o->model, "max_tokens",
                          r->n_output, "temperature", o->temp, "stream", 1, "stream_options",
                          "include_usage", 1, "seed", (json_int_t)(o->seed % 1000000007));

    if (o->api == LOAD_OPENAI)
        (void)json_object_set_new(j, "messages", messages(prompt));
    else
        (void)json_object_set_new(j, "prompt", json_string(prompt));
    return j;
}

static json_t *body_ollama(const struct load_options *o, const struct load_request *r,
                           const char *prompt)
{
    return json_pack("{s:s, s:o, s:b, s:{s:i, s:f, s:I}}", "model", o->model, "messages",
                     messages(prompt), "stream", 1, "options", "num_predict", r->n_output,
                     "temperature", o->temp, "seed", (json_int_t)(o->seed % 1000000007));
}

static json_t *body_llama(const struct load_options *o, const struct load_request *r,
                          const char *prompt)
{
    return json_pack("{s:s, s:s, s:i, s:f, s:b, s:I, s:b}", "model", o->model, "prompt", prompt,
                     "n_predict", r->n_output, "temperature", o->temp, "stream", 1, "seed",
                     (json_int_t)(o->seed % 1000000007), "cache_prompt", 1);
}

static json_t *body_anthropic(const struct load_options *o, const struct load_request *r,
                              const char *prompt)
{
    return json_pack("{s:s, s:o, s:i, s:f, s:b}", "model", o->model, "messages",
                     messages(prompt), "max_tokens", r->n_output, "temperature", o->temp,
                     "stream", 1);
}

int load_body(const struct load_options *o, const struct load_request *r, struct buf *out)
{
    static json_t *(*const make[LOAD_APIS])(const struct load_options *,
                                            const struct load_request *, const char *) = {
        body_openai, body_openai, body_ollama, body_llama, body_anthropic};
    struct buf prompt;
    json_t *j = NULL;
    size_t n;
    int rc;

    buf_init(&prompt, BODY_MAX);
    rc = load_words(o->seed, UINT64_MAX, r->n_shared, &prompt);
    if (rc == 0)
        rc = load_words(o->seed, r->text, r->n_word - r->n_shared, &prompt);
    if (rc == 0)
        j = make[o->api](o, r, prompt.n ? prompt.p : "");
    buf_done(&prompt);
    if (j && o->ignore_eos)
        (void)json_object_set_new(j, "ignore_eos", json_true());
    buf_clear(out);
    n = j ? json_dumpb(j, NULL, 0, JSON_COMPACT) : 0;
    if (n == 0 || !buf_reserve(out, n)) {
        json_decref(j);
        return E_NOMEM;
    }
    out->n = json_dumpb(j, out->p, n, JSON_COMPACT);
    json_decref(j);
    return 0;
}

/* -- what comes back --------------------------------------------------------------------- */

/* "a.b.0.c" within j; NULL: it is not there. */
static json_t *at(json_t *j, const char *path)
{
    char key[64];

    while (j && *path) {
        size_t n = strcspn(path, ".");

        (void)snprintf(key, sizeof(key), "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, strtoul(key, NULL, 10))
                             : json_object_get(j, key);
        path += path[n] ? n + 1 : n;
    }
    return j;
}

static int has_text(json_t *j, const char *path)
{
    return json_string_length(at(j, path)) > 0;
}

static void take(int *to, json_t *j, const char *path)
{
    json_t *v = at(j, path);

    if (json_is_integer(v))
        *to = (int)json_integer_value(v);
}

/* An error in words: {"error": "text"} or {"error": {"message": "text"}}. */
static int told_error(json_t *j, char *told)
{
    json_t *v = json_object_get(j, "error");
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "message") : v);

    if (!v)
        return 0;
    (void)snprintf(told, ERR_MAX, "%s", text ? text : "an error without words");
    return -1;
}

static int parse(json_t **j, struct str data, char *told)
{
    *j = json_loadb(data.p, data.n, 0, NULL);
    if (*j)
        return told_error(*j, told);
    (void)snprintf(told, ERR_MAX, "no JSON: %.*s", (int)(data.n < 100 ? data.n : 100), data.p);
    return -1;
}

static int event_openai(struct load_request *r, struct str event, struct str data, int *done,
                        char *told)
{
    json_t *j = NULL;
    int rc;

    (void)event;
    if (str_is(data, "[DONE]")) {
        *done = 1;
        return 0;
    }
    rc = parse(&j, data, told);
    if (rc == 0) {
        take(&r->got_prompt, j, "usage.prompt_tokens");
        take(&r->got_output, j, "usage.completion_tokens");
        take(&r->got_cached, j, "usage.prompt_tokens_details.cached_tokens");
        rc = has_text(j, "choices.0.delta.content") ||
             has_text(j, "choices.0.delta.reasoning_content") || has_text(j, "choices.0.text");
    }
    json_decref(j);
    return rc;
}

static int event_ollama(struct load_request *r, struct str event, struct str data, int *done,
                        char *told)
{
    json_t *j = NULL;
    int rc = parse(&j, data, told);

    (void)event;
    if (rc == 0) {
        *done = json_is_true(json_object_get(j, "done"));
        take(&r->got_prompt, j, "prompt_eval_count");
        take(&r->got_output, j, "eval_count");
        rc = has_text(j, "message.content") || has_text(j, "message.thinking");
    }
    json_decref(j);
    return rc;
}

static int event_llama(struct load_request *r, struct str event, struct str data, int *done,
                       char *told)
{
    json_t *j = NULL;
    int rc = parse(&j, data, told);

    (void)event;
    if (rc == 0) {
        *done = json_is_true(json_object_get(j, "stop"));
        take(&r->got_prompt, j, "tokens_evaluated");
        take(&r->got_output, j, "tokens_predicted");
        take(&r->got_cached, j, "timings.cache_n");
        rc = has_text(j, "content");
    }
    json_decref(j);
    return rc;
}

static int event_anthropic(struct load_request *r, struct str event, struct str data, int *done,
                           char *told)
{
    json_t *j = NULL;
    int rc = parse(&j, data, told), input = -1;

    if (rc == 0) {
        *done = str_is(event, "message_stop");
        take(&input, j, "message.usage.input_tokens");
        take(&r->got_cached, j, "message.usage.cache_read_input_tokens");
        take(&r->got_output, j, "usage.output_tokens");
        if (input >= 0) /* cached ones are not among these */
            r->got_prompt = input + (r->got_cached > 0 ? r->got_cached : 0);
        rc = has_text(j, "delta.text") || has_text(j, "delta.thinking");
    }
    json_decref(j);
    return rc;
}

const struct load_api_row load_apis[LOAD_APIS] = {
    [LOAD_OPENAI] = {"/v1/chat/completions", 0, event_openai},
    [LOAD_OPENAI_TEXT] = {"/v1/completions", 0, event_openai},
    [LOAD_OLLAMA] = {"/api/chat", 1, event_ollama},
    [LOAD_LLAMA] = {"/completion", 0, event_llama},
    [LOAD_ANTHROPIC] = {"/v1/messages", 0, event_anthropic},
};
