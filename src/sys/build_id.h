/* build_id.h - which build of the program this is.
 *
 * Threads  any
 */
#ifndef HEARTH_SYS_BUILD_ID_H
#define HEARTH_SYS_BUILD_ID_H

#include <stddef.h>

/* The linker's build id of the program or library that this code is part of, at most cap bytes
 * of it. Returns how many; 0: it has none. */
size_t build_id(unsigned char *out, size_t cap);

#endif
