/* hearth ps, hearth stop: what a running server has in memory, and letting go of it. Neither
 * starts one. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "net/client.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { URL_MAX = 4096, WORDS_MAX = 64 };

/* Asks the server that HEARTH_HOST names, and takes the answer apart. The caller owns *out.
 * Fails: as client_ask; E_NOT_FOUND and others as the server says it. */
static int ask(const char *method, const char *path, json_t *body, json_t **out, struct err *e)
{
    struct client_options o = {.key = getenv("HEARTH_API_KEY"), .idle_timeout_ms = 60000};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct client_answer a = {0};
    struct client *c = NULL;
    struct buf url;
    int rc;

    json_decref(body);
    buf_init(&url, URL_MAX);
    rc = client_host(&url, e);
    o.base = url.p;
    if (rc == 0)
        rc = client_new(&c, &o, e);
    if (rc == 0)
        rc = client_ask(c, method, path, text, text ? strlen(text) : 0, NULL, NULL, &a, e);
    *out = rc == 0 ? json_loadb(a.body.n ? a.body.p : "", a.body.n, 0, NULL) : NULL;
    if (rc == 0 && a.status != 200) {
        const json_t *said = json_object_get(*out, "error");
        const char *why =
            json_string_value(json_is_object(said) ? json_object_get(said, "message") : said);

        rc = err_set(e, a.status == 404 ? E_NOT_FOUND : E_IO, "%s: %s", url.p,
                     why ? why : "an answer that is none of ours");
    } else if (rc == 0 && !json_is_object(*out)) {
        rc = err_set(e, E_FORMAT, "%s does not answer as 'hearth serve' does", url.p);
    }
    if (rc < 0)
        json_decref(*out);
    free(text);
    client_free(c);
    client_answer_done(&a);
    buf_done(&url);
    return rc;
}

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

/* Minutes until a time as the API writes it, "2026-01-02T03:04:05.678Z" or with an offset. */
static void put_until(const char *when, char out[WORDS_MAX])
{
    struct tm tm = {0};
    const char *rest = strptime(when, "%Y-%m-%dT%H:%M:%S", &tm);
    int h = 0, m = 0;
    char sign = '+';
    double left;

    if (!rest || tm.tm_year > 200) {
        (void)snprintf(out, WORDS_MAX, "%s", rest ? "forever" : "?");
        return;
    }
    rest += strcspn(rest, "+-Zz");
    if (sscanf(rest, "%c%2d:%2d", &sign, &h, &m) < 3)  // NOLINT(cert-err34-c): two digits
        h = m = 0;
    left = difftime(timegm(&tm), time(NULL)) - (sign == '-' ? -1 : 1) * (h * 3600.0 + m * 60.0);
    if (left > 90)
        (void)snprintf(out, WORDS_MAX, "%.0f minutes", left / 60);
    else
        (void)snprintf(out, WORDS_MAX, "%.0f seconds", left > 0 ? left : 0);
}

static void print_models(const json_t *list)
{
    const json_t *m;
    size_t i;

    (void)printf("%-40s %10s %8s  %s\n", "name", "size", "context", "until");
    json_array_foreach((json_t *)list, i, m)
    {
        char until[WORDS_MAX];

        put_until(text_of(m, "expires_at"), until);
        (void)printf("%-40s %6.1f MiB %8lld  %s\n", text_of(m, "name"),
                     (double)json_integer_value(json_object_get(m, "size")) / 1048576,
                     (long long)json_integer_value(json_object_get(m, "context_length")),
                     until);
    }
}

int cmd_ps(int argc, char **argv)
{
    static const struct opt_row rows[] = {
        {.name = "json", .type = OPT_FLAG, .at = 0, .help = "what the server says, as JSON"},
    };
    static const struct opt_spec spec = {
        .usage = "hearth ps [--json]",
        .about =
            "Lists the models that a running server has in memory. HEARTH_HOST says where it\n"
            "is, HEARTH_API_KEY is the key.",
        .rows = rows,
        .n = 1,
    };
    json_t *j = NULL, *list;
    struct err e = {0};
    int status, json = 0;

    if (cmd_options(&spec, argc, argv, &json, 0, 0, &status) < 0)
        return status;
    if (ask("GET", "/api/ps", NULL, &j, &e) < 0)
        return cmd_fail(&e);
    list = json_object_get(j, "models");
    if (json)
        (void)json_dumpf(list, stdout, JSON_COMPACT);
    else
        print_models(list);
    if (json)
        (void)puts("");
    json_decref(j);
    return 0;
}

int cmd_stop(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth stop NAME",
        .about = "Has a running server let go of a model; answers under way are completed.\n"
                 "HEARTH_HOST says where the server is, HEARTH_API_KEY is the key.",
    };
    struct err e = {0};
    json_t *j = NULL;
    int status;

    if (cmd_options(&spec, argc, argv, NULL, 1, 1, &status) < 0)
        return status;
    if (ask("POST", "/api/generate",
            json_pack("{s:s, s:i, s:b}", "model", argv[0], "keep_alive", 0, "stream", 0), &j,
            &e) < 0)
        return cmd_fail(&e);
    json_decref(j);
    return 0;
}
