/* route_list.c - whose routes there are. Apart from route.c, so that who only looks for a route
 * is not linked with all dialects.
 */
#include "serve/api/anthropic.h"
#include "serve/api/llama.h"
#include "serve/api/ollama.h"
#include "serve/api/openai_routes.h"
#include "serve/api/server.h"

/* A dialect is a line here: its table and how many rows that has. */
const struct route_list route_lists[] = {
    {server_routes, SERVER_N_ROUTE},       {api_openai_routes, API_OPENAI_N_ROUTE},
    {anthropic_routes, ANTHROPIC_N_ROUTE}, {llama_routes, LLAMA_N_ROUTE},
    {ollama_routes, OLLAMA_N_ROUTE},       {NULL, 0},
};
