#include "kernels/cuda_prepare.h"

/*
 * Eight halvings of 255 cuts in shared memory, a thread to a value. Bound by shared memory: 5e8 values (10,000,000 x 50)
 * read it 4e9 times, about 2 ms where addresses meet in a bank three to four times; four bytes in and one out are less.
 */
namespace {

__global__ void bin_values(ns_cuda_binning b)
{
    NS_SHARED(float, cut, [256]);
    for (int32_t i = (int32_t)threadIdx.x; i < 256; i += NS_CUDA_THREADS) cut[i] = b.cuts.cut[i];
    __syncthreads();
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < b.n; i += (int64_t)gridDim.x * NS_CUDA_THREADS) {
        float value = b.value[i];
        uint32_t below = 0;
#pragma unroll
        for (uint32_t half = 128; half > 0; half /= 2) below += cut[below + half - 1] < value ? half : 0;
        b.out[i] = value == value ? (uint8_t)(below + 1) : (uint8_t)0;
    }
}

} // namespace

extern "C" ns_status ns_cuda_bin(ns_cuda *cuda, const ns_cuda_binning *binning)
{
    if (binning->n == 0) return NS_OK;
    unsigned wanted = ns_cuda_blocks_for(binning->n), most = (unsigned)ns_cuda_multiprocessors(cuda) * 16; /* each reads the cuts once */
    NS_LAUNCH(bin_values, wanted < most ? wanted : most, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *binning);
    return ns_cuda_launched(cuda, "bin_values");
}
