#include "net/host.h"

enum { TEXT_MAX = 4096, PORT_MAX = 65535 };

#define DEFAULT_PORT "11434"

/* Of an address, its parts; all borrowed. */
struct parts {
    struct str scheme, name, port, path;
};

static struct str trimmed(const char *text)
{
    struct str s = str_of(text);

    while (s.n && strchr(" \t\r\n\"'", s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r\n\"'/", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Cuts s at the first byte of `set`; what follows, that byte included, is *rest. */
static struct str until(struct str s, const char *set, struct str *rest)
{
    size_t n = 0;

    while (n < s.n && !strchr(set, s.p[n]))
        n++;
    *rest = (struct str){s.p + n, s.n - n};
    return (struct str){s.p, n};
}

static int good_port(struct str port)
{
    unsigned v = 0;

    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9' || i > 4)
            return 0;
        v = v * 10 + (unsigned)(port.p[i] - '0');
    }
    return port.n && v >= 1 && v <= PORT_MAX;
}

/* Letters of names and addresses: nothing that is anything in a URL. */
static int good_name(struct str name, int v6)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        int plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!plain && !strchr(v6 ? ":.%-_" : ".-_", c))
            return 0;
    }
    return 1;
}

/* "[::1]:80", "::1", "host:80", "host", ":80", "80". 0: it is none. */
static int split_name(struct str s, struct parts *p, int *v6)
{
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    struct str rest = {s.p, 0};

    *v6 = 0;
    if (s.n && s.p[0] == '[') {
        p->name = until((struct str){s.p + 1, s.n - 1}, "]", &rest);
        if (rest.n == 0)
            return 0;
        rest = (struct str){rest.p + 1, rest.n - 1};
        *v6 = 1;
    } else if (colon && memchr(colon + 1, ':', s.n - (size_t)(colon + 1 - s.p))) {
        p->name = s; /* many colons and no brackets: an address without a port */
        *v6 = 1;
    } else {
        p->name = until(s, ":", &rest);
        if (rest.n == 0 && good_port(s)) { /* nobody has a number for a name */
            p->port = s;
            p->name.n = 0;
        }
    }
    if (rest.n) {
        p->port = (struct str){rest.p + 1, rest.n - 1};
        if (rest.p[0] != ':' || !good_port(p->port))
            return 0;
    }
    return good_name(p->name, *v6);
}

static int split(struct str s, struct parts *p, int *v6)
{
    struct str rest;

    *p = (struct parts){.scheme = str_of("http"), .port = str_of(DEFAULT_PORT)};
    for (size_t i = 0; i + 3 <= s.n; i++) {
        if (memcmp(s.p + i, "://", 3) != 0)
            continue;
        p->scheme = (struct str){s.p, i};
        s = (struct str){s.p + i + 3, s.n - i - 3};
        p->port = str_of(str_is(p->scheme, "https") ? "443" : "80");
        break;
    }
    if (!str_is(p->scheme, "http") && !str_is(p->scheme, "https"))
        return 0;
    s = until(s, "/", &rest);
    p->path = rest;
    for (size_t i = 0; i < rest.n; i++) {
        if ((unsigned char)rest.p[i] <= ' ' || strchr("?#\"\\\177", rest.p[i]))
            return 0;
    }
    return split_name(s, p, v6);
}

static int build(struct host *h, struct parts *p, int v6)
{
    if (p->name.n == 0 || str_is(p->name, "0.0.0.0"))
        p->name = str_of("127.0.0.1");
    if (str_is(p->name, "::"))
        p->name = str_of("::1");
    h->is_local = str_is(p->name, "localhost") || str_is(p->name, "::1") ||
                  (p->name.n > 4 && memcmp(p->name.p, "127.", 4) == 0);
    return buf_fmt(&h->url, v6 ? "%.*s://[%.*s]:%.*s%.*s" : "%.*s://%.*s:%.*s%.*s",
                   (int)p->scheme.n, p->scheme.p, (int)p->name.n, p->name.p, (int)p->port.n,
                   p->port.p, (int)p->path.n, p->path.n ? p->path.p : "");
}

int host_read(struct host *h, const char *text, struct err *e)
{
    struct str s = trimmed(text ? text : "");
    struct parts p;
    int rc = E_INVALID, v6;

    *h = (struct host){0};
    buf_init(&h->url, TEXT_MAX);
    buf_init(&h->socket, TEXT_MAX);
    if (s.n > 6 && memcmp(s.p, "unix:/", 6) == 0) {
        h->is_local = 1;
        rc = buf_put(&h->socket, s.p + 5, s.n - 5);
        if (rc == 0)
            rc = buf_str(&h->url, "http://localhost");
    } else if (s.n < TEXT_MAX / 2 && split(s, &p, &v6)) {
        rc = build(h, &p, v6);
    }
    if (rc == 0)
        return 0;
    host_done(h);
    if (rc == E_NOMEM)
        return err_set(e, rc, "no memory for an address");
    return err_set(e, E_INVALID,
                   "'%.*s' is no address; expected host:port, :port, a URL or unix:/path",
                   s.n < 100 ? (int)s.n : 100, s.p);
}

void host_done(struct host *h)
{
    buf_done(&h->url);
    buf_done(&h->socket);
}
