/* Global functions. */
#include "text/tmpl/jinja.h"

#include <time.h>

/* Dates of a template are short. */
enum { MAX_DATE = 1024 };

static int fn_range(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_range *range;
    int64_t start = 0, stop, step = 1;
    int rc = jinja_need_int(run, c->a[0], "range", &stop);

    if (rc == 0 && !jinja_absent(c->a[1])) {
        start = stop;
        rc = jinja_need_int(run, c->a[1], "range", &stop);
    }
    if (rc == 0 && !jinja_absent(c->a[2]))
        rc = jinja_need_int(run, c->a[2], "range", &step);
    if (rc < 0)
        return rc;
    if (step == 0)
        return value_fail(&run->room, E_INVALID, "range: the step cannot be 0");
    range = value_alloc(&run->room, sizeof(*range));
    if (!range)
        return value_failed(&run->room);
    *range = (struct jinja_range){
        .obj = {.type = jinja_is_range}, .start = start, .stop = stop, .step = step};
    if (step > 0 ? start < stop : start > stop) {
        uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start
                                 : (uint64_t)start - (uint64_t)stop,
                 by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;

        // cppcheck-suppress zerodivcond ; the step is not 0
        range->n = (size_t)((span - 1) / by + 1);
    }
    if (range->n > (size_t)INT64_MAX / 2)
        return value_fail(&run->room, E_TOO_LONG, "range: too many numbers");
    range->obj.is_false = range->n == 0;
    *out = value_of_obj(&range->obj);
    return 0;
}

int jinja_fill_dict(struct jinja_run *run, struct jinja_call *c, struct value dict)
{
    const struct value_entry *e;
    struct value items, pair;
    int rc = 0;

    if (c->n_pos && value_is_dict(c->pos[0])) {
        for (size_t i = 0; rc == 0 && (e = value_next(c->pos[0], &i));)
            rc = value_set(&run->room, dict, e->key, e->val);
    } else if (c->n_pos) {
        rc = jinja_items(run, c->pos[0], &items);
        for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
            rc = jinja_items(run, items.l->v[i], &pair);
            if (rc == 0 && pair.l->n != 2)
                return value_fail(&run->room, E_INVALID, "a dict is made from pairs");
            if (rc == 0)
                rc = value_set(&run->room, dict, pair.l->v[0], pair.l->v[1]);
        }
    }
    for (size_t i = 0; rc == 0 && c->kw.kind == VALUE_DICT && (e = value_next(c->kw, &i));)
        rc = value_set(&run->room, dict, e->key, e->val);
    return rc;
}

static int fn_dict(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = value_dict(&run->room, VALUE_DICT, out);

    return rc < 0 ? rc : jinja_fill_dict(run, c, *out);
}

static int fn_namespace(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = value_dict(&run->room, VALUE_NAMESPACE, out);

    return rc < 0 ? rc : jinja_fill_dict(run, c, *out);
}

static int fn_cycler(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_cycler *y = value_alloc(&run->room, sizeof(*y));
    int rc;

    if (!y)
        return value_failed(&run->room);
    *y = (struct jinja_cycler){.obj = {.type = jinja_is_cycler}};
    if (c->n_pos == 0)
        return value_fail(&run->room, E_INVALID, "cycler needs something to cycle through");
    rc = value_list(&run->room, VALUE_LIST, c->n_pos, &y->items);
    for (size_t i = 0; i < c->n_pos && rc == 0; i++)
        rc = value_append(&run->room, y->items, c->pos[i]);
    *out = value_of_obj(&y->obj);
    return rc;
}

static int fn_joiner(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_joiner *j = value_alloc(&run->room, sizeof(*j));

    if (!j)
        return value_failed(&run->room);
    *j = (struct jinja_joiner){.obj = {.type = jinja_is_joiner}, .sep = c->a[0]};
    *out = value_of_obj(&j->obj);
    return jinja_absent(c->a[0]) ? value_str(&run->room, str_of(", "), 0, &j->sep) : 0;
}

static int fn_raise(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_str(run, c->a[0], out);

    if (rc < 0)
        return rc;
    return value_fail(&run->room, E_INVALID, "the template refuses: %.*s",
                      (int)(out->s->n < 400 ? out->s->n : 400), out->s->p);
}

static int fn_strftime(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    char format[256], text[MAX_DATE];
    int rc = jinja_need_str(run, c->a[0], "strftime_now");
    size_t n;

    if (rc < 0)
        return rc;
    if (!run->now)
        return value_fail(&run->room, E_INVALID, "strftime_now: no time is given");
    if (c->a[0].s->n + 2 > sizeof(format))
        return value_fail(&run->room, E_TOO_LONG, "strftime_now: the format is too long");
    memcpy(format, c->a[0].s->p, c->a[0].s->n);
    format[c->a[0].s->n] = 'x'; /* so that nothing is never the whole answer */
    format[c->a[0].s->n + 1] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    n = strftime(text, sizeof(text), format, run->now);
#pragma GCC diagnostic pop
    if (n == 0)
        return value_fail(&run->room, E_TOO_LONG, "strftime_now: the date is too long");
    text[n - 1] = '\0';
    return jinja_cstr(run, text, out);
}

/* What a template must not do here, with the reason. */
static int fn_lipsum(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    (void)c;
    (void)out;
    return value_fail(&run->room, E_INVALID,
                      "lipsum is refused: a template gives the same text each time");
}

const struct jinja_fn jinja_globals[] = {
    {"range", "start stop step", 1, 0, fn_range},
    {"dict", "", 0, FN_ANY_POS | FN_ANY_KW, fn_dict},
    {"namespace", "", 0, FN_ANY_POS | FN_ANY_KW, fn_namespace},
    {"cycler", "", 0, FN_ANY_POS, fn_cycler},
    {"joiner", "sep", 0, 0, fn_joiner},
    {"raise_exception", "message", 1, 0, fn_raise},
    {"strftime_now", "format", 1, 0, fn_strftime},
    {"lipsum", "", 0, FN_ANY_POS | FN_ANY_KW, fn_lipsum},
    {0},
};
