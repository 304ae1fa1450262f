/* Arguments under a tool's schema: as JSON, or one by one as the format writes them. */
#include "text/reply/grammar_priv.h"

#include "base/mem.h"

#include <math.h>

static const struct schema_options writing = {.writing = 1};

struct param {
    struct str name;
    json_t *schema; /* owned */
    int required;
};

/* -- one value --------------------------------------------------------------------------- */

/* Keywords that say nothing about a string, or that raw_rx knows. */
static int known(const char *keyword)
{
    static const char *const words[] = {
        "type",     "enum",        "const",   "pattern",     "minLength", "maxLength",
        "title",    "description", "default", "examples",    "$comment",  "deprecated",
        "readOnly", "writeOnly",   "$defs",   "definitions", "nullable",  "x-order"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(keyword, words[i]))
            return 1;
    }
    return 0;
}

/* A bound of a string's length, when the schema has it. */
static int length(const json_t *schema, const char *key, uint32_t *out, struct err *e)
{
    const json_t *v = json_object_get(schema, key);
    double n = json_is_number(v) ? json_number_value(v) : -1;

    if (!v)
        return 0;
    if (n < 0 || n != floor(n))
        return err_set(e, E_INVALID, "%s: must be a whole number, 0 or more", key);
    if (n >= RX_INF)
        return err_set(e, E_TOO_LONG, "%s: is too large", key);
    *out = (uint32_t)n;
    return 0;
}

static int rx_of_length(struct rx *rx, const json_t *schema, rx_id *out, struct err *e)
{
    uint32_t min = 0, max = RX_INF;
    int rc = length(schema, "minLength", &min, e);

    if (rc == 0)
        rc = length(schema, "maxLength", &max, e);
    if (rc == 0 && min > max)
        rc = err_set(e, E_INVALID, "minLength: is more than \"maxLength\"");
    if (rc == 0)
        *out = rx_repeat(rx, rx_any(rx), min, max);
    return rc;
}

static rx_id text_rx(struct rx *rx, const json_t *s)
{
    return json_is_string(s)
               ? rx_text(rx, (struct str){json_string_value(s), json_string_length(s)})
               : RX_NONE;
}

/* The strings of a schema as they are, none of which has `end` in it. */
static int raw_rx(struct rx *rx, json_t *schema, const char *end, rx_id *out, struct err *e)
{
    const json_t *list = json_object_get(schema, "enum"), *v;
    rx_id any = rx_repeat(rx, rx_any(rx), 0, RX_INF), all = any, one;
    const char *key;
    size_t i;
    int rc;

    json_object_foreach(schema, key, v)
    {
        if (!known(key))
            return err_set(e, E_UNSUPPORTED, "%s of a string that is not written as JSON", key);
    }
    if (list) {
        one = RX_NONE;
        json_array_foreach(list, i, v) one = rx_alt(rx, one, text_rx(rx, v));
        all = one;
    }
    if ((v = json_object_get(schema, "const")))
        all = rx_and(rx, all, text_rx(rx, v));
    rc = rx_of_length(rx, schema, &one, e);
    if (rc < 0)
        return rc;
    all = rx_and(rx, all, one);
    v = json_object_get(schema, "pattern");
    if (v && !json_is_string(v))
        return err_set(e, E_INVALID, "pattern: must be a string");
    if (v) {
        rc = rx_parse(rx, (struct str){json_string_value(v), json_string_length(v)}, RX_SEARCH,
                      &one, e);
        if (rc < 0)
            return err_wrap(e, rc, "pattern");
        all = rx_and(rx, all, one);
    }
    one = rx_seq(rx, any, rx_seq(rx, rx_text(rx, str_of(end)), any));
    *out = rx_and(rx, all, rx_not(rx, one));
    return 0;
}

static int is_raw(const struct reply_writing *w, const json_t *schema)
{
    return w->args != REPLY_CALLED && reply_schema_types(schema) == REPLY_T_STRING;
}

/* The marker that ends a value: what the format reads up to. */
static const char *end_of_value(const struct reply_format *f)
{
    if (f->mark)
        return f->mark;
    for (int i = 0; i < f->n_steps; i++) {
        const struct reply_step *s = &f->steps[i];

        if (s->act == REPLY_VALUE || s->act == REPLY_LINE || s->act == REPLY_STRING)
            return s->until;
    }
    return "";
}

static int value(struct gram *g, const struct reply_format *f, const struct reply_writing *w,
                 const struct param *p, gram_ref *out, struct err *e)
{
    gram_ref part[3];
    rx_id raw = RX_NONE;
    int rc;

    if (!is_raw(w, p->schema))
        return schema_add(g, p->schema, &writing, out, e);
    rc = raw_rx(gram_rx(g), p->schema, end_of_value(f), &raw, e);
    if (rc < 0)
        return rc;
    part[0] = reply_grammar_text(g, w->args == REPLY_BRACES ? f->mark : NULL);
    part[2] = reply_grammar_text(g, w->args == REPLY_BRACES ? f->mark : w->string_end);
    part[1] = gram_text(g, raw);
    *out = gram_seq(g, part, 3);
    return 0;
}

/* -- one argument ------------------------------------------------------------------------ */

static int name_fits(const struct reply_writing *w, struct str name)
{
    int comma = w->args == REPLY_CALLED || w->args == REPLY_BRACES;

    if (!name.n || name.n > REPLY_NAME_MAX / 2)
        return 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (comma ? !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                      (i && c >= '0' && c <= '9'))
                  : !c || strchr("<>\"\n\t ", c))
            return 0;
    }
    return 1;
}

static int argument(struct gram *g, const struct reply_format *f, const struct reply_writing *w,
                    const struct param *p, gram_ref *out, struct err *e)
{
    int called = w->args == REPLY_CALLED, braces = w->args == REPLY_BRACES;
    const char *behind = called ? "=" : braces ? ":" : w->after_key;
    gram_ref part[5];
    int rc;

    if (w->after_string && is_raw(w, p->schema))
        behind = w->after_string;
    rc = name_fits(w, p->name) ? value(g, f, w, p, &part[3], e)
                               : err_set(e, E_UNSUPPORTED, "such a name cannot be written");
    if (rc < 0)
        return err_wrap(e, rc, "parameter '%.*s'", (int)p->name.n, p->name.p);
    part[0] = reply_grammar_text(g, w->before_key);
    part[1] = gram_bytes(g, p->name);
    part[2] = reply_grammar_text(g, behind);
    part[4] = reply_grammar_text(g, w->after_value);
    *out = gram_seq(g, part, 5);
    return 0;
}

/* -- all of them ------------------------------------------------------------------------- */

static int object_fits(json_t *schema, struct err *e)
{
    static const char *const words[] = {
        "type",        "properties", "required",    "title",
        "description", "$defs",      "definitions", "additionalProperties",
        "$schema",     "default",    "examples",    "$comment",
        "strict",      "$id"};
    const json_t *v;
    const char *key;

    json_object_foreach(schema, key, v)
    {
        size_t i = 0;

        while (i < sizeof(words) / sizeof(words[0]) && strcmp(key, words[i]) != 0)
            i++;
        if (i == sizeof(words) / sizeof(words[0]))
            return err_set(e, E_UNSUPPORTED,
                           "parameters: %s, where arguments are not written as JSON", key);
    }
    v = json_object_get(schema, "properties");
    if (v && !json_is_object(v))
        return err_set(e, E_INVALID, "parameters: properties: must be an object");
    v = json_object_get(schema, "required");
    if (v && !json_is_array(v))
        return err_set(e, E_INVALID, "parameters: required: must be a list of names");
    return 0;
}

static int is_required(const json_t *schema, const char *name)
{
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, v)
    {
        if (json_is_string(v) && !strcmp(json_string_value(v), name))
            return 1;
    }
    return 0;
}

/* A parameter's schema with the definitions of the whole, for references into them. */
static json_t *with_definitions(const json_t *whole, const json_t *schema)
{
    static const char *const keys[] = {"$defs", "definitions"};
    json_t *copy = json_is_object(schema)  ? json_copy((json_t *)(uintptr_t)schema)
                   : json_is_false(schema) ? json_pack("{s:{}}", "not")
                                           : json_object();

    for (size_t i = 0; copy && i < 2; i++) {
        json_t *defs = json_object_get(whole, keys[i]);

        if (defs && !json_object_get(copy, keys[i]))
            (void)json_object_set(copy, keys[i], defs);
    }
    return copy;
}

static int collect(json_t *schema, struct param **out, size_t *n, struct err *e)
{
    json_t *props = json_object_get(schema, "properties"), *v;
    const json_t *required = json_object_get(schema, "required"), *name;
    size_t most = json_object_size(props) + json_array_size(required), i;
    struct param *p = mem_calloc(most ? most : 1, sizeof(*p));
    const char *key;

    *n = 0;
    if (!p)
        return err_set(e, E_NOMEM, "no memory");
    *out = p;
    json_object_foreach(props, key, v)
    {
        if (!json_is_object(v) && !json_is_boolean(v))
            return err_set(e, E_INVALID, "parameter '%s': no schema", key);
        if (json_is_false(v) && !is_required(schema, key))
            continue;
        p[(*n)++] =
            (struct param){str_of(key), with_definitions(schema, v), is_required(schema, key)};
    }
    json_array_foreach(required, i, name)
    {
        if (json_is_string(name) && !json_object_get(props, json_string_value(name)))
            p[(*n)++] = (struct param){str_of(json_string_value(name)), json_object(), 1};
    }
    return 0;
}

/* Arguments in the order of the schema, with nothing between them. */
static gram_ref in_turn(struct gram *g, const struct param *p, const gram_ref *arg, size_t n)
{
    gram_ref all = GRAM_EMPTY;

    for (size_t i = n; i-- > 0;)
        all = reply_grammar_seq(g, gram_repeat(g, arg[i], p[i].required ? 1 : 0, 1), all);
    return all;
}

/* The same, with commas: what may follow depends on whether one was there. */
static gram_ref with_commas(struct gram *g, const struct reply_writing *w,
                            const struct param *p, const gram_ref *arg, size_t n)
{
    gram_ref comma = reply_grammar_text(g, w->args == REPLY_CALLED ? ", " : ",");
    gram_ref first = GRAM_EMPTY, later = GRAM_EMPTY;

    for (size_t i = n; i-- > 0;) {
        gram_ref here = reply_grammar_seq(g, arg[i], later);
        gram_ref way[2] = {here, first};

        first = p[i].required ? here : gram_alt(g, way, 2);
        way[0] = reply_grammar_seq(g, comma, here);
        way[1] = later;
        later = p[i].required ? way[0] : gram_alt(g, way, 2);
    }
    if (w->args != REPLY_BRACES)
        return first;
    first = reply_grammar_seq(g, gram_bytes(g, str_of("{")), first);
    return reply_grammar_seq(g, first, gram_bytes(g, str_of("}")));
}

static int one_by_one(struct gram *g, const struct reply_format *f,
                      const struct reply_writing *w, json_t *schema, gram_ref *out,
                      struct err *e)
{
    struct param *p = NULL;
    gram_ref *arg = NULL;
    size_t n = 0;
    int rc = object_fits(schema, e);

    if (rc == 0)
        rc = collect(schema, &p, &n, e);
    if (rc == 0 && !(arg = mem_calloc(n ? n : 1, sizeof(*arg))))
        rc = err_set(e, E_NOMEM, "no memory");
    for (size_t i = 0; arg && i < n && rc == 0; i++)
        rc = argument(g, f, w, &p[i], &arg[i], e);
    if (rc == 0)
        *out = w->args == REPLY_CALLED || w->args == REPLY_BRACES ? with_commas(g, w, p, arg, n)
                                                                  : in_turn(g, p, arg, n);
    for (size_t i = 0; i < n; i++)
        json_decref(p[i].schema);
    mem_free(p);
    mem_free(arg);
    return rc;
}

int reply_grammar_args(struct gram *g, const struct reply_format *f,
                       const struct reply_writing *w, const json_t *schema, gram_ref *out,
                       struct err *e)
{
    json_t *object;
    int rc;

    if (w->args != REPLY_ARGS)
        return one_by_one(g, f, w, (json_t *)(uintptr_t)schema, out, e);
    if (!json_is_object(schema))
        return schema_any(g, 1, &writing, out, e);
    /* Arguments are an object, though a schema may not say so. */
    object = json_copy((json_t *)(uintptr_t)schema);
    if (!object)
        return err_set(e, E_NOMEM, "no memory");
    if (!json_object_get(object, "type"))
        (void)json_object_set_new(object, "type", json_string("object"));
    rc = schema_add(g, object, &writing, out, e);
    json_decref(object);
    return rc < 0 ? err_wrap(e, rc, "parameters") : 0;
}
