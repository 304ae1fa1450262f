/* DeepSeek's families: files that say the same in other words compute the same bits, what never
 * is reached changes nothing, and files that contradict themselves are refused by what is
 * wrong. Made from the golden files, with keys added, left out and changed. */
#include "../infer/engine_test.h"

enum { N_ID = 24, ROW_MAX = 512, N_CTX = 64 };

/* A key (behind the architecture's) and its number; f: a float of it. */
struct num {
    const char *name;
    int64_t i;
    double f;
};

struct variant {
    const char *golden;
    const char *arch;    /* NULL: as it was */
    struct num num[4];   /* instead of those of the name, or added */
    const char *drop[4]; /* keys and tensors that are left out */
    int32_t id[4];       /* experts of token 1, with n_id > 0 */
    int n_id;
};

/* -- writing --------------------------------------------------------------------------- */

static int is_in(const struct variant *v, const char *name)
{
    for (int i = 0; i < 4; i++) {
        if ((v->drop[i] && strcmp(v->drop[i], name) == 0) ||
            (v->num[i].name && strcmp(v->num[i].name, name) == 0))
            return 1;
    }
    return 0;
}

static void copy_keys(struct gguf_writer *w, const struct gguf *g, const struct variant *v)
{
    struct str was;
    char arch[64], name[128], full[256];

    assert_int_equal(gguf_str(g, "general.architecture", &was, NULL), 1);
    (void)snprintf(arch, sizeof(arch), "%.*s", (int)was.n, was.p);
    (void)snprintf(full, sizeof(full), "%s", v->arch ? v->arch : arch);
    assert_int_equal(gguf_put_str(w, "general.architecture", str_of(full), NULL), 0);
    for (int i = 0; i < 4 && v->num[i].name; i++) {
        const struct num *n = &v->num[i];

        (void)snprintf(full, sizeof(full), "%s.%s", v->arch ? v->arch : arch, n->name);
        if (n->f > 0)
            assert_int_equal(gguf_put_f64(w, full, GGUF_F32, n->f, NULL), 0);
        else
            assert_int_equal(gguf_put_i64(w, full, GGUF_I32, n->i, NULL), 0);
    }
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        struct gguf_kv kv = *gguf_kv_at(g, i);

        if (kv.key.n <= was.n || memcmp(kv.key.p, was.p, was.n) != 0 ||
            kv.key.p[was.n] != '.') {
            if (!str_is(kv.key, "general.architecture"))
                assert_int_equal(gguf_put_kv(w, &kv, NULL), 0);
            continue;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)(kv.key.n - was.n - 1),
                       kv.key.p + was.n + 1);
        (void)snprintf(full, sizeof(full), "%s.%s", v->arch ? v->arch : arch, name);
        kv.key = str_of(full);
        if (!is_in(v, name))
            assert_int_equal(gguf_put_kv(w, &kv, NULL), 0);
    }
}

/* The golden file, changed, as tiny_path(). */
static void write_variant(const struct variant *v)
{
    static int32_t ids[1024];
    char path[128], name[128];
    struct gguf *g;
    struct gguf_writer *w;
    struct err e = {0};

    (void)snprintf(path, sizeof(path), "../shared/golden/models/%s.gguf", v->golden);
    if (access(path, R_OK) != 0)
        skip();
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(gguf_writer_new(&w, 3, NULL), 0);
    copy_keys(w, g, v);
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        struct gguf_tensor t = *gguf_tensor_at(g, i);

        (void)snprintf(name, sizeof(name), "%.*s", (int)t.name.n, t.name.p);
        if (v->n_id && strstr(name, "tid2eid")) {
            assert_true(t.n_elem <= 1024);
            memcpy(ids, t.data, t.n_elem * sizeof(*ids));
            memcpy(ids + v->n_id, v->id, (size_t)v->n_id * sizeof(*ids));
            t.data = (const unsigned char *)ids;
        }
        if (!is_in(v, name))
            assert_int_equal(gguf_put_tensor(w, name, t.type, t.n_dim, t.ne, t.data, NULL), 0);
    }
    assert_int_equal(gguf_write(w, tiny_path(), &e), 0);
    gguf_writer_free(w);
    gguf_free(g);
}

/* -- running --------------------------------------------------------------------------- */

/* The last logits of the same ids. */
static void run(const struct variant *v, float out[ROW_MAX])
{
    struct hearth_model *m = NULL;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct hearth_model_info info;
    int32_t id[N_ID];

    for (int i = 0; i < N_ID; i++)
        id[i] = 5 + i * 37 % 90;
    write_variant(v);
    FINE(hearth_model_open(&m, tiny_path(), &(struct hearth_model_options){.cpu = "ref"},
                           &fine));
    (void)unlink(tiny_path());
    hearth_model_info(m, &info);
    assert_in_range(info.n_vocab, 1, ROW_MAX);
    en = engine_make(m,
                     (struct hearth_engine_options){.n_ctx = N_CTX, .kv_type = HEARTH_KV_F32});
    s = seq_make(en);
    (void)feed(s, id, N_ID);
    memset(out, 0, ROW_MAX * sizeof(*out));
    memcpy(out, catch_up(en, s), (size_t)info.n_vocab * sizeof(*out));
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

static int same(const struct variant *a, const struct variant *b)
{
    static float x[ROW_MAX], y[ROW_MAX];

    run(a, x);
    run(b, y);
    return memcmp(x, y, sizeof(x)) == 0;
}

/* Other names, and keys as they were before latent attention had its own. */
static void test_names(void **state)
{
    const struct variant v3 = {.golden = "deepseek_v3"},
                         mistral = {.golden = "deepseek_v3", .arch = "mistral4"},
                         old = {.golden = "deepseek_v3",
                                .arch = "glm4moelite",
                                .num = {{"attention.key_length", 24, 0},
                                        {"attention.value_length", 16, 0},
                                        {"attention.head_count_kv", 4, 0}},
                                .drop = {"attention.key_length_mla",
                                         "attention.value_length_mla"}};

    (void)state;
    assert_true(same(&v3, &mistral));
    assert_true(same(&v3, &old));
}

/* A layer that predicts ahead, of which the file has the count and not the tensors. */
static void test_ahead_left_out(void **state)
{
    const struct variant v3 = {.golden = "deepseek_v3"},
                         said = {
                             .golden = "deepseek_v3",
                             .num = {{"block_count", 4, 0}, {"nextn_predict_layers", 1, 0}}};

    (void)state;
    assert_true(same(&v3, &said));
}

static void test_temperature(void **state)
{
    struct variant v3 = {.golden = "deepseek_v3"},
                   far = {.golden = "deepseek_v3",
                          .num = {{"attention.temperature_scale", 0, 0.5},
                                  {"attention.temperature_length", N_ID, 0}}};

    (void)state;
    assert_true(same(&v3, &far));
    far.num[1].i = N_ID - 1;
    assert_false(same(&v3, &far));
}

/* As long as all positions are seen, it does not matter whether some could have been chosen. */
static void test_choice(void **state)
{
    static const struct {
        const char *golden;
        int never, could, does; /* top_k */
    } row[] = {{"deepseek32", N_CTX, N_ID, N_ID - 1},
               {"glm5_dsa", N_CTX, N_ID, N_ID - 1},
               {"deepseek_v4", N_CTX / 4, N_ID / 4, N_ID / 4 - 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
        static const char top[] = "attention.indexer.top_k";
        struct variant a = {.golden = row[i].golden, .num = {{top, row[i].never, 0}}},
                       b = {.golden = row[i].golden, .num = {{top, row[i].could, 0}}};

        assert_true(same(&a, &b));
        b.num[0].i = row[i].does;
        assert_false(same(&a, &b));
    }
}

/* -- refused --------------------------------------------------------------------------- */

static const struct {
    struct variant v;
    const char *word;
} bad[] = {
    {{.golden = "deepseek_v3", .num = {{"attention.kv_lora_rank", 1020, 0}}}, "kv_lora_rank"},
    {{.golden = "deepseek_v3", .num = {{"attention.q_lora_rank", 0, 0}}}, "q_lora_rank"},
    {{.golden = "deepseek_v3", .num = {{"attention.key_length_mla", 8, 0}}}, "key_length_mla"},
    {{.golden = "deepseek_v3", .num = {{"rope.dimension_count", 7, 0}}}, "dimension_count"},
    {{.golden = "deepseek_v3", .num = {{"rope.dimension_count", 0, 0}}}, "dimension_count"},
    {{.golden = "deepseek_v3", .num = {{"expert_group_count", 3, 0}}}, "expert_group_count"},
    {{.golden = "deepseek_v3", .num = {{"attention.temperature_scale", 0, 1}}},
     "temperature_length"},
    {{.golden = "deepseek_v3", .drop = {"blk.1.attn_v_b.weight"}}, "blk.1.attn_v_b.weight"},
    {{.golden = "deepseek_v2lite", .drop = {"blk.1.attn_q.weight"}}, "blk.1.attn_q_a.weight"},
    {{.golden = "deepseek32", .num = {{"attention.indexer.top_k", 0, 0}}}, "top_k"},
    {{.golden = "deepseek32", .num = {{"attention.indexer.key_length", 30, 0}}}, "key_length"},
    {{.golden = "deepseek32", .drop = {"blk.2.indexer.proj.weight"}}, "indexer.proj"},
    {{.golden = "glm5_dsa", .num = {{"attention.indexer.types", 0, 0}}}, "indexer.types"},
    {{.golden = "deepseek_v4", .num = {{"attention.output_group_count", 3, 0}}},
     "output_group_count"},
    {{.golden = "deepseek_v4", .num = {{"attention.compress_ratios", 2000, 0}}},
     "compress_ratios"},
    {{.golden = "deepseek_v4", .num = {{"attention.sliding_window", 0, 0}}}, "sliding_window"},
    {{.golden = "deepseek_v4", .num = {{"hyper_connection.count", 9, 0}}},
     "hyper_connection.count"},
    {{.golden = "deepseek_v4", .num = {{"hash_layer_count", 2, 0}}}, "blk.1.ffn_gate_tid2eid"},
    {{.golden = "deepseek_v4", .num = {{"swiglu_clamp_exp", -1, 0}}}, "swiglu_clamp_exp"},
    {{.golden = "deepseek_v4", .id = {0, 1, 8}, .n_id = 3}, "token 1"},
    {{.golden = "deepseek_v4", .id = {-1, 1, 2}, .n_id = 3}, "token 1"},
    {{.golden = "deepseek_v4", .id = {2, 1, 2}, .n_id = 3}, "token 1"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct hearth_model *m;
        struct hearth_error e = {0};

        write_variant(&bad[i].v);
        assert_int_not_equal(hearth_model_open(&m, tiny_path(), NULL, &e), 0);
        (void)unlink(tiny_path());
        if (!strstr(e.message, bad[i].word))
            fail_msg("'%s' does not name %s", e.message, bad[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_ahead_left_out),
        cmocka_unit_test(test_temperature), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
