#include "tests/cuda_host/runtime.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_host/poison.h"

enum { GUARD = 64 };

typedef struct region {
    char *from;
    size_t n_bytes;
    bool is_device;
    struct region *next;
} region;

struct ns_host_stream {
    int unused;
};
struct ns_host_event {
    int unused;
};

static region *regions; /* reachable at exit, for the leak checker */
static size_t device_bytes;
static long n_launches;
static bool is_lost;
static cudaError_t last_error;

static long from_environment(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

static cudaError_t result(cudaError_t error)
{
    if (error == cudaSuccess && is_lost) error = cudaErrorDevicesUnavailable;
    if (error != cudaSuccess) last_error = error;
    return error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = is_lost ? cudaErrorDevicesUnavailable : last_error;
    last_error = cudaSuccess;
    return error;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInvalidMemcpyDirection:
        return "invalid copy direction for memcpy";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorDevicesUnavailable:
        return "CUDA-capable device(s) is/are busy or unavailable";
    case cudaErrorInvalidResourceHandle:
        return "invalid resource handle";
    case cudaErrorInvalidValue:
        break;
    }
    return "invalid argument";
}

/* --- the device ----------------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *n)
{
    const char *driver = getenv("NIGHTSHIFT_CUDA_DRIVER");
    *n = 0;
    if (driver != NULL) return result(cudaErrorInsufficientDriver);
    *n = (int)from_environment("NIGHTSHIFT_CUDA_DEVICES", 1);
    return result(*n == 0 ? cudaErrorNoDevice : cudaSuccess);
}

cudaError_t cudaSetDevice(int device)
{
    return result(device >= 0 && device < from_environment("NIGHTSHIFT_CUDA_DEVICES", 1) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    (void)device;
    *value = attribute == cudaDevAttrMultiProcessorCount              ? 1 /* few blocks: each takes several pieces of work */
             : attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? NS_HOST_SHARED_BYTES
             : attribute == cudaDevAttrComputeCapabilityMajor         ? 9
                                                                      : 0;
    return result(cudaSuccess);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    const char *driver = getenv("NIGHTSHIFT_CUDA_DRIVER");
    *version = driver == NULL ? 13000 : strcmp(driver, "0") == 0 ? 0 : 11040;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_bytes)
{
    *n_bytes = (size_t)from_environment("NIGHTSHIFT_CUDA_BYTES", 1L << 40);
    *n_free = *n_bytes - device_bytes;
    return result(cudaSuccess);
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static region *find(const void *pointer)
{
    for (region *r = regions; r != NULL; r = r->next)
        if ((const char *)pointer >= r->from && (const char *)pointer <= r->from + r->n_bytes) return r;
    return NULL;
}

static cudaError_t take(void **out, size_t n_bytes, bool is_device)
{
    *out = NULL;
    if (is_device && device_bytes + n_bytes > (size_t)from_environment("NIGHTSHIFT_CUDA_BYTES", 1L << 40))
        return result(cudaErrorMemoryAllocation);
    if (n_bytes == 0 || is_lost) return result(cudaSuccess);
    region *r = calloc(1, sizeof *r);
    char *from = aligned_alloc(256, (n_bytes + GUARD + 255) / 256 * 256);
    if (r == NULL || from == NULL) {
        free(r);
        free(from);
        return result(cudaErrorMemoryAllocation);
    }
    *r = (region){from, n_bytes, is_device, regions};
    regions = r;
    memset(from, 0xa7, n_bytes);
    memset(from + n_bytes, 0x5b, GUARD);
    ns_poison(from + n_bytes, GUARD);
    if (is_device) {
        device_bytes += n_bytes;
        ns_poison(from, n_bytes);
        ns_host_race_range(from, n_bytes, 0);
    }
    *out = from;
    return cudaSuccess;
}

static cudaError_t give(void *pointer, bool is_device)
{
    if (pointer == NULL) return cudaSuccess;
    for (region **at = &regions; *at != NULL; at = &(*at)->next) {
        region *r = *at;
        if (r->from != pointer || r->is_device != is_device) continue;
        *at = r->next;
        ns_unpoison(r->from, r->n_bytes + GUARD);
        for (int i = 0; i < GUARD; i++)
            if (r->from[r->n_bytes + (size_t)i] != 0x5b) ns_host_die("memory beyond the end of a block of %zu bytes was written", r->n_bytes);
        if (is_device) {
            device_bytes -= r->n_bytes;
            ns_host_race_forget(r->from);
        }
        free(r->from);
        free(r);
        return result(cudaSuccess);
    }
    return result(cudaErrorInvalidValue);
}

cudaError_t cudaMalloc(void **out, size_t n_bytes)
{
    return take(out, n_bytes, true);
}

cudaError_t cudaFree(void *pointer)
{
    return give(pointer, true);
}

cudaError_t cudaMallocHost(void **out, size_t n_bytes)
{
    return take(out, n_bytes, false);
}

cudaError_t cudaFreeHost(void *pointer)
{
    return give(pointer, false);
}

static void set_all(bool is_open)
{
    for (region *r = regions; r != NULL; r = r->next) {
        if (!r->is_device) continue;
        if (is_open)
            ns_unpoison(r->from, r->n_bytes);
        else
            ns_poison(r->from, r->n_bytes);
    }
}

void ns_host_open_memory(void)
{
    set_all(true);
}

void ns_host_close_memory(void)
{
    set_all(false);
}

void ns_host_check_pointer(const void *pointer)
{
    const region *r = find(pointer);
    if (pointer != NULL && (r == NULL || !r->is_device)) ns_host_die("a kernel is given a pointer to the host's memory");
}

static bool is_within(const void *pointer, size_t n_bytes, bool is_device)
{
    const region *r = find(pointer);
    if (!is_device) return r == NULL || !r->is_device;
    return r != NULL && r->is_device && (const char *)pointer + n_bytes <= r->from + r->n_bytes;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    ns_host_check_stream(stream);
    if (n_bytes == 0 || is_lost) return result(cudaSuccess);
    if (!is_within(to, n_bytes, kind != cudaMemcpyDeviceToHost) || !is_within(from, n_bytes, kind != cudaMemcpyHostToDevice))
        return result(cudaErrorInvalidMemcpyDirection);
    ns_host_open_memory();
    memmove(to, from, n_bytes);
    ns_host_close_memory();
    return result(cudaSuccess);
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t n_bytes, cudaStream_t stream)
{
    ns_host_check_stream(stream);
    if (n_bytes == 0 || is_lost) return result(cudaSuccess);
    if (!is_within(to, n_bytes, true)) return result(cudaErrorInvalidValue);
    ns_host_open_memory();
    memset(to, byte, n_bytes);
    ns_host_close_memory();
    return result(cudaSuccess);
}

/* --- streams, events, launches -------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    *out = calloc(1, sizeof **out);
    return result(*out == NULL ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return result(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ns_host_check_stream(stream);
    return result(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    ns_host_check_stream(stream);
    return result(event == NULL ? cudaErrorInvalidResourceHandle : cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    *out = calloc(1, sizeof **out);
    return result(*out == NULL ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return result(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ns_host_check_stream(stream);
    return result(event == NULL ? cudaErrorInvalidResourceHandle : cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return result(event == NULL ? cudaErrorInvalidResourceHandle : cudaSuccess);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value)
{
    (void)kernel;
    (void)attribute;
    return result(value <= NS_HOST_SHARED_BYTES ? cudaSuccess : cudaErrorInvalidValue);
}

void ns_host_check_stream(cudaStream_t stream)
{
    if (stream == NULL) ns_host_die("the default stream is used");
}

int ns_host_may_launch(const ns_host_grid *grid)
{
    n_launches++;
    if (n_launches == from_environment("NIGHTSHIFT_CUDA_LOST", -1)) is_lost = true;
    bool is_legal = grid->grid.x >= 1 && grid->grid.x <= 0x7fffffffu && grid->n_threads >= 1 &&
                    grid->n_threads <= NS_HOST_MAX_THREADS && grid->shared_bytes <= NS_HOST_SHARED_BYTES;
    return result(is_legal ? cudaSuccess : cudaErrorInvalidConfiguration) == cudaSuccess;
}

long ns_host_n_launches(void)
{
    return n_launches;
}

/* --- atomics -------------------------------------------------------------------------------------------------------- */

/* One OS thread: plain reads and writes, through memcpy since the kernel may know the place by another type. */
#define NS_HOST_ATOMIC(name, T, result)                                                                                      \
    T ns_host_##name(T *address, T value);                                                                                   \
    T ns_host_##name(T *address, T value)                                                                                    \
    {                                                                                                                        \
        T old;                                                                                                               \
        if ((uintptr_t)address % sizeof old != 0) ns_host_die("an atomic on a misaligned address");                          \
        ns_host_atomic(address, (int)sizeof old);                                                                            \
        memcpy(&old, address, sizeof old);                                                                                   \
        T now = (result);                                                                                                    \
        memcpy(address, &now, sizeof now);                                                                                   \
        return old;                                                                                                          \
    }
NS_HOST_ATOMIC(add_int, int, (int)((unsigned)old + (unsigned)value))
NS_HOST_ATOMIC(add_unsigned, unsigned, old + value)
NS_HOST_ATOMIC(add_unsigned_long_long, unsigned long long, old + value)
NS_HOST_ATOMIC(max_int, int, old > value ? old : value)
NS_HOST_ATOMIC(max_long_long, long long, old > value ? old : value)
NS_HOST_ATOMIC(xor_unsigned, unsigned, old ^ value)
