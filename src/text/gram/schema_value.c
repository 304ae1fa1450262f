/* schema_value.c - constants: which kind they are, and when two are the same. */
#include "text/gram/schema_part.h"

enum schema_type schema_value_type(const json_t *v)
{
    if (jbig_digits(v).p)
        return TYPE_NUMBER;
    switch (json_typeof(v)) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_FALSE:
        return TYPE_FALSE;
    case JSON_TRUE:
        return TYPE_TRUE;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    default:
        return TYPE_NUMBER;
    }
}

static int same_number(const json_t *a, const json_t *b)
{
    struct decimal x, y;

    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    return decimal_of(&x, a, NULL) == 0 && decimal_of(&y, b, NULL) == 0 &&
           decimal_cmp(&x, &y) == 0;
}

/* As deep as schema_value_check lets values be. */
int schema_value_equal(const json_t *a, const json_t *b)
{
    enum schema_type t = schema_value_type(a);
    const char *key;
    json_t *v;

    if (t != schema_value_type(b))
        return 0;
    if (t == TYPE_NUMBER)
        return same_number(a, b);
    if (t == TYPE_STRING)
        return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
    if (json_array_size(a) != json_array_size(b) || json_object_size(a) != json_object_size(b))
        return 0;
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!schema_value_equal(json_array_get(a, i), json_array_get(b, i)))
            return 0;
    }
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
    {
        const json_t *w = json_object_get(b, key);

        if (!w || !schema_value_equal(v, w))
            return 0;
    }
    return 1;
}

static int too_deep(const json_t *v, int left)
{
    const char *key;
    json_t *sub;

    if (!json_is_array(v) && !json_is_object(v))
        return 0;
    if (left == 0)
        return 1;
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (too_deep(json_array_get(v, i), left - 1))
            return 1;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, sub)
    {
        if (too_deep(sub, left - 1))
            return 1;
    }
    return 0;
}

int schema_value_check(struct schema *s, uint32_t node, const char *kw, const json_t *v)
{
    if (too_deep(v, SCHEMA_DEPTH))
        return schema_fail(s, E_TOO_LONG, node, kw, "a value is more than %d levels deep",
                           SCHEMA_DEPTH);
    return 0;
}

int schema_value_of(struct schema *s, const json_t *v, schema_lit *out)
{
    uint32_t at;
    int rc;

    if (!map64_get(&s->values, (uintptr_t)v, &at)) {
        rc = schema_grow(s, &s->value, s->n_value, &s->cap_value, sizeof(*s->value));
        if (rc < 0)
            return rc;
        at = s->n_value++;
        s->value[at] = v;
        if (map64_put(&s->values, (uintptr_t)v, at) < 0)
            return schema_nomem(s);
    }
    *out = LIT_VALUE(at);
    return 0;
}
