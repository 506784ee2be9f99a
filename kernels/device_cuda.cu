#include "kernels/cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "kernels/cuda_module.h"
#include "kernels/forest.h"
#include "kernels/numerics.h"
#include "kernels/scorer.h"
const ns_forest_ops *ns_forest_cuda(void); /* forest_cuda.c */
const ns_scorer_ops *ns_scorer_cuda(void); /* scorer_cuda.c */
}

struct ns_cuda {
    int device, n_multiprocessors;
    size_t shared_bytes;
    char level[16];
    cudaStream_t stream, streams[NS_CUDA_STREAMS]; /* stream: the one in use */
    cudaEvent_t mark[NS_CUDA_MARKS];
    bool is_set[NS_CUDA_MARKS], waits;
};

ns_status ns_cuda_check(cudaError_t result, const char *doing)
{
    if (result == cudaSuccess) return NS_OK;
    ns_status code = result == cudaErrorMemoryAllocation ? NS_ENOMEM : NS_EDEVICE;
    return ns_fail(code, "GPU: %s: %s", doing, cudaGetErrorString(result));
}

cudaStream_t ns_cuda_stream(const ns_cuda *cuda)
{
    return cuda->stream;
}

void ns_cuda_use_stream(ns_cuda *cuda, int stream)
{
    cuda->stream = cuda->streams[stream];
}

int ns_cuda_multiprocessors(const ns_cuda *cuda)
{
    return cuda->n_multiprocessors;
}

size_t ns_cuda_shared_bytes(const ns_cuda *cuda)
{
    return cuda->shared_bytes;
}

ns_status ns_cuda_launched(ns_cuda *cuda, const char *kernel)
{
    cudaError_t result = cudaGetLastError();
    if (result == cudaSuccess && cuda->waits) result = cudaStreamSynchronize(cuda->stream);
    return ns_cuda_check(result, kernel);
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

static void *take(ns_cuda_memory *m, int64_t n, size_t size, bool is_pinned)
{
    size_t n_bytes = (size_t)(n > 0 ? n : 1) * size;
    void *out = NULL;
    m->n_bytes += (int64_t)n_bytes;
    if (m->failed) return NULL;
    if (m->n_blocks == m->room) {
        int room = m->room + 32;
        void **block = (void **)realloc(m->block, (size_t)room * sizeof *block);
        if (block != NULL) m->block = block;
        bool *pinned = (bool *)realloc(m->is_pinned, (size_t)room * sizeof *pinned);
        if (pinned != NULL) m->is_pinned = pinned;
        if (block == NULL || pinned == NULL) {
            m->failed = true;
            return NULL;
        }
        m->room = room;
    }
    cudaError_t result = is_pinned ? cudaMallocHost(&out, n_bytes) : cudaMalloc(&out, n_bytes);
    if (result != cudaSuccess || out == NULL) {
        (void)cudaGetLastError(); /* handled here, not at the next launch */
        m->failed = true;
        return NULL;
    }
    m->block[m->n_blocks] = out;
    m->is_pinned[m->n_blocks++] = is_pinned;
    return out;
}

void *ns_cuda_take(ns_cuda_memory *m, int64_t n, size_t size)
{
    return take(m, n, size, false);
}

void *ns_cuda_take_pinned(ns_cuda_memory *m, int64_t n, size_t size)
{
    return take(m, n, size, true);
}

void ns_cuda_give_all(ns_cuda_memory *m)
{
    for (int i = 0; i < m->n_blocks; i++) (void)(m->is_pinned[i] ? cudaFreeHost(m->block[i]) : cudaFree(m->block[i]));
    free(m->block);
    free(m->is_pinned);
    ns_cuda *cuda = m->cuda;
    memset(m, 0, sizeof *m);
    m->cuda = cuda;
}

ns_status ns_cuda_copy_in(ns_cuda *cuda, void *to, const void *from, size_t n_bytes)
{
    if (n_bytes == 0) return NS_OK;
    return ns_cuda_check(cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyHostToDevice, cuda->stream), "copying to it");
}

ns_status ns_cuda_copy_out(ns_cuda *cuda, void *to, const void *from, size_t n_bytes)
{
    if (n_bytes == 0) return NS_OK;
    return ns_cuda_check(cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDeviceToHost, cuda->stream), "copying from it");
}

ns_status ns_cuda_fill(ns_cuda *cuda, void *at, int byte, size_t n_bytes)
{
    if (n_bytes == 0) return NS_OK;
    return ns_cuda_check(cudaMemsetAsync(at, byte, n_bytes, cuda->stream), "filling memory");
}

ns_status ns_cuda_zero(ns_cuda *cuda, void *at, size_t n_bytes)
{
    return ns_cuda_fill(cuda, at, 0, n_bytes);
}

ns_status ns_cuda_wait(ns_cuda *cuda)
{
    return ns_cuda_check(cudaStreamSynchronize(cuda->stream), "waiting for it");
}

ns_status ns_cuda_mark(ns_cuda *cuda, int mark)
{
    cuda->is_set[mark] = true;
    return ns_cuda_check(cudaEventRecord(cuda->mark[mark], cuda->stream), "marking a stream");
}

ns_status ns_cuda_wait_mark(ns_cuda *cuda, int mark)
{
    if (!cuda->is_set[mark]) return NS_OK;
    return ns_cuda_check(cudaEventSynchronize(cuda->mark[mark]), "waiting for it");
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

/* How many GPUs there are; why there is none. */
static ns_status count_devices(int *n)
{
    int driver = 0, runtime = 0;
    *n = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    cudaError_t result = cudaGetDeviceCount(n);
    (void)cudaGetLastError();
    if (driver == 0) return ns_fail(NS_EUNAVAILABLE, "device cuda: this machine has no NVIDIA driver");
    if (result == cudaErrorInsufficientDriver)
        return ns_fail(NS_EUNAVAILABLE, "device cuda: the NVIDIA driver is for CUDA %d.%d, this program needs %d.%d or newer",
                       driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (result == cudaErrorNoDevice || (result == cudaSuccess && *n == 0))
        return ns_fail(NS_EUNAVAILABLE, "device cuda: this machine has no GPU that CUDA can use");
    if (result != cudaSuccess) return ns_fail(NS_EUNAVAILABLE, "device cuda: %s", cudaGetErrorString(result));
    return NS_OK;
}

static ns_status look(char *text, size_t size)
{
    int n, driver, major, minor;
    NS_TRY(count_devices(&n));
    (void)cudaDriverGetVersion(&driver);
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "asking what it is"));
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "asking what it is"));
    snprintf(text, size, "%d x sm_%d%d, driver for CUDA %d.%d", n, major, minor, driver / 1000, driver % 1000 / 10);
    return NS_OK;
}

static void close_cuda(ns_device *device)
{
    ns_cuda *cuda = (ns_cuda *)device->state;
    if (cuda == NULL) return;
    for (int i = 0; i < NS_CUDA_MARKS; i++)
        if (cuda->mark[i] != NULL) (void)cudaEventDestroy(cuda->mark[i]);
    for (int i = 0; i < NS_CUDA_STREAMS; i++)
        if (cuda->streams[i] != NULL) (void)cudaStreamDestroy(cuda->streams[i]);
    free(cuda);
    device->state = NULL;
}

static ns_status start(ns_cuda *cuda)
{
    int major, minor, shared_bytes;
    NS_TRY(ns_cuda_check(cudaSetDevice(cuda->device), "taking it"));
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&cuda->n_multiprocessors, cudaDevAttrMultiProcessorCount, cuda->device), "asking what it is"));
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, cuda->device), "asking what it is"));
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, cuda->device), "asking what it is"));
    NS_TRY(ns_cuda_check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, cuda->device), "asking what it is"));
    cuda->shared_bytes = (size_t)shared_bytes;
    snprintf(cuda->level, sizeof cuda->level, "sm_%d%d", major, minor);
    for (int i = 0; i < NS_CUDA_STREAMS; i++)
        NS_TRY(ns_cuda_check(cudaStreamCreateWithFlags(&cuda->streams[i], cudaStreamNonBlocking), "making a stream"));
    ns_cuda_use_stream(cuda, 0);
    for (int i = 0; i < NS_CUDA_MARKS; i++)
        NS_TRY(ns_cuda_check(cudaEventCreateWithFlags(&cuda->mark[i], cudaEventDisableTiming), "making an event"));
    return NS_OK;
}

/* Arithmetic that compilers are asked for: 1 where a product and a sum were contracted or subnormals flushed. */
static __global__ void test_arithmetic(int *wrong, double a, double b, double c, double tiny)
{
    double exact = a * b + c;     /* 0 when rounded in between, 2^-54 when contracted */
    double halved = tiny * 0.5; /* a subnormal */
    if (threadIdx.x == 0) *wrong = exact != 0.0 || halved == 0.0;
}

static ns_status test_device(ns_cuda *cuda)
{
    ns_cuda_memory m = {};
    m.cuda = cuda;
    int wrong = 1, *dev_wrong = (int *)ns_cuda_take(&m, 1, sizeof *dev_wrong);
    ns_status status = m.failed ? ns_fail(NS_ENOMEM, "GPU: not enough memory to open it") : NS_OK;
    if (status == NS_OK) {
        double a = 1.0 + 0x1p-27;
        NS_LAUNCH(test_arithmetic, 1, 32, 0, cuda->stream, dev_wrong, a, a, -(1.0 + 0x1p-26), 0x1p-1022);
        status = ns_cuda_launched(cuda, "test_arithmetic");
    }
    if (status == NS_OK) status = ns_cuda_copy_out(cuda, &wrong, dev_wrong, sizeof wrong);
    if (status == NS_OK) status = ns_cuda_wait(cuda);
    if (status == NS_OK && wrong) status = ns_fail(NS_EUNAVAILABLE, "device cuda: its arithmetic does not round as the CPU's does");
    ns_cuda_give_all(&m);
    return status;
}

static ns_status open_cuda(ns_device *device, int rank_on_node)
{
    int n;
    NS_TRY(count_devices(&n));
    ns_cuda *cuda = (ns_cuda *)calloc(1, sizeof *cuda);
    if (cuda == NULL) return ns_fail(NS_ENOMEM, "not enough memory to open a device");
    const char *waits = getenv("NIGHTSHIFT_SYNC");
    cuda->device = rank_on_node % n;
    cuda->waits = waits != NULL && strcmp(waits, "1") == 0;
    device->state = cuda;
    ns_status status = start(cuda);
    if (status == NS_OK) status = test_device(cuda);
    if (status != NS_OK) {
        close_cuda(device);
        return status;
    }
    device->name = "cuda";
    device->level = cuda->level;
    device->forest = ns_forest_cuda();
    device->scorer = ns_scorer_cuda();
    device->close = close_cuda;
    return NS_OK;
}

extern "C" const ns_cuda_module ns_cuda_module_table = {NS_CUDA_MODULE_STAMP, NS_NUMERICS_VERSION, look, open_cuda};
