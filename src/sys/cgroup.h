/* cgroup.h - how much CPU time and memory the control group of this process may use.
 *
 * A limit belongs to a group and holds for all groups below it, so the tightest on the way to
 * the root counts. Both versions are read: the files cpu.max, memory.max and memory.high of
 * version 2, and those of the cpu and memory controllers of version 1. In a container the way
 * is often that of the host and is not there; then the root itself is the container's group.
 *
 * root: where the hierarchies are mounted; self: the file that names the groups of this
 * process. NULL: the system's own.
 *
 * Threads  any
 */
#ifndef HEARTH_SYS_CGROUP_H
#define HEARTH_SYS_CGROUP_H

#include <stdint.h>

/* The quota in whole CPUs, rounded up; 0: there is none. */
int cgroup_cpus(const char *root, const char *self);

/* Bytes that are left of the memory limit, with those of files that can be read again as if
 * they were free; UINT64_MAX: there is no limit. */
uint64_t cgroup_memory(const char *root, const char *self);

#endif
