/* gram_spread.c - which expressions are reached, who uses whom, and facts that spread. */
#include "text/gram/gram_spread.h"

#include "base/mem.h"

void gram_spread_done(struct gram_spread *s)
{
    mem_free(s->order);
    mem_free(s->first);
    mem_free(s->user);
    mem_free(s->left);
    mem_free(s->queue);
    mem_free(s->done);
}

void gram_spread_mark(struct gram_spread *s, uint32_t r)
{
    if (!s->done[r]) {
        s->done[r] = 1;
        s->queue[s->tail++] = r;
    }
}

/* Everything again from the start, for another fact. */
void gram_spread_begin(struct gram_spread *s)
{
    memset(s->done, 0, s->n);
    s->head = s->tail = 0;
    for (uint32_t i = 0; i < s->n_order; i++)
        s->left[s->order[i]] = gram_at(s->g, s->order[i])->n;
}

struct str gram_rule_text(const struct gram *g, gram_ref r)
{
    uint32_t key = gram_at(g, r)->a;

    return key ? gram_key_text(g, key) : str_of("");
}

static int unset(const struct gram_spread *s, gram_ref r)
{
    struct str name = gram_rule_text(s->g, r);

    return err_set(s->e, E_INVALID, "the rule %.*s is used and nowhere defined",
                   (int)(name.n < 100 ? name.n : 100), name.p);
}

static int reach(struct gram_spread *s, gram_ref root)
{
    struct gram *g = s->g;

    s->order[s->n_order++] = root;
    gram_at(g, root)->reached = 1;
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(g, s->order[i]);

        if (n->kind == GRAM_K_RULE && n->n == 0)
            return unset(s, s->order[i]);
        for (uint32_t k = 0; k < n->n; k++) {
            struct gram_node *part = gram_at(g, n->part[k]);

            s->first[n->part[k] + 1]++;
            if (!part->reached) {
                part->reached = 1;
                s->order[s->n_order++] = n->part[k];
            }
        }
    }
    return 0;
}

/* Who uses whom, from the counts that reach made. */
static int find_users(struct gram_spread *s)
{
    uint32_t *at = mem_calloc((size_t)s->n + 1, sizeof(*at));

    for (uint32_t i = 0; i < s->n; i++)
        s->first[i + 1] += s->first[i];
    s->user = mem_alloc(((size_t)s->first[s->n] + 1) * sizeof(*s->user));
    if (!at || !s->user) {
        mem_free(at);
        return err_set(s->e, E_NOMEM, "no memory for the grammar");
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);

        for (uint32_t k = 0; k < n->n; k++)
            s->user[s->first[n->part[k]] + at[n->part[k]]++] = s->order[i];
    }
    mem_free(at);
    return 0;
}

int gram_spread_init(struct gram_spread *s, struct gram *g, gram_ref root, struct err *e)
{
    size_t n = g->node.n;
    int rc;

    *s = (struct gram_spread){.g = g, .n = (uint32_t)n, .e = e};
    s->order = mem_alloc(n * sizeof(*s->order));
    s->first = mem_calloc(n + 1, sizeof(*s->first));
    s->left = mem_alloc(n * sizeof(*s->left));
    s->queue = mem_alloc(n * sizeof(*s->queue));
    s->done = mem_calloc(n, 1);
    if (!s->order || !s->first || !s->left || !s->queue || !s->done)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    rc = reach(s, root);
    return rc == 0 ? find_users(s) : rc;
}

/* Calls `tell` for each node that uses one which is done, once for each use. */
int gram_spread_run(struct gram_spread *s,
                    int (*tell)(struct gram_spread *, gram_ref user, gram_ref part))
{
    int rc = 0;

    while (rc == 0 && s->head < s->tail) {
        uint32_t r = s->queue[s->head++];

        for (uint32_t i = s->first[r]; rc == 0 && i < s->first[r + 1]; i++)
            rc = s->done[s->user[i]] ? 0 : tell(s, s->user[i], r);
    }
    return rc;
}
