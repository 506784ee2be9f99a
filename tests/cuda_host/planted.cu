/* Small kernels, right and wrong ones, for the test of the machine that runs kernels on the host. */
#include "kernels/cuda.h"
#include "tests/cuda_host/planted.h"

enum { THREADS = 96, ROWS = 1000 };

static cudaStream_t stream;

/* Sums of what threads hold, by lanes and then by warps. `wrong` leaves out what the planted error leaves out. */
static __global__ void sum(int64_t *out, const int64_t *in, int n, int wrong)
{
    NS_SHARED(int64_t, warp_sum, [THREADS / 32]);
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    int64_t value = i < n ? in[i] : 0;
    for (int d = 16; d > 0; d /= 2) value += __shfl_down_sync(0xffffffffu, value, d);
    if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = value;
    if (wrong != PLANT_BARRIER) __syncthreads();
    if (threadIdx.x == 0) {
        int64_t all = 0;
        for (int w = 0; w < THREADS / 32; w++) all += warp_sum[w];
        if (wrong == PLANT_PLAIN_ADD)
            *out += all;
        else
            ns_atomic_add(out, all);
    }
}

/* Lanes hand values on through shared memory. */
static __global__ void hand_on(int64_t *out, int wrong)
{
    NS_SHARED(int64_t, held, [THREADS]);
    int t = (int)threadIdx.x;
    held[t] = t;
    if (wrong != PLANT_WARP_BARRIER) __syncwarp();
    out[blockIdx.x * THREADS + t] = held[t / 32 * 32 + (t + 1) % 32];
}

static __global__ void misuse(int64_t *out, int n, int wrong)
{
    NS_DYN_SHARED(int64_t, held);
    int t = (int)threadIdx.x;
    if (wrong == PLANT_LEFT && t == 3) return;
    if (wrong == PLANT_LEFT) __syncwarp();
    if (wrong == PLANT_DIVERGENT && t < 32) __syncthreads();
    if (wrong == PLANT_DIVERGENT && t >= 32) {
        __syncthreads();
    }
    if (wrong == PLANT_OUTSIDE && t < 16) out[t] = __shfl_sync(0xffffu, t, 20);
    if (wrong == PLANT_SHARED_BEYOND) held[t + 1] = t;
    if (wrong == PLANT_DEVICE_BEYOND && t <= n) out[t] = t;
    if (wrong == PLANT_WARP_DEADLOCK && t != 7) __syncwarp();
    if (wrong == PLANT_WARP_DEADLOCK && t == 7) __syncthreads();
}

static __global__ void not_zeroed(int64_t *out)
{
    NS_SHARED(int64_t, held, [1]);
    if (threadIdx.x == 1) held[0] += 5;
    __syncthreads();
    if (threadIdx.x == 0) out[0] = held[0];
}

static bool all_sums(int wrong)
{
    int64_t in[ROWS], want = 0, got, *dev_in, *dev_out;
    for (int i = 0; i < ROWS; i++) want += in[i] = 7 * i - 1500;
    cudaMalloc((void **)&dev_in, sizeof in);
    cudaMalloc((void **)&dev_out, sizeof got);
    cudaMemcpyAsync(dev_in, in, sizeof in, cudaMemcpyHostToDevice, stream);
    cudaMemsetAsync(dev_out, 0, sizeof got, stream);
    NS_LAUNCH(sum, (ROWS + THREADS - 1) / THREADS, THREADS, 0, stream, dev_out, dev_in, ROWS, wrong);
    cudaMemcpyAsync(&got, dev_out, sizeof got, cudaMemcpyDeviceToHost, stream);
    cudaFree(dev_in);
    cudaFree(dev_out);
    return got == want;
}

static bool all_handed(int wrong)
{
    int64_t got[2 * THREADS], *dev;
    cudaMalloc((void **)&dev, sizeof got);
    NS_LAUNCH(hand_on, 2, THREADS, 0, stream, dev, wrong);
    cudaMemcpyAsync(got, dev, sizeof got, cudaMemcpyDeviceToHost, stream);
    cudaFree(dev);
    for (int i = 0; i < 2 * THREADS; i++)
        if (got[i] != i % THREADS / 32 * 32 + (i + 1) % 32) return false;
    return true;
}

static bool misused(int wrong)
{
    int64_t *dev;
    cudaMalloc((void **)&dev, (THREADS - 1) * sizeof *dev);
    NS_LAUNCH(misuse, 1, THREADS, THREADS * sizeof *dev, stream, dev, THREADS - 1, wrong);
    return cudaFree(dev) == cudaSuccess;
}

static bool junk_is_seen(void)
{
    int64_t got, *dev;
    cudaMalloc((void **)&dev, sizeof got);
    NS_LAUNCH(not_zeroed, 1, 32, 0, stream, dev);
    cudaMemcpyAsync(&got, dev, sizeof got, cudaMemcpyDeviceToHost, stream);
    cudaFree(dev);
    return got == 5;
}

static bool copies_are_checked(void)
{
    int64_t here = 0, *dev;
    cudaMalloc((void **)&dev, sizeof here);
    bool ok = cudaMemcpyAsync(&here, &here, sizeof here, cudaMemcpyHostToDevice, stream) == cudaErrorInvalidMemcpyDirection &&
              cudaMemcpyAsync(dev, &here, sizeof here, cudaMemcpyDeviceToHost, stream) == cudaErrorInvalidMemcpyDirection &&
              cudaMemcpyAsync(dev, &here, 2 * sizeof here, cudaMemcpyHostToDevice, stream) == cudaErrorInvalidMemcpyDirection;
    (void)cudaGetLastError();
    NS_LAUNCH(hand_on, 1, 1025, 0, stream, dev, 0);
    ok = ok && cudaGetLastError() == cudaErrorInvalidConfiguration && cudaGetLastError() == cudaSuccess;
    NS_LAUNCH(hand_on, 0, 32, 0, stream, dev, 0);
    ok = ok && cudaGetLastError() == cudaErrorInvalidConfiguration;
    cudaFree(dev);
    return ok;
}

/* 1 goes there and comes back; in between all waits that are needed, but for the planted one. */
static bool copies_arrive(int wrong)
{
    int64_t *here, *dev;
    cudaEvent_t event;
    cudaMallocHost((void **)&here, 2 * sizeof *here);
    cudaMalloc((void **)&dev, sizeof *dev);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    here[0] = 1;
    here[1] = 0;
    cudaMemcpyAsync(dev, here, sizeof *dev, cudaMemcpyHostToDevice, stream);
    if (wrong != PLANT_EARLY_WRITE) cudaStreamSynchronize(stream);
    here[0] = 2;
    if (wrong == PLANT_OTHER_MARK) cudaEventRecord(event, stream);
    cudaMemcpyAsync(here + 1, dev, sizeof *dev, cudaMemcpyDeviceToHost, stream);
    if (wrong != PLANT_OTHER_MARK) cudaEventRecord(event, stream);
    if (wrong != PLANT_EARLY_READ) cudaEventSynchronize(event);
    bool ok = here[1] == 1;
    cudaEventDestroy(event);
    cudaFree(dev);
    cudaFreeHost(here);
    return ok;
}

extern "C" bool planted_run(planted what)
{
    int64_t here[2 * THREADS];
    if (what != PLANT_NO_DEVICE) cudaSetDevice(0);
    if (stream == NULL) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    switch (what) {
    case PLANT_NOTHING:
        return all_sums(0) && all_handed(0) && copies_are_checked() && copies_arrive(0);
    case PLANT_BARRIER:
    case PLANT_PLAIN_ADD:
        return all_sums(what);
    case PLANT_WARP_BARRIER:
        return all_handed(what);
    case PLANT_HOST_POINTER:
        NS_LAUNCH(hand_on, 2, THREADS, 0, stream, here, 0);
        return true;
    case PLANT_EARLY_READ:
    case PLANT_EARLY_WRITE:
    case PLANT_OTHER_MARK:
    case PLANT_NO_DEVICE:
        return copies_arrive(what);
    case PLANT_NOT_ZEROED:
        return junk_is_seen();
    default:
        return misused(what);
    }
}
