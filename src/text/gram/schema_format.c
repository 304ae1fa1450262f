/* schema_format.c - "format": of strings as an expression (rx_format), of numbers as a range.
 *
 * Source   RFC 6531 for idn-email, which looks at letters only; OpenAPI's formats
 */
#include "text/gram/schema_part.h"

#define LETTER "[^\\x00-\\x20\"(),:;<>@\\[\\\\\\].]"
#define LABEL  "[\\p{L}\\p{N}]([\\p{L}\\p{M}\\p{N}\\-]{0,61}[\\p{L}\\p{M}\\p{N}])?"

/* Those that rx_format does not know. */
static const struct {
    const char *name;
    const char *pattern;   /* of strings; NULL: any */
    const char *min, *max; /* of numbers; NULL: any */
} formats[] = {
    {"idn-email", LETTER "+(\\." LETTER "+)*@" LABEL "(\\." LABEL ")*", NULL, NULL},
    {"byte", "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", NULL, NULL},
    {"binary", NULL, NULL, NULL},
    {"password", NULL, NULL, NULL},
    {"path", NULL, NULL, NULL},
    {"file-path", NULL, NULL, NULL},
    {"directory-path", NULL, NULL, NULL},
    {"float", NULL, NULL, NULL},
    {"double", NULL, NULL, NULL},
    {"int8", NULL, "-128", "127"},
    {"int16", NULL, "-32768", "32767"},
    {"int32", NULL, "-2147483648", "2147483647"},
    {"int64", NULL, "-9223372036854775808", "9223372036854775807"},
    {"uint8", NULL, "0", "255"},
    {"uint16", NULL, "0", "65535"},
    {"uint32", NULL, "0", "4294967295"},
    {"uint64", NULL, "0", "18446744073709551615"},
    {"uint", NULL, "0", NULL},
};

enum { N_FORMAT = sizeof(formats) / sizeof(*formats) };

/* The row of a node's format; N_FORMAT: it has none that is known. */
static int row_of(const struct schema *s, uint32_t node)
{
    const char *name = json_string_value(schema_kw(&s->node[node], KW_format));
    int i = 0;

    while (i < N_FORMAT && strcmp(formats[i].name, name) != 0)
        i++;
    return i;
}

int schema_format_check(struct schema *s, uint32_t node)
{
    const json_t *v = schema_kw(&s->node[node], KW_format);
    rx_id rx;

    if (!v || row_of(s, node) < N_FORMAT || rx_format(s->rx, schema_str(v), &rx, NULL) == 0)
        return 0;
    if (schema_rx_check(s) < 0)
        return schema_rx_check(s);
    return schema_fail(s, E_UNSUPPORTED, node, "format", "\"%.64s\" cannot be checked",
                       json_string_value(v));
}

int schema_format_text(struct schema *s, uint32_t node, struct schema_text *out)
{
    int i = row_of(s, node);

    *out = (struct schema_text){s->any_text, 0, GRAM_INF};
    if (i == N_FORMAT)
        return rx_format(s->rx, schema_str(schema_kw(&s->node[node], KW_format)), &out->rx,
                         s->e);
    if (formats[i].pattern)
        return rx_parse(s->rx, str_of(formats[i].pattern), 0, &out->rx, s->e);
    return 0;
}

static int cut(struct schema *s, const char *bound, int which, struct numset *acc)
{
    struct decimal x;
    struct numset a;
    int rc = bound ? decimal_parse(&x, str_of(bound), s->e) : 0;

    if (rc < 0 || !bound)
        return rc;
    if (x.n_int > s->n_int)
        s->n_int = x.n_int;
    rc = numset_compare(&s->numbers, &x, which | NUMSET_EQUAL, &a, s->e);
    return rc < 0 ? rc : numset_and(&s->numbers, acc, &a, acc, s->e);
}

int schema_format_number(struct schema *s, uint32_t node, struct numset *acc)
{
    int i = row_of(s, node), rc;

    if (i == N_FORMAT)
        return 0;
    rc = cut(s, formats[i].min, NUMSET_MORE, acc);
    return rc < 0 ? rc : cut(s, formats[i].max, NUMSET_LESS, acc);
}
