/* slice.h - for threads that work little and are waited for: they run soon after they wake.
 *
 * Where every CPU computes, a thread that wakes waits until the system takes the CPU from one
 * that does, which is some milliseconds. Linux 6.12 and later let a thread ask for short slices
 * of time: one that wakes then comes before those with longer ones. It gets no more time than
 * before, and needs no privilege. Source: sched_setattr(2), sched_runtime of SCHED_OTHER.
 */
#ifndef HEARTH_SYS_SLICE_H
#define HEARTH_SYS_SLICE_H

/* Asks for the shortest slices for the calling thread, and those that it makes from now on.
 * Older systems take no notice. */
void slice_short(void);
/* The system's own again: for threads that compute and were made by one of the others. */
void slice_normal(void);

#endif
