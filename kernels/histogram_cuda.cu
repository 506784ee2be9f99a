#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"

/*
 * Histograms of the smaller children of a batch. A block takes a piece of one child's rows and a group of columns whose
 * cells fit in its shared memory, adds up there by native integer atomics, and adds what it has to staging once. A
 * thread takes four columns of a row: one word of bins, and the row's gradient, which the threads beside it share.
 *
 *   narrow   three 32-bit sums a cell (12 bytes): 4095 * MOST_ROWS < 2^31
 *   wide     two 64-bit sums and one of 32 (20 bytes)
 *
 * Pieces are large enough that zeroing and flushing the cells costs little beside them, and small enough that all
 * multiprocessors have some.
 */
namespace {

enum { MOST_ROWS = 1 << 18, LEAST_ROWS = 4096, NARROW_CELL = 12, WIDE_CELL = 20, FEW_CELLS = 1024 };

/* The rows of the smaller child of an opening: its rows on this rank lie where part put them. */
struct child_rows {
    const uint32_t *row;
    int64_t n;
};

__device__ inline child_rows rows_of(const ns_cuda_grow &g, const ns_cuda_opening &o)
{
    if (o.node < 0) return {g.row[0], g.node[0].n};
    const ns_cuda_node &parent = g.node[o.node];
    int64_t n_left = (int64_t)o.n_left;
    const uint32_t *row = g.row[1 - parent.buffer] + parent.begin;
    if (o.small == parent.left) return {row, n_left};
    return {row + n_left, parent.n - n_left};
}

__device__ inline bool is_built(const ns_cuda_opening &o)
{
    return o.want_large || o.want_small;
}

/* Rows of a piece, from how many blocks there are for all rows of the batch. */
__device__ inline int64_t piece_rows(const ns_cuda_grow &g, int32_t n_parts)
{
    int64_t n = 0;
    for (int32_t o = 0; o < g.control->n_open; o++)
        if (is_built(g.opening[o])) n += rows_of(g, g.opening[o]).n;
    int64_t even = (n * n_parts + gridDim.x - 1) / gridDim.x;
    int64_t most = MOST_ROWS, least = LEAST_ROWS;
    return even < least ? least : even > most ? most : even;
}

/* One task of a batch: a piece of a child's rows, and a part of the columns. False: there are no more. */
struct task {
    int32_t opening, part;
    child_rows rows;
};

__device__ inline bool find_task(const ns_cuda_grow &g, int64_t index, int64_t rows_each, int32_t n_parts, task *out)
{
    for (int32_t o = 0; o < g.control->n_open; o++) {
        if (!is_built(g.opening[o])) continue;
        child_rows all = rows_of(g, g.opening[o]);
        int64_t n_tasks = (all.n + rows_each - 1) / rows_each * n_parts;
        if (index >= n_tasks) {
            index -= n_tasks;
            continue;
        }
        int64_t first = index / n_parts * rows_each;
        out->opening = o;
        out->part = (int32_t)(index % n_parts);
        out->rows.row = all.row + first;
        out->rows.n = all.n - first < rows_each ? all.n - first : rows_each;
        return true;
    }
    return false;
}

/* Where the four columns of a word have their cells in the group's, -1: not in the tree. */
__device__ inline void find_cells(const ns_cuda_grow &g, const ns_cuda_group &group, int32_t word, int32_t cell[4])
{
#pragma unroll
    for (int c = 0; c < 4; c++) {
        int32_t column = 4 * (group.first_word + word) + c, feature = g.byte_feature[column];
        cell[c] = feature >= 0 && g.in_tree[feature] ? g.byte_cell[column] - group.first_cell : -1;
    }
}

/* Adds what the block has of each column to the planes in staging. */
template <typename GET> __device__ inline void flush(const ns_cuda_grow &g, const ns_cuda_group &group, int32_t opening, GET get)
{
    int64_t *staging = g.staging + (int64_t)opening * 3 * g.n_cells;
    for (int32_t c = 0; c < group.n_columns; c++) {
        int32_t column = 4 * group.first_word + c, feature = g.byte_feature[column];
        if (feature < 0 || !g.in_tree[feature]) continue;
        int32_t n_bins = g.n_bins[feature];
        int64_t *planes = staging + 3 * g.offset[feature];
        for (int32_t b = (int32_t)threadIdx.x; b < n_bins; b += NS_CUDA_THREADS) {
            ns_cell sum = get(g.byte_cell[column] - group.first_cell + b);
            if (sum.n == 0) continue;
            ns_atomic_add(planes + b, sum.g);
            ns_atomic_add(planes + n_bins + b, sum.h);
            ns_atomic_add(planes + 2 * n_bins + b, sum.n);
        }
    }
}

__global__ void __launch_bounds__(NS_CUDA_THREADS) histogram_narrow(ns_cuda_grow g)
{
    NS_DYN_SHARED(int32_t, sums);
    int64_t rows_each = piece_rows(g, g.n_groups);
    task t;
    for (int64_t index = blockIdx.x; find_task(g, index, rows_each, g.n_groups, &t); index += gridDim.x) {
        const ns_cuda_group group = g.group[t.part];
        int32_t *sum_g = sums, *sum_h = sums + group.n_cells, *sum_n = sums + 2 * group.n_cells;
        for (int32_t i = (int32_t)threadIdx.x; i < 3 * group.n_cells; i += NS_CUDA_THREADS) sums[i] = 0;
        __syncthreads();
        int32_t rows_abreast = NS_CUDA_THREADS / group.n_words, mine = (int32_t)threadIdx.x / group.n_words;
        int32_t word = (int32_t)threadIdx.x % group.n_words, cell[4];
        find_cells(g, group, word, cell);
        for (int64_t at = mine < rows_abreast ? mine : t.rows.n; at < t.rows.n; at += rows_abreast) {
            uint32_t row = t.rows.row[at];
            uint32_t bins = g.packed[(int64_t)row * g.row_words + group.first_word + word];
            int32_t gradient = ((const int32_t *)g.word)[row], h = gradient & 4095, q = (gradient - h) / 4096;
#pragma unroll
            for (int c = 0; c < 4; c++) {
                if (cell[c] < 0) continue;
                int32_t at_cell = cell[c] + (int32_t)(bins >> 8 * c & 255u);
                atomicAdd(&sum_g[at_cell], q);
                atomicAdd(&sum_h[at_cell], h);
                atomicAdd(&sum_n[at_cell], 1);
            }
        }
        __syncthreads();
        flush(g, group, t.opening, [=](int32_t i) { return ns_cell{sum_g[i], sum_h[i], sum_n[i]}; });
        __syncthreads();
    }
}

__global__ void __launch_bounds__(NS_CUDA_THREADS) histogram_wide(ns_cuda_grow g)
{
    NS_DYN_SHARED(int64_t, sums);
    int64_t rows_each = piece_rows(g, g.n_groups);
    task t;
    for (int64_t index = blockIdx.x; find_task(g, index, rows_each, g.n_groups, &t); index += gridDim.x) {
        const ns_cuda_group group = g.group[t.part];
        int64_t *sum_g = sums, *sum_h = sums + group.n_cells;
        int32_t *sum_n = (int32_t *)(sums + 2 * group.n_cells);
        for (int32_t i = (int32_t)threadIdx.x; i < group.n_cells; i += NS_CUDA_THREADS) {
            sum_g[i] = sum_h[i] = 0;
            sum_n[i] = 0;
        }
        __syncthreads();
        int32_t rows_abreast = NS_CUDA_THREADS / group.n_words, mine = (int32_t)threadIdx.x / group.n_words;
        int32_t word = (int32_t)threadIdx.x % group.n_words, cell[4];
        find_cells(g, group, word, cell);
        for (int64_t at = mine < rows_abreast ? mine : t.rows.n; at < t.rows.n; at += rows_abreast) {
            uint32_t row = t.rows.row[at];
            uint32_t bins = g.packed[(int64_t)row * g.row_words + group.first_word + word];
            int64_t gradient = ((const int64_t *)g.word)[row], h = gradient & INT64_C(0xffffffff);
            int64_t q = (gradient - h) / (INT64_C(1) << 32);
#pragma unroll
            for (int c = 0; c < 4; c++) {
                if (cell[c] < 0) continue;
                int32_t at_cell = cell[c] + (int32_t)(bins >> 8 * c & 255u);
                ns_atomic_add(&sum_g[at_cell], q);
                ns_atomic_add(&sum_h[at_cell], h);
                atomicAdd(&sum_n[at_cell], 1);
            }
        }
        __syncthreads();
        flush(g, group, t.opening, [=](int32_t i) { return ns_cell{sum_g[i], sum_h[i], sum_n[i]}; });
        __syncthreads();
    }
}

/* Columns of more bins than a byte has: straight to staging. */
__global__ void histogram_columns(ns_cuda_grow g)
{
    int64_t rows_each = piece_rows(g, g.n_wide);
    task t;
    for (int64_t index = blockIdx.x; find_task(g, index, rows_each, g.n_wide, &t); index += gridDim.x) {
        int32_t feature = g.wide_feature[t.part], n_bins = g.n_bins[feature];
        if (!g.in_tree[feature]) continue;
        const uint16_t *column = g.wide + (-1 - (int64_t)g.place[feature]) * g.n_rows;
        int64_t *planes = g.staging + (int64_t)t.opening * 3 * g.n_cells + 3 * g.offset[feature];
        for (int64_t at = threadIdx.x; at < t.rows.n; at += NS_CUDA_THREADS) {
            uint32_t row = t.rows.row[at], bin = column[row];
            int64_t gradient = g.gradients_wide ? ((const int64_t *)g.word)[row] : ((const int32_t *)g.word)[row];
            int64_t h = g.gradients_wide ? gradient & INT64_C(0xffffffff) : gradient & 4095;
            int64_t q = g.gradients_wide ? (gradient - h) / (INT64_C(1) << 32) : (gradient - h) / 4096;
            ns_atomic_add(planes + bin, q);
            ns_atomic_add(planes + n_bins + bin, h);
            ns_atomic_add(planes + 2 * n_bins + bin, 1);
        }
    }
}

} // namespace

extern "C" int32_t ns_cuda_histogram_cells(const ns_cuda *cuda, int gradients_wide)
{
    size_t bytes = ns_cuda_shared_bytes(cuda) / 2 - 2048; /* two blocks to a multiprocessor, and what each takes besides */
    int32_t cells = (int32_t)(bytes / (gradients_wide ? WIDE_CELL : NARROW_CELL)) / 4 * 4;
    return cells > FEW_CELLS ? cells : FEW_CELLS;
}

extern "C" ns_status ns_cuda_histogram(ns_cuda *cuda, const ns_cuda_grow *g)
{
    unsigned n_blocks = (unsigned)ns_cuda_multiprocessors(cuda) * 2;
    size_t shared_bytes = (size_t)ns_cuda_histogram_cells(cuda, g->gradients_wide) * (g->gradients_wide ? WIDE_CELL : NARROW_CELL);
    if (g->n_groups > 0) {
        const void *kernel = g->gradients_wide ? (const void *)histogram_wide : (const void *)histogram_narrow;
        NS_TRY(ns_cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes), "asking for shared memory"));
        if (g->gradients_wide)
            NS_LAUNCH(histogram_wide, n_blocks, NS_CUDA_THREADS, shared_bytes, ns_cuda_stream(cuda), *g);
        else
            NS_LAUNCH(histogram_narrow, n_blocks, NS_CUDA_THREADS, shared_bytes, ns_cuda_stream(cuda), *g);
        NS_TRY(ns_cuda_launched(cuda, "histogram"));
    }
    if (g->n_wide == 0) return NS_OK;
    NS_LAUNCH(histogram_columns, n_blocks * 4, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "histogram_columns");
}
