/* What the golden file of Granite 4.0 H does not have: experts. When all of them, and no other,
 * are what the plain feed-forward was, the model says the same: weights of those that are
 * chosen sum to 1. */
#include "../infer/engine_test.h"

enum { N_TEXT = 20, N_EXPERT = 4, N_FF = 40 };

struct copies {
    int on;         /* 1: experts */
    float *made[8]; /* until they are written */
    int n_made;
    struct rng rng; /* of the feed-forwards alone */
};

/* The matrix of a layer once, or once for each expert. */
static void put(struct copies *c, struct gguf_writer *w, const char *name,
                const struct tiny_tensor *t, size_t n_mat)
{
    uint64_t ne[GGUF_DIMS] = {t->ne[0], t->ne[1], n_mat, 1};
    size_t n = (size_t)(t->ne[0] * t->ne[1]);
    float *x = mem_alloc(n * n_mat * sizeof(*x));

    assert_non_null(x);
    c->made[c->n_made++] = x;
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&c->rng) / 8;
    for (size_t i = 1; i < n_mat; i++)
        memcpy(x + i * n, x, n * sizeof(*x));
    assert_int_equal(gguf_put_tensor(w, name, QUANT_F32, n_mat > 1 ? 3 : 2, ne, x, NULL), 0);
}

static int same_experts(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    struct copies *c = ctx;

    if (!strstr(t->name, ".ffn_") || strstr(t->name, "ffn_norm"))
        return 0;
    if (!strstr(t->name, "ffn_gate_inp"))
        put(c, w, t->name, t, c->on ? N_EXPERT : 1);
    else
        t->type = QUANT_F32;
    return !strstr(t->name, "ffn_gate_inp");
}

/* The other tensors are random numbers of one seed: routers come last. */
static float *rows_of(struct tiny *t, struct copies *c, const int32_t *ids, size_t *n_float)
{
    struct hearth_model *m;
    float *row;

    c->n_made = 0;
    rng_seed(&c->rng, 51);
    m = model_make(t, KERN_REF, 1);
    row = rows_alone(m, HEARTH_KV_F32, ids, N_TEXT);
    *n_float = N_TEXT * vocab_of(m);
    hearth_model_close(m);
    for (int i = 0; i < c->n_made; i++)
        mem_free(c->made[i]);
    return row;
}

static void test_experts(void **state)
{
    struct copies c = {0};
    struct tiny t = tiny_of(QUANT_F32);
    int32_t ids[N_TEXT];
    float *plain, *moe;
    struct rng r;
    size_t n;

    (void)state;
    t.arch = "granitehybrid";
    t.n_ff = N_FF;
    t.n_layer = 1; /* what follows a router would have other random numbers */
    t.tensor = same_experts;
    t.ctx = &c;
    rng_seed(&r, 52);
    random_ids(&r, ids, N_TEXT);
    plain = rows_of(&t, &c, ids, &n);
    c.on = 1;
    t.n_expert = N_EXPERT;
    t.n_used = 2;
    moe = rows_of(&t, &c, ids, &n);
    for (size_t i = 0; i < n; i++)
        assert_float_equal(moe[i], plain[i], 1e-4F);
    mem_free(plain);
    mem_free(moe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
