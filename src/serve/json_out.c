#include "serve/json_out.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void json_out_init(struct json_out *w, struct buf *out)
{
    *w = (struct json_out){.out = out};
}

int json_out_end(const struct json_out *w)
{
    return w->rc;
}

static void put(struct json_out *w, const char *p, size_t n)
{
    if (w->rc == 0)
        w->rc = buf_put(w->out, p, n);
}

/* What stands in front of a value. */
static void value(struct json_out *w)
{
    if (w->comma)
        put(w, ",", 1);
    w->comma = 1;
}

void json_out_open(struct json_out *w, char c)
{
    value(w);
    put(w, &c, 1);
    w->comma = 0;
}

void json_out_close(struct json_out *w, char c)
{
    put(w, &c, 1);
    w->comma = 1;
}

void json_out_key(struct json_out *w, const char *key)
{
    value(w);
    put(w, "\"", 1);
    put(w, key, strlen(key));
    put(w, "\":", 2);
    w->comma = 0;
}

/* How a byte that may not stand in a string is written there. */
static size_t escape(unsigned char c, char out[8])
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    out[0] = '\\';
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if (c == (unsigned char)shorts[i]) {
            out[1] = shorts[i + 1];
            return 2;
        }
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = "0123456789abcdef"[c >> 4];
    out[5] = "0123456789abcdef"[c & 15];
    return 6;
}

int json_out_escape(struct buf *out, struct str s)
{
    size_t from = 0, at = 0;
    int rc = 0;

    while (at < s.n && rc == 0) {
        unsigned char c = (unsigned char)s.p[at];
        char text[8] = "\xef\xbf\xbd";
        size_t n_text = 3;
        int len = 1;

        if (c >= 0x80) {
            int32_t cp;

            len = utf8_next(s.p + at, s.n - at, &cp);
            if (cp >= 0) {
                at += (size_t)len;
                continue;
            }
        } else if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            at++;
            continue;
        } else {
            n_text = escape(c, text);
        }
        rc = buf_put(out, s.p + from, at - from);
        if (rc == 0)
            rc = buf_put(out, text, n_text);
        at += (size_t)len;
        from = at;
    }
    if (rc == 0 && at > from)
        rc = buf_put(out, s.p + from, at - from);
    return rc;
}

void json_out_text(struct json_out *w, struct str s)
{
    value(w);
    put(w, "\"", 1);
    if (w->rc == 0)
        w->rc = json_out_escape(w->out, s);
    put(w, "\"", 1);
}

void json_out_str(struct json_out *w, const char *s)
{
    if (s)
        json_out_text(w, str_of(s));
    else
        json_out_null(w);
}

void json_out_raw(struct json_out *w, struct str json)
{
    value(w);
    put(w, json.p, json.n);
}

void json_out_null(struct json_out *w)
{
    json_out_raw(w, str_of("null"));
}

void json_out_bool(struct json_out *w, int v)
{
    json_out_raw(w, str_of(v ? "true" : "false"));
}

void json_out_int(struct json_out *w, int64_t n)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)n);

    json_out_raw(w, (struct str){text, (size_t)len});
}

/* The locale of numbers is always C's (docs/pitfalls.md). */
void json_out_float(struct json_out *w, float x)
{
    char text[32];
    int len = 0;

    if (!isfinite(x)) {
        json_out_null(w);
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        len = snprintf(text, sizeof(text), "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    json_out_raw(w, (struct str){text, (size_t)len});
}

void json_out_double(struct json_out *w, double x)
{
    char text[32];
    int len = 0;

    if (!isfinite(x)) {
        json_out_null(w);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(text, sizeof(text), "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    json_out_raw(w, (struct str){text, (size_t)len});
}

static int dump(const char *p, size_t n, void *ctx)
{
    struct json_out *w = ctx;

    put(w, p, n);
    return w->rc == 0 ? 0 : -1;
}

void json_out_value(struct json_out *w, const json_t *v)
{
    if (!v) {
        json_out_null(w);
        return;
    }
    value(w);
    if (w->rc == 0 && json_dump_callback(v, dump, w, JSON_COMPACT | JSON_ENCODE_ANY) != 0 &&
        w->rc == 0)
        w->rc = E_NOMEM;
}
