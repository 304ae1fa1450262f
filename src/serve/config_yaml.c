/* hearth.yaml, read from libyaml's events, so that each error has its place.
 *
 * The file is a mapping of sections, each a mapping of settings; "model" is a mapping of names,
 * each a mapping of its own settings. Of YAML that is all there is: anchors, aliases, tags and
 * a second document are refused, a key twice is an error, and yes, no, on, 0777 and 1e3 are not
 * what they may be elsewhere. */
#include "serve/config_priv.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { KEY_MAX = 256, SEEN_MAX = 4096 };

struct reader {
    struct config_owned *c;
    yaml_parser_t y;
    const char *path;
    struct err *e;
    char *seen[SEEN_MAX]; /* full names */
    int n_seen;
    int depth;   /* mappings and lists around what comes next */
    int pending; /* 1: next comes the value of the key that came last */
    int broken;  /* 1: it is no YAML from here on */
};

/* -- errors -------------------------------------------------------------------------------- */

static int at(struct reader *r, const yaml_mark_t *m, int rc)
{
    return err_wrap(r->e, rc, "%s:%zu:%zu", r->path, m->line + 1, m->column + 1);
}

static int syntax(struct reader *r)
{
    const yaml_parser_t *y = &r->y;
    const yaml_mark_t *m = &y->problem_mark;

    r->broken = 1;
    if (y->error == YAML_MEMORY_ERROR)
        return err_set(r->e, E_NOMEM, "no memory for the configuration");
    (void)err_set(r->e, E_INVALID, "%s%s%s", y->problem ? y->problem : "no YAML",
                  y->context ? " " : "", y->context ? y->context : "");
    if (y->error == YAML_READER_ERROR)
        return err_wrap(r->e, E_INVALID, "%s: byte %zu", r->path, y->problem_offset);
    return at(r, m, E_INVALID);
}

static int no_extras(struct reader *r, const yaml_event_t *ev, const yaml_char_t *anchor,
                     const yaml_char_t *tag)
{
    if (anchor)
        return err_set(r->e, E_INVALID, "anchors (&%.40s) are not used here", anchor),
               at(r, &ev->start_mark, E_INVALID);
    if (tag)
        return err_set(r->e, E_INVALID, "tags (%.40s) are not used here", tag),
               at(r, &ev->start_mark, E_INVALID);
    return 0;
}

/* The next event, without what is refused everywhere. */
static int next(struct reader *r, yaml_event_t *ev)
{
    int rc = 0;

    if (!yaml_parser_parse(&r->y, ev))
        return syntax(r);
    r->pending = 0;
    r->depth += (ev->type == YAML_MAPPING_START_EVENT) +
                (ev->type == YAML_SEQUENCE_START_EVENT) - (ev->type == YAML_MAPPING_END_EVENT) -
                (ev->type == YAML_SEQUENCE_END_EVENT);
    switch (ev->type) {
    case YAML_ALIAS_EVENT:
        (void)err_set(r->e, E_INVALID, "aliases (*%.40s) are not used here",
                      ev->data.alias.anchor);
        rc = at(r, &ev->start_mark, E_INVALID);
        break;
    case YAML_SCALAR_EVENT:
        rc = no_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
        if (rc == 0 && memchr(ev->data.scalar.value, '\0', ev->data.scalar.length)) {
            (void)err_set(r->e, E_INVALID, "there is a NUL");
            rc = at(r, &ev->start_mark, E_INVALID);
        }
        break;
    case YAML_SEQUENCE_START_EVENT:
        rc = no_extras(r, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
        break;
    case YAML_MAPPING_START_EVENT:
        rc = no_extras(r, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
        break;
    default:
        break;
    }
    if (rc < 0)
        yaml_event_delete(ev);
    return rc;
}

/* -- more than one mistake ----------------------------------------------------------------- */

/* Leaves what is deeper than depth. */
static int leave(struct reader *r, int depth)
{
    yaml_event_t ev;
    int rc = 0;

    while (r->depth > depth && !r->broken) {
        rc = next(r, &ev); /* what is wrong in there does not matter */
        if (rc == 0)
            yaml_event_delete(&ev);
    }
    return r->broken ? E_INVALID : 0;
}

/* After a mistake at a key of the mapping at that depth, or in its value: goes on behind it
 * where all mistakes are wanted. */
static int go_on(struct reader *r, int depth, int rc)
{
    yaml_event_t ev;
    int pending = r->pending;

    if (rc >= 0 || r->broken)
        return rc;
    rc = config_fault(r->c, rc, r->e);
    if (rc == 0)
        rc = leave(r, depth);
    if (rc < 0 || !pending)
        return rc;
    if (next(r, &ev) == 0)
        yaml_event_delete(&ev);
    return leave(r, depth);
}

/* -- names --------------------------------------------------------------------------------- */

static int once(struct reader *r, const char *name, const yaml_mark_t *m)
{
    for (int i = 0; i < r->n_seen; i++) {
        if (strcmp(r->seen[i], name) == 0)
            return err_set(r->e, E_INVALID, "'%s' is set twice", name), at(r, m, E_INVALID);
    }
    if (r->n_seen == SEEN_MAX)
        return err_set(r->e, E_INVALID, "more than %d settings", SEEN_MAX), at(r, m, E_INVALID);
    r->seen[r->n_seen] = arena_strdup(&r->c->mem, str_of(name));
    if (!r->seen[r->n_seen++])
        return r->n_seen--, err_set(r->e, E_NOMEM, "no memory for the configuration");
    return 0;
}

static int unknown(struct reader *r, const struct config_row *rows, int n, const char *name,
                   const yaml_mark_t *m)
{
    const char *near = config_nearest(rows, n, name);

    if (near)
        (void)err_set(r->e, E_INVALID, "there is no setting '%s'; did you mean '%s'?", name,
                      near);
    else
        (void)err_set(r->e, E_INVALID,
                      "there is no setting '%s'; 'hearth config example' lists all", name);
    return at(r, m, E_INVALID);
}

/* Settings have names like "listen.host": is this the part before a point? */
static int is_section(const char *name)
{
    size_t n = strlen(name);

    for (int i = 0; i < config_n_row; i++) {
        if (strncmp(config_rows[i].name, name, n) == 0 && config_rows[i].name[n] == '.')
            return 1;
    }
    return 0;
}

/* -- values -------------------------------------------------------------------------------- */

static int is_null(const yaml_event_t *ev)
{
    const char *v = (const char *)ev->data.scalar.value;

    return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*v || strcmp(v, "~") == 0 || strcmp(v, "null") == 0);
}

static int value_failed(struct reader *r, const char *name, const yaml_mark_t *m)
{
    return err_wrap(r->e, r->e->code, "%s:%zu:%zu: %s", r->path, m->line + 1, m->column + 1,
                    name);
}

/* The text of a scalar, variables put in. NULL: it failed. */
static const char *scalar(struct reader *r, const yaml_event_t *ev, const char *name)
{
    const char *text = config_expand(&r->c->mem, (const char *)ev->data.scalar.value, r->e);

    if (!text)
        (void)value_failed(r, name, &ev->start_mark);
    return text;
}

static int read_list(struct reader *r, const struct config_row *row, void *into,
                     const char *name)
{
    yaml_event_t ev;
    int rc = 0;

    config_clear(row, into);
    while (rc == 0) {
        const char *text;

        rc = next(r, &ev);
        if (rc < 0)
            return rc;
        if (ev.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&ev);
            return 0;
        }
        if (ev.type != YAML_SCALAR_EVENT) {
            (void)err_set(r->e, E_INVALID, "is a list of texts");
            rc = value_failed(r, name, &ev.start_mark);
        } else if (!(text = scalar(r, &ev, name))) {
            rc = r->e->code;
        } else if ((rc = config_add(&r->c->mem, row, into, text, r->e)) < 0) {
            rc = value_failed(r, name, &ev.start_mark);
        }
        yaml_event_delete(&ev);
    }
    return rc;
}

static int read_value(struct reader *r, const struct config_row *row, void *into,
                      const char *name)
{
    int is_list = row->type == CONFIG_LIST || row->type == CONFIG_PATHS;
    yaml_event_t ev;
    const char *text;
    int rc = next(r, &ev);

    if (rc < 0)
        return rc;
    if (ev.type == YAML_SEQUENCE_START_EVENT && is_list) {
        yaml_event_delete(&ev);
        return read_list(r, row, into, name);
    }
    if (ev.type != YAML_SCALAR_EVENT) {
        (void)err_set(r->e, E_INVALID, is_list ? "is a list of texts" : "is one value");
        rc = value_failed(r, name, &ev.start_mark);
    } else if (!is_null(&ev)) {
        text = scalar(r, &ev, name);
        rc = text ? config_set(&r->c->mem, row, into, text, r->e) : r->e->code;
        if (text && rc < 0)
            rc = value_failed(r, name, &ev.start_mark);
    }
    yaml_event_delete(&ev);
    return rc;
}

/* -- mappings ------------------------------------------------------------------------------ */

/* The next key as "prefix.key" in full: 1; 0 the mapping ends. */
static int next_key(struct reader *r, const char *prefix, char full[KEY_MAX], yaml_mark_t *m)
{
    yaml_event_t ev;
    int rc = next(r, &ev);

    if (rc < 0)
        return rc;
    *m = ev.start_mark;
    r->pending = ev.type != YAML_MAPPING_END_EVENT;
    if (ev.type == YAML_MAPPING_END_EVENT) {
        rc = 0;
    } else if (ev.type != YAML_SCALAR_EVENT || ev.data.scalar.length == 0 ||
               snprintf(full, KEY_MAX, "%s%s", prefix, (char *)ev.data.scalar.value) >=
                   KEY_MAX) {
        (void)err_set(r->e, E_INVALID, "this is no name of a setting");
        rc = at(r, m, E_INVALID);
    } else {
        rc = once(r, full, m);
        rc = rc < 0 ? rc : 1;
    }
    yaml_event_delete(&ev);
    return rc;
}

static int begin_mapping(struct reader *r, const char *name, int *empty)
{
    yaml_event_t ev;
    int rc = next(r, &ev);

    *empty = 0;
    if (rc < 0)
        return rc;
    if (ev.type == YAML_SCALAR_EVENT && is_null(&ev)) {
        *empty = 1;
    } else if (ev.type != YAML_MAPPING_START_EVENT) {
        (void)err_set(r->e, E_INVALID, "'%s' has settings below it, each on a line", name);
        rc = at(r, &ev.start_mark, E_INVALID);
    }
    yaml_event_delete(&ev);
    return rc;
}

static int read_settings(struct reader *r, const struct config_row *rows, int n, void *into,
                         const char *prefix, int strip)
{
    char full[KEY_MAX];
    yaml_mark_t m;
    int rc, depth = r->depth;

    do {
        rc = next_key(r, prefix, full, &m);
        if (rc == 0)
            return 0;
        if (rc > 0) {
            const char *name = full + (strip ? strlen(prefix) : 0);
            const struct config_row *row = config_find(rows, n, name);

            rc = row ? read_value(r, row, into, full) : unknown(r, rows, n, name, &m);
        }
        rc = go_on(r, depth, rc);
    } while (rc == 0);
    return rc;
}

/* The settings of the model "model.NAME". */
static int read_model(struct reader *r, const char *full, const yaml_mark_t *m)
{
    struct config_model *cm = config_model_get(r->c, full + 6);
    char prefix[KEY_MAX];
    int rc, none;

    if (!cm && r->c->config.n_model < CONFIG_MODELS_MAX)
        return err_set(r->e, E_NOMEM, "no memory for the configuration");
    if (!cm)
        return err_set(r->e, E_INVALID, "more than %d models", CONFIG_MODELS_MAX),
               at(r, m, E_INVALID);
    if (snprintf(prefix, sizeof(prefix), "%s.", full) >= (int)sizeof(prefix))
        return err_set(r->e, E_INVALID, "the name is too long"), at(r, m, E_INVALID);
    rc = begin_mapping(r, full, &none);
    if (rc == 0 && !none)
        rc = read_settings(r, config_model_rows, config_n_model_row, cm, prefix, 1);
    return rc;
}

static int read_models(struct reader *r)
{
    char full[KEY_MAX];
    yaml_mark_t m;
    int rc, empty, depth;

    rc = begin_mapping(r, "model", &empty);
    depth = r->depth;
    while (rc == 0 && !empty) {
        rc = next_key(r, "model.", full, &m);
        if (rc == 0)
            return 0;
        if (rc > 0)
            rc = read_model(r, full, &m);
        rc = go_on(r, depth, rc);
    }
    return rc;
}

static int read_section(struct reader *r, const char *name, const yaml_mark_t *m)
{
    char prefix[KEY_MAX + 1];
    int rc, empty;

    if (strcmp(name, "model") == 0)
        return read_models(r);
    if (!is_section(name))
        return unknown(r, config_rows, config_n_row, name, m);
    (void)snprintf(prefix, sizeof(prefix), "%s.", name);
    rc = begin_mapping(r, name, &empty);
    if (rc == 0 && !empty)
        rc = read_settings(r, config_rows, config_n_row, &r->c->config, prefix, 0);
    return rc;
}

static int read_sections(struct reader *r)
{
    char full[KEY_MAX];
    yaml_mark_t m;
    int rc, depth = r->depth;

    do {
        rc = next_key(r, "", full, &m);
        if (rc == 0)
            return 0;
        if (rc > 0)
            rc = read_section(r, full, &m);
        rc = go_on(r, depth, rc);
    } while (rc == 0);
    return rc;
}

/* -- the document -------------------------------------------------------------------------- */

static int expect(struct reader *r, yaml_event_type_t type, const char *else_what)
{
    yaml_event_t ev;
    int rc = next(r, &ev);

    if (rc < 0)
        return rc;
    if (ev.type != type) {
        (void)err_set(r->e, E_INVALID, "%s", else_what);
        rc = at(r, &ev.start_mark, E_INVALID);
    }
    yaml_event_delete(&ev);
    return rc;
}

static int read_document(struct reader *r)
{
    yaml_event_t ev;
    int rc = expect(r, YAML_STREAM_START_EVENT, "no YAML"), is_empty;

    if (rc == 0)
        rc = next(r, &ev);
    if (rc < 0)
        return rc;
    is_empty = ev.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&ev);
    if (is_empty)
        return 0;
    rc = begin_mapping(r, "the file", &is_empty);
    if (rc == 0 && !is_empty)
        rc = read_sections(r);
    if (rc == 0)
        rc = expect(r, YAML_DOCUMENT_END_EVENT, "this does not belong here");
    if (rc == 0)
        rc = expect(r, YAML_STREAM_END_EVENT, "there is a second document");
    return rc;
}

int config_yaml(struct config_owned *c, const char *path, struct str text, struct err *e)
{
    struct reader *r = mem_calloc(1, sizeof(*r));
    struct err own = {0};
    int rc;

    if (!r || !yaml_parser_initialize(&r->y)) {
        mem_free(r);
        return err_set(e, E_NOMEM, "no memory for the configuration");
    }
    r->c = c;
    r->path = path;
    r->e = e ? e : &own;
    yaml_parser_set_encoding(&r->y, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->y, (const unsigned char *)(text.n ? text.p : ""), text.n);
    rc = read_document(r);
    yaml_parser_delete(&r->y);
    mem_free(r);
    return rc;
}
