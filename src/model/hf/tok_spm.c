/* SentencePiece's tokenizer.model: protocol buffers, of which only what a tokenizer needs is
 * read. Fields are skipped by their wire type; everything is checked against the bytes there
 * are.
 *
 * ModelProto:    1 pieces (message), 2 trainer_spec, 3 normalizer_spec
 * SentencePiece: 1 piece (text), 2 score (float), 3 type (1 normal, 2 unknown, 3 control,
 *                4 user-defined, 5 unused, 6 byte: the numbers that GGUF took over)
 * TrainerSpec:   3 model_type (1 unigram, 2 BPE, 3 words, 4 characters),
 *                24 treat_whitespace_as_suffix, 35 byte_fallback, 40 to 43 ids of unk, bos,
 * eos, pad (below 0: none) NormalizerSpec: 1 name, 2 precompiled_charsmap, 3 add_dummy_prefix,
 *                4 remove_extra_whitespaces, 5 escape_whitespaces
 *
 * Pieces of BPE are joined by score ("llama"); those of a unigram model are chosen so that the
 * whole text has the best score ("t5"), whatever model they belong to.
 */
#include "model/hf/hf_priv.h"

enum { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };
enum { SPM_UNIGRAM = 1, SPM_BPE };

struct wire {
    const unsigned char *p;
    size_t n, at;
    size_t from;     /* where p lies in the file */
    const char *why; /* what is wrong at `at`, NULL: nothing */
};

struct field {
    uint32_t no, wire;
    uint64_t v;       /* of WIRE_VARINT */
    struct wire body; /* of the others: its bytes */
};

/* Returns 1, or 0 when the number does not end. */
static int take_varint(struct wire *w, uint64_t *out)
{
    size_t at = w->at;
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && at < w->n; shift += 7) {
        unsigned char b = w->p[at++];

        v |= (uint64_t)(b & 127) << shift;
        if (!(b & 128)) {
            *out = v;
            w->at = at;
            return 1;
        }
    }
    w->why = "a number that does not end";
    return 0;
}

static int broken(struct wire *w, const char *why)
{
    w->why = why;
    return -1;
}

/* Returns 1 and the next field, 0 at the end, -1 when it is broken: w->why and w->at say it. */
static int take_field(struct wire *w, struct field *f)
{
    uint64_t head, n = 0;

    if (w->at == w->n)
        return 0;
    if (!take_varint(w, &head))
        return -1;
    if (head >> 3 == 0 || head >> 3 > UINT32_MAX)
        return broken(w, "a field without a number");
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
        return broken(w, "a field of a wire type that is not known");
    }
    if (n > w->n - w->at)
        return broken(w, "a field that is longer than what is left");
    f->body = (struct wire){w->p + w->at, (size_t)n, 0, w->from + w->at, NULL};
    w->at += (size_t)n;
    return 1;
}

/* -- messages ------------------------------------------------------------------------------ */

struct spec {
    uint64_t type, suffix, bytes;       /* of the trainer */
    uint64_t prefix, one_space, escape; /* of the normaliser */
    uint64_t unk, bos, eos, pad;
    struct str charsmap;
};

static int read_piece(struct hf_vocab *v, struct wire *w)
{
    struct field f;
    int more;

    v->type[v->n] = HF_TOK_NORMAL;
    while ((more = take_field(w, &f)) > 0) {
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

static int read_spec(struct spec *s, struct wire *w, int trainer)
{
    const struct {
        int trainer;
        uint32_t no;
        uint64_t *v;
    } rows[] = {
        {1, 3, &s->type},      {1, 24, &s->suffix}, {1, 35, &s->bytes}, {1, 40, &s->unk},
        {1, 41, &s->bos},      {1, 42, &s->eos},    {1, 43, &s->pad},   {0, 3, &s->prefix},
        {0, 4, &s->one_space}, {0, 5, &s->escape},
    };
    struct field f;
    int more;

    while ((more = take_field(w, &f)) > 0) {
        if (!trainer && f.no == 2 && f.wire == WIRE_BYTES)
            s->charsmap = (struct str){(const char *)f.body.p, f.body.n};
        for (size_t i = 0; i < HF_COUNT(rows); i++) {
            if (rows[i].trainer == trainer && rows[i].no == f.no && f.wire == WIRE_VARINT)
                *rows[i].v = f.v;
        }
    }
    return more;
}

static int count_pieces(struct wire w, size_t *n)
{
    struct field f;
    int more;

    for (*n = 0; (more = take_field(&w, &f)) > 0;)
        *n += f.no == 1 && f.wire == WIRE_BYTES;
    return more;
}

/* Everything into *v, whose arrays have room, and *s. 0, or -1 and *w says what is broken. */
static int read_all(struct hf_vocab *v, struct spec *s, struct wire *w)
{
    struct field f;
    int more, rc = 0;

    while ((more = take_field(w, &f)) > 0) {
        if (f.wire != WIRE_BYTES || f.no > 3)
            continue;
        rc = f.no == 1 ? read_piece(v, &f.body) : read_spec(s, &f.body, f.no == 2);
        if (rc < 0) {
            *w = f.body;
            return -1;
        }
    }
    return more;
}

/* -- as a vocabulary ----------------------------------------------------------------------- */

static int id_of(const struct hf_vocab *v, uint64_t id)
{
    return id < v->n ? (int)id : -1;
}

static void note_left_out(struct hf *h, const char *what, const struct hf_vocab *v,
                          const struct spec *s)
{
    int bpe = strcmp(v->model, "llama") == 0;

    if (bpe && s->charsmap.n)
        hf_add_note(h, "%s: the rules of its normaliser (%zu bytes) are left out", what,
                    s->charsmap.n);
    if (bpe && s->one_space)
        hf_add_note(h, "%s: remove_extra_whitespaces is left out", what);
    if (!s->escape)
        hf_add_note(h, "%s: escape_whitespaces false is left out", what);
    if (s->suffix)
        hf_add_note(h, "%s: treat_whitespace_as_suffix is left out", what);
}

/* XLM-R and its like number their tokens as another program did: four special ones, the pieces
 * behind SentencePiece's three, and a mask. */
static void renumber(struct hf *h, struct hf_vocab *v, const char *what)
{
    static const char *const names[] = {"<s>", "<pad>", "</s>", "<unk>"};
    enum { N = HF_COUNT(names) };
    struct hf_vocab own = *v;

    if (v->n < N || !hf_vocab_room(h, v, what, (int64_t)v->n + 2))
        return;
    for (size_t i = 0; i < N; i++) {
        v->text[i] = str_of(names[i]);
        v->type[i] = i == N - 1 ? HF_TOK_UNKNOWN : HF_TOK_CONTROL;
    }
    for (size_t i = N - 1; i < own.n; i++) {
        v->text[i + 1] = own.text[i];
        v->type[i + 1] = own.type[i];
        v->score[i + 1] = own.score[i];
    }
    v->text[own.n + 1] = str_of("<mask>");
    v->type[own.n + 1] = HF_TOK_CONTROL;
    v->bos = 0;
    v->pad = 1;
    v->eos = 2;
    v->unk = 3;
    v->mask = (int)own.n + 1;
    v->add_bos = v->add_eos = 1;
}

static void settle(struct hf *h, struct hf_vocab *v, const struct spec *s, const char *what)
{
    v->model = s->type == SPM_BPE ? "llama" : "t5";
    v->add_space = s->prefix != 0;
    v->bos = id_of(v, s->bos);
    v->eos = id_of(v, s->eos);
    v->pad = id_of(v, s->pad);
    if (v->unk < 0)
        v->unk = id_of(v, s->unk);
    note_left_out(h, what, v, s);
    if (s->type == SPM_BPE)
        return;
    v->one_space = s->one_space != 0;
    v->charsmap = s->charsmap;
    v->add_bos = v->bos >= 0 && strcmp(what, "tokenizer.model") == 0;
    v->add_eos = !v->add_bos && v->eos >= 0;
    if (strcmp(what, "sentencepiece.bpe.model") == 0)
        renumber(h, v, what);
}

void hf_tok_spm(struct hf *h, struct hf_vocab *v, const char *what, struct str bytes)
{
    struct wire w = {(const unsigned char *)bytes.p, bytes.n, 0, 0, NULL};
    /* The makers' defaults. */
    struct spec s = {.type = SPM_UNIGRAM,
                     .prefix = 1,
                     .one_space = 1,
                     .escape = 1,
                     .unk = 0,
                     .bos = 1,
                     .eos = 2,
                     .pad = UINT64_MAX};
    size_t n_piece = 0;

    (void)count_pieces(w, &n_piece);
    if (n_piece == 0) {
        hf_fail(h, E_FORMAT, "%s: neither a SentencePiece model nor tiktoken's tokens by rank",
                what);
        return;
    }
    if (!hf_vocab_room(h, v, what, (int64_t)n_piece))
        return;
    v->n = 0;
    if (read_all(v, &s, &w) < 0)
        hf_fail(h, E_FORMAT, "%s: piece %zu or what is behind it: %s at byte %zu", what, v->n,
                w.why, w.from + w.at);
    else if (s.type != SPM_UNIGRAM && s.type != SPM_BPE)
        hf_add_note(
            h, "%s: a SentencePiece model of %s is not known, so the model has no tokenizer",
            what,
            s.type == 3   ? "words"
            : s.type == 4 ? "characters"
                          : "another type");
    else
        settle(h, v, &s, what);
}
