/* SentencePiece's tokenizer.model: protocol buffers, of which only what a vocabulary needs is
 * read. Fields are skipped by their wire type; everything is checked against the bytes there
 * are.
 *
 * ModelProto:    1 pieces (message), 2 trainer_spec, 3 normalizer_spec
 * SentencePiece: 1 piece (text), 2 score (float), 3 type (1 normal, 2 unknown, 3 control,
 *                4 user-defined, 5 unused, 6 byte: the numbers that GGUF took over)
 * TrainerSpec:   3 model_type (1 unigram, 2 BPE)
 * NormalizerSpec: 3 add_dummy_prefix
 */
#include "model/hf/hf_priv.h"

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5, PIECES_MAX = 1 << 22 };

struct wire {
    const unsigned char *p;
    size_t n, at;
};

struct field {
    uint32_t no, wire;
    uint64_t v;       /* of WIRE_VARINT */
    struct wire body; /* of the others: its bytes */
};

/* Returns 1, or 0 when the number does not end. */
static int take_varint(struct wire *w, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && w->at < w->n; shift += 7) {
        unsigned char b = w->p[w->at++];

        v |= (uint64_t)(b & 127) << shift;
        if (!(b & 128)) {
            *out = v;
            return 1;
        }
    }
    return 0;
}

/* Returns 1 and the next field, 0 at the end, -1 when it is broken. */
static int take_field(struct wire *w, struct field *f)
{
    uint64_t head, n = 0;

    if (w->at == w->n)
        return 0;
    if (!take_varint(w, &head) || head >> 3 == 0 || head >> 3 > UINT32_MAX)
        return -1;
    f->no = (uint32_t)(head >> 3);
    f->wire = (uint32_t)head & 7;
    if (f->wire == WIRE_VARINT)
        return take_varint(w, &f->v) ? 1 : -1;
    if (f->wire == WIRE_BYTES) {
        if (!take_varint(w, &n))
            return -1;
    } else if (f->wire == WIRE_64 || f->wire == WIRE_32) {
        n = f->wire == WIRE_64 ? 8 : 4;
    } else {
        return -1;
    }
    if (n > w->n - w->at)
        return -1;
    f->body = (struct wire){w->p + w->at, (size_t)n, 0};
    w->at += (size_t)n;
    return 1;
}

static int read_piece(struct hf_vocab *v, struct wire w)
{
    struct field f;
    int more;

    v->type[v->n] = HF_TOK_NORMAL;
    while ((more = take_field(&w, &f)) > 0) {
        if (f.no == 1 && f.wire == WIRE_BYTES)
            v->text[v->n] = (struct str){(const char *)f.body.p, f.body.n};
        else if (f.no == 2 && f.wire == WIRE_32)
            memcpy(&v->score[v->n], f.body.p, sizeof(float));
        else if (f.no == 3 && f.wire == WIRE_VARINT && f.v >= HF_TOK_NORMAL &&
                 f.v <= HF_TOK_BYTE)
            v->type[v->n] = (int32_t)f.v;
    }
    if (v->type[v->n] == HF_TOK_UNKNOWN && v->unk < 0)
        v->unk = (int)v->n;
    v->n++;
    return more;
}

/* The number of a varint field of a message, or fallback. */
static uint64_t number_in(struct wire w, uint32_t no, uint64_t fallback)
{
    struct field f;

    while (take_field(&w, &f) > 0) {
        if (f.no == no && f.wire == WIRE_VARINT)
            fallback = f.v;
    }
    return fallback;
}

static int count_pieces(struct wire w, size_t *n)
{
    struct field f;
    int more;

    for (*n = 0; (more = take_field(&w, &f)) > 0;)
        *n += f.no == 1 && f.wire == WIRE_BYTES;
    return more;
}

int hf_spm_read(struct hf_vocab *v, struct arena *mem, const unsigned char *p, size_t n,
                struct err *e)
{
    struct wire w = {p, n, 0};
    struct field f;
    size_t n_piece = 0;
    int more = count_pieces(w, &n_piece);

    *v = (struct hf_vocab){.model = "llama", .add_space = 1, .unk = -1};
    if (more < 0 || n_piece == 0 || n_piece > PIECES_MAX)
        return err_set(e, E_FORMAT, "no SentencePiece model: %zu pieces in %zu bytes", n_piece,
                       n);
    v->text = arena_calloc(mem, n_piece, sizeof(*v->text));
    v->type = arena_calloc(mem, n_piece, sizeof(*v->type));
    v->score = arena_calloc(mem, n_piece, sizeof(*v->score));
    if (!v->text || !v->type || !v->score)
        return err_set(e, E_NOMEM, "no memory for %zu pieces", n_piece);
    while (take_field(&w, &f) > 0) {
        if (f.wire != WIRE_BYTES)
            continue;
        if (f.no == 1 && read_piece(v, f.body) < 0)
            return err_set(e, E_FORMAT, "piece %zu is broken at byte %zu", v->n, w.at);
        if (f.no == 2)
            v->model = number_in(f.body, 3, 1) == 2 ? "llama" : "t5";
        if (f.no == 3)
            v->add_space = number_in(f.body, 3, 1) != 0;
    }
    return 0;
}
