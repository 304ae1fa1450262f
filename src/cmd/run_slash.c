/* run_slash.c - the commands of the interactive mode. */
#include "cmd/run_repl.h"

#include "base/clock.h"
#include "cmd/term.h"

#include <string.h>

struct slash {
    const char *name;
    int (*fn)(struct repl *l, char *args); /* RUN_GO_ON or RUN_LEAVE */
    const char *args, *help;
};

/* -- small commands ------------------------------------------------------------------- */

static void complain(const struct err *e)
{
    (void)cmd_fail(e);
}

static int slash_bye(struct repl *l, char *args)
{
    (void)l;
    (void)args;
    return RUN_LEAVE;
}

static int is_chat(const struct run *r)
{
    return r->via ? run_via_chat(r) : r->chat.chat != NULL;
}

/* 1: there is text that later settings do not reach. */
static int has_text(const struct run *r)
{
    return !is_chat(r) && (r->via ? run_via_has_text(r) : hearth_seq_len(r->seq) > 0);
}

static int slash_clear(struct repl *l, char *args)
{
    struct hearth_error he = {0};
    struct err e = {0};

    (void)args;
    if (l->r->via)
        run_via_clear(l->r);
    if (l->r->seq && hearth_seq_truncate(l->r->seq, 0, &he) < 0) {
        (void)cmd_err(&e, &he);
        complain(&e);
    } else {
        run_chat_clear(l->r);
        l->r->n_id = 0;
        (void)printf("The %s begins anew.\n", is_chat(l->r) ? "conversation" : "text");
    }
    return RUN_GO_ON;
}

/* -- /show ----------------------------------------------------------------------------- */

static void show_text(const char *name, const char *value)
{
    struct buf b;

    buf_init(&b, RUN_INPUT_MAX);
    if (term_clean(&b, value, strlen(value)) == 0)
        (void)printf("%-18s %s\n", name, b.p ? b.p : "");
    buf_done(&b);
}

static void show_info(const struct run *r)
{
    const struct hearth_model_info *i = &r->info;

    if (r->via) {
        show_text("model", r->path);
        show_text("server", run_via_url(r));
        return;
    }
    show_text("model", i->name ? i->name : r->path);
    show_text("architecture", i->arch ? i->arch : "?");
    show_text("weights", i->file_type ? i->file_type : "?");
    (void)printf("%-18s %llu\n", "parameters", (unsigned long long)i->n_param);
    (void)printf("%-18s %d of %d in use, %d in training\n", "context", hearth_seq_len(r->seq),
                 r->n_ctx, i->n_ctx_train);
    (void)printf("%-18s %d\n", "embedding length", i->n_embd);
    (void)printf("%-18s %d\n", "layers", i->n_layer);
    (void)printf("%-18s %d\n", "vocabulary", i->n_vocab);
    show_text("instructions", i->cpu ? i->cpu : "?");
}

static void show_parameters(const struct run *r)
{
    for (int i = 0; i < run_spec.n; i++) {
        const struct opt_row *row = &run_spec.rows[i];
        char value[64];

        if (!row->param)
            continue;
        if (r->via && !run_via_given(row, &r->opt))
            (void)printf("%-18s (as the model has it)\n", row->param);
        else if (opt_show(row, &r->opt, value, sizeof(value)))
            (void)printf("%-18s %s\n", row->param, value);
        else if (row->type != OPT_LIST || r->opt.stop.n == 0)
            (void)printf("%-18s %s\n", row->param,
                         row->type == OPT_SEED ? "(another one each time)" : "(none)");
    }
    for (int i = 0; i < r->opt.stop.n; i++)
        show_text("stop", r->opt.stop.v[i]);
    if (!r->via)
        (void)printf("%-18s %d\n", "num_ctx", r->n_ctx);
}

static int slash_show(struct repl *l, char *args)
{
    if (strcmp(args, "info") == 0)
        show_info(l->r);
    else if (strcmp(args, "parameters") == 0)
        show_parameters(l->r);
    else if (strcmp(args, "system") == 0)
        show_text("system", l->r->opt.system ? l->r->opt.system : "(none)");
    else
        (void)printf("Usage: /show info|parameters|system\n");
    return RUN_GO_ON;
}

/* -- /set ------------------------------------------------------------------------------ */

/* Cuts the first word off *s and returns it. */
static char *word(char **s)
{
    char *w = *s + strspn(*s, " \t");
    size_t n = strcspn(w, " \t");

    *s = w + n;
    if (**s)
        *(*s)++ = '\0';
    *s += strspn(*s, " \t");
    return w;
}

/* A copy that lives as long as the loop, without quotes around it; NULL: no room. */
static const char *keep(struct repl *l, const char *s)
{
    size_t n = strlen(s), q = 0;

    if (n >= 6 && strncmp(s, "\"\"\"", 3) == 0 && strcmp(s + n - 3, "\"\"\"") == 0)
        q = 3;
    else if (n >= 2 && s[0] == '"' && s[n - 1] == '"')
        q = 1;
    return arena_strdup(&l->texts, (struct str){s + q, n - 2 * q});
}

static void set_stop(struct repl *l, char *values, struct err *e)
{
    struct opt_list list = {0};

    while (*values) {
        const char *s = keep(l, word(&values));

        if (!s || !*s) {
            (void)err_set(e, E_INVALID, "stop: %s", s ? "an empty text" : "no room left");
            return;
        }
        if (list.n == OPT_LIST_MAX) {
            (void)err_set(e, E_INVALID, "stop: more than %d texts", OPT_LIST_MAX);
            return;
        }
        list.v[list.n++] = s;
    }
    l->r->opt.stop = list;
    if (list.n)
        (void)printf("Set stop to %d text%s.\n", list.n, list.n == 1 ? "" : "s");
    else
        (void)printf("No text stops the answer now.\n");
}

static void set_parameter(struct repl *l, char *args)
{
    const char *name = word(&args);
    const struct opt_row *row = opt_param(&run_spec, name);
    struct err e = {0};

    if (strcmp(name, "num_ctx") == 0)
        (void)err_set(&e, E_INVALID,
                      "num_ctx is fixed while the model runs; leave, and start "
                      "with --num-ctx");
    else if (!row)
        (void)err_set(&e, E_INVALID, "no parameter '%s'; /show parameters lists them", name);
    else if (row->type == OPT_LIST)
        set_stop(l, args, &e);
    else if (opt_set(row, name, args, &l->r->opt, &e) == 0)
        (void)printf("Set %s to %s.\n", name, args);
    if (e.code < 0)
        complain(&e);
}

static void set_system(struct repl *l, const char *text)
{
    const char *s = keep(l, text);

    if (!s) {
        (void)printf("That is too long.\n");
        return;
    }
    l->r->opt.system = s;
    /* A conversation is rendered anew for each answer; a text has it at its beginning. */
    (void)printf("Set the system text%s.\n", has_text(l->r) ? "; it counts after /clear" : "");
}

static void set_switch(int *to, int value, const char *name)
{
    *to = value;
    (void)printf("Set '%s' mode.\n", name);
}

/* think [LEVEL] and nothink. */
static void set_think(struct repl *l, int on, const char *level)
{
    const char *kept = on ? keep(l, level) : "false";
    struct err e = {0};

    if (!kept)
        (void)err_set(&e, E_NOMEM, "no room left");
    else if (run_chat_think(l->r, kept, &e) == 0)
        (void)printf("Set '%s' mode.\n", on ? "think" : "nothink");
    if (e.code)
        complain(&e);
}

static void set_format(struct repl *l, const char *format)
{
    struct err e = {0};

    if (run_chat_format(l->r, format, &e) < 0)
        complain(&e);
    else if (format)
        (void)printf("Set format to '%s'.\n", format);
    else
        (void)printf("Answers have no format now.\n");
}

static int slash_set(struct repl *l, char *args)
{
    const char *what = word(&args);

    if (strcmp(what, "parameter") == 0 && *args)
        set_parameter(l, args);
    else if (strcmp(what, "system") == 0 && *args)
        set_system(l, args);
    else if (strcmp(what, "verbose") == 0 || strcmp(what, "quiet") == 0)
        set_switch(&l->r->opt.verbose, what[0] == 'v', what);
    else if (strcmp(what, "history") == 0 || strcmp(what, "nohistory") == 0)
        set_switch(&l->keep_history, what[0] == 'h', what);
    else if (strcmp(what, "think") == 0 || strcmp(what, "nothink") == 0)
        set_think(l, what[0] == 't', args);
    else if (strcmp(what, "format") == 0 && *args)
        set_format(l, args);
    else if (strcmp(what, "noformat") == 0)
        set_format(l, NULL);
    else
        (void)printf("Usage: /set parameter NAME VALUE | system TEXT | verbose | quiet | "
                     "history | nohistory |\n            think [LEVEL] | nothink | "
                     "format json|FILE | noformat\n");
    return RUN_GO_ON;
}

/* -- /result --------------------------------------------------------------------------- */

static int slash_result(struct repl *l, char *args)
{
    struct err e = {0};
    size_t left = 0;

    if (!*args) {
        (void)printf("Usage: /result TEXT: what the tool that was called gave back\n");
        return RUN_GO_ON;
    }
    if (run_chat_result(l->r, args, &left, &e) < 0) {
        complain(&e);
        return RUN_GO_ON;
    }
    if (left) {
        (void)printf("%zu more call%s a result.\n", left, left == 1 ? " needs" : "s need");
        return RUN_GO_ON;
    }
    (void)fflush(stdout);
    l->r->start_ns = clock_ns();
    if (run_go_on(l->r, &e) < 0)
        complain(&e);
    return l->r->reader_gone ? RUN_LEAVE : RUN_GO_ON;
}

/* -- the table ------------------------------------------------------------------------- */

static int slash_help(struct repl *l, char *args);

/* clang-format off */
static const struct slash slashes[] = {
    {"/set",   slash_set,   " ...", "change a parameter, the system text, and more"},
    {"/show",  slash_show,  " ...", "show info, parameters, or the system text"},
    {"/clear", slash_clear, "",     "forget the text so far"},
    {"/result", slash_result, " TEXT", "give the result of a call"},
    {"/bye",   slash_bye,   "",     "leave"},
    {"/exit",  slash_bye,   "",     "leave"},
    {"/help",  slash_help,  "",     "show this"},
    {"/?",     slash_help,  "",     "show this"},
};
/* clang-format on */

#define N_SLASH (int)(sizeof(slashes) / sizeof(slashes[0]))

static int slash_help(struct repl *l, char *args)
{
    (void)l;
    (void)args;
    for (int i = 0; i < N_SLASH; i++)
        (void)printf("  %s%-*s %s\n", slashes[i].name, 12 - (int)strlen(slashes[i].name),
                     slashes[i].args, slashes[i].help);
    (void)printf("\nAnything else is a prompt; without a chat template it continues the text "
                 "so far on a\nnew line. "
                 "Begin and end with \"\"\" for a prompt of many lines. Ctrl-C stops an "
                 "answer, Ctrl-D leaves.\n");
    return RUN_GO_ON;
}

static const char *slash_name(const void *ctx, int i)
{
    (void)ctx;
    return i < N_SLASH ? slashes[i].name : NULL;
}

int run_slash(struct repl *l, char *line)
{
    const char *name = word(&line), *near;

    for (int i = 0; i < N_SLASH; i++) {
        if (strcmp(slashes[i].name, name) == 0)
            return slashes[i].fn(l, line);
    }
    near = opt_nearest(name, slash_name, NULL);
    (void)printf("Unknown command %s. Did you mean %s?\n", name, near ? near : "/help");
    return RUN_GO_ON;
}
