/* route.h - which path is whose: tables of rows, one for each dialect.
 *
 * A path has segments; ":name" stands for one segment, "*name" at the end for all that follow,
 * slashes included. What they stood for is in the call's arg, in order.
 *
 * Uses     base/
 */
#ifndef HEARTH_SERVE_ROUTE_H
#define HEARTH_SERVE_ROUTE_H

#include "base/buf.h"
#include "base/err.h"

struct serve;
struct call;

enum route_scope { SCOPE_PUBLIC, SCOPE_INFER = 1, SCOPE_MANAGE = 2, SCOPE_METRICS = 4 };

enum route_flag {
    ROUTE_QUICK = 1,    /* never waits and does little: run by the I/O thread itself */
    ROUTE_ANY_TYPE = 2, /* a POST whose body need not be application/json */
    ROUTE_CURL = 4 /* JSON that says it is a form is taken, as `curl -d` sends it, from whoever
                    * is no browser: the examples of Ollama's papers are written so */
};

/* How a family of routes says what went wrong. */
struct dialect {
    const char *name;      /* "openai": in metrics and logs */
    const char *json_type; /* "application/json; charset=utf-8" */
    /* Appends the body of an error; param: the field, or NULL. id: of the exchange.
     * Fails: E_NOMEM. */
    int (*error)(struct buf *out, int status, const struct err *e, const char *param,
                 const char *id);
};

extern const struct dialect dialect_openai, dialect_ollama, dialect_anthropic, dialect_llama;

struct route {
    const char *method; /* "GET" answers HEAD as well */
    const char *path;
    int scope; /* enum route_scope */
    int flags;
    const char *name; /* "openai.chat": in metrics and logs */
    const struct dialect *dialect;
    void (*run)(struct serve *s, struct call *c); /* answers the call */
};

struct route_list {
    const struct route *row;
    size_t n;
};

/* All tables of this program (route_list.c), the last with row NULL. */
extern const struct route_list route_lists[];

/* The row for method and path, with *arg[CALL_ARG_MAX]. NULL: then *allow is a list of methods
 * that the path has ("GET, HEAD, POST"), or "" for an unknown path; *near is the dialect of the
 * tables whose paths begin alike. */
const struct route *route_find(const struct route_list *lists, const char *method,
                               struct str path, struct str *arg, char allow[64],
                               const struct dialect **near);

#endif
