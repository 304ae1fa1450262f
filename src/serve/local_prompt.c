/* local_prompt.c - what was asked as token ids: conversations, texts, gaps to be filled. */
#include "serve/local_priv.h"

#include "infer/engine.h"
#include "text/tok_ids.h"

#include <time.h>

void local_prompt_done(struct local_prompt *p)
{
    chat_prompt_done(&p->p);
    chat_free(p->own);
    json_decref(p->messages);
}

int local_n_ctx(const struct local_call *c)
{
    const struct local_engine *en = c->m->en;
    int most = en->size.n_fit, asked = c->q->n_ctx > 0 ? c->q->n_ctx : en->n_usual;

    return asked < most ? asked : most;
}

void local_warn_n_ctx(struct local_call *c)
{
    const struct local_engine *en = c->m->en;
    int most = local_n_ctx(c);

    if (c->q->n_ctx > most)
        local_warn(c, "%snum_ctx: %d is more than %s; %d is taken",
                   local_field(c, GATE_F_SAMPLING), c->q->n_ctx,
                   most == en->info.n_ctx_train ? "this model was trained for"
                   : most < en->size.n_ctx || most > en->n_usual
                       ? "the key/value cache can hold"
                       : "this model was loaded for",
                   most);
}

/* Who must not see whether others have asked the same shares no pages with them. */
uint64_t local_salt(const struct local_call *c)
{
    struct local *l = c->l;
    int share;

    local_lock(l);
    share = l->config->share_prefixes;
    local_unlock(l);
    return share ? 0 : c->q->tenant;
}

/* How long a prompt may be when something is left out of it: an answer is to have room, too. */
static size_t room_for(const struct local_call *c)
{
    int n_ctx = local_n_ctx(c), answer = n_ctx / 8;

    if (c->q->n_predict > 0)
        answer = c->q->n_predict < n_ctx / 4 ? c->q->n_predict : n_ctx / 4;
    return (size_t)(n_ctx - (answer > 0 ? answer : 1));
}

static int too_long(const struct local_call *c, size_t n, struct err *e)
{
    return err_set(e, E_TOO_LONG,
                   "the prompt has %zu tokens, but the context holds %d with at least one of "
                   "the answer",
                   n, local_n_ctx(c));
}

static int fits(const struct local_call *c, size_t n)
{
    return n < (size_t)local_n_ctx(c);
}

/* -- conversations --------------------------------------------------------------------- */

static const char *role_of(const json_t *m)
{
    const char *role = json_string_value(json_object_get(m, "role"));

    return role ? role : "";
}

static int is_system(const json_t *m)
{
    return strcmp(role_of(m), "system") == 0 || strcmp(role_of(m), "developer") == 0;
}

static int add_text(json_t *all, const char *role, struct str text)
{
    return json_array_append_new(all, json_pack("{s:s, s:o}", "role", role, "content",
                                                json_stringn(text.p ? text.p : "", text.n)));
}

/* The model's own messages, then those of the request; the model's system text in front, unless
 * the request has one. NULL: no memory, or no UTF-8. */
static json_t *messages_of(const struct local_call *c)
{
    const struct gate_request *q = c->q;
    const struct store_model *sm = &c->m->sm;
    json_t *all = json_array(), *m;
    struct str system = q->system;
    size_t i;
    int rc = all ? 0 : -1, has = system.n > 0;

    json_array_foreach(q->messages, i, m)
    {
        has |= is_system(m);
    }
    if (!system.n && !has)
        system = sm->system;
    if (rc == 0 && system.n)
        rc = add_text(all, "system", system);
    /* Copies: other requests read them, too. */
    json_array_foreach(sm->messages, i, m)
    {
        if (rc == 0 && !is_system(m))
            rc = json_array_append_new(all, json_deep_copy(m));
    }
    json_array_foreach(q->messages, i, m)
    {
        if (rc == 0)
            rc = json_array_append(all, m);
    }
    if (rc == 0 && q->kind == GATE_TEXT)
        rc = add_text(all, "user", q->n_input ? q->input[0].text : (struct str){"", 0});
    if (rc != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

/* The last message, which is to be gone on with, leaves the others. */
static int take_begun(json_t *messages, json_t **held, struct chat_request *r, struct err *e)
{
    size_t n = json_array_size(messages);
    const json_t *m = n ? json_array_get(messages, n - 1) : NULL, *content, *thought;

    if (strcmp(role_of(m), "assistant") != 0)
        return err_set(e, E_INVALID,
                       "the last message is not the assistant's: there is nothing "
                       "to go on with");
    content = json_object_get(m, "content");
    if (json_is_array(content) && json_array_size(content) == 1)
        content = json_object_get(json_array_get(content, 0), "text");
    thought = json_object_get(m, "reasoning_content");
    if (!json_is_string(content))
        return err_set(e, E_UNSUPPORTED,
                       "a message that is to be gone on with must be one text");
    *held = json_incref((json_t *)(uintptr_t)m);
    r->begun = (struct str){json_string_value(content), json_string_length(content)};
    if (json_is_string(thought))
        r->thought = (struct str){json_string_value(thought), json_string_length(thought)};
    if (json_array_remove(messages, n - 1) != 0)
        return err_set(e, E_NOMEM, "no memory for the messages");
    return 0;
}

/* Messages but the first `cut` that are not system ones. NULL: no memory. */
static json_t *without(const json_t *messages, size_t cut)
{
    json_t *some = json_array(), *m;
    size_t i;

    json_array_foreach(messages, i, m)
    {
        int stays = is_system(m) || cut == 0;

        if (!stays)
            cut--;
        else if (json_array_append(some, m) != 0) {
            json_decref(some);
            return NULL;
        }
    }
    return some;
}

static int encode(const struct chat_request *q, json_t *messages, size_t cut,
                  struct local_prompt *out, struct err *e)
{
    struct chat_request r = *q;
    json_t *some = cut ? without(messages, cut) : json_incref(messages);
    int rc;

    if (!some)
        return err_set(e, E_NOMEM, "no memory for the messages");
    chat_prompt_done(&out->p);
    out->p = (struct chat_prompt){0};
    r.messages = some;
    rc = chat_encode(out->chat, &r, &out->p, e);
    json_decref(some);
    return rc;
}

/* Where a conversation may be cut: before messages of users, and before the last one. Fills
 * cut[] with how many are left out; returns how many such places there are. */
static size_t cuts_of(const json_t *messages, size_t *cut)
{
    size_t n = 0, at = 0, i;
    const json_t *m, *last = NULL;

    json_array_foreach(messages, i, m)
    {
        if (is_system(m))
            continue;
        if (at && strcmp(role_of(m), "user") == 0)
            cut[n++] = at;
        at++;
        last = m;
    }
    if (at > 1 && (n == 0 || cut[n - 1] != at - 1) && strcmp(role_of(last), "tool") != 0)
        cut[n++] = at - 1;
    return n;
}

/* Leaves out as few of the oldest messages as will do: the fewer, the longer, so that halving
 * finds the place. */
static int cut_chat(struct local_call *c, const struct chat_request *q,
                    struct local_prompt *out, struct err *e)
{
    size_t all = out->p.ids.n, n = json_array_size(out->messages), lo = 0, hi, best;
    size_t *cut = arena_alloc(&c->q->mem, (n + 1) * sizeof(*cut));

    if (!cut)
        return err_set(e, E_NOMEM, "no memory for the messages");
    hi = n = cuts_of(out->messages, cut);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct err unused = {0};

        if (encode(q, out->messages, cut[mid], out, &unused) == 0 &&
            out->p.ids.n <= room_for(c))
            hi = mid;
        else
            lo = mid + 1;
    }
    if (n == 0)
        return too_long(c, all, e);
    best = lo < n ? lo : n - 1;
    if (encode(q, out->messages, cut[best], out, e) < 0)
        return e ? e->code : E_INVALID;
    if (!fits(c, out->p.ids.n))
        return too_long(c, out->p.ids.n, e);
    out->dropped_messages = (int)cut[best];
    out->dropped = all > out->p.ids.n ? all - out->p.ids.n : 0;
    return 0;
}

/* What was asked for and the template cannot do. */
static int check_able(struct local_call *c, struct local_prompt *p, struct chat_request *r,
                      struct err *e)
{
    const struct probe *probe = chat_probe(p->chat, p->with_tools);

    if (p->with_tools && !probe->tools)
        return local_blame(
            c, GATE_F_TOOLS,
            err_set(e, E_UNSUPPORTED, "model '%s' does not support tools", local_name(c->m)));
    if (c->q->field[GATE_F_IMAGE])
        return local_blame(c, GATE_F_IMAGE,
                           err_set(e, E_UNSUPPORTED, "%s: an image; model '%s' reads text only",
                                   c->q->field[GATE_F_IMAGE], local_name(c->m)));
    if (r->think == CHAT_THINK_ON && probe->think == PROBE_THINK_NEVER)
        return local_blame(c, GATE_F_THINK,
                           err_set(e, E_UNSUPPORTED, "model '%s' does not support thinking",
                                   local_name(c->m)));
    if (r->think == CHAT_THINK_OFF && probe->think == PROBE_THINK_ALWAYS) {
        local_warn(c, "this model always reasons; it cannot be turned off");
        r->think = CHAT_THINK_AUTO;
    }
    if (r->effort && !chat_has_levels(p->chat, p->with_tools)) {
        local_warn(c, "this model's chat template knows no levels of reasoning ('%s')",
                   r->effort);
        r->effort = NULL;
    }
    return 0;
}

static int of_chat(struct local_call *c, struct local_prompt *out, struct err *e)
{
    const struct gate_request *q = c->q;
    struct chat_request r = {.vars = q->vars, .think = q->think};
    json_t *begun = NULL;
    time_t now = time(NULL);
    int rc = 0;

    out->chat = c->m->chat;
    if (q->chat_template.n)
        return err_set(e, E_UNSUPPORTED, "templates of clients are not taken here");
    if (!out->chat)
        return local_blame(c, GATE_F_MODEL,
                           err_set(e, c->m->chat_why.code, "%s", c->m->chat_why.msg));
    out->with_tools = json_array_size(q->tools) > 0;
    if (q->tool_choice == GATE_CALL_NONE && !chat_probe(out->chat, 1)->tools)
        out->with_tools = 0;
    r.tools = out->with_tools ? q->tools : NULL;
    r.effort = q->effort.n ? q->effort.p : NULL;
    out->messages = messages_of(c);
    if (!out->messages || !localtime_r(&now, &r.now))
        return err_set(e, E_NOMEM, "no memory for the messages, or one is not UTF-8");
    if (c->m->plain)
        local_warn(c, "model '%s' has no chat template; a plain one is used", local_name(c->m));
    rc = check_able(c, out, &r, e);
    if (rc == 0 && q->prefill)
        rc = take_begun(out->messages, &begun, &r, e);
    if (rc == 0)
        rc = encode(&r, out->messages, 0, out, e);
    if (rc == 0 && out->p.ids.n == 0)
        rc = err_set(e, E_INVALID, "the chat template made an empty prompt of it");
    if (rc == 0 && !fits(c, out->p.ids.n) && !q->count_only)
        rc = q->overflow == GATE_TRUNCATE ? cut_chat(c, &r, out, e)
                                          : too_long(c, out->p.ids.n, e);
    json_decref(begun);
    return rc;
}

/* -- texts ----------------------------------------------------------------------------- */

int local_check_ids(const struct local_call *c, const int32_t *ids, size_t n, struct err *e)
{
    int n_vocab = c->m->en->info.n_vocab;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return err_set(e, E_INVALID, "%s: token id %d (number %zu): expected 0 to %d",
                           local_field(c, GATE_F_PROMPT), (int)ids[i], i, n_vocab - 1);
    }
    return 0;
}

static int of_text(struct local_call *c, struct local_prompt *out, struct err *e)
{
    const struct gate_request *q = c->q;
    const struct gate_input *in = q->input;
    const struct tok *tok = infer_tok(c->m->en->model);
    struct tok_ids *ids = &out->p.ids;
    int rc = 0;

    if (!q->n_input)
        return err_set(e, E_INVALID, "there is no prompt");
    if (in->ids)
        rc = local_check_ids(c, in->ids, in->n_id, e);
    if (rc < 0)
        return rc;
    if (in->ids)
        rc = local_put_ids(ids, in->ids, in->n_id);
    else if (!tok)
        return local_blame(c, GATE_F_MODEL, infer_writes(c->m->en->model, e));
    else
        rc = tok_encode(tok, in->text.p ? in->text.p : "", in->text.n,
                        TOK_ADD_SPECIAL | (q->no_special ? 0 : TOK_PARSE_SPECIAL), ids, e);
    if (rc == 0 && ids->n == 0 && tok && tok_bos(tok) >= 0)
        rc = tok_ids_put(ids, tok_bos(tok));
    if (rc < 0)
        return err_set(e, rc, "no memory for the prompt");
    return ids->n ? 0 : err_set(e, E_INVALID, "the prompt is empty");
}

static int of_gap(struct local_call *c, struct local_prompt *out, struct err *e)
{
    const struct gate_request *q = c->q;
    const struct tok *tok = infer_tok(c->m->en->model);
    size_t room = q->overflow == GATE_TRUNCATE ? room_for(c) : SIZE_MAX;
    int left_out = 0, rc;

    if (!tok)
        return local_blame(c, GATE_F_MODEL, infer_writes(c->m->en->model, e));
    rc = local_gap(q, tok, room, &out->p.ids, &out->dropped, &left_out, e);
    if (rc == 0 && left_out)
        local_warn(c, "model '%s' has no tokens for other files; they are left out",
                   local_name(c->m));
    return rc == E_UNSUPPORTED
               ? local_blame(c, GATE_F_SUFFIX, err_wrap(e, rc, "model '%s'", local_name(c->m)))
               : rc;
}

/* -- all of them ----------------------------------------------------------------------- */

int local_prompt_make(struct local_call *c, struct local_prompt *out, struct err *e)
{
    const struct gate_request *q = c->q;
    const struct tok *tok = infer_tok(c->m->en->model);
    struct tok_ids *ids = &out->p.ids;
    size_t all;
    int rc;

    if (q->kind == GATE_CHAT || (q->kind == GATE_TEXT && !q->raw))
        return of_chat(c, out, e);
    rc = q->kind == GATE_TEXT ? of_text(c, out, e) : of_gap(c, out, e);
    if (rc < 0 || fits(c, ids->n) || q->count_only)
        return rc;
    if (q->overflow == GATE_REFUSE || q->kind == GATE_INFILL || room_for(c) == 0)
        return too_long(c, ids->n, e);
    all = ids->n;
    local_cut_front(ids, room_for(c), tok);
    out->dropped = all - ids->n;
    return 0;
}
