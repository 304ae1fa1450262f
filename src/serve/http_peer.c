/* Who has closed its half of a connection either is gone or waits for the answer: both look
 * alike from here. When the other end is on this machine, the system knows its socket
 * (sock_diag) and whether a process still has it open. Elsewhere only bytes tell: whoever is
 * gone answers them with a reset. Before an answer has begun, HTTP/1.1 allows interim ones,
 * which clients skip. */
#include "serve/http_priv.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

/* The address of an IPv4 peer, which is kept in the room of an IPv6 one. */
static in_addr_t four_of(const struct sockaddr_in6 *a)
{
    struct sockaddr_in four;

    memcpy(&four, a, sizeof(four));
    return four.sin_addr.s_addr;
}

static void put_address(const struct sockaddr_in6 *a, __be32 out[4], __be16 *port)
{
    *port = a->sin6_port; /* at the same place in both */
    if (a->sin6_family == AF_INET)
        out[0] = four_of(a);
    else
        memcpy(out, &a->sin6_addr, 16);
}

static int is_local(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    if (a->sin6_family == AF_INET)
        return ntohl(four_of(a)) >> 24 == 127 || four_of(a) == four_of(b);
    return IN6_ARE_ADDR_EQUAL(&a->sin6_addr, &b->sin6_addr);
}

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 req;
};

/* The answer's bytes, or -1. */
static ssize_t ask(const struct question *q, void *out, size_t n)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    ssize_t got = -1;

    if (fd < 0)
        return -1;
    if (send(fd, q, sizeof(*q), 0) == (ssize_t)sizeof(*q))
        got = recv(fd, out, n, MSG_DONTWAIT); /* it is there when send returns */
    (void)close(fd);
    return got;
}

int http_peer_gone(const struct conn *c)
{
    struct question q = {.head = {.nlmsg_len = sizeof(q),
                                  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                  .nlmsg_flags = NLM_F_REQUEST}};
    union {
        struct nlmsghdr head;
        char room[1024];
    } a;
    const struct inet_diag_msg *m = NLMSG_DATA(&a.head);
    struct sockaddr_in6 own = {0};
    socklen_t n = sizeof(own);
    ssize_t got;

    if (c->is_unix || getsockname(c->fd, (struct sockaddr *)&own, &n) != 0 ||
        !is_local(&c->peer, &own))
        return -1;
    q.req.sdiag_family = (__u8)c->peer.sin6_family;
    q.req.sdiag_protocol = IPPROTO_TCP;
    q.req.idiag_states = ~0u;
    q.req.id.idiag_cookie[0] = q.req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    put_address(&c->peer, q.req.id.idiag_src, &q.req.id.idiag_sport);
    put_address(&own, q.req.id.idiag_dst, &q.req.id.idiag_dport);
    got = ask(&q, &a, sizeof(a));
    if (got < (ssize_t)NLMSG_HDRLEN)
        return -1;
    if (a.head.nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *e = NLMSG_DATA(&a.head);

        return got >= (ssize_t)NLMSG_LENGTH(sizeof(int)) && e->error == -2 /* ENOENT */ ? 1
                                                                                        : -1;
    }
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(*m)))
        return -1;
    return m->idiag_inode == 0;
}
