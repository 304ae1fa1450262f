/* modelfile_param.c - the parameters of models: their names, types and ranges. */
#include "store/modelfile.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum param_type { PARAM_INT, PARAM_FLOAT, PARAM_BOOL, PARAM_STOP, PARAM_GONE };

enum { CTX_MAX = 1 << 30 };

struct param {
    const char *name;
    int type;
    double min, max;
    int above;        /* 1: min itself is not allowed */
    const char *note; /* what a user should hear; NULL: nothing */
};

#define NO_EFFECT "is kept, but changes nothing here"
#define BY_SERVER                                                                              \
    "is kept, but changes nothing here: memory and threads are set where the server is"

/* clang-format off */
static const struct param params[] = {
    {"temperature",       PARAM_FLOAT, 0, 1e30, 0, NULL},
    {"top_k",             PARAM_INT,   0, INT32_MAX, 0, NULL},
    {"top_p",             PARAM_FLOAT, 0, 1, 1, NULL},
    {"min_p",             PARAM_FLOAT, 0, 1, 0, NULL},
    {"typical_p",         PARAM_FLOAT, 0, 1, 1, NULL},
    {"repeat_last_n",     PARAM_INT,   -1, INT32_MAX, 0, NULL},
    {"repeat_penalty",    PARAM_FLOAT, 0, 1e30, 1, NULL},
    {"presence_penalty",  PARAM_FLOAT, -1e30, 1e30, 0, NULL},
    {"frequency_penalty", PARAM_FLOAT, -1e30, 1e30, 0, NULL},
    {"seed",              PARAM_INT,   -9e15, 9e15, 0, NULL},
    {"num_predict",       PARAM_INT,   -2, INT32_MAX, 0, NULL},
    {"num_ctx",           PARAM_INT,   1, CTX_MAX, 0, NULL},
    {"stop",              PARAM_STOP,  0, 0, 0, NULL},
    {"top_n_sigma",       PARAM_FLOAT, -1, 1e30, 0, NULL},
    {"dynatemp_range",    PARAM_FLOAT, 0, 1e30, 0, NULL},
    {"dynatemp_exponent", PARAM_FLOAT, 0, 1e30, 0, NULL},
    {"xtc_probability",   PARAM_FLOAT, 0, 1, 0, NULL},
    {"xtc_threshold",     PARAM_FLOAT, 0, 1, 0, NULL},
    {"dry_multiplier",    PARAM_FLOAT, 0, 1e30, 0, NULL},
    {"dry_base",          PARAM_FLOAT, 1, 1e30, 0, NULL},
    {"dry_allowed_length", PARAM_INT,  0, INT32_MAX, 0, NULL},
    {"dry_last_n",        PARAM_INT,   -1, INT32_MAX, 0, NULL},
    {"draft_num_predict", PARAM_INT,   0, 64, 0, NULL},
    {"num_keep",          PARAM_INT,   -1, INT32_MAX, 0, NO_EFFECT},
    {"num_batch",         PARAM_INT,   0, INT32_MAX, 0, BY_SERVER},
    {"num_gpu",           PARAM_INT,   -1, INT32_MAX, 0, BY_SERVER},
    {"main_gpu",          PARAM_INT,   0, INT32_MAX, 0, BY_SERVER},
    {"num_thread",        PARAM_INT,   0, INT32_MAX, 0, BY_SERVER},
    {"use_mmap",          PARAM_BOOL,  0, 1, 0, BY_SERVER},
    {"penalize_newline",  PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
    {"mirostat",          PARAM_GONE,  0, 0, 0, "is left out: Mirostat is not there any more"},
    {"mirostat_tau",      PARAM_GONE,  0, 0, 0, "is left out: Mirostat is not there any more"},
    {"mirostat_eta",      PARAM_GONE,  0, 0, 0, "is left out: Mirostat is not there any more"},
    {"low_vram",          PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
    {"f16_kv",            PARAM_GONE,  0, 0, 0, "is left out: the server sets the cache's type"},
    {"logits_all",        PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
    {"vocab_only",        PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
    {"use_mlock",         PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
    {"numa",              PARAM_GONE,  0, 0, 0, "is left out: it no longer means anything"},
};
/* clang-format on */

static const struct param *find(struct str name)
{
    for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
        const char *known = params[i].name;

        if (strlen(known) == name.n && strncasecmp(known, name.p, name.n) == 0)
            return &params[i];
    }
    return NULL;
}

/* Names come from outside: what is printed of one. */
static int shown(struct str s)
{
    return s.n < 64 ? (int)s.n : 64;
}

static int in_range(const struct param *p, double v, struct err *e)
{
    if (v >= p->min && v <= p->max && !(p->above && v == p->min))
        return 0;
    return err_set(e, E_INVALID, "%s: %.9g is not %s %.9g and at most %.9g", p->name, v,
                   p->above ? "above" : "at least", p->min, p->max);
}

static int set(json_t *o, const struct param *p, json_t *v, struct err *e)
{
    if (json_object_set_new(o, p->name, v) != 0)
        return err_set(e, E_NOMEM, "%s: no memory for its value", p->name);
    return 0;
}

static int add_stop(json_t *o, const struct param *p, struct str text, struct err *e)
{
    json_t *list = json_object_get(o, p->name), *s;

    if (text.n == 0)
        return err_set(e, E_INVALID, "stop: an empty text would end every answer");
    if (!json_is_array(list)) {
        int rc = set(o, p, json_array(), e);

        if (rc < 0)
            return rc;
        list = json_object_get(o, p->name);
    }
    s = json_stringn(text.p, text.n);
    if (!s)
        return err_set(e, E_INVALID, "stop: the text is not UTF-8");
    return json_array_append_new(list, s) == 0 ? 0 : err_set(e, E_NOMEM, "stop: no memory");
}

/* A decimal number and nothing else: strtod would also read "nan", "0x1p3" and blanks. */
static int number(struct str s, double *out)
{
    char text[64], *end;

    if (s.n == 0 || s.n >= sizeof(text))
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (strspn(text, "+-.0123456789eE") != s.n)
        return 0;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static int boolean(struct str s, int *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "f", "t"};

    for (int i = 0; i < 6; i++) {
        if (strlen(words[i]) == s.n && strncasecmp(words[i], s.p, s.n) == 0) {
            *out = i % 2;
            return 1;
        }
    }
    return 0;
}

static int set_number(json_t *o, const struct param *p, double v, struct err *e)
{
    int rc = in_range(p, v, e);

    if (rc < 0)
        return rc;
    return set(o, p, p->type == PARAM_INT ? json_integer((json_int_t)v) : json_real(v), e);
}

static int set_text(json_t *o, const struct param *p, struct str s, struct err *e)
{
    int flag;
    double v;

    switch (p->type) {
    case PARAM_STOP:
        return add_stop(o, p, s, e);
    case PARAM_BOOL:
        if (!boolean(s, &flag))
            return err_set(e, E_INVALID, "%s: invalid bool value [%.*s]", p->name, shown(s),
                           s.p);
        return set(o, p, json_boolean(flag), e);
    case PARAM_INT:
        if (!number(s, &v) || v != floor(v))
            return err_set(e, E_INVALID, "%s: invalid int value [%.*s]", p->name, shown(s),
                           s.p);
        return set_number(o, p, v, e);
    case PARAM_FLOAT:
        if (!number(s, &v))
            return err_set(e, E_INVALID, "%s: invalid float value [%.*s]", p->name, shown(s),
                           s.p);
        return set_number(o, p, v, e);
    default: /* gone: whatever it was */
        return 0;
    }
}

static int known(struct str name, const struct param **out, const char **note, struct err *e)
{
    const struct param *p = find(name);

    if (!p)
        return err_set(e, E_INVALID, "unknown parameter '%.*s'", shown(name), name.p);
    if (note)
        *note = p->note;
    *out = p;
    return 0;
}

int modelfile_param(json_t *o, struct str name, struct str text, const char **note,
                    struct err *e)
{
    const struct param *p = NULL;
    int rc = known(name, &p, note, e);

    return rc < 0 ? rc : set_text(o, p, text, e);
}

static int set_stops(json_t *o, const struct param *p, const json_t *list, struct err *e)
{
    const json_t *s;
    size_t i;
    int rc = set(o, p, json_array(), e);

    json_array_foreach(list, i, s)
    {
        if (rc == 0 && !json_is_string(s))
            rc = err_set(e, E_INVALID, "stop: item %zu is not a string", i);
        if (rc == 0)
            rc = add_stop(o, p, (struct str){json_string_value(s), json_string_length(s)}, e);
    }
    return rc;
}

int modelfile_param_json(json_t *o, struct str name, const json_t *value, const char **note,
                         struct err *e)
{
    const struct param *p = NULL;
    int rc = known(name, &p, note, e);

    if (rc < 0)
        return rc;
    if (p->type == PARAM_STOP && json_is_array(value))
        return set_stops(o, p, value, e);
    if (p->type == PARAM_BOOL && json_is_boolean(value))
        return set(o, p, json_boolean(json_is_true(value)), e);
    if (json_is_number(value) && (p->type == PARAM_FLOAT || p->type == PARAM_INT)) {
        double v = json_number_value(value);

        if (p->type == PARAM_INT && v != floor(v))
            return err_set(e, E_INVALID, "%s: invalid int value [%g]", p->name, v);
        return set_number(o, p, v, e);
    }
    if (json_is_string(value))
        return set_text(o, p, (struct str){json_string_value(value), json_string_length(value)},
                        e);
    return p->type == PARAM_GONE
               ? 0
               : err_set(e, E_INVALID, "%s: a value of another type was expected", p->name);
}
