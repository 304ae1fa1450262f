/* Bodies of Anthropic's requests. Input: see api.h; the route is the row of the table. */
#include "api.h"

#include "serve/api/anthropic.h"

static const struct route_list lists[] = {{anthropic_routes, ANTHROPIC_N_ROUTE}, {NULL, 0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return api_fuzz(lists, data, size);
}
