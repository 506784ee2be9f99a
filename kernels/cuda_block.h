#ifndef NIGHTSHIFT_KERNELS_CUDA_BLOCK_H
#define NIGHTSHIFT_KERNELS_CUDA_BLOCK_H
/*
 * Sums, maxima and running sums over a block of NS_CUDA_THREADS threads. All threads of the block call them, and all get
 * the result. Unless it says otherwise a function begins with a barrier, so that it may be called again at once.
 */
#include "kernels/cuda_state.h"
extern "C" {
#include "kernels/histogram.h"
}

static __device__ inline int64_t ns_block_sum(int64_t value)
{
    NS_SHARED(int64_t, part, [NS_CUDA_WARPS]);
    for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffffu, value, d);
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
    __syncthreads();
    int64_t all = 0;
    for (int w = 0; w < NS_CUDA_WARPS; w++) all += part[w];
    return all;
}

/* Of each kind of a cell by itself. Between two calls the caller has a barrier. */
static __device__ inline ns_cell ns_block_sum_cell(ns_cell value)
{
    NS_SHARED(int64_t, part, [3 * NS_CUDA_WARPS]);
    for (int d = 16; d > 0; d /= 2) {
        value.g += __shfl_xor_sync(0xffffffffu, value.g, d);
        value.h += __shfl_xor_sync(0xffffffffu, value.h, d);
        value.n += __shfl_xor_sync(0xffffffffu, value.n, d);
    }
    if (threadIdx.x % 32 == 0) {
        int64_t *own = part + 3 * (threadIdx.x / 32);
        own[0] = value.g;
        own[1] = value.h;
        own[2] = value.n;
    }
    __syncthreads();
    ns_cell all = {0, 0, 0};
    for (int w = 0; w < NS_CUDA_WARPS; w++) {
        all.g += part[3 * w];
        all.h += part[3 * w + 1];
        all.n += part[3 * w + 2];
    }
    return all;
}

static __device__ inline int64_t ns_block_max(int64_t value)
{
    NS_SHARED(int64_t, part, [NS_CUDA_WARPS]);
    for (int d = 16; d > 0; d /= 2) {
        int64_t other = __shfl_xor_sync(0xffffffffu, value, d);
        value = other > value ? other : value;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = value;
    __syncthreads();
    int64_t most = part[0];
    for (int w = 1; w < NS_CUDA_WARPS; w++) most = part[w] > most ? part[w] : most;
    return most;
}

/* What the threads before this one hold; *all: the sum of all. */
static __device__ inline int64_t ns_block_before(int64_t value, int64_t *all)
{
    NS_SHARED(int64_t, part, [NS_CUDA_WARPS]);
    int lane = (int)(threadIdx.x % 32), warp = (int)(threadIdx.x / 32);
    int64_t sum = value;
    for (int d = 1; d < 32; d *= 2) {
        int64_t below = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += below;
    }
    __syncthreads();
    if (lane == 31) part[warp] = sum;
    __syncthreads();
    int64_t before = 0, total = 0;
    for (int w = 0; w < NS_CUDA_WARPS; w++) {
        if (w < warp) before += part[w];
        total += part[w];
    }
    *all = total;
    return before + sum - value;
}

/* A candidate and where it stands: the higher gain is better, of equals the lower place. place < 0: none. */
typedef struct ns_ranked {
    double gain;
    int64_t place;
} ns_ranked;

static __device__ inline bool ns_ranks_above(double gain, int64_t place, ns_ranked than)
{
    if (place < 0 || than.place < 0) return place >= 0 && than.place < 0;
    return gain > than.gain || (gain == than.gain && place < than.place);
}

/* Between two calls the caller has a barrier. */
static __device__ inline ns_ranked ns_block_best(ns_ranked mine)
{
    NS_SHARED(double, gain, [NS_CUDA_WARPS]);
    NS_SHARED(int64_t, place, [NS_CUDA_WARPS]);
    for (int d = 16; d > 0; d /= 2) {
        double other_gain = __shfl_xor_sync(0xffffffffu, mine.gain, d);
        int64_t other_place = __shfl_xor_sync(0xffffffffu, mine.place, d);
        if (!ns_ranks_above(other_gain, other_place, mine)) continue;
        mine.gain = other_gain;
        mine.place = other_place;
    }
    if (threadIdx.x % 32 == 0) {
        gain[threadIdx.x / 32] = mine.gain;
        place[threadIdx.x / 32] = mine.place;
    }
    __syncthreads();
    ns_ranked best = {gain[0], place[0]};
    for (int w = 1; w < NS_CUDA_WARPS; w++)
        if (ns_ranks_above(gain[w], place[w], best)) {
            best.gain = gain[w];
            best.place = place[w];
        }
    return best;
}
#endif
