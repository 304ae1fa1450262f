/* schema_format.c - "format": of strings as an expression, of numbers as a range.
 *
 * Each is what its standard says, or a little less where that would need more than an
 * expression: a leap second only where it is one in UTC, no names in Punycode. What no
 * expression comes near ("regex", "idn-hostname") is not here and so is refused.
 *
 * Source   RFC 3339, 5321, 1123, 4291, 3986, 3987, 6570, 6901, 4122; OpenAPI's formats
 */
#include "text/gram/schema_part.h"

#define YEAR "[0-9]{4}"
#define LEAP "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
#define DATE                                                                                   \
    "(" YEAR "-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" YEAR                                \
    "-(0[469]|11)-(0[1-9]|[12][0-9]|30)|" YEAR "-02-(0[1-9]|1[0-9]|2[0-8])|" LEAP "-02-29)"
#define HOUR     "([01][0-9]|2[0-3])"
#define SIXTY    "[0-5][0-9]"
#define FRACTION "(\\.[0-9]+)?"
#define TIME                                                                                   \
    "(" HOUR ":" SIXTY ":" SIXTY FRACTION "([Zz]|[+\\-]" HOUR ":" SIXTY ")|23:59:60" FRACTION  \
    "([Zz]|[+\\-]00:00))"

#define DAYS   "[0-9]+D"
#define MONTHS "[0-9]+M(" DAYS ")?"
#define YEARS  "[0-9]+Y(" MONTHS ")?"
#define TIMES  "T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)"

#define LABEL "[A-Za-z0-9]([A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?"
#define NAME  LABEL "(\\." LABEL ")*"
#define WIDE  "[\\p{L}\\p{N}]([\\p{L}\\p{M}\\p{N}\\-]{0,61}[\\p{L}\\p{M}\\p{N}])?"

#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4  "(" OCTET "\\.){3}" OCTET
#define H     "[0-9A-Fa-f]{1,4}"
#define LAST  "(" H ":" H "|" IPV4 ")"
#define IPV6                                                                                   \
    "((" H ":){6}" LAST "|::(" H ":){5}" LAST "|(" H ")?::(" H ":){4}" LAST "|((" H            \
    ":){0,1}" H ")?::(" H ":){3}" LAST "|((" H ":){0,2}" H ")?::(" H ":){2}" LAST "|((" H      \
    ":){0,3}" H ")?::" H ":" LAST "|((" H ":){0,4}" H ")?::" LAST "|((" H ":){0,5}" H ")?::" H \
    "|((" H ":){0,6}" H ")?::)"

#define ATOM      "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+"
#define QUOTED    "\"([ !#-\\[\\]-~]|\\\\[ -~])*\""
#define WIDE_ATOM "[^\\x00-\\x20\"(),:;<>@\\[\\\\\\].]+"
#define HOST      "(" NAME "|\\[" IPV4 "\\]|\\[IPv6:" IPV6 "\\])"

#define HEX "[0-9A-Fa-f]"

/* A URI, with u: more characters that need no escape. */
#define CHAR(u)      "([A-Za-z0-9\\-._~!$&'()*+,;=:@" u "]|%" HEX HEX ")"
#define NO_COLON(u)  "([A-Za-z0-9\\-._~!$&'()*+,;=@" u "]|%" HEX HEX ")"
#define USER(u)      "([A-Za-z0-9\\-._~!$&'()*+,;=:" u "]|%" HEX HEX ")*"
#define REG_NAME(u)  "([A-Za-z0-9\\-._~!$&'()*+,;=" u "]|%" HEX HEX ")*"
#define FUTURE       "[vV]" HEX "+\\.[A-Za-z0-9\\-._~!$&'()*+,;=:]+"
#define AUTHORITY(u) "(" USER(u) "@)?(\\[(" IPV6 "|" FUTURE ")\\]|" REG_NAME(u) ")(:[0-9]*)?"
#define SEGMENTS(u)  "(/" CHAR(u) "*)*"
#define TAIL(u)      "(\\?(" CHAR(u) "|[/?])*)?(#(" CHAR(u) "|[/?])*)?"
#define ROOTED(u)    "//" AUTHORITY(u) SEGMENTS(u) "|/(" CHAR(u) "+" SEGMENTS(u) ")?"
#define SCHEME       "[A-Za-z][A-Za-z0-9+\\-.]*:"
#define ABSOLUTE(u)  SCHEME "(" ROOTED(u) "|(" CHAR(u) "+" SEGMENTS(u) ")?)" TAIL(u)
#define RELATIVE(u)  "(" ROOTED(u) "|(" NO_COLON(u) "+" SEGMENTS(u) ")?)" TAIL(u)
#define UCS                                                                                    \
    "\\u{A0}-\\u{D7FF}\\u{F900}-\\u{FDCF}\\u{FDF0}-\\u{FFEF}\\u{10000}-\\u{1FFFD}"             \
    "\\u{20000}-\\u{2FFFD}\\u{30000}-\\u{3FFFD}"

#define VAR     "([A-Za-z0-9_]|%" HEX HEX ")(\\.?([A-Za-z0-9_]|%" HEX HEX "))*"
#define SPEC    VAR "(\\*|:[1-9][0-9]{0,3})?"
#define LITERAL "([!#$&-;=?-\\[\\]_a-z~" UCS "]|%" HEX HEX ")"

#define POINTER "(/([^~/]|~[01])*)*"

static const struct {
    const char *name;
    const char *is, *is_not; /* of strings; NULL: any, none */
    uint64_t longest;        /* characters; 0: any */
    const char *min, *max;   /* of numbers; NULL: any */
} formats[] = {
    {"date-time", DATE "[Tt]" TIME, NULL, 0, NULL, NULL},
    {"date", DATE, NULL, 0, NULL, NULL},
    {"time", TIME, NULL, 0, NULL, NULL},
    {"duration", "P([0-9]+W|(" DAYS "|" MONTHS "|" YEARS ")(" TIMES ")?|" TIMES ")", NULL, 0,
     NULL, NULL},
    {"email", "(" ATOM "(\\." ATOM ")*|" QUOTED ")@" HOST, NULL, 254, NULL, NULL},
    {"idn-email",
     "(" WIDE_ATOM "(\\." WIDE_ATOM ")*|\"([^\\x00-\\x1F\"\\\\]|\\\\[ -~])*\")@" WIDE
     "(\\." WIDE ")*",
     NULL, 254, NULL, NULL},
    {"hostname", NAME, "([^]*\\.)?[^.]{2}--[^]*", 253, NULL, NULL},
    {"ipv4", IPV4, NULL, 0, NULL, NULL},
    {"ipv6", IPV6, NULL, 0, NULL, NULL},
    {"uri", ABSOLUTE(""), NULL, 0, NULL, NULL},
    {"uri-reference", ABSOLUTE("") "|" RELATIVE(""), NULL, 0, NULL, NULL},
    {"iri", ABSOLUTE(UCS), NULL, 0, NULL, NULL},
    {"iri-reference", ABSOLUTE(UCS) "|" RELATIVE(UCS), NULL, 0, NULL, NULL},
    {"uri-template", "(" LITERAL "|\\{[+#./;?&]?" SPEC "(," SPEC ")*\\})*", NULL, 0, NULL,
     NULL},
    {"uuid", HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}", NULL, 0, NULL, NULL},
    {"json-pointer", POINTER, NULL, 0, NULL, NULL},
    {"relative-json-pointer", "(0|[1-9][0-9]*)(#|" POINTER ")", NULL, 0, NULL, NULL},
    {"byte", "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", NULL, 0, NULL, NULL},
    {"binary", NULL, NULL, 0, NULL, NULL},
    {"password", NULL, NULL, 0, NULL, NULL},
    {"path", NULL, NULL, 0, NULL, NULL},
    {"file-path", NULL, NULL, 0, NULL, NULL},
    {"directory-path", NULL, NULL, 0, NULL, NULL},
    {"float", NULL, NULL, 0, NULL, NULL},
    {"double", NULL, NULL, 0, NULL, NULL},
    {"int8", NULL, NULL, 0, "-128", "127"},
    {"int16", NULL, NULL, 0, "-32768", "32767"},
    {"int32", NULL, NULL, 0, "-2147483648", "2147483647"},
    {"int64", NULL, NULL, 0, "-9223372036854775808", "9223372036854775807"},
    {"uint8", NULL, NULL, 0, "0", "255"},
    {"uint16", NULL, NULL, 0, "0", "65535"},
    {"uint32", NULL, NULL, 0, "0", "4294967295"},
    {"uint64", NULL, NULL, 0, "0", "18446744073709551615"},
    {"uint", NULL, NULL, 0, "0", NULL},
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

    if (!v || row_of(s, node) < N_FORMAT)
        return 0;
    return schema_fail(s, E_UNSUPPORTED, node, "format", "\"%.64s\" cannot be checked",
                       json_string_value(v));
}

int schema_format_text(struct schema *s, uint32_t node, struct schema_text *out)
{
    int i = row_of(s, node);
    rx_id no;
    int rc = 0;

    *out = (struct schema_text){s->any_text, 0, GRAM_INF};
    if (i == N_FORMAT || !formats[i].is)
        return 0;
    rc = rx_parse(s->rx, str_of(formats[i].is), 0, &out->rx, s->e);
    if (rc == 0 && formats[i].is_not) {
        rc = rx_parse(s->rx, str_of(formats[i].is_not), 0, &no, s->e);
        if (rc == 0)
            out->rx = rx_and(s->rx, out->rx, rx_not(s->rx, no));
    }
    if (formats[i].longest)
        out->max = formats[i].longest;
    return rc;
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
    rc = numset_compare(&s->arena, &x, which | NUMSET_EQUAL, &a, s->e);
    return rc < 0 ? rc : numset_and(&s->arena, acc, &a, acc, s->e);
}

int schema_format_number(struct schema *s, uint32_t node, struct numset *acc)
{
    int i = row_of(s, node), rc;

    if (i == N_FORMAT)
        return 0;
    rc = cut(s, formats[i].min, NUMSET_MORE, acc);
    return rc < 0 ? rc : cut(s, formats[i].max, NUMSET_LESS, acc);
}
