/* MiniMax M2, whose parameters are text or JSON, and M3, whose objects and arrays are elements:
 * <key>value</key>, <item>value</item>, each tag with a mark in front. */
#include "text/reply/reply_priv.h"

static const struct reply_step m2_steps[] = {
    {0, "<minimax:tool_call>", REPLY_PASS, NULL, 1},
    {1, "<invoke name=\"", REPLY_NAME, "\">", 2},
    {2, "<parameter name=\"", REPLY_KEY, "\">", 3},
    {3, "", REPLY_VALUE, "</parameter>", 2},
    {2, "</invoke>", REPLY_DONE, NULL, 4},
    {4, "<invoke name=\"", REPLY_NAME, "\">", 2},
    {4, "</minimax:tool_call>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing m2_writing = {
    .begin = "<minimax:tool_call>\n",
    .end = "\n</minimax:tool_call>",
    .sep = "\n",
    .before_name = "<invoke name=\"",
    .after_name = "\">\n",
    .after_args = "</invoke>",
    .args = REPLY_VALUE,
    .before_key = "<parameter name=\"",
    .after_key = "\">",
    .after_value = "</parameter>\n",

};
const struct reply_format reply_minimax2 = {
    .name = "minimax-m2",
    .about = "MiniMax M2",
    REPLY_STEPS(m2_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
    .writing = &m2_writing,
};

#define NS "]<]minimax[>["

static const struct reply_step m3_steps[] = {
    {0, NS "<tool_call>", REPLY_PASS, NULL, 1},
    {1, NS "<invoke name=\"", REPLY_NAME, "\">", 2},
    {2, NS "<", REPLY_KEY, ">", 3},
    {3, "", REPLY_NESTED, NS "</", 2},
    {2, NS "</invoke>", REPLY_DONE, NULL, 4},
    {4, NS "<invoke name=\"", REPLY_NAME, "\">", 2},
    {4, NS "</tool_call>", REPLY_PASS, NULL, 0},
};
const struct reply_format reply_minimax3 = {
    .name = "minimax-m3",
    .about = "MiniMax M3",
    REPLY_STEPS(m3_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
};

/* -- values of elements ------------------------------------------------------------------ */

enum { DEPTH = 32 };

struct reader {
    struct str s; /* what is left */
    struct buf *out;
    int *fail;
};

static int starts(struct str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static void skip(struct reader *r, size_t n)
{
    r->s.p += n;
    r->s.n -= n;
}

static void say(struct reader *r, const char *text)
{
    int rc = buf_str(r->out, text);

    if (rc)
        *r->fail = rc;
}

static void say_string(struct reader *r, struct str s)
{
    struct reply_lit l;

    say(r, "\"");
    reply_lit_init(&l, REPLY_JSON, (struct str){0}, r->out);
    for (size_t i = 0; i < s.n; i++)
        reply_lit_byte(&l, s.p[i]);
    reply_lit_bytes_end(&l);
    if (l.fail)
        *r->fail = l.fail;
    say(r, "\"");
}

/* Text up to the next mark: as the schema wants it. */
static int leaf(struct reader *r, const json_t *schema)
{
    const char *end = memmem(r->s.p, r->s.n, NS, sizeof(NS) - 1);
    struct str s = {r->s.p, end ? (size_t)(end - r->s.p) : r->s.n};
    unsigned types = reply_schema_types(schema);

    skip(r, s.n);
    if (!s.n && types == REPLY_T_OBJECT)
        say(r, "{}");
    else if (!s.n && types == REPLY_T_ARRAY)
        say(r, "[]");
    else if (!s.n && types && !(types & REPLY_T_STRING) && types & REPLY_T_NULL)
        say(r, "null");
    else if (types == REPLY_T_STRING || (!reply_lit_whole(REPLY_JSON, s, r->out, r->fail) &&
                                         !reply_lit_whole(REPLY_PYTHON, s, r->out, r->fail)))
        say_string(r, s);
    return 1;
}

static int element(struct reader *r, const json_t *schema, int depth);

/* Elements until a closing tag or the end: an array if the first is an item. */
static int elements(struct reader *r, const json_t *schema, int depth)
{
    int array = starts(r->s, NS "<item>") && reply_schema_types(schema) != REPLY_T_OBJECT;
    const json_t *items = json_object_get(schema, "items");

    say(r, array ? "[" : "{");
    for (int i = 0; starts(r->s, NS "<") && !starts(r->s, NS "</"); i++) {
        const char *name = r->s.p + sizeof(NS), *end;
        struct str key;

        end = memchr(name, '>', r->s.n - sizeof(NS));
        if (!end || end == name || end - name > REPLY_NAME_MAX)
            return 0;
        key = (struct str){name, (size_t)(end - name)};
        skip(r, sizeof(NS) + key.n + 1);
        say(r, i ? ", " : "");
        if (!array) {
            say_string(r, key);
            say(r, ": ");
        }
        if (!element(r, array ? items : reply_schema_of(schema, key), depth + 1))
            return 0;
        if (!starts(r->s, NS "</") || r->s.n < sizeof(NS) + 1 + key.n + 1 ||
            memcmp(r->s.p + sizeof(NS) + 1, key.p, key.n) != 0 ||
            r->s.p[sizeof(NS) + 1 + key.n] != '>')
            return 0;
        skip(r, sizeof(NS) + 1 + key.n + 1);
    }
    say(r, array ? "]" : "}");
    return 1;
}

/* The depth is limited: a deeper value is text. */
static int element(struct reader *r, const json_t *schema, int depth)
{
    if (depth > DEPTH)
        return 0;
    if (starts(r->s, NS "<") && !starts(r->s, NS "</"))
        return elements(r, schema, depth);
    return leaf(r, schema);
}

int reply_nested(struct str s, const json_t *schema, struct buf *out, int *fail)
{
    struct reader r = {s, out, fail};

    return element(&r, schema, 0) && !r.s.n && !*fail;
}
