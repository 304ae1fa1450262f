/* gram_make.h - grammars for tests: JSON values as a schema would have them, and others. */
#ifndef HEARTH_TESTS_TEXT_GRAM_MAKE_H
#define HEARTH_TESTS_TEXT_GRAM_MAKE_H

#include "text/gram/gram.h"

#include <stdlib.h>

static inline rx_id make_any(struct gram *g)
{
    return rx_repeat(gram_rx(g), rx_any(gram_rx(g)), 0, RX_INF);
}

static inline rx_id make_range(struct gram *g, uint32_t lo, uint32_t hi)
{
    return rx_set(gram_rx(g), &(struct rx_range){lo, hi}, 1);
}

/* Blanks, as JSON has them. */
static inline gram_ref make_ws(struct gram *g)
{
    struct rx_range blank[] = {{' ', ' '}, {'\t', '\n'}, {'\r', '\r'}};

    return gram_text(g, rx_repeat(gram_rx(g), rx_set(gram_rx(g), blank, 3), 0, RX_INF));
}

/* The text between blanks; tight: without. */
static inline gram_ref make_mark(struct gram *g, const char *text, int before, int after)
{
    gram_ref part[3] = {before ? make_ws(g) : GRAM_EMPTY, gram_bytes(g, str_of(text)),
                        after ? make_ws(g) : GRAM_EMPTY};

    return gram_seq(g, part, 3);
}

static inline gram_ref make_number(struct gram *g)
{
    struct rx *r = gram_rx(g);
    rx_id digit = make_range(g, '0', '9'), digits = rx_repeat(r, digit, 1, RX_INF);
    rx_id sign[] = {rx_text(r, str_of("+")), rx_text(r, str_of("-"))};
    rx_id whole = rx_alt(r, rx_text(r, str_of("0")),
                         rx_seq(r, make_range(g, '1', '9'), rx_repeat(r, digit, 0, RX_INF)));
    rx_id part = rx_seq(r, rx_text(r, str_of(".")), digits);
    rx_id power = rx_seq(r, make_range(g, 'e', 'e'),
                         rx_seq(r, rx_repeat(r, rx_alt(r, sign[0], sign[1]), 0, 1), digits));

    whole = rx_seq(r, rx_repeat(r, sign[1], 0, 1), whole);
    return gram_text(
        g, rx_seq(r, whole, rx_seq(r, rx_repeat(r, part, 0, 1), rx_repeat(r, power, 0, 1))));
}

static inline struct gram_object make_object(struct gram *g, const struct gram_prop *prop,
                                             uint32_t n, int ws)
{
    return (struct gram_object){.prop = prop,
                                .n_prop = n,
                                .max = GRAM_INF,
                                .open = make_mark(g, "{", 0, ws),
                                .colon = make_mark(g, ":", ws, ws),
                                .comma = make_mark(g, ",", ws, ws),
                                .close = make_mark(g, "}", ws, 0)};
}

static inline struct gram_array make_array(struct gram *g, gram_ref items, int ws)
{
    return (struct gram_array){.items = items,
                               .max = GRAM_INF,
                               .open = make_mark(g, "[", 0, ws),
                               .comma = make_mark(g, ",", ws, ws),
                               .close = make_mark(g, "]", ws, 0)};
}

/* Any JSON value, with blanks when ws. */
static inline gram_ref make_json(struct gram *g, int ws)
{
    gram_ref value = gram_rule(g), kind[6];
    struct gram_rest rest = {make_any(g), value};
    struct gram_object o = make_object(g, NULL, 0, ws);
    struct gram_array a = make_array(g, value, ws);

    o.rest = &rest;
    o.n_rest = 1;
    kind[0] = gram_object(g, &o);
    kind[1] = gram_array(g, &a);
    kind[2] = gram_json_string(g, make_any(g), 0);
    kind[3] = make_number(g);
    kind[4] = gram_bytes(g, str_of("true"));
    kind[5] = gram_bytes(g, str_of("null"));
    gram_rule_set(g, value, gram_alt(g, kind, 6));
    return value;
}

/* A record with properties of several types, some required, one that needs another. */
static inline gram_ref make_record(struct gram *g, int ws, int ordered)
{
    static const uint32_t needs[] = {3};
    struct rx *r = gram_rx(g);
    gram_ref text = gram_json_string(g, make_any(g), 1), number = make_number(g);
    gram_ref kinds[] = {gram_bytes(g, str_of("\"red\"")), gram_bytes(g, str_of("\"green\"")),
                        gram_bytes(g, str_of("\"blue\""))};
    rx_id upper = rx_repeat(r, make_range(g, 'A', 'Z'), 2, 4);
    struct gram_array tags = make_array(g, text, ws);
    struct gram_rest rest = {rx_seq(r, rx_text(r, str_of("x-")), upper), number};
    struct gram_prop prop[] = {
        {str_of("name"), text, 1, NULL, 0},
        {str_of("age"), number, 1, NULL, 0},
        {str_of("color"), gram_alt(g, kinds, 3), 0, NULL, 0},
        {str_of("code"), gram_json_string(g, upper, 0), 0, NULL, 0},
        {str_of("country"), text, 0, needs, 1},
        {str_of("tags"), GRAM_NEVER, 0, NULL, 0},
        {str_of("na\xc3\xafve"), make_json(g, ws), 0, NULL, 0},
    };
    struct gram_object o;

    tags.max = 3;
    prop[5].value = gram_array(g, &tags);
    o = make_object(g, prop, sizeof(prop) / sizeof(*prop), ws);
    o.rest = &rest;
    o.n_rest = 1;
    o.ordered = ordered;
    return gram_object(g, &o);
}

#endif
