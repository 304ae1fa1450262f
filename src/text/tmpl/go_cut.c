/* The last turn of a conversation ends where the model's answer begins: what stands behind the
 * first .Response is left out. Only the way down to that place is copied; what a branch's
 * condition mentions does not count. */
#include "text/tmpl/go_cut.h"

static int is_response(const struct go_node *n)
{
    if (n->kind != GO_FIELD && n->kind != GO_VAR)
        return 0;
    for (int i = 0; i < n->n_name; i++)
        if (str_is(n->name[i], "Response"))
            return 1;
    return 0;
}

/* 1: a pipeline has it as an operand, in parentheses or not. */
static int has_response(const struct go_node *pipe)
{
    for (const struct go_node *c = pipe->child; c; c = c->next)
        for (const struct go_node *n = c->child; n; n = n->next)
            if (is_response(n) || (n->kind == GO_PIPE && has_response(n)))
                return 1;
    return 0;
}

static struct go_node *copy_of(struct arena *a, const struct go_node *n, int *rc)
{
    struct go_node *copy = arena_alloc(a, sizeof(*copy));

    if (!copy) {
        *rc = E_NOMEM;
        return NULL;
    }
    *copy = *n;
    return copy;
}

static int cut_list(struct arena *a, struct go_node *list, struct go_node **out);

/* 1: *n became a copy that ends at the response; 0: there is none in it. */
static int cut_node(struct arena *a, struct go_node **n)
{
    struct go_node *body = (*n)->body, *other = (*n)->other;
    int rc = 0, in_body;

    if ((*n)->kind == GO_ACTION)
        rc = has_response((*n)->pipe);
    if ((*n)->kind != GO_IF && (*n)->kind != GO_WITH && (*n)->kind != GO_RANGE && !rc)
        return 0;
    in_body = rc == 0 ? cut_list(a, body, &body) : 0;
    if (in_body > 0)
        other = NULL;
    else if (in_body == 0 && rc == 0)
        rc = cut_list(a, other, &other);
    if (in_body != 0)
        rc = in_body;
    if (rc <= 0)
        return rc;
    *n = copy_of(a, *n, &rc);
    if (rc < 0)
        return rc;
    (*n)->body = body;
    (*n)->other = other;
    return 1;
}

/* The same of a list. */
static int cut_list(struct arena *a, struct go_node *list, struct go_node **out)
{
    struct go_node *first = NULL, **last = &first, *end = list;
    int rc = 0;

    for (; end; end = end->next) {
        struct go_node *cut = end;

        rc = cut_node(a, &cut);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        for (; list != end; list = list->next) {
            *last = copy_of(a, list, &rc);
            if (rc < 0)
                return rc;
            last = &(*last)->next;
        }
        cut->next = NULL;
        *last = cut;
        *out = first;
        return 1;
    }
    return 0;
}

int go_cut(struct go_tree *t, struct go_node **out, struct err *e)
{
    int rc = cut_list(&t->a, t->root, out);

    if (rc == 0)
        *out = t->root;
    return rc < 0 ? err_set(e, rc, "no memory for a template") : 0;
}
