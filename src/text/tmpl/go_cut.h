/* go_cut.h - a Go template up to the model's answer. */
#ifndef HEARTH_TEXT_TMPL_GO_CUT_H
#define HEARTH_TEXT_TMPL_GO_CUT_H

#include "text/tmpl/go_tree.h"

/* *out: the template's nodes up to the first that writes .Response, that one included; all of
 * them if none does. In the tree's arena. Fails: E_NOMEM. */
MUST_CHECK int go_cut(struct go_tree *t, struct go_node **out, struct err *e);

#endif
