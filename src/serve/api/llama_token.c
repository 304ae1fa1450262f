/* llama_token.c - tokens and prompts as they are: /tokenize, /detokenize. */
#include "serve/api/llama.h"

#include "base/utf8.h"
#include "serve/local.h"
#include "text/tok_ids.h"

#define ANSWER_MAX ((size_t)256 << 20)

/* What both say. */
struct in {
    struct str model;
    json_t *content, *tokens;
    int add_special, parse_special, with_pieces;
};

#define AT(f) .at = offsetof(struct in, f)

static const struct field_row tokenize_rows[] = {
    {.name = "model", .type = FIELD_STR, AT(model), .max = 600},
    {.name = "content", .type = FIELD_JSON, AT(content), .flags = FIELD_NEEDED},
    {.name = "add_special", .type = FIELD_BOOL, AT(add_special)},
    {.name = "parse_special", .type = FIELD_BOOL, AT(parse_special)},
    {.name = "with_pieces", .type = FIELD_BOOL, AT(with_pieces)},
};

static const struct field_row detokenize_rows[] = {
    {.name = "model", .type = FIELD_STR, AT(model), .max = 600},
    {.name = "tokens", .type = FIELD_ARRAY, AT(tokens), .flags = FIELD_NEEDED},
};

/* A piece is a string, or the bytes of a part of a character. */
static void put_piece(struct json_out *w, struct str s)
{
    if (utf8_valid(s.p, s.n)) {
        json_out_text(w, s);
        return;
    }
    json_out_open(w, '[');
    for (size_t i = 0; i < s.n; i++)
        json_out_int(w, (unsigned char)s.p[i]);
    json_out_close(w, ']');
}

static int put_tokens(const struct in *in, const struct tok *tok, const struct tok_ids *ids,
                      struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "tokens");
    json_out_open(&w, '[');
    for (size_t i = 0; i < ids->n; i++) {
        if (!in->with_pieces) {
            json_out_int(&w, ids->id[i]);
            continue;
        }
        json_out_open(&w, '{');
        json_out_key(&w, "id");
        json_out_int(&w, ids->id[i]);
        json_out_key(&w, "piece");
        put_piece(&w, tok_piece(tok, ids->id[i], 1));
        json_out_close(&w, '}');
    }
    json_out_close(&w, ']');
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int check_id(const json_t *v, const struct tok *tok, const char *at, size_t i,
                    struct err *e)
{
    json_int_t id = json_integer_value(v);

    if (json_is_integer(v) && id >= 0 && id < tok_count(tok))
        return 0;
    return err_set(e, E_INVALID, "%s.%zu: expected the id of a token, 0 to %d", at, i,
                   tok_count(tok) - 1);
}

/* content: a string, or strings and ids mixed. */
static int encode(const struct in *in, const struct tok *tok, struct tok_ids *ids,
                  struct err *e)
{
    int flags = in->parse_special ? TOK_PARSE_SPECIAL : 0;
    const json_t *j;
    size_t i;
    int rc = 0;

    if (json_is_string(in->content))
        return tok_encode(tok, json_string_value(in->content), json_string_length(in->content),
                          flags | (in->add_special ? TOK_ADD_SPECIAL : 0), ids, e);
    if (!json_is_array(in->content))
        return err_set(e, E_INVALID, "content must be a string");
    json_array_foreach(in->content, i, j)
    {
        if (json_is_string(j))
            rc = tok_encode(tok, json_string_value(j), json_string_length(j),
                            flags | (in->add_special && i == 0 ? TOK_ADD_SPECIAL : 0), ids, e);
        else
            rc = check_id(j, tok, "content", i, e);
        if (rc == 0 && !json_is_string(j) &&
            tok_ids_put(ids, (int32_t)json_integer_value(j)) < 0)
            rc = err_set(e, E_NOMEM, "no memory for tokens");
        if (rc < 0)
            break;
    }
    return rc;
}

static int tokenize(const struct in *in, const struct tok *tok, struct buf *out, struct err *e)
{
    struct tok_ids ids = {0};
    int rc = encode(in, tok, &ids, e);

    if (rc == 0 && put_tokens(in, tok, &ids, out) < 0)
        rc = err_set(e, E_NOMEM, "no memory for the answer");
    tok_ids_done(&ids);
    return rc;
}

/* The bytes of all tokens, control tokens included. */
static int detokenize(const struct in *in, const struct tok *tok, struct buf *out,
                      struct err *e)
{
    struct json_out w;
    struct buf text;
    const json_t *j;
    size_t i;
    int rc = 0;

    buf_init(&text, ANSWER_MAX);
    json_array_foreach(in->tokens, i, j)
    {
        struct str piece;

        rc = check_id(j, tok, "tokens", i, e);
        if (rc < 0)
            break;
        piece = tok_piece(tok, (int)json_integer_value(j), 1);
        if (buf_put(&text, piece.p, piece.n) < 0)
            rc = err_set(e, E_NOMEM, "no memory for the answer");
        if (rc < 0)
            break;
    }
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "content");
    json_out_text(&w, (struct str){text.p ? text.p : "", text.n});
    json_out_close(&w, '}');
    buf_done(&text);
    if (rc == 0 && json_out_end(&w) < 0)
        rc = err_set(e, E_NOMEM, "no memory for the answer");
    return rc;
}

typedef int work_fn(const struct in *in, const struct tok *tok, struct buf *out, struct err *e);

/* With the model's tokenizer. */
static int with_tok(struct serve *s, const struct call *c, const struct in *in, work_fn *work,
                    struct buf *out, struct err *e)
{
    struct local_model *m = NULL;
    struct arena mem;
    struct str name;
    int rc;

    arena_init(&mem, 64 << 10);
    rc = llama_model(s, c, in->model, &name, &mem, e);
    if (rc == 0)
        rc = local_hold(s->local, name, &m, e);
    arena_done(&mem);
    if (rc < 0)
        return rc;
    rc = local_tok(m) ? work(in, local_tok(m), out, e)
                      : err_set(e, E_UNSUPPORTED, "the model has no tokenizer");
    local_let_go(m);
    return rc;
}

static void run(struct serve *s, struct call *c, const struct field_row *rows, size_t n,
                work_fn *work)
{
    struct in in = {.parse_special = 1};
    struct field_report r;
    struct err e = {0};
    struct buf out;
    json_t *body;
    int rc;

    if (!ask_body(c, &body))
        return;
    field_report_init(&r, ask_strict(c));
    buf_init(&out, ANSWER_MAX);
    rc = field_read(rows, n, "", body, &in, &r, &e);
    if (rc == 0)
        rc = with_tok(s, c, &in, work, &out, &e);
    if (rc == 0) {
        ask_warn(c, &r);
        call_reply(c, 200, c->route->dialect->json_type, out.p, out.n);
    } else {
        ask_error(c, &e, r.param);
    }
    buf_done(&out);
    field_report_done(&r);
    json_decref(body);
}

void llama_tokenize(struct serve *s, struct call *c)
{
    run(s, c, tokenize_rows, sizeof(tokenize_rows) / sizeof(*tokenize_rows), tokenize);
}

void llama_detokenize(struct serve *s, struct call *c)
{
    run(s, c, detokenize_rows, sizeof(detokenize_rows) / sizeof(*detokenize_rows), detokenize);
}
