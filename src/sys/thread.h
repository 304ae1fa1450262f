/* thread.h - starting threads. */
#ifndef HEARTH_SYS_THREAD_H
#define HEARTH_SYS_THREAD_H

#include <pthread.h>

/* As pthread_create, of a thread that leaves the program's signals to others, also those that
 * it makes: all but what its own instructions raise. A fault whose signal is blocked ends the
 * program, whatever handler there is. Returns 0 or an errno value. */
int thread_start(pthread_t *out, void *(*fn)(void *), void *arg);

#endif
