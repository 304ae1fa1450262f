/* Go templates as Modelfiles use them: which of three ways a template is rendered.
 *
 * 1. Prompt and suffix: the template sees both, to fill in what is between them.
 * 2. It mentions .Messages: one render sees the whole conversation.
 * 3. Else it is of the old kind and shows one turn: it is rendered for each, one behind the
 *    other, and for the last one up to .Response, where the model goes on.
 *
 * A template that mentions neither .Messages nor .Response ends with an answer all the same. */
#include "text/tmpl/go_cut.h"
#include "text/tmpl/go_run.h"
#include "text/tmpl/tmpl_lang.h"

#include "base/mem.h"

#include <string.h>

struct go {
    struct go_tree tree;
    struct go_node *last_turn; /* the root up to .Response */
    int of_messages;
};

struct chat {
    const struct go *go;
    struct go_run run;
    struct go_data data;
    struct value system, prompt, response; /* of a turn */
};

/* -- compiling ------------------------------------------------------------------------- */

static int make(void **out, struct str text, struct err *e)
{
    static const struct str answer = {"{{ .Response }}", 15};
    struct go *g = mem_calloc(1, sizeof(*g));
    struct buf whole;
    int rc;

    if (!g)
        return err_set(e, E_NOMEM, "no memory for a template");
    rc = go_parse(&g->tree, text, go_func_find, e);
    if (rc == 0) {
        g->of_messages = go_tree_mentions(&g->tree, "Messages", 1);
        if (!g->of_messages && !go_tree_mentions(&g->tree, "Response", 1)) {
            go_tree_done(&g->tree);
            buf_init(&whole, text.n + answer.n);
            rc = buf_put(&whole, text.p, text.n);
            if (rc == 0)
                rc = buf_put(&whole, answer.p, answer.n);
            rc = rc < 0 ? err_set(e, rc, "no memory for a template")
                        : go_parse(&g->tree, (struct str){whole.p, whole.n}, go_func_find, e);
            buf_done(&whole);
        }
    }
    if (rc == 0)
        rc = go_cut(&g->tree, &g->last_turn, e);
    if (rc < 0) {
        go_tree_done(&g->tree);
        mem_free(g);
        return rc;
    }
    *out = g;
    return 0;
}

static void drop(void *compiled)
{
    struct go *g = compiled;

    go_tree_done(&g->tree);
    mem_free(g);
}

/* Also what a request calls otherwise than templates do. */
static int mentions(const void *compiled, const char *name)
{
    static const char *const other[][2] = {{"enable_thinking", "Think"},
                                           {"enable_thinking", "IsThinkSet"},
                                           {"reasoning_effort", "ThinkLevel"}};
    const struct go_tree *tree = &((const struct go *)compiled)->tree;

    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        if (strcmp(name, other[i][0]) == 0 && go_tree_mentions(tree, other[i][1], 0))
            return 1;
    return go_tree_mentions(tree, name, 0);
}

/* -- rendering ------------------------------------------------------------------------- */

/* What every render sees. */
static int new_dot(struct chat *c, struct value *dot)
{
    struct value_room *r = c->run.room;
    struct value none;
    int rc = value_dict(r, VALUE_DICT, dot);

    if (rc == 0)
        rc = value_str(r, str_of(""), 0, &none);
    if (rc == 0)
        rc = value_set_c(r, *dot, "Response", none);
    if (rc == 0)
        rc = value_set_c(r, *dot, "Think", value_bool(c->data.think));
    if (rc == 0)
        rc = value_set_c(r, *dot, "ThinkLevel", c->data.level);
    return rc < 0 ? rc : value_set_c(r, *dot, "IsThinkSet", value_bool(c->data.think_set));
}

static int render_infill(struct chat *c)
{
    struct value dot;
    int rc = new_dot(c, &dot);

    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Prompt", c->data.prompt);
    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Suffix", c->data.suffix);
    return rc < 0 ? rc : go_exec(&c->run, c->go->tree.root, dot);
}

static int render_messages(struct chat *c)
{
    struct value dot;
    int rc = new_dot(c, &dot);

    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "System", c->data.system);
    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Messages", c->data.messages);
    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Tools", c->data.tools);
    return rc < 0 ? rc : go_exec(&c->run, c->go->tree.root, dot);
}

static int render_turn(struct chat *c, const struct go_node *body)
{
    struct value dot, none;
    int rc = new_dot(c, &dot);

    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "System", c->system);
    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Prompt", c->prompt);
    if (rc == 0)
        rc = value_set_c(c->run.room, dot, "Response", c->response);
    if (rc == 0)
        rc = go_exec(&c->run, body, dot);
    if (rc == 0)
        rc = value_str(c->run.room, str_of(""), 0, &none);
    if (rc == 0)
        c->system = c->prompt = c->response = none;
    return rc;
}

/* A turn is complete when what comes next would have to stand in front of what it has. */
static int render_turns(struct chat *c)
{
    const struct value_list *list = go_list_of(c->data.messages);
    int rc = value_str(c->run.room, str_of(""), 0, &c->system);

    c->prompt = c->response = c->system;
    for (size_t i = 0; i < list->n && rc == 0; i++) {
        struct value role = go_message_role(list->v[i]);
        struct value text = go_message_content(list->v[i]);
        int system = value_is(role, "system"), user = value_is(role, "user");

        if ((system || user) && (c->response.s->n || (system && c->prompt.s->n)))
            rc = render_turn(c, c->go->tree.root);
        if (rc < 0)
            break;
        if (system)
            c->system = text;
        else if (user)
            c->prompt = text;
        else if (value_is(role, "assistant"))
            c->response = text;
    }
    return rc < 0 ? rc : render_turn(c, c->go->last_turn);
}

static int render(const void *compiled, const json_t *vars, const struct tm *now,
                  const struct tmpl_limits *limits, struct marked *out, struct err *e)
{
    struct value_room room;
    struct chat c = {.go = compiled};
    time_t t = time(NULL);
    int rc;

    value_room_init(&room, limits, e);
    c.run = (struct go_run){.room = &room, .tree = &c.go->tree, .out = out};
    if (now)
        c.run.now = *now;
    else
        (void)localtime_r(&t, &c.run.now);
    rc = go_data_read(&room, vars, &c.data);
    if (rc == 0 && c.data.prompt.s->n && c.data.suffix.s->n)
        rc = render_infill(&c);
    else if (rc == 0)
        rc = c.go->of_messages ? render_messages(&c) : render_turns(&c);
    value_room_done(&room);
    return rc;
}

const struct tmpl_lang tmpl_lang_go = {make, drop, mentions, render};
