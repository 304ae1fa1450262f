/* schema_text.c - sets of strings: an expression and bounds for the length beside it. */
#include "text/gram/schema_part.h"

#include "base/utf8.h"

int schema_rx_check(struct schema *s)
{
    return rx_error(s->rx, s->e);
}

/* 1: lengths say nothing. */
static int unbounded(const struct schema_text *t)
{
    return t->min == 0 && t->max == GRAM_INF;
}

rx_id schema_text_rx(struct schema *s, const struct schema_text *t)
{
    uint32_t min = t->min < RX_INF ? (uint32_t)t->min : RX_INF - 1;
    uint32_t max = t->max < RX_INF ? (uint32_t)t->max : RX_INF;
    rx_id length;

    if (unbounded(t) || t->rx == RX_NONE)
        return t->rx;
    if (min > max)
        return RX_NONE;
    length = rx_repeat(s->rx, rx_any(s->rx), min, max);
    return t->rx == s->any_text ? length : rx_and(s->rx, t->rx, length);
}

/* Bounds stay bounds under "and", the others need one expression. */
int schema_text_join(struct schema *s, enum schema_op op, const struct schema_text *a,
                     const struct schema_text *b, struct schema_text *out)
{
    struct schema_text r = {.max = GRAM_INF};
    rx_id x = a->rx, y = b->rx;

    if (op == SET_AND) {
        r.rx = x == s->any_text ? y : y == s->any_text ? x : rx_and(s->rx, x, y);
        r.min = a->min > b->min ? a->min : b->min;
        r.max = a->max < b->max ? a->max : b->max;
        if (r.min > r.max)
            r = (struct schema_text){.rx = RX_NONE, .max = GRAM_INF};
    } else {
        x = schema_text_rx(s, a);
        y = schema_text_rx(s, b);
        if (op == SET_OR)
            r.rx = x == s->any_text || y == s->any_text ? s->any_text : rx_alt(s->rx, x, y);
        else
            r.rx = y == RX_NONE       ? x
                   : y == s->any_text ? RX_NONE
                                      : rx_and(s->rx, x, rx_not(s->rx, y));
    }
    *out = r;
    if (r.rx != s->any_text && r.rx != RX_NONE && r.min > SCHEMA_LENGTH)
        return err_set(s->e, E_TOO_LONG,
                       "\"minLength\" of more than %d beside what else says of strings",
                       SCHEMA_LENGTH);
    return schema_rx_check(s);
}

int schema_text_live(struct schema *s, const struct schema_text *t)
{
    rx_id rx;
    int rc;

    if (t->rx == RX_NONE || t->min > t->max)
        return 0;
    if (t->rx == s->any_text)
        return 1;
    /* Of texts without end some are as long as you like. */
    if (t->max == GRAM_INF && (rc = rx_finite(s->rx, t->rx, s->e)) <= 0)
        return rc < 0 ? rc : 1;
    rx = schema_text_rx(s, t);
    rc = schema_rx_check(s);
    return rc < 0 ? rc : rx_live(s->rx, rx, s->e);
}

int schema_text_has(struct schema *s, rx_id rx, struct str text)
{
    int32_t cp;
    int rc;

    if (rx == s->any_text)
        return 1;
    while (text.n && rx != RX_NONE) {
        int n = utf8_next(text.p, text.n, &cp);

        if (cp < 0)
            return 0;
        if ((rc = rx_step(s->rx, rx, (uint32_t)cp, &rx, s->e)) < 0)
            return rc;
        text = (struct str){text.p + n, text.n - (size_t)n};
    }
    return rx != RX_NONE && rx_accepts(s->rx, rx);
}

int schema_pattern(struct schema *s, uint32_t node, int kw, struct str pattern, rx_id *out)
{
    struct err e;
    int rc;

    if (map_get(&s->patterns, pattern, out))
        return 0;
    rc = rx_parse(s->rx, pattern, RX_SEARCH, out, &e);
    if (rc < 0)
        return schema_fail(s, rc, node, schema_kw_name(kw), "%s", e.msg);
    if (map_put(&s->patterns, pattern, *out, NULL) < 0)
        return schema_nomem(s);
    return 0;
}
