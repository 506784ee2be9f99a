#ifndef NIGHTSHIFT_KERNELS_CUDA_RANKS_H
#define NIGHTSHIFT_KERNELS_CUDA_RANKS_H
/*
 * Sums and maxima over ranks of integers that lie on GPUs: by NCCL, queued like a kernel, where each rank has a GPU of its own
 * and libnccl.so.2 is there and gives the right answer to a small sum; through the host and the link otherwise. Both give the same
 * integers. NIGHTSHIFT_NCCL names another library, or says 0: through the host.
 */
#include <stdbool.h>

#include "kernels/cuda_state.h"

typedef enum ns_cuda_reduction { NS_CUDA_SUM, NS_CUDA_MAX } ns_cuda_reduction;

/* Decides between the two, once for a device; device->use then says which, and why. Collective over the device's link. NS_ENOMEM,
   NS_EDEVICE on all ranks where a GPU failed on one. */
ns_status ns_cuda_join_ranks(ns_device *device);

/* Whether sums are queued, so that the host need not wait for them. */
bool ns_cuda_ranks_queue(const ns_cuda *cuda);

/*
 * Values over all ranks, in place, on the stream in use.
 *   mine  inout  what went wrong on this rank since the last agreement: all ranks leave with it; then what went wrong since
 *   at    inout  [n] on the device
 *   host  work   [n] pinned, only where sums go through the host
 * Collective. NS_EDEVICE and others' codes, on all ranks alike.
 */
ns_status ns_cuda_reduce(ns_device *device, ns_status *mine, ns_cuda_reduction how, int64_t *at, int64_t n, int64_t *host);

/* Gives back what ns_cuda_join_ranks took; called by the device's close. Local. */
void ns_cuda_leave_ranks(ns_cuda *cuda);
#endif
