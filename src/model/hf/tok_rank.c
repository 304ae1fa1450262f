/* Vocabularies that are bytes by rank: tiktoken's text (a token in base64, a space, its rank,
 * on each line) and Mistral's tekken.json.
 *
 * They join the two neighbours whose bytes together have the lowest rank. GGUF's byte-level BPE
 * wants merges instead: every way to cut a token into two others is one, those of a lower rank
 * first. The pairs that may be joined, and their order, are the same. (Where one token can be
 * made in two places that overlap, as "aaa" of "aa", the ranks of its merges decide instead of
 * the place.)
 */
#include "model/hf/hf_priv.h"

#include "base/b64.h"
#include "base/map.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

/* Longer tokens are refused; and how many bytes may be looked up to find all merges. */
enum { TOKEN_MAX = 4096 };
#define WORK_MAX ((uint64_t)1 << 31)

struct ranks {
    const char *what;
    struct str *bytes; /* by rank; p NULL: no such token */
    size_t n;
};

/* -- bytes as characters ------------------------------------------------------------------- */

/* GPT-2's alphabet: bytes that can be seen are their own character, the others U+0100 and on.
 */
static int32_t char_of(int byte)
{
    int n = 0;

    for (int i = 0; i < byte; i++)
        n += !((i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174);
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174)
        return byte;
    return 256 + n;
}

struct alphabet {
    char text[256][4];
    unsigned char n[256];
};

static void fill_alphabet(struct alphabet *a)
{
    for (int i = 0; i < 256; i++)
        a->n[i] = (unsigned char)utf8_put(char_of(i), a->text[i]);
}

static char *spell(const struct alphabet *a, struct str bytes, char *at)
{
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];

        memcpy(at, a->text[c], a->n[c]);
        at += a->n[c];
    }
    return at;
}

/* left, and behind a space right (when it is not empty), in the alphabet. */
static struct str spelled(struct hf *h, const struct alphabet *a, struct str left,
                          struct str right)
{
    char *p = hf_alloc(h, 2 * (left.n + right.n) + 2, 1), *at = p;

    if (!p)
        return (struct str){"", 0};
    at = spell(a, left, at);
    if (right.n) {
        *at++ = ' ';
        at = spell(a, right, at);
    }
    return (struct str){p, (size_t)(at - p)};
}

/* -- merges -------------------------------------------------------------------------------- */

struct pair {
    uint32_t left, right;
};

static int by_parts(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

/* All ways to make s of two tokens, in order. Returns how many. */
static size_t cut(const struct map *ids, struct str s, struct pair *out)
{
    size_t n = 0;

    for (size_t i = 1; i < s.n; i++) {
        struct pair p;

        if (map_get(ids, (struct str){s.p, i}, &p.left) &&
            map_get(ids, (struct str){s.p + i, s.n - i}, &p.right))
            out[n++] = p;
    }
    qsort(out, n, sizeof(*out), by_parts);
    return n;
}

/* Every token's bytes to its rank. */
static int index_ranks(struct hf *h, const struct ranks *r, struct map *ids)
{
    uint64_t work = 0;
    uint32_t old;
    int rc = map_init(ids, r->n);

    for (size_t i = 0; i < r->n && rc >= 0; i++) {
        if (!r->bytes[i].p)
            continue;
        rc = map_put(ids, r->bytes[i], (uint32_t)i, &old);
        if (rc > 0)
            hf_fail(h, E_FORMAT, "%s: ranks %u and %zu are the same token", r->what, old, i);
        work += (uint64_t)r->bytes[i].n * r->bytes[i].n;
    }
    if (rc < 0)
        hf_fail(h, rc, "no memory for %zu tokens", r->n);
    if (work > WORK_MAX)
        hf_fail(
            h, E_TOO_LONG,
            "%s: its tokens are so long that finding their merges takes %llu steps, the limit "
            "is %llu",
            r->what, (unsigned long long)work, (unsigned long long)WORK_MAX);
    return h->rc;
}

static void put_merges(struct hf *h, struct hf_vocab *v, const struct ranks *r,
                       const struct alphabet *a)
{
    struct pair pairs[TOKEN_MAX];
    struct map ids = {0};
    size_t cap = 0;

    if (index_ranks(h, r, &ids) == 0) {
        for (size_t i = 0; i < r->n; i++)
            cap += cut(&ids, r->bytes[i], pairs);
        v->merge = hf_alloc(h, cap, sizeof(*v->merge));
    }
    for (size_t i = 0; h->rc == 0 && i < r->n; i++) {
        size_t n = cut(&ids, r->bytes[i], pairs);

        for (size_t k = 0; k < n; k++)
            v->merge[v->n_merge++] =
                spelled(h, a, r->bytes[pairs[k].left], r->bytes[pairs[k].right]);
    }
    map_done(&ids);
}

/* Tokens of ranks as those of v from number `first` on, with merges. */
static void put_ranks(struct hf *h, struct hf_vocab *v, const struct ranks *r, size_t first)
{
    struct alphabet a;
    int seen[256] = {0}, n_seen = 0;

    fill_alphabet(&a);
    for (size_t i = 0; h->rc == 0 && i < r->n; i++) {
        struct str s = r->bytes[i];

        if (!s.p)
            continue;
        v->text[first + i] = spelled(h, &a, s, (struct str){"", 0});
        v->type[first + i] = HF_TOK_NORMAL;
        if (s.n == 1)
            n_seen += !seen[(unsigned char)s.p[0]]++;
    }
    if (n_seen < 256)
        hf_add_note(h, "%s: %d bytes have no token and are left out of texts", r->what,
                    256 - n_seen);
    v->model = "gpt2";
    put_merges(h, v, r, &a);
}

/* The token that a base64 text stands for; n 0 when it is none, and *bad says where. */
static struct str token_of(struct hf *h, struct str text, size_t *bad)
{
    unsigned char *out;
    long n;

    *bad = text.n;
    if (text.n == 0 || text.n > (size_t)TOKEN_MAX * 4 / 3 ||
        !(out = hf_alloc(h, B64_MAX(text.n), 1)))
        return (struct str){NULL, 0};
    n = b64_decode(text, out, bad);
    return n > 0 ? (struct str){(const char *)out, (size_t)n} : (struct str){NULL, 0};
}

/* -- tiktoken ------------------------------------------------------------------------------ */

static struct str take_line(struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t step = line.n + (end != NULL);

    *rest = (struct str){rest->p + step, rest->n - step};
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* "TOKEN RANK". Returns 1, or 0. */
static int split_line(struct str line, struct str *token, uint64_t *rank)
{
    const char *gap = memchr(line.p, ' ', line.n);
    size_t at;

    if (!gap || gap == line.p)
        return 0;
    *token = (struct str){line.p, (size_t)(gap - line.p)};
    *rank = 0;
    for (at = token->n + 1; at < line.n && line.p[at] >= '0' && line.p[at] <= '9'; at++) {
        if (*rank < UINT32_MAX)
            *rank = *rank * 10 + (uint64_t)(line.p[at] - '0');
    }
    return at == line.n && at > token->n + 1;
}

int hf_is_tiktoken(struct str bytes)
{
    unsigned char out[B64_MAX(256)];
    struct str line, token;
    uint64_t rank;

    line = take_line(&bytes);
    return split_line(line, &token, &rank) && token.n <= 256 &&
           b64_decode(token, out, NULL) > 0;
}

/* Calls with v NULL only find the highest rank. */
static void read_lines(struct hf *h, const char *what, struct str bytes, struct ranks *r)
{
    size_t line_no = 0, bad;

    while (h->rc == 0 && bytes.n) {
        struct str line = take_line(&bytes), token;
        uint64_t rank;

        line_no++;
        if (line.n == 0)
            continue;
        if (!split_line(line, &token, &rank)) {
            hf_fail(h, E_FORMAT, "%s: line %zu is not a token, a space and its rank", what,
                    line_no);
        } else if (!r->bytes) {
            r->n = rank >= r->n ? (size_t)rank + 1 : r->n;
        } else if (r->bytes[rank].p) {
            hf_fail(h, E_FORMAT, "%s: line %zu: rank %llu is there twice", what, line_no,
                    (unsigned long long)rank);
        } else {
            r->bytes[rank] = token_of(h, token, &bad);
            if (!r->bytes[rank].p)
                hf_fail(h, E_FORMAT,
                        "%s: line %zu: its token is not base64 of 1 to %d bytes, at byte %zu "
                        "of the line",
                        what, line_no, TOKEN_MAX, bad);
        }
    }
}

/* The pre-tokenizer is in the makers' program, not in the folder: who made it tells. */
static const char *pre_of(struct hf *h, const char *what)
{
    static const struct {
        const char *arch, *pre;
    } rows[] = {
        {"kimi", "kimi-k2"},    {"deepseek", "kimi-k2"}, {"llama4", "llama4"},
        {"llama", "llama-bpe"}, {"glm", "glm4"},         {"qwen", "qwen2"},
        {"gpt-oss", "gpt-4o"},
    };

    for (size_t i = 0; i < HF_COUNT(rows); i++) {
        if (strncmp(h->family->arch, rows[i].arch, strlen(rows[i].arch)) == 0)
            return rows[i].pre;
    }
    hf_add_note(h,
                "%s: how %s cuts texts into words is not known, so text cannot become tokens",
                what, h->family->arch);
    return "unknown";
}

/* Special tokens of makers who keep them in their programs. %d counts from `from`. */
static const struct {
    const char *pre;
    size_t n_rank, n;
    const char *names; /* one a line; the last goes on until there are n */
    int from;
} builtin[] = {
    {"llama-bpe", 128000, 256,
     "<|begin_of_text|>\n<|end_of_text|>\n<|reserved_special_token_0|>\n"
     "<|reserved_special_token_1|>\n<|finetune_right_pad_id|>\n<|reserved_special_token_2|>\n"
     "<|start_header_id|>\n<|end_header_id|>\n<|eom_id|>\n<|eot_id|>\n<|python_tag|>\n"
     "<|reserved_special_token_%d|>",
     3},
    {"qwen2", 151643, 208, "<|endoftext|>\n<|im_start|>\n<|im_end|>\n<|extra_%d|>", 0},
};

static void add_builtin(struct hf *h, struct hf_vocab *v, size_t n_rank)
{
    const char *name = NULL;
    size_t n = 0;
    int count = 0;

    for (size_t i = 0; i < HF_COUNT(builtin); i++) {
        if (strcmp(builtin[i].pre, v->pre) == 0 && builtin[i].n_rank == n_rank) {
            name = builtin[i].names;
            n = builtin[i].n;
            count = builtin[i].from;
        }
    }
    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        size_t len = strcspn(name, "\n"), mark = (size_t)(strstr(name, "%d") - name);
        char text[80];

        if (mark < len)
            (void)snprintf(text, sizeof(text), "%.*s%d%s", (int)mark, name, count++,
                           name + mark + 2);
        else
            (void)snprintf(text, sizeof(text), "%.*s", (int)len, name);
        name += name[len] ? len + 1 : 0;
        v->text[n_rank + i] = (struct str){arena_strdup(&h->mem, str_of(text)), strlen(text)};
        v->type[n_rank + i] = HF_TOK_CONTROL;
        if (!v->text[n_rank + i].p)
            hf_fail(h, E_NOMEM, "no memory for tokens");
    }
}

void hf_tok_tiktoken(struct hf *h, struct hf_vocab *v, const char *what, struct str bytes)
{
    const json_t *added = json_object_get(h->tok_config, "added_tokens_decoder");
    enum { BUILTIN_MAX = 256 };
    struct ranks r = {.what = what};

    read_lines(h, what, bytes, &r);
    if (h->rc < 0 || !hf_vocab_room(h, v, what, (int64_t)r.n + BUILTIN_MAX))
        return;
    r.bytes = hf_alloc(h, r.n, sizeof(*r.bytes));
    read_lines(h, what, bytes, &r);
    if (h->rc < 0)
        return;
    v->pre = pre_of(h, what);
    put_ranks(h, v, &r, 0);
    if (!json_object_size(added))
        add_builtin(h, v, r.n);
    if (!json_object_size(added) && !v->text[r.n].p)
        hf_add_note(h,
                    "%s: no special tokens: tokenizer_config.json has no added_tokens_decoder",
                    what);
    while (v->n > r.n && !v->text[v->n - 1].p)
        v->n--;
}

/* -- tekken.json --------------------------------------------------------------------------- */

static struct str str_json(const json_t *j)
{
    return (struct str){json_string_value(j), json_string_length(j)};
}

static int64_t int_or(const json_t *j, const char *name, int64_t fallback)
{
    const json_t *x = json_object_get(j, name);

    return json_is_integer(x) ? json_integer_value(x) : fallback;
}

/* Versions before 7 do not write their special tokens down. */
static const char *const old_special[] = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
};

static void tekken_special(struct hf *h, struct hf_vocab *v, const json_t *j, size_t n)
{
    const json_t *all = json_object_get(j, "special_tokens");
    char name[40];

    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        v->type[i] = HF_TOK_CONTROL;
        if (!json_array_size(all) && i < HF_COUNT(old_special)) {
            v->text[i] = str_of(old_special[i]);
            continue;
        }
        (void)snprintf(name, sizeof(name), "<SPECIAL_%zu>", i);
        v->text[i] = (struct str){arena_strdup(&h->mem, str_of(name)), strlen(name)};
        if (!v->text[i].p)
            hf_fail(h, E_NOMEM, "no memory for tokens");
    }
    for (size_t i = 0; h->rc == 0 && i < json_array_size(all); i++) {
        const json_t *t = json_array_get(all, i);
        int64_t rank = int_or(t, "rank", -1);
        struct str text = str_json(json_object_get(t, "token_str"));

        if (rank < 0 || (uint64_t)rank >= n || text.n == 0)
            hf_fail(h, E_FORMAT,
                    "tekken.json: special_tokens: element %zu has no rank below %zu or no "
                    "token_str",
                    i, n);
        else
            v->text[rank] = text;
    }
}

static void tekken_vocab(struct hf *h, const json_t *all, struct ranks *r)
{
    for (size_t i = 0; h->rc == 0 && i < json_array_size(all); i++) {
        const json_t *t = json_array_get(all, i);
        int64_t rank = int_or(t, "rank", -1);
        size_t bad;

        if (rank < 0) {
            hf_fail(h, E_FORMAT, "tekken.json: vocab: element %zu has no rank", i);
        } else if ((uint64_t)rank < r->n) { /* the rest is not used */
            if (r->bytes[rank].p)
                hf_fail(h, E_FORMAT,
                        "tekken.json: vocab: element %zu: rank %lld is there twice", i,
                        (long long)rank);
            r->bytes[rank] = token_of(h, str_json(json_object_get(t, "token_bytes")), &bad);
            if (!r->bytes[rank].p)
                hf_fail(h, E_FORMAT,
                        "tekken.json: vocab: element %zu: token_bytes is not base64 of 1 to %d "
                        "bytes, at its byte %zu",
                        i, TOKEN_MAX, bad);
        }
    }
}

void hf_tok_tekken(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *config = json_object_get(j, "config"), *vocab = json_object_get(j, "vocab");
    const char *pattern = json_string_value(json_object_get(config, "pattern"));
    int64_t n_special = int_or(config, "default_num_special_tokens", 1000),
            n = int_or(config, "default_vocab_size",
                       (int64_t)json_array_size(vocab) + n_special);
    struct ranks r = {.what = "tekken.json"};

    if (!json_array_size(vocab) || !pattern || n_special < 0 || n <= n_special) {
        hf_fail(h, E_FORMAT,
                "tekken.json: it needs vocab, config.pattern, and a "
                "config.default_vocab_size over config.default_num_special_tokens");
        return;
    }
    if (!hf_vocab_room(h, v, "tekken.json", n))
        return;
    r.n = (size_t)(n - n_special);
    r.bytes = hf_alloc(h, r.n, sizeof(*r.bytes));
    tekken_special(h, v, j, (size_t)n_special);
    tekken_vocab(h, vocab, &r);
    if (h->rc < 0)
        return;
    v->pre = hf_pre_of_regex(h, "tekken.json", pattern);
    put_ranks(h, v, &r, (size_t)n_special);
    v->bos = (int)hf_vocab_find(v, str_of("<s>"));
    v->eos = (int)hf_vocab_find(v, str_of("</s>"));
    v->unk = (int)hf_vocab_find(v, str_of("<unk>"));
    v->pad = (int)hf_vocab_find(v, str_of("<pad>"));
    v->add_bos = v->bos >= 0;
    v->add_eos = 0;
}
