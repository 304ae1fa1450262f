#include "cmd/run.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/term.h"
#include "net/client.h"
#include "sys/path.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

/* The loop reads one input (a line, or several between """), which is a command when it
 * begins with a slash and a prompt otherwise. Ctrl-C while an answer runs ends the answer; at
 * the prompt it drops the line. The handler may run in any thread, also in one that computes,
 * so it writes a byte to a pipe that read_key waits for beside the keyboard. */

#define HISTORY_LINES 1000
#define INPUT_MAX     ((size_t)16 << 20)
#define VALUES_MAX    ((size_t)4 << 20) /* of all that /set ever kept */

struct repl {
    struct run *r;
    EditLine *el;
    History *history;
    struct buf history_path; /* empty: nowhere to keep it */
    int keep_history;
    int in_block;       /* between """ */
    struct buf input;   /* what was typed */
    struct arena texts; /* values of /set, which options borrow */
    int leave;
};

static volatile sig_atomic_t resized;
static int wake[2] = {-1, -1}; /* a pipe, both ends without blocking */
static int keys = STDIN_FILENO;

enum { GO_ON, LEAVE };

struct slash {
    const char *name;
    int (*fn)(struct repl *l, char *args); /* GO_ON or LEAVE */
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
    return LEAVE;
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
    return GO_ON;
}

/* -- /show ----------------------------------------------------------------------------- */

static void show_text(const char *name, const char *value)
{
    struct buf b;

    buf_init(&b, INPUT_MAX);
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
    return GO_ON;
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
    return GO_ON;
}

/* -- /result --------------------------------------------------------------------------- */

static int slash_result(struct repl *l, char *args)
{
    struct err e = {0};
    size_t left = 0;

    if (!*args) {
        (void)printf("Usage: /result TEXT: what the tool that was called gave back\n");
        return GO_ON;
    }
    if (run_chat_result(l->r, args, &left, &e) < 0) {
        complain(&e);
        return GO_ON;
    }
    if (left) {
        (void)printf("%zu more call%s a result.\n", left, left == 1 ? " needs" : "s need");
        return GO_ON;
    }
    (void)fflush(stdout);
    l->r->start_ns = clock_ns();
    if (run_go_on(l->r, &e) < 0)
        complain(&e);
    return l->r->reader_gone ? LEAVE : GO_ON;
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
    return GO_ON;
}

static const char *slash_name(const void *ctx, int i)
{
    (void)ctx;
    return i < N_SLASH ? slashes[i].name : NULL;
}

static int slash_run(struct repl *l, char *line)
{
    const char *name = word(&line), *near;

    for (int i = 0; i < N_SLASH; i++) {
        if (strcmp(slashes[i].name, name) == 0)
            return slashes[i].fn(l, line);
    }
    near = opt_nearest(name, slash_name, NULL);
    (void)printf("Unknown command %s. Did you mean %s?\n", name, near ? near : "/help");
    return GO_ON;
}

/* -- reading --------------------------------------------------------------------------- */

static char *prompt_text(EditLine *el)
{
    static char first[] = ">>> ", more[] = "... ";
    struct repl *l = NULL;

    (void)el_get(el, EL_CLIENTDATA, &l);
    return l && l->in_block ? more : first;
}

static void on_sigint(int sig)
{
    struct hearth_engine *en = atomic_load(&run_engine);
    struct client *client = atomic_load(&run_via_client);
    int saved = errno;

    (void)sig;
    run_interrupted = 1;
    if (client)
        client_cancel(client);
    if (en)
        hearth_engine_cancel(en);
    if (write(wake[1], "", 1) < 0) /* full: it wakes just as well */
        errno = saved;
}

static void on_sigwinch(int sig)
{
    (void)sig;
    resized = 1;
}

/* The flag first: an interrupt between the two is still seen by its flag. */
static void wake_clear(void)
{
    char c[64];

    run_interrupted = 0;
    while (read(wake[0], c, sizeof(c)) > 0)
        ;
}

/* The terminal once more, opened for reading without blocking (stdin itself is shared with
 * other programs and stays as it is). Ctrl-C drops what was typed, perhaps just after poll saw
 * it: then a read that blocks would sleep on through the interrupt. */
static void keys_open(void)
{
    char name[256];
    int fd = -1;

    if (ttyname_r(STDIN_FILENO, name, sizeof(name)) == 0)
        fd = open(name, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    keys = fd >= 0 ? fd : STDIN_FILENO;
}

static void keys_close(void)
{
    if (keys != STDIN_FILENO)
        (void)close(keys);
    keys = STDIN_FILENO;
}

/* One character for libedit: 1, 0 at the end, -1 when Ctrl-C was pressed. */
static int read_key(EditLine *el, wchar_t *key)
{
    mbstate_t state = {0};

    for (;;) {
        struct pollfd p[2] = {{.fd = wake[0], .events = POLLIN},
                              {.fd = keys, .events = POLLIN}};
        ssize_t k;
        size_t n;
        char c;

        if (!run_interrupted && poll(p, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (run_interrupted || p[0].revents) {
            run_interrupted = 1;
            return -1;
        }
        if (resized) {
            resized = 0;
            el_resize(el);
        }
        if (!p[1].revents)
            continue;
        k = read(keys, &c, 1);
        if (k < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (k <= 0)
            return (int)k;
        n = mbrtowc(key, &c, 1, &state);
        if (n == (size_t)-1) /* no character begins or goes on like this: dropped */
            state = (mbstate_t){0};
        else if (n != (size_t)-2)
            return 1;
    }
}

/* One line, without its newline, added to l->input. 0: the user left; -1: Ctrl-C. */
static int read_line(struct repl *l)
{
    const char *line;
    int n = 0;

    wake_clear();
    /* Before the prompt shows: what is typed at once shall meet the editor's terminal. */
    (void)el_set(l->el, EL_PREP_TERM, 1);
    line = el_gets(l->el, &n);
    if (run_interrupted) {
        wake_clear();
        (void)printf("^C\nCtrl-D or /bye leaves.\n");
        return -1;
    }
    if (!line || n <= 0)
        return 0;
    while (n > 0 && line[n - 1] == '\n')
        n--;
    if (buf_put(&l->input, line, (size_t)n) < 0) {
        (void)printf("That is too long.\n");
        return -1;
    }
    return 1;
}

/* Reads one input into l->input, empty when it was dropped. 0: the user left. */
static int read_input(struct repl *l)
{
    buf_clear(&l->input);
    l->in_block = 0;
    for (;;) {
        int rc = read_line(l);

        if (rc <= 0) {
            buf_clear(&l->input);
            return rc < 0;
        }
        /* The opening quotes come first, or after "/set system ". */
        if (!l->in_block) {
            const char *open = strstr(l->input.p, "\"\"\"");
            int set = open && strncmp(l->input.p, "/set system", 11) == 0;

            if (!open || (open != l->input.p && !set) || strstr(open + 3, "\"\"\""))
                return 1;
            l->in_block = 1;
        } else if (l->input.n >= 6 && strcmp(l->input.p + l->input.n - 3, "\"\"\"") == 0) {
            return 1;
        }
        if (buf_byte(&l->input, '\n') < 0) {
            (void)printf("That is too long.\n");
            buf_clear(&l->input);
            return 1;
        }
    }
}

static void remember(struct repl *l)
{
    HistEvent ev;

    if (l->keep_history && l->history && l->input.n && !memchr(l->input.p, '\n', l->input.n))
        (void)history(l->history, &ev, H_ENTER, l->input.p);
}

/* What was typed is nobody else's business: the file is readable by its owner only. */
static void history_open(struct repl *l)
{
    HistEvent ev;
    struct buf dir;

    l->keep_history = 1;
    l->history = history_init();
    if (!l->history)
        return;
    (void)history(l->history, &ev, H_SETSIZE, HISTORY_LINES);
    (void)history(l->history, &ev, H_SETUNIQUE, 1);
    (void)el_set(l->el, EL_HIST, history, l->history);
    buf_init(&dir, 1u << 16);
    if (path_xdg(&dir, PATH_STATE, NULL, NULL) == 0 && path_mkdirs(dir.p, NULL) == 0 &&
        buf_fmt(&l->history_path, "%s/history", dir.p) == 0)
        (void)history(l->history, &ev, H_LOAD, l->history_path.p);
    buf_done(&dir);
}

static void history_close(struct repl *l)
{
    HistEvent ev;

    if (!l->history)
        return;
    if (l->keep_history && l->history_path.n) {
        mode_t mask = umask(077);

        (void)history(l->history, &ev, H_SAVE, l->history_path.p);
        (void)umask(mask);
    }
    history_end(l->history);
}

/* -- the loop -------------------------------------------------------------------------- */

static void answer(struct repl *l)
{
    struct err e = {0};
    const char *p = l->input.p;
    size_t n = l->input.n;

    if (n >= 6 && strncmp(p, "\"\"\"", 3) == 0 && strcmp(p + n - 3, "\"\"\"") == 0) {
        p += 3;
        n -= 6;
    }
    if (n == 0)
        return;
    (void)fflush(stdout);
    l->r->start_ns = clock_ns();
    if (run_answer(l->r, p, n, &e) < 0)
        complain(&e);
    if (l->r->reader_gone)
        l->leave = 1;
}

static int repl_open(struct repl *l)
{
    /* How characters are cut, only; numbers stay as they are. Models speak UTF-8. */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    l->el = el_init("hearth", stdin, stdout, stderr);
    if (!l->el)
        return 0;
    (void)el_set(l->el, EL_CLIENTDATA, l);
    (void)el_set(l->el, EL_PROMPT, prompt_text);
    (void)el_set(l->el, EL_EDITOR, "emacs");
    (void)el_set(l->el, EL_GETCFN, read_key);
    history_open(l);
    keys_open();
    return 1;
}

int run_repl(struct run *r)
{
    struct repl l = {.r = r};
    struct sigaction sa = {.sa_handler = on_sigint, .sa_flags = SA_RESTART}, old;
    struct sigaction wa = {.sa_handler = on_sigwinch, .sa_flags = SA_RESTART};
    struct err e = {0};

    buf_init(&l.input, INPUT_MAX);
    buf_init(&l.history_path, 1u << 16);
    arena_init(&l.texts, VALUES_MAX);
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0 || !repl_open(&l)) {
        (void)err_set(&e, E_IO, "the terminal cannot be used for line editing");
        return cmd_fail(&e);
    }
    (void)sigaction(SIGINT, &sa, &old);
    (void)sigaction(SIGWINCH, &wa, NULL);
    (void)printf("/? lists the commands, Ctrl-D or /bye leaves.\n");
    while (!l.leave && read_input(&l)) {
        if (l.input.n == 0)
            continue;
        remember(&l);
        if (l.input.p[0] == '/')
            l.leave = slash_run(&l, l.input.p) == LEAVE;
        else
            answer(&l);
    }
    if (!l.leave)
        (void)printf("\n"); /* after Ctrl-D the shell's prompt begins on a line of its own */
    (void)sigaction(SIGINT, &old, NULL);
    (void)signal(SIGWINCH, SIG_DFL);
    history_close(&l);
    el_end(l.el);
    keys_close();
    (void)close(wake[0]);
    (void)close(wake[1]);
    arena_done(&l.texts);
    buf_done(&l.history_path);
    buf_done(&l.input);
    return 0;
}
