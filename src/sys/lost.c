#include "sys/lost.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A table that never moves. A row counts while its `from` is set, which is done last and undone
 * first; `turn` tells its users apart for who reads it while it changes. */
enum { ROWS_MAX = 1024, NAME_BYTES = 1000 };

static struct row {
    atomic_int taken, lost;
    atomic_uint turn;
    atomic_uintptr_t from, to; /* from 0: nothing lies here; to: the end of the last page */
    char name[NAME_BYTES];
} rows[ROWS_MAX];

static atomic_uintptr_t page_bytes; /* set before there is a row */

/* Of a name that is too long its end tells more than its beginning. */
static void set_name(struct row *r, const char *name)
{
    size_t len = strlen(name), cut = len < NAME_BYTES ? 0 : len + 4 - NAME_BYTES;

    (void)snprintf(r->name, sizeof(r->name), "%s%s", cut ? "..." : "", name + cut);
}

int lost_add(const void *p, size_t n, const char *name)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    atomic_store(&page_bytes, page);
    for (int i = 0; i < ROWS_MAX; i++) {
        struct row *r = &rows[i];
        int free = 0;

        if (!atomic_compare_exchange_strong(&r->taken, &free, 1))
            continue;
        set_name(r, name);
        (void)atomic_fetch_add(&r->turn, 1);
        atomic_store(&r->lost, 0);
        atomic_store(&r->to, ((uintptr_t)p + n + page - 1) / page * page);
        atomic_store(&r->from, (uintptr_t)p);
        return i + 1;
    }
    return 0;
}

void lost_remove(int row)
{
    if (!row)
        return;
    atomic_store(&rows[row - 1].from, 0);
    atomic_store(&rows[row - 1].taken, 0);
}

int lost_is(int row)
{
    return row && atomic_load_explicit(&rows[row - 1].lost, memory_order_acquire);
}

const char *lost_name(int row)
{
    return row ? rows[row - 1].name : "a file";
}

int lost_find(const void *at)
{
    for (int i = 0; i < ROWS_MAX; i++) {
        struct row *r = &rows[i];
        unsigned turn = atomic_load(&r->turn);
        uintptr_t from = atomic_load(&r->from), to = atomic_load(&r->to);

        if (from && (uintptr_t)at >= from && (uintptr_t)at < to &&
            atomic_load(&r->from) == from && atomic_load(&r->turn) == turn)
            return i + 1;
    }
    return 0;
}

/* By the bare system call: sanitizers put functions of their own in the place of mmap, which
 * are not made for handlers. */
int lost_mend(int row, const void *at)
{
    struct row *r = &rows[row - 1];
    uintptr_t page = atomic_load(&page_bytes), from = (uintptr_t)at / page * page,
              to = atomic_load(&r->to);
    int before = errno;
    long got;

    atomic_store(&r->lost, 1);
    got = syscall(SYS_mmap, from, to - from, PROT_READ,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0L);
    errno = before;
    return (uintptr_t)got == from;
}
