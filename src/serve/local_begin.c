/* local_begin.c - makes the answers of a call: what takes them apart, what holds them to a
 * form.
 */
#include "serve/local_answer.h"

#include "base/mem.h"
#include "base/rng.h"
#include "infer/engine.h"
#include "infer/guided.h"
#include "text/form.h"

#define TEXT_MAX ((size_t)64 << 20)

/* Answers that are held to a form each have a grammar and its masks, up to 100 MiB. */
enum { GUIDED_MAX = 8 };

static void answer_free(struct local_answer *a)
{
    reply_free(a->reply);
    guide_free(a->guide);
    gram_free(a->gram);
    local_tokens_done(&a->tokens);
    buf_done(&a->clean);
    buf_done(&a->name);
    buf_done(&a->id);
    buf_done(&a->arguments);
}

void local_answers_free(struct local_call *c)
{
    for (size_t i = 0; i < c->n_answer; i++)
        answer_free(&c->answer[i]);
    mem_free(c->answer);
    c->answer = NULL;
    c->n_answer = 0;
}

/* -- forms ----------------------------------------------------------------------------- */

static struct form form_of(const struct local_call *c, const struct local_prompt *p)
{
    static const int kinds[] = {FORM_ANY, FORM_JSON, FORM_SCHEMA, FORM_GBNF, FORM_REGEX};
    static const int choices[] = {REPLY_AUTO, REPLY_REQUIRED, REPLY_NONE};
    const struct gate_request *q = c->q;
    struct form f = {.kind = kinds[q->form], .schema = q->schema, .text = q->grammar};

    if (p->chat)
        f.style = &chat_probe(p->chat, p->with_tools)->style;
    f.calls = (struct reply_tools){.tools = p->with_tools ? q->tools : NULL,
                                   .choice = choices[q->tool_choice],
                                   .only = q->tool_name.n ? q->tool_name.p : NULL,
                                   .parallel = !q->one_call};
    return f;
}

/* 1: some tool's calls were asked to keep its schema at any rate. */
static int some_strict(const json_t *tools)
{
    const json_t *tool;
    size_t i;

    json_array_foreach(tools, i, tool)
    {
        if (json_is_true(json_object_get(json_object_get(tool, "function"), "strict")))
            return 1;
    }
    return 0;
}

/* 1: e is about what a tool declares, and not about the format that calls have here. */
static int is_of_a_tool(const struct err *e)
{
    static const char words[] = "tool '"; /* as reply_grammar says it */

    return strncmp(e->msg, words, sizeof(words) - 1) == 0;
}

/* The answer's grammar. That calls cannot be held to what their tools declare is no reason to
 * go without them, unless one must come, or a tool is strict: what one declares lets all go. */
static int grammar_of(struct local_answer *a, const struct local_prompt *p, struct err *e)
{
    struct local_call *c = a->c;
    struct form f = form_of(c, p);
    int of_tools = 0, field, rc;

    if (c->q->tool_choice == GATE_CALL_REQUIRED && !p->with_tools)
        return local_blame(c, GATE_F_TOOL_CHOICE,
                           err_set(e, E_INVALID,
                                   "%s: a tool must be called, but there are none",
                                   local_field(c, GATE_F_TOOL_CHOICE)));
    if (f.kind != FORM_ANY && c->q->prefill)
        return local_blame(c, GATE_F_FORM,
                           err_set(e, E_UNSUPPORTED,
                                   "%s: an answer that was begun cannot be held to a form here",
                                   local_field(c, GATE_F_FORM)));
    rc = form_grammar(&a->gram, &f, &of_tools, e);
    field = of_tools || f.kind == FORM_ANY ? GATE_F_TOOLS : GATE_F_FORM;
    if (rc == E_UNSUPPORTED && f.kind == FORM_ANY && f.calls.choice == REPLY_AUTO &&
        is_of_a_tool(e) && some_strict(c->q->tools))
        return local_blame(c, field,
                           err_wrap(e, rc, "%s: strict cannot be kept", local_field(c, field)));
    if (rc == E_UNSUPPORTED && f.kind == FORM_ANY && f.calls.choice != REPLY_REQUIRED) {
        if (a->index == 0 && f.calls.choice == REPLY_AUTO)
            local_warn(c, "calls are not held to what their tools declare: %s", e->msg);
        e->code = 0;
        return 0;
    }
    /* It is the form that is too large for us, not the conversation for the model. */
    return rc < 0 ? local_blame(c, field,
                                err_wrap(e, rc == E_TOO_LONG ? E_INVALID : rc, "%s",
                                         local_field(c, field)))
                  : 0;
}

/* 1: reasoning may have so many tokens and no more. */
static int is_limited(const struct local_answer *a, const struct local_prompt *p)
{
    return p->chat && a->c->q->n_think >= 0 &&
           *chat_probe(p->chat, p->with_tools)->style.think_close;
}

static int guide_of(struct local_answer *a, const struct local_prompt *p, struct err *e)
{
    const struct gate_request *q = a->c->q;
    const struct mask_vocab *vocab = NULL;
    struct guide_options o = {.gram = a->gram,
                              .tok = a->tok,
                              .open = p->p.open,
                              .limited = is_limited(a, p),
                              .budget = q->n_think,
                              .may_think = p->chat && (!a->gram || q->think != GATE_THINK_OFF)};
    int rc = a->gram ? local_vocab(a->c->m->en, &vocab, e) : 0;

    o.vocab = vocab;
    if (p->chat)
        o.style = &chat_probe(p->chat, p->with_tools)->style;
    if (rc == 0 && q->sampling.ignore_eos)
        rc = local_blame(
            a->c, GATE_F_EOS,
            err_set(e, E_INVALID, "%s cannot be combined with %s",
                    local_field(a->c, GATE_F_EOS),
                    a->gram ? "what says where the answer ends" : "a limit of reasoning"));
    if (rc == 0)
        rc = guide_new(&a->guide, &o, e);
    if (rc == 0)
        a->by = guided_by(a->guide);
    return rc;
}

/* -- answers --------------------------------------------------------------------------- */

static int reply_of(struct local_answer *a, const struct local_prompt *p, struct err *e)
{
    const struct gate_request *q = a->c->q;
    const json_t *tools = p->with_tools && q->tool_choice != GATE_CALL_NONE ? q->tools : NULL;
    int rc = reply_new(&a->reply, &chat_probe(p->chat, p->with_tools)->style, tools, p->p.open,
                       local_on_reply, a, e);

    if (rc == 0 && a->gram)
        reply_guided(a->reply, q->form != GATE_ANY);
    a->hidden = a->c->m->hidden[p->with_tools];
    a->show_control = 1;
    return rc;
}

static int answer_make(struct local_answer *a, struct local_call *c, size_t index,
                       const struct local_prompt *p, struct err *e)
{
    const struct gate_request *q = c->q;
    int rc;

    a->c = c;
    a->index = (int)index;
    a->kind = GATE_EV_CONTENT;
    a->tok = infer_tok(c->m->en->model);
    local_tokens_init(&a->tokens, q->n_logprobs >= 0 || q->want_ids, q->n_logprobs);
    buf_init(&a->clean, 3 * TEXT_MAX);
    buf_init(&a->name, TEXT_MAX);
    buf_init(&a->id, TEXT_MAX);
    buf_init(&a->arguments, TEXT_MAX);
    rc = grammar_of(a, p, e);
    if (rc == 0 && (a->gram || is_limited(a, p)))
        rc = guide_of(a, p, e);
    if (rc == 0 && p->chat)
        rc = reply_of(a, p, e);
    a->certain = a->gram && p->with_tools && q->tool_choice != GATE_CALL_NONE;
    return rc;
}

/* Seeds of further choices follow from the first one's. */
static uint64_t seed_of(uint64_t seed, size_t index)
{
    struct rng r;

    if (!index)
        return seed;
    rng_seed(&r, seed ^ (uint64_t)index << 32);
    return rng_u64(&r);
}

static int submit(struct local_answer *a, const struct local_prompt *p,
                  const struct sched_request *base, struct err *e)
{
    struct sched_request r = *base;

    r.want = SCHED_TEXT;
    r.ids = p->p.ids.id;
    r.n = p->p.ids.n;
    r.sampling.seed = seed_of(base->sampling.seed, (size_t)a->index);
    r.show_control = a->show_control;
    r.hidden = a->hidden;
    r.guide = a->guide ? &a->by : NULL;
    a->stop = base->stop;
    return local_submit(a->c, (size_t)a->index, &r, local_on_job, a, e);
}

int local_answer_start(struct local_call *c, const struct local_prompt *p,
                       const struct sched_request *r, struct err *e)
{
    size_t n = (size_t)(c->q->n_choice > 0 ? c->q->n_choice : 1);
    int rc = 0;

    c->answer = mem_calloc(n, sizeof(*c->answer));
    if (!c->answer || local_jobs(c, n) < 0)
        return err_set(e, E_NOMEM, "no memory for %zu answers", n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        c->n_answer++;
        rc = answer_make(&c->answer[i], c, i, p, e);
        if (rc == 0 && c->answer[i].gram && n > GUIDED_MAX)
            rc = local_blame(c, GATE_F_CHOICES,
                             err_set(e, E_UNSUPPORTED,
                                     "%s is %zu: at most %d answers are held to a form at once",
                                     local_field(c, GATE_F_CHOICES), n, GUIDED_MAX));
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = local_blame_sampling(c, submit(&c->answer[i], p, r, e), e);
    if (rc == E_TOO_LONG)
        rc = local_blame(c, GATE_F_PROMPT, rc);
    return rc;
}
