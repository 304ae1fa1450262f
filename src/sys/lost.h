/* lost.h - files that go away while they are mapped.
 *
 * A file that is cut while it is mapped, or whose disk fails, cannot be read where it was: the
 * thread that touches it gets SIGBUS in the middle of what it computes, where nothing can be
 * returned. So a handler has zeros put where the bytes were, the mapping is noted as lost, and
 * the thread goes on. Whoever reads asks afterwards whether it was (mmap_intact), before
 * anything that was made of the bytes is shown or kept.
 *
 * Order    the note is made before there are zeros: who has read one and then asks, is told
 * Zeros    reach to the end of the mapping, so that what follows each other in a file, as
 * lengths and what they are of, is zeros from some place on. Sizes that were checked before are
 *          read again by nobody who could not live with a smaller one
 * Not seen what is written over a file in place, and what is cut off within a page that stays
 *          (mmap_changed asks the file)
 *
 * Threads  all functions: any, several at once, also inside of a signal handler. No locks,
 *          nothing allocated. A mapping that is being read is not removed meanwhile
 */
#ifndef HEARTH_SYS_LOST_H
#define HEARTH_SYS_LOST_H

#include <stddef.h>

/* n bytes of the file `name` lie at p from now on. Returns its row, above 0; 0: there are none
 * left (1024 mappings at once), and the mapping can be neither mended nor named. */
int lost_add(const void *p, size_t n, const char *name);
/* Before it is unmapped. Row 0 is fine. */
void lost_remove(int row);

/* 1: some of its bytes are zeros instead of the file's. Row 0: never. */
int lost_is(int row);
/* The file's name; a long one without its beginning. Valid until the row is removed. Of row 0:
 * "a file". */
const char *lost_name(int row);

/* The row of the mapping that `at` lies in, up to the end of its last page; 0: none. */
int lost_find(const void *at);
/* For a handler of SIGBUS: puts zeros in place of row's bytes from the page of `at` on, and
 * notes that it is lost. Returns 1: the thread may go on; 0: the system refused. errno stays.
 */
int lost_mend(int row, const void *at);

#endif
