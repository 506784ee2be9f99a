#ifndef NIGHTSHIFT_KERNELS_CUDA_TIMES_H
#define NIGHTSHIFT_KERNELS_CUDA_TIMES_H
/*
 * Seconds on a GPU, between events of its streams. With NIGHTSHIFT_PROFILE=1 every launch is taken between two of them (a
 * few microseconds are lost around each, and steps are not queued as graphs), which fills ns_device_launches.seconds.
 */
#include "kernels/cuda_state.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Times to be taken by the caller: a moment of the stream in use, and how long after moment `from` moment `to` was; both have
   passed. */
enum { NS_CUDA_MOMENTS = 8 };
ns_status ns_cuda_note_moment(ns_cuda *cuda, int moment);
ns_status ns_cuda_seconds_between(ns_cuda *cuda, int from, int to, double *seconds);

/* Of device_cuda.cu: */
typedef struct ns_cuda_times ns_cuda_times;
ns_cuda_times *ns_cuda_times_of(ns_cuda *cuda);
ns_status ns_cuda_times_open(ns_cuda_times **out);
void ns_cuda_times_close(ns_cuda_times **times);
bool ns_cuda_times_profile(const ns_cuda_times *times);

#ifdef __cplusplus
}

/* The launch that just began and was queued adds its time to *seconds, at the latest at the next ns_cuda_times_settle, which waits
   for it. */
ns_status ns_cuda_times_launched(ns_cuda_times *times, cudaStream_t stream, double *seconds);
ns_status ns_cuda_times_settle(ns_cuda_times *times);
#endif
#endif
