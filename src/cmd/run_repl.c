#include "cmd/run_repl.h"

#include "base/clock.h"
#include "base/log.h"
#include "cmd/term.h"
#include "net/client.h"
#include "sys/path.h"

#include <errno.h>
#include <fcntl.h>
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
#define VALUES_MAX    ((size_t)4 << 20) /* of all that /set ever kept */

static volatile sig_atomic_t resized;
static int wake[2] = {-1, -1}; /* a pipe, both ends without blocking */
static int keys = STDIN_FILENO;

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
        (void)cmd_fail(&e);
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

    buf_init(&l.input, RUN_INPUT_MAX);
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
            l.leave = run_slash(&l, l.input.p) == RUN_LEAVE;
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
