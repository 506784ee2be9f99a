#include "kernels/cuda_prepare.h"
#include "kernels/numerics.h"

/*
 * Counts the keys of a column in the tables that a pass asks for: one table of 4,096 counters, then tables of 1,024 for
 * the prefixes that hold a wanted rank, some tens in the second step and about 255 in the third. A block takes a piece of
 * the rows and a group of tables that fit in its shared memory, finds each key's table by bisection among its group's
 * prefixes, counts there by native atomics, and adds what it has to the tables once.
 *
 * Bound by reading: 255 tables are ten groups, so a column of 10,000,000 floats is read ten times, 400 MB or 0.1 ms, and
 * 50 columns in three passes take about 8 ms. Sorting the column instead reads and writes it eight times. Where values are
 * few, clearing and flushing 1,024 counters for each table would take longer than counting: blocks then add to the tables at
 * once, whose rows are seldom the same.
 */
namespace {

/* The first of n ascending prefixes that is not below `wanted`, n: none. */
__device__ inline int32_t find_prefix(const uint32_t *prefix, int32_t n, uint32_t wanted)
{
    int32_t first = 0;
    while (n > 0) {
        int32_t half = n / 2;
        bool is_after = prefix[first + half] < wanted;
        first = is_after ? first + half + 1 : first;
        n = is_after ? n - half - 1 : half;
    }
    return first;
}

/* Shared: the prefixes of the group, then its counters unless is_few. Tables [first, first + n_mine) of the step. */
__global__ void __launch_bounds__(NS_CUDA_THREADS) count_keys(ns_cuda_counting c, int32_t tables_each, int32_t n_groups, int is_few)
{
    NS_DYN_SHARED(uint32_t, shared);
    int32_t group = (int32_t)blockIdx.x % n_groups, first = group * tables_each;
    int32_t n_mine = c.n_tables - first < tables_each ? (int32_t)c.n_tables - first : tables_each, n_counters = is_few ? 0 : n_mine << c.bits;
    uint32_t *prefix = shared, *count = is_few ? c.count : shared + tables_each;
    for (int32_t i = (int32_t)threadIdx.x; i < n_mine; i += NS_CUDA_THREADS) prefix[i] = c.prefix[first + i];
    for (int32_t i = (int32_t)threadIdx.x; i < n_counters; i += NS_CUDA_THREADS) count[i] = 0;
    __syncthreads();
    int64_t n_pieces = gridDim.x / (unsigned)n_groups, piece = blockIdx.x / (unsigned)n_groups;
    uint32_t mask = (UINT32_C(1) << c.bits) - 1;
    for (int64_t i = piece * NS_CUDA_THREADS + threadIdx.x; i < c.n; i += n_pieces * NS_CUDA_THREADS) {
        float value = c.value[i];
        if (value != value) continue;
        uint32_t key = ns_key_of(value), wanted = (uint32_t)((uint64_t)key >> (c.shift + c.bits));
        int32_t t = find_prefix(prefix, n_mine, wanted);
        if (t == n_mine || prefix[t] != wanted) continue;
        int64_t table = is_few ? c.index[first + t] : t;
        atomicAdd(&count[(table << c.bits) + (key >> c.shift & mask)], 1u);
    }
    __syncthreads();
    for (int32_t i = (int32_t)threadIdx.x; i < n_counters; i += NS_CUDA_THREADS) {
        if (count[i] == 0) continue;
        int64_t table = c.index[first + (i >> c.bits)];
        atomicAdd(&c.count[(table << c.bits) + ((uint32_t)i & mask)], count[i]);
    }
}

} // namespace

extern "C" ns_status ns_cuda_count(ns_cuda *cuda, const ns_cuda_counting *step)
{
    if (step->n == 0 || step->n_tables == 0) return NS_OK;
    bool is_few = step->n < NS_CUDA_FEW_VALUES;
    size_t room = ns_cuda_shared_bytes(cuda) / 2 - 2048; /* two blocks to a multiprocessor, and what each takes besides */
    size_t table_bytes = sizeof(uint32_t) * (is_few ? 1 : 1 + ((size_t)1 << step->bits));
    int64_t fit = (int64_t)(room / table_bytes), each = step->n_tables < fit ? step->n_tables : fit;
    int64_t n_groups = (step->n_tables + each - 1) / each, blocks = (int64_t)ns_cuda_multiprocessors(cuda) * 2;
    int64_t n_pieces = blocks / n_groups, most = (step->n + NS_CUDA_THREADS - 1) / NS_CUDA_THREADS;
    n_pieces = n_pieces < 1 ? 1 : n_pieces > most ? most : n_pieces;
    size_t shared_bytes = (size_t)each * table_bytes;
    NS_TRY(ns_cuda_check(cudaFuncSetAttribute((const void *)count_keys, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes),
                         "asking for shared memory"));
    NS_LAUNCH(count_keys, (unsigned)(n_groups * n_pieces), NS_CUDA_THREADS, shared_bytes, ns_cuda_stream(cuda), *step, (int32_t)each,
              (int32_t)n_groups, (int)is_few);
    return ns_cuda_launched(cuda, "count_keys");
}
