/* run_call.c - calls of tools as `hearth run` prints them. What the model wrote is printed as
 * it stands: a number that is read and written again may become another. */
#include "cmd/run.h"

#include "base/utf8.h"
#include "fmt/jtext.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 << 20)

json_t *run_text_json(const struct buf *b)
{
    struct buf clean;
    json_t *s = NULL;

    buf_init(&clean, 3 * TEXT_MAX);
    if (utf8_mend(&clean, b->p ? b->p : "", b->n) == 0)
        s = json_stringn(clean.p ? clean.p : "", clean.n);
    buf_done(&clean);
    return s;
}

/* JSON on one line: blanks outside of strings are left out, numbers stay as they were written.
 */
static int put_compact(struct buf *out, const struct buf *json)
{
    int in_string = 0, rc = 0;

    for (size_t i = 0; i < json->n && rc == 0; i++) {
        char c = json->p[i];

        if (in_string && c == '\\' && i + 1 < json->n) {
            rc = buf_byte(out, c);
            c = json->p[++i];
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && strchr(" \n\r\t", c)) {
            continue;
        }
        if (rc == 0)
            rc = buf_byte(out, c);
    }
    return rc;
}

int run_json_put(struct buf *out, const json_t *value)
{
    return value ? jtext_put(out, value, 0) : E_NOMEM;
}

json_t *run_call_arguments(const struct buf *written)
{
    const char *p = written->p ? written->p : "";
    json_t *args = json_loadb(p, written->n, JSON_ALLOW_NUL, NULL);

    if (!args)
        args = json_loadb(p, written->n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    return args ? args : run_text_json(written);
}

int run_call_put(struct buf *out, const json_t *function, const struct buf *arguments)
{
    const json_t *args = json_object_get(function, "arguments");
    int rc = buf_str(out, "{\"name\":");

    if (rc == 0)
        rc = run_json_put(out, json_object_get(function, "name"));
    if (rc == 0)
        rc = buf_str(out, ",\"arguments\":");
    if (rc == 0)
        rc = json_is_object(args) ? put_compact(out, arguments) : run_json_put(out, args);
    return rc < 0 ? rc : buf_byte(out, '}');
}

int run_call_list(struct buf *b, const json_t *call, struct str function)
{
    const json_t *id = json_object_get(call, "id");
    int rc = buf_fmt(b, "%s{\"type\":\"function\",\"function\":", b->n ? "," : "");

    if (rc == 0)
        rc = buf_put(b, function.p, function.n);
    if (rc == 0 && id)
        rc = buf_str(b, ",\"id\":");
    if (rc == 0 && id)
        rc = run_json_put(b, id);
    return rc < 0 ? rc : buf_byte(b, '}');
}
