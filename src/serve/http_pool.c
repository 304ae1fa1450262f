/* The threads that run handlers, and the exchanges that wait for one. */
#include "serve/http_priv.h"

#include "base/mem.h"
#include "serve/ask.h"
#include "sys/thread.h"

enum { POOL_MAX = 256, BODY_LONG = 1 << 20 };

struct http_pool {
    struct serve *s;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct exchange *first, *last;
    int waiting, room, stop, n_thread;
    pthread_t thread[POOL_MAX];
};

/* A long body's JSON is many small blocks, which the heap keeps for this thread alone: they go
 * back, or each of the threads might hold a hundred times what a request is. */
static void run_one(struct http_pool *p, struct exchange *x)
{
    size_t n = x->call.body.n;

    ask_run(p->s, &x->call);
    if (n > BODY_LONG)
        mem_trim();
}

static void *run(void *ctx)
{
    struct http_pool *p = ctx;
    int stop;

    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        struct exchange *x = p->first;

        if (!x && p->stop)
            break;
        if (!x) {
            (void)pthread_cond_wait(&p->more, &p->lock);
            continue;
        }
        p->first = x->next_job;
        if (!p->first)
            p->last = NULL;
        p->waiting--;
        stop = p->stop;
        (void)pthread_mutex_unlock(&p->lock);
        /* Both give the call back: x may be gone. */
        if (stop)
            call_reply(&x->call, 503, NULL, NULL, 0);
        else
            run_one(p, x);
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

int http_pool_new(struct http_pool **out, struct serve *s, int n, int room, struct err *e)
{
    struct http_pool *p = mem_calloc(1, sizeof(*p));

    if (!p)
        return err_set(e, E_NOMEM, "no memory for threads");
    p->s = s;
    p->room = room;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->more, NULL);
    while (p->n_thread < n && p->n_thread < POOL_MAX &&
           thread_start(&p->thread[p->n_thread], run, p) == 0)
        p->n_thread++;
    if (p->n_thread == 0) {
        http_pool_free(p);
        return err_set(e, E_IO, "no thread can be made");
    }
    *out = p;
    return 0;
}

int http_pool_put(struct http_pool *p, struct exchange *x)
{
    int taken;

    (void)pthread_mutex_lock(&p->lock);
    taken = p->waiting < p->room;
    if (taken) {
        x->next_job = NULL;
        if (p->last)
            p->last->next_job = x;
        else
            p->first = x;
        p->last = x;
        p->waiting++;
        (void)pthread_cond_signal(&p->more);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return taken;
}

void http_pool_free(struct http_pool *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->stop = 1;
    (void)pthread_cond_broadcast(&p->more);
    (void)pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_thread; i++)
        (void)pthread_join(p->thread[i], NULL);
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->more);
    mem_free(p);
}
