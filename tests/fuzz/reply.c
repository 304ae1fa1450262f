/* Whatever a model writes, in any format: cuts change nothing, the arguments of whole calls are
 * JSON, and nothing is lost that is no marker.
 *
 * The input: a byte for the format, a byte of flags, a byte that the cuts come from, the text.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "text/reply/reply.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 4096, DEPTH = 200 };

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": "
    "\"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"s\": {\"type\": "
    "\"string\"}, "
    "\"o\": {\"type\": \"object\"}, \"l\": {\"type\": \"array\"}}}}}, {\"name\": \"get_y\"}]";

/* All that was said, as one text; calls that were none are taken back. */
struct said {
    struct buf reasoning, content, calls;
    size_t begin[CALLS]; /* of a call, in calls */
    int n, ended;
};

/* -- strict JSON, by a reader of our own -------------------------------------------------- */

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

static const char *json_text(const char *p)
{
    if (*p++ != '"')
        return NULL;
    while (*p != '"') {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p++ != '\\')
            continue;
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++) {
                if (!p[i] || !strchr("0123456789abcdefABCDEF", p[i]))
                    return NULL;
            }
            p += 5;
        } else if (*p && strchr("\"\\/bfnrt", *p)) {
            p++;
        } else {
            return NULL;
        }
    }
    return p + 1;
}

static const char *json_digits(const char *p)
{
    if (*p < '0' || *p > '9')
        return NULL;
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

static const char *json_number(const char *p)
{
    p += *p == '-';
    p = *p == '0' ? p + 1 : json_digits(p);
    if (p && *p == '.')
        p = json_digits(p + 1);
    if (p && (*p == 'e' || *p == 'E'))
        p = json_digits(p + 1 + (p[1] == '+' || p[1] == '-'));
    return p;
}

static const char *json_value(const char *p, int depth);

static const char *json_list(const char *p, int depth, char close)
{
    p = blanks(p + 1);
    if (*p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            p = json_text(blanks(p));
            p = p ? blanks(p) : NULL;
            if (!p || *p++ != ':')
                return NULL;
        }
        p = json_value(p, depth + 1);
        p = p ? blanks(p) : NULL;
        if (!p || *p == close)
            return p ? p + 1 : NULL;
        if (*p++ != ',')
            return NULL;
    }
}

static const char *json_value(const char *p, int depth)
{
    static const char *const words[] = {"true", "false", "null"};

    p = blanks(p);
    if (depth > DEPTH)
        return NULL;
    for (size_t i = 0; i < 3; i++) {
        if (!strncmp(p, words[i], strlen(words[i])))
            return p + strlen(words[i]);
    }
    if (*p == '{' || *p == '[')
        return json_list(p, depth, *p == '{' ? '}' : ']');
    return *p == '"' ? json_text(p) : json_number(p);
}

/* -- listening --------------------------------------------------------------------------- */

static void put(struct buf *b, const char *p, size_t n)
{
    if (n && buf_put(b, p, n) < 0)
        abort();
}

static int listen(void *ctx, const struct reply_event *ev)
{
    struct said *s = ctx;
    const char *p;

    switch (ev->kind) {
    case REPLY_REASONING:
        put(&s->reasoning, ev->text.p, ev->text.n);
        return 0;
    case REPLY_CONTENT:
        put(&s->content, ev->text.p, ev->text.n);
        return 0;
    case REPLY_CALL:
        if (ev->call != s->n || s->n == CALLS || !ev->name.n)
            abort();
        put(&s->calls, ev->name.p, ev->name.n);
        put(&s->calls, "\n", 1);
        s->begin[s->n++] = s->calls.n;
        return 0;
    case REPLY_ARGUMENTS:
        if (ev->call != s->n - 1 || !ev->text.n)
            abort();
        put(&s->calls, ev->text.p, ev->text.n);
        return 0;
    default:
        if (ev->call != s->n - 1)
            abort();
    }
    if (ev->kind == REPLY_CALL_BROKEN) {
        s->calls.n = s->begin[--s->n];
        while (s->calls.n && s->calls.p[s->calls.n - 1] != '\n')
            s->calls.n--;
        s->calls.n = s->n ? s->calls.n : 0;
        return 0;
    }
    put(&s->calls, "", 1);
    p = s->calls.p + s->begin[ev->call];
    if (*p != '{' || !(p = json_value(p, 0)) || *p)
        abort();
    s->calls.p[s->calls.n - 1] = '\n';
    s->ended++;
    return 0;
}

static void begin(struct said *s)
{
    memset(s, 0, offsetof(struct said, begin));
    s->n = s->ended = 0;
    buf_init(&s->reasoning, 1 << 26);
    buf_init(&s->content, 1 << 26);
    buf_init(&s->calls, 1 << 26);
}

static void done(struct said *s)
{
    buf_done(&s->reasoning);
    buf_done(&s->content);
    buf_done(&s->calls);
}

static void parse(struct said *s, const json_t *tools, const uint8_t *data, size_t size,
                  unsigned seed)
{
    const char *name = reply_name(data[0] % 36), *p = (const char *)data + 3;
    struct reply_style style = {.format = name ? reply_find(str_of(name)) : NULL};
    size_t left = size - 3, n;
    struct reply *r;
    struct err e;

    if (data[1] & 4) {
        (void)snprintf(style.think_open, sizeof(style.think_open), "<think>");
        (void)snprintf(style.think_close, sizeof(style.think_close), "</think>");
    }
    begin(s);
    if (reply_new(&r, &style, tools, data[1] & 1, listen, s, &e) < 0)
        abort();
    for (; left; left -= n, p += n) {
        n = seed ? 1 + (seed >> 16) % 7 : left;
        n = n < left ? n : left;
        seed = seed * 1103515245u + 12345u;
        if (reply_put(r, p, n, &e) < 0)
            abort();
    }
    if (reply_end(r, data[1] >> 1 & 1, &e) < 0 || reply_calls(r) != s->n)
        abort();
    reply_free(r);
}

static int same(const struct buf *a, const struct buf *b)
{
    return str_eq((struct str){a->p, a->n}, (struct str){b->p, b->n});
}

/* Bytes that no marker has are all there, as long as there are no calls. */
static void nothing_lost(const struct said *s, const uint8_t *data, size_t size)
{
    static const char kept[] = "#%^@$Q{}*+Z3456789&";

    for (size_t k = 0; k + 1 < sizeof(kept); k++) {
        size_t in = 0, out = 0;

        for (size_t i = 3; i < size; i++)
            in += data[i] == (uint8_t)kept[k];
        for (size_t i = 0; i < s->content.n; i++)
            out += s->content.p[i] == kept[k];
        for (size_t i = 0; i < s->reasoning.n; i++)
            out += s->reasoning.p[i] == kept[k];
        if (in != out)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct said whole, cut;
    static json_t *tools;

    if (size < 3 || size > 1 << 16)
        return 0;
    if (!tools)
        tools = json_loads(tools_text, 0, NULL);
    parse(&whole, tools, data, size, 0);
    parse(&cut, tools, data, size, 1u + data[2] * 7919u);
    if (!same(&whole.reasoning, &cut.reasoning) || !same(&whole.content, &cut.content) ||
        !same(&whole.calls, &cut.calls) || whole.n != cut.n || whole.ended != cut.ended)
        abort();
    if (!whole.n && !(data[0] % 36 == 15)) /* headers of harmony are markers as a whole */
        nothing_lost(&whole, data, size);
    done(&whole);
    done(&cut);
    return 0;
}
