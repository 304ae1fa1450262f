#include "cmd/opt.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- numbers ------------------------------------------------------------------------- */

int opt_u64(const char *text, uint64_t *out)
{
    uint64_t v = 0;

    if (!*text)
        return 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return 0;
    }
    *out = v;
    return 1;
}

int opt_int(const char *text, int64_t *out)
{
    int minus = *text == '-';
    uint64_t v;

    if (!opt_u64(text + (minus || *text == '+'), &v) || v > INT64_MAX)
        return 0;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return 1;
}

/* strtod reads more than decimal numbers ("nan", "0x1p3", leading blanks), so the characters
 * are looked at first. The program never sets LC_NUMERIC, so a point is a point. */
int opt_float(const char *text, double *out)
{
    char *end;
    double v;

    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return 0;
    v = strtod(text, &end);
    if (*end || !isfinite(v))
        return 0;
    *out = v;
    return 1;
}

static int id_parse(const char *p, size_t n, int32_t *out)
{
    char text[16];
    int64_t v;

    while (n > 0 && *p == ' ') {
        p++;
        n--;
    }
    if (n == 0 || n >= sizeof(text))
        return 0;
    memcpy(text, p, n);
    text[n] = '\0';
    if (!opt_int(text, &v) || v < INT32_MIN || v > INT32_MAX)
        return 0;
    *out = (int32_t)v;
    return 1;
}

int opt_ids(const char *text, int32_t **ids, size_t *n, struct err *e)
{
    size_t len = strlen(text), count = 1, i = 0;
    int32_t *v;

    for (size_t k = 0; k < len; k++)
        count += text[k] == ',';
    v = mem_calloc(count, sizeof(*v));
    if (!v)
        return err_set(e, E_NOMEM, "no memory for %zu ids", count);
    for (const char *p = text; i < count; i++) {
        size_t w = strcspn(p, ",");

        if (!id_parse(p, w, &v[i])) {
            mem_free(v);
            return err_set(e, E_INVALID, "--ids: element %zu, '%.*s', is not a token id", i + 1,
                           (int)(w < 40 ? w : 40), p);
        }
        p += w + 1;
    }
    *ids = v;
    *n = count;
    return 0;
}

/* -- names that are nearly right ------------------------------------------------------ */

#define WORD_MAX 32

/* Edits (a letter more, less, or another one, two swapped) from a to b. */
static int distance(const char *a, const char *b)
{
    int row[3][WORD_MAX + 1];
    int n = (int)strlen(a), m = (int)strlen(b);

    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (int j = 0; j <= m; j++)
        row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *cur = row[i % 3], *up = row[(i + 2) % 3], *upup = row[(i + 1) % 3];

        cur[0] = i;
        for (int j = 1; j <= m; j++) {
            int d = up[j - 1] + (a[i - 1] != b[j - 1]);

            if (up[j] + 1 < d)
                d = up[j] + 1;
            if (cur[j - 1] + 1 < d)
                d = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                upup[j - 2] + 1 < d)
                d = upup[j - 2] + 1;
            cur[j] = d;
        }
    }
    return row[n % 3][m];
}

const char *opt_nearest(const char *word, const char *(*name)(const void *ctx, int i),
                        const void *ctx)
{
    const char *best = NULL, *s;
    int least = (int)strlen(word) < 5 ? 2 : 3;

    for (int i = 0; (s = name(ctx, i)) != NULL; i++) {
        int d = distance(word, s);

        if (d < least && d < (int)strlen(s)) {
            least = d;
            best = s;
        }
    }
    return best;
}

static const char *row_name(const void *ctx, int i)
{
    const struct opt_spec *spec = ctx;

    return i < spec->n ? spec->rows[i].name : NULL;
}

/* -- one value ----------------------------------------------------------------------- */

static int range_err(const struct opt_row *row, const char *what, const char *text, double v,
                     struct err *e)
{
    if (row->above && v == row->min)
        return err_set(e, E_INVALID, "%s: %s is not above %g", what, text, row->min);
    if (row->max < (double)INT32_MAX)
        return err_set(e, E_INVALID, "%s: %s is outside %.10g..%.10g", what, text, row->min,
                       row->max);
    if (v > row->max)
        return err_set(e, E_INVALID, "%s: %s is more than %.10g", what, text, row->max);
    return err_set(e, E_INVALID, "%s: %s is less than %g", what, text, row->min);
}

static int in_range(const struct opt_row *row, double v)
{
    return v <= row->max && (row->above ? v > row->min : v >= row->min);
}

static int set_choice(const struct opt_row *row, const char *what, const char *text, int *out,
                      struct err *e)
{
    const char *p = row->arg;

    for (int i = 0; *p; i++) {
        size_t n = strcspn(p, "|");

        if (strlen(text) == n && memcmp(p, text, n) == 0) {
            *out = i;
            return 0;
        }
        p += n + (p[n] == '|');
    }
    return err_set(e, E_INVALID, "%s: '%s' is none of %s", what, text, row->arg);
}

static int set_int(const struct opt_row *row, const char *what, const char *text, int *out,
                   struct err *e)
{
    int64_t v;
    double d;

    if (!opt_int(text, &v)) {
        if (opt_float(text, &d) && strspn(text, "+-0123456789") == strlen(text))
            return range_err(row, what, text, d, e); /* digits, but more than 64 bits */
        return err_set(e, E_INVALID, "%s: '%s' is not a whole number", what, text);
    }
    if (!in_range(row, (double)v))
        return range_err(row, what, text, (double)v, e);
    *out = (int)v;
    return 0;
}

static int set_float(const struct opt_row *row, const char *what, const char *text, float *out,
                     struct err *e)
{
    double v;

    if (!opt_float(text, &v))
        return err_set(e, E_INVALID, "%s: '%s' is not a number", what, text);
    /* What counts is the float: 1e-60 is zero, and may be at a forbidden end. */
    if (!in_range(row, v) || !in_range(row, (double)(float)v))
        return range_err(row, what, text, in_range(row, v) ? (double)(float)v : v, e);
    *out = (float)v;
    return 0;
}

int opt_set(const struct opt_row *row, const char *what, const char *text, void *into,
            struct err *e)
{
    void *field = (char *)into + row->at;
    struct opt_list *list = field;
    struct opt_seed *seed = field;

    switch (row->type) {
    case OPT_FLAG:
        *(int *)field = 1;
        return 0;
    case OPT_INT:
        return set_int(row, what, text, field, e);
    case OPT_FLOAT:
        return set_float(row, what, text, field, e);
    case OPT_SEED:
        if (!opt_u64(text, &seed->value))
            return err_set(e, E_INVALID, "%s: '%s' is not a whole number from 0 on", what,
                           text);
        seed->given = 1;
        return 0;
    case OPT_STR:
    case OPT_MAYBE:
        *(const char **)field = text;
        return 0;
    case OPT_LIST:
        if (list->n == OPT_LIST_MAX)
            return err_set(e, E_INVALID, "%s: given more than %d times", what, OPT_LIST_MAX);
        list->v[list->n++] = text;
        return 0;
    case OPT_CHOICE:
        return set_choice(row, what, text, field, e);
    }
    return err_set(e, E_INTERNAL, "option %s has type %d", row->name, row->type);
}

static void show_choice(const char *arg, int i, char *out, size_t cap)
{
    for (; i > 0; i--)
        arg += strcspn(arg, "|") + 1;
    (void)snprintf(out, cap, "%.*s", (int)strcspn(arg, "|"), arg);
}

int opt_show(const struct opt_row *row, const void *from, char *out, size_t cap)
{
    const void *field = (const char *)from + row->at;
    const struct opt_seed *seed = field;
    char number[NUM_TEXT];
    const char *s;

    switch (row->type) {
    case OPT_FLAG:
    case OPT_INT:
        (void)snprintf(out, cap, "%d", *(const int *)field);
        return 1;
    case OPT_FLOAT:
        (void)num_float(number, *(const float *)field);
        (void)snprintf(out, cap, "%s", number);
        return 1;
    case OPT_SEED:
        if (seed->given)
            (void)snprintf(out, cap, "%llu", (unsigned long long)seed->value);
        return seed->given;
    case OPT_STR:
    case OPT_MAYBE:
        s = *(const char *const *)field;
        if (s)
            (void)snprintf(out, cap, "%s", s);
        return s != NULL;
    case OPT_CHOICE:
        show_choice(row->arg, *(const int *)field, out, cap);
        return 1;
    default:
        return 0;
    }
}

void opt_defaults(const struct opt_spec *spec, void *into)
{
    for (int i = 0; i < spec->n; i++) {
        struct err e = {0};

        if (spec->rows[i].def &&
            opt_set(&spec->rows[i], spec->rows[i].name, spec->rows[i].def, into, &e) < 0)
            assert(!"the default of an option is not valid");
    }
}

const struct opt_row *opt_param(const struct opt_spec *spec, const char *param)
{
    for (int i = 0; i < spec->n; i++) {
        if (spec->rows[i].param && strcmp(spec->rows[i].param, param) == 0)
            return &spec->rows[i];
    }
    return NULL;
}

/* -- the whole line ------------------------------------------------------------------ */

static int unknown(const struct opt_spec *spec, const char *arg, size_t n, struct err *e)
{
    char name[WORD_MAX + 1] = "";
    size_t dash = arg[1] == '-' ? 2 : 1; /* "-temp" is a slip for "--temp" */
    const char *near;

    if (n - dash <= WORD_MAX)
        memcpy(name, arg + dash, n - dash);
    near = name[0] ? opt_nearest(name, row_name, spec) : NULL;
    if (near)
        return err_set(e, E_INVALID, "unknown option '%.*s'; did you mean --%s?", (int)n, arg,
                       near);
    return err_set(e, E_INVALID, "unknown option '%.*s'; --help lists what there is", (int)n,
                   arg);
}

/* The row that argv[i] names. *value is what is joined to the name ("--n=5", "-n5") or NULL,
 * what[] its name for errors. */
static const struct opt_row *row_of(const struct opt_spec *spec, const char *arg,
                                    const char **value, char *what, size_t cap)
{
    size_t n = strcspn(arg, "=");
    int is_long = arg[1] == '-';

    *value = NULL;
    for (int i = 0; i < spec->n; i++) {
        const struct opt_row *row = &spec->rows[i];

        if (is_long && strlen(row->name) == n - 2 && memcmp(row->name, arg + 2, n - 2) == 0) {
            *value = arg[n] == '=' ? arg + n + 1 : NULL;
            (void)snprintf(what, cap, "--%s", row->name);
            return row;
        }
        if (!is_long && row->letter == arg[1] && (row->type != OPT_FLAG || !arg[2])) {
            *value = arg[2] == '=' ? arg + 3 : arg[2] ? arg + 2 : NULL;
            (void)snprintf(what, cap, "-%c", row->letter);
            return row;
        }
    }
    return NULL;
}

/* What may have a value gets it after '='. A directory where a word is looks like one that
 * was meant to be it. */
static int is_directory(const char *word)
{
    struct stat st;

    return stat(word, &st) == 0 && S_ISDIR(st.st_mode);
}

int opt_parse(const struct opt_spec *spec, int argc, char **argv, void *into, struct err *e)
{
    int n_word = 0, i = 0, rc;

    for (; i < argc; i++) {
        const char *arg = argv[i], *value;
        const struct opt_row *row;
        char what[WORD_MAX + 4];

        if (arg[0] != '-' || !arg[1]) {
            argv[n_word++] = argv[i];
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            return OPT_HELP;
        row = row_of(spec, arg, &value, what, sizeof(what));
        if (!row)
            return unknown(spec, arg, strcspn(arg, "="), e);
        if (row->type == OPT_FLAG && value)
            return err_set(e, E_INVALID, "%s takes no value", what);
        if (row->type == OPT_MAYBE && !value) {
            if (i + 1 < argc && is_directory(argv[i + 1]))
                return err_set(e, E_INVALID,
                               "%s: did you mean %s=%s? Words that are no value go after --",
                               what, what, argv[i + 1]);
            value = "";
        } else if (row->type != OPT_FLAG && !value) {
            if (++i == argc)
                return err_set(e, E_INVALID, "%s needs a value (%s)", what, row->arg);
            value = argv[i];
        }
        rc = opt_set(row, what, value, into, e);
        if (rc < 0)
            return rc;
    }
    for (; i < argc; i++)
        argv[n_word++] = argv[i];
    return n_word;
}

void opt_help(const struct opt_spec *spec, FILE *f)
{
    (void)fprintf(f, "Usage: %s\n\n%s\n\nOptions:\n", spec->usage, spec->about);
    for (int i = 0; i < spec->n; i++) {
        const struct opt_row *row = &spec->rows[i];
        char left[64], letter[5] = "    ";

        if (row->letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
        if (row->type == OPT_FLAG)
            (void)snprintf(left, sizeof(left), "%s--%s", letter, row->name);
        else if (row->type == OPT_MAYBE)
            (void)snprintf(left, sizeof(left), "%s--%s[=%s]", letter, row->name, row->arg);
        else
            (void)snprintf(left, sizeof(left), "%s--%s %s", letter, row->name, row->arg);
        (void)fprintf(f, "  %-30s %s", left, row->help);
        if (row->def && row->def[0])
            (void)fprintf(f, " (default %s)", row->def);
        (void)fputc('\n', f);
    }
    (void)fprintf(f, "  %-30s %s\n", "-h, --help", "show this text");
}
