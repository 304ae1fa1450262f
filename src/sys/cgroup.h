/* cgroup.h - how much CPU time the control group of this process may use.
 *
 * A quota belongs to a group and holds for all groups below it, so the tightest on the way to
 * the root counts. Both versions are read: the file cpu.max of version 2, and cpu.cfs_quota_us
 * with cpu.cfs_period_us below the cpu controller of version 1. In a container the way
 * is often that of the host and is not there; then the root itself is the container's group.
 *
 * Threads  any
 */
#ifndef HEARTH_SYS_CGROUP_H
#define HEARTH_SYS_CGROUP_H

/* The quota in whole CPUs, rounded up; 0: there is none. root: where the hierarchies are
 * mounted; self: the file that names the groups of this process. NULL: the system's own. */
int cgroup_cpus(const char *root, const char *self);

#endif
