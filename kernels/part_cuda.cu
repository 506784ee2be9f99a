#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"

/*
 * The rows of the leaves that are being opened go to the other of two buffers: those that go left from the front of the
 * leaf's range on, those that go right from its end. A block takes NS_CUDA_CHUNK rows, counts, and takes places for all
 * of them by one atomic on each side; within a chunk rows keep their order, so that the gathers of deep nodes find
 * neighbours. Bound by the column it reads: one byte in 32 of a sector for scattered rows.
 */
namespace {

enum { ITEMS = NS_CUDA_CHUNK / NS_CUDA_THREADS };

__device__ inline bool goes_left(const ns_cuda_grow &g, const ns_split &split, const uint32_t *set, int64_t row)
{
    int32_t place = g.place[split.feature];
    uint32_t bin = place >= 0 ? g.bytes[place * g.n_rows + row] : g.wide[(-1 - place) * g.n_rows + row];
    if (g.kind[split.feature] == NS_CATEGORY) return (set[bin >> 5] >> (bin & 31) & 1) != 0;
    return bin == 0 ? split.missing_left != 0 : bin <= (uint32_t)split.threshold;
}

__device__ inline void zero_staging(const ns_cuda_grow &g)
{
    int64_t n = (int64_t)g.control->n_open * 3 * g.n_cells;
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * NS_CUDA_THREADS) g.staging[i] = 0;
}

__device__ inline void part_chunk(const ns_cuda_grow &g, ns_cuda_opening *opening, int64_t first, int64_t n)
{
    NS_SHARED(unsigned long long, begin, [2]);
    NS_SHARED(int32_t, count, [ITEMS * NS_CUDA_WARPS]);
    const ns_cuda_node *node = &g.node[opening->node];
    const uint32_t *set = g.set + (int64_t)opening->node * g.words_per_set;
    const uint32_t *from = g.row[node->buffer] + node->begin + first;
    uint32_t *to = g.row[1 - node->buffer] + node->begin, row[ITEMS];
    int lane = (int)(threadIdx.x % 32), warp = (int)(threadIdx.x / 32);
    unsigned votes[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        int64_t at = i * NS_CUDA_THREADS + threadIdx.x;
        row[i] = at < n ? from[at] : 0;
        bool left = at < n && goes_left(g, node->split, set, row[i]);
        votes[i] = __ballot_sync(0xffffffffu, left);
        if (lane == 0) count[i * NS_CUDA_WARPS + warp] = __popc(votes[i]);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int32_t sum = 0;
        for (int i = 0; i < ITEMS * NS_CUDA_WARPS; i++) {
            int32_t here = count[i];
            count[i] = sum;
            sum += here;
        }
        begin[0] = atomicAdd(&opening->n_left, (unsigned long long)sum);
        begin[1] = (unsigned long long)node->n - atomicAdd(&opening->n_right, (unsigned long long)(n - sum)) - (unsigned long long)(n - sum);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        int64_t at = i * NS_CUDA_THREADS + threadIdx.x;
        if (at >= n) continue;
        int64_t before = count[i * NS_CUDA_WARPS + warp] + __popc(votes[i] & ((1u << lane) - 1));
        bool left = (votes[i] >> lane & 1) != 0;
        to[left ? begin[0] + (unsigned long long)before : begin[1] + (unsigned long long)(at - before)] = row[i];
    }
    __syncthreads();
}

__global__ void part(ns_cuda_grow g)
{
    zero_staging(g);
    int64_t n_chunks = g.control->n_chunks;
    for (int64_t chunk = blockIdx.x; chunk < n_chunks; chunk += gridDim.x) {
        int32_t o = 0;
        while (o + 1 < g.control->n_open && g.opening[o + 1].first_chunk <= chunk) o++;
        int64_t first = (chunk - g.opening[o].first_chunk) * NS_CUDA_CHUNK, left = g.node[g.opening[o].node].n - first, most = NS_CUDA_CHUNK;
        part_chunk(g, &g.opening[o], first, left < most ? left : most);
    }
}

/* Columns to rows, four bytes to a word. Threads side by side write words side by side, also where rows lie on the host; what
   they read of a column is in the nearest cache for the rows that follow. */
__global__ void pack_rows(ns_cuda_grow g)
{
    uint32_t *packed = (uint32_t *)g.packed;
    int64_t n = g.n_train * g.row_words;
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * NS_CUDA_THREADS) {
        int64_t word = i % g.row_words, row = i / g.row_words;
        uint32_t out = 0;
        for (int32_t c = 0; c < 4; c++) {
            int32_t column = (int32_t)word * 4 + c;
            if (column < g.n_bytes) out |= (uint32_t)g.bytes[column * g.n_rows + row] << 8 * c;
        }
        packed[i] = out;
    }
}

} // namespace

extern "C" ns_status ns_cuda_part(ns_cuda *cuda, const ns_cuda_grow *g)
{
    int64_t most = (g->n_train + NS_CUDA_CHUNK - 1) / NS_CUDA_CHUNK + g->batch, enough = (int64_t)ns_cuda_multiprocessors(cuda) * 8;
    NS_LAUNCH(part, (unsigned)(most < enough ? most : enough), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "part");
}

extern "C" ns_status ns_cuda_pack_rows(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(pack_rows, ns_cuda_blocks_for(g->n_train * g->row_words), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "pack_rows");
}
