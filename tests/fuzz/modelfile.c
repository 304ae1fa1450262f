/* Modelfiles from strangers, and names. What was read is written, and reads as the same again;
 * a name that was taken is its own text's name and leads nowhere. */
#include "store/modelfile.h"
#include "store/name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct str text)
{
    char out[NAME_MAX_TEXT];
    struct name n, again;

    if (name_parse(&n, text, NULL) < 0)
        return;
    name_text(&n, out);
    if (strstr(out, "..") == out || strstr(out, "/.") || *out == '/' ||
        name_parse(&again, str_of(out), NULL) < 0 || !name_same(&n, &again))
        abort();
}

static void check_again(const struct modelfile *m)
{
    struct modelfile again;
    struct buf out;
    struct err e;

    buf_init(&out, MODELFILE_MAX);
    if (modelfile_write(m, &out) == 0) {
        if (modelfile_parse(&again, (struct str){out.p, out.n}, &e) < 0 ||
            !json_equal(m->params, again.params) || !json_equal(m->messages, again.messages) ||
            !str_eq(m->system, again.system) || !str_eq(m->template, again.template) ||
            m->n_from != again.n_from || m->n_license != again.n_license)
            abort();
        modelfile_done(&again);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct modelfile m;
    struct err e;

    check_name(text);
    if (modelfile_parse(&m, text, &e) == 0) {
        for (size_t i = 0; i < m.n_from; i++)
            check_name(m.from[i]);
        check_again(&m);
    }
    modelfile_done(&m);
    return 0;
}
