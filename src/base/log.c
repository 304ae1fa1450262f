#include "base/log.h"

#include "base/utf8.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WORDS_MAX = 1024,
    TAIL = 8,        /* what ends a line of JSON, wherever it is cut */
    FIELD_LEAST = 64 /* bytes of a field besides its name */
};

static atomic_int max_level = LOG_WARN, as_json;

void log_set_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

void log_set_json(int on)
{
    atomic_store(&as_json, on);
}

/* -- JSON --------------------------------------------------------------------------------- */

struct line {
    char *p;
    size_t n, most;
};

static void put(struct line *l, const char *p, size_t n)
{
    if (l->n + n + TAIL > l->most)
        return;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_text(struct line *l, const char *s)
{
    size_t n = strlen(s), k;
    char escaped[8];
    int32_t cp;

    put_str(l, "\"");
    for (size_t i = 0; i < n; i += k) {
        k = (size_t)utf8_next(s + i, n - i, &cp);
        if (cp < 0) {
            put_str(l, "\xef\xbf\xbd");
        } else if (cp < ' ' || cp == '"' || cp == '\\' || cp == 0x7f) {
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)cp);
            put_str(l, escaped);
        } else {
            put(l, s + i, k);
        }
    }
    l->p[l->n++] = '"'; /* there is room for it: TAIL */
}

static void put_time(struct line *l)
{
    char text[64];
    struct timespec now;
    struct tm tm;
    size_t n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    n = strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof(text) - n, ".%03dZ\"", (int)(now.tv_nsec / 1000000));
    put_str(l, text);
}

static void put_field(struct line *l, const struct log_field *f)
{
    char number[FIELD_LEAST - 16];

    if ((f->kind == LOG_TEXT && !f->text) ||
        l->n + strlen(f->name) + FIELD_LEAST + TAIL > l->most)
        return;
    put_str(l, ",\"");
    put_str(l, f->name);
    put_str(l, "\":");
    switch (f->kind) {
    case LOG_TEXT:
        put_text(l, f->text);
        break;
    case LOG_NUMBER:
        (void)snprintf(number, sizeof(number), "%.15g", f->number);
        put_str(l, number);
        break;
    case LOG_FLAG:
        put_str(l, f->number != 0 ? "true" : "false");
        break;
    }
}

static size_t format_json(char *p, enum log_level level, const struct log_field *f, int n,
                          const char *words)
{
    static const char *const name[] = {"error", "warn", "info", "debug"};
    struct line l = {p, 0, LOG_LINE_MAX / 2};

    put_str(&l, "{\"time\":");
    put_time(&l);
    put_str(&l, ",\"level\":\"");
    put_str(&l, name[level]);
    put_str(&l, "\"");
    for (int i = 0; i < n; i++)
        put_field(&l, &f[i]);
    l.most = LOG_LINE_MAX;
    put_str(&l, ",\"message\":");
    put_text(&l, words);
    l.p[l.n++] = '}';
    l.p[l.n++] = '\n';
    return l.n;
}

/* -- plain -------------------------------------------------------------------------------- */

static size_t format_plain(char *p, enum log_level level, const char *words)
{
    static const char *const head[] = {"error: ", "warning: ", "", "debug: "};
    int n = snprintf(p, WORDS_MAX - 1, "%s%s", head[level], words);
    size_t k = n < 0 ? 0 : (size_t)n < WORDS_MAX - 2 ? (size_t)n : WORDS_MAX - 2;

    /* What came from outside tells a terminal nothing. */
    for (size_t i = 0; i < k; i++) {
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
            p[i] = ' ';
    }
    p[k++] = '\n';
    return k;
}

/* -- both --------------------------------------------------------------------------------- */

size_t log_format(char line[LOG_LINE_MAX], enum log_level level, const char *text)
{
    return atomic_load(&as_json) ? format_json(line, level, NULL, 0, text)
                                 : format_plain(line, level, text);
}

static void write_line(enum log_level level, const struct log_field *f, int n, const char *fmt,
                       va_list ap) PRINTF_LIKE(4, 0);

static void write_line(enum log_level level, const struct log_field *f, int n, const char *fmt,
                       va_list ap)
{
    char words[WORDS_MAX], line[LOG_LINE_MAX];
    size_t k;

    if (vsnprintf(words, sizeof(words), fmt, ap) < 0)
        return;
    k = atomic_load(&as_json) ? format_json(line, level, f, n, words)
                              : format_plain(line, level, words);
    if (write(STDERR_FILENO, line, k) < 0)
        return; /* nobody is left to tell */
}

void log_line(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    if ((int)level > atomic_load(&max_level))
        return;
    va_start(ap, fmt);
    write_line(level, NULL, 0, fmt, ap);
    va_end(ap);
}

void log_fields(enum log_level level, const struct log_field *f, int n, const char *fmt, ...)
{
    va_list ap;

    if ((int)level > atomic_load(&max_level))
        return;
    va_start(ap, fmt);
    write_line(level, f, n, fmt, ap);
    va_end(ap);
}

void log_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_line(LOG_INFO, NULL, 0, fmt, ap);
    va_end(ap);
}
