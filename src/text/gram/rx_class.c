/* rx_class.c - classes of characters: \d, \w, \s, \p{...} and [...]. */
#include "text/gram/rx_priv.h"

#include <utf8proc.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* clang-format off */
static const struct rx_range digits[] = {{'0', '9'}};
static const struct rx_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct rx_range spaces[] = {
    {0x09, 0x0D}, {0x20, 0x20}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
static const struct rx_range no_line_ends[] = {
    {0, 0x09}, {0x0B, 0x0C}, {0x0E, 0x2027}, {0x202A, RX_CP_MAX}};
static const struct rx_range white[] = {
    {0x09, 0x0D}, {0x20, 0x20}, {0x85, 0x85}, {0xA0, 0xA0}, {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
static const struct rx_range hex[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
static const struct rx_range wide_hex[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'},
    {0xFF10, 0xFF19}, {0xFF21, 0xFF26}, {0xFF41, 0xFF46}};
static const struct rx_range ascii[] = {{0, 0x7F}};
static const struct rx_range everything[] = {{0, RX_CP_MAX}};

static const struct {
    const struct rx_range *range;
    size_t n;
} shorthands[] = {
    [RX_DIGIT] = {digits, COUNT(digits)}, [RX_WORD] = {words, COUNT(words)},
    [RX_SPACE] = {spaces, COUNT(spaces)}, [RX_DOT] = {no_line_ends, COUNT(no_line_ends)},
};

/* Properties that are not categories. */
static const struct {
    const char *name, *brief;
    const struct rx_range *range;
    size_t n;
} properties[] = {
    {"ASCII", "ASCII", ascii, COUNT(ascii)},
    {"Any", "Any", everything, COUNT(everything)},
    {"ASCII_Hex_Digit", "AHex", hex, COUNT(hex)},
    {"Hex_Digit", "Hex", wide_hex, COUNT(wide_hex)},
    {"White_Space", "space", white, COUNT(white)},
};

#define BIT(c) (UINT32_C(1) << UTF8PROC_CATEGORY_##c)
#define CASED  (BIT(LU) | BIT(LL) | BIT(LT))
#define LETTER (CASED | BIT(LM) | BIT(LO))
#define MARK   (BIT(MN) | BIT(MC) | BIT(ME))
#define NUMBER (BIT(ND) | BIT(NL) | BIT(NO))
#define PUNCT  (BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO))
#define SYMBOL (BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO))
#define BLANK  (BIT(ZS) | BIT(ZL) | BIT(ZP))
#define OTHER  (BIT(CC) | BIT(CF) | BIT(CS) | BIT(CO) | BIT(CN))
#define ALL    (LETTER | MARK | NUMBER | PUNCT | SYMBOL | BLANK | OTHER)

static const struct {
    const char *brief, *name, *third; /* third: another long name */
    uint32_t mask;
} categories[] = {
    {"L", "Letter", "", LETTER}, {"LC", "Cased_Letter", "", CASED},
    {"Lu", "Uppercase_Letter", "", BIT(LU)}, {"Ll", "Lowercase_Letter", "", BIT(LL)},
    {"Lt", "Titlecase_Letter", "", BIT(LT)}, {"Lm", "Modifier_Letter", "", BIT(LM)},
    {"Lo", "Other_Letter", "", BIT(LO)}, {"M", "Mark", "Combining_Mark", MARK},
    {"Mn", "Nonspacing_Mark", "", BIT(MN)}, {"Mc", "Spacing_Mark", "", BIT(MC)},
    {"Me", "Enclosing_Mark", "", BIT(ME)}, {"N", "Number", "", NUMBER},
    {"Nd", "Decimal_Number", "digit", BIT(ND)}, {"Nl", "Letter_Number", "", BIT(NL)},
    {"No", "Other_Number", "", BIT(NO)}, {"P", "Punctuation", "punct", PUNCT},
    {"Pc", "Connector_Punctuation", "", BIT(PC)}, {"Pd", "Dash_Punctuation", "", BIT(PD)},
    {"Ps", "Open_Punctuation", "", BIT(PS)}, {"Pe", "Close_Punctuation", "", BIT(PE)},
    {"Pi", "Initial_Punctuation", "", BIT(PI)}, {"Pf", "Final_Punctuation", "", BIT(PF)},
    {"Po", "Other_Punctuation", "", BIT(PO)}, {"S", "Symbol", "", SYMBOL},
    {"Sm", "Math_Symbol", "", BIT(SM)}, {"Sc", "Currency_Symbol", "", BIT(SC)},
    {"Sk", "Modifier_Symbol", "", BIT(SK)}, {"So", "Other_Symbol", "", BIT(SO)},
    {"Z", "Separator", "", BLANK}, {"Zs", "Space_Separator", "", BIT(ZS)},
    {"Zl", "Line_Separator", "", BIT(ZL)}, {"Zp", "Paragraph_Separator", "", BIT(ZP)},
    {"C", "Other", "", OTHER}, {"Cc", "Control", "cntrl", BIT(CC)},
    {"Cf", "Format", "", BIT(CF)}, {"Cs", "Surrogate", "", BIT(CS)},
    {"Co", "Private_Use", "", BIT(CO)}, {"Cn", "Unassigned", "", BIT(CN)},
    {"Assigned", "Assigned", "", ALL & ~BIT(CN)},
};
/* clang-format on */

rx_id rx_shorthand(struct rx *r, enum rx_shorthand which)
{
    return rx_set(r, shorthands[which].range, shorthands[which].n);
}

/* Turns the ranges of r->ranges, sorted and apart, into those between them. */
static rx_id between(struct rx *r)
{
    struct rx_range *c;
    uint32_t lo = 0;
    size_t n = r->ranges.n, k = 0;

    if (rx_room(r, &r->ranges, 1, sizeof(*c)) < 0)
        return RX_NONE;
    c = r->ranges.p;
    for (size_t i = 0; i < n; i++) {
        struct rx_range this = c[i];

        if (this.lo > lo)
            c[k++] = (struct rx_range){lo, this.lo - 1};
        lo = this.hi + 1;
    }
    if (lo <= RX_SQ_MAX)
        c[k++] = (struct rx_range){lo, RX_SQ_MAX};
    return rx_set_of(r, c, k);
}

rx_id rx_outside(struct rx *r, rx_id set)
{
    const struct rx_node *s;

    if (r->failed.code || set == RX_NONE)
        return rx_any(r);
    r->ranges.n = 0;
    s = rx_at(r, set);
    if (rx_room(r, &r->ranges, s->b, sizeof(struct rx_range)) < 0)
        return RX_NONE;
    memcpy(r->ranges.p, RX_AT(struct rx_range, r->range) + s->a,
           s->b * sizeof(struct rx_range));
    r->ranges.n = s->b;
    return between(r);
}

/* -- properties ------------------------------------------------------------------------ */

/* All characters of some categories: over a million are asked, so the answer is kept. */
static rx_id by_category(struct rx *r, uint32_t mask)
{
    const uint32_t *known = r->property.p;
    uint32_t begun = UINT32_MAX;
    rx_id id;

    for (size_t i = 0; i < r->property.n; i += 2) {
        if (known[i] == mask)
            return known[i + 1];
    }
    r->ranges.n = 0;
    for (uint32_t sq = 0; sq <= RX_SQ_MAX + 1u; sq++) {
        int in =
            sq <= RX_SQ_MAX && (mask >> utf8proc_category((utf8proc_int32_t)rx_spread(sq)) & 1);

        if (in && begun == UINT32_MAX)
            begun = sq;
        if (in || begun == UINT32_MAX)
            continue;
        if (rx_room(r, &r->ranges, 1, sizeof(struct rx_range)) < 0)
            return RX_NONE;
        RX_AT(struct rx_range, r->ranges)[r->ranges.n++] = (struct rx_range){begun, sq - 1};
        begun = UINT32_MAX;
    }
    id = rx_set_of(r, r->ranges.p, r->ranges.n);
    if (rx_push(r, &r->property, mask) < 0 || rx_push(r, &r->property, id) < 0)
        return RX_NONE;
    return id;
}

/* Whether name begins so; then what is behind that. */
static int cut(struct str *name, const char *head)
{
    size_t n = strlen(head);

    if (name->n < n || memcmp(name->p, head, n) != 0)
        return 0;
    *name = (struct str){name->p + n, name->n - n};
    return 1;
}

int rx_property(struct rx *r, struct str name, rx_id *out, struct err *e)
{
    struct str value = name;
    int only = cut(&value, "General_Category=") || cut(&value, "gc=");

    for (size_t i = 0; i < COUNT(categories); i++) {
        if (str_is(value, categories[i].brief) || str_is(value, categories[i].name) ||
            (value.n > 0 && str_is(value, categories[i].third))) {
            *out = by_category(r, categories[i].mask);
            return rx_error(r, e);
        }
    }
    for (size_t i = 0; i < COUNT(properties) && !only; i++) {
        if (str_is(name, properties[i].name) || str_is(name, properties[i].brief)) {
            *out = rx_set(r, properties[i].range, properties[i].n);
            return rx_error(r, e);
        }
    }
    return err_set(e, E_UNSUPPORTED,
                   "the property \\p{%.*s} (categories are known, as \\p{Lu})",
                   (int)(name.n < 64 ? name.n : 64), name.p);
}

/* -- [...] ----------------------------------------------------------------------------- */

static int add_set(struct rx *r, struct rx_vec *all, rx_id set)
{
    const struct rx_node *s = rx_at(r, set);
    size_t n = set == RX_NONE ? 0 : s->b;
    int rc = rx_room(r, all, n, sizeof(struct rx_range));

    if (rc < 0)
        return rc;
    if (n > 0)
        memcpy(RX_AT(struct rx_range, *all) + all->n, RX_AT(struct rx_range, r->range) + s->a,
               n * sizeof(struct rx_range));
    all->n += n;
    return 0;
}

static int atom(struct rx_scan *p, struct rx_escape *out)
{
    if (p->at >= p->s.n)
        return rx_wrong(p, E_INVALID, p->at, "a class without ]");
    if (p->s.p[p->at] == '\\')
        return rx_escape(p, 1, out);
    *out = (struct rx_escape){0};
    return rx_scan_char(p, &out->cp);
}

/* A character, a range, or a class within the class. */
static int member(struct rx_scan *p, struct rx_vec *all)
{
    struct rx_escape a = {0}, b = {0};
    struct rx_range c;
    size_t from = p->at;
    int rc = atom(p, &a);

    if (rc < 0)
        return rc;
    if (p->at + 1 < p->s.n && p->s.p[p->at] == '-' && p->s.p[p->at + 1] != ']') {
        p->at++;
        rc = atom(p, &b);
        if (rc < 0)
            return rc;
        if (a.is_set || b.is_set)
            return rx_wrong(p, E_INVALID, from, "a class of characters as the end of a range");
        if (a.cp > b.cp)
            return rx_wrong(p, E_INVALID, from, "a range whose ends are out of order");
    } else {
        b = a;
    }
    if (a.is_set)
        return add_set(p->r, all, a.set);
    if (!rx_squeeze_range(a.cp, b.cp, &c))
        return 0;
    rc = rx_room(p->r, all, 1, sizeof(c));
    if (rc == 0)
        RX_AT(struct rx_range, *all)[all->n++] = c;
    return rc;
}

int rx_class(struct rx_scan *p, rx_id *out)
{
    struct rx_vec all = {0};
    size_t from = p->at++;
    int not = p->at < p->s.n && p->s.p[p->at] == '^', rc = 0;

    p->at += (size_t) not ;
    while (rc == 0 && p->at < p->s.n && p->s.p[p->at] != ']')
        rc = member(p, &all);
    if (rc == 0 && p->at >= p->s.n)
        rc = rx_wrong(p, E_INVALID, from, "a class without ]");
    if (rc == 0) {
        p->at++;
        *out = rx_set_of(p->r, all.p, all.n);
        if (not )
            *out = rx_outside(p->r, *out);
        rc = rx_error(p->r, p->e);
    } else if (p->r->failed.code) {
        rc = rx_error(p->r, p->e);
    }
    rx_drop(p->r, &all, sizeof(struct rx_range));
    return rc;
}
