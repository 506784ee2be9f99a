#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_RUNTIME_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_RUNTIME_H
/*
 * As much of CUDA's runtime as the backend calls. Kernels are synchronous; copies between the device and memory that cannot be paged
 * are as late as CUDA allows them to be, so that a missing wait shows. Calls may come from several threads, each after its own
 * cudaSetDevice. Device memory is host memory that is filled
 * with junk, watched for writes beyond its end and, with address sanitizer, poisoned while no kernel or copy runs.
 *
 * For tests of bad conditions the environment says what goes wrong:
 *   NIGHTSHIFT_CUDA_BYTES=N     memory of the device; cudaMalloc beyond it fails
 *   NIGHTSHIFT_CUDA_LOST=N      the device is lost at its N-th launch: that call and all later ones fail
 *   NIGHTSHIFT_CUDA_DEVICES=N   devices there are (1)
 *   NIGHTSHIFT_CUDA_DRIVER=0|old   no driver, or one too old for the runtime
 *   NIGHTSHIFT_CUDA_CAPTURE=no|late  streams are not captured, or graphs not instantiated
 *
 * A captured stream does nothing: its launches, copies and fills are kept with their arguments as they were, and done in their order
 * when the graph is launched. Waiting for such a stream, or taking memory meanwhile, breaks the capture.
 */
#include <stddef.h>

#include "tests/cuda_host/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidMemcpyDirection = 21,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorNotSupported = 801,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
} cudaError_t;

typedef enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 } cudaMemcpyKind;
typedef enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
} cudaDeviceAttr;
typedef enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;
enum { cudaStreamNonBlocking = 1, cudaEventDefault = 0, cudaEventDisableTiming = 2 };

typedef enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeThreadLocal = 1 } cudaStreamCaptureMode;

typedef struct cudaDeviceProp {
    char name[256];
} cudaDeviceProp;

typedef struct ns_host_stream *cudaStream_t;
typedef struct ns_host_event *cudaEvent_t;
typedef struct ns_host_graph *cudaGraph_t;
typedef struct ns_host_graph_exec *cudaGraphExec_t;

cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_bytes);
cudaError_t cudaMalloc(void **out, size_t n_bytes);
cudaError_t cudaFree(void *pointer);
cudaError_t cudaMallocHost(void **out, size_t n_bytes);
cudaError_t cudaFreeHost(void *pointer);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int byte, size_t n_bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t error);

/* A launch on a stream: done at once, or kept where the stream is being captured. body is called for every thread with a copy of
   the n_bytes of arguments. If it is not allowed, cudaGetLastError says why. */
void ns_host_launch_on(cudaStream_t stream, const ns_host_grid *grid, void (*body)(void *), const void *arguments, size_t n_bytes);
void ns_host_check_stream(cudaStream_t stream);

/* Launches so far. */
long ns_host_n_launches(void);

#ifdef __cplusplus
}
#endif
#endif
