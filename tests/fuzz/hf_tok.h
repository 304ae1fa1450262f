/* hf_tok.h - a folder whose model is always the same and whose tokenizer is the fuzzer's input:
 * it opens or is refused, and if it has a tokenizer that the text room takes, that one encodes.
 */
#ifndef HEARTH_TESTS_FUZZ_HF_TOK_H
#define HEARTH_TESTS_FUZZ_HF_TOK_H

#include "model/hf/hf.h"
#include "text/tok.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char hf_tok_dir[64];
static const char *hf_tok_names[] = {"config.json", "model.safetensors",
                                     "tokenizer_config.json", NULL};

static const char *hf_tok_path(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", hf_tok_dir, name);
    return path;
}

static void hf_tok_clean(void)
{
    for (size_t i = 0; i < sizeof(hf_tok_names) / sizeof(*hf_tok_names); i++)
        (void)unlink(hf_tok_path(hf_tok_names[i]));
    (void)rmdir(hf_tok_dir);
}

static void hf_tok_write(const char *name, const void *p, size_t n)
{
    int fd = open(hf_tok_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || (n && write(fd, p, n) != (ssize_t)n))
        abort();
    (void)close(fd);
}

static void hf_tok_begin(const char *file, const char *config, const char *about)
{
    static const char head[] =
        "{\"model.embed_tokens.weight\":{\"dtype\":\"F16\",\"shape\":[24,"
        "2],\"data_offsets\":[0,96]}}";
    unsigned char b[8 + sizeof(head) - 1 + 96] = {sizeof(head) - 1};

    (void)snprintf(hf_tok_dir, sizeof(hf_tok_dir), "/tmp/hearth-fuzz-tok-XXXXXX");
    if (!mkdtemp(hf_tok_dir) || atexit(hf_tok_clean) != 0)
        abort();
    hf_tok_names[3] = file;
    memcpy(b + 8, head, sizeof(head) - 1);
    hf_tok_write("config.json", config, strlen(config));
    hf_tok_write("model.safetensors", b, sizeof(b));
    hf_tok_write("tokenizer_config.json", about, strlen(about));
}

static void hf_tok_encode(const struct gguf *g)
{
    static const char text[] = "Ab  <s>c\xcc\x81\n\xe4\xb8\x80 12 '\x80s";
    struct tok *t = NULL;
    struct err e;

    if (tok_new(&t, g, &e) < 0)
        return;
    for (int flags = 0; flags < 4; flags++) {
        struct tok_ids ids = {0};

        if (tok_encode(t, text, sizeof(text) - 1, flags, &ids, &e) == 0) {
            for (size_t i = 0; i < ids.n; i++) {
                if (ids.id[i] < 0 || ids.id[i] >= tok_count(t))
                    abort();
            }
        }
        tok_ids_done(&ids);
    }
    tok_free(t);
}

static void hf_tok_run(const char *file, const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct err e;

    hf_tok_write(file, data, size);
    if (hf_open_model(&g, hf_tok_dir, 0, &e) == 0)
        hf_tok_encode(g);
    else if (e.code == E_INTERNAL || !e.msg[0])
        abort();
    gguf_free(g);
}

#define HF_TOK_SIZES                                                                           \
    "\"num_hidden_layers\":1,\"hidden_size\":2,\"intermediate_size\":2,"                       \
    "\"num_attention_heads\":1,\"max_position_embeddings\":8,\"rms_norm_eps\":1e-5}"

#endif
