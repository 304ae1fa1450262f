/* schema_own.c - type, enum, const, and the keywords of numbers and strings. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

int schema_decimal(struct schema *s, const json_t *v, struct decimal *out)
{
    int rc = decimal_of(out, v, s->e);

    if (rc < 0)
        return rc;
    if (out->n_int > s->n_int)
        s->n_int = out->n_int;
    if (out->n_frac > s->n_frac)
        s->n_frac = out->n_frac;
    return 0;
}

/* -- constants ------------------------------------------------------------------------- */

static int number_list(struct schema *s, const json_t *const *v, size_t n, struct numset *out)
{
    struct decimal *x = mem_alloc(n * sizeof(*x));
    int rc = x ? 0 : schema_nomem(s);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = schema_decimal(s, v[i], &x[i]);
    if (rc == 0)
        rc = numset_list(&s->numbers, x, n, out, s->e);
    mem_free(x);
    return rc;
}

static int text_list(struct schema *s, const json_t *const *v, size_t n, rx_id *out)
{
    rx_id *part = mem_alloc(n * sizeof(*part));

    if (!part)
        return schema_nomem(s);
    for (size_t i = 0; i < n; i++)
        part[i] = rx_text(s->rx, schema_str(v[i]));
    *out = rx_alts(s->rx, part, n);
    mem_free(part);
    return schema_rx_check(s);
}

/* Values of type t. */
int schema_set_list(struct schema *s, enum schema_type t, const json_t *const *v, size_t n,
                    struct schema_set *out)
{
    out->simple = n > 0;
    out->text = (struct schema_text){RX_NONE, 0, GRAM_INF};
    out->number = s->no_number;
    if (n && t == TYPE_STRING)
        return text_list(s, v, n, &out->text.rx);
    if (n && t == TYPE_NUMBER)
        return number_list(s, v, n, &out->number);
    return 0;
}

/* Of a list, those of type t. */
static int own_list(struct schema *s, const json_t *list, enum schema_type t,
                    struct schema_set *acc)
{
    size_t all = json_array_size(list), n = 0;
    const json_t **v = mem_alloc((all + 1) * sizeof(*v));
    struct schema_set a;
    int rc;

    if (!v)
        return schema_nomem(s);
    for (size_t i = 0; i < all; i++) {
        if (schema_value_type(json_array_get(list, i)) == t)
            v[n++] = json_array_get(list, i);
    }
    rc = schema_set_list(s, t, v, n, &a);
    mem_free(v);
    return rc < 0 ? rc : schema_set_join(s, t, SET_AND, acc, &a, acc);
}

static int own_const(struct schema *s, const json_t *v, enum schema_type t,
                     struct schema_set *acc)
{
    struct schema_set a;
    int rc = schema_set_list(s, t, &v, schema_value_type(v) == t, &a);

    return rc < 0 ? rc : schema_set_join(s, t, SET_AND, acc, &a, acc);
}

/* -- numbers --------------------------------------------------------------------------- */

/* Says where, too. */
static int fail_number(struct schema *s, int rc, uint32_t node, int kw)
{
    struct err why = *s->e;

    return schema_fail(s, rc, node, schema_kw_name(kw), "%s", why.msg);
}

static int own_number(struct schema *s, uint32_t node, struct numset *acc)
{
    static const struct {
        int kw, which;
    } bounds[] = {{KW_minimum, NUMSET_MORE | NUMSET_EQUAL},
                  {KW_exclusive_minimum, NUMSET_MORE},
                  {KW_maximum, NUMSET_LESS | NUMSET_EQUAL},
                  {KW_exclusive_maximum, NUMSET_LESS},
                  {KW_multiple_of, 0}};
    const struct schema_node *n = &s->node[node];
    int rc = 0;

    if (!(n->types & 1U << TYPE_NUMBER))
        *acc = s->integers;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds) && rc == 0; i++) {
        const json_t *v = schema_kw(n, bounds[i].kw);
        struct decimal x;
        struct numset a;

        if (!v)
            continue;
        rc = schema_decimal(s, v, &x);
        if (rc == 0 && bounds[i].which)
            rc = numset_compare(&s->numbers, &x, bounds[i].which, &a, s->e);
        else if (rc == 0 && (x.neg || decimal_is_zero(&x)))
            return schema_fail(s, E_INVALID, node, "multipleOf", "must be more than 0");
        else if (rc == 0)
            rc = numset_multiples(&s->numbers, &x, &a, s->e);
        if (rc == 0)
            rc = acc->next == s->all.next ? (*acc = a, 0)
                                          : numset_and(&s->numbers, acc, &a, acc, s->e);
        if (rc < 0)
            return fail_number(s, rc, node, bounds[i].kw);
    }
    if (rc == 0 && n->have & KW_BIT(KW_format))
        rc = schema_format_number(s, node, acc);
    return rc;
}

/* -- strings --------------------------------------------------------------------------- */

static int own_text(struct schema *s, uint32_t node, struct schema_text *acc)
{
    const struct schema_node *n = &s->node[node];
    const json_t *pattern = schema_kw(n, KW_pattern);
    struct schema_text a = {s->any_text, schema_count(n, KW_min_length, 0),
                            schema_count(n, KW_max_length, GRAM_INF)};
    int rc = 0;

    *acc = a;
    if (pattern) {
        a = (struct schema_text){.max = GRAM_INF};
        rc = schema_pattern(s, node, KW_pattern, schema_str(pattern), &a.rx);
        if (rc == 0)
            rc = schema_text_join(s, SET_AND, acc, &a, acc);
    }
    if (rc == 0 && n->have & KW_BIT(KW_format)) {
        rc = schema_format_text(s, node, &a);
        if (rc == 0)
            rc = schema_text_join(s, SET_AND, acc, &a, acc);
    }
    return rc;
}

int schema_own(struct schema *s, uint32_t node, enum schema_type t, struct schema_set *out)
{
    const struct schema_node *n = &s->node[node];
    const json_t *v;
    unsigned mask = 1U << t | (t == TYPE_NUMBER ? 1U << TYPE_INTEGER : 0);
    int rc = 0;

    *out = schema_set_all(s, t);
    if (!(n->types & mask))
        return schema_set_list(s, t, NULL, 0, out);
    if (t == TYPE_NUMBER)
        rc = own_number(s, node, &out->number);
    else if (t == TYPE_STRING)
        rc = own_text(s, node, &out->text);
    if (rc == 0 && (v = schema_kw(&s->node[node], KW_const)) != NULL)
        rc = own_const(s, v, t, out);
    if (rc == 0 && (v = schema_kw(&s->node[node], KW_enum)) != NULL)
        rc = own_list(s, v, t, out);
    return rc;
}
