/* Bodies of OpenAI's requests. Input: see api.h; the route is the row of the table. */
#include "api.h"

#include "serve/api/openai_routes.h"

static const struct route_list lists[] = {{api_openai_routes, API_OPENAI_N_ROUTE}, {NULL, 0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return api_fuzz(lists, data, size);
}
