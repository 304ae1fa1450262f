#include "serve/json_out.h"

#include "base/num.h"
#include "fmt/jtext.h"

#include <math.h>
#include <stdio.h>

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

void json_out_text(struct json_out *w, struct str s)
{
    value(w);
    put(w, "\"", 1);
    if (w->rc == 0)
        w->rc = jtext_escape(w->out, s, 0);
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

void json_out_float(struct json_out *w, float x)
{
    char text[NUM_TEXT];

    if (isfinite(x))
        json_out_raw(w, (struct str){text, (size_t)num_float(text, x)});
    else
        json_out_null(w);
}

void json_out_double(struct json_out *w, double x)
{
    char text[NUM_TEXT];

    if (isfinite(x))
        json_out_raw(w, (struct str){text, (size_t)num_double(text, x)});
    else
        json_out_null(w);
}

void json_out_value(struct json_out *w, const json_t *v)
{
    value(w);
    if (w->rc == 0)
        w->rc = v ? jtext_put(w->out, v, 0) : buf_str(w->out, "null");
}
