/* log.h - lines on stderr, for cmd/ (and a server) only: libraries return errors instead.
 *
 * Never the content of a prompt or an answer, never a key.
 * Threads  any; a line is written whole.
 */
#ifndef HEARTH_BASE_LOG_H
#define HEARTH_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* lines above it are dropped; LOG_WARN at start */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
