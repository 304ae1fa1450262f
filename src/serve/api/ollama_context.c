/* ollama_context.c - what /api/generate gives as "context", and takes back.
 *
 * Once these numbers were the tokens of the conversation. Clients only hand them back, so here
 * they hold the conversation itself: a mark that no token is, its length in bytes, and its
 * JSON, three bytes to a number. A template then writes it as any other conversation. */
#include "serve/api/ollama.h"

#include "serve/json_out.h"

#include <stdio.h>
#include <string.h>

enum { MARK = -7007, CONTEXT_MAX = 8 << 20 };

static int put_bytes(struct buf *out, struct str s)
{
    int rc = buf_fmt(out, "[%d,%zu", MARK, s.n);

    for (size_t i = 0; i < s.n && rc == 0; i += 3) {
        unsigned v = 0;

        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0U);
        rc = buf_fmt(out, ",%u", v);
    }
    return rc < 0 ? rc : buf_byte(out, ']');
}

int ollama_context_put(struct buf *out, const json_t *messages)
{
    struct json_out w;
    struct buf text;
    int rc;

    buf_init(&text, CONTEXT_MAX);
    json_out_init(&w, &text);
    json_out_value(&w, messages);
    rc = json_out_end(&w);
    if (rc == 0)
        rc = put_bytes(out, (struct str){text.p, text.n});
    else if (rc == E_TOO_LONG)
        rc = buf_str(out, "[]");
    buf_done(&text);
    return rc;
}

static int bad(struct err *e)
{
    return err_set(e, E_INVALID,
                   "context is not one that this server gave; conversations of "
                   "other servers can be gone on with by /api/chat");
}

static int get_bytes(const json_t *context, struct buf *out, struct err *e)
{
    json_int_t n = json_integer_value(json_array_get(context, 1));

    if (json_integer_value(json_array_get(context, 0)) != MARK || n < 2 || n > CONTEXT_MAX ||
        json_array_size(context) != 2 + ((size_t)n + 2) / 3)
        return bad(e);
    for (size_t i = 2; i < json_array_size(context); i++) {
        const json_t *item = json_array_get(context, i);
        json_int_t v = json_integer_value(item);
        char three[3] = {(char)(v >> 16 & 255), (char)(v >> 8 & 255), (char)(v & 255)};

        if (!json_is_integer(item) || v < 0 || v > 0xffffff)
            return bad(e);
        if (buf_put(out, three, 3) < 0)
            return err_set(e, E_NOMEM, "no memory for a context");
    }
    out->n = (size_t)n;
    return 0;
}

/* What came back is the client's word: only texts of these roles are taken. */
static int is_conversation(const json_t *messages)
{
    const json_t *m;
    size_t i;

    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));

        if (!role || json_object_size(m) != 2 ||
            !json_is_string(json_object_get(m, "content")) ||
            (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0 &&
             strcmp(role, "system") != 0))
            return 0;
    }
    return json_is_array(messages);
}

int ollama_context_get(const json_t *context, json_t **messages, struct err *e)
{
    struct buf text;
    int rc;

    buf_init(&text, CONTEXT_MAX + 4);
    rc = get_bytes(context, &text, e);
    if (rc == 0) {
        *messages = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (!is_conversation(*messages)) {
            json_decref(*messages);
            rc = bad(e);
        }
    }
    buf_done(&text);
    return rc;
}
