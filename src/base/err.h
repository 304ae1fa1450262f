/* err.h - errors as values: a negative code returned, the words in a caller-owned struct.
 *
 * Every function that can fail returns an int: 0 or a positive count on success, one of the
 * negative codes below on failure. Its last parameter is a struct err that is filled on
 * failure only; it may be NULL. Low layers name the numbers ("row 12: 7 bytes, need 18"),
 * upper layers put what they were doing in front with err_wrap(). Only cmd/ (and a server)
 * print; libraries return.
 *
 * One row of ERR_TABLE gives everything that any dialect needs of a code: the HTTP status,
 * the API error type, whether trying again can help, the exit status of the command, and
 * the meaning in plain words.
 *
 * Threads  a struct err belongs to its caller; nothing here is shared.
 */
#ifndef HEARTH_BASE_ERR_H
#define HEARTH_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* clang-format off */
#define ERR_TABLE(X) /* code     HTTP  API error type              retry exit  meaning */     \
    X(E_INTERNAL,    500, "internal_error",          0,  1, "a bug in hearth")                 \
    X(E_FORMAT,      422, "model_invalid",           0,  2, "the bytes break their format")    \
    X(E_UNSUPPORTED, 422, "unsupported",             0,  3, "valid, but not supported here")   \
    X(E_NOT_FOUND,   404, "not_found_error",         0,  4, "no such thing")                   \
    X(E_IO,          500, "io_error",                1,  5, "the system refused to read or write") \
    X(E_NOMEM,       507, "insufficient_memory",     1,  6, "not enough memory")               \
    X(E_TOO_LONG,    400, "context_length_exceeded", 0,  7, "more than the context or a limit holds") \
    X(E_BUSY,        503, "overloaded_error",        1,  8, "no slot or page is free now")     \
    X(E_NUMERIC,     500, "numeric_error",           0,  9, "the model computed NaN or infinity") \
    X(E_CANCELLED,   499, "cancelled",               0, 10, "stopped on request")              \
    X(E_INVALID,     400, "invalid_request_error",   0, 64, "a parameter is wrong")
/* clang-format on */

enum err_index {
#define X(code, http, type, retry, exit, text) ERR_IX_##code,
    ERR_TABLE(X)
#undef X
        ERR_N
};

enum err_code {
#define X(code, http, type, retry, exit, text) code = -1 - (int)ERR_IX_##code,
    ERR_TABLE(X)
#undef X
};

struct err_row {
    int code;
    const char *name; /* "E_FORMAT" */
    int http;
    const char *type;
    int retry;       /* 1: trying again later can help */
    int exit_status; /* of the command */
    const char *text;
};

#define ERR_MAX 512 /* bytes of a message with its NUL; longer ones are cut at the end */

struct err {
    int code; /* 0: nothing went wrong */
    char msg[ERR_MAX];
};

/* The table row of a code; an unknown code gives E_INTERNAL's. Never NULL. */
const struct err_row *err_row(int code);

/* The code of which that is the type; 0: of none. */
int err_of_type(const char *type);

/* Fills *e (NULL is fine) and returns code, so that failing is one statement. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_setv(struct err *e, int code, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

/* Puts "what: " in front of the message in *e and returns code. */
int err_wrap(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": " and the text of errno_value at the end. */
int err_sys(struct err *e, int code, int errno_value, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
