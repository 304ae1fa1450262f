/* server.h - the routes of the server itself: is it well, what has it counted, who is it.
 *
 * Uses     serve/
 */
#ifndef HEARTH_SERVE_API_SERVER_H
#define HEARTH_SERVE_API_SERVER_H

#include "serve/route.h"

enum { SERVER_N_ROUTE = 4 };

extern const struct route server_routes[SERVER_N_ROUTE];

#endif
