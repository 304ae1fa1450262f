/* go_tools.h - tools and calls of tools as Go templates see them: go_tools.c. */
#ifndef HEARTH_TEXT_TMPL_GO_TOOLS_H
#define HEARTH_TEXT_TMPL_GO_TOOLS_H

#include "text/tmpl/go_value.h"

/* A member as a string of the user; "" when it is none. */
MUST_CHECK int go_data_string(struct value_room *r, const json_t *obj, const char *key,
                              struct value *out);

/* j: an array, or NULL for no calls. Fails: E_INVALID arguments are no object. */
MUST_CHECK int go_tools_calls(struct value_room *r, const json_t *j, struct value *out);
/* j: an array, or NULL or null for none. Fails: E_INVALID it is something else. */
MUST_CHECK int go_tools_read(struct value_room *r, const json_t *j, struct value *out);

#endif
