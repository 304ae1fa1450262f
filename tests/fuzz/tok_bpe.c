/* Whatever text a byte-level BPE tokenizer gets, with each pre-tokenizer: its ids are of the
 * vocabulary, and their pieces are the text. */
#include "../unit/text/small.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PRE = 12 };

static struct tok *tok[N_PRE];

static void make(void)
{
    static const char *const pre[N_PRE] = {
        "gpt-2",  "llama-bpe", "qwen2",  "starcoder",   "falcon",       "default",
        "qwen35", "gpt-4o",    "tekken", "deepseek-v3", "deepseek-llm", "deepseek-coder"};

    for (int i = 0; i < N_PRE; i++) {
        struct small s;

        small_bpe(&s);
        small_add(&s, "<uu>a", TOK_CONTROL, 0);
        s.pre = pre[i];
        tok[i] = small_tok(&s);
    }
}

static void check(const struct tok *t, struct str text, int flags)
{
    struct tok_ids ids = {0};
    size_t at = 0;

    small_must(tok_encode(t, text.p, text.n, flags, &ids, NULL) == 0, "encode");
    for (size_t i = 0; i < ids.n; i++) {
        struct str piece = tok_piece(t, ids.id[i], 1);

        small_must(ids.id[i] >= 0 && ids.id[i] < tok_count(t), "id");
        if (flags & TOK_ADD_SPECIAL)
            continue;
        small_must(piece.n <= text.n - at && memcmp(piece.p, text.p + at, piece.n) == 0,
                   "piece");
        at += piece.n;
    }
    small_must((flags & TOK_ADD_SPECIAL) || at == text.n, "all");
    tok_ids_done(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    if (!tok[0])
        make();
    for (int i = 0; i < N_PRE; i++) {
        for (int flags = 0; flags < 4; flags++)
            check(tok[i], text, flags);
    }
    return 0;
}
