/* `hearth debug render`: what a chat template makes of a conversation. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "text/tmpl/tmpl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_INPUT = 1 << 30, MAX_TEMPLATE = 64 << 20 };

struct render_options {
    const char *now;
    int go, marks, lenient;
};

/* clang-format off */
#define AT(f) offsetof(struct render_options, f)
static const struct opt_row render_rows[] = {
    {.name = "now", .type = OPT_STR, .at = AT(now), .arg = "TIME",
     .help = "the time that the template sees, as 2026-03-14T09:26:53; else the time it is"},
    {.name = "go", .type = OPT_FLAG, .at = AT(go),
     .help = "a Go template, as in a Modelfile; names that end in .tmpl or .gotmpl mean it, too"},
    {.name = "lenient", .type = OPT_FLAG, .at = AT(lenient),
     .help = "allow methods that change lists and dicts, which the reference refuses"},
    {.name = "marks", .type = OPT_FLAG, .at = AT(marks),
     .help = "print JSON instead: [{\"text\", \"user\"}, ...], user: from the conversation"},
};
/* clang-format on */

/* The conversation: an object, in which the texts that every template expects are set. */
static int read_vars(json_t **out, struct err *e)
{
    static const char *const texts[] = {"bos_token", "eos_token"};
    json_error_t je;
    struct buf b;
    json_t *j = NULL;
    int rc;

    buf_init(&b, MAX_INPUT);
    rc = cmd_read_all(STDIN_FILENO, &b, e);
    if (rc == 0) {
        j = json_loadb(b.p ? b.p : "", b.n, JSON_ALLOW_NUL, &je);
        if (!j)
            rc = err_set(e, E_INVALID, "stdin: line %d, column %d: %s", je.line, je.column,
                         je.text);
        else if (!json_is_object(j))
            rc = err_set(e, E_INVALID, "stdin: a JSON object is needed, with \"messages\"");
    }
    for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!json_object_get(j, texts[i]) &&
            json_object_set_new(j, texts[i], json_string("")) < 0)
            rc = err_set(e, E_NOMEM, "no memory for the conversation");
    }
    buf_done(&b);
    if (rc < 0)
        json_decref(j);
    else
        *out = j;
    return rc;
}

static int read_time(const char *text, struct tm *out, struct err *e)
{
    time_t now = time(NULL);
    const char *end;

    *out = (struct tm){0};
    if (!text) {
        (void)localtime_r(&now, out);
        return 0;
    }
    end = strptime(text, "%Y-%m-%dT%H:%M:%S", out);
    if (!end || *end)
        return err_set(e, E_INVALID, "--now: '%s' is no time; one is 2026-03-14T09:26:53",
                       text);
    (void)timegm(out); /* the day of the week, and of the year */
    return 0;
}

static int print_marks(const struct marked *m, struct err *e)
{
    json_t *list = json_array();
    size_t from = 0;
    int bad = !list;

    for (size_t i = 0; i < m->n && !bad; i++) {
        bad = json_array_append_new(list, json_pack("{s:s%, s:b}", "text", m->text.p + from,
                                                    m->mark[i].end - from, "user",
                                                    m->mark[i].user)) < 0;
        from = m->mark[i].end;
    }
    bad = bad || json_dumpf(list, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF;
    json_decref(list);
    return bad ? err_set(e, E_NOMEM, "no memory for %zu spans", m->n) : 0;
}

int cmd_debug_render(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug render TEMPLATE [--now TIME] [--go] [--marks] <CASE.json",
        .about =
            "Prints what a chat template makes of a conversation: an object with \"messages\" "
            "and other variables. Ends with status 1 when the template refuses it.",
        .rows = render_rows,
        .n = (int)(sizeof(render_rows) / sizeof(render_rows[0])),
    };
    struct render_options o = {0};
    struct tmpl_limits limits = {0};
    struct err e = {0};
    struct tmpl *t = NULL;
    json_t *vars = NULL;
    struct marked out;
    struct tm now;
    struct buf text;
    int status, rc, refused = 0;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    limits.strict = !o.lenient;
    buf_init(&text, MAX_TEMPLATE);
    marked_init(&out, MAX_INPUT);
    rc = read_time(o.now, &now, &e);
    if (rc == 0)
        rc = cmd_read_file(argv[0], &text, &e);
    if (rc == 0)
        rc = read_vars(&vars, &e);
    if (rc == 0) {
        rc = tmpl_new(&t, o.go || cmd_is_go(argv[0]) ? TMPL_GO : TMPL_JINJA,
                      (struct str){text.p ? text.p : "", text.n}, &e);
        if (rc == 0)
            rc = tmpl_render(t, vars, &now, &limits, &out, &e);
        refused = rc == E_INVALID;
    }
    if (rc == 0)
        rc = o.marks ? print_marks(&out, &e) : 0;
    if (rc == 0 && !o.marks && fwrite(out.text.p, 1, out.text.n, stdout) != out.text.n)
        rc = err_sys(&e, E_IO, errno, "write the text");
    tmpl_free(t);
    json_decref(vars);
    marked_done(&out);
    buf_done(&text);
    if (rc < 0)
        status = cmd_fail(&e);
    return rc == 0 ? 0 : refused ? 1 : status;
}
