/* The vocabulary of tokenizer.json. Its model is one of
 *
 *   BPE on bytes       "gpt2": tokens in GPT-2's alphabet, merges, a pre-tokenizer
 *   BPE on characters  with bytes as a way out, as SentencePiece's models become: "llama",
 * whose scores are the ranks of the merges that make a token; "gemma4" keeps merges Unigram
 * "t5": tokens with scores WordPiece          "bert": continuations lose their ##, beginnings
 * get U+2581
 *
 * WordLevel has no equal in GGUF.
 */
#include "model/hf/hf_priv.h"

#include "base/map.h"

#include <stdio.h>

enum { DEEP_MAX = 8 };

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

/* -- tokens -------------------------------------------------------------------------------- */

static void read_object(struct hf *h, struct hf_vocab *v, const json_t *vocab,
                        const json_t *added, int bytes)
{
    json_t *all = (json_t *)(uintptr_t)vocab, *id; /* jansson's loop takes no const */
    int64_t last = -1;
    const char *text;

    if (!json_is_object(vocab))
        hf_fail(h, E_FORMAT, "tokenizer.json: model.vocab is not an object of texts and ids");
    json_object_foreach(all, text, id) last =
        json_is_integer(id) && json_integer_value(id) > last ? json_integer_value(id) : last;
    if (!hf_vocab_room(h, v, "tokenizer.json", last_added(added, last) + 1))
        return;
    json_object_foreach(all, text, id)
    {
        int64_t i = json_is_integer(id) ? json_integer_value(id) : -1;

        if (i < 0) {
            hf_fail(h, E_FORMAT, "tokenizer.json: model.vocab: token '%.40s' has no id", text);
            return;
        }
        if (v->text[i].p) {
            hf_fail(h, E_FORMAT,
                    "tokenizer.json: model.vocab: '%.40s' and '%.40s' have id %lld",
                    v->text[i].p, text, (long long)i);
            return;
        }
        v->text[i] = str_of(text);
        v->type[i] = bytes && hf_is_byte(v->text[i]) ? HF_TOK_BYTE : HF_TOK_NORMAL;
    }
}

static void read_list(struct hf *h, struct hf_vocab *v, const json_t *vocab,
                      const json_t *added)
{
    int64_t last = (int64_t)json_array_size(vocab) - 1;

    if (!json_is_array(vocab))
        hf_fail(h, E_FORMAT, "tokenizer.json: model.vocab is not a list of texts and scores");
    if (!hf_vocab_room(h, v, "tokenizer.json", last_added(added, last) + 1))
        return;
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const json_t *pair = json_array_get(vocab, i), *score = json_array_get(pair, 1);

        v->text[i] = str_json(json_array_get(pair, 0));
        v->score[i] = (float)json_number_value(score);
        v->type[i] = hf_is_byte(v->text[i]) ? HF_TOK_BYTE : HF_TOK_NORMAL;
        if (!v->text[i].p || !json_is_number(score)) {
            hf_fail(h, E_FORMAT,
                    "tokenizer.json: model.vocab: element %zu is not a text and a score", i);
            return;
        }
    }
}

/* -- merges -------------------------------------------------------------------------------- */

/* Both ways to write a merge: "left right" and ["left", "right"]. */
static int merge_texts(const json_t *m, struct str *left, struct str *right)
{
    const char *gap;

    if (json_is_array(m)) {
        *left = str_json(json_array_get(m, 0));
        *right = str_json(json_array_get(m, 1));
        return left->n && right->n;
    }
    *left = str_json(m);
    gap = left->n > 1 ? memchr(left->p + 1, ' ', left->n - 1) : NULL;
    if (!gap)
        return 0;
    *right = (struct str){gap + 1, left->n - (size_t)(gap - left->p) - 1};
    left->n = (size_t)(gap - left->p);
    return right->n > 0;
}

/* a, gap, and b in one piece. */
static struct str join(struct hf *h, struct str a, struct str gap, struct str b)
{
    char *p = hf_alloc(h, a.n + gap.n + b.n + 1, 1);

    if (!p)
        return (struct str){"", 0};
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, gap.p, gap.n);
    memcpy(p + a.n + gap.n, b.p, b.n);
    return (struct str){p, a.n + gap.n + b.n};
}

static void read_merges(struct hf *h, struct hf_vocab *v, const json_t *merges)
{
    size_t n = json_array_size(merges);

    if (!json_is_array(merges))
        hf_fail(h, E_FORMAT, "tokenizer.json: model.merges is not a list");
    v->merge = hf_alloc(h, n, sizeof(*v->merge));
    v->n_merge = n;
    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        const json_t *m = json_array_get(merges, i);
        struct str l, r;

        if (!merge_texts(m, &l, &r))
            hf_fail(h, E_FORMAT, "tokenizer.json: model.merges: element %zu is not two texts",
                    i);
        else if (l.n > 1 && memchr(l.p + 1, ' ', l.n - 1))
            hf_fail(h, E_UNSUPPORTED,
                    "tokenizer.json: model.merges: element %zu has a space in its left text, "
                    "which GGUF cannot say",
                    i);
        else
            v->merge[i] = json_is_array(m) ? join(h, l, str_of(" "), r) : str_json(m);
    }
}

/* SentencePiece joins the pair whose text has the highest score: the earlier merge's. */
static void score_by_rank(struct hf *h, struct hf_vocab *v)
{
    struct map ids;
    struct buf both;
    int rc = map_init(&ids, v->n);

    buf_init(&both, SIZE_MAX / 2);
    for (size_t i = 0; i < v->n && rc >= 0; i++) {
        v->score[i] = -(float)v->n_merge;
        rc = v->text[i].n ? map_put(&ids, v->text[i], (uint32_t)i, NULL) : 0;
    }
    for (size_t i = v->n_merge; i-- > 0 && rc >= 0;) {
        struct str m = v->merge[i];
        size_t n_left = (size_t)((const char *)memchr(m.p + 1, ' ', m.n - 1) - m.p);
        uint32_t id;

        buf_clear(&both);
        if ((rc = buf_put(&both, m.p, n_left)) < 0 ||
            (rc = buf_put(&both, m.p + n_left + 1, m.n - n_left - 1)) < 0)
            break;
        if (map_get(&ids, (struct str){both.p, both.n}, &id))
            v->score[id] = -(float)i;
    }
    if (rc < 0)
        hf_fail(h, rc, "no memory for merges");
    map_done(&ids);
    buf_done(&both);
}

/* -- tokens beside the model's ------------------------------------------------------------- */

/* What a token says of words around it, and no key tells. */
static void note_words(struct hf *h, const json_t *added)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *t = json_array_get(added, i);

        if (!json_is_true(json_object_get(t, "single_word")))
            continue;
        hf_add_note(
            h,
            "tokenizer.json: single_word of '%.40s' is left out: it also counts inside words",
            json_string_value(json_object_get(t, "content")));
        return;
    }
}

/* Special ones are control tokens, others always stand for themselves. */
static void read_added(struct hf *h, struct hf_vocab *v, const json_t *added)
{
    for (size_t i = 0; h->rc == 0 && i < json_array_size(added); i++) {
        const json_t *t = json_array_get(added, i), *id = json_object_get(t, "id");
        int64_t at = json_integer_value(id);
        struct str text = str_json(json_object_get(t, "content"));

        if (!json_is_integer(id) || at < 0 || !text.p) {
            hf_fail(h, E_FORMAT,
                    "tokenizer.json: added_tokens: element %zu has no id or no content", i);
            return;
        }
        hf_vocab_add(v, (size_t)at, text, t);
    }
    note_words(h, added);
}

/* -- the kinds ----------------------------------------------------------------------------- */

static const char *text_or(const json_t *j, const char *name, const char *fallback)
{
    const json_t *x = json_object_get(j, name);

    return json_is_string(x) ? json_string_value(x) : fallback;
}

/* Words as GGUF has them; added tokens and names in brackets are no words. */
static void respell_words(struct hf *h, struct hf_vocab *v, const json_t *model)
{
    const char *more = text_or(model, "continuing_subword_prefix", "##");
    size_t n = strlen(more);

    for (size_t i = 0; h->rc == 0 && i < v->n; i++) {
        struct str s = v->text[i];
        int in_brackets = s.n > 1 && s.p[0] == '[' && s.p[s.n - 1] == ']';

        if (s.n == 0 || v->type[i] != HF_TOK_NORMAL)
            continue;
        if (n && s.n > n && memcmp(s.p, more, n) == 0)
            v->text[i] = (struct str){s.p + n, s.n - n};
        else if (!in_brackets)
            v->text[i] = join(h, str_of(""), str_of("\u2581"), s);
    }
}

static void read_wordpiece(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *model = json_object_get(j, "model"),
                 *added = json_object_get(j, "added_tokens");

    v->model = "bert";
    v->pre = "default";
    v->unk = -1;
    read_object(h, v, json_object_get(model, "vocab"), added, 0);
    if (!hf_step(j, "pre_tokenizer", "BertPreTokenizer"))
        hf_add_note(h, "tokenizer.json: WordPiece cuts words like BERT here, though the file "
                       "names another pre_tokenizer");
}

static void read_unigram(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *model = json_object_get(j, "model"), *unk = json_object_get(model, "unk_id");

    v->model = "t5";
    read_list(h, v, json_object_get(model, "vocab"), json_object_get(j, "added_tokens"));
    if (json_is_integer(unk) && json_integer_value(unk) >= 0 &&
        (size_t)json_integer_value(unk) < v->n)
        v->unk = (int)json_integer_value(unk);
}

static void read_bpe(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *model = json_object_get(j, "model"),
                 *merges = json_object_get(model, "merges");
    int bytes = hf_step(j, "pre_tokenizer", "ByteLevel") || hf_step(j, "decoder", "ByteLevel"),
        way_out = json_is_true(json_object_get(model, "byte_fallback"));

    if (!bytes && !way_out && !h->family->tok) {
        hf_add_note(h, "tokenizer.json: BPE neither on bytes nor with bytes to fall back on is "
                       "not known, so the model has no tokenizer");
        return;
    }
    read_object(h, v, json_object_get(model, "vocab"), json_object_get(j, "added_tokens"),
                !bytes);
    if (h->rc == 0)
        read_merges(h, v, merges);
    if (h->rc < 0)
        return;
    v->model = bytes ? "gpt2" : h->family->tok ? h->family->tok : "llama";
    if (bytes)
        v->pre = hf_pre_of(h, j);
    if (strcmp(v->model, "llama") == 0) {
        score_by_rank(h, v);
        v->merge = NULL;
    }
}

static void read_model(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    static const struct {
        const char *type;
        void (*read)(struct hf *h, struct hf_vocab *v, const json_t *j);
    } rows[] = {{"BPE", read_bpe}, {"Unigram", read_unigram}, {"WordPiece", read_wordpiece}};
    const json_t *model = json_object_get(j, "model");
    const char *type = text_or(model, "type", json_object_get(model, "merges") ? "BPE" : "");

    for (size_t i = 0; i < HF_COUNT(rows); i++) {
        if (strcmp(type, rows[i].type) == 0) {
            rows[i].read(h, v, j);
            return;
        }
    }
    hf_add_note(h,
                "tokenizer.json: a model of type '%.40s' is not known (but BPE, Unigram, "
                "WordPiece), so the model has no tokenizer",
                type);
}

void hf_tok_json(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *unk = json_object_get(json_object_get(j, "model"), "unk_token");

    read_model(h, v, j);
    if (!v->model || h->rc < 0)
        return;
    read_added(h, v, json_object_get(j, "added_tokens"));
    if (json_is_string(unk) && v->unk < 0)
        v->unk = (int)hf_vocab_find(v, str_json(unk));
    if (v->unk >= 0 && strcmp(v->model, "gpt2") != 0)
        v->type[v->unk] = HF_TOK_UNKNOWN;
    if (strcmp(v->model, "bert") == 0)
        respell_words(h, v, json_object_get(j, "model"));
    hf_tok_norm(h, v, j);
    hf_tok_around(h, v, j);
}
