#include "cmd/term.h"

#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

int term_write(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (k < 0 && errno == EAGAIN) {
            struct pollfd w = {.fd = fd, .events = POLLOUT};

            (void)poll(&w, 1, -1);
        } else if (k < 0 && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Marks that reorder text: what is shown would not be what is there. */
static int turns_text(int32_t cp)
{
    return (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

static int put_char(struct buf *out, const char *p, int n, int32_t cp)
{
    if (cp == '\n' || cp == '\t')
        return buf_byte(out, (int)cp);
    if (cp >= 0 && cp < 0x20)
        return buf_fmt(out, "^%c", (char)(cp + 0x40));
    if (cp < 0 || (cp >= 0x7f && cp < 0xa0) || turns_text(cp))
        return buf_str(out, REPLACEMENT);
    return buf_put(out, p, (size_t)n);
}

int term_clean(struct buf *out, const char *p, size_t n)
{
    while (n > 0) {
        int32_t cp;
        int k = utf8_next(p, n, &cp), rc = put_char(out, p, k, cp);

        if (rc < 0)
            return rc;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* 12 345 678 ns in units of 1 000 000 ns: "12.346". */
static void put_decimal(uint64_t ns, uint64_t unit, const char *name, char *out, size_t cap)
{
    uint64_t milli = (ns * 1000 + unit / 2) / unit;
    char digits[8];
    int n = 3;

    (void)snprintf(digits, sizeof(digits), "%03u", (unsigned)(milli % 1000));
    while (n > 0 && digits[n - 1] == '0')
        n--;
    (void)snprintf(out, cap, "%llu%s%.*s%s", (unsigned long long)(milli / 1000), n ? "." : "",
                   n, digits, name);
}

void term_duration(uint64_t ns, char *out, size_t cap)
{
    uint64_t minute = 60000000000u;
    size_t n;

    if (ns == 0)
        (void)snprintf(out, cap, "0s");
    else if (ns < 1000000)
        put_decimal(ns, 1000, "\xC2\xB5s", out, cap);
    else if (ns < 1000000000)
        put_decimal(ns, 1000000, "ms", out, cap);
    else if (ns < minute)
        put_decimal(ns, 1000000000, "s", out, cap);
    else {
        (void)snprintf(out, cap, "%llum", (unsigned long long)(ns / minute));
        n = strlen(out);
        put_decimal(ns % minute, 1000000000, "s", out + n, cap - n);
    }
}
