/* llama_body.c - the fields of /completion and /infill, and what becomes of each.
 *
 * What is not given is the model's own, as everywhere in this server: llama-server's defaults
 * are those of its command line.
 */
#include "serve/api/llama.h"

#include "serve/config.h"

#include <math.h>
#include <string.h>

/* A model whose configuration says nothing runs so many texts at once. */
enum { PARALLEL = 16 };

#define SEED_RANDOM 4294967295 /* as -1: what 32 bits make of it */

#define AT(field) .at = offsetof(struct llama_in, field)
#define FLOAT(f, a, b)                                                                         \
    {                                                                                          \
        .name = #f, .type = FIELD_FLOAT, AT(sampling.f), .min = (a), .max = (b)                \
    }
#define FLOAT_ABOVE(f, a, b)                                                                   \
    {                                                                                          \
        .name = #f, .type = FIELD_FLOAT, AT(sampling.f), .min = (a), .max = (b),               \
        .flags = FIELD_ABOVE                                                                   \
    }
#define INT(n, f, a)                                                                           \
    {                                                                                          \
        .name = n, .type = FIELD_INT, AT(f), .min = (a), .max = INT32_MAX,                     \
        .flags = FIELD_CLAMP                                                                   \
    }
#define INT_TO(n, f, a, b)                                                                     \
    {                                                                                          \
        .name = n, .type = FIELD_INT, AT(f), .min = (a), .max = (b)                            \
    }
#define BOOL(n, f)                                                                             \
    {                                                                                          \
        .name = n, .type = FIELD_BOOL, AT(f)                                                   \
    }
#define NOTED(n, k)                                                                            \
    {                                                                                          \
        .name = n, .type = FIELD_NOTED, .is = FIELD_IS_##k                                     \
    }
#define REFUSED(n, same, text)                                                                 \
    {                                                                                          \
        .name = n, .type = FIELD_REFUSED, .harmless = same, .why = text                        \
    }
#define WARNED(n, k, same, text)                                                               \
    {                                                                                          \
        .name = n, .type = FIELD_WARNED, .harmless = same, .why = text, .is = FIELD_IS_##k     \
    }

#define ORDER                                                                                  \
    "[\"penalties\",\"dry\",\"top_n_sigma\",\"top_k\",\"typ_p\",\"top_p\",\"min_p\",\"xtc\","  \
    "\"temperature\"]"
/* What older clients send as the default; with what it leaves out being off it is the same. */
#define ORDER_OLD "[\"dry\",\"top_k\",\"typ_p\",\"top_p\",\"min_p\",\"xtc\",\"temperature\"]"

static const struct field_row completion_rows[] = {
    {.name = "model", .type = FIELD_STR, AT(model), .max = 600},
    {.name = "prompt", .type = FIELD_JSON, AT(prompt)},
    /* sampling */
    FLOAT(temperature, 0, 1000),
    FLOAT(dynatemp_range, 0, 1000),
    FLOAT(dynatemp_exponent, 0, 1000),
    INT("top_k", top_k, -1),
    FLOAT_ABOVE(top_p, 0, 1),
    FLOAT(min_p, 0, 1),
    FLOAT_ABOVE(typical_p, 0, 1),
    FLOAT(top_n_sigma, -1, 1000),
    FLOAT(xtc_probability, 0, 1),
    FLOAT(xtc_threshold, 0, 1),
    FLOAT_ABOVE(repeat_penalty, 0, 1e30),
    FLOAT(presence_penalty, -1e30, 1e30),
    FLOAT(frequency_penalty, -1e30, 1e30),
    INT("repeat_last_n", sampling.repeat_last_n, -1),
    FLOAT(dry_multiplier, 0, 1000),
    FLOAT(dry_base, 0, 1000),
    INT("dry_allowed_length", sampling.dry_allowed_length, 0),
    INT("dry_penalty_last_n", sampling.dry_last_n, -1),
    REFUSED("dry_sequence_breakers", "[\"\\n\",\":\",\"\\\"\",\"*\"]",
            "is not supported: they are \\n : \" and *"),
    INT("min_keep", sampling.min_keep, 0),
    {.name = "seed", .type = FIELD_I64, AT(seed), .min = -1, .max = 9007199254740992},
    BOOL("ignore_eos", sampling.ignore_eos),
    {.name = "logit_bias", .type = FIELD_JSON, AT(bias)},
    REFUSED("mirostat", "0", "is not supported; 0 turns it off"),
    NOTED("mirostat_tau", NUM),
    NOTED("mirostat_eta", NUM),
    REFUSED("adaptive_target", "-1", "is not supported; -1 turns it off"),
    NOTED("adaptive_decay", NUM),
    REFUSED("samplers", ORDER "|" ORDER_OLD,
            "cannot be put into another order than penalties, dry, top_n_sigma, top_k, typ_p, "
            "top_p, min_p, xtc, temperature"),
    /* form */
    {.name = "grammar", .type = FIELD_STR, AT(grammar), .max = 4 << 20},
    {.name = "json_schema", .type = FIELD_JSON, AT(schema)},
    REFUSED("grammar_lazy", "false", "is not supported: a grammar holds from the first token"),
    REFUSED("grammar_triggers", NULL, "is not supported: a grammar holds from the first token"),
    NOTED("preserved_tokens", ARRAY),
    REFUSED("n_indent", "0", "is not supported"),
    /* length and end */
    INT("n_predict", n_predict, -1),
    INT("max_tokens", n_predict, -1),
    {.name = "stop", .type = FIELD_JSON, AT(stop)},
    {.name = "t_max_predict_ms", .type = FIELD_I64, AT(most_ms), .min = -1, .max = 1e12},
    WARNED("t_max_prompt_ms", INT, "0|-1", "is not enforced"),
    NOTED("n_keep", INT), /* a text that is too long is refused, and none is shifted */
    NOTED("n_discard", INT),
    /* where and how */
    INT_TO("n_cmpl", n_choice, 1, LLAMA_CHOICES_MAX),
    INT_TO("n", n_choice, 1, LLAMA_CHOICES_MAX),
    INT_TO("id_slot", id_slot, -1, INT32_MAX),
    BOOL("cache_prompt", cache_prompt),
    WARNED("n_cache_reuse", INT, "0", "has no effect: whole prefixes are reused"),
    REFUSED("lora", NULL,
            "is not supported: adapters belong to a model; create one with ADAPTER in its "
            "Modelfile"),
    REFUSED("image_data", NULL, "is not supported: send images to /v1/chat/completions"),
    NOTED("speculative.n_max", INT),
    NOTED("speculative.n_min", INT),
    NOTED("speculative.p_min", NUM),
    NOTED("speculative.type", STR),
    NOTED("backend_sampling", BOOL),
    NOTED("user", STR),
    /* answer */
    BOOL("stream", stream),
    INT_TO("n_probs", n_probs, 0, LLAMA_PROBS_MAX),
    REFUSED("post_sampling_probs", "false", "is not supported: probabilities are the model's"),
    BOOL("return_tokens", return_tokens),
    {.name = "response_fields", .type = FIELD_ARRAY, AT(fields), .max = 64},
    BOOL("timings_per_token", timings_per_token),
    BOOL("return_progress", return_progress),
    WARNED("sse_ping_interval", INT, "10", "is 10 seconds"),
    NOTED("verbose", BOOL),
    /* of /infill */
    {.name = "input_prefix", .type = FIELD_STR, AT(prefix)},
    {.name = "input_suffix", .type = FIELD_STR, AT(suffix)},
    {.name = "input_extra", .type = FIELD_ARRAY, AT(extra), .max = LLAMA_PROMPTS_MAX},
};

#define N_ROW (sizeof(completion_rows) / sizeof(*completion_rows))

/* -- a body on its way ----------------------------------------------------------------- */

int llama_nomem(struct llama_parse *p)
{
    return err_set(&p->e, E_NOMEM, "no memory for the request");
}

void llama_end(struct llama_parse *p)
{
    json_decref(p->body);
    gate_request_free(p->q);
    field_report_done(&p->r);
}

void llama_refuse(struct llama_parse *p)
{
    ask_error(p->c, &p->e, p->r.param);
    llama_end(p);
}

void llama_start(struct llama_parse *p, const struct ask_ops *ops, void *ctx)
{
    struct gate_request *q = p->q;

    p->q = NULL;
    json_decref(p->body); /* nothing of the request is in it */
    p->body = NULL;
    ask_start(p->s, p->c, q, ops, p->in.stream, ctx, &p->r);
    llama_end(p);
}

int llama_begin(struct llama_parse *p, struct serve *s, struct call *c, int kind,
                const char *route, const struct field_row *rows, size_t n)
{
    int rc;

    memset(p, 0, sizeof(*p));
    p->s = s;
    p->c = c;
    if (!ask_body(c, &p->body))
        return 0;
    field_report_init(&p->r, ask_strict(c));
    p->q = gate_request_new(kind);
    if (p->q) {
        p->q->route = route;
        p->q->field[GATE_F_SUFFIX] = "input_suffix";
        p->in.sampling = p->q->sampling; /* unset */
        p->in.n_predict = p->in.top_k = GATE_UNSET;
        p->in.seed = p->in.id_slot = -1;
        p->in.norm = 2;
        p->in.n_choice = p->in.cache_prompt = 1;
        rc = field_read(rows, n, "", p->body, &p->in, &p->r, &p->e);
    } else {
        rc = llama_nomem(p);
    }
    if (rc == 0) {
        p->r.param[0] = '\0';
        rc = llama_model(s, c, p->in.model, &p->q->model, &p->q->mem, &p->e);
    }
    if (rc == 0)
        return 1;
    llama_refuse(p);
    return 0;
}

/* -- sampling, form, length ------------------------------------------------------------ */

static int set_form(struct llama_parse *p)
{
    struct gate_request *q = p->q;

    if (p->in.grammar.n && p->in.schema)
        return err_set(&p->e, E_INVALID, "grammar and json_schema cannot both hold; send one");
    if (p->in.grammar.n) {
        q->form = GATE_GBNF;
        q->field[GATE_F_FORM] = "grammar";
        q->grammar = gate_str(q, p->in.grammar.p, p->in.grammar.n);
        return q->grammar.p ? 0 : llama_nomem(p);
    }
    if (!p->in.schema)
        return 0;
    if (!json_is_object(p->in.schema) && !json_is_boolean(p->in.schema))
        return err_set(&p->e, E_INVALID, "json_schema must be an object");
    q->form = GATE_SCHEMA;
    q->field[GATE_F_FORM] = "json_schema";
    q->schema = json_incref(p->in.schema);
    return 0;
}

/* Slots are this server's affair; a number that no slot has is a mistake all the same. */
static int check_slot(struct llama_parse *p)
{
    const struct config *conf = p->s->config;
    int n = conf && conf->n_parallel > 0 ? conf->n_parallel : PARALLEL;

    if (p->in.id_slot >= n)
        return err_set(&p->e, E_INVALID, "id_slot is %d, expected -1 to %d", p->in.id_slot,
                       n - 1);
    if (p->in.id_slot >= 0)
        field_warn(&p->r,
                   "id_slot has no effect: prefixes are found wherever they were computed");
    return 0;
}

static int set_all(struct llama_parse *p)
{
    struct gate_request *q = p->q;
    int rc = check_slot(p);

    q->sampling = p->in.sampling;
    if (p->in.top_k != GATE_UNSET)
        q->sampling.top_k = p->in.top_k < 0 ? 0 : p->in.top_k;
    if (p->in.seed >= 0 && p->in.seed != SEED_RANDOM) {
        q->sampling.seed = (uint64_t)p->in.seed;
        q->sampling.has_seed = 1;
    }
    q->n_predict = p->in.n_predict;
    q->n_choice = p->in.n_choice;
    q->most_ns = p->in.most_ms > 0 ? (uint64_t)p->in.most_ms * 1000000u : 0;
    q->n_logprobs = p->in.n_probs > 0 ? p->in.n_probs : -1;
    q->want_ids = p->in.return_tokens || p->in.stream;
    q->no_cache = !p->in.cache_prompt;
    q->raw = 1;
    if (rc == 0)
        rc = set_form(p);
    if (rc == 0 && p->in.stop)
        rc = llama_stop(p);
    if (rc == 0 && p->in.bias)
        rc = llama_bias(p);
    return rc < 0 || !p->in.fields ? rc : llama_check_response_fields(p);
}

static void start_completion(struct llama_parse *p, int is_list)
{
    void *a = llama_answer_new(p, is_list);

    if (a) {
        llama_start(p, &llama_completion_ops, a);
        return;
    }
    (void)llama_nomem(p);
    llama_refuse(p);
}

void llama_completion(struct serve *s, struct call *c)
{
    struct llama_parse p;
    int is_list = 0, rc;

    if (!llama_begin(&p, s, c, GATE_TEXT, "llama.completion", completion_rows, N_ROW))
        return;
    rc = set_all(&p);
    if (rc == 0 && !p.in.prompt)
        rc = err_set(&p.e, E_INVALID, "prompt is required");
    if (rc == 0)
        rc = llama_prompt(&p, "prompt", p.in.prompt, &is_list);
    if (rc == 0)
        start_completion(&p, is_list);
    else
        llama_refuse(&p);
}

/* -- infill ---------------------------------------------------------------------------- */

struct extra {
    struct str name, text;
};

static const struct field_row extra_rows[] = {
    {.name = "filename", .type = FIELD_STR, .at = offsetof(struct extra, name)},
    {.name = "text",
     .type = FIELD_STR,
     .at = offsetof(struct extra, text),
     .flags = FIELD_NEEDED},
    NOTED("time", NUM),
};

static int set_extra(struct llama_parse *p)
{
    size_t n = json_array_size(p->in.extra), i;
    struct gate_input *input = arena_calloc(&p->q->mem, n, sizeof(*input));
    struct str *name = arena_calloc(&p->q->mem, n, sizeof(*name));
    const json_t *j;
    int rc = input && name ? 0 : llama_nomem(p);

    json_array_foreach(p->in.extra, i, j)
    {
        struct extra x = {.name = str_of("")};
        char path[40];

        (void)snprintf(path, sizeof(path), "input_extra.%zu.", i);
        if (rc == 0)
            rc = field_read(extra_rows, sizeof(extra_rows) / sizeof(*extra_rows), path, j, &x,
                            &p->r, &p->e);
        if (rc < 0)
            return rc;
        input[i].text = gate_str(p->q, x.text.p, x.text.n);
        name[i] = gate_str(p->q, x.name.p, x.name.n);
        if (!input[i].text.p || !name[i].p)
            return llama_nomem(p);
    }
    p->q->extra = input;
    p->q->extra_name = name;
    p->q->n_extra = n;
    return rc;
}

/* The prompt of /infill is how the middle begins, which is what stands before the cursor. */
static int set_infill(struct llama_parse *p)
{
    struct gate_input *input = arena_calloc(&p->q->mem, 1, sizeof(*input));
    const char *begun = json_string_value(p->in.prompt);
    size_t n = json_string_length(p->in.prompt);
    char *text;

    if (!p->in.prefix.p && !p->in.suffix.p)
        return err_set(&p->e, E_INVALID, "input_prefix or input_suffix is required");
    if (p->in.prompt && !json_is_string(p->in.prompt))
        return err_set(&p->e, E_INVALID, "prompt must be a string");
    text = arena_alloc(&p->q->mem, p->in.prefix.n + n + 1);
    p->q->suffix = gate_str(p->q, p->in.suffix.p, p->in.suffix.n);
    if (!input || !text || !p->q->suffix.p)
        return llama_nomem(p);
    if (p->in.prefix.p)
        memcpy(text, p->in.prefix.p, p->in.prefix.n);
    if (begun)
        memcpy(text + p->in.prefix.n, begun, n);
    text[p->in.prefix.n + n] = '\0';
    input->text = (struct str){text, p->in.prefix.n + n};
    p->q->input = input;
    p->q->n_input = 1;
    return p->in.extra ? set_extra(p) : 0;
}

void llama_infill(struct serve *s, struct call *c)
{
    struct llama_parse p;
    int rc;

    if (!llama_begin(&p, s, c, GATE_INFILL, "llama.infill", completion_rows, N_ROW))
        return;
    rc = set_all(&p);
    if (rc == 0)
        rc = set_infill(&p);
    if (rc == 0)
        start_completion(&p, 0);
    else
        llama_refuse(&p);
}
