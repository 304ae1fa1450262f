#include "infer/guided.h"

#include "infer/engine.h"
#include "text/guide.h"

static int guided_mask(void *ctx, uint32_t *bits, struct hearth_error *e)
{
    return guide_mask(ctx, bits, engine_err(e));
}

static int guided_accept(void *ctx, int32_t id, struct hearth_error *e)
{
    return guide_accept(ctx, id, engine_err(e));
}

static int guided_forced(void *ctx, int32_t *ids, int max, struct hearth_error *e)
{
    return guide_forced(ctx, ids, max, engine_err(e));
}

struct hearth_guide guided_by(struct guide *g)
{
    return (struct hearth_guide){
        .ctx = g, .mask = guided_mask, .accept = guided_accept, .forced = guided_forced};
}
