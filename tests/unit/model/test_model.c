/* Opening models: tensors that do not fit are refused by name, memory may run out at any
 * allocation, and damaged files never crash. */
#include "../infer/engine_test.h"

#include "sys/pool.h"

#include <fcntl.h>

static int open_tiny(const struct tiny *t, struct hearth_error *e)
{
    struct hearth_model *m = NULL;
    int rc;

    tiny_write(t, tiny_path());
    rc = hearth_model_open(&m, tiny_path(), &(struct hearth_model_options){.n_thread = 1}, e);
    (void)unlink(tiny_path());
    hearth_model_close(m);
    return rc;
}

/* -- tensors --------------------------------------------------------------------------- */

enum how { LEAVE_OUT, SHORTER, WIDER, TURNED, ONE_DIM, THREE_DIMS, OTHER_TYPE, EXTRA };

struct edit {
    const char *name, *extra;
    int how, done;
};

static int on_tensor(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    static const unsigned char zero[4 * 64 * 96];
    struct edit *e = ctx;
    uint64_t n;

    if (strcmp(t->name, e->name) != 0)
        return 0;
    e->done++;
    switch (e->how) {
    case SHORTER:
        t->ne[t->n_dim - 1]--;
        return 0;
    case WIDER:
        t->ne[0] += 32;
        return 0;
    case TURNED:
        n = t->ne[0];
        t->ne[0] = t->ne[1];
        t->ne[1] = n;
        t->n_dim = 2;
        return 0;
    case ONE_DIM:
        t->ne[0] *= t->ne[1];
        t->ne[1] = 1;
        t->n_dim = 1;
        return 0;
    case THREE_DIMS:
        t->ne[2] = 2;
        t->n_dim = 3;
        return 0;
    case OTHER_TYPE: /* 24: 8-bit integers, which are no weights */
        assert_int_equal(gguf_put_tensor(w, t->name, 24, t->n_dim, t->ne, zero, NULL), 0);
        return 1;
    case EXTRA:
        assert_int_equal(
            gguf_put_tensor(w, e->extra, QUANT_F32, 1, (uint64_t[]){8}, zero, NULL), 0);
        return 0;
    default:
        return 1;
    }
}

static int open_edited(struct edit *edit, struct hearth_error *e)
{
    struct tiny t = tiny_of(QUANT_F32);
    int rc;

    t.n_head_kv = 4; /* keys and values are square, and still matrices of their own */
    t.tensor = on_tensor;
    t.ctx = edit;
    rc = open_tiny(&t, e);
    assert_int_equal(edit->done, 1);
    return rc;
}

static void check_refused(const char *name, int how, int code)
{
    struct edit edit = {.name = name, .how = how};
    struct hearth_error e = {0};
    int rc = open_edited(&edit, &e);

    if (rc != code || !strstr(e.message, name))
        fail_msg("%s, edit %d: %d '%s', expected %d", name, how, rc, e.message, code);
}

static void test_tensors(void **state)
{
    static const char *const name[] = {
        "token_embd.weight",     "output_norm.weight",       "blk.0.attn_norm.weight",
        "blk.0.attn_q.weight",   "blk.1.attn_k.weight",      "blk.0.attn_v.weight",
        "blk.1.ffn_norm.weight", "blk.1.attn_output.weight", "blk.0.ffn_gate.weight",
        "blk.1.ffn_up.weight",   "blk.1.ffn_down.weight",
    };
    struct hearth_error e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        int vec = strstr(name[i], "norm") != NULL;

        check_refused(name[i], LEAVE_OUT, HEARTH_E_FORMAT);
        check_refused(name[i], SHORTER, HEARTH_E_FORMAT);
        check_refused(name[i], WIDER, HEARTH_E_FORMAT);
        check_refused(name[i], THREE_DIMS, HEARTH_E_FORMAT);
        if (!vec)
            check_refused(name[i], ONE_DIM, HEARTH_E_FORMAT);
        if (vec || strstr(name[i], "ffn") || strstr(name[i], "token"))
            check_refused(name[i], TURNED, HEARTH_E_FORMAT);
        if (strncmp(name[i], "blk.0.attn", 10) == 0 || vec)
            check_refused(name[i], OTHER_TYPE, HEARTH_E_UNSUPPORTED);
    }
    /* The output may be the embedding. */
    if (open_edited(&(struct edit){.name = "output.weight"}, &e) != 0)
        fail_msg("%s", e.message);
}

static struct tiny tiny_experts_of(int type, const char *arch)
{
    struct tiny t = tiny_of(type);

    t.arch = arch;
    t.n_expert = 4;
    t.n_used = 2;
    return t;
}

static void check_expert_refused(const char *arch, const char *name, int how, int code)
{
    struct edit edit = {.name = name, .how = how};
    struct tiny t = tiny_experts_of(QUANT_F32, arch);
    struct hearth_error e = {0};
    int rc;

    t.tensor = on_tensor;
    t.ctx = &edit;
    rc = open_tiny(&t, &e);
    assert_int_equal(edit.done, 1);
    if (rc != code || !strstr(e.message, name))
        fail_msg("%s %s, edit %d: %d '%s', expected %d", arch, name, how, rc, e.message, code);
}

static void test_experts(void **state)
{
    static const char *const arch[] = {"llama", "qwen2moe", "qwen3moe"};
    static const char *const name[] = {"blk.0.ffn_gate_inp.weight",
                                       "blk.1.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight",
                                       "blk.1.ffn_down_exps.weight"};

    (void)state;
    for (size_t a = 0; a < 3; a++) {
        for (size_t i = 0; i < 4; i++) {
            check_expert_refused(arch[a], name[i], LEAVE_OUT, HEARTH_E_FORMAT);
            check_expert_refused(arch[a], name[i], SHORTER, HEARTH_E_FORMAT);
            check_expert_refused(arch[a], name[i], WIDER, HEARTH_E_FORMAT);
            check_expert_refused(arch[a], name[i], OTHER_TYPE, HEARTH_E_UNSUPPORTED);
        }
    }
    check_expert_refused("qwen2moe", "blk.0.ffn_gate_inp_shexp.weight", LEAVE_OUT,
                         HEARTH_E_FORMAT);
    check_expert_refused("qwen2moe", "blk.0.ffn_up_shexp.weight", WIDER, HEARTH_E_FORMAT);
}

/* Experts beside a plain feed-forward, or without their keys, would be left out. */
static void test_both_kinds(void **state)
{
    static const char *const extra[] = {"blk.0.ffn_gate.weight", "blk.1.ffn_up_exps.weight"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct edit edit = {"output_norm.weight", extra[i], EXTRA, 0};
        struct tiny t = i ? tiny_of(QUANT_F32) : tiny_experts_of(QUANT_F32, "llama");
        struct hearth_error e = {0};

        t.tensor = on_tensor;
        t.ctx = &edit;
        assert_int_equal(open_tiny(&t, &e), HEARTH_E_UNSUPPORTED);
        assert_non_null(strstr(e.message, extra[i]));
    }
}

/* One expert that is odd: left out, or of another type. */
struct odd_expert {
    const char *extra;
    int type;
};

static int on_split(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    static const unsigned char zero[4 * 64 * 96];
    const struct odd_expert *odd = ctx;

    if (strcmp(t->name, "blk.1.ffn_up_exps.weight") != 0)
        return 0;
    for (int i = 0; i < 4; i++) {
        char part[64];

        (void)snprintf(part, sizeof(part), "blk.1.ffn_up.%d.weight", i);
        if (strcmp(part, odd->extra) != 0 || odd->type >= 0)
            assert_int_equal(
                gguf_put_tensor(w, part, strcmp(part, odd->extra) == 0 ? odd->type : QUANT_F32,
                                2, t->ne, zero, NULL),
                0);
    }
    return 1;
}

static void test_split_experts(void **state)
{
    struct odd_expert odd[] = {
        {"blk.1.ffn_up.2.weight", -1}, {"blk.1.ffn_up.3.weight", QUANT_F16}, {"", -1}};
    static const int code[] = {HEARTH_E_FORMAT, HEARTH_E_UNSUPPORTED, 0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct tiny t = tiny_experts_of(QUANT_F32, "llama");
        struct hearth_error e = {0};

        t.tensor = on_split;
        t.ctx = &odd[i];
        assert_int_equal(open_tiny(&t, &e), code[i]);
        assert_true(code[i] == 0 || strstr(e.message, odd[i].extra));
    }
    /* The same numbers either way give the same logits. */
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        struct tiny t = tiny_experts_of(QUANT_Q8_0, "llama");
        int32_t ids[] = {5, 6, 7, 8, 9, 10, 11};
        struct hearth_model *m[2];
        float *row[2];

        for (t.split = 0; t.split < 2; t.split++) {
            m[t.split] = model_make(&t, tier, 1);
            row[t.split] = rows_alone(m[t.split], HEARTH_KV_F16, ids, 7);
        }
        assert_memory_equal(row[0], row[1], 7 * vocab_of(m[0]) * sizeof(float));
        for (int i = 0; i < 2; i++) {
            mem_free(row[i]);
            hearth_model_close(m[i]);
        }
    }
}

static void test_extra(void **state)
{
    static const char *const bad[] = {"blk.0.attn_sinks.weight", "blk.2.attn_q.weight",
                                      "rope_factors_long.weight", "vv", "output.shift"};
    static const char *const fine_ones[] = {"v.patch.weight", "mm.0.weight",
                                            "cls.output.weight"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct edit edit = {"output_norm.weight", bad[i], EXTRA, 0};
        struct hearth_error e = {0};

        assert_int_equal(open_edited(&edit, &e), HEARTH_E_UNSUPPORTED);
        assert_non_null(strstr(e.message, bad[i]));
    }
    for (size_t i = 0; i < sizeof(fine_ones) / sizeof(*fine_ones); i++) {
        struct edit edit = {"output_norm.weight", fine_ones[i], EXTRA, 0};

        assert_int_equal(open_edited(&edit, NULL), 0);
    }
}

/* More tokens than rows. */
static void test_vocab(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_error e = {0};

    (void)state;
    t.n_vocab = TINY_VOCAB - 1;
    assert_int_equal(open_tiny(&t, &e), HEARTH_E_FORMAT);
    assert_non_null(strstr(e.message, "320"));
    assert_non_null(strstr(e.message, "319"));
    t.n_vocab = TINY_VOCAB + 5; /* rows without tokens: padding */
    if (open_tiny(&t, &e) != 0)
        fail_msg("%s", e.message);
}

static void test_options(void **state)
{
    struct tiny t = tiny_of(QUANT_Q8_0);
    struct hearth_model_options o = {.cpu = "abacus"};
    struct hearth_model *m = NULL;
    struct hearth_error e = {0};

    (void)state;
    tiny_write(&t, tiny_path());
    assert_int_equal(hearth_model_open(&m, tiny_path(), &o, &e), HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "abacus"));
    o = (struct hearth_model_options){.n_thread = -1};
    assert_int_equal(hearth_model_open(&m, tiny_path(), &o, &e), HEARTH_E_INVALID);
    assert_non_null(strstr(e.message, "-1 threads"));
    o.n_thread = POOL_THREADS_MAX + 1;
    assert_int_equal(hearth_model_open(&m, tiny_path(), &o, &e), HEARTH_E_INVALID);
    o.cpu = kern_tier_here(KERN_DOTPROD) ? "avx2" : "dotprod"; /* another processor's */
    assert_int_equal(hearth_model_open(&m, tiny_path(), &o, &e), HEARTH_E_UNSUPPORTED);
    assert_non_null(strstr(e.message, o.cpu));
    assert_non_null(strstr(e.message, kern_tier_name(kern_tier_best())));
    (void)unlink(tiny_path());
    assert_int_equal(hearth_model_open(&m, tiny_path(), NULL, &e), HEARTH_E_NOT_FOUND);
    assert_null(m);
}

static void test_info(void **state)
{
    struct tiny t = tiny_of(QUANT_Q4_K);
    struct hearth_model *m = model_make(&t, kern_tier_best(), 1);
    struct hearth_model_info i;

    (void)state;
    hearth_model_info(m, &i);
    assert_string_equal(i.arch, "llama");
    assert_string_equal(i.tokenizer, "llama");
    assert_string_equal(i.file_type, "Q4_K");
    assert_null(i.chat_template);
    assert_int_equal(i.n_vocab, TINY_VOCAB);
    assert_int_equal(i.n_embd, 256);
    assert_int_equal(i.n_layer, 2);
    assert_int_equal(i.n_head, 4);
    assert_int_equal(i.n_head_kv, 2);
    assert_int_equal(i.n_ctx_train, 1024);
    assert_int_equal(i.bos, TINY_BOS);
    assert_int_equal(i.eos, TINY_EOS);
    /* Embedding and output; queries, outputs, keys and values; feed-forward; norms. */
    assert_int_equal(i.n_param, 2 * TINY_VOCAB * 256 +
                                    2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 256) +
                                    5 * 256);
    hearth_model_close(m);
}

/* -- memory ---------------------------------------------------------------------------- */

static void test_no_memory(void **state)
{
    struct tiny t = tiny_of(QUANT_Q8_0);
    struct hearth_model_options mo = {.n_thread = 1};
    struct hearth_model *m = NULL;
    struct hearth_engine *en = NULL;
    struct hearth_seq *s = NULL;
    struct hearth_error e = {0};
    int n[3] = {0}, rc;

    (void)state;
    tiny_write(&t, tiny_path());
    do {
        (void)mem_fail_at((uint64_t)++n[0], 0);
        rc = hearth_model_open(&m, tiny_path(), &mo, &e);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && (rc != HEARTH_E_NOMEM || e.code != HEARTH_E_NOMEM || m))
            fail_msg("model, allocation %d: %d %s", n[0], rc, e.message);
    } while (rc < 0);
    (void)unlink(tiny_path());
    do {
        (void)mem_fail_at((uint64_t)++n[1], 0);
        rc = hearth_engine_new(&en, m, NULL, &e);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && (rc != HEARTH_E_NOMEM || en))
            fail_msg("engine, allocation %d: %d %s", n[1], rc, e.message);
    } while (rc < 0);
    do {
        (void)mem_fail_at((uint64_t)++n[2], 0);
        rc = hearth_seq_open(&s, en, &e);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && (rc != HEARTH_E_NOMEM || s))
            fail_msg("sequence, allocation %d: %d %s", n[2], rc, e.message);
    } while (rc < 0);
    print_message("# allocations: model %d, engine %d, sequence %d\n", n[0] - 1, n[1] - 1,
                  n[2] - 1);
    assert_true(n[0] > 10 && n[1] > 10 && n[2] > 4);
    /* What opened after all that works. */
    (void)feed(s, (int32_t[]){1, 2, 3}, 3);
    (void)catch_up(en, s);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* -- damage ---------------------------------------------------------------------------- */

struct bytes {
    unsigned char *p;
    size_t n;
};

static struct bytes read_file(const char *path)
{
    struct bytes b = {mem_alloc(1 << 20), 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(b.p && fd >= 0);
    n = read(fd, b.p, 1 << 20);
    assert_in_range(n, 100, (1 << 20) - 1);
    b.n = (size_t)n;
    (void)close(fd);
    return b;
}

/* A new file each time: file systems write out one that is emptied and filled again. */
static void write_file(const char *path, const void *p, size_t n)
{
    int fd;

    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    (void)close(fd);
}

/* Opens the file and computes a step if it can. Returns 1 when it opened. */
static int try_file(const char *path, int tier)
{
    struct hearth_model *m = NULL;
    struct hearth_engine *en = NULL;
    struct hearth_seq *s = NULL;
    struct hearth_error e = {0};
    int32_t ids[] = {1, 2, 3};
    int rc = hearth_model_open(
        &m, path, &(struct hearth_model_options){.n_thread = 1, .cpu = kern_tier_name(tier)},
        &e);

    if (rc < 0) {
        assert_int_equal(e.code, rc);
        assert_true(e.message[0] != '\0');
        return 0;
    }
    rc = hearth_engine_new(
        &en, m, &(struct hearth_engine_options){.n_ctx = 16, .n_batch = 32, .n_thread = 1}, &e);
    if (rc == 0)
        rc = hearth_seq_open(&s, en, &e);
    if (rc == 0 && hearth_seq_feed(s, ids, 3, NULL, &e) == 0)
        (void)hearth_engine_step(en, &e);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
    return 1;
}

/* Where the tensors' data begin: damage there changes numbers only. */
static size_t head_bytes(const char *path, size_t n_byte)
{
    struct gguf *g = NULL;
    size_t n = 0;

    assert_int_equal(gguf_open(&g, path, NULL), 0);
    for (size_t i = 0; i < gguf_n_tensor(g); i++)
        n += (size_t)gguf_tensor_at(g, i)->n_byte;
    gguf_free(g);
    return n_byte - n;
}

static void damage(struct bytes *b, size_t head, struct rng *r)
{
    static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff, 4, 32};
    int n = 1 + (int)(rng_u64(r) % 3);

    if (rng_u64(r) % 8 == 0)
        b->n = rng_u64(r) % b->n;
    for (int i = 0; i < n && b->n; i++) {
        size_t at = rng_u64(r) % (rng_u64(r) % 8 && head < b->n ? head : b->n);

        if (rng_u64(r) % 2)
            b->p[at] ^= (unsigned char)(1 << rng_u64(r) % 8);
        else
            b->p[at] = odd[rng_u64(r) % sizeof(odd)];
    }
}

static void check_damage(const struct tiny *t, int rounds, uint64_t seed)
{
    struct bytes whole, b;
    size_t head;
    int opened = 0;
    struct rng r;

    rng_seed(&r, seed);
    tiny_write(t, tiny_path());
    whole = read_file(tiny_path());
    head = head_bytes(tiny_path(), whole.n);
    b.p = mem_alloc(whole.n);
    assert_non_null(b.p);
    assert_int_equal(try_file(tiny_path(), kern_tier_best()), 1);
    for (int i = 0; i < rounds; i++) {
        int tier = i % KERN_TIER_N;

        memcpy(b.p, whole.p, whole.n);
        b.n = whole.n;
        damage(&b, head, &r);
        write_file(tiny_path(), b.p, b.n);
        opened += try_file(tiny_path(), kern_tier_here(tier) ? tier : kern_tier_best());
    }
    print_message("# %d of %d damaged files opened\n", opened, rounds);
    assert_true(opened > 0 && opened < rounds);
    (void)unlink(tiny_path());
    mem_free(whole.p);
    mem_free(b.p);
}

static void test_damage(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);

    (void)state;
    t.n_layer = 1;
    t.n_embd = 32;
    t.n_ff = 32;
    check_damage(&t, 1000, 41);
    t.no_tok = 1;
    t.n_vocab = 40;
    t.type = QUANT_Q4_0;
    check_damage(&t, 2000, 42);
    t.arch = "qwen3";
    t.type = QUANT_F16;
    check_damage(&t, 1000, 43);
    t.arch = "qwen2moe";
    t.type = QUANT_Q4_0;
    t.n_expert = 3;
    t.n_used = 2;
    check_damage(&t, 2000, 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors),    cmocka_unit_test(test_experts),
        cmocka_unit_test(test_both_kinds), cmocka_unit_test(test_split_experts),
        cmocka_unit_test(test_extra),      cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_options),    cmocka_unit_test(test_info),
        cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
