/* POST /v1/completions: a text is gone on with, or its middle is filled. */
#include "serve/api/openai_rows.h"
#include "serve/api/openai_routes.h"
#include "serve/api/openai_text.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct field_row rows[] = {
    ROWS_ALL,
    ROWS_SAMPLING,
    ROW_WARNED("timings_per_token", FIELD_IS_BOOL, "false", NULL),
    ROWS_TEXT,
    ROW("prompt", JSON, prompt, 0, 0, FIELD_NEEDED),
    ROW("suffix", STR, suffix, 0, 0, 0),
    ROW("echo", BOOL, echo, 0, 1, 0),
    ROW("best_of", INT, best_of, 1, OPENAI_CHOICE_MAX, 0),
    ROW("logprobs", INT, top_logprobs, 0, OPENAI_TOP_MAX, 0),
    ROW("response_format", JSON, response_format, 0, 0, 0),
    ROW_NOTED("metadata", FIELD_IS_STRS),
};

static int echo_ok(struct openai_parse *p)
{
    if (!p->in.echo)
        return 0;
    if (p->q->n_logprobs >= 0)
        return openai_unsupported(p, "echo", "is not supported with logprobs");
    for (size_t i = 0; i < p->q->n_input; i++) {
        if (p->q->input[i].ids)
            return openai_unsupported(p, "echo", "is not supported with tokens as prompt");
    }
    return 0;
}

static int parse(struct openai_parse *p)
{
    int rc = openai_sampling(p);

    if (rc == 0)
        rc = openai_input(p, "prompt", p->in.prompt, OPENAI_CHOICE_MAX / (size_t)p->in.n, 1);
    if (rc == 0 && p->in.best_of != GATE_UNSET && p->in.best_of != p->in.n)
        rc = openai_unsupported(p, "best_of", "is not supported unless it equals n");
    if (rc == 0 && p->in.top_logprobs != GATE_UNSET)
        p->q->n_logprobs = p->in.top_logprobs;
    if (rc == 0 && p->in.suffix.n) {
        p->q->kind = GATE_INFILL;
        rc = openai_copy(p, &p->q->suffix, p->in.suffix);
    }
    if (rc == 0 && p->q->kind == GATE_INFILL && p->q->n_input > 1)
        rc = openai_unsupported(p, "suffix", "is not supported with several prompts");
    p->q->raw = 1;
    return rc < 0 ? rc : echo_ok(p);
}

void openai_text(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct openai_text_out *out = NULL;

    if (!openai_begin(&p, s, c, GATE_TEXT, "openai.completions", rows, N(rows)))
        return;
    if (parse(&p) < 0 || openai_text_out_new(&out, &p) < 0)
        openai_refuse(&p, c);
    else
        openai_start(&p, s, c, &openai_text_ops, out);
}
