/* POST /v1/chat/completions. */
#include "serve/api/openai_rows.h"
#include "serve/api/openai_chat.h"
#include "serve/api/openai_routes.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct field_row rows[] = {
    ROWS_ALL,
    ROWS_SAMPLING,
    ROWS_TEXT,
    ROW("messages", ARRAY, messages, 1, 0, FIELD_NEEDED),
    ROW("max_completion_tokens", INT, max_completion_tokens, 1, INT_MAX, FIELD_CLAMP),
    ROW("tools", ARRAY, tools, 0, OPENAI_TOOL_MAX, 0),
    ROW("tool_choice", JSON, tool_choice, 0, 0, 0),
    ROW("parallel_tool_calls", BOOL, parallel_tool_calls, 0, 1, 0),
    ROW("response_format", JSON, response_format, 0, 0, 0),
    ROW("logprobs", BOOL, logprobs, 0, 1, 0),
    ROW("top_logprobs", INT, top_logprobs, 0, OPENAI_TOP_MAX, 0),
    ROW("reasoning_effort", STR, effort, 1, 0, 0),
    ROW("reasoning", OBJECT, reasoning, 0, 0, 0),
    ROW("reasoning_budget", INT, n_think, -1, INT_MAX, FIELD_CLAMP),
    ROW("thinking_budget_tokens", INT, n_think, -1, INT_MAX, FIELD_CLAMP),
    ROW("chat_template_kwargs", OBJECT, template_vars, 0, 0, 0),
    ROW("continue_final_message", BOOL, continue_final, 0, 1, 0),
    ROW("store", BOOL, store, 0, 1, 0),
    ROW("service_tier", STR, service_tier, 1, 0, 0),
    ROW("verbosity", STR, verbosity, 1, 0, 0),
    ROW("timings_per_token", BOOL, timings, 0, 1, 0),
    ROW_NOTED("metadata"),
    ROW_NOTED("prompt_cache_key"),
    ROW_NOTED("prompt_cache_retention"),
    ROW_WARNED("prediction", NULL, "has no effect: it would change the speed only"),
    ROW_REFUSED("modalities", "[\"text\"]", "is not supported: models here write text"),
    ROW_REFUSED("audio", NULL, "is not supported: models here write text"),
    ROW_REFUSED("web_search_options", NULL, NULL),
    ROW_REFUSED("functions", NULL, "is not supported: use tools"),
    ROW_REFUSED("function_call", "\"auto\"|\"none\"", "is not supported: use tool_choice"),
    ROW_REFUSED("chat_template", NULL, "is not supported: set it with the model's TEMPLATE"),
    ROW("add_generation_prompt", BOOL, add_prompt, 0, 1, 0),
    ROW_REFUSED("echo", "false", NULL),
    ROW_REFUSED("best_of", "1", NULL),
    ROW_REFUSED("documents", NULL, NULL),
    ROW_REFUSED("reasoning_format", "\"auto\"|\"deepseek\"",
                "is not supported: reasoning is always told apart"),
    ROW_REFUSED("include_reasoning", "true", NULL),
    ROW_REFUSED("parse_tool_calls", "true", NULL),
    ROW_WARNED("reasoning_control", "false",
               "has no effect: reasoning cannot be ended from outside"),
};

static int logprobs(struct openai_parse *p)
{
    if (p->in.top_logprobs != GATE_UNSET && !p->in.logprobs)
        return openai_bad(p, "top_logprobs", "needs logprobs to be true");
    if (p->in.logprobs)
        p->q->n_logprobs = p->in.top_logprobs == GATE_UNSET ? 0 : p->in.top_logprobs;
    return 0;
}

/* enable_thinking is a variable of some templates; all that can reason know it by its request
 * here. The others are handed on. */
static int template_vars(struct openai_parse *p)
{
    const json_t *on = json_object_get(p->in.template_vars, "enable_thinking");

    if (!p->in.template_vars)
        return 0;
    if (on && !json_is_boolean(on))
        return openai_bad(p, "chat_template_kwargs.enable_thinking", "must be true or false");
    if (on)
        p->q->think = json_is_true(on) ? GATE_THINK_ON : GATE_THINK_OFF;
    p->q->vars = json_copy(p->in.template_vars);
    if (!p->q->vars)
        return openai_nomem(p);
    (void)json_object_del(p->q->vars, "enable_thinking");
    return 0;
}

/* As OpenRouter and Ollama have it. */
static int reasoning(struct openai_parse *p)
{
    static const struct field_row own[] = {
        ROW("effort", STR, effort, 1, 0, 0),
        ROW("max_tokens", INT, n_think, 0, INT_MAX, FIELD_CLAMP),
        ROW_WARNED("summary", NULL, NULL),
        ROW_REFUSED("exclude", "false", NULL),
        ROW_REFUSED("enabled", "true", "is not supported: use effort \"none\""),
    };
    struct str effort = p->in.effort;
    int rc = 0;

    p->in.effort = (struct str){NULL, 0};
    if (p->in.reasoning)
        rc = field_read(own, N(own), "reasoning.", p->in.reasoning, &p->in, &p->report, &p->e);
    if (rc == 0 && p->in.effort.n)
        rc = openai_effort(p, "reasoning.effort", p->in.effort);
    if (rc == 0 && effort.n)
        rc = openai_effort(p, "reasoning_effort", effort);
    p->q->n_think = p->in.n_think;
    if (p->in.n_think == 0)
        p->q->think = GATE_THINK_OFF;
    return rc;
}

/* What is true of the answer, but not as it was asked for. */
static void warnings(struct openai_parse *p)
{
    const struct openai_in *in = &p->in;

    if (in->store)
        field_warn(&p->report, "store has no effect: completions are not kept");
    if (in->service_tier.n && !str_is(in->service_tier, "auto") &&
        !str_is(in->service_tier, "default"))
        field_warn(&p->report, "service_tier has no effect: there is one");
    if (in->verbosity.n && !str_is(in->verbosity, "medium"))
        field_warn(&p->report, "verbosity has no effect: say it in a message");
    if (p->in.timings && p->in.stream)
        field_warn(&p->report, "timings_per_token: timings come at the end of a choice");
}

static int continue_final(struct openai_parse *p)
{
    const json_t *last = json_array_get(p->q->messages, json_array_size(p->q->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));

    if (!p->in.continue_final && !p->in.add_prompt)
        return openai_unsupported(p, "add_generation_prompt",
                                  "can be false with continue_final_message only");
    if (!p->in.continue_final)
        return 0;
    if (strcmp(role, "assistant") != 0)
        return openai_bad(p, "continue_final_message",
                          "needs the last message to be the assistant's");
    p->q->prefill = 1;
    return 0;
}

static int parse(struct openai_parse *p)
{
    int rc = openai_sampling(p);

    if (rc == 0)
        rc = openai_tools(p, p->in.tools, p->in.tool_choice, 0);
    if (rc == 0)
        rc = openai_messages(p, p->in.messages);
    if (rc == 0)
        rc = continue_final(p);
    if (rc == 0)
        rc = logprobs(p);
    if (rc == 0)
        rc = template_vars(p);
    if (rc == 0)
        rc = reasoning(p);
    if (rc == 0)
        warnings(p);
    return rc;
}

void openai_chat(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct openai_chat_out *out = NULL;

    if (!openai_begin(&p, s, c, GATE_CHAT, "openai.chat", rows, N(rows)))
        return;
    if (parse(&p) < 0 || openai_chat_out_new(&out, &p) < 0)
        openai_refuse(&p, c);
    else
        openai_start(&p, s, c, &openai_chat_ops, out);
}

/* How long the prompt of such a body is; not OpenAI's, but llama-server's. */
void openai_chat_count(struct serve *s, struct call *c)
{
    struct openai_parse p;

    if (!openai_begin(&p, s, c, GATE_CHAT, "openai.input_tokens", rows, N(rows)))
        return;
    if (parse(&p) < 0)
        openai_refuse(&p, c);
    else
        openai_count(&p, s, c);
}
