#include "kernels/cuda_state.h"
#include "kernels/cuda_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include "kernels/cuda_module.h"
#include "kernels/cuda_ranks.h"
#include "kernels/forest.h"
#include "kernels/numerics.h"
#include "kernels/scorer.h"
const ns_forest_ops *ns_forest_cuda(void); /* forest_cuda.c */
const ns_scorer_ops *ns_scorer_cuda(void); /* scorer_cuda.c */
}

enum { MOST_KERNELS = 64 }; /* of different names */

/* A graph, and what it launches: [i] of the device's kernel i. */
struct ns_cuda_sequence {
    cudaGraphExec_t graph;
    int64_t n[MOST_KERNELS];
};

struct ns_cuda {
    int device, n_multiprocessors;
    size_t shared_bytes;
    char level[16];
    cudaStream_t stream, streams[NS_CUDA_STREAMS]; /* stream: the one in use */
    cudaEvent_t mark[NS_CUDA_MARKS];
    bool is_set[NS_CUDA_MARKS], waits, may_record;
    ns_device_use use;
    ns_device_launches launches[MOST_KERNELS];
    ns_cuda_sequence *recorded; /* the one that is being recorded, else NULL */
    ns_cuda_ranks *ranks;
    ns_cuda_times *times;
};

ns_status ns_cuda_check(cudaError_t result, const char *doing)
{
    if (result == cudaSuccess) return NS_OK;
    if (result == cudaErrorMemoryAllocation) return ns_fail(NS_ENOMEM, "GPU: %s: %s", doing, cudaGetErrorString(result));
    return ns_fail(NS_EDEVICE, "GPU: %s: %s; what was saved stands: run the same command again, with run.device: cpu where the GPU is lost", doing,
                   cudaGetErrorString(result));
}

cudaStream_t ns_cuda_stream(const ns_cuda *cuda)
{
    return cuda->stream;
}

ns_status ns_cuda_enter(const ns_cuda *cuda)
{
    return ns_cuda_check(cudaSetDevice(cuda->device), "taking it");
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

ns_status ns_cuda_bus(const ns_cuda *cuda, char *text, int size)
{
    return ns_cuda_check(cudaDeviceGetPCIBusId(text, size, cuda->device), "asking where it is");
}

void *ns_cuda_stream_handle(const ns_cuda *cuda)
{
    return cuda->stream;
}

ns_cuda_ranks **ns_cuda_ranks_of(ns_cuda *cuda)
{
    return &cuda->ranks;
}

ns_device_use *ns_cuda_use_of(ns_cuda *cuda)
{
    return &cuda->use;
}

ns_cuda_times *ns_cuda_times_of(ns_cuda *cuda)
{
    return cuda->times;
}

/* Where launches of this kernel are counted. */
static int count_of(ns_cuda *cuda, const char *kernel)
{
    int i = 0;
    while (i < cuda->use.n_kernels && strcmp(cuda->launches[i].kernel, kernel) != 0) i++;
    if (i == MOST_KERNELS) return MOST_KERNELS - 1; /* no more names than that */
    if (i == cuda->use.n_kernels) cuda->launches[cuda->use.n_kernels++].kernel = kernel;
    return i;
}

ns_status ns_cuda_launched(ns_cuda *cuda, const char *kernel)
{
    int i = count_of(cuda, kernel);
    ++*(cuda->recorded != NULL ? &cuda->recorded->n[i] : &cuda->launches[i].n);
    cudaError_t result = cudaGetLastError();
    if (result == cudaSuccess && cuda->waits) result = cudaStreamSynchronize(cuda->stream);
    NS_TRY(ns_cuda_check(result, kernel));
    return ns_cuda_times_launched(cuda->times, cuda->stream, &cuda->launches[i].seconds);
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
    cuda->use.copies_in++;
    cuda->use.bytes_in += (int64_t)n_bytes;
    return ns_cuda_check(cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyHostToDevice, cuda->stream), "copying to it");
}

ns_status ns_cuda_copy_out(ns_cuda *cuda, void *to, const void *from, size_t n_bytes)
{
    if (n_bytes == 0) return NS_OK;
    cuda->use.copies_out++;
    cuda->use.bytes_out += (int64_t)n_bytes;
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
    cuda->use.waits++;
    NS_TRY(ns_cuda_check(cudaStreamSynchronize(cuda->stream), "waiting for it"));
    return ns_cuda_times_settle(cuda->times);
}

ns_status ns_cuda_mark(ns_cuda *cuda, int mark)
{
    cuda->is_set[mark] = true;
    return ns_cuda_check(cudaEventRecord(cuda->mark[mark], cuda->stream), "marking a stream");
}

ns_status ns_cuda_wait_mark(ns_cuda *cuda, int mark)
{
    if (!cuda->is_set[mark]) return NS_OK;
    __atomic_fetch_add(&cuda->use.waits, 1, __ATOMIC_RELAXED); /* threads wait side by side */
    return ns_cuda_check(cudaEventSynchronize(cuda->mark[mark]), "waiting for it");
}

/* --- sequences ------------------------------------------------------------------------------------------------------ */

bool ns_cuda_may_record(const ns_cuda *cuda)
{
    return cuda->may_record;
}

void ns_cuda_record_begin(ns_cuda *cuda)
{
    cuda->recorded = (ns_cuda_sequence *)calloc(1, sizeof *cuda->recorded);
    if (cuda->recorded == NULL) return;
    if (cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess) return;
    (void)cudaGetLastError(); /* a driver that does not want to: calls are made one by one */
    ns_cuda_sequence_destroy(&cuda->recorded);
}

void ns_cuda_record_end(ns_cuda *cuda, ns_status calls, ns_cuda_sequence **out)
{
    cudaGraph_t graph = NULL;
    ns_cuda_sequence *sequence = cuda->recorded;
    *out = NULL;
    cuda->recorded = NULL;
    if (sequence == NULL) return;
    cudaError_t result = cudaStreamEndCapture(cuda->stream, &graph);
    if (result == cudaSuccess && calls == NS_OK) result = cudaGraphInstantiate(&sequence->graph, graph, 0);
    if (graph != NULL) (void)cudaGraphDestroy(graph);
    if (result != cudaSuccess || calls != NS_OK) {
        (void)cudaGetLastError();
        if (calls != NS_OK) ns_error_clear();
        sequence->graph = NULL;
        ns_cuda_sequence_destroy(&sequence);
    }
    *out = sequence;
}

ns_status ns_cuda_queue_sequence(ns_cuda *cuda, const ns_cuda_sequence *sequence)
{
    cuda->use.graph_launches++;
    for (int i = 0; i < cuda->use.n_kernels; i++) cuda->launches[i].n += sequence->n[i];
    return ns_cuda_check(cudaGraphLaunch(sequence->graph, cuda->stream), "a step of growing");
}

void ns_cuda_sequence_destroy(ns_cuda_sequence **sequence)
{
    if (*sequence != NULL && (*sequence)->graph != NULL) (void)cudaGraphExecDestroy((*sequence)->graph);
    free(*sequence);
    *sequence = NULL;
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
    ns_cuda_leave_ranks(cuda);
    ns_cuda_times_close(&cuda->times);
    for (int i = 0; i < NS_CUDA_MARKS; i++)
        if (cuda->mark[i] != NULL) (void)cudaEventDestroy(cuda->mark[i]);
    for (int i = 0; i < NS_CUDA_STREAMS; i++)
        if (cuda->streams[i] != NULL) (void)cudaStreamDestroy(cuda->streams[i]);
    free(cuda);
    device->state = NULL;
    device->use = NULL;
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
    cudaDeviceProp properties;
    NS_TRY(ns_cuda_check(cudaGetDeviceProperties(&properties, cuda->device), "asking what it is"));
    snprintf(cuda->use.gpu, sizeof cuda->use.gpu, "%.127s", properties.name);
    NS_TRY(ns_cuda_bus(cuda, cuda->use.bus, (int)sizeof cuda->use.bus));
    cuda->use.sums = "none";
    cuda->use.launches = cuda->launches;
    snprintf(cuda->level, sizeof cuda->level, "sm_%d%d", major, minor);
    for (int i = 0; i < NS_CUDA_STREAMS; i++)
        NS_TRY(ns_cuda_check(cudaStreamCreateWithFlags(&cuda->streams[i], cudaStreamNonBlocking), "making a stream"));
    ns_cuda_use_stream(cuda, 0);
    NS_TRY(ns_cuda_times_open(&cuda->times));
    cuda->may_record = cuda->may_record && !ns_cuda_times_profile(cuda->times);
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
    const char *waits = getenv("NIGHTSHIFT_SYNC"), *graphs = getenv("NIGHTSHIFT_GRAPHS");
    cuda->device = rank_on_node % n;
    cuda->waits = waits != NULL && strcmp(waits, "1") == 0;
    cuda->may_record = !cuda->waits && (graphs == NULL || strcmp(graphs, "0") != 0);
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
    device->use = &cuda->use;
    return NS_OK;
}

extern "C" const ns_cuda_module ns_cuda_module_table = {NS_CUDA_MODULE_STAMP, NS_NUMERICS_VERSION, look, open_cuda};
