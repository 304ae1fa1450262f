/* Hugging Face folders: what is refused and how that is said, and every allocation on the way
 * failed once. That what is read is right, tests/golden/hf.py shows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fmt/gguf_make.h"

#include "base/mem.h"
#include "model/hf/hf.h"
#include "quant/quant.h"

#include "hearth.h"

static struct err err;

#define SIZES                                                                                  \
    "\"num_hidden_layers\": 1, \"hidden_size\": 8, \"intermediate_size\": 8, "                 \
    "\"num_attention_heads\": 2, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5"
#define LLAMA "{\"architectures\": [\"LlamaForCausalLM\"], " SIZES

static void put(const char *name, const char *text)
{
    make_file(make_path(name), text, strlen(text));
}

/* A file of weights of zeros: names and shapes of F32 tensors, a name for each. */
static void put_weights(const char *const *name, const char *const *shape, const int *n_byte)
{
    struct buf head, b;
    int at = 0;

    buf_init(&head, 1 << 16);
    buf_init(&b, 1 << 16);
    for (int i = 0; name[i]; i++) {
        if (buf_fmt(&head,
                    "%s\"%s\": {\"dtype\": \"F32\", \"shape\": %s, \"data_offsets\": "
                    "[%d, %d]}",
                    i ? ", " : "{", name[i], shape[i], at, at + n_byte[i]) < 0)
            abort();
        at += n_byte[i];
    }
    make_bytes(&head, "}", 1);
    make_u64(&b, head.n);
    make_bytes(&b, head.p, head.n);
    make_data(&b, 1, (size_t)at);
    make_file(make_path("model.safetensors"), b.p, b.n);
    buf_done(&head);
    buf_done(&b);
}

static const char *const names[] = {"model.embed_tokens.weight",
                                    "model.layers.0.self_attn.q_proj.weight",
                                    "model.layers.0.mlp.experts.0.up_proj.weight", NULL};
static const char *const shapes[] = {"[6, 8]", "[8, 8]", "[4, 8]"};
static const int bytes[] = {192, 256, 128};

/* -- what is refused ----------------------------------------------------------------------- */

static const struct {
    const char *config;
    int code;
    const char *says;
} refused[] = {
    {"{}", E_FORMAT, "neither architectures, a list of names, nor model_type"},
    {"{\"architectures\": [\"NobodysForCausalLM\"]}", E_UNSUPPORTED, "'NobodysForCausalLM'"},
    {"{", E_FORMAT, "config.json: not JSON"},
    {"{\"architectures\": [\"LlamaForCausalLM\"]}", E_FORMAT, "num_hidden_layers"},
    {LLAMA ", \"num_key_value_heads\": 0}", E_FORMAT, "num_key_value_heads"},
    {LLAMA ", \"num_key_value_heads\": \"x\"}", E_FORMAT, "not an integer"},
    {LLAMA ", \"rope_theta\": []}", E_FORMAT, "not a number"},
    {LLAMA ", \"hidden_size\": 7}", E_FORMAT, "duplicate"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"bent\"}}", E_UNSUPPORTED,
     "'bent' is not supported"},
    {LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\"}}", E_FORMAT, "rope_scaling.factor"},
    {LLAMA ", \"partial_rotary_factor\": 2}", E_FORMAT, "partial_rotary_factor: 2"},
    {LLAMA ", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}}",
     E_UNSUPPORTED,
     "quantised by 'gptq' are not read here; take the folder of the original weights"},
    {LLAMA ", \"quantization_config\": {\"quant_method\": \"awq\"}}", E_UNSUPPORTED, "'awq'"},
    {LLAMA ", \"quantization_config\": {}}", E_UNSUPPORTED, "quantised by '?'"},
    {LLAMA "}", E_UNSUPPORTED, "tensor model.layers.0.mlp.experts.0.up_proj.weight: not known"},
    {"{\"architectures\": [\"Qwen3MoeForCausalLM\"], \"num_experts\": 2, " SIZES "}", E_FORMAT,
     "num_experts_per_tok"},
};

static void test_refused(void **state)
{
    (void)state;
    put_weights(names, shapes, bytes);
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct hf *h = NULL;
        int rc;

        put("config.json", refused[i].config);
        rc = hf_open(&h, make_dir(), &err);
        if (rc != refused[i].code || h || !strstr(err.msg, refused[i].says) ||
            !strstr(err.msg, make_dir()))
            fail_msg("%s: %d: %s, want: %s", refused[i].config, rc, rc < 0 ? err.msg : "",
                     refused[i].says);
    }
}

static void test_nothing(void **state)
{
    struct hf *h = NULL;

    (void)state;
    (void)unlink(make_path("config.json"));
    assert_int_equal(hf_open(&h, make_dir(), &err), E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no config.json in it; give a .gguf file"));
    (void)unlink(make_path("model.safetensors"));
    put("config.json", LLAMA "}");
    assert_int_equal(hf_open(&h, make_dir(), &err), E_NOT_FOUND);
    assert_int_equal(hf_is_folder(make_dir()), 1);
    assert_int_equal(hf_is_folder(make_path("config.json")), 0);
}

/* Shapes that the config contradicts must not lead a walk out of its tensor. */
static void test_misfits(void **state)
{
    static const char *const some[] = {"model.embed_tokens.weight",
                                       "model.layers.0.self_attn.q_proj.weight", NULL};
    static const char *const odd[][2] = {
        {"[6, 8]", "[7, 8]"}, {"[6, 8]", "[2, 8]"}, {"[6, 8]", "[0, 8]"}, {"[0, 8]", "[8, 8]"}};
    static const int n[][2] = {{192, 224}, {192, 64}, {192, 0}, {0, 256}};

    (void)state;
    put("config.json", LLAMA "}");
    for (size_t i = 0; i < 4; i++) {
        struct hf *h = NULL;

        put_weights(some, odd[i], n[i]);
        assert_int_equal(hf_open(&h, make_dir(), &err), E_FORMAT);
        assert_non_null(strstr(err.msg, "does not fit config.json"));
    }
}

/* -- being watched ------------------------------------------------------------------------- */

struct watched {
    int n, stop; /* at the call of that number; 0: never */
    double done;
};

static int on_progress(void *ctx, double done)
{
    struct watched *w = ctx;

    assert_true(done >= w->done && done <= 1);
    w->done = done;
    return ++w->n == w->stop;
}

/* What must be rearranged takes a while, in which nobody may want the model any more. */
static void test_watched(void **state)
{
    static const char *const some[] = {"model.embed_tokens.weight",
                                       "model.layers.0.self_attn.q_proj.weight",
                                       "model.layers.0.self_attn.k_proj.weight", NULL};
    static const char *const square[] = {"[6, 8]", "[8, 8]", "[8, 8]"};
    static const int n_byte[] = {192, 256, 256};
    struct watched w = {0};
    struct hf_watch watch = {on_progress, &w};
    struct hearth_model_options o = {.progress = on_progress, .ctx = &w};
    struct hearth_error he = {0};
    struct hearth_model *m = NULL;
    struct gguf *g = NULL;
    int all;

    (void)state;
    put_weights(some, square, n_byte);
    put("config.json", LLAMA "}");
    assert_int_equal(hf_open_watched(&g, make_dir(), &watch, &err), 0);
    gguf_free(g);
    assert_true(w.n >= 2);
    all = w.n;
    for (int i = 1; i <= all; i++) {
        w = (struct watched){.stop = i};
        g = NULL;
        assert_int_equal(hf_open_watched(&g, make_dir(), &watch, &err), E_CANCELLED);
        assert_null(g);
        assert_int_equal(w.n, i);
    }
    w = (struct watched){.stop = 2};
    assert_int_equal(hearth_model_open(&m, make_dir(), &o, &he), E_CANCELLED);
    assert_null(m);
}

/* -- no memory ----------------------------------------------------------------------------- */

static int open_and_free(void)
{
    struct gguf *g = NULL;
    int rc = hf_open_model(&g, make_dir(), 1, &err);

    assert_true((rc == 0) == (g != NULL));
    gguf_free(g);
    return rc;
}

static int write_out(void)
{
    struct hf_write w = {.type = QUANT_Q8_0, .n_thread = 1};
    struct hf *h = NULL;
    int rc = hf_open(&h, make_dir(), &err);

    if (rc == 0)
        rc = hf_write(h, make_path("out.gguf"), &w, &err);
    hf_free(h);
    return rc;
}

/* jansson's own requests are left alone: it tells a refusal as an error of syntax. */
static void fail_each(int (*fn)(void), const char *what)
{
    uint64_t n = 1;
    int rc;

    do {
        (void)mem_fail_at(n++, 0);
        rc = fn();
        (void)mem_fail_at(0, 0);
        if (rc < 0 && rc != E_NOMEM)
            fail_msg("%s, allocation %d: code %d: %s", what, (int)n - 1, rc, err.msg);
    } while (rc < 0 && n < 5000);
    if (rc < 0)
        fail_msg("%s: %s", what, err.msg);
    assert_true(n > 20);
}

static void test_no_memory(void **state)
{
    (void)state;
    put_weights(names, shapes, bytes);
    put("config.json", "{\"architectures\": [\"Qwen3MoeForCausalLM\"], \"num_experts\": 1, "
                       "\"num_experts_per_tok\": 1, \"rope_scaling\": {\"type\": \"llama3\", "
                       "\"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
                       "\"original_max_position_embeddings\": 32}, " SIZES "}");
    put("tokenizer.json",
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}], "
        "\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"vocab\": {\"a\": 1, \"b\": "
        "2, "
        "\"ab\": 3}, \"merges\": [\"a b\"]}}");
    fail_each(open_and_free, "open");
    fail_each(write_out, "write");
}

static int clean(void **state)
{
    static const char *const all[] = {"config.json", "model.safetensors", "tokenizer.json",
                                      "out.gguf"};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        (void)unlink(make_path(all[i]));
    make_dir_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_misfits),   cmocka_unit_test(test_watched),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
