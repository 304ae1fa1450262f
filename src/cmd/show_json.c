/* show_json.c - `hearth show --json`: a model file as one object. */
#include "cmd/show.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "fmt/jtext.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

/* Bytes that are no character become U+FFFD. NULL: no memory, as for all of these. */
static json_t *json_text(struct str s)
{
    struct buf b;
    json_t *out = NULL;
    int rc = 0;

    if (utf8_valid(s.p, s.n))
        return json_stringn_nocheck(s.p, s.n);
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < s.n && rc == 0;) {
        int32_t c;
        size_t len = (size_t)utf8_next(s.p + i, s.n - i, &c);

        rc = c < 0 ? buf_str(&b, "\xef\xbf\xbd") : buf_put(&b, s.p + i, len);
        i += len;
    }
    if (rc == 0)
        out = json_stringn_nocheck(b.p, b.n);
    buf_done(&b);
    return out;
}

/* JSON has no NaN, no infinity, and no integers that all readers hold past 2^63. */
static json_t *json_double(double v, int type)
{
    json_t *out = json_real(type == GGUF_F32 ? num_widen((float)v) : v);

    return out ? out : json_null();
}

static json_t *json_u64(uint64_t v)
{
    return v <= INT64_MAX ? json_integer((json_int_t)v) : json_real((double)v);
}

static json_t *json_elem(const struct gguf_kv *kv, uint64_t i)
{
    switch (kv->elem_type) {
    case GGUF_F32:
    case GGUF_F64:
        return json_double(gguf_arr_f64(kv, i), kv->elem_type);
    case GGUF_BOOL:
        return json_boolean(gguf_arr_int(kv, i));
    case GGUF_U64:
        return gguf_arr_int(kv, i) < INT64_MAX ? json_integer(gguf_arr_int(kv, i))
                                               : json_real(gguf_arr_f64(kv, i));
    default:
        return json_integer(gguf_arr_int(kv, i));
    }
}

static json_t *json_elems(const struct gguf_kv *kv)
{
    json_t *out = json_array();
    struct str *s = NULL;
    int ok = out != NULL;

    if (kv->elem_type == GGUF_STR && kv->n) {
        s = mem_calloc(kv->n, sizeof(*s));
        ok = ok && s;
        if (s)
            gguf_arr_strs(kv, s);
    }
    for (uint64_t i = 0; ok && i < kv->n; i++)
        ok = json_array_append_new(out, s ? json_text(s[i]) : json_elem(kv, i)) == 0;
    mem_free(s);
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *json_value(const struct gguf_kv *kv, int verbose)
{
    switch (kv->type) {
    case GGUF_STR:
        return json_text(kv->v.s);
    case GGUF_ARR:
        return kv->n > SHOW_ELEMS && !verbose ? json_null() : json_elems(kv);
    case GGUF_F32:
    case GGUF_F64:
        return json_double(kv->v.f, kv->type);
    case GGUF_BOOL:
        return json_boolean(kv->v.u);
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        return json_integer(kv->v.i);
    default:
        return json_u64(kv->v.u);
    }
}

static json_t *json_metadata(const struct gguf *g, int verbose)
{
    json_t *out = json_object();
    int ok = out != NULL;

    for (size_t i = 0; ok && i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);

        ok = json_object_setn_new_nocheck(out, kv->key.p, kv->key.n, json_value(kv, verbose)) ==
             0;
    }
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *json_tensor(const struct gguf_tensor *t)
{
    json_t *shape = json_array(), *out = json_object();
    int ok = shape && out;

    for (int k = 0; ok && k < t->n_dim; k++)
        ok = json_array_append_new(shape, json_u64(t->ne[k])) == 0;
    ok = ok && json_object_set_new(out, "name", json_text(t->name)) == 0 &&
         json_object_set_new(out, "type", json_string(gguf_tensor_type_name(t->type))) == 0 &&
         json_object_set(out, "shape", shape) == 0 &&
         json_object_set_new(out, "bytes", json_u64(t->n_byte)) == 0;
    json_decref(shape);
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *json_tensors(const struct gguf *g)
{
    json_t *out = json_array();
    int ok = out != NULL;

    for (size_t i = 0; ok && i < gguf_n_tensor(g); i++)
        ok = json_array_append_new(out, json_tensor(gguf_tensor_at(g, i))) == 0;
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

/* Sets a key; a value of NULL means no memory. */
static void set(json_t *o, const char *key, json_t *value, int *ok)
{
    if (json_object_set_new(o, key, value) != 0)
        *ok = 0;
}

/* On a terminal all but ASCII is escaped: it holds control characters, too. */
int show_json(const struct gguf *g, const struct show_facts *f, const struct store_model *m,
              int verbose, struct err *e)
{
    json_t *o = json_object();
    struct buf text;
    int ok = o != NULL, rc = E_NOMEM;

    buf_init(&text, SIZE_MAX / 2);
    ok = ok && show_stored_json(o, m) == 0;
    set(o, "path", json_text(str_of(gguf_path(g))), &ok);
    set(o, "version", json_integer(gguf_version(g)), &ok);
    set(o, "format", json_text(str_of(gguf_format(g))), &ok);
    set(o, "parts", json_integer((json_int_t)show_n_file(g)), &ok);
    set(o, "file_bytes", json_u64(gguf_file_bytes(g)), &ok);
    set(o, "type", json_string(f->adapter ? "adapter" : "model"), &ok);
    set(o, "capabilities", store_can_json(f->can), &ok);
    set(o, "architecture", f->arch.n ? json_text(f->arch) : json_null(), &ok);
    set(o, "parameters", json_u64(f->n_param), &ok);
    set(o, "context_length", f->has_ctx ? json_u64(f->n_ctx) : json_null(), &ok);
    set(o, "embedding_length", f->has_embd ? json_u64(f->n_embd) : json_null(), &ok);
    set(o, "quantization", f->quant ? json_string(f->quant) : json_null(), &ok);
    set(o, "metadata", json_metadata(g, verbose), &ok);
    if (verbose)
        set(o, "tensors", json_tensors(g), &ok);
    if (ok)
        rc = jtext_put(&text, o,
                       JSON_INDENT(2) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    json_decref(o);
    if (rc < 0)
        (void)err_set(e, rc, "%s: no memory to show it", gguf_path(g));
    else
        (void)puts(text.p);
    buf_done(&text);
    return rc;
}
