/* Tokenizers of Hugging Face folders: what is refused and how that is said, what is left out
 * with a note, and chat templates. That ids are right, tests/golden/hf_tok.py shows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fmt/gguf_make.h"

#include "model/hf/hf.h"

#include <sys/stat.h>

static struct err err;

static const char *const files[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "tiktoken.model",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "additional_chat_templates/rag.jinja",
};

static void put(const char *name, const char *text, size_t n)
{
    make_file(make_path(name), text, n);
}

/* A folder with an embedding of 8 rows and nothing else. */
static void start(void)
{
    static const char config[] =
        "{\"architectures\": [\"LlamaForCausalLM\"], \"num_hidden_layers\": 1, "
        "\"hidden_size\": 2, "
        "\"intermediate_size\": 2, \"num_attention_heads\": 1, \"max_position_embeddings\": 8, "
        "\"rms_norm_eps\": 1e-5}";
    static const char head[] =
        "{\"model.embed_tokens.weight\": {\"dtype\": \"F16\", \"shape\": "
        "[8, 2], \"data_offsets\": [0, 32]}}";
    struct buf b;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        (void)unlink(make_path(files[i]));
    put("config.json", config, strlen(config));
    buf_init(&b, 1 << 16);
    make_u64(&b, strlen(head));
    make_bytes(&b, head, strlen(head));
    make_data(&b, 1, 32);
    put("model.safetensors", b.p, b.n);
    buf_done(&b);
}

#define JSON(model)                                                                            \
    "{\"added_tokens\": [], \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {" model "}}"
#define UNIGRAM(vocab)     JSON("\"type\": \"Unigram\", \"vocab\": [" vocab "]")
#define BPE(vocab, merges) JSON("\"type\": \"BPE\", \"vocab\": " vocab ", \"merges\": " merges)
#define TEKKEN(sizes, vocab)                                                                   \
    "{\"config\": {\"pattern\": \"x\", " sizes "}, \"vocab\": [" vocab "]}"
#define SIZES "\"default_vocab_size\": 6, \"default_num_special_tokens\": 2"

/* -- what is broken ------------------------------------------------------------------------ */

static const struct {
    const char *file, *text;
    int code;
    const char *says;
} refused[] = {
    {"tokenizer.json", "", E_FORMAT, "tokenizer.json: an empty file"},
    {"tokenizer.json", "{\n\"model\": {,}}", E_FORMAT, "tokenizer.json: not JSON: "},
    {"tokenizer.json", "{\n\"model\": {,}}", E_FORMAT, "line 2"},
    {"tokenizer.json", BPE("[]", "[]"), E_FORMAT, "model.vocab is not an object"},
    {"tokenizer.json", BPE("{\"a\": \"x\"}", "[]"), E_FORMAT, "a vocabulary of 0 tokens"},
    {"tokenizer.json", BPE("{\"a\": 0, \"b\": \"x\"}", "[]"), E_FORMAT, "token 'b' has no id"},
    {"tokenizer.json", BPE("{\"a\": 0, \"b\": 0}", "[]"), E_FORMAT, "have id 0"},
    {"tokenizer.json", BPE("{\"a\": 4194304}", "[]"), E_FORMAT,
     "a vocabulary of 4194305 tokens"},
    {"tokenizer.json", BPE("{\"a\": 0}", "{}"), E_FORMAT, "model.merges is not a list"},
    {"tokenizer.json", BPE("{\"a\": 0}", "[\"a b\", \"ab\"]"), E_FORMAT,
     "model.merges: element 1 is not two texts"},
    {"tokenizer.json", BPE("{\"a\": 0}", "[[\"a b\", \"c\"]]"), E_UNSUPPORTED,
     "element 0 has a space in its left text"},
    {"tokenizer.json", UNIGRAM("[\"a\", -1], [\"b\"]"), E_FORMAT,
     "model.vocab: element 1 is not a text and a score"},
    {"tokenizer.json",
     "{\"added_tokens\": [{\"id\": 0}], \"model\": {\"type\": \"Unigram\", "
     "\"vocab\": [[\"a\", -1]]}}",
     E_FORMAT, "added_tokens: element 0 has no id or no content"},
    {"tokenizer.json",
     "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": "
     "\"AAA?\"}, \"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]]}}",
     E_FORMAT, "precompiled_charsmap is not base64 at its byte 3"},
    {"tokenizer.model",
     "\x0a\x03\x0a\x01"
     "a"
     "\x0a\x7f",
     E_FORMAT,
     "tokenizer.model: piece 1 or what is behind it: a field that is longer than what is left "
     "at "
     "byte 7"},
    {"tokenizer.model",
     "\x0a\x03\x0a\x09"
     "a",
     E_FORMAT, "longer than what is left at byte 4"},
    {"tokenizer.model",
     "\x0a\x03\x0a\x01"
     "a"
     "\x0b",
     E_FORMAT, "a wire type that is not known"},
    {"tokenizer.model", "text", E_FORMAT, "neither a SentencePiece model nor tiktoken's"},
    {"tokenizer.model", "QQ== 0\nQg== x\n", E_FORMAT,
     "tokenizer.model: line 2 is not a token, a space and its rank"},
    {"tiktoken.model", "QQ== 0\n\nQ?== 1\n", E_FORMAT, "line 3: its token is not base64"},
    {"tiktoken.model", "QQ== 0\nQg== 0\n", E_FORMAT, "line 2: rank 0 is there twice"},
    {"tiktoken.model", "QQ== 0\nQQ== 1\n", E_FORMAT, "ranks 0 and 1 are the same token"},
    {"tiktoken.model", "QQ== 99999999999\n", E_FORMAT, "a vocabulary of "},
    {"tekken.json", TEKKEN(SIZES, ""), E_FORMAT, "tekken.json: it needs vocab, config.pattern"},
    {"tekken.json", TEKKEN(SIZES, "{\"rank\": 0, \"token_bytes\": \"?\"}"), E_FORMAT,
     "element 0: token_bytes is not base64"},
    {"tekken.json", TEKKEN(SIZES, "{\"token_bytes\": \"QQ==\"}"), E_FORMAT,
     "element 0 has no rank"},
    {"chat_template.json", "{", E_FORMAT, "chat_template.json: not JSON"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct hf *h = NULL;
        int rc;

        start();
        put(refused[i].file, refused[i].text, strlen(refused[i].text));
        rc = hf_open(&h, make_dir(), &err);
        if (rc != refused[i].code || h || !strstr(err.msg, refused[i].says) ||
            !strstr(err.msg, refused[i].file))
            fail_msg("%s: %s: %d: %s, want: %s", refused[i].file, refused[i].text, rc,
                     rc < 0 ? err.msg : "", refused[i].says);
    }
}

/* -- what is left out ---------------------------------------------------------------------- */

static const struct {
    const char *file, *text, *says;
} noted[] = {
    {"tokenizer.json", JSON("\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}"),
     "type 'WordLevel'"},
    {"tokenizer.json",
     "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
     "\"pattern\": {\"Regex\": \"[xy]+\"}, \"behavior\": \"MergedWithNext\"}, {\"type\": "
     "\"ByteLevel\", \"use_regex\": false}]}, \"model\": {\"type\": \"BPE\", \"vocab\": "
     "{\"a\": 0}, "
     "\"merges\": []}}",
     "is not known, so text cannot become tokens: split, MergedWithNext [xy]+"},
    {"tokenizer.json",
     "{\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"ByteLevel\"}, "
     "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
     "its normalizer NFC is left out"},
    {"tokenizer.json",
     "{\"added_tokens\": [{\"id\": 1, \"content\": \"<x>\", \"single_word\": true}], "
     "\"model\": "
     "{\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]]}}",
     "single_word of '<x>'"},
    {"tokenizer.model",
     "\x0a\x03\x0a\x01"
     "a"
     "\x12\x02\x18\x04",
     "a SentencePiece model of characters"},
    {"tekken.json", TEKKEN(SIZES, "{\"rank\": 0, \"token_bytes\": \"QQ==\"}"),
     "so text cannot become tokens: split x"},
    {"tiktoken.model", "QQ== 0\n", "no special tokens"},
    {"config.json", NULL, "so the model has no tokenizer"},
};

static void test_noted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(noted) / sizeof(*noted); i++) {
        struct hf *h = NULL;
        int found = 0;

        start();
        if (noted[i].text)
            put(noted[i].file, noted[i].text, strlen(noted[i].text));
        if (hf_open(&h, make_dir(), &err) < 0)
            fail_msg("%s: %s", noted[i].says, err.msg);
        for (size_t k = 0; hf_note(h, k); k++)
            found |= strstr(hf_note(h, k), noted[i].says) != NULL;
        if (!found)
            fail_msg("no note: %s; but %s", noted[i].says,
                     hf_note(h, 0) ? hf_note(h, 0) : "none");
        hf_free(h);
    }
}

/* -- chat templates ------------------------------------------------------------------------ */

static void expect_template(const char *key, const char *want)
{
    struct gguf *g = NULL;
    struct str s = {"", 0};

    assert_int_equal(hf_open_model(&g, make_dir(), 0, &err), 0);
    assert_int_equal(gguf_str(g, key, &s, &err), want != NULL);
    if (want && !str_is(s, want))
        fail_msg("%s: %.*s, want %s", key, (int)s.n, s.p, want);
    gguf_free(g);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void test_templates(void **state)
{
    static const char chat[] = "tokenizer.chat_template",
                      tool[] = "tokenizer.chat_template.tool_use",
                      rag[] = "tokenizer.chat_template.rag";

    (void)state;
    start();
    put_text("tokenizer_config.json", "{\"chat_template\": \"A\"}");
    expect_template(chat, "A");
    put_text("tokenizer_config.json",
             "{\"chat_template\": [{\"name\": \"default\", \"template\": \"B\"}, {\"name\": "
             "\"tool_use\", \"template\": \"C\"}, {\"name\": \"rag\", \"template\": \"D\"}]}");
    expect_template(chat, "B");
    expect_template(tool, "C");
    /* Files go before it, each by its name. */
    put_text("chat_template.json", "{\"chat_template\": \"E\"}");
    expect_template(chat, "E");
    put_text("chat_template.jinja", "F");
    (void)mkdir(make_path("additional_chat_templates"), 0700);
    put_text("additional_chat_templates/rag.jinja", "G");
    expect_template(chat, "F");
    expect_template(rag, "G");
    expect_template(tool, "C");
    start();
    expect_template(chat, NULL);
    (void)rmdir(make_path("additional_chat_templates"));
}

static int clean(void **state)
{
    (void)state;
    start();
    (void)unlink(make_path("config.json"));
    (void)unlink(make_path("model.safetensors"));
    make_dir_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_noted),
        cmocka_unit_test(test_templates),
    };

    return cmocka_run_group_tests(tests, NULL, clean);
}
