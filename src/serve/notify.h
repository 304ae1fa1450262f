/* notify.h - telling systemd how the server is: sd_notify(3) without its library.
 *
 * A message is a datagram of lines to the socket that $NOTIFY_SOCKET names. Without it nothing
 * happens.
 *
 * Threads  any
 * Source   sd_notify(3); a name that begins with '@' is an abstract socket
 */
#ifndef HEARTH_SERVE_NOTIFY_H
#define HEARTH_SERVE_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", ... */
void notify_send(const char *state);
void notify_reloading(void); /* READY=1 ends it */
/* How often systemd wants to hear WATCHDOG=1, in nanoseconds; 0: it does not. */
uint64_t notify_watchdog_ns(void);

#endif
