/* run_tools.c - the tools of a conversation behind `hearth run`: their declarations, and which
 * of them may be called. */
#include "cmd/run.h"

#include "fmt/jbig.h"

#include <string.h>

/* What would not be read, or be read as another, is said. */
static int check_tool(const struct run *r, size_t i, const json_t *tool, json_t *seen,
                      struct err *e)
{
    const json_t *f = json_object_get(tool, "function"), *type = json_object_get(tool, "type"),
                 *parameters = json_object_get(f, "parameters");
    const char *name = json_string_value(json_object_get(f, "name"));

    if (!name)
        return err_set(e, E_INVALID,
                       "--tools: %s: tool %zu has no function.name; each is {\"type\": "
                       "\"function\", \"function\": {\"name\", \"description\", "
                       "\"parameters\"}}",
                       r->opt.tools, i);
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "function") != 0))
        return err_set(e, E_INVALID, "--tools: %s: tool %zu: type: '%s', but only function is",
                       r->opt.tools, i, json_is_string(type) ? json_string_value(type) : "?");
    if (json_object_get(seen, name))
        return err_set(e, E_INVALID, "--tools: %s: tool %zu: another tool is named '%s'",
                       r->opt.tools, i, name);
    if (json_object_set_new(seen, name, json_true()) != 0)
        return err_set(e, E_NOMEM, "no memory for %zu tools", i);
    type = json_object_get(parameters, "type");
    if ((parameters && !json_is_object(parameters) && !json_is_null(parameters)) ||
        (json_is_string(type) && strcmp(json_string_value(type), "object") != 0))
        return err_set(e, E_INVALID,
                       "--tools: %s: tool %zu: function.parameters must be the schema of an "
                       "object",
                       r->opt.tools, i);
    return 0;
}

int run_tools_open(struct run *r, struct err *e)
{
    json_t *j = NULL, *list, *tool, *seen;
    struct buf b;
    size_t i;
    int rc;

    buf_init(&b, RUN_FILE_MAX);
    rc = run_option_file("tools", r->opt.tools, &b, e);
    if (rc == 0) {
        rc = jbig_load(&j, (struct str){b.p, b.n}, JSON_REJECT_DUPLICATES, e);
        if (rc < 0)
            rc = err_wrap(e, E_INVALID, "--tools: %s", r->opt.tools);
    }
    buf_done(&b);
    if (rc < 0)
        return rc;
    list = json_is_array(j) ? json_incref(j) : json_incref(json_object_get(j, "tools"));
    if (!list && json_is_object(j))
        list = json_pack("[O]", j);
    json_decref(j);
    r->chat.tools = list;
    if (!json_array_size(list))
        return err_set(e, E_INVALID, "--tools: %s: no array of tool declarations",
                       r->opt.tools);
    seen = json_object();
    json_array_foreach(list, i, tool)
    {
        if (rc == 0)
            rc = check_tool(r, i, tool, seen, e);
    }
    json_decref(seen);
    return rc;
}

int run_tools_choice(const struct run *r, struct err *e)
{
    static const char *const words[] = {"auto", "none", "required"};
    const char *choice = r->opt.choice;
    const json_t *tool;
    struct buf names;
    size_t i;
    int rc;

    for (i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcmp(choice, words[i]) == 0)
            return 0;
    buf_init(&names, RUN_FILE_MAX);
    json_array_foreach(r->chat.tools, i, tool)
    {
        const json_t *name = json_object_get(json_object_get(tool, "function"), "name");

        if (strcmp(json_string_value(name), choice) == 0) {
            buf_done(&names);
            return 0;
        }
        if (buf_fmt(&names, ", %s", json_string_value(name)) < 0)
            break;
    }
    rc = err_set(e, E_INVALID, "--tool-choice: no tool '%s'; auto, none, required%s", choice,
                 names.n ? names.p : "");
    buf_done(&names);
    return rc;
}

int run_tools_calls(const struct run *r, struct reply_tools *t)
{
    const char *choice = r->opt.choice;

    *t = (struct reply_tools){
        .tools = r->chat.tools, .choice = REPLY_AUTO, .parallel = !r->opt.one_call};
    if (!choice || strcmp(choice, "auto") == 0)
        return 0;
    if (strcmp(choice, "none") == 0) {
        t->choice = REPLY_NONE;
        return 0;
    }
    t->choice = REPLY_REQUIRED;
    if (strcmp(choice, "required") != 0)
        t->only = choice;
    return 1;
}
