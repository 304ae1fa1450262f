/* schema_expand.h - what schema_expand.c and schema_deny.c share while they take a goal apart.
 *
 * Uses     text/gram/schema_part.h
 */
#ifndef HEARTH_TEXT_GRAM_SCHEMA_EXPAND_H
#define HEARTH_TEXT_GRAM_SCHEMA_EXPAND_H

#include "text/gram/schema_part.h"

/* What is still to be looked at, and what was found. */
enum schema_task_kind { TASK_LIT, TASK_ANY, TASK_ONE, TASK_IF, TASK_ENUM, TASK_DEPENDS };

struct schema_task {
    enum schema_task_kind kind;
    schema_lit lit; /* the others: LIT_NODE of the keyword's node */
    const char *name;
    const struct schema_scope *scope;
    const struct schema_task *next;
};

struct schema_at {
    const struct schema_task *todo;
    const struct schema_task *done;
    const struct schema_fact *facts;
};

struct schema_job {
    struct schema *s;
    enum schema_type t;
    schema_cell_fn cell;
    void *ctx;
    uint32_t depth; /* of branches */
    int rc;         /* of adding to lists */
};

void schema_push(struct schema_job *j, struct schema_at *at, enum schema_task_kind kind,
                 schema_lit l, const struct schema_scope *scope);
void schema_fact_add(struct schema_job *j, struct schema_at *at, struct schema_fact f);
MUST_CHECK int schema_branch(struct schema_job *j, struct schema_at at);
/* 0: it holds, or was added to *at; 1: all alternatives were gone through, also when none is;
 * or what failed. */
MUST_CHECK int schema_deny(struct schema_job *j, struct schema_at *at, uint32_t node);
MUST_CHECK int schema_deny_value(struct schema_job *j, struct schema_at *at, const json_t *v);

#endif
