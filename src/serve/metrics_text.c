#include "serve/metrics_series.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

/* Prometheus' text format 0.0.4: for each metric its help and type, then its series. Buckets
 * are cumulative, and the last one, of everything, is the count: both come from the same
 * numbers. */

static const char *const kind_name[] = {"counter", "gauge", "histogram"};

enum { NUMBER_MAX = 32 };

/* Whole numbers as such; C's numeric locale is never changed. */
static const char *number(double v, char out[NUMBER_MAX])
{
    if (isinf(v))
        return v > 0 ? "+Inf" : "-Inf";
    (void)snprintf(out, NUMBER_MAX, fabs(v) < 1e15 && v == floor(v) ? "%.0f" : "%.15g", v);
    return out;
}

/* A label's value: quotes, backslashes and line ends are escaped, what is no UTF-8 becomes '?'.
 */
static int put_escaped(struct buf *out, const char *s)
{
    size_t n = strlen(s);
    int rc = 0;

    for (size_t at = 0, len; at < n && rc == 0; at += len) {
        int32_t cp;

        len = (size_t)utf8_next(s + at, n - at, &cp);
        if (cp == '\n')
            rc = buf_str(out, "\\n");
        else if (cp == '"' || cp == '\\')
            rc = buf_fmt(out, "\\%c", (char)cp);
        else if (cp < 0)
            rc = buf_byte(out, '?');
        else
            rc = buf_put(out, s + at, len);
    }
    return rc;
}

static int put_label(struct buf *out, char *sep, const char *name, const char *value)
{
    int rc;

    if (!value)
        return 0;
    rc = buf_fmt(out, "%c%s=\"", *sep, name);
    *sep = ',';
    if (rc == 0)
        rc = put_escaped(out, value);
    return rc < 0 ? rc : buf_byte(out, '"');
}

/* name{labels} value */
static int put_line(struct buf *out, const struct metrics_series *s, const char *suffix,
                    const char *le, double v)
{
    const struct metrics_row *row = &metrics_table[s->id];
    char text[NUMBER_MAX], sep = '{';
    int rc = buf_fmt(out, "%s%s", row->name, suffix);

    if (rc == 0)
        rc = put_label(out, &sep, "model", s->model);
    if (rc == 0)
        rc = put_label(out, &sep, "route", s->route);
    if (rc == 0)
        rc = put_label(out, &sep, row->what, s->what);
    if (rc == 0)
        rc = put_label(out, &sep, "le", le);
    if (rc == 0 && sep == ',')
        rc = buf_byte(out, '}');
    return rc < 0 ? rc : buf_fmt(out, " %s\n", number(v, text));
}

static int put_histogram(struct buf *out, const struct metrics_series *s)
{
    const struct metrics_row *row = &metrics_table[s->id];
    double sum = metrics_value(atomic_load_explicit(&s->bits, memory_order_relaxed));
    uint64_t n = 0;
    int rc = 0;

    for (int i = 0; i <= row->n_bound && rc == 0; i++) {
        char le[NUMBER_MAX];

        n += atomic_load_explicit(&s->n[i], memory_order_relaxed);
        rc = put_line(out, s, "_bucket",
                      number(i < row->n_bound ? row->bound[i] : HUGE_VAL, le), (double)n);
    }
    if (rc == 0)
        rc = put_line(out, s, "_sum", NULL, sum);
    return rc < 0 ? rc : put_line(out, s, "_count", NULL, (double)n);
}

static int put_metric(struct buf *out, const struct metrics *m, int id)
{
    const struct metrics_row *row = &metrics_table[id];
    int rc = buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                     kind_name[row->kind]);

    for (const struct metrics_series *s = m->first[id]; s && rc == 0; s = s->after)
        rc =
            row->kind == METRICS_HISTOGRAM
                ? put_histogram(out, s)
                : put_line(out, s, "", NULL,
                           metrics_value(atomic_load_explicit(&s->bits, memory_order_relaxed)));
    return rc;
}

int metrics_text(struct metrics *m, struct buf *out)
{
    int rc = 0;

    metrics_process(m);
    (void)pthread_rwlock_rdlock(&m->lock);
    for (int i = 0; i < METRIC_N && rc == 0; i++)
        rc = put_metric(out, m, i);
    (void)pthread_rwlock_unlock(&m->lock);
    return rc;
}
