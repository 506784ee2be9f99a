/*
 * Loaded before everything else (LD_PRELOAD) into the ranks of a step: the rank that NIGHTSHIFT_TEST_LATE names learns a second late
 * that the first fence of MPI_Init is over, as a rank does whose processor is busy. Where MPI_Init's last fence holds, the others
 * wait for it; where it does not, their first message finds it unprepared (cluster/begin.h).
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void done(int status, void *data);
typedef int fence(const void *procs, size_t n_procs, const void *info, size_t n_info, done *call, void *data);

static struct {
    bool seen;
    int status;
    done *call;
    void *data;
} first;

static void *wait_and_tell(void *nothing)
{
    const struct timespec second = {.tv_sec = 1};
    nanosleep(&second, NULL);
    first.call(first.status, first.data);
    return nothing;
}

/* On the thread of PMIx, which goes on meanwhile. */
static void tell_late(int status, void *nothing)
{
    pthread_t thread;
    (void)nothing;
    first.status = status;
    if (pthread_create(&thread, NULL, wait_and_tell, NULL) != 0)
        first.call(status, first.data);
    else
        pthread_detach(thread);
}

static fence *real_fence(void)
{
    union {
        void *object;
        fence *function;
    } found = {.object = dlsym(RTLD_NEXT, "PMIx_Fence_nb")};
    if (found.object == NULL)
        found.object =
            dlsym(dlopen("libpmix.so.2", RTLD_LAZY), "PMIx_Fence_nb"); /* MPI opened it for itself */
    return found.function;
}

int PMIx_Fence_nb(const void *procs, size_t n_procs, const void *info, size_t n_info, done *call, void *data);

int PMIx_Fence_nb(const void *procs, size_t n_procs, const void *info, size_t n_info, done *call, void *data)
{
    const char *rank = getenv("SLURM_PROCID"), *late = getenv("NIGHTSHIFT_TEST_LATE");
    bool is_late = !first.seen && rank != NULL && late != NULL && strcmp(rank, late) == 0;
    first.seen = true;
    if (!is_late) return real_fence()(procs, n_procs, info, n_info, call, data);
    first.call = call;
    first.data = data;
    return real_fence()(procs, n_procs, info, n_info, tell_late, NULL);
}
