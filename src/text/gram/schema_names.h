/* schema_names.h - the names of an object's properties, while it is made of facts: those that
 * are known by themselves, and kinds of others, by the patterns that they match.
 *
 * Uses     text/gram/schema_part.h
 */
#ifndef HEARTH_TEXT_GRAM_SCHEMA_NAMES_H
#define HEARTH_TEXT_GRAM_SCHEMA_NAMES_H

#include "text/gram/schema_part.h"

struct schema_name {
    struct str name;
    uint32_t matches; /* patterns: bits */
    uint8_t required, forbidden;
    schema_goal value;
};

struct schema_names {
    struct schema *s;
    const struct schema_fact **fact;
    uint32_t n_fact;
    struct schema_name *name;
    uint32_t n_name, cap_name;
    struct map at; /* by name */
    rx_id pattern[SCHEMA_PATTERNS];
    uint32_t n_pattern;
    rx_id key; /* propertyNames */
    uint64_t min, max;
    schema_lit *lit; /* scratch */
    uint32_t n_lit, cap_lit;
    const struct schema_fact *extra; /* the first FACT_EXTRA */
};

/* Kinds of names that are not known by themselves. */
struct schema_kinds {
    struct schema_name *kind; /* `matches` and `value` only */
    rx_id *rx;
    uint32_t n, cap, cap_rx;
};

/* Finds facts, names, bounds and patterns. Call schema_names_done also when it failed. */
MUST_CHECK int schema_names_init(struct schema_names *w, struct schema *s,
                                 const struct schema_fact *last);
void schema_names_done(struct schema_names *w);
/* The number of a pattern, which it gets when it is new. */
MUST_CHECK int schema_names_pattern(struct schema_names *w, uint32_t node, const char *pattern,
                                    uint32_t *at);
/* Splits the names that are left by all patterns. The caller frees both arrays. */
MUST_CHECK int schema_names_split(struct schema_names *w, struct schema_kinds *k);
/* All names that are known by themselves. */
MUST_CHECK int schema_names_known(struct schema_names *w, rx_id *out);

static inline const struct schema_node *schema_names_node(const struct schema_names *w,
                                                          const struct schema_fact *f)
{
    return &w->s->node[f->node];
}

#endif
