/* run_chat.c - the conversation behind `hearth run`: template, messages, tools, and the grammar
 * that answers are held to. */
#include "cmd/run.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fmt/jbig.h"
#include "fmt/jfile.h"
#include "infer/engine.h"
#include "text/form.h"

#include <string.h>
#include <time.h>

/* -- files that options name ------------------------------------------------------------- */

int run_option_file(const char *option, const char *path, struct buf *b, struct err *e)
{
    int rc = cmd_read_file(path, b, e);

    return rc < 0 ? err_wrap(e, rc, "--%s", option) : 0;
}

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Names of files say it, or what is in them. */
static int kind_of(const char *path, struct str text)
{
    if (cmd_is_go(path))
        return TMPL_GO;
    if (ends_with(path, ".jinja") || ends_with(path, ".j2"))
        return TMPL_JINJA;
    return tmpl_kind_of(text);
}

/* -- opening ------------------------------------------------------------------------------ */

static int open_template(struct run *r, struct err *e)
{
    struct chat_source s = {
        .kind = TMPL_JINJA, .name = str_of(r->info.arch), .tok = infer_tok(r->model)};
    struct buf b;
    int rc = 0, have;

    buf_init(&b, RUN_FILE_MAX);
    if (r->opt.template) {
        rc = run_option_file("template", r->opt.template, &b, e);
        s.text = (struct str){b.p ? b.p : "", b.n};
        s.kind = kind_of(r->opt.template, s.text);
        have = 1;
    } else if (r->stored.template.n) {
        s.text = r->stored.template;
        s.kind = tmpl_kind_of(s.text);
        have = 1;
    } else {
        have = infer_text(r->model, "tokenizer.chat_template", &s.text);
        if (!infer_text(r->model, "tokenizer.chat_template.tool_use", &s.tools_text))
            s.tools_text = (struct str){NULL, 0};
    }
    if (rc == 0 && have && !s.tok)
        rc = err_set(e, E_UNSUPPORTED,
                     "this model's tokenizer is not known here, so there can "
                     "be no conversation; --raw completes text");
    if (rc == 0 && have) {
        rc = chat_new(&r->chat.chat, &s, e);
        if (rc < 0 && r->opt.template)
            rc = err_wrap(e, rc, "--template: %s", r->opt.template);
        else if (rc < 0)
            rc = err_wrap(e, rc,
                          "the model's chat template (--raw completes text without it, "
                          "--template FILE takes another one)");
    }
    buf_done(&b);
    return rc;
}

/* Reads what --format names. */
static int open_format(struct run *r, const char *format, struct err *e)
{
    struct buf b;
    int rc;

    if (!format || strcmp(format, "text") == 0)
        return 0;
    if (strcmp(format, "json") == 0) {
        r->chat.any_json = 1;
        return 0;
    }
    buf_init(&b, RUN_FILE_MAX);
    rc = run_option_file("format", format, &b, e);
    if (rc == E_NOT_FOUND)
        rc = err_set(e, rc,
                     "--format: '%s' is neither text nor json, nor a file with a JSON "
                     "Schema",
                     format);
    if (rc == 0) {
        rc = jbig_load(&r->chat.schema, (struct str){b.p, b.n},
                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, e);
        if (rc < 0)
            rc = err_wrap(e, E_INVALID, "--format: %s", format);
    }
    buf_done(&b);
    return rc;
}

/* think: as of --think. */
static int open_think(struct run *r, const char *think, int off, struct err *e)
{
    static const char *const levels[] = {"low", "medium", "high", "max"};
    int is_level = 0;

    if (think && off)
        return err_set(e, E_INVALID, "--think and --no-think together");
    for (size_t i = 0; think && i < sizeof(levels) / sizeof(*levels); i++)
        is_level |= strcmp(think, levels[i]) == 0;
    if (think && *think && !is_level && strcmp(think, "true") != 0 &&
        strcmp(think, "false") != 0)
        return err_set(e, E_INVALID, "think: '%s'; true, false, low, medium, high or max",
                       think);
    off |= think && strcmp(think, "false") == 0;
    r->chat.think = off ? CHAT_THINK_OFF : think ? CHAT_THINK_ON : CHAT_THINK_AUTO;
    r->chat.effort = is_level ? think : NULL;
    return 0;
}

/* What was asked for and the template cannot do is said before anything is computed; in the
 * same way as a server does. */
static int check_abilities(struct run *r, struct err *e)
{
    struct run_chat *c = &r->chat;
    const struct probe *p;

    if (!c->chat) {
        const char *what = c->tools                      ? "tools"
                           : c->think != CHAT_THINK_AUTO ? "think"
                           : r->opt.choice               ? "tool-choice"
                           : r->opt.one_call             ? "one-call"
                                                         : NULL;

        return what ? err_set(e, E_INVALID,
                              "--%s needs a chat template, and %s; --template FILE gives one",
                              what, r->opt.raw ? "--raw leaves it out" : "this model has none")
                    : 0;
    }
    if ((r->opt.choice || r->opt.one_call) && !c->tools)
        return err_set(e, E_INVALID, "%s without --tools",
                       r->opt.choice ? "--tool-choice" : "--one-call");
    if (r->opt.choice) {
        int rc = run_tools_choice(r, e);

        if (rc < 0)
            return rc;
    }
    p = chat_probe(c->chat, c->tools != NULL);
    if (c->tools && !p->tools)
        return err_set(e, E_UNSUPPORTED,
                       "--tools: this model's chat template has no place for tools");
    if (c->think == CHAT_THINK_ON && p->think == PROBE_THINK_NEVER)
        return err_set(e, E_UNSUPPORTED, "--think: this model does not reason");
    if (c->think == CHAT_THINK_OFF && p->think == PROBE_THINK_ALWAYS) {
        log_line(LOG_WARN, "this model always reasons; --hide-thinking hides it");
        c->think = CHAT_THINK_AUTO;
    }
    if (c->effort && !chat_has_levels(c->chat, c->tools != NULL)) {
        log_line(LOG_WARN, "this model's chat template knows no levels of reasoning ('%s')",
                 c->effort);
        c->effort = NULL;
    }
    return 0;
}

static int check_texts(const struct run *r, struct err *e)
{
    const char *system = r->opt.system;

    for (int i = 0; i < r->opt.stop.n; i++)
        if (!*r->opt.stop.v[i])
            return err_set(e, E_INVALID, "--stop: an empty text would end every answer");
    if ((r->chat.chat || r->via) && system && !utf8_valid(system, strlen(system)))
        return err_set(e, E_INVALID, "--system: the text is not UTF-8");
    return 0;
}

static int open_hidden(struct run *r, struct err *e)
{
    /* Models have rows of logits past their tokens, and may choose one. */
    size_t n = MASK_WORDS(r->info.n_vocab);

    r->chat.hidden = mem_calloc(n, sizeof(*r->chat.hidden));
    if (!r->chat.hidden)
        return err_set(e, E_NOMEM, "no memory for a conversation");
    chat_hidden(r->chat.chat, r->chat.tools != NULL, r->chat.hidden);
    return 0;
}

int run_chat_open(struct run *r, struct err *e)
{
    int rc = open_think(r, r->opt.think, r->opt.no_think, e);

    r->chat.messages = json_array();
    if (rc == 0 && !r->chat.messages)
        rc = err_set(e, E_NOMEM, "no memory for a conversation");
    if (rc == 0 && r->opt.raw && r->opt.template)
        rc = err_set(e, E_INVALID, "--raw and --template together");
    if (rc == 0 && r->stored.messages &&
        json_array_extend(r->chat.messages, r->stored.messages) != 0)
        rc = err_set(e, E_NOMEM, "no memory for a conversation");
    if (rc == 0 && !r->opt.raw)
        rc = open_template(r, e);
    if (rc == 0 && r->opt.tools)
        rc = run_tools_open(r, e);
    if (rc == 0)
        rc = open_format(r, r->opt.format, e);
    if (rc == 0)
        rc = check_texts(r, e);
    if (rc == 0)
        rc = check_abilities(r, e);
    if (rc == 0 && r->chat.chat && !r->opt.special)
        rc = open_hidden(r, e);
    return rc < 0 ? rc : run_chat_grammar(r, e);
}

int run_chat_open_via(struct run *r, struct err *e)
{
    int rc = open_think(r, r->opt.think, r->opt.no_think, e);

    r->chat.messages = json_array();
    if (rc == 0 && !r->chat.messages)
        rc = err_set(e, E_NOMEM, "no memory for a conversation");
    if (rc == 0 && r->opt.raw && r->chat.think != CHAT_THINK_AUTO)
        rc = err_set(e, E_INVALID, "--think needs a chat template, and --raw leaves it out");
    if (rc == 0)
        rc = open_format(r, r->opt.format, e);
    return rc < 0 ? rc : check_texts(r, e);
}

void run_chat_close(struct run *r)
{
    struct run_chat *c = &r->chat;

    gram_free(c->gram);
    mask_vocab_free(c->vocab);
    chat_free(c->chat);
    mem_free(c->hidden);
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->schema);
    mem_free(r->ids);
}

const struct reply_style *run_chat_style(const struct run *r)
{
    static const struct reply_style plain;

    return r->chat.chat ? &chat_probe(r->chat.chat, r->chat.tools != NULL)->style : &plain;
}

/* -- grammar ------------------------------------------------------------------------------ */

int run_chat_grammar(struct run *r, struct err *e)
{
    struct run_chat *c = &r->chat;
    struct form f = {.kind = c->schema     ? FORM_SCHEMA
                             : c->any_json ? FORM_JSON
                                           : FORM_ANY,
                     .schema = c->schema,
                     .style = c->chat ? run_chat_style(r) : NULL};
    int must = run_tools_calls(r, &f.calls), of_tools = 0, rc = 0;

    gram_free(c->gram);
    c->gram = NULL;
    if (f.kind == FORM_ANY && !c->tools)
        return 0;
    if (!infer_tok(r->model))
        return err_set(e, E_UNSUPPORTED,
                       "this model's tokenizer is not known here, so answers cannot be held "
                       "to a form");
    if (f.kind != FORM_ANY && must)
        return err_set(e, E_INVALID,
                       "--format: with --tool-choice %s every answer is a call; leave one out",
                       r->opt.choice);
    if (!c->vocab)
        rc = mask_vocab_new(&c->vocab, infer_tok(r->model), e);
    if (rc == 0)
        rc = form_grammar(&c->gram, &f, &of_tools, e);
    else
        return rc;
    if (rc == E_UNSUPPORTED && form_may_be_free(&f)) {
        log_line(LOG_WARN, "calls are not held to what their tools declare: %s", e->msg);
        return 0;
    }
    return rc < 0 ? err_wrap(e, rc, of_tools ? "--tools" : "--format") : 0;
}

/* -- what the interactive mode changes ------------------------------------------------ */

int run_chat_format(struct run *r, const char *format, struct err *e)
{
    struct run_chat old = r->chat, *c = &r->chat;
    int rc;

    c->gram = NULL;
    c->schema = NULL;
    c->any_json = 0;
    rc = open_format(r, format, e);
    if (rc == 0 && !r->via)
        rc = run_chat_grammar(r, e);
    if (rc < 0) { /* as it was; the vocabulary may be new */
        gram_free(c->gram);
        json_decref(c->schema);
        c->gram = old.gram;
        c->schema = old.schema;
        c->any_json = old.any_json;
        return rc;
    }
    gram_free(old.gram);
    json_decref(old.schema);
    return 0;
}

int run_chat_think(struct run *r, const char *think, struct err *e)
{
    int was = r->chat.think, rc;
    const char *effort = r->chat.effort;

    rc = open_think(r, think, 0, e);
    if (rc == 0 && !r->via)
        rc = check_abilities(r, e);
    if (rc < 0) {
        r->chat.think = was;
        r->chat.effort = effort;
    }
    return rc;
}

/* -- messages ----------------------------------------------------------------------------- */

int run_chat_add(struct run *r, json_t *message, struct err *e)
{
    if (!message || json_array_append_new(r->chat.messages, message) != 0)
        return err_set(e, E_NOMEM, "no memory for a message, or it is not UTF-8");
    return 0;
}

void run_chat_drop(struct run *r)
{
    size_t n = json_array_size(r->chat.messages);

    if (n)
        (void)json_array_remove(r->chat.messages, n - 1);
}

/* The call that waits for its result: results follow their message in the order of its calls.
 */
static json_t *open_call(const struct run *r, size_t *left)
{
    size_t n = json_array_size(r->chat.messages), results = 0, calls;
    json_t *m = NULL;

    while (n > 0) {
        const char *role;

        m = json_array_get(r->chat.messages, --n);
        role = json_string_value(json_object_get(m, "role"));
        if (!role || strcmp(role, "tool") != 0)
            break;
        results++;
    }
    calls = json_array_size(json_object_get(m, "tool_calls"));
    if (results >= calls)
        return NULL;
    *left = calls - results - 1;
    return json_array_get(json_object_get(m, "tool_calls"), results);
}

int run_chat_result(struct run *r, const char *text, size_t *left, struct err *e)
{
    json_t *call = open_call(r, left), *m;
    const json_t *id = json_object_get(call, "id");

    if (!call)
        return err_set(e, E_INVALID, "no call waits for a result");
    m = json_pack("{s:s, s:O, s:s}", "role", "tool", "name",
                  json_object_get(json_object_get(call, "function"), "name"), "content", text);
    if (m && id && json_object_set(m, "tool_call_id", (json_t *)(uintptr_t)id) != 0) {
        json_decref(m);
        m = NULL;
    }
    return run_chat_add(r, m, e);
}

void run_chat_clear(struct run *r)
{
    (void)json_array_clear(r->chat.messages);
}

int run_ids_add(struct run *r, const int32_t *ids, size_t n, struct err *e)
{
    if (n > r->cap_id - r->n_id) {
        size_t cap = (r->n_id + n) * 2;
        int32_t *p = mem_realloc(r->ids, cap * sizeof(*p));

        if (!p)
            return err_set(e, E_NOMEM, "no memory for %zu tokens", cap);
        r->ids = p;
        r->cap_id = cap;
    }
    if (n)
        memcpy(r->ids + r->n_id, ids, n * sizeof(*ids));
    r->n_id += n;
    return 0;
}

/* The sequence keeps what it has in common with the prompt, but for its last token: something
 * must be computed for there to be logits. */
static int keep_common(struct run *r, const struct tok_ids *ids, size_t *common, struct err *e)
{
    struct hearth_error he = {0};
    size_t n = 0, have = (size_t)hearth_seq_len(r->seq);

    if (have > r->n_id)
        have = r->n_id;
    while (n < have && n + 1 < ids->n && r->ids[n] == ids->id[n])
        n++;
    if (hearth_seq_truncate(r->seq, (int)n, &he) < 0)
        return cmd_err(e, &he);
    r->n_id = n;
    *common = n;
    return 0;
}

/* The messages behind the system text, which may change at any time. */
static json_t *with_system(const struct run *r)
{
    const char *system = r->opt.system;
    json_t *all = json_copy(r->chat.messages);

    if (all && system && *system &&
        json_array_insert_new(
            all, 0, json_pack("{s:s, s:s}", "role", "system", "content", system)) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

int run_chat_prompt(struct run *r, int32_t **ids, size_t *n, struct err *e)
{
    struct chat_request q = {
        .tools = r->chat.tools, .think = r->chat.think, .effort = r->chat.effort};
    struct chat_prompt p = {0};
    time_t now = time(NULL);
    size_t common = 0;
    json_t *all = with_system(r);
    int rc = all && localtime_r(&now, &q.now) ? 0 : err_set(e, E_NOMEM, "no memory");

    q.messages = all;
    if (rc == 0)
        rc = chat_encode(r->chat.chat, &q, &p, e);
    json_decref(all);
    if (rc == 0 && p.ids.n > (size_t)r->n_ctx)
        rc = err_set(e, E_TOO_LONG,
                     "the conversation has %zu tokens, but the context holds %d; %s", p.ids.n,
                     r->n_ctx,
                     r->interactive ? "/clear starts anew" : "-c (--num-ctx) sets more");
    if (rc == 0 && p.ids.n == 0)
        rc = err_set(e, E_INVALID, "the chat template made an empty prompt of it");
    if (rc == 0)
        rc = keep_common(r, &p.ids, &common, e);
    if (rc == 0) {
        *n = p.ids.n - common;
        *ids = mem_alloc(*n * sizeof(**ids));
        if (*ids)
            memcpy(*ids, p.ids.id + common, *n * sizeof(**ids));
        else
            rc = err_set(e, E_NOMEM, "no memory for a prompt of %zu tokens", *n);
        r->chat.open = p.open;
    }
    chat_prompt_done(&p);
    return rc;
}
