#include "cmd/cmd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct command {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *summary; /* NULL: another name of the one before */
};

static int cmd_help(int argc, char **argv);

/* clang-format off */
static const struct command commands[] = {
    {"run",     cmd_run,     "complete a text, once or interactively"},
    {"serve",   cmd_serve,   "answer over HTTP: Ollama, OpenAI, Anthropic, llama-server"},
    {"ps",      cmd_ps,      "list the models that a running server has in memory"},
    {"stop",    cmd_stop,    "have a running server let go of a model"},
    {"config",  cmd_config,  "check or print the settings of the server"},
    {"key",     cmd_key,     "make, list and remove its API keys"},
    {"show",    cmd_show,    "say what a model is, and what its file holds"},
    {"create",  cmd_create,  "give a model a name, and settings, by a Modelfile"},
    {"list",    cmd_list,    "list the models that have names"},
    {"ls",      cmd_list,    NULL},
    {"cp",      cmd_cp,      "give a model another name"},
    {"rm",      cmd_rm,      "forget names of models; their files stay"},
    {"bench",   cmd_bench,   "measure how fast a model runs here"},
    {"convert", cmd_convert, "write a Hugging Face folder as a GGUF file"},
    {"debug",   cmd_debug,   "look inside: logits, embeddings, tokens, lists"},
    {"version", cmd_version, "print the version"},
    {"help",    cmd_help,    "show this text, or a command's options"},
};
/* clang-format on */

#define N_COMMAND (int)(sizeof(commands) / sizeof(commands[0]))

static const char *command_name(const void *ctx, int i)
{
    (void)ctx;
    return i < N_COMMAND ? commands[i].name : NULL;
}

static const struct command *command_find(const char *name)
{
    for (int i = 0; i < N_COMMAND; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void usage(FILE *f)
{
    (void)fprintf(f,
                  "hearth %s runs language models on this machine.\n\n"
                  "Usage: hearth COMMAND [OPTIONS]\n\nCommands:\n",
                  hearth_version());
    for (int i = 0; i < N_COMMAND; i++)
        if (commands[i].summary)
            (void)fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)fprintf(f, "\n'hearth help COMMAND' lists the options of a command.\n");
}

static int unknown(const char *name)
{
    const char *near = opt_nearest(name, command_name, NULL);
    struct err e = {0};

    if (near)
        (void)err_set(&e, E_INVALID, "unknown command '%s'; did you mean '%s'?", name, near);
    else
        (void)err_set(&e, E_INVALID, "unknown command '%s'; 'hearth help' lists them", name);
    return cmd_fail(&e);
}

static int cmd_help(int argc, char **argv)
{
    static char option[] = "--help";
    static const struct opt_spec spec = {
        .usage = "hearth help [COMMAND]",
        .about = "Lists the commands, or the options of one.",
    };
    char *args[] = {option, NULL};
    const struct command *c;
    int status;

    argc = cmd_options(&spec, argc, argv, NULL, 0, 1, &status);
    if (argc < 0)
        return status;
    if (argc == 0) {
        usage(stdout);
        return 0;
    }
    c = command_find(argv[0]);
    if (!c)
        return unknown(argv[0]);
    if (c->fn == cmd_help) {
        usage(stdout);
        return 0;
    }
    return c->fn(1, args);
}

/* What was printed may still sit in stdout's buffer: only now is it known to be written. A
 * reader that went away (head, less) is no failure. */
static int finish(int status)
{
    struct err e = {0};

    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno == EPIPE || status != 0)
        return status;
    /* An earlier write may have failed, with a reason that nobody kept. */
    (void)err_sys(&e, E_IO, errno ? errno : EIO, "write stdout");
    return cmd_fail(&e);
}

int main(int argc, char **argv)
{
    const struct command *c;

    (void)signal(SIGPIPE, SIG_IGN); /* a write says EPIPE instead */
    cmd_watch_files();
    if (argc < 2) {
        usage(stderr);
        return err_row(E_INVALID)->exit_status;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return finish(cmd_help(argc - 2, argv + 2));
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return finish(cmd_version(argc - 2, argv + 2));
    c = command_find(argv[1]);
    return finish(c ? c->fn(argc - 2, argv + 2) : unknown(argv[1]));
}
