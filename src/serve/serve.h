/* serve.h - the server: what its parts share.
 *
 * Layout of the room
 *   http.c       connections, limits, who may speak: HTTP into calls (call.h)
 *   route.c      which path is whose
 *   api/         the dialects: JSON into gate_request, events into JSON
 *   ask.c        what dialects do alike with a request under way
 *   local.c      the local engine as a provider: the one file that knows both sides
 *   metrics.c    what is counted
 *   config.c     hearth.yaml and the environment
 *
 * Threads  one for I/O, some for handlers, one timer, one engine thread for each loaded model
 * Uses     all rooms below
 */
#ifndef HEARTH_SERVE_SERVE_H
#define HEARTH_SERVE_SERVE_H

#include "base/err.h"

#include <stdint.h>

struct ask_list;
struct auth;
struct config;
struct local;
struct metrics;
struct provider;
struct responses;
struct route_list;
struct store;

struct serve {
    _Atomic(const struct config *) config; /* reloading sets another; old ones stay valid */
    struct store *store;
    struct local *local;       /* NULL in tests that bring a provider of their own */
    struct provider *provider; /* answers requests */
    struct metrics *metrics;
    struct auth *auth;
    struct ask_list *asks;
    const struct route_list *routes; /* NULL: all of this program */
    struct responses *responses; /* api/openai_responses.c's: what is kept between requests */
    uint64_t start_ns;           /* monotonic */
    int64_t start_time;          /* seconds since 1970 */
};

#endif
