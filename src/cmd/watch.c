/* watch.c - a mapped file that is no longer there to be read.
 *
 * What a mapping cannot read from its file arrives as a signal in the thread that touched it,
 * any of those that compute. It goes on with zeros, and who computes finds out (sys/lost.h).
 * Where the system does not even give zeros (too many mappings, files of huge pages), only what
 * is safe in a handler may be called: the line is put together by write, and the program ends
 * without its clean-up.
 */
#include "cmd/cmd.h"

#include "sys/lost.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static struct sigaction before;
static int status;

static void say(const char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        ssize_t k = write(STDERR_FILENO, text, n);

        if (k < 0 && errno != EINTR)
            return;
        text += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

/* As cmd_fail prints names. */
static void say_name(const char *name)
{
    char clean[256];
    size_t i = 0;

    for (; name[i] && i + 1 < sizeof(clean); i++) {
        unsigned char c = (unsigned char)name[i];

        clean[i] = c < 0x20 || c == 0x7f ? '?' : name[i];
    }
    clean[i] = '\0';
    say(clean);
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    int row = info->si_code > 0 ? lost_find(info->si_addr) : 0;

    (void)context;
    if (row && lost_mend(row, info->si_addr))
        return;
    if (!row) {
        /* Not ours: what would have happened without us happens, for a fault when the
         * instruction is tried again. */
        (void)sigaction(sig, &before, NULL);
        if (info->si_code <= 0)
            (void)raise(sig);
        return;
    }
    if (atomic_flag_test_and_set(&said)) {
        for (;;) /* another thread says it, and ends us all */
            (void)pause();
    }
    say("error: ");
    say_name(lost_name(row));
    say(": cannot be read any more: it was cut or its disk failed while in use; start again, "
        "and replace a model by renaming, never by writing over it\n");
    _exit(status);
}

void cmd_watch_files(void)
{
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};

    status = err_row(E_IO)->exit_status;
    (void)sigaction(SIGBUS, &sa, &before);
}
