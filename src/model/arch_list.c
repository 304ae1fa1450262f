#include "model/arch/arch.h"

static const struct arch *const list[] = {
#define X(name) &arch_##name,
    ARCH_LIST(X)
#undef X
};

const struct arch *arch_at(int i)
{
    return i >= 0 && (size_t)i < sizeof(list) / sizeof(*list) ? list[i] : NULL;
}

const struct arch *arch_find(struct str name)
{
    for (int i = 0; arch_at(i); i++) {
        if (str_is(name, arch_at(i)->name))
            return arch_at(i);
    }
    return NULL;
}
