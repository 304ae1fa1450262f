/* Values as text, both ways. Numbers are plain decimal ones: no 0777, no 1e3, no yes. */
#include "serve/config_priv.h"

#include "gate/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(type, at) (*(type *)((char *)into + (at)))
#define VALUE(type, at) (*(const type *)((const char *)from + (at)))

/* -- parsing ------------------------------------------------------------------------------- */

/* Digits, and behind a point more: *p moves behind them. 0: there are none, or too many. */
static int decimal(const char **p, double *out)
{
    const char *s = *p;
    double v = 0, unit = 1;
    int n = 0;

    for (; *s >= '0' && *s <= '9'; s++, n++)
        v = v * 10 + (*s - '0');
    if (n == 0 || n > 18 || (n > 1 && **p == '0'))
        return 0;
    if (*s == '.') {
        for (s++, n = 0; *s >= '0' && *s <= '9' && n < 9; s++, n++) {
            unit /= 10;
            v += unit * (*s - '0');
        }
        if (n == 0)
            return 0;
    }
    *p = s;
    *out = v;
    return 1;
}

static int integer(const char *text, double *out)
{
    int minus = *text == '-';
    const char *p = text + minus;

    if (!decimal(&p, out) || *p || strchr(text, '.'))
        return 0;
    *out = minus ? -*out : *out;
    return 1;
}

static int bytes(const char *text, double *out)
{
    static const struct {
        const char *name;
        double n;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"kB", 1e3},
                 {"KB", 1e3},
                 {"MB", 1e6},
                 {"GB", 1e9},
                 {"TB", 1e12},
                 {"KiB", 1024},
                 {"MiB", 1 << 20},
                 {"GiB", 1 << 30},
                 {"TiB", 1099511627776.0}};
    const char *p = text;

    if (!decimal(&p, out))
        return 0;
    p += *p == ' ';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(p, units[i].name) == 0) {
            *out *= units[i].n;
            return 1;
        }
    }
    return 0;
}

/* Nanoseconds of "1h30m", or seconds of a number alone. */
static int duration(const char *text, double *ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6},   {"s", 1e9},
                 {"m", 6e10}, {"h", 3.6e12}, {"d", 8.64e13}};
    const char *p = text;
    double v;

    *ns = 0;
    if (!*p)
        return 0;
    while (*p) {
        size_t i = 0, n;

        if (!decimal(&p, &v))
            return 0;
        if (!*p) { /* no unit: the only part */
            *ns = *ns > 0 ? -1 : v * 1e9;
            return *ns >= 0;
        }
        n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        while (i < sizeof(units) / sizeof(units[0]) &&
               !(strlen(units[i].name) == n && strncmp(p, units[i].name, n) == 0))
            i++;
        if (i == sizeof(units) / sizeof(units[0]))
            return 0;
        *ns += v * units[i].ns;
        p += n;
    }
    return 1;
}

int config_duration(const char *text, int64_t *ns)
{
    int minus = *text == '-';
    double v;

    if (!duration(text + minus, &v) || v > 9e18)
        return 0;
    *ns = minus && v > 0 ? GATE_KEEP_FOREVER : (int64_t)v;
    return 1;
}

/* -- setting ------------------------------------------------------------------------------- */

static int set_text(struct arena *mem, const char **to, const char *text, struct err *e)
{
    *to = NULL;
    if (!*text)
        return 0;
    *to = arena_strdup(mem, str_of(text));
    return *to ? 0 : err_set(e, E_NOMEM, "no memory for the configuration");
}

static int set_path(struct arena *mem, const char **to, const char *text, struct err *e)
{
    const char *home = getenv("HOME");
    char *p;
    size_t n;

    if (text[0] != '~' || (text[1] && text[1] != '/'))
        return set_text(mem, to, text, e);
    if (!home || !*home)
        return err_set(e, E_INVALID, "is below ~, and HOME is not set");
    n = strlen(home) + strlen(text);
    p = arena_alloc(mem, n);
    if (!p)
        return err_set(e, E_NOMEM, "no memory for the configuration");
    (void)snprintf(p, n, "%s%s", home, text + 1);
    *to = p;
    return 0;
}

/* "host", "host:port", "[::1]:port", ":port", each also behind "http://". */
static int set_host(struct arena *mem, const struct config_row *row, void *into,
                    const char *text, struct err *e)
{
    const char *start = strstr(text, "://"), *colon, *close;
    char host[512];
    double port = -1, alone;
    size_t n;

    if (strncmp(text, "unix:", 5) == 0)
        return set_text(mem, &FIELD(const char *, row->at), text, e);
    start = start ? start + 3 : text;
    n = strcspn(start, "/");
    if (n >= sizeof(host) || start[n + (start[n] == '/')])
        return err_set(e, E_INVALID, "is no address: '%.80s'", text);
    memcpy(host, start, n);
    host[n] = '\0';
    close = strchr(host, ']');
    colon = strrchr(host, ':');
    if (colon && !close && strchr(host, ':') != colon)
        colon = NULL; /* an IPv6 address without brackets */
    if (colon && (!close || colon > close)) {
        if (!integer(colon + 1, &port) || port < 0 || port > 65535)
            return err_set(e, E_INVALID, "has no port from 0 to 65535: '%.80s'", text);
        host[colon - host] = '\0';
    }
    if (!colon && integer(host, &alone) && alone >= 1 && alone <= 65535) {
        port = alone; /* nobody has a number for a name */
        host[0] = '\0';
    }
    if (host[0] == '[' && close) {
        n = (size_t)(close - host);
        memmove(host, host + 1, n - 1);
        host[n - 1] = '\0';
    }
    if (port >= 0)
        FIELD(int, row->n_at) = (int)port;
    return host[0] ? set_text(mem, &FIELD(const char *, row->at), host, e) : 0;
}

/* The index of text among "a|b|c", or -1. */
static int choice(const char *choices, const char *text)
{
    size_t n = strlen(text);

    for (int i = 0; choices; i++) {
        size_t k = strcspn(choices, "|");

        if (n == k && strncmp(choices, text, n) == 0)
            return i;
        choices = choices[k] ? choices + k + 1 : NULL;
    }
    return -1;
}

static int out_of_range(const struct config_row *row, const char *text, struct err *e)
{
    return err_set(e, E_INVALID, "is outside %.0f..%.0f: '%.80s'", row->min, row->max, text);
}

static int set_number(const struct config_row *row, void *into, const char *text, struct err *e)
{
    double v = 0;

    switch (row->type) {
    case CONFIG_INT:
        if (!integer(text, &v))
            return err_set(e, E_INVALID, "is not a whole number: '%.80s'", text);
        break;
    case CONFIG_RATE:
    case CONFIG_BYTES:
        if (!bytes(text, &v))
            return err_set(e, E_INVALID, "is no size, as 512MiB or 4GiB: '%.80s'", text);
        break;
    default:
        if (!duration(text, &v))
            return err_set(e, E_INVALID, "is no time, as 30s, 5m or 1h30m: '%.80s'", text);
        v /= 1e9;
        break;
    }
    if (!(v >= row->min && v <= row->max))
        return out_of_range(row, text, e);
    if (row->type == CONFIG_AGE || row->type == CONFIG_BYTES)
        FIELD(int64_t, row->at) = (int64_t)v;
    else
        FIELD(int, row->at) = (int)v;
    return 0;
}

static int set_list(struct arena *mem, const struct config_row *row, void *into,
                    const char *text, struct err *e)
{
    char one[1024];
    int rc = 0;

    config_clear(row, into);
    while (*text && rc == 0) {
        size_t n = strcspn(text, ",");

        if (n >= sizeof(one))
            return err_set(e, E_INVALID, "has a part of more than %zu bytes", sizeof(one) - 1);
        memcpy(one, text, n);
        one[n] = '\0';
        if (n)
            rc = config_add(mem, row, into, one, e);
        text += n + (text[n] == ',');
    }
    return rc;
}

int config_set(struct arena *mem, const struct config_row *row, void *into, const char *text,
               struct err *e)
{
    int at;

    switch (row->type) {
    case CONFIG_TEXT:
        return set_text(mem, &FIELD(const char *, row->at), text, e);
    case CONFIG_PATH:
        if (row->choices && strcmp(text, row->choices) == 0) {
            FIELD(const char *, row->at) = "";
            return 0;
        }
        return set_path(mem, &FIELD(const char *, row->at), text, e);
    case CONFIG_HOST:
        return set_host(mem, row, into, text, e);
    case CONFIG_LIST:
    case CONFIG_PATHS:
        return set_list(mem, row, into, text, e);
    case CONFIG_FLAG:
        at = choice("false|true", text);
        if (at < 0)
            return err_set(e, E_INVALID, "is neither true nor false: '%.80s'", text);
        FIELD(int, row->at) = at;
        return 0;
    case CONFIG_KEEP:
        if (!config_duration(text, &FIELD(int64_t, row->at)))
            return err_set(e, E_INVALID, "is no time, as 30s, 5m or -1: '%.80s'", text);
        return 0;
    case CONFIG_CHOICE:
    case CONFIG_LEVEL:
        at = choice(row->choices, text);
        if (at < 0)
            return err_set(e, E_INVALID, "is none of %s: '%.80s'", row->choices, text);
        if (row->type == CONFIG_LEVEL)
            FIELD(int, row->at) = at;
        return row->type == CONFIG_LEVEL
                   ? 0
                   : set_text(mem, &FIELD(const char *, row->at), text, e);
    default:
        return set_number(row, into, text, e);
    }
}

void config_clear(const struct config_row *row, void *into)
{
    FIELD(int, row->n_at) = 0;
}

int config_add(struct arena *mem, const struct config_row *row, void *into, const char *text,
               struct err *e)
{
    int n = FIELD(int, row->n_at);
    const char **list = FIELD(const char **, row->at), *value = NULL;
    int rc;

    if (!list) {
        list = arena_calloc(mem, CONFIG_LIST_MAX, sizeof(*list));
        if (!list)
            return err_set(e, E_NOMEM, "no memory for the configuration");
        FIELD(const char **, row->at) = list;
    }
    if (n == CONFIG_LIST_MAX)
        return err_set(e, E_INVALID, "has more than %d parts", CONFIG_LIST_MAX);
    rc = row->type == CONFIG_PATHS ? set_path(mem, &value, text, e)
                                   : set_text(mem, &value, text, e);
    if (rc < 0 || !value)
        return rc < 0 ? rc : err_set(e, E_INVALID, "has an empty part");
    list[n] = value;
    FIELD(int, row->n_at) = n + 1;
    return 0;
}

/* -- showing ------------------------------------------------------------------------------- */

static int quoted(struct buf *out, const char *text)
{
    int rc = buf_byte(out, '"');

    for (; *text && rc == 0; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            rc = buf_fmt(out, "\\%c", c);
        else if (c == '$')
            rc = buf_str(out, "$$");
        else if (c < 0x20)
            rc = buf_fmt(out, "\\x%02x", c);
        else
            rc = buf_byte(out, c);
    }
    return rc < 0 ? rc : buf_byte(out, '"');
}

static int show_list(const struct config_row *row, const void *from, struct buf *out)
{
    const char **list = VALUE(char **, row->at);
    int rc = buf_byte(out, '[');

    for (int i = 0; i < VALUE(int, row->n_at) && rc == 0; i++) {
        if (i)
            rc = buf_str(out, ", ");
        if (rc == 0)
            rc = quoted(out, list[i]);
    }
    return rc < 0 ? rc : buf_byte(out, ']');
}

static int show_bytes(double v, struct buf *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    int i = 0;

    for (; i < 3 && v >= 1024 && (double)((int64_t)v / 1024 * 1024) == v; i++)
        v /= 1024;
    return buf_fmt(out, "%.0f%s", v, units[i]);
}

static int show_keep(int64_t ns, struct buf *out)
{
    if (ns == GATE_KEEP_FOREVER)
        return buf_str(out, "-1");
    if (ns % 1000000000 == 0)
        return buf_fmt(out, "%llds", (long long)(ns / 1000000000));
    return buf_fmt(out, "%lldns", (long long)ns);
}

static int show_choice(const struct config_row *row, int at, struct buf *out)
{
    const char *p = row->choices;

    while (at-- > 0)
        p += strcspn(p, "|") + 1;
    return buf_put(out, p, strcspn(p, "|"));
}

static int show_any(const struct config_row *row, const void *from, struct buf *out)
{
    switch (row->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_HOST:
    case CONFIG_CHOICE:
        if (!VALUE(char *, row->at)[0])
            return buf_str(out, row->choices);
        return quoted(out, VALUE(char *, row->at));
    case CONFIG_LIST:
    case CONFIG_PATHS:
        return show_list(row, from, out);
    case CONFIG_FLAG:
        return buf_str(out, VALUE(int, row->at) ? "true" : "false");
    case CONFIG_KEEP:
        return show_keep(VALUE(int64_t, row->at), out);
    case CONFIG_LEVEL:
        return show_choice(row, VALUE(int, row->at), out);
    case CONFIG_SECONDS:
        return buf_fmt(out, "%ds", VALUE(int, row->at));
    case CONFIG_AGE:
        return buf_fmt(out, "%llds", (long long)VALUE(int64_t, row->at));
    case CONFIG_RATE:
        return show_bytes(VALUE(int, row->at), out);
    case CONFIG_BYTES:
        return show_bytes((double)VALUE(int64_t, row->at), out);
    default:
        return buf_fmt(out, "%d", VALUE(int, row->at));
    }
}

int config_show(const struct config_row *row, const void *from, struct buf *out)
{
    int is_text = row->type == CONFIG_TEXT || row->type == CONFIG_PATH ||
                  row->type == CONFIG_HOST || row->type == CONFIG_CHOICE;
    int rc;

    if (is_text && !VALUE(char *, row->at))
        return 0;
    if ((row->type == CONFIG_LIST || row->type == CONFIG_PATHS) && !VALUE(int, row->n_at))
        return 0;
    rc = show_any(row, from, out);
    return rc < 0 ? rc : 1;
}
