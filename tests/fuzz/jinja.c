/* Whatever bytes a template has: it is refused, or renders within its limits to a text whose
 * marks fit. A line "%%%" ends the template; what follows is the user's message. */
#include "base/mem.h"
#include "text/tmpl/tmpl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct marked *m)
{
    size_t from = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (m->mark[i].end <= from || (i && m->mark[i].user == m->mark[i - 1].user))
            abort();
        from = m->mark[i].end;
    }
    if (from != m->text.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tm now = {.tm_year = 126, .tm_mon = 2, .tm_mday = 14};
    const struct tmpl_limits limits = {.steps = 20000, .bytes = 4 << 20, .depth = 50};
    const uint8_t *end = size ? memmem(data, size, "\n%%%\n", 5) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    json_t *content = end ? json_stringn((const char *)end + 5, size - n - 5) : NULL, *vars;
    struct marked out;
    struct err e = {0};
    struct tmpl *t;

    vars = json_pack("{s:[{s:s, s:o, s:{s:i, s:[f, n, b]}}], s:b, s:s}", "messages", "role",
                     "user", "content",
                     content ? content : json_string("a <b> \xC3\xBC 'q' \"r\"\n"), "args", "k",
                     7, "l", 2.5, 1, "add_generation_prompt", 1, "bos_token", "<s>");
    if (!vars)
        return 0;
    marked_init(&out, 8 << 20);
    if (tmpl_new(&t, TMPL_JINJA, (struct str){size ? (const char *)data : "", n}, &e) == 0) {
        (void)tmpl_mentions(t, "tools");
        if (tmpl_render(t, vars, &now, &limits, &out, &e) == 0)
            check(&out);
        tmpl_free(t);
    }
    marked_done(&out);
    json_decref(vars);
    return 0;
}
