/* Keys that would change what a model computes are followed or refused by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../infer/tiny_model.h"

#include "model/params.h"

struct extra {
    const char *scaling; /* rope.scaling.type, or NULL */
    int causal;          /* -1: the key is not written */
    double factor;       /* rope.scaling.factor, 0: not written */
};

/* Hangs the keys before the first one of the model. */
static int add_keys(void *ctx, struct gguf_writer *w, const char *key)
{
    const struct extra *x = ctx;

    if (strcmp(key, "context_length") != 0)
        return 0;
    if (x->scaling)
        tiny_must(gguf_put_str(w, "llama.rope.scaling.type", str_of(x->scaling), NULL) == 0,
                  "scaling");
    if (x->factor > 0)
        tiny_must(gguf_put_f64(w, "llama.rope.scaling.factor", GGUF_F32, x->factor, NULL) == 0,
                  "factor");
    if (x->causal >= 0)
        tiny_must(gguf_put_u64(w, "llama.attention.causal", GGUF_BOOL, (uint64_t)x->causal,
                               NULL) == 0,
                  "causal");
    return 0;
}

static int read_with(struct extra x, struct params *p, struct err *e)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct gguf *g;
    int rc;

    t.key = add_keys;
    t.ctx = &x;
    tiny_write(&t, tiny_path());
    assert_int_equal(gguf_open(&g, tiny_path(), e), 0);
    (void)unlink(tiny_path());
    rc = params_read(p, g, "llama", NORM_RMS, e);
    gguf_free(g);
    return rc;
}

static void scalings(void **state)
{
    struct params p;
    struct err e = {0};

    (void)state;
    assert_int_equal(read_with((struct extra){"linear", -1, 4}, &p, &e), 0);
    assert_int_equal(p.rope[ROPE_MAIN].scaling, ROPE_LINEAR);
    assert_true(p.rope[ROPE_MAIN].scale == 0.25 && p.rope[ROPE_MAIN].ext == 0);
    assert_int_equal(read_with((struct extra){"none", -1, 4}, &p, &e), 0);
    assert_true(p.rope[ROPE_MAIN].scale == 1);
    assert_int_equal(read_with((struct extra){"yarn", -1, 4}, &p, &e), 0);
    assert_true(p.rope[ROPE_MAIN].scale == 0.25 && p.rope[ROPE_MAIN].ext == 1);
}

static void scaling_unknown(void **state)
{
    struct params p;
    struct err e = {0};

    (void)state;
    assert_int_equal(read_with((struct extra){"dynamic", -1, 4}, &p, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "llama.rope.scaling.type: 'dynamic'"));
}

static void both_directions(void **state)
{
    struct params p;
    struct err e = {0};

    (void)state;
    assert_int_equal(read_with((struct extra){NULL, 1, 0}, &p, &e), 0);
    assert_int_equal(p.causal, 1);
    assert_int_equal(read_with((struct extra){NULL, 0, 0}, &p, &e), 0);
    assert_int_equal(p.causal, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalings),
        cmocka_unit_test(scaling_unknown),
        cmocka_unit_test(both_directions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
