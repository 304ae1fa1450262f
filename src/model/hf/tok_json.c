/* The vocabulary of tokenizer.json. Its model is one of
 *
 *   BPE on bytes      "gpt2": tokens in GPT-2's alphabet, merges, a pre-tokenizer
 *   BPE on characters with bytes as a way out, as SentencePiece's models become: "llama", whose
 *                     scores are the ranks of the merges that make a token; "gemma4" keeps
 * merges Unigram           "t5": tokens with scores WordPiece         "bert": continuations
 * lose their ##, beginnings get U+2581
 */
#include "model/hf/hf_priv.h"

#include "base/map.h"

#include <stdio.h>

enum { TOKENS_MAX = 1 << 22, DEEP_MAX = 8 };

/* Is a step of that type in a normalizer, pre-tokenizer or decoder? Returns it or NULL. */
static const json_t *find_step(const json_t *j, const char *type, int deep)
{
    static const char *const lists[] = {"normalizers", "pretokenizers", "decoders",
                                        "processors"};
    const char *is = json_string_value(json_object_get(j, "type"));
    const json_t *found = NULL;

    if (!is || deep > DEEP_MAX)
        return NULL;
    if (strcmp(is, type) == 0)
        return j;
    for (size_t i = 0; i < HF_COUNT(lists) && !found; i++) {
        const json_t *all = json_object_get(j, lists[i]);

        for (size_t k = 0; k < json_array_size(all) && !found; k++)
            found = find_step(json_array_get(all, k), type, deep + 1);
    }
    return found;
}

const json_t *hf_step(const json_t *tokenizer, const char *where, const char *type)
{
    return find_step(json_object_get(tokenizer, where), type, 0);
}

/* Room for tokens 0 to last. */
static int make_room(struct hf *h, struct hf_vocab *v, int64_t last)
{
    if (last < 0 || last >= TOKENS_MAX) {
        hf_fail(h, E_FORMAT, "tokenizer.json: a token with the number %lld", (long long)last);
        return 0;
    }
    v->n = (size_t)last + 1;
    v->text = hf_alloc(h, v->n, sizeof(*v->text));
    v->type = hf_alloc(h, v->n, sizeof(*v->type));
    v->score = hf_alloc(h, v->n, sizeof(*v->score));
    for (size_t i = 0; h->rc == 0 && i < v->n; i++)
        v->type[i] = HF_TOK_UNUSED;
    return h->rc == 0;
}

static int64_t last_added(const json_t *added, int64_t last)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        int64_t id = json_integer_value(json_object_get(json_array_get(added, i), "id"));

        last = id > last ? id : last;
    }
    return last;
}

static struct str str_json(const json_t *j)
{
    return (struct str){json_string_value(j), json_string_length(j)};
}

/* "<0x0A>": a token that stands for a byte. */
static int is_byte(struct str s)
{
    return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>';
}

static void read_object(struct hf *h, struct hf_vocab *v, const json_t *vocab,
                        const json_t *added, int bytes)
{
    json_t *all = (json_t *)(uintptr_t)vocab, *id; /* jansson's loop takes no const */
    int64_t last = -1;
    const char *text;

    json_object_foreach(all, text, id) last =
        json_is_integer(id) && json_integer_value(id) > last ? json_integer_value(id) : last;
    if (!make_room(h, v, last_added(added, last)))
        return;
    json_object_foreach(all, text, id)
    {
        int64_t i = json_is_integer(id) ? json_integer_value(id) : -1;

        if (i < 0) {
            hf_fail(h, E_FORMAT, "tokenizer.json: token '%.40s' has no number", text);
            return;
        }
        v->text[i] = str_of(text);
        v->type[i] = bytes && is_byte(v->text[i]) ? HF_TOK_BYTE : HF_TOK_NORMAL;
    }
}

static void read_list(struct hf *h, struct hf_vocab *v, const json_t *vocab,
                      const json_t *added)
{
    if (!make_room(h, v, last_added(added, (int64_t)json_array_size(vocab) - 1)))
        return;
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const json_t *pair = json_array_get(vocab, i);

        v->text[i] = str_json(json_array_get(pair, 0));
        v->score[i] = (float)json_number_value(json_array_get(pair, 1));
        v->type[i] = is_byte(v->text[i]) ? HF_TOK_BYTE : HF_TOK_NORMAL;
        if (!v->text[i].p)
            hf_fail(h, E_FORMAT, "tokenizer.json: token %zu has no text", i);
    }
}

/* Both ways to write a merge: "left right" and ["left", "right"]. */
static int merge_texts(const json_t *m, struct str *left, struct str *right)
{
    const char *gap;

    if (json_is_array(m)) {
        *left = str_json(json_array_get(m, 0));
        *right = str_json(json_array_get(m, 1));
        return left->p && right->p;
    }
    *left = str_json(m);
    gap = left->n > 1 ? memchr(left->p + 1, ' ', left->n - 1) : NULL;
    if (!gap)
        return 0;
    *right = (struct str){gap + 1, left->n - (size_t)(gap - left->p) - 1};
    left->n = (size_t)(gap - left->p);
    return 1;
}

/* SentencePiece joins the pair whose text has the highest score: the earlier merge's. */
static void score_by_rank(struct hf *h, struct hf_vocab *v, const json_t *merges)
{
    struct map ids;
    struct buf both;
    size_t n = json_array_size(merges);
    int rc = map_init(&ids, v->n);

    buf_init(&both, 1 << 20);
    for (size_t i = 0; i < v->n && rc >= 0; i++) {
        v->score[i] = -(float)n;
        rc = v->text[i].n ? map_put(&ids, v->text[i], (uint32_t)i, NULL) : 0;
    }
    for (size_t i = n; i-- > 0 && rc >= 0;) {
        struct str l, r;
        uint32_t id;

        if (!merge_texts(json_array_get(merges, i), &l, &r)) {
            rc = E_FORMAT;
            break;
        }
        buf_clear(&both);
        if ((rc = buf_put(&both, l.p, l.n)) < 0 || (rc = buf_put(&both, r.p, r.n)) < 0)
            break;
        if (map_get(&ids, (struct str){both.p, both.n}, &id))
            v->score[id] = -(float)i;
    }
    if (rc < 0)
        hf_fail(h, rc,
                rc == E_FORMAT ? "tokenizer.json: a merge that is not two texts"
                               : "no memory for merges");
    map_done(&ids);
    buf_done(&both);
}

int hf_put_merges(struct hf *h, const json_t *merges)
{
    size_t n = json_array_size(merges);
    struct str *all = hf_alloc(h, n ? n : 1, sizeof(*all));
    struct buf b;

    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        struct str l, r;

        if (!merge_texts(json_array_get(merges, i), &l, &r)) {
            hf_fail(h, E_FORMAT, "tokenizer.json: merge %zu is not two texts", i);
            break;
        }
        buf_init(&b, 1 << 20);
        if (buf_put(&b, l.p, l.n) < 0 || buf_byte(&b, ' ') < 0 || buf_put(&b, r.p, r.n) < 0 ||
            !(all[i].p = arena_strdup(&h->mem, (struct str){b.p, b.n})))
            hf_fail(h, E_NOMEM, "no memory for merges");
        all[i].n = b.n;
        buf_done(&b);
    }
    if (h->rc == 0)
        h->rc = gguf_put_strs(h->keys, "tokenizer.ggml.merges", all, n, h->e);
    return h->rc;
}

/* Tokens beside the model's: special ones are control tokens, others always stand for
 * themselves.
 */
static void read_added(struct hf *h, struct hf_vocab *v, const json_t *added)
{
    for (size_t i = 0; h->rc == 0 && i < json_array_size(added); i++) {
        const json_t *t = json_array_get(added, i);
        int64_t id = json_integer_value(json_object_get(t, "id"));
        struct str text = str_json(json_object_get(t, "content"));

        if (!json_is_integer(json_object_get(t, "id")) || id < 0 || !text.p) {
            hf_fail(h, E_FORMAT, "tokenizer.json: added token %zu has no number or no text", i);
            return;
        }
        v->text[id] = text;
        v->type[id] =
            json_is_true(json_object_get(t, "special")) ? HF_TOK_CONTROL : HF_TOK_USER;
    }
}

/* BERT's words: as GGUF has them. Names in brackets are no words. */
static void respell_words(struct hf *h, struct hf_vocab *v)
{
    for (size_t i = 0; h->rc == 0 && i < v->n; i++) {
        struct str s = v->text[i];
        char text[600];

        if (s.n > 2 && memcmp(s.p, "##", 2) == 0) {
            v->text[i] = (struct str){s.p + 2, s.n - 2};
        } else if (s.n && s.n < 500 && !(s.n > 1 && s.p[0] == '[' && s.p[s.n - 1] == ']')) {
            (void)snprintf(text, sizeof(text), "\u2581%.*s", (int)s.n, s.p);
            v->text[i].p = arena_strdup(&h->mem, str_of(text));
            v->text[i].n = strlen(text);
            if (!v->text[i].p)
                hf_fail(h, E_NOMEM, "no memory for tokens");
        }
    }
}

/* Does a text get a space in front? Two generations of tokenizer.json say it differently. */
static int adds_space(const json_t *j)
{
    const json_t *meta = hf_step(j, "pre_tokenizer", "Metaspace");
    const char *scheme = json_string_value(json_object_get(meta, "prepend_scheme"));

    if (!meta)
        return hf_step(j, "normalizer", "Prepend") != NULL;
    if (scheme)
        return strcmp(scheme, "never") != 0;
    return !json_is_false(json_object_get(meta, "add_prefix_space"));
}

static void read_bpe(struct hf *h, struct hf_vocab *v, const json_t *j, const json_t *added)
{
    const json_t *model = json_object_get(j, "model"),
                 *merges = json_object_get(model, "merges");
    int bytes = hf_step(j, "pre_tokenizer", "ByteLevel") || hf_step(j, "decoder", "ByteLevel"),
        way_out = json_is_true(json_object_get(model, "byte_fallback"));

    read_object(h, v, json_object_get(model, "vocab"), added, !bytes);
    if (h->rc < 0)
        return;
    if (bytes) {
        v->model = "gpt2";
        v->pre = hf_pre_of(h, j);
        v->merges = merges;
    } else if (h->family->tok) {
        v->model = h->family->tok;
        v->merges = merges;
    } else if (way_out) {
        v->model = "llama";
        v->add_space = adds_space(j);
        score_by_rank(h, v, merges);
    } else {
        hf_add_note(h, "tokenizer.json: BPE neither on bytes nor with bytes to fall back on is "
                       "not known, so the model has no tokenizer");
    }
}

void hf_tok_json(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *model = json_object_get(j, "model"),
                 *added = json_object_get(j, "added_tokens"),
                 *unk = json_object_get(model, "unk_token");
    const char *type = json_string_value(json_object_get(model, "type"));

    *v = (struct hf_vocab){.add_space = -1, .unk = -1};
    if (!type)
        type = json_object_get(model, "merges") ? "BPE" : "";
    if (strcmp(type, "BPE") == 0) {
        read_bpe(h, v, j, added);
    } else if (strcmp(type, "Unigram") == 0) {
        v->model = "t5";
        read_list(h, v, json_object_get(model, "vocab"), added);
        if (json_is_integer(json_object_get(model, "unk_id")))
            v->unk = (int)json_integer_value(json_object_get(model, "unk_id"));
    } else if (strcmp(type, "WordPiece") == 0) {
        v->model = "bert";
        v->pre = "default";
        read_object(h, v, json_object_get(model, "vocab"), added, 0);
    } else {
        hf_add_note(h,
                    "tokenizer.json: a model of type '%.40s' is not known, so there is no "
                    "tokenizer",
                    type);
    }
    if (!v->model || h->rc < 0)
        return;
    for (size_t i = 0; json_is_string(unk) && i < v->n && v->unk < 0; i++) {
        if (v->text[i].n && str_eq(v->text[i], str_json(unk)))
            v->unk = (int)i;
    }
    read_added(h, v, added);
    if (v->unk >= 0 && (size_t)v->unk < v->n && strcmp(v->model, "gpt2") != 0)
        v->type[v->unk] = HF_TOK_UNKNOWN;
    if (strcmp(v->model, "bert") == 0)
        respell_words(h, v);
}
