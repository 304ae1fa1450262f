/* What tokenizer.json does to a text before and after the model: its normaliser and its
 * post-processor, as far as GGUF has keys for them. What is left out is named in a note. */
#include "model/hf/hf_priv.h"

#include "base/b64.h"

#include <stdio.h>

enum { STEPS_MAX = 32, DEEP_MAX = 8 };

/* -- the normaliser ------------------------------------------------------------------------ */

struct steps {
    const json_t *step[STEPS_MAX];
    size_t n;
};

static void flatten(struct steps *s, const json_t *j, const char *list, int deep)
{
    const json_t *all = json_object_get(j, list);

    if (!json_is_object(j) || deep > DEEP_MAX)
        return;
    if (!json_is_array(all) && s->n < STEPS_MAX)
        s->step[s->n++] = j;
    for (size_t i = 0; i < json_array_size(all); i++)
        flatten(s, json_array_get(all, i), list, deep + 1);
}

static int is_type(const json_t *j, const char *type)
{
    const char *is = json_string_value(json_object_get(j, "type"));

    return is && strcmp(is, type) == 0;
}

static const char *member(const json_t *j, const char *object, const char *name)
{
    const char *x =
        json_string_value(json_object_get(object ? json_object_get(j, object) : j, name));

    return x ? x : "";
}

static int takes_charsmap(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    const json_t *text = json_object_get(j, "precompiled_charsmap");
    struct str s = {json_string_value(text), json_string_length(text)};
    unsigned char *out;
    size_t bad = 0;
    long n;

    if (strcmp(v->model, "t5") != 0 || !is_type(j, "Precompiled"))
        return 0;
    out = hf_alloc(h, B64_MAX(s.n), 1);
    n = out ? b64_decode(s, out, &bad) : 0;
    if (n < 0)
        hf_fail(h, E_FORMAT,
                "tokenizer.json: normalizer.precompiled_charsmap is not base64 at its byte %zu",
                bad);
    else
        v->charsmap = (struct str){(const char *)out, (size_t)n};
    return 1;
}

/* Spaces: as U+2581, one in front, or one for many. */
static int takes_spaces(struct hf_vocab *v, const json_t *j)
{
    const char *text = member(j, "pattern", "String"), *regex = member(j, "pattern", "Regex"),
               *content = member(j, NULL, "content");

    if (strcmp(v->model, "gpt2") == 0 || strcmp(v->model, "bert") == 0)
        return 0;
    if (is_type(j, "Prepend"))
        return strcmp(member(j, NULL, "prepend"), "\u2581") == 0 &&
               strcmp(v->model, "gemma4") != 0;
    if (is_type(j, "Strip") && strcmp(v->model, "t5") == 0)
        return 1;
    if (!is_type(j, "Replace"))
        return 0;
    if (strcmp(text, " ") == 0 && strcmp(content, "\u2581") == 0)
        return 1;
    if (strcmp(v->model, "t5") == 0 && strcmp(regex, " {2,}") == 0) {
        v->one_space = 1;
        return 1;
    }
    return 0;
}

/* Its own accents rule: when it is silent they go with the capitals. */
static int takes_bert(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    static const char *const always[] = {"clean_text", "handle_chinese_chars"};
    const json_t *strip = json_object_get(j, "strip_accents");

    if (strcmp(v->model, "bert") != 0)
        return 0;
    if (is_type(j, "NFD") || is_type(j, "NFKD"))
        return 1;
    if (is_type(j, "Lowercase"))
        v->lower = 1;
    else if (is_type(j, "StripAccents"))
        v->strip = 1;
    else if (!is_type(j, "BertNormalizer"))
        return 0;
    else {
        v->lower = !json_is_false(json_object_get(j, "lowercase"));
        v->strip = json_is_boolean(strip) ? json_is_true(strip) : v->lower;
        for (size_t i = 0; i < HF_COUNT(always); i++) {
            if (json_is_false(json_object_get(j, always[i])))
                hf_add_note(h, "tokenizer.json: normalizer.%s false is left out", always[i]);
        }
    }
    return 1;
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

void hf_tok_norm(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    struct steps s = {0};

    if (strcmp(v->model, "bert") == 0)
        v->lower = v->strip = 0;
    if (strcmp(v->model, "t5") == 0)
        v->one_space = hf_step(j, "pre_tokenizer", "WhitespaceSplit") != NULL;
    if (strcmp(v->model, "t5") == 0 || strcmp(v->model, "llama") == 0)
        v->add_space = adds_space(j);
    flatten(&s, json_object_get(j, "normalizer"), "normalizers", 0);
    for (size_t i = 0; i < s.n && h->rc == 0; i++) {
        const json_t *step = s.step[i];

        if (takes_charsmap(h, v, step) || takes_spaces(v, step) || takes_bert(h, v, step))
            continue;
        hf_add_note(h, "tokenizer.json: its normalizer %.40s is left out",
                    member(step, NULL, "type"));
    }
    if (json_is_true(
            json_object_get(hf_step(j, "pre_tokenizer", "ByteLevel"), "add_prefix_space")))
        hf_add_note(h,
                    "tokenizer.json: add_prefix_space of ByteLevel is left out: texts get no "
                    "space in front");
}

/* -- the post-processor -------------------------------------------------------------------- */

/* The id if it is that of an added token, else -1. */
static int added_id(const struct hf_vocab *v, int64_t id)
{
    return id >= 0 && (uint64_t)id < v->n &&
                   (v->type[id] == HF_TOK_CONTROL || v->type[id] == HF_TOK_USER)
               ? (int)id
               : -1;
}

/* The id of the special token of an element of a template; -1: not known, -2: no such. */
static int special_id(const struct hf_vocab *v, const json_t *template, const json_t *element)
{
    const json_t *name = json_object_get(json_object_get(element, "SpecialToken"), "id"),
                 *about, *id;

    if (!json_is_string(name))
        return -2;
    about =
        json_object_get(json_object_get(template, "special_tokens"), json_string_value(name));
    id = json_array_get(json_object_get(about, "ids"), 0);
    if (json_is_integer(id))
        return added_id(v, json_integer_value(id));
    return added_id(v, hf_vocab_find(v, str_of(json_string_value(name))));
}

static void around_template(struct hf *h, struct hf_vocab *v, const json_t *t)
{
    const json_t *single = json_object_get(t, "single");
    size_t n = json_array_size(single), before = 0, after = 0;

    if (n == 0)
        return;
    while (before < n && special_id(v, t, json_array_get(single, before)) > -2)
        before++;
    while (after < n - before && special_id(v, t, json_array_get(single, n - 1 - after)) > -2)
        after++;
    v->add_bos = before > 0;
    v->add_eos = after > 0;
    if (before)
        v->bos = special_id(v, t, json_array_get(single, 0));
    if (after)
        v->eos = special_id(v, t, json_array_get(single, n - 1));
    if (before > 1 || after > 1)
        hf_add_note(h,
                    "tokenizer.json: %zu tokens before and %zu behind each text, of which "
                    "GGUF can say one",
                    before, after);
}

/* ["[SEP]", 102] */
static int pair_id(const struct hf_vocab *v, const json_t *pair)
{
    const json_t *id = json_array_get(pair, 1);

    return json_is_integer(id) ? added_id(v, json_integer_value(id)) : -1;
}

void hf_tok_around(struct hf *h, struct hf_vocab *v, const json_t *j)
{
    struct steps s = {0};

    flatten(&s, json_object_get(j, "post_processor"), "processors", 0);
    for (size_t i = 0; i < s.n && h->rc == 0; i++) {
        const json_t *step = s.step[i];

        if (is_type(step, "TemplateProcessing")) {
            around_template(h, v, step);
        } else if (is_type(step, "BertProcessing") || is_type(step, "RobertaProcessing")) {
            v->bos = pair_id(v, json_object_get(step, "cls"));
            v->eos = pair_id(v, json_object_get(step, "sep"));
            v->add_bos = v->add_eos = 1;
        } else if (!is_type(step, "ByteLevel")) {
            hf_add_note(h, "tokenizer.json: its post_processor %.40s is left out",
                        member(step, NULL, "type"));
        }
    }
    if (strcmp(v->model, "bert") == 0) {
        v->cls = v->bos;
        v->sep = v->eos;
    }
}
