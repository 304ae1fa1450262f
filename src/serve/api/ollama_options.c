/* ollama_options.c - "options", "format", "think" and "keep_alive". */
#include "serve/api/ollama.h"

#include "serve/config.h"

#include <limits.h>
#include <string.h>

enum { STOPS_MAX = 64, STOP_BYTES = 4096, CTX_MAX = 1 << 27 };

#define TEMP_MAX 1e30

struct options {
    struct gate_sampling sampling;
    int num_predict, num_ctx;
    int64_t seed;
    const json_t *stop;
};

#define FLOAT(field, lo, hi, flag)                                                             \
    {                                                                                          \
        .name = #field, .type = FIELD_FLOAT, .at = offsetof(struct options, sampling.field),   \
        .min = (lo), .max = (hi), .flags = (flag)                                              \
    }
#define INT(field, lo, hi)                                                                     \
    {                                                                                          \
        .name = #field, .type = FIELD_INT, .at = offsetof(struct options, sampling.field),     \
        .min = (lo), .max = (hi), .flags = FIELD_CLAMP                                         \
    }
#define BY_SERVER(n, k)                                                                        \
    {                                                                                          \
        .name = (n), .type = FIELD_WARNED, .is = FIELD_IS_##k,                                 \
        .why = "has no effect: memory and threads are set where the server is"                 \
    }
#define GONE(n, k, same)                                                                       \
    {                                                                                          \
        .name = (n), .type = FIELD_WARNED, .is = FIELD_IS_##k, .harmless = (same),             \
        .why = "has no effect: it is gone from Ollama, too"                                    \
    }

static const struct field_row rows[] = {
    FLOAT(temperature, 0, TEMP_MAX, 0),
    FLOAT(top_p, 0, 1, FIELD_ABOVE),
    FLOAT(min_p, 0, 1, 0),
    FLOAT(typical_p, 0, 1, FIELD_ABOVE),
    FLOAT(repeat_penalty, 0, TEMP_MAX, FIELD_ABOVE),
    FLOAT(presence_penalty, -TEMP_MAX, TEMP_MAX, 0),
    FLOAT(frequency_penalty, -TEMP_MAX, TEMP_MAX, 0),
    INT(top_k, -1, INT_MAX),
    INT(repeat_last_n, -1, INT_MAX),
    {.name = "seed",
     .type = FIELD_I64,
     .at = offsetof(struct options, seed),
     .min = -9e15,
     .max = 9e15},
    {.name = "num_predict",
     .type = FIELD_INT,
     .at = offsetof(struct options, num_predict),
     .min = -2,
     .max = INT_MAX,
     .flags = FIELD_CLAMP},
    {.name = "num_ctx",
     .type = FIELD_INT,
     .at = offsetof(struct options, num_ctx),
     .min = 1,
     .max = CTX_MAX},
    {.name = "stop", .type = FIELD_JSON, .at = offsetof(struct options, stop)},
    /* What Ollama has not. */
    FLOAT(top_n_sigma, -1, TEMP_MAX, 0),
    FLOAT(dynatemp_range, 0, TEMP_MAX, 0),
    FLOAT(dynatemp_exponent, 0, TEMP_MAX, 0),
    FLOAT(xtc_probability, 0, 1, 0),
    FLOAT(xtc_threshold, 0, 1, 0),
    FLOAT(dry_multiplier, 0, TEMP_MAX, 0),
    FLOAT(dry_base, 1, TEMP_MAX, 0),
    INT(dry_allowed_length, 0, INT_MAX),
    INT(dry_last_n, -1, INT_MAX),
    INT(min_keep, 0, INT_MAX),
    {.name = "ignore_eos",
     .type = FIELD_BOOL,
     .at = offsetof(struct options, sampling.ignore_eos)},
    /* What has no meaning here. */
    {.name = "num_keep",
     .type = FIELD_WARNED,
     .is = FIELD_IS_INT,
     .why = "has no effect: what a context has no room for is left out by whole messages"},
    BY_SERVER("num_batch", INT),
    BY_SERVER("num_gpu", INT),
    BY_SERVER("main_gpu", INT),
    BY_SERVER("num_thread", INT),
    BY_SERVER("use_mmap", BOOL),
    BY_SERVER("draft_num_predict", INT),
    GONE("mirostat", INT, "0"),
    GONE("mirostat_tau", NUM, "5"),
    GONE("mirostat_eta", NUM, "0.1"),
    GONE("penalize_newline", BOOL, NULL),
    GONE("low_vram", BOOL, "false"),
    GONE("f16_kv", BOOL, NULL),
    GONE("logits_all", BOOL, "false"),
    GONE("vocab_only", BOOL, "false"),
    GONE("use_mlock", BOOL, "false"),
    GONE("numa", BOOL, "false"),
};

static int read_stop(struct gate_request *q, const json_t *v, struct err *e)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    struct str *list;

    if (n > STOPS_MAX)
        return err_set(e, E_INVALID, "options.stop has %zu strings, expected %d at most", n,
                       STOPS_MAX);
    list = arena_calloc(&q->mem, n + 1, sizeof(*list));
    if (!list)
        return err_set(e, E_NOMEM, "no memory for stop strings");
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        size_t len = json_string_length(s);

        if (!json_is_string(s))
            return err_set(e, E_INVALID, "options.stop must be an array of strings");
        if (len < 1 || len > STOP_BYTES)
            return err_set(e, E_INVALID,
                           "options.stop: item %zu has %zu bytes, expected 1 to "
                           "%d",
                           i, len, STOP_BYTES);
        list[i] = gate_str(q, json_string_value(s), len);
        if (!list[i].p)
            return err_set(e, E_NOMEM, "no memory for stop strings");
    }
    q->stop = list;
    q->n_stop = n;
    return 0;
}

int ollama_options(struct gate_request *q, const json_t *options, struct field_report *r,
                   struct err *e)
{
    struct options o = {
        .sampling = q->sampling, .num_predict = GATE_UNSET, .num_ctx = GATE_UNSET, .seed = -1};
    int rc;

    if (!options)
        return 0;
    rc = field_read(rows, sizeof(rows) / sizeof(*rows), "options.", options, &o, r, e);
    if (rc == 0 && o.stop)
        rc = read_stop(q, o.stop, e);
    if (rc < 0)
        return rc;
    q->sampling = o.sampling;
    if (q->sampling.top_k == -1) /* all, in some clients' words */
        q->sampling.top_k = 0;
    q->sampling.has_seed = o.seed >= 0;
    q->sampling.seed = o.seed >= 0 ? (uint64_t)o.seed : 0;
    q->n_predict = o.num_predict;
    q->n_ctx = o.num_ctx;
    return 0;
}

int ollama_format(struct gate_request *q, const json_t *format, struct err *e)
{
    const char *text = json_string_value(format);

    if (!format || json_is_null(format) || (text && !*text))
        return 0;
    if (text && strcmp(text, "json") == 0) {
        q->form = GATE_JSON;
        return 0;
    }
    if (!json_is_object(format))
        return err_set(e, E_INVALID,
                       "invalid format: %s%.40s%s; expected \"json\" or a valid "
                       "JSON Schema object",
                       text ? "\"" : "", text ? text : "a value of another type",
                       text ? "\"" : "");
    q->form = GATE_SCHEMA;
    q->schema = json_incref((json_t *)(uintptr_t)format);
    return 0;
}

int ollama_read_think(void *into, const json_t *v, struct err *e)
{
    static const char *const levels[] = {"low", "medium", "high", "max"};
    struct ollama_body *b = into;

    if (json_is_boolean(v)) {
        b->think = json_is_true(v) ? GATE_THINK_ON : GATE_THINK_OFF;
        return 0;
    }
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (json_is_string(v) && strcmp(json_string_value(v), levels[i]) == 0) {
            b->think = GATE_THINK_ON;
            b->think_level = str_of(levels[i]);
            return 0;
        }
    }
    return err_set(e, E_INVALID,
                   "is none of \"high\", \"medium\", \"low\", \"max\", true and false");
}

int ollama_read_keep_alive(const json_t *v, int64_t *ns, struct err *e)
{
    double s = json_number_value(v);

    if (json_is_string(v) && config_duration(json_string_value(v), ns))
        return 0;
    if (json_is_string(v))
        return err_set(e, E_INVALID, "is no duration: expected \"5m\", seconds, or -1");
    if (!json_is_number(v))
        return err_set(e, E_INVALID,
                       "has an unsupported type: expected \"5m\", seconds, or -1");
    *ns = s < 0 || s > 9e9 ? GATE_KEEP_FOREVER : (int64_t)(s * 1e9);
    return 0;
}
