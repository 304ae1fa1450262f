/* log.h - lines on stderr, for cmd/ (and a server) only: libraries return errors instead.
 *
 * Plain   "warning: the words"
 * JSON    {"time":"2026-11-26T11:05:00.123Z","level":"warn",FIELDS,"message":"the words"}
 *
 * Never the content of a prompt or an answer, never a key. What came from outside makes no
 * second line, and a line is cut where it gets too long.
 *
 * Threads  any; a line is written whole.
 */
#ifndef HEARTH_BASE_LOG_H
#define HEARTH_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_kind { LOG_TEXT, LOG_NUMBER, LOG_FLAG };

/* A member of a line in JSON; plain lines are without. */
struct log_field {
    const char *name;
    enum log_kind kind;
    const char *text; /* NULL: the field is left out */
    double number;    /* of LOG_NUMBER; LOG_FLAG: 0 is false */
};

enum { LOG_LINE_MAX = 4096 };

void log_set_level(enum log_level level); /* lines above it are dropped; LOG_WARN at start */
void log_set_json(int on);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void log_fields(enum log_level level, const struct log_field *f, int n, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* At any level, without a word in front. */
void log_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The line that log_line would write now, its end included: for where it may not be called
 * (signals). Returns its length. */
size_t log_format(char line[LOG_LINE_MAX], enum log_level level, const char *text);

#endif
