#include "text/tmpl/go_value.h"

#include "text/tmpl/go_tree.h"

static const char go_head[] = "go";

int go_obj(struct value_room *r, const struct go_type *type, struct value in, struct value *out)
{
    struct go_obj *o = value_alloc(r, sizeof(*o));
    int rc = 0;

    if (!o)
        return go_code(r->e);
    *o = (struct go_obj){.head.type = go_head, .type = type, .in = in};
    if (in.kind == VALUE_UNDEF) {
        o->is_nil = 1;
        rc = type->form == GO_FORM_MAP ? value_dict(r, VALUE_DICT, &o->in)
                                       : value_list(r, VALUE_LIST, 0, &o->in);
    }
    *out = value_of_obj(&o->head);
    return rc;
}

const struct go_obj *go_obj_of(struct value v)
{
    if (v.kind != VALUE_OBJ || v.o->type != go_head)
        return NULL;
    return (const struct go_obj *)v.o;
}

const struct value_list *go_list_of(struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    if (o)
        return o->type->form == GO_FORM_LIST ? o->in.l : NULL;
    return v.kind == VALUE_LIST ? v.l : NULL;
}

struct value go_dict_of(struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    if (o)
        return o->type->form == GO_FORM_MAP ? o->in : value_undef();
    return v.kind == VALUE_DICT ? v : value_undef();
}

const char *go_type_name(struct value v)
{
    switch (v.kind) {
    case VALUE_UNDEF:
        return "nil";
    case VALUE_NONE:
        return "interface {}";
    case VALUE_BOOL:
        return "bool";
    case VALUE_INT:
        return "int";
    case VALUE_FLOAT:
        return "float64";
    case VALUE_STR:
        return "string";
    case VALUE_LIST:
        return "[]interface {}";
    case VALUE_DICT:
        return "map[string]interface {}";
    default:
        return go_obj_of(v)->type->name;
    }
}

int go_truth(struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    if (!o)
        return value_true(v);
    return o->type->form == GO_FORM_STRUCT || value_true(o->in);
}

int go_keys(struct value_room *r, struct value dict, struct value *out)
{
    const struct value_entry *entry;
    int rc = value_list(r, VALUE_LIST, dict.d->live, out);

    for (size_t i = 0; rc == 0 && (entry = value_next(dict, &i));)
        rc = value_append(r, *out, entry->key);
    return rc < 0 ? rc : value_sort(r, out->l->v, NULL, out->l->n, 0);
}

static int no_field(struct value_room *r, struct value v, struct str name)
{
    return value_fail(r, E_INVALID, "can't evaluate field %.*s in type %s",
                      (int)(name.n < 64 ? name.n : 64), name.p, go_type_name(v));
}

/* What a struct holds before anything is put in: nothing, of each field's kind. */
static int zero_struct(struct value_room *r, const struct go_type *type, struct value *out)
{
    struct value in, none = value_none();
    int rc = value_list(r, VALUE_LIST, (size_t)type->n_field, &in);

    for (int i = 0; i < type->n_field && rc == 0; i++)
        rc = value_append(r, in, none);
    return rc < 0 ? rc : go_obj(r, type, in, out);
}

int go_field_of(struct value_room *r, struct value v, struct str name, struct value *out)
{
    const struct go_obj *o = go_obj_of(v);
    struct value dict = go_dict_of(v);
    const struct value_entry *entry;

    *out = value_undef();
    if (v.kind == VALUE_UNDEF)
        return 0;
    if (v.kind == VALUE_NONE)
        return value_fail(r, E_INVALID, "nil pointer evaluating interface {}.%.*s",
                          (int)(name.n < 64 ? name.n : 64), name.p);
    if (dict.kind == VALUE_DICT) {
        entry = value_find_str(dict, name);
        *out = entry ? entry->val : value_none();
        return !entry && o && o->type->item ? zero_struct(r, o->type->item, out) : 0;
    }
    if (o && o->type->form == GO_FORM_STRUCT) {
        for (int i = 0; i < o->type->n_field; i++)
            if (str_is(name, o->type->field[i].name)) {
                *out = o->in.l->v[i];
                return 0;
            }
    }
    return no_field(r, v, name);
}

/* As deep as the reader of JSON went, which has a limit. */
void go_of_json(struct value *v)
{
    struct value_entry *entry;

    if (v->kind == VALUE_INT) {
        *v = value_float((double)v->i);
    } else if (v->kind == VALUE_LIST) {
        for (size_t i = 0; i < v->l->n; i++)
            go_of_json(&v->l->v[i]);
    } else if (v->kind == VALUE_DICT) {
        for (size_t i = 0; (entry = value_next(*v, &i));)
            go_of_json(&entry->val);
    }
}

/* -- JSON ----------------------------------------------------------------------------- */

static const struct value_json plain = {.go = 1}; /* of what is neither list nor map */

static int is_empty(struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    if (o && o->type->form == GO_FORM_MAP)
        return o->is_nil;
    return !go_truth(v);
}

static void put_struct(struct value_build *b, const struct go_obj *o)
{
    const char *comma = "";

    value_put_c(b, "{");
    for (int i = 0; i < o->type->n_field && b->rc == 0; i++) {
        const struct go_field *f = &o->type->field[i];
        struct value v = o->in.l->v[i];

        if (f->omit && is_empty(v))
            continue;
        value_put_c(b, comma);
        value_put_c(b, "\"");
        value_put_c(b, f->json);
        value_put_c(b, "\":");
        go_put_json(b, v);
        comma = ",";
    }
    value_put_c(b, "}");
}

static void put_list(struct value_build *b, const struct value_list *l)
{
    value_put_c(b, "[");
    for (size_t i = 0; i < l->n && b->rc == 0; i++) {
        if (i)
            value_put_c(b, ",");
        go_put_json(b, l->v[i]);
    }
    value_put_c(b, "]");
}

static void put_map(struct value_build *b, struct value dict, int ordered)
{
    const struct value_entry *entry;
    struct value keys = value_undef();
    size_t n = 0;

    if (!ordered)
        b->rc = go_keys(b->r, dict, &keys);
    value_put_c(b, "{");
    for (size_t i = 0; b->rc == 0; n++) {
        entry = ordered         ? value_next(dict, &i)
                : n < keys.l->n ? value_find(dict, keys.l->v[n])
                                : NULL;
        if (!entry)
            break;
        if (n)
            value_put_c(b, ",");
        value_put_json(b, entry->key, &plain);
        value_put_c(b, ":");
        go_put_json(b, entry->val);
    }
    value_put_c(b, "}");
}

void go_put_json(struct value_build *b, struct value v)
{
    const struct go_obj *o = go_obj_of(v);

    if (b->rc == 0)
        b->rc = value_pay(b->r, 1);
    if (b->rc == 0)
        b->rc = value_enter(b->r);
    if (b->rc < 0)
        return;
    if (go_is_nil(v) || (o && o->is_nil && o->type->form != GO_FORM_STRUCT))
        value_put_c(b, "null");
    else if (o && o->type->form == GO_FORM_STRUCT)
        put_struct(b, o);
    else if (o && o->type->as_one && o->in.l->n == 1)
        go_put_json(b, o->in.l->v[0]);
    else if (go_list_of(v))
        put_list(b, go_list_of(v));
    else if (go_dict_of(v).kind == VALUE_DICT)
        put_map(b, go_dict_of(v), o && o->type->ordered);
    else
        value_put_json(b, v, &plain);
    value_leave(b->r);
}
