#include "base/utf8.h"
#include "text/kind.h"

#include <assert.h>

void tok_stream_init(struct tok_stream *s, const struct tok *t, int at_start, int show_control)
{
    *s = (struct tok_stream){
        .t = t, .show_control = show_control, .at_start = at_start && t->drop_space};
}

int tok_stream_put(struct tok_stream *s, int id, struct buf *out)
{
    struct str piece = tok_piece(s->t, id, s->show_control);
    size_t before = out->n, whole;
    int rc, drop;

    if (piece.n == 0)
        return 0;
    drop = s->at_start && piece.p[0] == ' ';
    rc = buf_put(out, s->held, s->n_held);
    if (rc >= 0)
        rc = buf_put(out, piece.p + drop, piece.n - (size_t)drop);
    whole = rc < 0 ? 0 : utf8_whole(out->p + before, out->n - before);
    if (rc >= 0) {
        s->n_held = (unsigned)(out->n - before - whole);
        assert(s->n_held < sizeof(s->held));
        memcpy(s->held, out->p + before + whole, s->n_held);
        s->at_start = 0;
    }
    out->n = before + whole;
    if (out->p)
        out->p[out->n] = '\0';
    return rc;
}

int tok_stream_end(struct tok_stream *s, struct buf *out)
{
    int rc = buf_put(out, s->held, s->n_held);

    if (rc >= 0)
        s->n_held = 0;
    return rc;
}
