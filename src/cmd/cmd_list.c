/* hearth list, cp, rm: names of models. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/run.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct list_options {
    int json;
};

#define AT(f) offsetof(struct list_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "json", .type = OPT_FLAG, .at = AT(json), .help = "print a JSON array"},
};
/* clang-format on */

struct listing {
    const char *prefix;
    json_t *all; /* NULL: a table is printed */
    int n;
    int failed;
    int64_t now_ns;
};

/* Decimal units, as disks are sold. */
static void print_size(uint64_t n)
{
    static const char units[] = "KMGT";
    double v = (double)n / 1000;
    int i = 0;

    for (; v >= 999.5 && units[i + 1]; i++)
        v /= 1000;
    (void)printf(v < 9.95 ? "%6.1f %cB" : "%6.0f %cB", v, units[i]);
}

static void print_age(int64_t ns)
{
    static const struct {
        int64_t s;
        const char *word;
    } units[] = {{365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"},
                 {86400, "day"},        {3600, "hour"},        {60, "minute"}};
    int64_t s = ns / 1000000000;

    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        int64_t k = s / units[i].s;

        if (k < 1)
            continue;
        (void)printf("%" PRId64 " %s%s ago", k, units[i].word, k > 1 ? "s" : "");
        return;
    }
    (void)printf("just now");
}

static json_t *entry_json(const struct store_model *m)
{
    time_t s = (time_t)(m->modified_ns / 1000000000);
    char when[32] = "";
    struct tm tm;

    if (gmtime_r(&s, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o}", "name",
                     m->name, "digest", m->digest, "size", (json_int_t)m->size, "modified_at",
                     when, "path", m->path, "format", m->format, "family", m->family,
                     "parameter_size", m->parameter_size, "quantization", m->quantization,
                     "context_length", m->n_ctx_train, "embedding_length", m->n_embd,
                     "capabilities", store_can_json(m->can));
}

static void print_head(void)
{
    (void)printf("%-36s  %-12s  %9s  %s\n", "NAME", "ID", "SIZE", "MODIFIED");
}

static int visit(void *ctx, const struct store_model *m)
{
    struct listing *l = ctx;

    if (strncasecmp(m->name, l->prefix, strlen(l->prefix)) != 0)
        return 0;
    if (l->all) {
        l->failed = json_array_append_new(l->all, entry_json(m)) != 0;
        return l->failed;
    }
    if (l->n++ == 0)
        print_head();
    (void)printf("%-36s  %.12s  ", m->name, m->digest);
    print_size(m->size);
    (void)printf("  ");
    print_age(l->now_ns - m->modified_ns);
    (void)putchar('\n');
    return 0;
}

static int list(const struct list_options *o, const char *prefix, struct err *e)
{
    struct listing l = {.prefix = prefix, .now_ns = (int64_t)clock_read(CLOCK_REALTIME)};
    struct store *s = NULL;
    struct buf text;
    int rc, skipped = 0;

    buf_init(&text, (size_t)256 << 20);
    l.all = o->json ? json_array() : NULL;
    rc = store_open(&s, NULL, e);
    if (rc == 0)
        rc = store_each(s, visit, &l, &skipped, e);
    if (rc == 0 && skipped)
        log_line(LOG_WARN, "%d of the store's files left out: %s", skipped, e->msg);
    if (rc == 0 && (l.failed || (o->json && !l.all)))
        rc = err_set(e, E_NOMEM, "no memory for a list");
    if (rc == 0 && l.all) {
        rc = run_json_put(&text, l.all);
        if (rc == 0)
            (void)puts(text.p);
    }
    if (rc == 0 && !l.all && l.n == 0)
        print_head();
    if (rc == 0 && !l.all && l.n == 0 && !*prefix)
        log_line(LOG_WARN, "no models in %s; 'hearth create' makes one", store_dir(s));
    store_close(s);
    json_decref(l.all);
    buf_done(&text);
    return rc;
}

int cmd_list(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth list [PREFIX] [--json]",
        .about = "Lists the models that have names, the newest first.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct list_options o = {0};
    struct err e = {0};
    int status, n = cmd_options(&spec, argc, argv, &o, 0, 1, &status);

    if (n < 0)
        return status;
    return list(&o, n ? argv[0] : "", &e) < 0 ? cmd_fail(&e) : 0;
}

int cmd_cp(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth cp NAME NEW",
        .about = "Gives the model NAME another name, too.",
    };
    struct store *s = NULL;
    struct err e = {0};
    int status, rc;

    if (cmd_options(&spec, argc, argv, NULL, 2, 2, &status) < 0)
        return status;
    rc = store_open(&s, NULL, &e);
    if (rc == 0)
        rc = store_copy(s, str_of(argv[0]), str_of(argv[1]), &e);
    store_close(s);
    return rc < 0 ? cmd_fail(&e) : 0;
}

int cmd_rm(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth rm NAME...",
        .about = "Forgets names of models. The files that they were made from stay.",
    };
    struct store *s = NULL;
    struct err e = {0};
    int status, rc, n = cmd_options(&spec, argc, argv, NULL, 1, -1, &status);

    if (n < 0)
        return status;
    rc = store_open(&s, NULL, &e);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = store_remove(s, str_of(argv[i]), &e);
    store_close(s);
    return rc < 0 ? cmd_fail(&e) : 0;
}
