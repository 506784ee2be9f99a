#include "kernels/cuda_times.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1024 };

/* A launch between its two events. */
typedef struct timed {
    cudaEvent_t begin, end;
    double *to;
} timed;

struct ns_cuda_times {
    bool profiles;
    int n; /* launches that are not added up yet */
    timed launch[ROOM];
    cudaEvent_t moment[NS_CUDA_MOMENTS];
};

/* Launches are the program's, from one thread: the one that profiles, else NULL. */
static ns_cuda_times *profiled;

bool ns_cuda_times_profile(const ns_cuda_times *times)
{
    return times->profiles;
}

ns_status ns_cuda_times_open(ns_cuda_times **out)
{
    const char *said = getenv("NIGHTSHIFT_PROFILE");
    ns_cuda_times *t = *out = (ns_cuda_times *)calloc(1, sizeof *t);
    if (t == NULL) return ns_fail(NS_ENOMEM, "not enough memory to time a GPU");
    for (int i = 0; i < NS_CUDA_MOMENTS; i++) NS_TRY(ns_cuda_check(cudaEventCreateWithFlags(&t->moment[i], cudaEventDefault), "making an event"));
    if (said == NULL || strcmp(said, "1") != 0) return NS_OK;
    for (int i = 0; i < ROOM; i++) {
        NS_TRY(ns_cuda_check(cudaEventCreateWithFlags(&t->launch[i].begin, cudaEventDefault), "making an event"));
        NS_TRY(ns_cuda_check(cudaEventCreateWithFlags(&t->launch[i].end, cudaEventDefault), "making an event"));
    }
    t->profiles = true;
    profiled = t;
    return NS_OK;
}

void ns_cuda_times_close(ns_cuda_times **times)
{
    ns_cuda_times *t = *times;
    if (t == NULL) return;
    if (profiled == t) profiled = NULL;
    for (int i = 0; i < NS_CUDA_MOMENTS; i++)
        if (t->moment[i] != NULL) (void)cudaEventDestroy(t->moment[i]);
    for (int i = 0; i < ROOM; i++) {
        if (t->launch[i].begin != NULL) (void)cudaEventDestroy(t->launch[i].begin);
        if (t->launch[i].end != NULL) (void)cudaEventDestroy(t->launch[i].end);
    }
    free(t);
    *times = NULL;
}

static ns_status elapsed(cudaEvent_t from, cudaEvent_t to, double *seconds)
{
    float milliseconds = 0;
    NS_TRY(ns_cuda_check(cudaEventElapsedTime(&milliseconds, from, to), "reading a time"));
    *seconds = (double)milliseconds * 1e-3;
    return NS_OK;
}

extern "C" void ns_launch_begins(cudaStream_t stream)
{
    if (profiled != NULL) (void)cudaEventRecord(profiled->launch[profiled->n].begin, stream); /* its end would fail as well */
}

ns_status ns_cuda_times_launched(ns_cuda_times *t, cudaStream_t stream, double *seconds)
{
    if (!t->profiles) return NS_OK;
    timed *launch = &t->launch[t->n];
    NS_TRY(ns_cuda_check(cudaEventRecord(launch->end, stream), "timing a launch"));
    launch->to = seconds;
    return ++t->n == ROOM ? ns_cuda_times_settle(t) : NS_OK;
}

ns_status ns_cuda_times_settle(ns_cuda_times *t)
{
    int n = t->n;
    t->n = 0;
    for (int i = 0; i < n; i++) {
        double took;
        NS_TRY(ns_cuda_check(cudaEventSynchronize(t->launch[i].end), "timing a launch"));
        NS_TRY(elapsed(t->launch[i].begin, t->launch[i].end, &took));
        *t->launch[i].to += took;
    }
    return NS_OK;
}

ns_status ns_cuda_note_moment(ns_cuda *cuda, int moment)
{
    return ns_cuda_check(cudaEventRecord(ns_cuda_times_of(cuda)->moment[moment], ns_cuda_stream(cuda)), "noting a time");
}

ns_status ns_cuda_seconds_between(ns_cuda *cuda, int from, int to, double *seconds)
{
    return elapsed(ns_cuda_times_of(cuda)->moment[from], ns_cuda_times_of(cuda)->moment[to], seconds);
}
