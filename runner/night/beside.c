#include "runner/night/beside.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct ns_beside {
    ns_beside_work work;
    void *context;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool busy, ended;  /* under the mutex */
    ns_status status;  /* of the last piece; read when not busy */
    ns_error error;    /* the same, in words: the record may be cleared meanwhile by who tries something else instead */
};

static void do_work(ns_beside *b)
{
    b->status = b->work(b->context);
    if (b->status != NS_OK) b->error = *ns_last_error();
}

static void *serve(void *context)
{
    ns_beside *b = context;
    pthread_mutex_lock(&b->mutex);
    while (!b->ended) {
        if (!b->busy) {
            pthread_cond_wait(&b->changed, &b->mutex);
            continue;
        }
        pthread_mutex_unlock(&b->mutex);
        do_work(b);
        pthread_mutex_lock(&b->mutex);
        b->busy = false;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}

/* Signals stay the main thread's. */
static bool start_thread(ns_beside *b)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    bool started = pthread_create(&b->thread, NULL, serve, b) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

ns_status ns_beside_open(ns_beside **out, ns_beside_work work, void *context, bool alone)
{
    ns_beside *b = calloc(1, sizeof *b);
    *out = b;
    if (b == NULL) return ns_fail(NS_ENOMEM, "no memory for a thread");
    b->work = work;
    b->context = context;
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->threaded = !alone && start_thread(b);
    return NS_OK;
}

void ns_beside_start(ns_beside *b)
{
    if (!b->threaded) {
        do_work(b);
        return;
    }
    pthread_mutex_lock(&b->mutex);
    b->busy = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

ns_status ns_beside_wait(ns_beside *b)
{
    pthread_mutex_lock(&b->mutex);
    while (b->busy) pthread_cond_wait(&b->changed, &b->mutex);
    pthread_mutex_unlock(&b->mutex);
    ns_status status = b->status;
    b->status = NS_OK;
    if (status != NS_OK && ns_last_error()->code == NS_OK) {
        if (b->error.code == NS_OK) return ns_fail(status, "the work of a thread failed");
        *ns_last_error() = b->error;
    }
    return status;
}

void ns_beside_close(ns_beside **out)
{
    ns_beside *b = *out;
    if (b == NULL) return;
    if (b->threaded) {
        pthread_mutex_lock(&b->mutex);
        while (b->busy) pthread_cond_wait(&b->changed, &b->mutex);
        b->ended = true;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->mutex);
        pthread_join(b->thread, NULL);
    }
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->mutex);
    free(b);
    *out = NULL;
}
