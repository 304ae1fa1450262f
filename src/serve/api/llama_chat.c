/* llama_chat.c - POST /apply-template: what a conversation is to the model, as text. The body
 * is that of /v1/chat/completions.
 */
#include "serve/api/llama.h"
#include "serve/api/openai_rows.h"

#include "base/mem.h"
#include "fmt/jtext.h"

#define ANSWER_MAX ((size_t)256 << 20)

static const struct field_row rows[] = {
    ROW("model", STR, model, 0, 1024, 0),
    ROW("messages", ARRAY, messages, 1, 0, FIELD_NEEDED),
    ROW("tools", ARRAY, tools, 0, OPENAI_TOOL_MAX, 0),
    ROW("tool_choice", JSON, tool_choice, 0, 0, 0),
    ROW("parallel_tool_calls", BOOL, parallel_tool_calls, 0, 1, 0),
    ROW("reasoning_effort", STR, effort, 1, 0, 0),
    ROW("chat_template_kwargs", OBJECT, template_vars, 0, 0, 0),
    ROW("continue_final_message", BOOL, continue_final, 0, 1, 0),
    ROW_REFUSED("chat_template", NULL, "is not supported: set it with the model's TEMPLATE"),
    ROW_REFUSED("add_generation_prompt", "true", NULL),
    ROW_NOTED("stream", FIELD_IS_BOOL),
};

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct buf *text = ctx;
    int rc;

    if (ev->kind == GATE_EV_CONTENT)
        return jtext_escape(text, ev->text, 0);
    if (ev->kind != GATE_EV_DONE)
        return 0;
    rc = buf_str(out, "{\"prompt\":\"");
    if (rc == 0 && text->n)
        rc = buf_put(out, text->p, text->n);
    return rc < 0 ? rc : buf_str(out, "\"}");
}

static void text_free(void *ctx)
{
    struct buf *text = ctx;

    buf_done(text);
    mem_free(text);
}

static const struct ask_ops ops = {.event = on_event, .free = text_free};

static int read_all(struct openai_parse *p)
{
    int rc = openai_messages(p, p->in.messages);

    if (rc == 0)
        rc = openai_tools(p, p->in.tools, p->in.tool_choice, 0);
    if (rc == 0 && p->in.effort.n)
        rc = openai_effort(p, "reasoning_effort", p->in.effort);
    if (rc == 0)
        rc = openai_template_vars(p);
    p->q->prefill = p->in.continue_final;
    p->q->render_only = 1;
    return rc;
}

void llama_apply_template(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct buf *text;
    int rc;

    if (!openai_begin(&p, s, c, GATE_CHAT, "llama.apply-template", rows,
                      sizeof(rows) / sizeof(*rows)))
        return;
    rc = read_all(&p);
    text = rc < 0 ? NULL : mem_calloc(1, sizeof(*text));
    if (rc == 0 && !text)
        rc = openai_nomem(&p);
    if (rc < 0) {
        openai_refuse(&p, c);
        return;
    }
    buf_init(text, ANSWER_MAX);
    openai_start(&p, s, c, &ops, text);
}
