/* tmpl_lang.h - what a template language is: a row of the table in tmpl.c.
 *
 * Threads  as tmpl.h
 */
#ifndef HEARTH_TEXT_TMPL_TMPL_LANG_H
#define HEARTH_TEXT_TMPL_TMPL_LANG_H

#include "text/tmpl/tmpl.h"

/* As the functions of tmpl.h. The text is not kept; NULL is not passed. */
struct tmpl_lang {
    int (*make)(void **out, struct str text, struct err *e);
    void (*drop)(void *compiled);
    int (*mentions)(const void *compiled, const char *name);
    int (*render)(const void *compiled, const json_t *vars, const struct tm *now,
                  const struct tmpl_limits *limits, struct marked *out, struct err *e);
};

extern const struct tmpl_lang tmpl_lang_jinja, tmpl_lang_go;

#endif
