/* hearth serve: the server, until a signal ends it. */
#include "cmd/cmd.h"

#include "serve/http.h"

#include <stdio.h>

enum { SET_MAX = OPT_LIST_MAX + 8, TEXT_MAX = 4200 };

struct serve_options {
    const char *config, *host, *models;
    int port, verbose, quiet;
    struct opt_list set;
};

#define AT(f) offsetof(struct serve_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "config", .letter = 'c', .type = OPT_STR, .at = AT(config), .arg = "FILE",
     .help = "settings; without it $HEARTH_CONFIG, hearth.yaml in ~/.config/hearth or /etc/hearth"},
    {.name = "host", .type = OPT_STR, .at = AT(host), .arg = "HOST",
     .help = "where to listen: address, name, host:port, unix:/path (127.0.0.1)"},
    {.name = "port", .letter = 'p', .type = OPT_INT, .at = AT(port), .def = "-1", .min = -1, .max = 65535,
     .arg = "N", .help = "port; 0: any that is free, -1: as configured (11434)"},
    {.name = "models", .type = OPT_STR, .at = AT(models), .arg = "DIR", .help = "where models are stored"},
    {.name = "set", .letter = 's', .type = OPT_LIST, .at = AT(set), .arg = "NAME=VALUE",
     .help = "a setting, by its name in 'hearth config example'; may be given again"},
    {.name = "verbose", .letter = 'v', .type = OPT_FLAG, .at = AT(verbose), .help = "a line for each request"},
    {.name = "quiet", .letter = 'q', .type = OPT_FLAG, .at = AT(quiet), .help = "do not say where it listens"},
};
/* clang-format on */

int cmd_serve(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth serve [--config FILE] [--host HOST] [--port N]",
        .about = "Answers over HTTP what clients of Ollama, OpenAI, Anthropic and llama-server "
                 "ask, until SIGTERM or SIGINT. SIGHUP reads the settings again.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct serve_options o = {0};
    struct server_options so = {0};
    char host[TEXT_MAX], port[32], models[TEXT_MAX];
    const char *set[SET_MAX];
    struct err e = {0};
    int status, n = 0;

    if (cmd_options(&spec, argc, argv, &o, 0, 0, &status) < 0)
        return status;
    if (o.verbose)
        set[n++] = "log.level=info";
    for (int i = 0; i < o.set.n; i++)
        set[n++] = o.set.v[i];
    if (o.host && snprintf(host, sizeof(host), "listen.host=%s", o.host) < (int)sizeof(host))
        set[n++] = host;
    if (o.port >= 0 && snprintf(port, sizeof(port), "listen.port=%d", o.port) > 0)
        set[n++] = port;
    if (o.models &&
        snprintf(models, sizeof(models), "models.dir=%s", o.models) < (int)sizeof(models))
        set[n++] = models;
    so = (struct server_options){
        .config_path = o.config, .set = set, .n_set = n, .quiet = o.quiet};
    return server_run(&so, &e) < 0 ? cmd_fail(&e) : 0;
}
