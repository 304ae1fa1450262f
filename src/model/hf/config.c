/* Reading config.json, and the keys that most families have. Failures are kept in h->rc, so
 * that a family's function reads like a list; after the first nothing is done any more.
 */
#include "model/hf/hf_priv.h"

#include <math.h>
#include <stdio.h>

enum { KEY_MAX = 128, SIZE_LIMIT = 1 << 24 };

/* -- getting ------------------------------------------------------------------------------- */

/* One path, n bytes: "a.b" is b in the object a. */
static const json_t *get_path(const json_t *j, const char *path, size_t n)
{
    while (j && n) {
        const char *dot = memchr(path, '.', n);
        size_t len = dot ? (size_t)(dot - path) : n;

        j = json_object_getn(j, path, len);
        path += len;
        n -= len;
        if (n) {
            path++;
            n--;
        }
    }
    return json_is_null(j) ? NULL : j;
}

const json_t *hf_get(const struct hf *h, const char *names)
{
    for (;;) {
        size_t n = strcspn(names, "|");
        const json_t *j = get_path(h->config, names, n);

        if (j || !names[n])
            return j;
        names += n + 1;
    }
}

int hf_has(const struct hf *h, const char *names)
{
    return hf_get(h, names) != NULL;
}

int64_t hf_int(struct hf *h, const char *names, int64_t fallback)
{
    const json_t *j = hf_get(h, names);

    if (!j)
        return fallback;
    if (json_is_integer(j))
        return json_integer_value(j);
    if (json_is_real(j) && fabs(json_real_value(j)) < 1e15 &&
        floor(json_real_value(j)) == json_real_value(j))
        return (int64_t)json_real_value(j);
    hf_fail(h, E_FORMAT, "config.json: %s: not an integer", names);
    return fallback;
}

double hf_num(struct hf *h, const char *names, double fallback)
{
    const json_t *j = hf_get(h, names);

    if (!j)
        return fallback;
    if (json_is_number(j))
        return json_number_value(j);
    hf_fail(h, E_FORMAT, "config.json: %s: not a number", names);
    return fallback;
}

int hf_flag(struct hf *h, const char *names, int fallback)
{
    const json_t *j = hf_get(h, names);

    if (!j)
        return fallback;
    if (json_is_boolean(j))
        return json_is_true(j);
    hf_fail(h, E_FORMAT, "config.json: %s: neither true nor false", names);
    return fallback;
}

const char *hf_text(const struct hf *h, const char *names)
{
    const char *s = json_string_value(hf_get(h, names));

    return s ? s : "";
}

const char *hf_text_at(const struct hf *h, const char *names, size_t i)
{
    const char *s = json_string_value(json_array_get(hf_get(h, names), i));

    return s ? s : "";
}

uint64_t hf_size(struct hf *h, const char *names)
{
    int64_t v = hf_int(h, names, 0);

    if (h->rc == 0 && !hf_has(h, names))
        hf_fail(h, E_FORMAT, "config.json: %s: missing", names);
    else if (v < 1 || v > SIZE_LIMIT)
        hf_fail(h, E_FORMAT, "config.json: %s: %lld, expected 1 to %d", names, (long long)v,
                SIZE_LIMIT);
    return h->rc < 0 || v < 1 ? 1 : (uint64_t)v;
}

/* -- putting ------------------------------------------------------------------------------- */

void hf_fail(struct hf *h, int code, const char *fmt, ...)
{
    va_list ap;

    if (h->rc < 0)
        return;
    va_start(ap, fmt);
    h->rc = err_setv(h->e, code, fmt, ap);
    va_end(ap);
}

void hf_add_note(struct hf *h, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    char **more;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *c = text; *c; c++) /* some of it comes from the folder */
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
    more = arena_calloc(&h->mem, h->n_note + 2, sizeof(*more)); /* notes are few */
    if (!more)
        return;
    for (size_t i = 0; i < h->n_note; i++)
        more[i] = h->note[i];
    more[h->n_note] = arena_strdup(&h->mem, str_of(text));
    if (!more[h->n_note])
        return;
    h->note = more;
    h->n_note++;
}

static const char *full_key(const struct hf *h, const char *name, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "%s.%s", h->family->arch, name);
    return key;
}

void hf_put_u32(struct hf *h, const char *name, uint64_t v)
{
    char key[KEY_MAX];

    if (h->rc == 0)
        h->rc = gguf_put_u64(h->keys, full_key(h, name, key), GGUF_U32, v, h->e);
}

void hf_put_f32(struct hf *h, const char *name, double v)
{
    char key[KEY_MAX];

    if (h->rc == 0)
        h->rc = gguf_put_f64(h->keys, full_key(h, name, key), GGUF_F32, v, h->e);
}

void hf_put_bool(struct hf *h, const char *name, int v)
{
    char key[KEY_MAX];

    if (h->rc == 0)
        h->rc = gguf_put_u64(h->keys, full_key(h, name, key), GGUF_BOOL, v != 0, h->e);
}

void hf_put_str(struct hf *h, const char *name, const char *v)
{
    char key[KEY_MAX];

    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, full_key(h, name, key), str_of(v), h->e);
}

static void put_arr(struct hf *h, const char *name, int type, const void *v, size_t n)
{
    char key[KEY_MAX];

    if (h->rc == 0)
        h->rc = gguf_put_arr(h->keys, full_key(h, name, key), type, v, n, h->e);
}

void hf_put_u32s(struct hf *h, const char *name, const uint32_t *v, size_t n)
{
    put_arr(h, name, GGUF_U32, v, n);
}

void hf_put_bools(struct hf *h, const char *name, const unsigned char *v, size_t n)
{
    put_arr(h, name, GGUF_BOOL, v, n);
}

void hf_put_f32s(struct hf *h, const char *name, const float *v, size_t n)
{
    put_arr(h, name, GGUF_F32, v, n);
}

void *hf_alloc(struct hf *h, size_t n, size_t size)
{
    void *p = h->rc == 0 ? arena_calloc(&h->mem, n, size) : NULL;

    if (!p)
        hf_fail(h, E_NOMEM, "no memory for %zu numbers of %zu bytes", n, size);
    return p;
}

void hf_put_keys(struct hf *h, const struct hf_key *keys, size_t n)
{
    for (size_t i = 0; i < n && h->rc == 0; i++) {
        const struct hf_key *k = &keys[i];

        if (!hf_has(h, k->hf)) {
            if (k->must)
                hf_fail(h, E_FORMAT, "config.json: %s: missing", k->hf);
            continue;
        }
        if (k->kind == HF_U32) {
            int64_t v = hf_int(h, k->hf, 0);

            if (v < 0 || v > UINT32_MAX)
                hf_fail(h, E_FORMAT, "config.json: %s: %lld is out of range", k->hf,
                        (long long)v);
            hf_put_u32(h, k->gguf, (uint64_t)v);
        } else if (k->kind == HF_F32) {
            hf_put_f32(h, k->gguf, hf_num(h, k->hf, 0));
        } else if (k->kind == HF_BOOL) {
            hf_put_bool(h, k->gguf, hf_flag(h, k->hf, 0));
        } else {
            hf_put_str(h, k->gguf, hf_text(h, k->hf));
        }
    }
}

/* -- what most decoders have --------------------------------------------------------------- */

/* clang-format off */
const struct hf_key hf_decoder_keys[] = {
    {"context_length",                   HF_U32, 1, "max_position_embeddings|n_ctx|n_positions|max_sequence_length|model_max_length"},
    {"embedding_length",                 HF_U32, 1, "hidden_size|n_embd|dim"},
    {"feed_forward_length",              HF_U32, 0, "dense_intermediate_size|intermediate_size|n_inner|hidden_dim"},
    {"attention.head_count",             HF_U32, 1, "num_attention_heads|n_head|n_heads"},
    {"attention.layer_norm_rms_epsilon", HF_F32, 0, "rms_norm_eps|norm_eps"},
    {"attention.layer_norm_epsilon",     HF_F32, 0, "layer_norm_eps|layer_norm_epsilon|norm_epsilon"},
};
/* clang-format on */
const size_t hf_n_decoder_key = HF_COUNT(hf_decoder_keys);

uint64_t hf_head_dim(struct hf *h)
{
    uint64_t n_embd = hf_size(h, "hidden_size|n_embd|dim"),
             n_head = hf_size(h, "num_attention_heads|n_head|n_heads");

    if (hf_has(h, "head_dim"))
        return hf_size(h, "head_dim");
    if (h->rc == 0 && n_embd % n_head)
        hf_fail(h, E_FORMAT,
                "config.json: hidden_size: %llu is not a multiple of num_attention_heads %llu",
                (unsigned long long)n_embd, (unsigned long long)n_head);
    return h->rc < 0 ? 1 : n_embd / n_head;
}

/* Llama 3.1 and later: long wavelengths are stretched, short ones are not. */
static void put_llama3(struct hf *h, const char *in, uint64_t n_rot)
{
    char names[4][KEY_MAX];
    static const char *const name[] = {"factor", "low_freq_factor", "high_freq_factor",
                                       "original_max_position_embeddings"};
    double v[4], base = hf_num(h, "rope_theta|rope_parameters.rope_theta", 10000);
    float *f = hf_alloc(h, n_rot / 2, sizeof(*f));

    for (int i = 0; i < 4; i++) {
        (void)snprintf(names[i], KEY_MAX, "%s.%s", in, name[i]);
        v[i] = hf_num(h, names[i], 0);
        if (!(v[i] > 0))
            hf_fail(h, E_FORMAT, "config.json: %s: expected a number above 0", names[i]);
    }
    for (uint64_t i = 0; h->rc == 0 && i < n_rot / 2; i++) {
        double wave = 2 * M_PI * pow(base, 2.0 * (double)i / (double)n_rot);
        double z = (v[3] / wave - v[1]) / (v[2] - v[1]);

        if (wave < v[3] / v[2])
            f[i] = 1;
        else if (wave > v[3] / v[1])
            f[i] = (float)v[0];
        else
            f[i] = (float)(1 / ((1 - z) / v[0] + z));
    }
    hf_emit_made(h, "rope_freqs.weight", f, n_rot / 2);
}

static void put_factors(struct hf *h, const char *names, const char *tensor, uint64_t n_rot)
{
    const json_t *list = hf_get(h, names);
    float *f = hf_alloc(h, n_rot / 2, sizeof(*f));

    if (h->rc == 0 && json_array_size(list) != n_rot / 2)
        hf_fail(h, E_FORMAT, "config.json: %s: %zu numbers, expected %llu", names,
                json_array_size(list), (unsigned long long)(n_rot / 2));
    for (size_t i = 0; h->rc == 0 && i < n_rot / 2; i++) {
        f[i] = (float)json_number_value(json_array_get(list, i));
        if (!(f[i] > 0))
            hf_fail(h, E_FORMAT, "config.json: %s: number %zu is not above 0", names, i);
    }
    hf_emit_made(h, tensor, f, n_rot / 2);
}

#define IN(name) "rope_scaling." name "|rope_parameters." name

/* Phi 3: factors for texts within and beyond the original context. */
static void put_longrope(struct hf *h, uint64_t n_rot)
{
    static const char orig[] = "original_max_position_embeddings|"
                               "rope_scaling.original_max_position_embeddings|"
                               "rope_parameters.original_max_position_embeddings";
    double n_orig = (double)hf_size(h, orig),
           n_ctx = (double)hf_size(h, "max_position_embeddings"), scale = n_ctx / n_orig,
           attn = hf_num(h, IN("attention_factor") "|" IN("long_mscale"),
                         scale <= 1 ? 1 : sqrt(1 + log(scale) / log(n_orig)));

    hf_put_u32(h, "rope.scaling.original_context_length", (uint64_t)n_orig);
    hf_put_f32(h, "rope.scaling.attn_factor", attn);
    put_factors(h, "rope_scaling.long_factor|rope_parameters.long_factor",
                "rope_factors_long.weight", n_rot);
    put_factors(h, "rope_scaling.short_factor|rope_parameters.short_factor",
                "rope_factors_short.weight", n_rot);
}

static void put_yarn(struct hf *h)
{
    double factor = hf_num(h, IN("factor"), 1), attn = hf_num(h, IN("attention_factor"), 0);

    hf_put_str(h, "rope.scaling.type", "yarn");
    hf_put_f32(h, "rope.scaling.factor", factor);
    hf_put_u32(h, "rope.scaling.original_context_length",
               hf_size(h, IN("original_max_position_embeddings") "|max_position_embeddings"));
    if (hf_has(h, IN("beta_fast")))
        hf_put_f32(h, "rope.scaling.yarn_beta_fast", hf_num(h, IN("beta_fast"), 32));
    if (hf_has(h, IN("beta_slow")))
        hf_put_f32(h, "rope.scaling.yarn_beta_slow", hf_num(h, IN("beta_slow"), 1));
    if (!hf_flag(h, IN("truncate"), 1))
        hf_put_bool(h, "rope.scaling.yarn_truncate", 0);
    /* GGUF has the factor on top of what follows from the stretch. */
    if (attn > 0 && factor > 1)
        hf_put_f32(h, "rope.scaling.attn_factor", attn / (0.1 * log(factor) + 1));
}

void hf_put_rope_base(struct hf *h)
{
    hf_put_f32(h, "rope.freq_base",
               hf_num(h,
                      "rope_theta|rotary_emb_base|rope_parameters.rope_theta|"
                      "rope_parameters.full_attention.rope_theta",
                      10000));
}

void hf_put_rope(struct hf *h, uint64_t n_rot)
{
    const char *type =
        hf_text(h, IN("rope_type") "|" IN("type") "|"
                                                  "rope_parameters.full_attention.rope_type");

    hf_put_rope_base(h);
    hf_put_u32(h, "rope.dimension_count", n_rot);
    if (strcmp(type, "llama3") == 0) {
        put_llama3(h, hf_has(h, "rope_scaling") ? "rope_scaling" : "rope_parameters", n_rot);
    } else if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
        put_longrope(h, n_rot);
    } else if (strcmp(type, "yarn") == 0 || strcmp(type, "deepseek_yarn") == 0) {
        put_yarn(h);
    } else if (strcmp(type, "linear") == 0) {
        hf_put_str(h, "rope.scaling.type", "linear");
        hf_put_f32(h, "rope.scaling.factor",
                   hf_num(h, IN("factor") "|rope_parameters.full_attention.factor", 1));
    } else if (strcmp(type, "dynamic") == 0) {
        hf_add_note(h, "rope_scaling 'dynamic' is left out: texts longer than the context that "
                       "the model was trained for differ");
    } else if (*type && strcmp(type, "default") != 0 && strcmp(type, "mrope") != 0) {
        hf_fail(h, E_UNSUPPORTED,
                "config.json: rope_scaling of type '%.40s' is not supported; linear, llama3, "
                "longrope and yarn are",
                type);
    }
}

void hf_put_heads(struct hf *h)
{
    uint64_t d = hf_head_dim(h), n_head = hf_size(h, "num_attention_heads|n_head|n_heads");
    double part =
        hf_num(h, "partial_rotary_factor|rope_parameters.partial_rotary_factor|rope_pct", 1);

    hf_put_u32(h, "attention.head_count_kv",
               hf_has(h, "num_key_value_heads|n_kv_heads")
                   ? hf_size(h, "num_key_value_heads|n_kv_heads")
                   : n_head);
    if (hf_has(h, "head_dim")) {
        hf_put_u32(h, "attention.key_length", d);
        hf_put_u32(h, "attention.value_length", d);
    }
    if (!(part > 0 && part <= 1))
        hf_fail(h, E_FORMAT, "config.json: partial_rotary_factor: %g, expected 0 to 1", part);
    hf_put_rope(h, (uint64_t)((double)d * part));
}

/* clang-format off */
static const struct hf_key expert_keys[] = {
    {"expert_count",                      HF_U32, 1, "num_local_experts|num_experts|n_routed_experts|moe_num_experts"},
    {"expert_used_count",                 HF_U32, 1, "num_experts_per_tok|num_experts_per_token|top_k_experts"},
    {"expert_feed_forward_length",        HF_U32, 0, "moe_intermediate_size|expert_intermediate_size"},
    {"expert_shared_feed_forward_length", HF_U32, 0, "shared_expert_intermediate_size|moe_shared_expert_intermediate_size"},
};
/* clang-format on */

void hf_put_experts(struct hf *h)
{
    hf_put_keys(h, expert_keys, HF_COUNT(expert_keys));
}

/* clang-format off */
static const struct hf_key router_keys[] = {
    {"leading_dense_block_count", HF_U32,  0, "first_k_dense_replace"},
    {"expert_shared_count",       HF_U32,  0, "n_shared_experts|num_shared_experts"},
    {"expert_weights_scale",      HF_F32,  0, "routed_scaling_factor"},
    {"expert_weights_norm",       HF_BOOL, 0, "norm_topk_prob|moe_renormalize"},
};
/* clang-format on */

void hf_put_router(struct hf *h)
{
    static const char *const funcs[] = {"", "softmax", "sigmoid", "", "sqrtsoftplus"};
    const char *name = hf_text(h, "scoring_func|score_function|moe_router_activation_func");

    hf_put_experts(h);
    hf_put_keys(h, router_keys, HF_COUNT(router_keys));
    if (hf_int(h, "n_group|num_expert_group", 1) > 1) {
        hf_put_u32(h, "expert_group_count", hf_size(h, "n_group|num_expert_group"));
        hf_put_u32(h, "expert_group_used_count", hf_size(h, "topk_group"));
    }
    for (uint64_t i = 0; i < HF_COUNT(funcs); i++) {
        if (*name && strcmp(name, funcs[i]) == 0)
            hf_put_u32(h, "expert_gating_func", i);
    }
}

int hf_layer_is(const struct hf *h, size_t i, const char *type)
{
    return strcmp(hf_text_at(h, "layer_types|layers_block_type", i), type) == 0;
}

void hf_put_sections(struct hf *h, uint32_t time, uint32_t height, uint32_t width)
{
    const json_t *told = hf_get(h, IN("mrope_section"));
    uint32_t section[4] = {time, height, width, 0};

    for (size_t i = 0; i < 3 && told; i++) {
        json_int_t v = json_integer_value(json_array_get(told, i));

        if (v < 0 || v > SIZE_LIMIT)
            hf_fail(h, E_FORMAT, "config.json: mrope_section: %lld is out of range",
                    (long long)v);
        section[i] = (uint32_t)v;
    }
    hf_put_u32s(h, "rope.dimension_sections", section, 4);
}

void hf_put_per_layer(struct hf *h, const char *name, const uint32_t *v, size_t n)
{
    size_t same = 1;

    if (!v || n == 0)
        return;
    while (same < n && v[same] == v[0])
        same++;
    if (same == n)
        hf_put_u32(h, name, v[0]);
    else
        hf_put_u32s(h, name, v, n);
}
