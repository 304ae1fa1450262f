/* Manifests of a store that somebody else wrote. What is read is written, and reads as the
 * same again. */
#include "store/store_priv.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_model m, again;
    struct buf out, text;
    struct err e;

    store_model_init(&m);
    store_model_init(&again);
    buf_init(&out, STORE_MANIFEST_MAX);
    buf_init(&text, STORE_MANIFEST_MAX);
    if (store_manifest_read(&m, "fuzz", (struct str){(const char *)data, size}, &e) == 0) {
        if (store_manifest_write(&m, &out, &e) < 0 ||
            store_manifest_read(&again, "fuzz", (struct str){out.p, out.n}, &e) < 0 ||
            !json_equal(m.params, again.params) || !str_eq(m.system, again.system) ||
            m.n_license != again.n_license || m.can != again.can || m.size != again.size)
            abort();
        if (store_modelfile(&m, &text) == E_NOMEM)
            abort();
    }
    buf_done(&out);
    buf_done(&text);
    store_model_done(&m);
    store_model_done(&again);
    return 0;
}
