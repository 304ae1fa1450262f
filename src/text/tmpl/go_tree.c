#include "text/tmpl/go_tree.h"

#include <strings.h>

void go_tree_done(struct go_tree *t)
{
    arena_done(&t->a);
    *t = (struct go_tree){0};
}

const struct go_define *go_tree_find(const struct go_tree *t, struct str name)
{
    const struct go_define *d = t->define;

    while (d && !str_eq(d->name, name))
        d = d->next;
    return d;
}

static int has_name(const struct go_node *n, const char *name, int fold)
{
    size_t len = strlen(name);

    if (n->kind != GO_FIELD && n->kind != GO_VAR && n->kind != GO_CHAIN)
        return 0;
    for (int i = 0; i < n->n_name; i++)
        if (n->name[i].n == len && (fold ? strncasecmp(n->name[i].p, name, len)
                                         : strncmp(n->name[i].p, name, len)) == 0)
            return 1;
    return 0;
}

/* As deep as the parser went; along lists and else-if chains it loops. */
static int mentions(const struct go_node *list, const char *name, int fold)
{
    for (; list; list = list->next) {
        const struct go_node *n = list;

        for (;;) {
            if (has_name(n, name, fold) || mentions(n->pipe, name, fold) ||
                mentions(n->child, name, fold) || mentions(n->body, name, fold))
                return 1;
            if (!n->other || n->other->next)
                break;
            n = n->other;
        }
        if (mentions(n->other, name, fold))
            return 1;
    }
    return 0;
}

int go_tree_mentions(const struct go_tree *t, const char *name, int fold)
{
    for (const struct go_define *d = t->define; d; d = d->next)
        if (mentions(d->body, name, fold))
            return 1;
    return 0;
}
