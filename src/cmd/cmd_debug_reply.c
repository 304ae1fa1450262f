/* `hearth debug probe` and `hearth debug reply`: what a template says about its model, and what
 * a model wrote, taken apart. */
#include "cmd/cmd.h"
#include "cmd/term.h"

#include "base/utf8.h"
#include "base/buf.h"
#include "text/reply/probe.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_INPUT = 1 << 30, MAX_TEMPLATE = 64 << 20 };

struct reply_options {
    const char *template, *tools, *format, *name, *think_open, *think_close;
    int go, prompt_open, cut, split, events;
};

/* clang-format off */
#define AT(f) offsetof(struct reply_options, f)
#define ROW_GO {.name = "go", .type = OPT_FLAG, .at = AT(go), \
                .help = "the template is a Go template, as in a Modelfile"}
#define ROW_NAME {.name = "name", .type = OPT_STR, .at = AT(name), .arg = "NAME", \
                  .help = "the model's name, for templates that do not show enough"}
static const struct opt_row reply_rows[] = {
    {.name = "template", .type = OPT_STR, .at = AT(template), .arg = "FILE",
     .help = "the chat template, from which the format is found"},
    {.name = "format", .type = OPT_STR, .at = AT(format), .arg = "FORMAT",
     .help = "the format of calls instead; 'list' prints them"},
    {.name = "think-open", .type = OPT_STR, .at = AT(think_open), .arg = "TEXT",
     .help = "the marker before reasoning instead"},
    {.name = "think-close", .type = OPT_STR, .at = AT(think_close), .arg = "TEXT",
     .help = "the marker behind reasoning instead"},
    {.name = "tools", .type = OPT_STR, .at = AT(tools), .arg = "FILE",
     .help = "declarations of tools, a JSON array; else nothing is a call"},
    {.name = "prompt-open", .type = OPT_FLAG, .at = AT(prompt_open),
     .help = "the prompt ended within reasoning"},
    {.name = "cut", .type = OPT_FLAG, .at = AT(cut),
     .help = "the text ended because of a limit"},
    {.name = "split", .type = OPT_INT, .at = AT(split), .def = "0", .min = 0, .max = INT32_MAX,
     .arg = "N", .help = "read the text in pieces of N bytes; 0: at once"},
    {.name = "events", .type = OPT_FLAG, .at = AT(events),
     .help = "print a line of JSON for each event instead"},
    ROW_NAME, ROW_GO,
};
static const struct opt_row probe_rows[] = {ROW_NAME, ROW_GO};
/* clang-format on */

/* -- files ------------------------------------------------------------------------------- */

static int read_json(const char *path, json_t **out, struct err *e)
{
    json_error_t je;
    struct buf b;
    int rc;

    buf_init(&b, MAX_INPUT);
    rc = cmd_read_file(path, &b, e);
    if (rc == 0) {
        *out = json_loadb(b.p ? b.p : "", b.n, JSON_ALLOW_NUL, &je);
        if (!*out)
            rc = err_set(e, E_INVALID, "%s: line %d, column %d: %s", path, je.line, je.column,
                         je.text);
    }
    buf_done(&b);
    return rc;
}

static int probe_file(const char *path, const struct reply_options *o, struct probe *out,
                      struct err *e)
{
    struct tmpl *t = NULL;
    struct buf b;
    int rc;

    buf_init(&b, MAX_TEMPLATE);
    rc = cmd_read_file(path, &b, e);
    if (rc == 0) {
        rc = tmpl_new(&t, o->go || cmd_is_go(path) ? TMPL_GO : TMPL_JINJA,
                      (struct str){b.p ? b.p : "", b.n}, e);
        if (rc < 0)
            rc = err_wrap(e, rc, "%s", path);
    }
    if (rc == 0)
        rc = probe_run(out, t, NULL, str_of(o->name ? o->name : ""), e);
    tmpl_free(t);
    buf_done(&b);
    return rc;
}

/* -- debug probe ------------------------------------------------------------------------- */

static const char *format_name(const struct reply_style *s)
{
    for (int i = 0; reply_name(i); i++) {
        if (s->format == reply_find(str_of(reply_name(i))))
            return reply_name(i);
    }
    return NULL;
}

static int print_json(json_t *j, struct err *e)
{
    int bad = !j || json_dumpf(j, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF;

    json_decref(j);
    return bad ? err_set(e, E_IO, "cannot write the answer") : 0;
}

static json_t *text_or_null(const char *s)
{
    return s && s[0] ? json_string(s) : json_null();
}

static json_t *json_of(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
}

int cmd_debug_probe(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug probe [options] TEMPLATE",
        .about = "Prints what a chat template says about its model, as JSON.",
        .rows = probe_rows,
        .n = (int)(sizeof(probe_rows) / sizeof(probe_rows[0])),
    };
    static const char *const modes[] = {"never", "always", "switch"};
    struct reply_options o = {0};
    struct err e = {0};
    struct probe p;
    int rc, status;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    rc = probe_file(argv[0], &o, &p, &e);
    if (rc == 0)
        rc = print_json(json_pack("{s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:b,s:b,s:b,s:b,s:b}", "format",
                                  text_or_null(format_name(&p.style)), "think_open",
                                  text_or_null(p.style.think_open), "think_close",
                                  text_or_null(p.style.think_close), "think", modes[p.think],
                                  "think_variable", text_or_null(p.think_variable), "think_on",
                                  json_of(p.think_on), "think_off", json_of(p.think_off),
                                  "think_default", p.think_default, "system", p.system, "tools",
                                  p.tools, "parallel", p.parallel, "arguments_as_text",
                                  p.args_text),
                        &e);
    return rc < 0 ? cmd_fail(&e) : 0;
}

/* -- debug reply ------------------------------------------------------------------------- */

struct answer {
    struct buf reasoning, content, args;
    json_t *calls;
    int events;
};

/* What is not UTF-8 becomes U+FFFD. */
static json_t *bytes(struct str s)
{
    struct buf clean;
    json_t *j = NULL;

    buf_init(&clean, (size_t)3 * MAX_INPUT);
    if (utf8_mend(&clean, s.p ? s.p : "", s.n) == 0)
        j = json_stringn(clean.p ? clean.p : "", clean.n);
    buf_done(&clean);
    return j;
}

static int print_event(const struct reply_event *ev)
{
    static const char *const kinds[] = {"reasoning", "content",  "call",
                                        "arguments", "call_end", "call_broken"};
    json_t *j = json_pack("{s:s}", "kind", kinds[ev->kind]);
    struct err e;

    if (ev->kind >= REPLY_CALL)
        (void)json_object_set_new(j, "call", json_integer(ev->call));
    if (ev->text.n)
        (void)json_object_set_new(j, "text", bytes(ev->text));
    if (ev->name.n)
        (void)json_object_set_new(j, "name", bytes(ev->name));
    if (ev->id.n)
        (void)json_object_set_new(j, "id", bytes(ev->id));
    return print_json(j, &e);
}

static int collect(void *ctx, const struct reply_event *ev)
{
    struct answer *a = ctx;
    json_t *call = json_array_get(a->calls, json_array_size(a->calls) - 1);
    struct buf *to = ev->kind == REPLY_REASONING ? &a->reasoning
                     : ev->kind == REPLY_CONTENT ? &a->content
                                                 : &a->args;

    if (a->events)
        return print_event(ev);
    if (ev->kind == REPLY_CALL) {
        buf_clear(&a->args);
        call = json_pack("{s:o}", "name", bytes(ev->name));
        (void)json_array_append_new(a->calls, call);
    } else if (ev->kind == REPLY_CALL_BROKEN) {
        (void)json_array_remove(a->calls, json_array_size(a->calls) - 1);
        return 0;
    }
    if (ev->id.n)
        (void)json_object_set_new(call, "id", bytes(ev->id));
    if (ev->kind == REPLY_CALL_END)
        (void)json_object_set_new(call, "arguments", bytes((struct str){a->args.p, a->args.n}));
    return buf_put(to, ev->text.p, ev->text.n);
}

static int read_reply(const struct reply_options *o, const struct reply_style *style,
                      const json_t *tools, struct answer *a, struct err *e)
{
    struct reply *r = NULL;
    struct buf in;
    size_t step, n;
    int rc;

    buf_init(&in, MAX_INPUT);
    rc = cmd_read_all(STDIN_FILENO, &in, e);
    if (rc == 0)
        rc = reply_new(&r, style, tools, o->prompt_open, collect, a, e);
    step = o->split ? (size_t)o->split : in.n;
    for (size_t at = 0; rc == 0 && at < in.n; at += n) {
        n = in.n - at < step ? in.n - at : step;
        rc = reply_put(r, in.p + at, n, e);
    }
    if (rc == 0)
        rc = reply_end(r, o->cut, e);
    reply_free(r);
    buf_done(&in);
    return rc;
}

static int print_answer(const struct answer *a, const struct reply_style *style, struct err *e)
{
    struct str reasoning = {a->reasoning.p, a->reasoning.n};
    struct str content = {a->content.p, a->content.n};

    return print_json(json_pack("{s:o,s:o,s:O,s:o}", "reasoning",
                                reasoning.n ? bytes(reasoning) : json_null(), "content",
                                bytes(content), "tool_calls", a->calls, "format",
                                text_or_null(format_name(style))),
                      e);
}

static int find_style(const struct reply_options *o, struct reply_style *style, struct err *e)
{
    struct probe p = {0};
    int rc = o->template ? probe_file(o->template, o, &p, e) : 0;

    if (rc < 0)
        return rc;
    *style = p.style;
    if (o->format && !(style->format = reply_find(str_of(o->format))))
        return err_set(e, E_INVALID, "--format: no format '%s'; --format list prints them",
                       o->format);
    if (o->think_open)
        (void)snprintf(style->think_open, sizeof(style->think_open), "%s", o->think_open);
    if (o->think_close)
        (void)snprintf(style->think_close, sizeof(style->think_close), "%s", o->think_close);
    return 0;
}

int cmd_debug_reply(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug reply [options] < TEXT",
        .about = "Takes apart what a model wrote and prints its reasoning, content and calls "
                 "as JSON.",
        .rows = reply_rows,
        .n = (int)(sizeof(reply_rows) / sizeof(reply_rows[0])),
    };
    struct reply_options o = {0};
    struct reply_style style = {0};
    struct answer a = {0};
    json_t *tools = NULL;
    struct err e = {0};
    int rc, status;

    if (cmd_options(&spec, argc, argv, &o, 0, 0, &status) < 0)
        return status;
    if (o.format && !strcmp(o.format, "list")) {
        for (int i = 0; reply_name(i); i++)
            (void)puts(reply_name(i));
        return 0;
    }
    buf_init(&a.reasoning, MAX_INPUT);
    buf_init(&a.content, MAX_INPUT);
    buf_init(&a.args, MAX_INPUT);
    a.calls = json_array();
    a.events = o.events;
    rc = find_style(&o, &style, &e);
    if (rc == 0 && o.tools)
        rc = read_json(o.tools, &tools, &e);
    if (rc == 0)
        rc = read_reply(&o, &style, tools, &a, &e);
    if (rc == 0 && !o.events)
        rc = print_answer(&a, &style, &e);
    buf_done(&a.reasoning);
    buf_done(&a.content);
    buf_done(&a.args);
    json_decref(a.calls);
    json_decref(tools);
    return rc < 0 ? cmd_fail(&e) : 0;
}
