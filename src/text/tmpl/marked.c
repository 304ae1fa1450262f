#include "text/tmpl/marked.h"

#include "base/mem.h"

void marked_init(struct marked *m, size_t max)
{
    *m = (struct marked){0};
    buf_init(&m->text, max);
}

void marked_done(struct marked *m)
{
    buf_done(&m->text);
    mem_free(m->mark);
    m->mark = NULL;
    m->n = m->cap = 0;
}

void marked_clear(struct marked *m)
{
    buf_clear(&m->text);
    m->n = 0;
}

static int room_for_one(struct marked *m)
{
    size_t cap = m->cap ? 2 * m->cap : 16;
    struct mark *mark;

    if (m->n < m->cap)
        return 0;
    if (cap > SIZE_MAX / sizeof(*mark) / 2)
        return E_TOO_LONG;
    mark = mem_realloc(m->mark, cap * sizeof(*mark));
    if (!mark)
        return E_NOMEM;
    m->mark = mark;
    m->cap = cap;
    return 0;
}

int marked_put(struct marked *m, struct str s, int user)
{
    int rc, more = m->n == 0 || m->mark[m->n - 1].user != !!user;

    if (s.n == 0)
        return 0;
    rc = more ? room_for_one(m) : 0;
    if (rc == 0)
        rc = buf_put(&m->text, s.p, s.n);
    if (rc < 0)
        return rc;
    if (more)
        m->mark[m->n++].user = !!user;
    m->mark[m->n - 1].end = m->text.n;
    return 0;
}
