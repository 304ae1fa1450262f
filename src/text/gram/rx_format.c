/* rx_format.c - the formats of JSON Schema as patterns.
 *
 * Source   RFC 3339, 3986, 3987, 5321, 6570, 6901, 1123, 4291, 4122
 */
#include "text/gram/rx_priv.h"

/* clang-format off */
#define DATE \
    "(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|" \
    "02-(0[1-9]|1\\d|2[0-8]))|" \
    "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define OFFSET "([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define FRACTION "(\\.\\d+)?"
#define TIME \
    "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d" FRACTION OFFSET "|" \
    "23:59:60" FRACTION "([Zz]|[+-]00:00))"
#define DAYS "(\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)"
#define HOURS "T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)"
#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 "(" OCTET "\\." OCTET "\\." OCTET "\\." OCTET ")"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(" H16 ":" H16 "|" IPV4 ")"
#define UPTO(n) "((" H16 ":){0," n "}" H16 ")?::"
#define IPV6 \
    "((" H16 ":){6}" LS32 "|::(" H16 ":){5}" LS32 "|(" H16 ")?::(" H16 ":){4}" LS32 "|" \
    UPTO("1") "(" H16 ":){3}" LS32 "|" UPTO("2") "(" H16 ":){2}" LS32 "|" \
    UPTO("3") H16 ":" LS32 "|" UPTO("4") LS32 "|" UPTO("5") H16 "|" UPTO("6") ")"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?"
#define HOST "(" LABEL "(\\." LABEL ")*)"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+"
#define QUOTED "\"([ !#-\\[\\]-~]|\\\\[ -~])*\""
#define EMAIL \
    "(" ATOM "(\\." ATOM ")*|" QUOTED ")@(" HOST "|\\[" IPV4 "\\]|\\[IPv6:" IPV6 "\\])"
#define PCT "%[0-9A-Fa-f]{2}"
/* Of URIs; u: the characters that IRIs have besides. */
#define NAME(u) "([A-Za-z0-9._~!$&'()*+,;=\\-" u "]|" PCT ")"
#define USER(u) "([A-Za-z0-9._~!$&'()*+,;=:\\-" u "]|" PCT ")"
#define PCHAR(u) "([A-Za-z0-9._~!$&'()*+,;=:@\\-" u "]|" PCT ")"
#define AUTHORITY(u) \
    "//(" USER(u) "*@)?(\\[(" IPV6 "|[Vv][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:\\-]+)\\]|" \
    NAME(u) "*)(:\\d*)?(/" PCHAR(u) "*)*"
#define ROOTED(u) "/(" PCHAR(u) "+(/" PCHAR(u) "*)*)?"
#define REST(u, q) \
    "(\\?([A-Za-z0-9._~!$&'()*+,;=:@/?\\-" u q "]|" PCT ")*)?" \
    "(#([A-Za-z0-9._~!$&'()*+,;=:@/?\\-" u "]|" PCT ")*)?"
#define URI(u, q) \
    "[A-Za-z][A-Za-z0-9+.\\-]*:(" AUTHORITY(u) "|" ROOTED(u) "|" \
    PCHAR(u) "+(/" PCHAR(u) "*)*|)" REST(u, q)
#define RELATIVE(u, q) \
    "(" AUTHORITY(u) "|" ROOTED(u) "|([A-Za-z0-9._~!$&'()*+,;=@\\-" u "]|" PCT ")+(/" \
    PCHAR(u) "*)*|)" REST(u, q)
#define UCS \
    "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF\\u{10000}-\\u{1FFFD}\\u{20000}-\\u{2FFFD}" \
    "\\u{30000}-\\u{3FFFD}\\u{40000}-\\u{4FFFD}\\u{50000}-\\u{5FFFD}\\u{60000}-\\u{6FFFD}" \
    "\\u{70000}-\\u{7FFFD}\\u{80000}-\\u{8FFFD}\\u{90000}-\\u{9FFFD}\\u{A0000}-\\u{AFFFD}" \
    "\\u{B0000}-\\u{BFFFD}\\u{C0000}-\\u{CFFFD}\\u{D0000}-\\u{DFFFD}\\u{E1000}-\\u{EFFFD}"
#define PRIVATE "\\uE000-\\uF8FF\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}"
#define POINTER "(/([^~/]|~[01])*)*"
#define VARCHAR "([A-Za-z0-9_]|" PCT ")"
#define VARSPEC VARCHAR "(\\.?" VARCHAR ")*(:[1-9]\\d{0,3}|\\*)?"
#define TEMPLATE \
    "([!#$&(-;=?-\\[\\]_a-z~" UCS PRIVATE "]|" PCT "|" \
    "\\{[+#./;?&=,!@|]?" VARSPEC "(," VARSPEC ")*\\})*"
/* No name that would be one only if what stands behind xn-- could be decoded. */
#define HYPHENS "([^]*[@.])?[^.@]{2}--[^]*"

static const struct {
    const char *name, *pattern, *without;
    uint32_t most; /* characters; 0: any number */
} formats[] = {
    {"date-time", DATE "[Tt]" TIME, NULL, 0},
    {"date", DATE, NULL, 0},
    {"time", TIME, NULL, 0},
    {"duration", "P(\\d+W|" DAYS "(" HOURS ")?|" HOURS ")", NULL, 0},
    {"email", EMAIL, "[^]*@([^]*\\.)?[^.]{2}--[^]*|[^@\"]{65,}@[^]*|\"[^]{63,}\"@[^]*", 254},
    {"hostname", HOST, HYPHENS, 253},
    {"ipv4", IPV4, NULL, 0},
    {"ipv6", IPV6, NULL, 0},
    {"uuid", "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", NULL, 0},
    {"uri", URI("", ""), NULL, 0},
    {"uri-reference", URI("", "") "|" RELATIVE("", ""), NULL, 0},
    {"iri", URI(UCS, PRIVATE), NULL, 0},
    {"iri-reference", URI(UCS, PRIVATE) "|" RELATIVE(UCS, PRIVATE), NULL, 0},
    {"uri-template", TEMPLATE, NULL, 0},
    {"json-pointer", POINTER, NULL, 0},
    {"relative-json-pointer", "(0|[1-9]\\d*)(#|" POINTER ")", NULL, 0},
};
/* clang-format on */

int rx_format(struct rx *r, struct str name, rx_id *out, struct err *e)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        rx_id id, other;
        int rc;

        if (!str_is(name, formats[i].name))
            continue;
        rc = rx_parse(r, str_of(formats[i].pattern), 0, &id, e);
        if (rc == 0 && formats[i].without) {
            rc = rx_parse(r, str_of(formats[i].without), 0, &other, e);
            id = rc == 0 ? rx_and(r, id, rx_not(r, other)) : RX_NONE;
        }
        if (rc == 0 && formats[i].most)
            id = rx_and(r, id, rx_repeat(r, rx_any(r), 0, formats[i].most));
        if (rc == 0)
            rc = rx_error(r, e);
        if (rc == 0)
            *out = id;
        return rc < 0 ? err_wrap(e, rc, "format %s", formats[i].name) : 0;
    }
    return err_set(e, E_UNSUPPORTED, "the format \"%.*s\"", (int)(name.n < 64 ? name.n : 64),
                   name.p);
}
