/* From names of tensors to a plan: each source tensor is matched with the rows of its family;
 * what they say becomes pieces; pieces of one name become a tensor. Every piece is checked
 * once, here: its walks stay inside the source and give as many numbers as its dimensions say.
 */
#include "model/hf/hf_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "quant/quant.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct hf_piece {
    struct hf_tensor t;
    int layer, index; /* index -1: a tensor of its own */
    int join;         /* hf_match.join */
};

enum { NUMBER_MAX = 100000, DROPPED_SHOWN = 3 };

/* -- names --------------------------------------------------------------------------------- */

/* What a folder puts in front of the names of the language model. */
static struct str strip(struct str s)
{
    static const char *const front[] = {"model.language_model.",
                                        "language_model.model.",
                                        "language_model.",
                                        "backbone.",
                                        "transformer.",
                                        "bert.",
                                        "roberta.",
                                        "model."};

    for (size_t i = 0; i < HF_COUNT(front); i++) {
        size_t n = strlen(front[i]);

        if (s.n > n && memcmp(s.p, front[i], n) == 0)
            return (struct str){s.p + n, s.n - n};
    }
    return s;
}

/* Parts of a folder that are no language model. */
static const char *other_part(struct str s)
{
    static const struct {
        const char *front, *what;
    } parts[] = {
        {"vision_tower.", "vision tower"},
        {"vision_model.", "vision tower"},
        {"visual.", "vision tower"},
        {"vision_embed", "vision tower"},
        {"multi_modal_projector.", "vision tower"},
        {"embed_vision.", "vision tower"},
        {"vision_encoder.", "vision tower"},
        {"patch_merger.", "vision tower"},
        {"mm_projector.", "vision tower"},
        {"audio_tower.", "audio tower"},
        {"embed_audio.", "audio tower"},
        {"mtp.", "heads that predict further tokens"},
    };

    for (size_t i = 0; i < HF_COUNT(parts); i++) {
        size_t n = strlen(parts[i].front);

        if (s.n > n && memcmp(s.p, parts[i].front, n) == 0)
            return parts[i].what;
    }
    return NULL;
}

static size_t take_number(const char *p, size_t n, int *out)
{
    size_t i = 0;
    int v = 0;

    while (i < n && isdigit((unsigned char)p[i]) && v < NUMBER_MAX)
        v = v * 10 + (p[i++] - '0');
    *out = v;
    return v < NUMBER_MAX ? i : 0;
}

/* Does s look like the pattern? A last * takes "weight" or "bias", which *kind becomes. */
static int matches(const char *pattern, struct str s, struct hf_match *m, const char **kind)
{
    size_t at = 0;

    m->layer = m->index = -1;
    *kind = "";
    for (; *pattern; pattern++) {
        if (*pattern == '%' || *pattern == '$') {
            size_t n = take_number(s.p + at, s.n - at, *pattern == '%' ? &m->layer : &m->index);

            if (n == 0)
                return 0;
            at += n;
        } else if (*pattern == '*') {
            struct str rest = {s.p + at, s.n - at};

            *kind = str_is(rest, "weight") ? "weight" : "bias";
            return str_is(rest, *kind);
        } else if (at == s.n || s.p[at++] != *pattern) {
            return 0;
        }
    }
    return at == s.n;
}

static void form_name(struct hf_match *m, const char *kind)
{
    size_t n = 0;

    m->name[0] = '\0';
    for (const char *c = m->row->gguf; c && *c && n + 16 < sizeof(m->name); c++) {
        if (*c == '%')
            n += (size_t)snprintf(m->name + n, sizeof(m->name) - n, "%d", m->layer);
        else
            n += (size_t)snprintf(m->name + n, sizeof(m->name) - n, "%.*s", *c == '*' ? 10 : 1,
                                  *c == '*' ? kind : c);
    }
}

/* -- walks --------------------------------------------------------------------------------- */

uint64_t hf_dim(const struct st_tensor *t, int from_end)
{
    return from_end < t->n_dim ? t->shape[t->n_dim - 1 - from_end] : 1;
}

int hf_dims(const struct st_tensor *t, uint64_t ne[GGUF_DIMS])
{
    int n = t->n_dim < 1 ? 1 : t->n_dim > GGUF_DIMS ? GGUF_DIMS : t->n_dim;

    for (int i = 0; i < GGUF_DIMS; i++)
        ne[i] = hf_dim(t, i);
    return n;
}

struct hf_seg hf_whole(const struct hf_match *m)
{
    return (struct hf_seg){.src = m->t,
                           .scale = m->scale,
                           .n_axis = 1,
                           .n = {m->t->n_elem},
                           .step = {1},
                           .n_elem = m->t->n_elem};
}

struct hf_seg hf_walk(const struct hf_match *m, uint64_t at, int n_axis, const uint64_t *axes)
{
    struct hf_seg s = {.src = m->t, .scale = m->scale, .at = at, .n_axis = n_axis};

    for (int i = 0; i < n_axis; i++, axes += 2) {
        s.n[i] = axes[0];
        s.step[i] = axes[1];
    }
    return s;
}

/* Joins axes that are one, and counts. Returns 0 when the walk leaves the source. unit: source
 * numbers that a step of the walk stands for. */
static int settle_walk(struct hf_seg *s, uint64_t unit)
{
    uint64_t last = s->at, far;
    int k = 0;

    s->n_elem = 1;
    for (int i = 0; i < s->n_axis; i++) {
        if (s->n[i] == 0 || !check_mul(s->n_elem, s->n[i], &s->n_elem) ||
            !check_mul(s->n[i] - 1, s->step[i], &far) || !check_add(last, far, &last))
            return 0;
    }
    for (int i = 0; i < s->n_axis; i++) {
        if (s->n[i] == 1 && s->n_axis > 1 && !(i == s->n_axis - 1 && k == 0))
            continue;
        if (k && s->step[k - 1] == s->n[i] * s->step[i]) {
            s->n[k - 1] *= s->n[i];
            s->step[k - 1] = s->step[i];
        } else {
            s->n[k] = s->n[i];
            s->step[k] = s->step[i];
            k++;
        }
    }
    s->n_axis = k;
    return last < s->src->n_elem / unit && s->n_elem <= s->src->n_elem / unit;
}

/* -- pieces -------------------------------------------------------------------------------- */

static struct hf_piece *new_piece(struct hf *h)
{
    if (h->n_piece == h->cap_piece) {
        size_t cap = h->cap_piece ? h->cap_piece * 2 : 256;
        struct hf_piece *more = mem_realloc(h->piece, cap * sizeof(*more));

        if (!more) {
            hf_fail(h, E_NOMEM, "no memory for %zu tensors", cap);
            return NULL;
        }
        h->piece = more;
        h->cap_piece = cap;
    }
    return &h->piece[h->n_piece++];
}

int hf_misfit(struct hf *h, const struct hf_match *m)
{
    hf_fail(h, E_FORMAT, "tensor %.*s: its shape [%llu, %llu, %llu] does not fit config.json",
            (int)m->t->name.n, m->t->name.p, (unsigned long long)hf_dim(m->t, 2),
            (unsigned long long)hf_dim(m->t, 1), (unsigned long long)hf_dim(m->t, 0));
    return h->rc;
}

int hf_emit(struct hf *h, const struct hf_match *m, const char *name, int n_dim,
            const uint64_t *ne, int op, const struct hf_seg *seg, size_t n_seg)
{
    uint64_t unit = op == HF_MXFP4 ? 16 : 1, out = op == HF_MXFP4 ? 32 : 1, n = 0;
    struct hf_piece *p = h->rc < 0 ? NULL : new_piece(h);
    char *copy;

    if (!p)
        return h->rc;
    *p = (struct hf_piece){.layer = m->layer, .index = m->index, .join = m->join};
    p->t = (struct hf_tensor){.n_dim = n_dim, .n_elem = 1, .op = op, .n_seg = n_seg};
    copy = arena_strdup(&h->mem, str_of(name));
    p->t.seg = hf_alloc(h, n_seg, sizeof(*seg));
    if (!copy || h->rc < 0) {
        hf_fail(h, E_NOMEM, "no memory for names");
        return h->rc;
    }
    p->t.name = str_of(copy);
    for (int i = 0; i < GGUF_DIMS; i++) {
        p->t.ne[i] = i < n_dim ? ne[i] : 1;
        if (!check_mul(p->t.n_elem, p->t.ne[i], &p->t.n_elem))
            return hf_misfit(h, m);
    }
    for (size_t i = 0; i < n_seg; i++) {
        p->t.seg[i] = seg[i];
        p->t.seg[i].from = n / out;
        if (!settle_walk(&p->t.seg[i], unit))
            return hf_misfit(h, m);
        n += p->t.seg[i].n_elem * out; /* each at most what a file holds */
    }
    return n == p->t.n_elem && n ? 0 : hf_misfit(h, m);
}

void hf_emit_made(struct hf *h, const char *name, const float *v, uint64_t n)
{
    struct hf_piece *p = h->rc < 0 ? NULL : new_piece(h);
    char *copy;

    if (!p)
        return;
    copy = arena_strdup(&h->mem, str_of(name));
    if (!copy) {
        h->n_piece--;
        hf_fail(h, E_NOMEM, "no memory for names");
        return;
    }
    *p = (struct hf_piece){.layer = -1, .index = -1};
    p->t = (struct hf_tensor){
        .name = str_of(copy), .n_dim = 1, .ne = {n, 1, 1, 1}, .n_elem = n, .made = v};
}

/* -- from pieces to tensors ---------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct hf_piece *x = a, *y = b;
    int c;

    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    c = strcmp(x->t.name.p, y->t.name.p);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

/* Vectors, and what chooses or mixes: small, and of more weight than their size. */
int hf_stays_f32(const struct hf_tensor *t)
{
    static const char *const part[] = {
        ".ffn_gate_inp.", ".ssm_conv1d",  ".altup_",    ".laurel_",    "per_layer_model_proj.",
        ".inp_gate.",     ".hc_",         "output_hc_", "_ape.",       ".indexer.proj.",
        "position_embd.", "token_types.", ".ssm_ba.",   ".ssm_alpha.", ".ssm_beta.",
        ".ssm_f_",        ".ssm_g_",
    };

    if (t->n_dim == 1 || (t->n_elem == t->ne[0] * t->ne[1] && (t->ne[0] == 1 || t->ne[1] == 1)))
        return 1;
    for (size_t i = 0; i < HF_COUNT(part); i++) {
        if (strstr(t->name.p, part[i]))
            return 1;
    }
    return strstr(t->name.p, ".bias") != NULL || strstr(t->name.p, "_norm.") != NULL;
}

static int set_type(struct hf *h, struct hf_tensor *t)
{
    int type = t->made ? QUANT_F32 : hf_own_type(t, h->e);

    if (type < 0)
        h->rc = err_wrap(h->e, type, "tensor %s", t->name.p);
    else
        t->type =
            (type == QUANT_F16 || type == QUANT_BF16) && hf_stays_f32(t) ? QUANT_F32 : type;
    return h->rc;
}

/* Is piece i of p a good neighbour of the first? */
static int fits(const struct hf_piece *p, size_t i)
{
    uint64_t ne[2][GGUF_DIMS];

    for (int k = 0; k < 2; k++) {
        memcpy(ne[k], p[k ? i : 0].t.ne, sizeof(ne[k]));
        if (p->join) /* its length may differ */
            ne[k][p->t.n_dim - 1] = 0;
    }
    return p[i].index == (int)i && p[i].t.op == p->t.op && p[i].t.n_dim == p->t.n_dim &&
           memcmp(ne[0], ne[1], sizeof(ne[0])) == 0;
}

/* n experts of one name as one tensor, which has a dimension more; or n parts, which make the
 * last dimension longer. */
static int stack(struct hf *h, const struct hf_piece *p, size_t n, struct hf_tensor *out)
{
    size_t n_seg = 0;

    *out = p[0].t;
    for (size_t i = 0; i < n; i++) {
        if (!fits(p, i) || (!p->join && p->t.n_dim >= GGUF_DIMS))
            hf_fail(h, E_FORMAT,
                    "tensor %s: part %zu is missing, is there twice, or has another shape",
                    p[0].t.name.p, i);
        n_seg += p[i].t.n_seg;
    }
    out->seg = hf_alloc(h, n_seg, sizeof(*out->seg));
    if (h->rc < 0)
        return h->rc;
    out->n_seg = 0;
    out->n_elem = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < p[i].t.n_seg; k++) {
            struct hf_seg *s = &out->seg[out->n_seg++];

            *s = p[i].t.seg[k];
            s->from = out->n_seg > 1 ? s[-1].from + s[-1].n_elem : 0;
        }
        out->n_elem += p[i].t.n_elem;
        if (p->join && i)
            out->ne[out->n_dim - 1] += p[i].t.ne[out->n_dim - 1];
    }
    if (!p->join)
        out->ne[out->n_dim++] = n;
    return set_type(h, out);
}

/* blk.N.ffn_up_exps.weight of expert E is blk.N.ffn_up.E.weight. */
static int single(struct hf *h, const struct hf_piece *p, int type, struct hf_tensor *out)
{
    const char *end = strstr(p->t.name.p, "_exps.");
    char name[160];

    *out = p->t;
    out->type = type;
    (void)snprintf(name, sizeof(name), "%.*s.%d%s", (int)(end - p->t.name.p), p->t.name.p,
                   p->index, end + strlen("_exps"));
    out->name.p = arena_strdup(&h->mem, str_of(name));
    if (!out->name.p)
        hf_fail(h, E_NOMEM, "no memory for names");
    else
        out->name.n = strlen(name);
    return h->rc;
}

static int group(struct hf *h)
{
    h->tensor = hf_alloc(h, h->n_piece, sizeof(*h->tensor));
    h->stacked = hf_alloc(h, h->n_piece, sizeof(*h->stacked));
    qsort(h->piece, h->n_piece, sizeof(*h->piece), by_name);
    for (size_t i = 0, n; i < h->n_piece && h->rc == 0; i += n) {
        struct hf_piece *p = &h->piece[i];
        struct hf_tensor *all = &h->stacked[h->n_stacked++];

        for (n = 1; i + n < h->n_piece && str_eq(p->t.name, p[n].t.name); n++)
            continue;
        if (p->index < 0) {
            if (n > 1)
                hf_fail(h, E_FORMAT, "tensor %s: there are two of it", p->t.name.p);
            *all = p->t;
            if (set_type(h, all) == 0)
                h->tensor[h->n_tensor++] = *all;
            continue;
        }
        if (stack(h, p, n, all) < 0)
            break;
        if (p->join || !strstr(p->t.name.p, "_exps.")) {
            h->tensor[h->n_tensor++] = *all;
            continue;
        }
        for (size_t k = 0; k < n && h->rc == 0; k++)
            (void)single(h, &p[k], all->type, &h->tensor[h->n_tensor++]);
    }
    return h->rc;
}

/* -- the plan ------------------------------------------------------------------------------ */

/* FP8 weights have their scales beside them, under the names of several makers. */
static const struct st_tensor *scale_of(const struct hf *h, const struct st_tensor *t)
{
    static const char *const tail[] = {"_scale_inv", "_scale"};
    char name[600];

    if (t->dtype != ST_F8_E4M3 && t->dtype != ST_F8_E5M2)
        return NULL;
    for (size_t i = 0; i < HF_COUNT(tail); i++) {
        const struct st_tensor *s;

        (void)snprintf(name, sizeof(name), "%.*s%s", (int)t->name.n, t->name.p, tail[i]);
        s = st_tensor(h->st, str_of(name));
        if (s)
            return s;
    }
    if (t->name.n > 6 && memcmp(t->name.p + t->name.n - 6, "weight", 6) == 0) {
        (void)snprintf(name, sizeof(name), "%.*sscale", (int)t->name.n - 6, t->name.p);
        return st_tensor(h->st, str_of(name));
    }
    return NULL;
}

/* Does it belong to a weight beside it: its scales, or those of activations? */
static int is_aid(const struct hf *h, const struct st_tensor *t)
{
    static const char *const tail[] = {"weight_scale_inv", "weight_scale", "input_scale",
                                       "activation_scale", "scale",        "_scale_inv"};
    char name[600];

    for (size_t i = 0; i < HF_COUNT(tail); i++) {
        size_t n = strlen(tail[i]);

        if (t->name.n <= n || memcmp(t->name.p + t->name.n - n, tail[i], n) != 0)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s%s", (int)(t->name.n - n), t->name.p,
                       tail[i][0] == '_' ? "" : "weight");
        if (st_tensor(h->st, str_of(name)))
            return 1;
    }
    return 0;
}

/* Has the family a row for that name? */
static int is_known(const struct hf *h, struct str name)
{
    for (size_t i = 0; i < h->family->n_row; i++) {
        struct hf_match m;
        const char *kind;

        if (matches(h->family->rows[i].hf, name, &m, &kind))
            return 1;
    }
    return 0;
}

/* The tensor's rows. Returns how many there were, or an error. */
static int take(struct hf *h, const struct st_tensor *t, struct str name)
{
    int n = 0;

    for (size_t i = 0; i < h->family->n_row && h->rc == 0; i++) {
        struct hf_match m = {.row = &h->family->rows[i], .t = t, .scale = scale_of(h, t)};
        const char *kind;

        if (!matches(m.row->hf, name, &m, &kind))
            continue;
        n++;
        if (!m.row->gguf)
            continue;
        if (t->n_elem == 0)
            return hf_misfit(h, &m);
        form_name(&m, kind);
        if (m.row->how)
            (void)m.row->how(h, &m);
        else
            (void)hf_emit_whole(h, &m, HF_COPY);
    }
    return h->rc < 0 ? h->rc : n;
}

/* The layer in "layers.N...." or -1. */
static int layer_of(struct str name)
{
    static const char *const front[] = {"layers.", "h.", "encoder.layer.", "encoder.layers."};

    for (size_t i = 0; i < HF_COUNT(front); i++) {
        size_t n = strlen(front[i]);
        int layer;

        if (name.n > n && memcmp(name.p, front[i], n) == 0 &&
            take_number(name.p + n, name.n - n, &layer))
            return layer;
    }
    return -1;
}

/* -- layers that predict further tokens ---------------------------------------------------- */

/* DeepSeek counts them on behind its layers; Qwen calls its one "mtp" and has the names in the
 * other column for what is in it besides a layer. */
static const struct {
    const char *mtp, *layer;
} ahead_names[] = {
    {"fc.", "eh_proj."},
    {"pre_fc_norm_embedding.", "enorm."},
    {"pre_fc_norm_hidden.", "hnorm."},
    {"norm.", "shared_head.norm."},
    {"layers.0.", ""},
};

/* A name of "mtp." as that of a layer behind the last, in room; other names as they are. */
static struct str as_layer(const struct hf *h, struct str name, char *room, size_t n_room)
{
    static const char mtp[] = "mtp.";
    const size_t n_mtp = sizeof(mtp) - 1;

    if (!h->n_ahead || name.n <= n_mtp || memcmp(name.p, mtp, n_mtp) != 0)
        return name;
    for (size_t i = 0; i < HF_COUNT(ahead_names); i++) {
        size_t n = strlen(ahead_names[i].mtp);

        if (name.n - n_mtp <= n || memcmp(name.p + n_mtp, ahead_names[i].mtp, n) != 0)
            continue;
        (void)snprintf(room, n_room, "layers.%d.%s%.*s", h->n_layer, ahead_names[i].layer,
                       (int)(name.n - n_mtp - n), name.p + n_mtp + n);
        return str_of(room);
    }
    return name;
}

void hf_count_ahead(struct hf *h)
{
    char next[64];

    for (size_t i = 0; i < st_n_tensor(h->st); i++) { /* ordered: 61 before 62 */
        struct str name = strip(st_tensor_at(h->st, i)->name);

        (void)snprintf(next, sizeof(next), "layers.%d.eh_proj.weight", h->n_layer + h->n_ahead);
        h->n_ahead += str_is(name, next) || (h->n_ahead == 0 && str_is(name, "mtp.fc.weight"));
    }
}

static void note_dropped(struct hf *h, const char *what, size_t *n)
{
    if (*n)
        hf_add_note(h, "%s left out: %zu tensors", what, *n);
    *n = 0;
}

/* Layers behind the last of the config predict further tokens, if there are no more than the
 * config tells, or if they have what such layers have. Otherwise it counts wrong. */
static void check_deep(struct hf *h, int deepest)
{
    static const char *const names[] = {"num_hidden_layers", "n_layer", "n_layers",
                                        "num_layers"};
    int64_t told =
        hf_int(h, "num_nextn_predict_layers|mtp_num_hidden_layers|num_mtp_layers", 0);
    size_t key = 0;
    int n = 0;

    while (key < HF_COUNT(names) - 1 && !hf_has(h, names[key]))
        key++;
    for (size_t i = 0; i < st_n_tensor(h->st); i++) {
        struct str name = strip(st_tensor_at(h->st, i)->name);
        const char *end = ".eh_proj.weight";

        n += layer_of(name) >= h->n_layer && name.n > strlen(end) &&
             memcmp(name.p + name.n - strlen(end), end, strlen(end)) == 0;
    }
    n = told > n ? (int)told : n;
    if (deepest >= h->n_layer + n)
        hf_fail(h, E_FORMAT, "config.json: %s is %d, and there are weights of %d layers",
                names[key], h->n_layer, deepest + 1);
}

int hf_plan(struct hf *h)
{
    int tied = hf_flag(h, "tie_word_embeddings", 0);
    size_t n_other = 0, n_deep = 0;
    const char *other = NULL;
    int deepest = -1;

    for (size_t i = 0; i < st_n_tensor(h->st) && h->rc == 0; i++) {
        const struct st_tensor *t = st_tensor_at(h->st, i);
        char room[256];
        struct str name = as_layer(h, strip(t->name), room, sizeof(room));
        const char *part = other_part(name);
        int n;

        if (part) {
            if (other && strcmp(part, other) != 0)
                note_dropped(h, other, &n_other);
            other = part;
            n_other++;
            continue;
        }
        if (layer_of(name) >= h->n_layer + h->n_ahead) {
            if (layer_of(name) > deepest && is_known(h, name))
                deepest = layer_of(name);
            n_deep++;
            continue;
        }
        if (tied && str_is(name, "lm_head.weight"))
            continue; /* the embedding once more */
        n = take(h, t, name);
        if (n == 0 && !is_aid(h, t))
            hf_fail(h, E_UNSUPPORTED,
                    "tensor %.*s: not known for %s, so the model would compute something else",
                    (int)t->name.n, t->name.p, h->family->arch);
    }
    note_dropped(h, other, &n_other);
    if (n_deep)
        check_deep(h, deepest);
    note_dropped(h, "layers that predict further tokens", &n_deep);
    return h->rc < 0 ? h->rc : group(h);
}
