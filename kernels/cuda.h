#ifndef NIGHTSHIFT_KERNELS_CUDA_H
#define NIGHTSHIFT_KERNELS_CUDA_H
/*
 * What a .cu file includes first. It is compiled by nvcc, or by the host's C++ compiler against tests/cuda_host/ (with
 * address sanitizer, or with its race detector); nothing but the words below differs between the two.
 *
 *   NS_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, stream, arguments …)   templates in parentheses: (k<3>)
 *   NS_SHARED(type, name, [n])      shared memory of a block
 *   NS_DYN_SHARED(type, name)       its dynamic part
 *
 * Rules: no cooperative groups, no __activemask, no inline PTX, no waiting between blocks; whole warps leave; no
 * barrier in a branch that threads of a block take differently; shuffles order no memory, __syncwarp does.
 */
#ifdef __CUDACC__
#include <cuda_runtime.h>
#define NS_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, stream, ...)                                                    \
    do {                                                                                                                     \
        ns_launch_begins(stream);                                                                                            \
        kernel<<<(n_blocks), (n_threads), (shared_bytes), (stream)>>>(__VA_ARGS__);                                          \
    } while (0)
#define NS_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#define NS_DYN_SHARED(type, name)                                                                                            \
    extern __shared__ unsigned long long ns_dynamic_shared[];                                                                \
    type *name = (type *)ns_dynamic_shared
#else
#include "tests/cuda_host/cuda_host.h"
#endif

#include <stdint.h>

/* Before every launch; see cuda_times.h. */
extern "C" void ns_launch_begins(cudaStream_t stream);

/* CUDA has no atomics of int64_t. */
static __device__ inline void ns_atomic_add(int64_t *to, int64_t value)
{
    atomicAdd((unsigned long long *)to, (unsigned long long)value);
}

static __device__ inline void ns_atomic_max(int64_t *to, int64_t value)
{
    atomicMax((long long *)to, (long long)value);
}
#endif
