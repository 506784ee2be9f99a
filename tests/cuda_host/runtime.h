#ifndef NIGHTSHIFT_TESTS_CUDA_HOST_RUNTIME_H
#define NIGHTSHIFT_TESTS_CUDA_HOST_RUNTIME_H
/*
 * As much of CUDA's runtime as the backend calls, all of it synchronous. Device memory is host memory that is filled
 * with junk, watched for writes beyond its end and, with address sanitizer, poisoned while no kernel or copy runs.
 *
 * For tests of bad conditions the environment says what goes wrong:
 *   NIGHTSHIFT_CUDA_BYTES=N     memory of the device; cudaMalloc beyond it fails
 *   NIGHTSHIFT_CUDA_LOST=N      the device is lost at its N-th launch: that call and all later ones fail
 *   NIGHTSHIFT_CUDA_DEVICES=N   devices there are (1)
 *   NIGHTSHIFT_CUDA_DRIVER=0|old   no driver, or one too old for the runtime
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
    cudaErrorInvalidResourceHandle = 400
} cudaError_t;

typedef enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 } cudaMemcpyKind;
typedef enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
} cudaDeviceAttr;
typedef enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 } cudaFuncAttribute;
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

typedef struct ns_host_stream *cudaStream_t;
typedef struct ns_host_event *cudaEvent_t;

cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
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
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t error);

/* Whether a launch is allowed; if not, cudaGetLastError says why. */
int ns_host_may_launch(const ns_host_grid *grid);
void ns_host_check_stream(cudaStream_t stream);

/* Launches so far. */
long ns_host_n_launches(void);

#ifdef __cplusplus
}
#endif
#endif
