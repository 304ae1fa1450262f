/* pty - runs a program on a terminal of its own and types for it, as a script on stdin says:
 *
 *     wait TEXT    until the program has written TEXT, after what earlier waits found
 *     never TEXT   it has not been written so far, from the beginning
 *     type TEXT    keys: \n Enter, \c Ctrl-C, \d Ctrl-D, \s a blank
 *     end N        until the program ends, with this exit status
 *
 * The exit status is 0 when all of it happened. Else the line that did not, and what the
 * program wrote, go to stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 20 /* seconds for each line: a loaded machine with a sanitizer is slow */

static char seen[1 << 20];
static size_t n_seen, n_found;
static int fd;

/* Takes in what there is. Returns 0 when the program has closed its terminal. */
static int take(int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (poll(&p, 1, ms) <= 0 || n_seen == sizeof(seen) - 1)
        return 1;
    n = read(fd, seen + n_seen, sizeof(seen) - 1 - n_seen);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    n_seen += (size_t)n;
    seen[n_seen] = '\0';
    return 1;
}

static int wait_for(const char *text)
{
    time_t end = time(NULL) + PATIENCE;
    int open = 1;

    for (;;) {
        char *at = strstr(seen + n_found, text);

        if (at) {
            n_found = (size_t)(at - seen) + strlen(text);
            return 1;
        }
        if (!open || time(NULL) > end)
            return 0;
        open = take(100);
    }
}

static int type(const char *text)
{
    for (; *text; text++) {
        char c = *text;

        if (c == '\\' && text[1]) {
            c = *++text;
            c = c == 'n' ? '\r' : c == 'c' ? 3 : c == 'd' ? 4 : c == 's' ? ' ' : c;
        }
        if (write(fd, &c, 1) != 1)
            return 0;
    }
    return 1;
}

static int ended(pid_t pid, int want)
{
    time_t end = time(NULL) + PATIENCE;
    int status;

    while (time(NULL) <= end) {
        (void)take(20);
        if (waitpid(pid, &status, WNOHANG) == pid) {
            while (take(0) && n_seen < sizeof(seen) - 1 && time(NULL) <= end) {
                struct pollfd p = {.fd = fd, .events = POLLIN};

                if (poll(&p, 1, 0) <= 0)
                    break;
            }
            if (WIFEXITED(status) && WEXITSTATUS(status) == want)
                return 1;
            (void)fprintf(stderr, "# it ended with status 0x%x\n", (unsigned)status);
            return 0;
        }
    }
    return 0;
}

static int obey(const char *line, pid_t pid)
{
    if (strncmp(line, "wait ", 5) == 0)
        return wait_for(line + 5);
    if (strncmp(line, "never ", 6) == 0)
        return !strstr(seen, line + 6);
    if (strncmp(line, "type ", 5) == 0)
        return type(line + 5);
    if (strncmp(line, "end ", 4) == 0)
        return ended(pid, (int)strtol(line + 4, NULL, 10));
    return line[0] == '\0' || line[0] == '#';
}

int main(int argc, char **argv)
{
    struct winsize size = {.ws_row = 40, .ws_col = 200};
    char line[4096];
    int rc = 0;
    pid_t pid;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: pty PROGRAM ARGUMENT... <SCRIPT\n");
        return 2;
    }
    pid = forkpty(&fd, NULL, NULL, &size);
    if (pid < 0)
        return 2;
    if (pid == 0) {
        (void)execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (rc == 0 && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!obey(line, pid)) {
            (void)fprintf(stderr, "# failed at: %s\n# the terminal shows:\n", line);
            (void)fwrite(seen, 1, n_seen, stderr);
            (void)fputc('\n', stderr);
            rc = 1;
        }
    }
    (void)kill(pid, SIGKILL);
    (void)close(fd);
    (void)waitpid(pid, NULL, 0);
    return rc;
}
