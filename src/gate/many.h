/* many.h - texts for several prompts in one request, for providers that take one at a time.
 *
 * A provider in front of another. A GATE_TEXT request with n_input prompts becomes as many
 * requests there, all at once; to who asked it is one: answer c of prompt i is choice
 * i * n_choice + c. Any other request is passed on as it is.
 *
 * Events   START comes once, with the numbers of the prompt that was begun first, and nothing
 *          of QUEUED, LOADING and PREFILL after it. DONE adds the tokens of all prompts up.
 * When one fails, the others are cancelled, and ERROR comes when they have ended Threads  as
 * gate/provider.h; inner calls may come from several threads at once Uses     base/
 */
#ifndef HEARTH_GATE_MANY_H
#define HEARTH_GATE_MANY_H

#include "gate/provider.h"

struct many;

/* inner is borrowed and outlives it. Fails: E_NOMEM. */
MUST_CHECK int many_new(struct many **out, struct provider *inner, struct err *e);
void many_free(struct many *m); /* NULL is fine; all its calls have been freed */
struct provider *many_provider(struct many *m);

#endif
