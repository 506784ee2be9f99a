#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_CUDA_HOST_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_CUDA_HOST_H
/*
 * What a .cu file includes instead of CUDA's headers when the host's C++ compiler builds it: the language's words, the
 * intrinsics that our kernels use, with exactly CUDA's overloads, and the launch. See machine.h and runtime.h.
 */
#include <stdint.h>
#include <string.h>

#include "tests/cuda_host/machine.h"
#include "tests/cuda_host/runtime.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

/* The fences and barriers: the line says which one it is. */
#define __syncthreads()     ns_host_barrier(__LINE__)
#define __syncwarp(...)     ((void)ns_host_warp(NS_HOST_SYNC, ns_host_mask(__VA_ARGS__), 0, 0, __LINE__))
#define __ballot_sync(m, p) ((unsigned)ns_host_warp(NS_HOST_BALLOT, (m), (p) != 0, 0, __LINE__))
#define __any_sync(m, p)    (__ballot_sync(m, p) != 0)
#define __shfl_sync(m, v, l)      ns_host_shuffle(NS_HOST_SHUFFLE, (m), (v), (int)(l), __LINE__)
#define __shfl_up_sync(m, v, d)   ns_host_shuffle(NS_HOST_UP, (m), (v), (int)(d), __LINE__)
#define __shfl_down_sync(m, v, d) ns_host_shuffle(NS_HOST_DOWN, (m), (v), (int)(d), __LINE__)
#define __shfl_xor_sync(m, v, x)  ns_host_shuffle(NS_HOST_XOR, (m), (v), (int)(x), __LINE__)

static inline unsigned ns_host_mask(unsigned mask = 0xffffffffu)
{
    return mask;
}

template <typename T> static inline T ns_host_shuffle(ns_host_op op, unsigned mask, T value, int which, int line)
{
    static_assert(sizeof(T) <= 8, "CUDA shuffles at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = ns_host_warp(op, mask, bits, which, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}

static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

static inline int __clz(int x)
{
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}

/* Memory is reached through memcpy in a source that is not instrumented: the detectors see an atomic. */
#define NS_HOST_ATOMIC(name, T)                                                                                              \
    extern "C" T ns_host_##name(T *address, T value);
#define NS_HOST_OVERLOAD(cuda, name, T)                                                                                      \
    NS_HOST_ATOMIC(name, T)                                                                                                  \
    static inline T cuda(T *address, T value)                                                                                \
    {                                                                                                                        \
        return ns_host_##name(address, value);                                                                               \
    }
NS_HOST_OVERLOAD(atomicAdd, add_int, int)
NS_HOST_OVERLOAD(atomicAdd, add_unsigned, unsigned)
NS_HOST_OVERLOAD(atomicAdd, add_unsigned_long_long, unsigned long long)
NS_HOST_OVERLOAD(atomicMax, max_int, int)
NS_HOST_OVERLOAD(atomicMax, max_long_long, long long)
NS_HOST_OVERLOAD(atomicXor, xor_unsigned, unsigned)

/* Shared memory: the same for all threads of a block, so found by where it is declared. */
#define NS_SHARED(type, name, ...)                                                                                           \
    static const char name##_declared = 0;                                                                                   \
    typedef type name##_type __VA_ARGS__;                                                                                    \
    name##_type &name = *(name##_type *)ns_host_shared(&name##_declared, sizeof(name##_type))
#define NS_DYN_SHARED(type, name) type *name = (type *)ns_host_dynamic()

template <typename T> static inline void ns_host_check(const T &) {}
template <typename T> static inline void ns_host_check(T *const &pointer)
{
    ns_host_check_pointer((const void *)pointer);
}

template <typename F> static inline void ns_host_call(void *body)
{
    (*(F *)body)();
}

template <typename F>
static inline void ns_host_start(const char *kernel, unsigned n_blocks, unsigned n_threads, size_t shared_bytes, cudaStream_t stream, F body)
{
    static_assert(__is_trivially_copyable(F), "arguments of kernels are copied as bytes");
    ns_host_grid grid = {kernel, {n_blocks, 1, 1}, n_threads, shared_bytes};
    ns_host_launch_on(stream, &grid, ns_host_call<F>, &body, sizeof body);
}

template <typename... A, typename... B>
static inline void ns_host_launch_kernel(const char *name, void (*kernel)(A...), unsigned n_blocks, unsigned n_threads,
                                         size_t shared_bytes, cudaStream_t stream, B... given)
{
    ns_host_check_stream(stream);
    int checked[] = {0, (ns_host_check(given), 0)...};
    (void)checked;
    ns_host_start(name, n_blocks, n_threads, shared_bytes, stream, [=]() { kernel(given...); });
}

#define NS_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, stream, ...)                                                    \
    do {                                                                                                                     \
        ns_launch_begins(stream);                                                                                            \
        ns_host_launch_kernel(#kernel, kernel, n_blocks, n_threads, shared_bytes, stream, __VA_ARGS__);                      \
    } while (0)
#endif
