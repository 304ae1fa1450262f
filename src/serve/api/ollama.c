/* ollama.c - errors of Ollama's dialect. */
#include "serve/json_out.h"
#include "serve/route.h"

static int error_json(struct buf *out, int status, const struct err *e, const char *param,
                      const char *id)
{
    struct json_out w;

    (void)status, (void)param, (void)id; /* the text names the field */
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "error");
    json_out_str(&w, e->msg);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

const struct dialect dialect_ollama = {"ollama", "application/json; charset=utf-8", error_json};
