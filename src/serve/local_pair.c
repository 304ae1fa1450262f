/* local_pair.c - texts that stand together in one prompt: what is before and behind a gap, and
 * a query with a document. */
#include "serve/local_priv.h"

#include "text/tok_ids.h"

#define PAIR_MAX ((size_t)64 << 20)

int local_put_ids(struct tok_ids *ids, const int32_t *id, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = tok_ids_put(ids, id[i]);
    return rc;
}

/* The beginning goes, but for what marks it. */
void local_cut_front(struct tok_ids *ids, size_t room, const struct tok *tok)
{
    size_t keep = room && tok && ids->n && ids->id[0] == tok_bos(tok), gone = ids->n - room;

    memmove(ids->id + keep, ids->id + keep + gone, (room - keep) * sizeof(*ids->id));
    ids->n = room;
}

/* -- gaps ------------------------------------------------------------------------------ */

static int put_text(struct tok_ids *ids, const struct tok *tok, struct str text, struct err *e)
{
    return text.n ? tok_encode(tok, text.p, text.n, 0, ids, e) : 0;
}

/* Other files of the project, each behind its name. */
static int put_extra(const struct gate_request *q, const struct tok *tok, struct tok_ids *ids,
                     struct err *e)
{
    int sep = tok_fim(tok, TOK_FIM_SEP), rep = tok_fim(tok, TOK_FIM_REP), rc = 0;

    if (rep >= 0)
        rc = tok_ids_put(ids, rep);
    if (rc == 0 && rep >= 0)
        rc = put_text(ids, tok, str_of("project\n"), e);
    for (size_t i = 0; i < q->n_extra && rc == 0; i++) {
        rc = tok_ids_put(ids, sep);
        if (rc == 0)
            rc = put_text(ids, tok, q->extra_name[i], e);
        if (rc == 0)
            rc = put_text(ids, tok, str_of("\n"), e);
        if (rc == 0)
            rc = put_text(ids, tok, q->extra[i].text, e);
    }
    if (rc == 0)
        rc = tok_ids_put(ids, sep);
    return rc == 0 ? put_text(ids, tok, str_of("this file\n"), e) : rc;
}

/* Of what is around the gap the nearest stays: three quarters of it before, one behind. */
static void cut_around(struct tok_ids *before, struct tok_ids *behind, size_t room,
                       size_t *dropped)
{
    size_t all = before->n + behind->n, some = room / 4;

    if (all <= room)
        return;
    if (behind->n < some)
        some = behind->n;
    if (before->n < room - some)
        some = room - before->n;
    if (before->n > room - some)
        local_cut_front(before, room - some, NULL);
    behind->n = some;
    *dropped = all - room;
}

/* Before the gap, behind it, and the mark where the middle is to be written. */
static int put_around(struct tok_ids *ids, const int mark[3], const struct tok_ids *before,
                      const struct tok_ids *behind)
{
    int rc = tok_ids_put(ids, mark[0]);

    if (rc == 0)
        rc = local_put_ids(ids, before->id, before->n);
    if (rc == 0)
        rc = tok_ids_put(ids, mark[1]);
    if (rc == 0)
        rc = local_put_ids(ids, behind->id, behind->n);
    return rc < 0 ? rc : tok_ids_put(ids, mark[2]);
}

int local_gap(const struct gate_request *q, const struct tok *tok, size_t room,
              struct tok_ids *ids, size_t *dropped, int *left_out, struct err *e)
{
    const int mark[3] = {tok_fim(tok, TOK_FIM_PRE), tok_fim(tok, TOK_FIM_SUF),
                         tok_fim(tok, TOK_FIM_MID)};
    struct tok_ids before = {0}, behind = {0};
    int rc = 0;

    if (mark[0] < 0 || mark[1] < 0 || mark[2] < 0)
        return err_set(e, E_UNSUPPORTED,
                       "does not support insert: it has no tokens for filling in the middle");
    *left_out = q->n_extra && tok_fim(tok, TOK_FIM_SEP) < 0;
    if (tok_add_bos(tok) && tok_bos(tok) >= 0)
        rc = tok_ids_put(ids, tok_bos(tok));
    if (rc == 0 && q->n_extra && !*left_out)
        rc = put_extra(q, tok, ids, e);
    if (rc == 0 && q->n_input)
        rc = put_text(&before, tok, q->input[0].text, e);
    if (rc == 0)
        rc = put_text(&behind, tok, q->suffix, e);
    if (rc == 0 && room > ids->n + 3 && room < SIZE_MAX)
        cut_around(&before, &behind, room - ids->n - 3, dropped);
    if (rc == 0)
        rc = put_around(ids, mark, &before, &behind);
    tok_ids_done(&before);
    tok_ids_done(&behind);
    return rc < 0 ? err_set(e, rc, "no memory for the prompt") : 0;
}

/* -- pairs ----------------------------------------------------------------------------- */

/* A template of the model's own for pairs, with {query} and {document} in it. */
static int pair_by_template(const struct tok *tok, struct str form, struct str query,
                            struct str doc, struct tok_ids *ids, struct err *e)
{
    struct marked m;
    int rc = 0;

    marked_init(&m, PAIR_MAX);
    while (form.n && rc == 0) {
        const char *q = memmem(form.p, form.n, "{query}", 7),
                   *d = memmem(form.p, form.n, "{document}", 10),
                   *at = !q || (d && d < q) ? d : q;
        size_t n = at ? (size_t)(at - form.p) : form.n, skip = at ? (at == q ? 7 : 10) : 0;

        rc = marked_put(&m, (struct str){form.p, n}, 0);
        if (rc == 0 && at)
            rc = marked_put(&m, at == q ? query : doc, 1);
        form = (struct str){form.p + n + skip, form.n - n - skip};
    }
    if (rc == 0)
        rc = tok_encode_marked(tok, &m, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, ids, e);
    marked_done(&m);
    return rc < 0 && (!e || !e->code) ? err_set(e, rc, "no memory for a pair of texts") : rc;
}

/* [CLS] query [SEP] document [SEP], as the tokenizer marks a text's beginning and end. */
static int pair_by_marks(const struct tok *tok, struct str query, struct str doc,
                         struct tok_ids *ids, struct err *e)
{
    size_t at;
    int rc = tok_encode(tok, query.p, query.n, TOK_ADD_SPECIAL, ids, e);

    /* Where SEP is what ends a text it is there already. */
    if (rc == 0 && tok_add_sep(tok) && tok_sep(tok) >= 0 &&
        !(ids->n && ids->id[ids->n - 1] == tok_sep(tok)))
        rc = tok_ids_put(ids, tok_sep(tok));
    at = ids->n;
    if (rc == 0)
        rc = tok_encode(tok, doc.p, doc.n, TOK_ADD_SPECIAL, ids, e);
    if (rc == 0 && tok_add_bos(tok) && at < ids->n && ids->id[at] == tok_bos(tok)) {
        memmove(ids->id + at, ids->id + at + 1, (ids->n - at - 1) * sizeof(*ids->id));
        ids->n--;
    }
    return rc;
}

int local_pair(const struct tok *tok, struct str form, struct str query, struct str doc,
               struct tok_ids *ids, struct err *e)
{
    return form.n ? pair_by_template(tok, form, query, doc, ids, e)
                  : pair_by_marks(tok, query, doc, ids, e);
}
