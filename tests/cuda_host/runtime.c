#include "tests/cuda_host/runtime.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cuda_host/poison.h"

enum { GUARD = 64 };

typedef struct region {
    char *from;
    size_t n_bytes;
    bool is_device;
    struct region *next;
} region;

/* A call that a captured stream has kept: a launch (body), a copy (from), or a fill. */
typedef struct kept {
    struct kept *next;
    ns_host_grid grid;
    void (*body)(void *);
    void *to;
    const void *from;
    size_t n_bytes; /* of arguments, which follow; or of the copy or fill */
    int byte;
    cudaMemcpyKind kind;
    max_align_t arguments[];
} kept;

struct ns_host_graph {
    kept *first, **last;
    bool is_broken;
};
struct ns_host_graph_exec {
    kept *first;
};
struct ns_host_stream {
    cudaGraph_t captured; /* NULL: it is not */
};
struct ns_host_event {
    uint64_t n_sent; /* copies when it was recorded */
    cudaStream_t stream;
    bool has_time, is_set;
    double at_ms;
};

/* A copy to or from memory that cannot be paged: the GPU has been asked, and nobody has waited yet. */
typedef struct underway {
    struct underway *next;
    cudaStream_t stream;
    uint64_t number;
    void *to;
    const void *from; /* NULL: the bytes follow, as they were on the device when its turn came */
    size_t n_bytes;
    max_align_t bytes[];
} underway;
static underway *in_first, **in_last = &in_first, *out_first, **out_last = &out_first;
static uint64_t n_sent;
static _Thread_local bool has_device;
static int n_captured; /* streams */

static region *regions; /* reachable at exit, for the leak checker */
static size_t device_bytes;
static long n_launches;
static bool is_lost;
static _Thread_local cudaError_t last_error;

/* One call at a time, from whichever threads: until the caller's block ends. */
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int depth;

static int lock(void)
{
    if (depth++ == 0) pthread_mutex_lock(&one);
    return depth;
}

static void unlock(const int *held)
{
    (void)held;
    if (--depth == 0) pthread_mutex_unlock(&one);
}
#define ALONE __attribute__((cleanup(unlock))) const int held = lock(); (void)held

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
    case cudaErrorNotSupported:
        return "operation not supported";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
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
    has_device = true;
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

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    (void)device;
    snprintf(properties->name, sizeof properties->name, "kernels on the host");
    return result(cudaSuccess);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device)
{
    snprintf(text, (size_t)size, "0000:%02x:00.0", (unsigned)device);
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
    ALONE;
    *out = NULL;
    if (n_captured > 0) return result(cudaErrorStreamCaptureUnsupported);
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

static void arrive(void);
static void deliver(cudaStream_t stream, uint64_t last);

static cudaError_t give(void *pointer, bool is_device)
{
    ALONE;
    if (pointer == NULL) return cudaSuccess;
    arrive();
    deliver(NULL, UINT64_MAX);
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

/* Puts a call at the end of the graph that is being captured. */
static cudaError_t keep(cudaStream_t stream, const kept *call, const void *arguments)
{
    size_t more = arguments == NULL ? 0 : call->n_bytes;
    kept *own = malloc(sizeof *own + more);
    if (own == NULL) return result(cudaErrorMemoryAllocation);
    *own = *call;
    own->next = NULL;
    if (more > 0) memcpy(own->arguments, arguments, more);
    *stream->captured->last = own;
    stream->captured->last = &own->next;
    return result(cudaSuccess);
}

/* --- copies that are under way -------------------------------------------------------------------------------------- */

/* What goes to the device is read as late as may be, before the device's next work; what comes from it is seen as late as may be,
   when somebody waits: a buffer that is used again too early, or read too early, shows. */
static cudaError_t send(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    bool is_out = kind == cudaMemcpyDeviceToHost;
    underway *own = malloc(sizeof *own + (is_out ? n_bytes : 0));
    if (own == NULL) return result(cudaErrorMemoryAllocation);
    *own = (underway){.stream = stream, .number = ++n_sent, .to = to, .from = is_out ? NULL : from, .n_bytes = n_bytes};
    underway ***last = is_out ? &out_last : &in_last;
    **last = own;
    *last = &own->next;
    if (is_out) {
        ns_host_open_memory();
        memcpy(own->bytes, from, n_bytes);
        ns_host_close_memory();
    }
    return result(cudaSuccess);
}

/* What was sent to the device is there: before anything else is done on it. */
static void arrive(void)
{
    ns_host_open_memory();
    while (in_first != NULL) {
        underway *own = in_first;
        memcpy(own->to, own->from, own->n_bytes);
        in_first = own->next;
        free(own);
    }
    in_last = &in_first;
    ns_host_close_memory();
}

/* What the device had sent until then on this stream (NULL: on any) is in the host's memory. */
static void deliver(cudaStream_t stream, uint64_t last)
{
    for (underway **at = &out_first; *at != NULL;) {
        underway *own = *at;
        if ((stream != NULL && own->stream != stream) || own->number > last) {
            at = &own->next;
            continue;
        }
        memcpy(own->to, own->bytes, own->n_bytes);
        *at = own->next;
        free(own);
    }
    out_last = &out_first;
    while (*out_last != NULL) out_last = &(*out_last)->next;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    ALONE;
    ns_host_check_stream(stream);
    if (n_bytes == 0 || is_lost) return result(cudaSuccess);
    if (!is_within(to, n_bytes, kind != cudaMemcpyDeviceToHost) || !is_within(from, n_bytes, kind != cudaMemcpyHostToDevice))
        return result(cudaErrorInvalidMemcpyDirection);
    if (stream->captured != NULL) return keep(stream, &(kept){.to = to, .from = from, .n_bytes = n_bytes, .kind = kind}, NULL);
    const region *here = kind == cudaMemcpyHostToDevice ? find(from) : kind == cudaMemcpyDeviceToHost ? find(to) : NULL;
    if (kind != cudaMemcpyHostToDevice || here == NULL) arrive();
    if (here != NULL) return send(to, from, n_bytes, kind, stream);
    ns_host_open_memory();
    memmove(to, from, n_bytes);
    ns_host_close_memory();
    return result(cudaSuccess);
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t n_bytes, cudaStream_t stream)
{
    ALONE;
    ns_host_check_stream(stream);
    if (n_bytes == 0 || is_lost) return result(cudaSuccess);
    if (!is_within(to, n_bytes, true)) return result(cudaErrorInvalidValue);
    if (stream->captured != NULL) return keep(stream, &(kept){.to = to, .n_bytes = n_bytes, .byte = byte}, NULL);
    arrive();
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
    ALONE;
    ns_host_check_stream(stream);
    if (stream->captured != NULL) stream->captured->is_broken = true;
    if (stream->captured != NULL) return result(cudaErrorStreamCaptureUnsupported);
    arrive();
    deliver(stream, UINT64_MAX);
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
    *out = calloc(1, sizeof **out);
    if (*out != NULL) (*out)->has_time = (flags & cudaEventDisableTiming) == 0;
    return result(*out == NULL ? cudaErrorMemoryAllocation : cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return result(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ALONE;
    ns_host_check_stream(stream);
    if (event == NULL) return result(cudaErrorInvalidResourceHandle);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->n_sent = n_sent;
    event->stream = stream;
    event->is_set = true;
    event->at_ms = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
    return result(cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->has_time || !to->has_time || !from->is_set || !to->is_set) return result(cudaErrorInvalidResourceHandle);
    *milliseconds = (float)(to->at_ms - from->at_ms);
    return result(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    ALONE;
    if (event == NULL) return result(cudaErrorInvalidResourceHandle);
    arrive();
    deliver(event->stream, event->n_sent);
    return result(cudaSuccess);
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
    if (!has_device) ns_host_die("a thread uses a stream and has not said of which device");
}

static void launch(const ns_host_grid *grid, void (*body)(void *), void *arguments)
{
    n_launches++;
    if (n_launches == from_environment("NIGHTSHIFT_CUDA_LOST", -1)) is_lost = true;
    arrive();
    if (result(cudaSuccess) == cudaSuccess) ns_host_run(grid, body, arguments);
}

void ns_host_launch_on(cudaStream_t stream, const ns_host_grid *grid, void (*body)(void *), const void *arguments, size_t n_bytes)
{
    ALONE;
    bool is_legal = grid->grid.x >= 1 && grid->grid.x <= 0x7fffffffu && grid->n_threads >= 1 &&
                    grid->n_threads <= NS_HOST_MAX_THREADS && grid->shared_bytes <= NS_HOST_SHARED_BYTES;
    if (!is_legal)
        (void)result(cudaErrorInvalidConfiguration);
    else if (stream->captured != NULL)
        (void)keep(stream, &(kept){.grid = *grid, .body = body, .n_bytes = n_bytes}, arguments);
    else
        launch(grid, body, (void *)arguments);
}

/* --- graphs --------------------------------------------------------------------------------------------------------- */

static bool capture_is(const char *how)
{
    const char *text = getenv("NIGHTSHIFT_CUDA_CAPTURE");
    return text != NULL && strcmp(text, how) == 0;
}

static void give_calls(kept *first)
{
    while (first != NULL) {
        kept *next = first->next;
        free(first);
        first = next;
    }
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    (void)mode;
    ns_host_check_stream(stream);
    if (capture_is("no")) return result(cudaErrorNotSupported);
    if (stream->captured != NULL) return result(cudaErrorInvalidValue);
    stream->captured = calloc(1, sizeof *stream->captured);
    if (stream->captured == NULL) return result(cudaErrorMemoryAllocation);
    stream->captured->last = &stream->captured->first;
    n_captured++;
    return result(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    ns_host_check_stream(stream);
    *out = NULL;
    if (stream->captured == NULL) return result(cudaErrorInvalidValue);
    cudaGraph_t graph = stream->captured;
    stream->captured = NULL;
    n_captured--;
    if (!graph->is_broken) *out = graph;
    if (graph->is_broken) (void)cudaGraphDestroy(graph);
    return result(*out == NULL ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *out = capture_is("late") ? NULL : calloc(1, sizeof **out);
    if (*out == NULL) return result(cudaErrorNotSupported);
    (*out)->first = graph->first; /* whoever destroys the graph finds nothing in it */
    graph->first = NULL;
    return result(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    ALONE;
    ns_host_check_stream(stream);
    if (stream->captured != NULL) return result(cudaErrorStreamCaptureUnsupported);
    for (kept *k = graph->first; k != NULL; k = k->next) {
        if (k->body != NULL)
            launch(&k->grid, k->body, k->arguments);
        else if (k->from != NULL)
            (void)cudaMemcpyAsync(k->to, k->from, k->n_bytes, k->kind, stream);
        else
            (void)cudaMemsetAsync(k->to, k->byte, k->n_bytes, stream);
    }
    return result(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    give_calls(graph->first);
    free(graph);
    return result(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    give_calls(graph->first);
    free(graph);
    return cudaSuccess;
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
