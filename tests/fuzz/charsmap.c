/* Whatever table a file has for normalising: it is refused, or no text leads out of it. */
#include "../unit/text/small.h"
#include "text/charsmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf_writer *w;
    struct charsmap c;
    struct gguf *g;
    char path[64];

    (void)snprintf(path, sizeof(path), "/tmp/hearth-charsmap-%d.gguf", (int)getpid());
    small_must(gguf_writer_new(&w, 3, NULL) == 0, "no writer");
    small_must(
        gguf_put_arr(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, data, size, NULL) == 0,
        "array");
    small_must(gguf_write(w, path, NULL) == 0, path);
    gguf_writer_free(w);
    small_must(gguf_open(&g, path, NULL) == 0, path);
    (void)unlink(path);
    if (charsmap_init(&c, g, NULL) == 0) {
        for (size_t at = 0; at < size; at++) {
            struct str put = {"", 0};
            size_t n = charsmap_find(&c, (const char *)data + at, size - at, &put);

            small_must(n <= size - at && strlen(put.p) == put.n, "length");
        }
        charsmap_done(&c);
    }
    gguf_free(g);
    return 0;
}
