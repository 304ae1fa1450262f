/* schema_circle.c - schemas that apply each other in place, to the same value: how far down
 * that goes, and that it ends. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

struct step {
    uint32_t node, n, next; /* its schemas in place, and the next of them to visit */
    uint32_t *kid;
    uint16_t height;
};

static void add(const struct schema *s, const json_t *v, uint32_t *kid, uint32_t *n)
{
    if (!json_is_object(v))
        return;
    if (kid)
        kid[*n] = schema_node_at(s, v);
    ++*n;
}

/* The members of a map of schemas. */
static void add_members(const struct schema *s, json_t *map, uint32_t *kid, uint32_t *k)
{
    const char *key;
    json_t *sub;

    json_object_foreach(map, key, sub)
    {
        add(s, sub, kid, k);
    }
}

/* Writes the schemas that node applies in place, if kid is there; returns how many. */
static uint32_t kids(const struct schema *s, uint32_t node, uint32_t *kid)
{
    static const int alone[] = {KW_not, KW_if, KW_then, KW_else};
    static const int lists[] = {KW_all_of, KW_any_of, KW_one_of};
    static const int maps[] = {KW_dependent_schemas, KW_dependencies};
    const struct schema_node *n = &s->node[node];
    const uint32_t refs[] = {n->ref, n->dynamic_ref};
    uint32_t k = 0;

    for (int i = 0; i < 2; i++) {
        if (refs[i] != NODE_NONE)
            add(s, s->node[refs[i]].v, kid, &k);
    }
    for (int i = 0; i < 4; i++)
        add(s, schema_kw(n, alone[i]), kid, &k);
    for (int i = 0; i < 3; i++) {
        const json_t *list = schema_kw(n, lists[i]);

        for (size_t j = 0; j < json_array_size(list); j++)
            add(s, json_array_get(list, j), kid, &k);
    }
    for (int i = 0; i < 2; i++)
        add_members(s, (json_t *)(uintptr_t)schema_kw(n, maps[i]), kid, &k);
    return k;
}

static int enter(struct schema *s, struct step *t, uint32_t node)
{
    uint32_t n = kids(s, node, NULL);

    *t = (struct step){.node = node, .n = n, .height = 1};
    t->kid = arena_alloc(&s->arena, n * sizeof(*t->kid));
    if (!t->kid)
        return schema_nomem(s);
    (void)kids(s, node, t->kid);
    s->node[node].open = 1;
    return 0;
}

static int too_high(struct schema *s, uint32_t node)
{
    return schema_fail(s, E_TOO_LONG, node, NULL,
                       "more than %d schemas apply each other to one value", SCHEMA_DEPTH);
}

static int walk(struct schema *s, struct step *path, uint32_t node)
{
    int depth = 0, rc = enter(s, &path[0], node);

    while (rc == 0 && depth >= 0) {
        struct step *t = &path[depth];
        uint32_t kid;

        if (t->next == t->n) {
            s->node[t->node].open = 0;
            s->node[t->node].height = t->height;
            if (depth-- > 0 && path[depth].height <= t->height)
                path[depth].height = (uint16_t)(t->height + 1);
            continue;
        }
        kid = t->kid[t->next++];
        if (s->node[kid].open)
            return schema_fail(s, E_INVALID, kid, NULL,
                               "applies itself to the same value, without end");
        if (s->node[kid].height) {
            if (t->height <= s->node[kid].height)
                t->height = (uint16_t)(s->node[kid].height + 1);
            if (t->height + depth > SCHEMA_DEPTH)
                return too_high(s, node);
            continue;
        }
        if (++depth == SCHEMA_DEPTH)
            return too_high(s, node);
        rc = enter(s, &path[depth], kid);
    }
    return rc;
}

int schema_acyclic(struct schema *s, uint32_t node)
{
    struct step *path;
    int rc;

    if (s->node[node].height || node < NODE_FIRST)
        return 0;
    path = mem_alloc(SCHEMA_DEPTH * sizeof(*path));
    rc = path ? walk(s, path, node) : schema_nomem(s);
    mem_free(path);
    return rc;
}
