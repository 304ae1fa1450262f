/* json_out.h - JSON written piece by piece, where a tree of values would cost more than the
 * text.
 *
 *     struct json_out w;
 *
 *     json_out_init(&w, buf);
 *     json_out_open(&w, '{');
 *     json_out_key(&w, "index");
 *     json_out_int(&w, 0);
 *     json_out_close(&w, '}');
 *     return json_out_end(&w);         {"index":0}
 *
 * Commas come by themselves. The first failure is kept and what follows does nothing, so that
 * only the end is checked. Keys are ours: they are written as they stand.
 *
 * Threads  a writer belongs to one thread, as its buffer does
 * Uses     base/, fmt/; jansson
 */
#ifndef HEARTH_SERVE_JSON_OUT_H
#define HEARTH_SERVE_JSON_OUT_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

struct json_out {
    struct buf *out;
    int rc;    /* 0, or the first failure */
    int comma; /* 1: a value stands before what comes next */
};

void json_out_init(struct json_out *w, struct buf *out);
/* 0, or the first failure: E_NOMEM, E_TOO_LONG past the buffer's maximum. */
MUST_CHECK int json_out_end(const struct json_out *w);

void json_out_open(struct json_out *w, char c);  /* { or [ */
void json_out_close(struct json_out *w, char c); /* } or ] */
void json_out_key(struct json_out *w, const char *key);
/* What is not UTF-8 becomes U+FFFD; a NUL is a character like others. */
void json_out_text(struct json_out *w, struct str s);
void json_out_str(struct json_out *w, const char *s); /* NULL: null */
void json_out_int(struct json_out *w, int64_t n);
void json_out_bool(struct json_out *w, int v);
void json_out_null(struct json_out *w);
/* The shortest digits that give the same number again; null for NaN and infinity. */
void json_out_float(struct json_out *w, float x);
void json_out_double(struct json_out *w, double x);
void json_out_value(struct json_out *w, const json_t *v); /* NULL: null */
/* A value that is JSON already. */
void json_out_raw(struct json_out *w, struct str json);

#endif
