/* walk.h - for tests of expressions: whether a text matches. */
#ifndef HEARTH_TESTS_TEXT_WALK_H
#define HEARTH_TESTS_TEXT_WALK_H

#include "base/utf8.h"
#include "text/gram/rx.h"

/* 1 when it does, 0 when not, or what failed. */
static inline int walk(struct rx *r, rx_id id, struct str text, struct err *e)
{
    for (size_t i = 0; i < text.n && id != RX_NONE;) {
        int32_t cp;
        int rc;

        i += (size_t)utf8_next(text.p + i, text.n - i, &cp);
        rc = rx_step(r, id, (uint32_t)cp, &id, e);
        if (rc < 0)
            return rc;
    }
    return rx_accepts(r, id);
}

#endif
