#include "store/name.h"

#include <stdio.h>
#include <strings.h>

enum { NAME_PART_MAX = 80, NAME_HOST_MAX = 350 };

static int is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Copies one part. more: characters besides letters, digits and _ that it may go on with. */
static int part(char *out, size_t max, const char *what, struct str s, const char *more,
                struct err *e)
{
    if (s.n == 0)
        return err_set(e, E_INVALID, "the %s is empty", what);
    if (s.n > max)
        return err_set(e, E_INVALID, "the %s has %zu bytes, at most %zu are allowed", what, s.n,
                       max);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (is_alnum(c) || c == '_' || (i > 0 && c && strchr(more, c)))
            continue;
        if (c > 0x20 && c < 0x7f)
            return err_set(e, E_INVALID, "'%c' cannot %s %s", c, i ? "be in a" : "begin a",
                           what);
        return err_set(e, E_INVALID, "the byte 0x%02x cannot be in a %s", (unsigned char)c,
                       what);
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return 0;
}

/* Cuts *s at the last c behind which there is no stop: what follows it, or n 0 and p NULL. */
static struct str cut(struct str *s, char c, char stop)
{
    for (size_t i = s->n; i > 0 && s->p[i - 1] != stop; i--) {
        if (s->p[i - 1] == c) {
            struct str tail = {s->p + i, s->n - i};

            s->n = i - 1;
            return tail;
        }
    }
    return (struct str){NULL, 0};
}

int name_parse(struct name *out, struct str text, struct err *e)
{
    struct str rest = text, tag, model, space;
    struct name n;
    int rc;

    if (text.n == 0)
        return err_set(e, E_INVALID, "a model's name is missing");
    tag = cut(&rest, ':', '/');
    model = cut(&rest, '/', '\0');
    if (!model.p) {
        model = rest;
        rest = (struct str){NULL, 0};
    }
    space = rest.p ? cut(&rest, '/', '\0') : rest;
    if (rest.p && !space.p) {
        space = rest;
        rest = (struct str){NULL, 0};
    }
    rc = part(n.host, NAME_HOST_MAX, "host", rest.p ? rest : str_of(NAME_DEFAULT_HOST),
              "-.:", e);
    if (rc == 0)
        rc = part(n.space, NAME_PART_MAX, "namespace",
                  space.p ? space : str_of(NAME_DEFAULT_SPACE), "-", e);
    if (rc == 0)
        rc = part(n.model, NAME_PART_MAX, "model's name", model, "-.", e);
    if (rc == 0)
        rc = part(n.tag, NAME_PART_MAX, "tag", tag.p ? tag : str_of(NAME_DEFAULT_TAG), "-.", e);
    if (rc < 0)
        return rc;
    *out = n;
    return 0;
}

void name_text(const struct name *n, char out[NAME_MAX_TEXT])
{
    if (strcasecmp(n->host, NAME_DEFAULT_HOST) != 0)
        (void)snprintf(out, NAME_MAX_TEXT, "%s/%s/%s:%s", n->host, n->space, n->model, n->tag);
    else if (strcasecmp(n->space, NAME_DEFAULT_SPACE) != 0)
        (void)snprintf(out, NAME_MAX_TEXT, "%s/%s:%s", n->space, n->model, n->tag);
    else
        (void)snprintf(out, NAME_MAX_TEXT, "%s:%s", n->model, n->tag);
}

int name_same(const struct name *a, const struct name *b)
{
    return strcasecmp(a->host, b->host) == 0 && strcasecmp(a->space, b->space) == 0 &&
           strcasecmp(a->model, b->model) == 0 && strcasecmp(a->tag, b->tag) == 0;
}
