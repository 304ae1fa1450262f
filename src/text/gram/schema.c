/* schema.c - from a schema to rules, in five steps.
 *
 * 1. Read (schema_doc.c, schema_ref.c): every schema of the document becomes a node with its
 *    keywords, checked for their form, and its references.
 * 2. Goals (schema_goal.c). What one value must satisfy is a set of literals: schemas that must
 *    hold or must not, and constants. Equal sets are one goal, so recursion ends by itself.
 * 3. For each goal, what values without parts are in it: sets of numbers and strings that are
 *    closed under all that schemas can say (schema_scalar.c); and a list of alternatives for
 *    arrays and objects (schema_expand.c, schema_deny.c), each with goals for its parts
 *    (schema_object.c, schema_array.c).
 * 4. Which goals can be satisfied at all, from the parts to the whole. Others are left out.
 * 5. Rules (schema_emit.c).
 *
 * Goals are made one after the other and only name the goals of their parts; what recurses is
 * the application of schemas to one value, whose depth is limited.
 */
#include "text/gram/schema_part.h"

#include "base/mem.h"

#include <stdio.h>

enum { MEMORY = 256 << 20 };

/* -- where and why --------------------------------------------------------------------- */

enum { PATH_MAX_BYTES = 240 }; /* of a pointer in a message; longer ones are cut */

struct path {
    char text[PATH_MAX_BYTES + 8];
    size_t n;
};

static void put(struct path *p, const char *t)
{
    size_t n = strlen(t);

    if (p->n >= PATH_MAX_BYTES)
        return;
    if (n > PATH_MAX_BYTES - p->n) {
        memcpy(p->text + p->n, t, PATH_MAX_BYTES - p->n);
        memcpy(p->text + PATH_MAX_BYTES, "...", 4);
        p->n = PATH_MAX_BYTES;
        return;
    }
    memcpy(p->text + p->n, t, n + 1);
    p->n += n;
}

/* A name as a part of a pointer. */
static void put_token(struct path *p, const char *t)
{
    put(p, "/");
    for (; *t; t++)
        put(p, *t == '~' ? "~0" : *t == '/' ? "~1" : (const char[]){*t, '\0'});
}

/* The pointer of a node: from the last known place down. */
static void put_path(const struct schema *s, struct path *p, uint32_t node)
{
    uint32_t path[SCHEMA_DEPTH + 1];
    char number[24];
    size_t n = 0;

    while (n <= SCHEMA_DEPTH && node < s->n_node) {
        path[n++] = node;
        if (s->node[node].parent == node)
            break;
        node = s->node[node].parent;
    }
    put(p, "#");
    while (n-- > 0) {
        const struct schema_node *k = &s->node[path[n]];

        if (k->under)
            put_token(p, k->under);
        if (k->name && k->under)
            put_token(p, k->name);
        else if (k->name)
            put(p, k->name);
        if (k->under && k->at != SIZE_MAX) {
            (void)snprintf(number, sizeof(number), "/%zu", k->at);
            put(p, number);
        }
    }
}

void schema_say(struct schema *s, int code, uint32_t node, const char *kw, const char *fmt, ...)
{
    struct path path = {.n = 0};
    char words[ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof(words), fmt, ap);
    va_end(ap);
    put_path(s, &path, node);
    if (kw)
        put_token(&path, kw);
    (void)err_set(s->e, code, "%s: %s", path.text, words);
}

int schema_grow(struct schema *s, void *array, uint32_t n, uint32_t *cap, size_t size)
{
    uint32_t more = *cap ? 2 * *cap : 16;
    void *p, *was;

    if (n < *cap)
        return 0;
    memcpy(&was, array, sizeof(was));
    p = mem_realloc(was, more * size);
    if (!p)
        return schema_nomem(s);
    memcpy(array, &p, sizeof(p));
    *cap = more;
    return 0;
}

/* -- the whole ------------------------------------------------------------------------- */

static void done(struct schema *s)
{
    struct map *maps[] = {&s->places, &s->dynamics, &s->patterns, &s->goals};

    for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++)
        map_done(maps[i]);
    map64_done(&s->nodes);
    map64_done(&s->values);
    mem_free(s->node);
    mem_free(s->base);
    mem_free((void *)(uintptr_t)s->value);
    mem_free(s->goal);
    mem_free(s->reached);
    mem_free(s->waiting);
    arena_done(&s->arena);
}

/* The two nodes and the two goals that are always there. */
static int init(struct schema *s, struct gram *g, const struct schema_options *o, struct err *e)
{
    struct map *maps[] = {&s->places, &s->dynamics, &s->patterns, &s->goals};
    int rc;

    *s = (struct schema){.g = g, .rx = gram_rx(g), .e = e};
    if (o)
        s->o = *o;
    arena_init(&s->arena, MEMORY);
    s->numbers.arena = &s->arena;
    if ((rc = schema_grow(s, &s->node, 0, &s->cap_node, sizeof(*s->node))) < 0 ||
        (rc = schema_grow(s, &s->goal, 0, &s->cap_goal, sizeof(*s->goal))) < 0)
        return rc;
    for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
        if (map_init(maps[i], 16) < 0)
            return schema_nomem(s);
    }
    if (map64_init(&s->nodes, 64) < 0 || map64_init(&s->values, 16) < 0)
        return schema_nomem(s);
    for (uint32_t i = NODE_TRUE; i <= NODE_FALSE; i++)
        s->node[i] = (struct schema_node){.parent = i,
                                          .ref = NODE_NONE,
                                          .dynamic_ref = NODE_NONE,
                                          .types = (1U << TYPE_N) - 1};
    s->goal[GOAL_NEVER] = (struct schema_goal_def){.made = 2};
    s->goal[GOAL_ANY] = (struct schema_goal_def){.made = 2, .live = 1};
    s->n_node = NODE_FIRST;
    s->n_goal = GOAL_ANY + 1;
    return schema_parts_init(s);
}

static int add(struct schema *s, const json_t *doc, gram_ref *out)
{
    schema_lit lit = LIT_NODE(NODE_FIRST);
    schema_goal root = GOAL_NEVER;
    int rc = schema_read(s, doc);

    if (json_is_boolean(doc))
        lit = json_is_true(doc) ? LIT_TRUE : LIT_FALSE;
    if (rc == 0)
        rc = schema_goal_of(s, &lit, 1, &root);
    if (rc == 0)
        rc = schema_goal_make_all(s, root);
    if (rc == 0 && !s->goal[root].live)
        rc = err_set(s->e, E_INVALID, "#: nothing can be valid under this schema");
    return rc < 0 ? rc : schema_emit(s, root, out);
}

int schema_add(struct gram *g, const json_t *schema, const struct schema_options *o,
               gram_ref *out, struct err *e)
{
    struct schema s;
    struct err mine;
    int rc = init(&s, g, o, e ? e : &mine);

    if (rc == 0)
        rc = add(&s, schema, out);
    done(&s);
    return rc;
}

int schema_any(struct gram *g, int object_only, const struct schema_options *o, gram_ref *out,
               struct err *e)
{
    struct schema s;
    struct err mine;
    gram_ref part[3];
    int rc = init(&s, g, o, e ? e : &mine);

    if (rc == 0) {
        part[0] = part[2] = s.part.ws;
        part[1] = schema_parts_any(&s, object_only);
        *out = gram_seq(g, part, 3);
    }
    done(&s);
    return rc;
}
