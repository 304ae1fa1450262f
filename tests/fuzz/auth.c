/* Lines of a file of keys. */
#include "serve/auth_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_keys set = {0};
    struct auth_stored k;
    struct err e = {0};
    int rc;

    arena_init(&set.mem, 1 << 20);
    rc = auth_line(&set, (struct str){(const char *)data, size}, &k, &e);
    if (rc < 0 && !e.msg[0])
        abort();
    if (rc > 0 && (!k.pub.name || !*k.pub.name || k.pub.scopes == 0))
        abort();
    arena_done(&set.mem);
    return 0;
}
