/* Whatever text a SentencePiece tokenizer gets: its ids are of the vocabulary, a stream shows
 * whole characters, and the text comes back. */
#include "../unit/text/small.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tok *t, *t_no_space;

static void make(void)
{
    struct small s;

    small_spm(&s);
    small_add(&s, "c\xe2\x96\x81", TOK_NORMAL, 1);
    small_add(&s, "<uu>a", TOK_CONTROL, 0);
    t = small_tok(&s);
    small_id(&s, "tokenizer.ggml.add_space_prefix", 0);
    t_no_space = small_tok(&s);
}

/* User-defined tokens and the character U+2581 do not come back as they were: what follows
 * the one gets a space in front, the other becomes one. */
static int is_kept(const struct tok *x, const struct tok_ids *ids, struct str text)
{
    if (text.n && memmem(text.p, text.n, "\xe2\x96\x81", 3))
        return 0;
    for (size_t i = 0; x == t && i < ids->n; i++) {
        if (tok_type_of(x, ids->id[i]) == TOK_USER)
            return 0;
    }
    return 1;
}

static void check(const struct tok *x, struct str text, int flags)
{
    struct tok_ids ids = {0};
    struct tok_stream s;
    struct buf out;

    buf_init(&out, text.n * 8 + 64);
    small_must(buf_str(&out, "") == 0, "buffer");
    small_must(tok_encode(x, text.p, text.n, flags, &ids, NULL) == 0, "encode");
    tok_stream_init(&s, x, 1, flags & TOK_PARSE_SPECIAL);
    for (size_t i = 0; i < ids.n; i++) {
        size_t at = out.n;

        small_must(ids.id[i] >= 0 && ids.id[i] < tok_count(x), "id");
        small_must(tok_stream_put(&s, ids.id[i], &out) == 0, "put");
        /* What is held back is a character begun, and no more. */
        small_must(buf_put(&out, s.held, s.n_held) == 0, "put");
        small_must(at + utf8_whole(out.p + at, out.n - at) == out.n - s.n_held, "whole");
        out.n -= s.n_held;
    }
    small_must(tok_stream_end(&s, &out) == 0, "end");
    if (flags == 0 && is_kept(x, &ids, text))
        small_must(out.n == text.n && (!text.n || memcmp(out.p, text.p, text.n) == 0), "back");
    tok_ids_done(&ids);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    if (!t)
        make();
    for (int flags = 0; flags < 4; flags++) {
        check(t, text, flags);
        check(t_no_space, text, flags);
    }
    return 0;
}
