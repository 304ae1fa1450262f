/* What golden files of Qwen3-Next and its kin do not have: one matrix for all that a linear
 * layer reads, as old files have it, and names that other tools give. Both say the same as the
 * usual tensors, to the bit. */
#include "../infer/engine_test.h"

enum { N_TEXT = 40 };

/* The rows of ssm_in of layer 0: of each key head q, k, then v and z of its value heads. */
struct old_layout {
    int on;                          /* 1: write it */
    size_t n_embd, n_head_k, d_k, v; /* v: numbers of a key head's values */
    float *rows;
    float *made[2]; /* what the new layout has, until it is written */
};

static void copy_rows(const struct old_layout *o, float *to, size_t from, size_t n)
{
    memcpy(to, o->rows + from * o->n_embd, n * o->n_embd * sizeof(*to));
}

static size_t head_rows(const struct old_layout *o)
{
    return 2 * (o->d_k + o->v);
}

/* The part of ssm_in that begins `at` rows into a head and has n rows, of all heads. */
static float *part_of(const struct old_layout *o, float *to, size_t at, size_t n)
{
    for (size_t h = 0; h < o->n_head_k; h++, to += n * o->n_embd)
        copy_rows(o, to, h * head_rows(o) + at, n);
    return to;
}

static void put(struct gguf_writer *w, const char *name, const struct tiny_tensor *like,
                const float *x, size_t n_row)
{
    uint64_t ne[GGUF_DIMS] = {like->ne[0], n_row, 1, 1};

    assert_int_equal(gguf_put_tensor(w, name, QUANT_F32, 2, ne, x, NULL), 0);
}

static int old_tensor(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    struct old_layout *o = ctx;
    size_t n = o->n_head_k;
    float *x, *end;

    if (strcmp(t->name, "blk.0.ssm_dt.bias") == 0 && o->on)
        t->name = "blk.0.ssm_dt";
    if (strcmp(t->name, "blk.0.attn_qkv.weight") != 0 &&
        strcmp(t->name, "blk.0.attn_gate.weight") != 0)
        return 0;
    if (o->on) {
        if (strcmp(t->name, "blk.0.attn_qkv.weight") == 0)
            put(w, "blk.0.ssm_in.weight", t, o->rows, n * head_rows(o));
        return 1;
    }
    x = end = mem_alloc(n * head_rows(o) * o->n_embd * sizeof(*x));
    assert_non_null(x);
    o->made[o->made[0] != NULL] = x;
    if (strcmp(t->name, "blk.0.attn_gate.weight") == 0) {
        end = part_of(o, end, 2 * o->d_k + o->v, o->v);
    } else {
        end = part_of(o, end, 0, o->d_k);
        end = part_of(o, end, o->d_k, o->d_k);
        end = part_of(o, end, 2 * o->d_k, o->v);
    }
    put(w, t->name, t, x, (size_t)(end - x) / o->n_embd);
    return 1;
}

static void test_old_layout(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct old_layout o;
    float *row[2];
    int32_t ids[N_TEXT];
    struct rng r;
    size_t n;

    (void)state;
    t.arch = "qwen3next";
    t.n_expert = 3;
    t.n_used = 2;
    t.tensor = old_tensor;
    t.ctx = &o;
    o = (struct old_layout){.n_embd = (size_t)t.n_embd,
                            .n_head_k = (size_t)t.n_head_kv,
                            .d_k = TINY_STATE,
                            .v = (size_t)(t.n_embd / t.n_head_kv)};
    n = o.n_head_k * head_rows(&o) * o.n_embd;
    o.rows = mem_alloc(n * sizeof(*o.rows));
    assert_non_null(o.rows);
    rng_seed(&r, 41);
    for (size_t i = 0; i < n; i++)
        o.rows[i] = rng_normal(&r) / 8;
    random_ids(&r, ids, N_TEXT);
    for (o.on = 0; o.on < 2; o.on++) {
        struct hearth_model *m = model_make(&t, kern_tier_best(), 1);

        row[o.on] = rows_alone(m, HEARTH_KV_AUTO, ids, N_TEXT);
        n = N_TEXT * vocab_of(m) * sizeof(float);
        hearth_model_close(m);
    }
    assert_memory_equal(row[0], row[1], n);
    mem_free(o.made[0]);
    mem_free(o.made[1]);
    mem_free(row[0]);
    mem_free(row[1]);
    mem_free(o.rows);
}

/* A layer may have neither, and the message names what is missing. */
static int no_mixer(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    (void)ctx;
    (void)w;
    return strcmp(t->name, "blk.0.attn_qkv.weight") == 0;
}

static int bad_key(void *ctx, struct gguf_writer *w, const char *key)
{
    const char *name = ctx;
    char full[64];

    if (strcmp(key, name) != 0)
        return 0;
    (void)snprintf(full, sizeof(full), "qwen35.%s", key);
    return gguf_put_u64(w, full, GGUF_U32, 1u << 30, NULL) == 0;
}

static void check_refused(struct tiny *t, const char *what)
{
    struct hearth_model *m = NULL;
    struct hearth_error e = {0};

    tiny_write(t, tiny_path());
    assert_int_equal(hearth_model_open(&m, tiny_path(), NULL, &e), HEARTH_E_FORMAT);
    assert_non_null(strstr(e.message, what));
    assert_null(m);
    (void)unlink(tiny_path());
}

static void test_refused(void **state)
{
    static const char *const key[] = {"ssm.conv_kernel", "ssm.inner_size",
                                      "ssm.state_size",  "ssm.time_step_rank",
                                      "ssm.group_count", "full_attention_interval"};
    struct tiny t = tiny_of(QUANT_F32);

    (void)state;
    t.arch = "qwen35";
    for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++) {
        struct tiny bad = t;
        char name[64];

        (void)snprintf(name, sizeof(name), "%s", key[i]);
        bad.key = bad_key;
        bad.ctx = name;
        check_refused(&bad, key[i]);
    }
    t.tensor = no_mixer;
    check_refused(&t, "blk.0.attn_qkv.weight");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_layout),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
