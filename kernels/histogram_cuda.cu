#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"

/*
 * Histograms of the smaller children of a batch. A block takes a piece of one child's rows and a group of columns whose
 * cells fit in its shared memory, adds up there by native integer atomics, and adds what it has to staging once. A
 * thread takes four columns of a row: one word of bins, and the row's gradient, which the threads beside it share.
 *
 *   narrow   a cell is three sums: g, h, n (12 bytes); 4095 * 2^18 rows < 2^31
 *   wide     five: g and h in two halves each (20 bytes); (2^16 - 1) * 2^16 rows < 2^32
 *
 * All have 32 bits: shared memory adds those natively, 64 bits only by comparing and trying again.
 *
 * Pieces are large enough that zeroing and flushing the cells costs little beside them, and small enough that all
 * multiprocessors have some.
 */
namespace {

enum { LEAST_ROWS = 4096, MOST_ROWS = 1 << 18, FEW_CELLS = 1024 };

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
__device__ inline int64_t piece_rows(const ns_cuda_grow &g, int32_t n_parts, int64_t most)
{
    int64_t n = 0;
    for (int32_t o = 0; o < g.control->n_open; o++)
        if (is_built(g.opening[o])) n += rows_of(g, g.opening[o]).n;
    int64_t even = (n * n_parts + gridDim.x - 1) / gridDim.x;
    int64_t least = LEAST_ROWS;
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

/* The rounded gradient of a row as round_gradients packs it: WORD is int32_t where gradients are narrow, int64_t where wide. */
template <typename WORD> struct gradient {
    WORD g, h;
};

template <typename WORD> __device__ inline gradient<WORD> gradient_of(const ns_cuda_grow &g, uint32_t row)
{
    constexpr int BITS = sizeof(WORD) == sizeof(int64_t) ? 32 : 12;
    constexpr WORD UNIT = (WORD)1 << BITS;
    WORD word = ((const WORD *)g.word)[row], h = word & (UNIT - 1);
    return {(WORD)((word - h) / UNIT), h};
}

/* Cells in shared memory: planes of n_cells sums each, so that neighbours in a plane are neighbours in its banks. */
template <typename WORD> struct cells;

template <> struct cells<int32_t> {
    enum { PLANES = 3, MOST = MOST_ROWS };
    int32_t *sum, n_cells;
    __device__ void add(int32_t cell, const gradient<int32_t> &x) const
    {
        atomicAdd(&sum[cell], x.g);
        atomicAdd(&sum[n_cells + cell], x.h);
        atomicAdd(&sum[2 * n_cells + cell], 1);
    }
    __device__ ns_cell at(int32_t cell) const
    {
        return {sum[cell], sum[n_cells + cell], sum[2 * n_cells + cell]};
    }
};

/* |g| < 2^30 in a signed upper half and 16 bits, 0 <= h < 2^24 in 12 and 12. */
template <> struct cells<int64_t> {
    enum { PLANES = 5, MOST = 1 << 16 };
    int32_t *sum, n_cells;
    __device__ void add(int32_t cell, const gradient<int64_t> &x) const
    {
        int32_t g = (int32_t)x.g, h = (int32_t)x.h, low = g & 0xffff;
        atomicAdd(&sum[cell], (g - low) / 65536);
        atomicAdd((uint32_t *)&sum[n_cells + cell], (uint32_t)low);
        atomicAdd(&sum[2 * n_cells + cell], h >> 12);
        atomicAdd(&sum[3 * n_cells + cell], h & 4095);
        atomicAdd(&sum[4 * n_cells + cell], 1);
    }
    __device__ ns_cell at(int32_t cell) const
    {
        int64_t g = (int64_t)sum[cell] * 65536 + (uint32_t)sum[n_cells + cell];
        return {g, (int64_t)sum[2 * n_cells + cell] * 4096 + sum[3 * n_cells + cell], sum[4 * n_cells + cell]};
    }
};

template <typename WORD> __global__ void __launch_bounds__(NS_CUDA_THREADS) histogram(ns_cuda_grow g)
{
    NS_DYN_SHARED(int32_t, sums);
    int64_t rows_each = piece_rows(g, g.n_groups, cells<WORD>::MOST);
    task t;
    for (int64_t index = blockIdx.x; find_task(g, index, rows_each, g.n_groups, &t); index += gridDim.x) {
        const ns_cuda_group group = g.group[t.part];
        const cells<WORD> own = {sums, group.n_cells};
        for (int32_t i = (int32_t)threadIdx.x; i < cells<WORD>::PLANES * group.n_cells; i += NS_CUDA_THREADS) sums[i] = 0;
        __syncthreads();
        int32_t rows_abreast = NS_CUDA_THREADS / group.n_words, mine = (int32_t)threadIdx.x / group.n_words;
        int32_t word = (int32_t)threadIdx.x % group.n_words, cell[4];
        find_cells(g, group, word, cell);
        for (int64_t at = mine < rows_abreast ? mine : t.rows.n; at < t.rows.n; at += rows_abreast) {
            uint32_t row = t.rows.row[at];
            uint32_t bins = g.packed[(int64_t)row * g.row_words + group.first_word + word];
            gradient<WORD> x = gradient_of<WORD>(g, row);
#pragma unroll
            for (int c = 0; c < 4; c++)
                if (cell[c] >= 0) own.add(cell[c] + (int32_t)(bins >> 8 * c & 255u), x);
        }
        __syncthreads();
        flush(g, group, t.opening, [=](int32_t i) { return own.at(i); });
        __syncthreads();
    }
}

/* Columns of more bins than a byte has: straight to staging. */
template <typename WORD> __global__ void histogram_columns(ns_cuda_grow g)
{
    int64_t rows_each = piece_rows(g, g.n_wide, MOST_ROWS);
    task t;
    for (int64_t index = blockIdx.x; find_task(g, index, rows_each, g.n_wide, &t); index += gridDim.x) {
        int32_t feature = g.wide_feature[t.part], n_bins = g.n_bins[feature];
        if (!g.in_tree[feature]) continue;
        const uint16_t *column = g.wide + (-1 - (int64_t)g.place[feature]) * g.n_rows;
        int64_t *planes = g.staging + (int64_t)t.opening * 3 * g.n_cells + 3 * g.offset[feature];
        for (int64_t at = threadIdx.x; at < t.rows.n; at += NS_CUDA_THREADS) {
            uint32_t row = t.rows.row[at], bin = column[row];
            gradient<WORD> own = gradient_of<WORD>(g, row);
            ns_atomic_add(planes + bin, own.g);
            ns_atomic_add(planes + n_bins + bin, own.h);
            ns_atomic_add(planes + 2 * n_bins + bin, 1);
        }
    }
}

size_t cell_bytes(int gradients_wide)
{
    return sizeof(int32_t) * (gradients_wide ? (size_t)cells<int64_t>::PLANES : (size_t)cells<int32_t>::PLANES);
}

} // namespace

extern "C" int32_t ns_cuda_histogram_cells(const ns_cuda *cuda, int gradients_wide)
{
    size_t bytes = ns_cuda_shared_bytes(cuda) / 2 - 2048; /* two blocks to a multiprocessor, and what each takes besides */
    int32_t most = (int32_t)(bytes / cell_bytes(gradients_wide)) / 4 * 4;
    return most > FEW_CELLS ? most : FEW_CELLS;
}

extern "C" ns_status ns_cuda_histogram(ns_cuda *cuda, const ns_cuda_grow *g)
{
    unsigned n_blocks = (unsigned)ns_cuda_multiprocessors(cuda) * 2;
    size_t shared_bytes = (size_t)ns_cuda_histogram_cells(cuda, g->gradients_wide) * cell_bytes(g->gradients_wide);
    if (g->n_groups > 0) {
        const void *kernel = g->gradients_wide ? (const void *)histogram<int64_t> : (const void *)histogram<int32_t>;
        NS_TRY(ns_cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes), "asking for shared memory"));
        if (g->gradients_wide)
            NS_LAUNCH((histogram<int64_t>), n_blocks, NS_CUDA_THREADS, shared_bytes, ns_cuda_stream(cuda), *g);
        else
            NS_LAUNCH((histogram<int32_t>), n_blocks, NS_CUDA_THREADS, shared_bytes, ns_cuda_stream(cuda), *g);
        NS_TRY(ns_cuda_launched(cuda, "histogram"));
    }
    if (g->n_wide == 0) return NS_OK;
    if (g->gradients_wide)
        NS_LAUNCH((histogram_columns<int64_t>), n_blocks * 4, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    else
        NS_LAUNCH((histogram_columns<int32_t>), n_blocks * 4, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "histogram_columns");
}
