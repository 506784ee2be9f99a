#include "tests/gpu/rates.h"

#include "kernels/cuda_state.h"

namespace {

enum { CELLS = 4096 };
enum : int64_t { PRIME = 2654435761 };

__global__ void atomics(int32_t times, int32_t *out)
{
    NS_SHARED(int32_t, sum, [3 * CELLS]);
    for (int32_t i = (int32_t)threadIdx.x; i < 3 * CELLS; i += NS_CUDA_THREADS) sum[i] = 0;
    __syncthreads();
    uint32_t cell = blockIdx.x * NS_CUDA_THREADS + threadIdx.x;
    for (int32_t i = 0; i < times; i++) {
        cell = cell * 1664525u + 1013904223u;
        int32_t at = (int32_t)(cell >> 20);
        atomicAdd(&sum[at], (int32_t)threadIdx.x);
        atomicAdd(&sum[CELLS + at], i);
        atomicAdd(&sum[2 * CELLS + at], 1);
    }
    __syncthreads();
    int32_t all = 0;
    for (int32_t i = (int32_t)threadIdx.x; i < 3 * CELLS; i += NS_CUDA_THREADS) all += sum[i];
    atomicAdd(out, all);
}

__global__ void copy(const int64_t *from, int64_t *to, int64_t n)
{
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * NS_CUDA_THREADS) to[i] = from[i];
}

__global__ void gather(const int32_t *from, int64_t n_sectors, int32_t *out)
{
    int32_t sum = 0;
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < n_sectors; i += (int64_t)gridDim.x * NS_CUDA_THREADS)
        sum += from[i * PRIME % n_sectors * 8];
    if (sum != 0) atomicAdd(out, sum);
}

__global__ void nothing(int32_t *out)
{
    if (threadIdx.x == 1000) *out = 0;
}

} // namespace

extern "C" ns_status rates_atomics(ns_cuda *cuda, int32_t times, int32_t *out, int64_t *n)
{
    unsigned n_blocks = (unsigned)ns_cuda_multiprocessors(cuda) * 4;
    *n = (int64_t)n_blocks * NS_CUDA_THREADS * times * 3;
    NS_LAUNCH(atomics, n_blocks, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), times, out);
    return ns_cuda_launched(cuda, "atomics");
}

extern "C" ns_status rates_copy(ns_cuda *cuda, const int64_t *from, int64_t *to, int64_t n)
{
    NS_LAUNCH(copy, ns_cuda_blocks_for(n), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), from, to, n);
    return ns_cuda_launched(cuda, "copy");
}

extern "C" ns_status rates_gather(ns_cuda *cuda, const int32_t *from, int64_t n_sectors, int32_t *out)
{
    NS_LAUNCH(gather, ns_cuda_blocks_for(n_sectors), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), from, n_sectors, out);
    return ns_cuda_launched(cuda, "gather");
}

extern "C" ns_status rates_nothing(ns_cuda *cuda, int32_t *out)
{
    NS_LAUNCH(nothing, 1, 32, 0, ns_cuda_stream(cuda), out);
    return ns_cuda_launched(cuda, "nothing");
}
