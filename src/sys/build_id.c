#include "sys/build_id.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

struct search {
    uintptr_t here; /* an address of ours */
    unsigned char *out;
    size_t cap, n;
};

/* Looks for the note among n bytes at p. */
static void read_notes(struct search *s, const unsigned char *p, size_t n)
{
    while (n >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) h;
        size_t name, desc;

        memcpy(&h, p, sizeof(h));
        name = ((size_t)h.n_namesz + 3) / 4 * 4;
        desc = ((size_t)h.n_descsz + 3) / 4 * 4;
        if (name > n - sizeof(h) || desc > n - sizeof(h) - name)
            return;
        if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 &&
            memcmp(p + sizeof(h), "GNU", 4) == 0) {
            s->n = h.n_descsz < s->cap ? h.n_descsz : s->cap;
            memcpy(s->out, p + sizeof(h) + name, s->n);
            return;
        }
        p += sizeof(h) + name + desc;
        n -= sizeof(h) + name + desc;
    }
}

static int look_at(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct search *s = ctx;
    int ours = 0;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + h->p_vaddr;

        ours |= h->p_type == PT_LOAD && s->here >= at && s->here - at < h->p_memsz;
    }
    for (int i = 0; ours && i < info->dlpi_phnum && s->n == 0; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];

        if (h->p_type == PT_NOTE) /* NOLINTNEXTLINE(performance-no-int-to-ptr): an address */
            read_notes(s, (const unsigned char *)(info->dlpi_addr + h->p_vaddr), h->p_memsz);
    }
    return ours;
}

size_t build_id(unsigned char *out, size_t cap)
{
    struct search s = {.here = (uintptr_t)&look_at, .out = out, .cap = cap};

    (void)dl_iterate_phdr(look_at, &s);
    return s.n;
}
