#ifndef NIGHTSHIFT_KERNELS_CUDA_STATE_H
#define NIGHTSHIFT_KERNELS_CUDA_STATE_H
/*
 * The cuda backend's device: one GPU of one rank, its streams, and the few calls of CUDA's runtime that the C sources of
 * the backend (kernels/cuda_*.c) make. Nothing here is collective. Failures: NS_ENOMEM, or NS_EDEVICE naming what was
 * being done; after NS_EDEVICE the device is of no more use, but destroy and close are safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/device.h"

typedef struct ns_cuda ns_cuda;

/* Multiprocessors, and the largest dynamic shared memory of a block. */
int ns_cuda_multiprocessors(const ns_cuda *cuda);
size_t ns_cuda_shared_bytes(const ns_cuda *cuda);

/* Blocks of memory with one lifetime. Once one cannot be had, the rest are only counted. */
typedef struct ns_cuda_memory {
    ns_cuda *cuda;
    int64_t n_bytes; /* asked for so far */
    bool failed;
    int n_blocks, room;
    void **block;
    bool *is_pinned;
} ns_cuda_memory;

/* A block of n elements of `size` bytes on the device, or on the host where it cannot be paged; n = 0: of one. Not
   zeroed. NULL after a failure. */
void *ns_cuda_take(ns_cuda_memory *memory, int64_t n, size_t size);
void *ns_cuda_take_pinned(ns_cuda_memory *memory, int64_t n, size_t size);
void ns_cuda_give_all(ns_cuda_memory *memory);

/* Which stream calls are queued on from now on: 0, the one of training, or those of the slabs being scored. */
enum { NS_CUDA_STREAMS = 3 };
void ns_cuda_use_stream(ns_cuda *cuda, int stream);

/* Queued on the stream in use; the host's side must stay until ns_cuda_wait. */
ns_status ns_cuda_copy_in(ns_cuda *cuda, void *to, const void *from, size_t n_bytes);
ns_status ns_cuda_copy_out(ns_cuda *cuda, void *to, const void *from, size_t n_bytes);
ns_status ns_cuda_zero(ns_cuda *cuda, void *at, size_t n_bytes);
ns_status ns_cuda_fill(ns_cuda *cuda, void *at, int byte, size_t n_bytes);

/* Until all that was queued on the stream in use is done. */
ns_status ns_cuda_wait(ns_cuda *cuda);

/* A mark in the stream in use; waiting for one that was never set returns at once. */
enum { NS_CUDA_MARKS = 4 };
ns_status ns_cuda_mark(ns_cuda *cuda, int mark);
ns_status ns_cuda_wait_mark(ns_cuda *cuda, int mark);

#ifdef __cplusplus
}

/* For .cu files. */
#include "kernels/cuda.h"

cudaStream_t ns_cuda_stream(const ns_cuda *cuda);

/* What every launch ends in: with NIGHTSHIFT_SYNC=1 it is waited for. */
ns_status ns_cuda_launched(ns_cuda *cuda, const char *kernel);

/* cudaSuccess, or NS_ENOMEM or NS_EDEVICE in words. */
ns_status ns_cuda_check(cudaError_t result, const char *doing);

/* Blocks of NS_CUDA_THREADS for n elements, one each, but no more than 2^20: kernels stride. At least one. */
enum { NS_CUDA_THREADS = 256, NS_CUDA_WARPS = NS_CUDA_THREADS / 32 };
static inline unsigned ns_cuda_blocks_for(int64_t n)
{
    int64_t wanted = (n + NS_CUDA_THREADS - 1) / NS_CUDA_THREADS;
    return (unsigned)(wanted < 1 ? 1 : wanted > (1 << 20) ? 1 << 20 : wanted);
}
#endif
#endif
