/* Bodies of llama-server's requests. Input: see api.h; the route is the row of the table. */
#define NEIGHBOURS_HAVE_MODELS /* one, below */
#include "api.h"

#include "../unit/text/small.h"
#include "serve/api/llama.h"
#include "serve/local.h"

/* One model, of a few tokens. */
static struct tok *tok;

WEAK void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                     void *ctx)
{
    (void)l;
    visit(ctx, &(struct local_info){.name = "m:latest", .state = LOCAL_READY});
}

WEAK int local_hold(struct local *l, struct str name, struct local_model **out, struct err *e)
{
    (void)l, (void)e;
    *out = NULL;
    return name.n ? 0 : E_NOT_FOUND;
}

WEAK void local_let_go(struct local_model *m)
{
    (void)m;
}

WEAK const struct tok *local_tok(const struct local_model *m)
{
    (void)m;
    return tok;
}

WEAK struct str local_template(const struct local_model *m)
{
    (void)m;
    return str_of("{{ x }}");
}

WEAK const struct chat *local_chat(const struct local_model *m)
{
    (void)m;
    return NULL;
}

WEAK int local_context(struct local *l, const struct store_model *m)
{
    (void)l, (void)m;
    return 128;
}

WEAK void local_model_info(const struct local_model *m, struct local_info *out)
{
    (void)m;
    *out = (struct local_info){.name = "m:latest", .path = "/m.gguf"};
}

WEAK void local_slots(const struct local_model *m,
                      void (*visit)(void *ctx, const struct sched_slot *slot), void *ctx)
{
    (void)m;
    visit(ctx, &(struct sched_slot){.id = 1});
}

static const struct route_list lists[] = {{llama_routes, LLAMA_N_ROUTE}, {NULL, 0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct small s;

    if (!tok) {
        small_spm(&s);
        tok = small_tok(&s);
    }
    return api_fuzz(lists, data, size);
}
