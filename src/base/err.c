#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct err_row rows[] = {
#define X(code, http, type, retry, exit, text) {code, #code, http, type, retry, exit, text},
    ERR_TABLE(X)
#undef X
};

const struct err_row *err_row(int code)
{
    int i = -1 - code;

    return &rows[i >= 0 && i < (int)ERR_N ? i : 0];
}

int err_of_type(const char *type)
{
    for (int i = 0; i < (int)ERR_N; i++) {
        if (strcmp(rows[i].type, type) == 0)
            return rows[i].code;
    }
    return 0;
}

int err_setv(struct err *e, int code, const char *fmt, va_list ap)
{
    if (e) {
        e->code = code;
        (void)vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    }
    return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_setv(e, code, fmt, ap);
    va_end(ap);
    return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
    char head[ERR_MAX];
    size_t n, m;
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    n = strlen(head);
    e->code = code;
    if (n + 2 >= sizeof(e->msg))
        return code;
    m = strlen(e->msg);
    if (m > sizeof(e->msg) - 1 - n - 2)
        m = sizeof(e->msg) - 1 - n - 2;
    memmove(e->msg + n + 2, e->msg, m);
    memcpy(e->msg, head, n);
    memcpy(e->msg + n, ": ", 2);
    e->msg[n + 2 + m] = '\0';
    return code;
}

int err_sys(struct err *e, int code, int errno_value, const char *fmt, ...)
{
    char what[128];
    const char *text = strerror_r(errno_value, what, sizeof(what));
    size_t n;
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    err_setv(e, code, fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    (void)snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", text);
    return code;
}
