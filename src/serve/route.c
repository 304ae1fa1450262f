#include "serve/route.h"
#include "serve/call.h"

#include <stdio.h>
#include <string.h>

/* The next segment of *at, which is moved behind its slash. 0: there is none. */
static int segment(struct str *at, struct str *out)
{
    size_t n = 0;

    if (at->n == 0 || at->p[0] != '/')
        return 0;
    while (n + 1 < at->n && at->p[n + 1] != '/')
        n++;
    *out = (struct str){at->p + 1, n};
    *at = (struct str){at->p + 1 + n, at->n - 1 - n};
    return 1;
}

/* 1: path is one that the pattern means; then arg has what its names stand for. */
static int matches(const char *pattern, struct str path, struct str *arg)
{
    struct str left = str_of(pattern), want, got;
    int n_arg = 0;

    while (segment(&left, &want)) {
        if (want.n && want.p[0] == '*') {
            if (path.n < 2)
                return 0;
            arg[n_arg] = (struct str){path.p + 1, path.n - 1};
            return 1;
        }
        if (!segment(&path, &got))
            return 0;
        if (want.n && want.p[0] == ':') {
            if (got.n == 0 || n_arg == CALL_ARG_MAX)
                return 0;
            arg[n_arg++] = got;
        } else if (!str_eq(want, got)) {
            return 0;
        }
    }
    return path.n == 0;
}

/* How many bytes a path has in common with a pattern: whose dialect an unknown path is. */
static size_t alike(const char *pattern, struct str path)
{
    size_t n = 0;

    while (n < path.n && pattern[n] && pattern[n] == path.p[n])
        n++;
    return n;
}

static void allow_add(char allow[64], const char *method)
{
    size_t n = strlen(allow);

    if (strstr(allow, method))
        return;
    (void)snprintf(allow + n, 64 - n, "%s%s%s", n ? ", " : "", method,
                   strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

const struct route *route_find(const struct route_list *lists, const char *method,
                               struct str path, struct str *arg, char allow[64],
                               const struct dialect **near)
{
    const char *as = strcmp(method, "HEAD") == 0 ? "GET" : method;
    const struct route *by_get = NULL;
    struct str got[CALL_ARG_MAX] = {{NULL, 0}}, kept[CALL_ARG_MAX] = {{NULL, 0}};
    size_t most = 0;

    allow[0] = '\0';
    *near = NULL;
    for (; lists->row; lists++) {
        for (size_t i = 0; i < lists->n; i++) {
            const struct route *r = &lists->row[i];
            size_t n = alike(r->path, path);

            if (!*near || n > most) {
                most = n;
                *near = r->dialect;
            }
            memset(got, 0, sizeof(got));
            if (!matches(r->path, path, got))
                continue;
            allow_add(allow, r->method);
            if (strcmp(r->method, method) == 0) {
                memcpy(arg, got, sizeof(got));
                return r;
            }
            if (!by_get && strcmp(r->method, as) == 0) {
                by_get = r;
                memcpy(kept, got, sizeof(kept));
            }
        }
    }
    if (by_get)
        memcpy(arg, kept, sizeof(kept));
    return by_get;
}
