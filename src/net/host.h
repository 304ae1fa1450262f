/* host.h - where a server is: what people write, as a URL.
 *
 * Uses     base/
 */
#ifndef HEARTH_NET_HOST_H
#define HEARTH_NET_HOST_H

#include "base/buf.h"
#include "base/err.h"

#define HOST_DEFAULT "http://127.0.0.1:11434"

struct host {
    struct buf url; /* "http://host:port", no slash at the end; a prefix of paths may follow */
    struct buf socket; /* of a unix socket the path; else empty */
    int is_local;      /* this machine */
};

/* text: host:port, :port, host, a whole URL, unix:/path; blanks and quotes around it do not
 * count, "" is the default. 0.0.0.0 and :: mean this machine. A URL without a port has its
 * scheme's, everything else 11434.
 * Fails: E_INVALID; E_NOMEM. Then *h is empty. */
MUST_CHECK int host_read(struct host *h, const char *text, struct err *e);
void host_done(struct host *h);

#endif
