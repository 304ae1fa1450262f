/* Bodies in chunks that will never be whole. libmicrohttpd shows neither the lines between
 * chunks nor how long one is said to be, so it has to be seen from what comes, or does not.
 */
#include "serve/http_priv.h"

#include <string.h>
#include <sys/ioctl.h>

#define SECOND ((uint64_t)1000000000)

enum { LOOK_MAX = 1 << 20 };

/* 1: a JSON object that is whole, and something behind it: whatever comes, this is no JSON any
 * more. So it is with a chunk that is said to be longer than it is: the next line is taken for
 * a part of it. */
static int is_spoiled(const char *p, size_t n)
{
    int depth = 0, in_text = 0;
    size_t i = n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    i += n > i ? strspn(p + i, " \t\r\n") : 0; /* a NUL is behind the body */
    if (i >= n || p[i] != '{')
        return 0;
    for (; i < n; i++) {
        if (in_text) {
            if (p[i] == '\\')
                i++;
            else
                in_text = p[i] != '"';
        } else if (p[i] == '"') {
            in_text = 1;
        } else if (p[i] == '{' || p[i] == '[') {
            depth++;
        } else if (p[i] == '}' || p[i] == ']') {
            if (--depth == 0)
                break;
        }
    }
    if (i >= n)
        return 0;
    i++;
    return i + strspn(p + i, " \t\r\n") < n;
}

static int is_json(const struct exchange *x)
{
    return x->call.route && !(x->call.route->flags & ROUTE_ANY_TYPE);
}

const char *http_stall_look(struct conn *c, uint64_t now)
{
    struct exchange *x = c->x;
    int unread = 0;

    if (ioctl(c->fd, FIONREAD, &unread) != 0)
        return NULL;
    if (!x->stall_ns || x->stall_at != x->n_body || x->stall_unread != (unread > 0)) {
        x->stall_ns = now;
        x->stall_at = x->n_body;
        x->stall_unread = unread > 0;
    }
    if (now - x->stall_ns <= SECOND)
        return NULL;
    if (unread > 0) /* all memory for reading is full of a line whose end was not seen */
        return "a line between two chunks of the body is too long";
    if (x->refused)
        return "nothing more comes";
    if (x->stall_seen == x->body.n)
        return NULL;
    x->stall_seen = x->body.n;
    if (is_json(x) && x->body.n <= LOOK_MAX && is_spoiled(x->body.p, x->body.n))
        return "bytes behind the JSON of the body, or a chunk that is longer than what came";
    return NULL;
}
