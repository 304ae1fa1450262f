/* Grammars that are built by the input, and texts of it. Input: how many instructions, then as
 * many of two bytes (what, which), then a text. Expressions stand on a stack of 16. */
#include "text/gram/gram.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STACK = 16 };

struct builder {
    struct gram *g;
    gram_ref at[STACK]; /* the latest last, the rest falls out */
    gram_ref rule;
};

static void push(struct builder *b, gram_ref r)
{
    memmove(b->at, b->at + 1, (STACK - 1) * sizeof(*b->at));
    b->at[STACK - 1] = r;
}

static gram_ref object(struct builder *b, unsigned k)
{
    static const char *const names[] = {"a", "ab", "\xc3\xa9", "", "b\"", "zz"};
    static const uint32_t needs[] = {2, 0, 1};
    struct rx *r = gram_rx(b->g);
    struct gram_rest rest = {
        rx_repeat(r, rx_text(r, str_of(k & 1 ? "k" : "x")), 1, k & 2 ? 3 : RX_INF),
        b->at[STACK - 1]};
    struct gram_prop prop[6];
    struct gram_object o = {.prop = prop,
                            .n_prop = k % 7,
                            .rest = &rest,
                            .n_rest = k >> 4 & 1,
                            .min = k % 3,
                            .max = k & 64 ? k % 6 : GRAM_INF,
                            .ordered = k >> 3 & 1,
                            .plain = k >> 7 & 1,
                            .open = gram_bytes(b->g, str_of("{")),
                            .colon = gram_bytes(b->g, str_of(k & 4 ? ":" : "")),
                            .comma = gram_bytes(b->g, str_of(",")),
                            .close = gram_bytes(b->g, str_of("}"))};

    for (unsigned i = 0; i < o.n_prop; i++)
        prop[i] = (struct gram_prop){.name = str_of(names[i]),
                                     .value = b->at[STACK - 1 - i],
                                     .required = (k * 37 + i) % 5 == 0,
                                     .needs = needs,
                                     .n_needs = o.n_prop > 2 && (k + i) % 4 == 0 ? i % 3 : 0};
    return gram_object(b->g, &o);
}

static gram_ref array(struct builder *b, unsigned k)
{
    struct gram_array a = {.prefix = b->at + STACK - k % 4,
                           .n_prefix = k % 4,
                           .items = k & 4 ? b->at[STACK - 1] : GRAM_NEVER,
                           .min = k >> 3 & 3,
                           .max = k & 128 ? k >> 4 & 7 : GRAM_INF,
                           .open = gram_bytes(b->g, str_of("[")),
                           .comma = gram_bytes(b->g, str_of(k & 64 ? "" : ",")),
                           .close = gram_bytes(b->g, str_of("]"))};

    return gram_array(b->g, &a);
}

static gram_ref terminal(struct builder *b, unsigned what, unsigned k)
{
    struct rx *r = gram_rx(b->g);
    struct rx_range range = {k, k * 300};
    char text[2] = {(char)k, (char)(k / 3)};
    rx_id set = rx_set(r, &range, 1);

    switch (what) {
    case 0:
        return gram_bytes(b->g, (struct str){text, k % 3});
    case 1:
        return gram_text(b->g, rx_repeat(r, set, k % 3, k & 8 ? RX_INF : k % 7));
    case 2:
        return gram_json_string(b->g, rx_repeat(r, set, k % 3, RX_INF), k & 1);
    case 3:
        return gram_json_string(b->g, rx_text(r, str_of(k & 1 ? "\n\xf0\x9f\x98\x80" : "a")),
                                k & 2);
    default:
        return gram_until(b->g, str_of(k & 1 ? "aab" : "<"));
    }
}

static void run(struct builder *b, unsigned what, unsigned k)
{
    const gram_ref *top = b->at + STACK - 1 - k % 4;
    static const uint64_t most[] = {0, 1, 2, 5, 1000000007, GRAM_INF, GRAM_INF, GRAM_INF};

    switch (what % 12) {
    case 5:
        push(b, gram_seq(b->g, top, k % 4 + 1));
        return;
    case 6:
        push(b, gram_alt(b->g, top, k % 4 + 1));
        return;
    case 7:
        push(b, gram_repeat(b->g, *top, k >> 2 & 3, most[k >> 5]));
        return;
    case 8:
        push(b, gram_list(b->g, *top, b->at[STACK - 1], k >> 2 & 3, most[k >> 5]));
        return;
    case 9:
        push(b, object(b, k));
        return;
    case 10:
        push(b, array(b, k));
        return;
    case 11:
        push(b, k & 1 ? b->rule : b->at[k % STACK]);
        return;
    default:
        push(b, terminal(b, what % 12, k));
    }
}

/* What is not rejected can end or go on. */
static void check_alive(struct gram *g, gram_state s)
{
    struct err e;
    gram_state to;

    if (gram_may_end(g, s))
        return;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;

        if (gram_put(g, s, &c, 1, &to, NULL, &e) < 0 || to)
            return;
    }
    abort();
}

/* Along the text; where it is rejected, some byte that is not takes the place of the next. */
static void walk(struct gram *g, const uint8_t *p, size_t n)
{
    gram_state s = gram_start(g), to;
    struct err e;

    if (!s)
        abort();
    for (size_t i = 0; i < n && i < 200; i++) {
        char c = (char)p[i];

        check_alive(g, s);
        if (gram_put(g, s, &c, 1, &to, NULL, &e) < 0)
            return;
        for (int k = 0; !to && k < 256; k++) {
            c = (char)(p[i] + k);
            if (gram_put(g, s, &c, 1, &to, NULL, &e) < 0)
                return;
        }
        if (!to)
            return;
        s = to;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gram_limits limits = {.nodes = 2000, .width = 200, .bytes = 8 << 20, .depth = 50};
    struct builder b = {0};
    size_t n, at = 1;
    struct err e;

    if (size < 1 || gram_new(&b.g, &limits, &e) < 0)
        return 0;
    n = data[0] % 64;
    b.rule = gram_rule(b.g);
    for (; n > 0 && at + 2 <= size; n--, at += 2)
        run(&b, data[at], data[at + 1]);
    gram_rule_set(b.g, b.rule, b.at[STACK - 2]);
    if (gram_finish(b.g, b.at[STACK - 1], &e) == 0)
        walk(b.g, data + at, size - at);
    gram_free(b.g);
    return 0;
}
