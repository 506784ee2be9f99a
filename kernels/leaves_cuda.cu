#include "kernels/cuda_block.h"
#include "kernels/cuda_leaves.h"
#include "kernels/numerics.h"

/*
 * A few hundred nodes, so one block. Nodes lie in preorder: a subtree's leaves are neighbours, and its sum is the difference
 * of two running sums, exact in integers. Only with monotone constraints do inner nodes' steps matter; then a barrier parts the
 * levels, from the lowest up for means, from the root down for bounds.
 */
namespace {

/* The node behind the subtree of i. */
__device__ inline int32_t end_of(const ns_node *tree, int32_t i)
{
    while (tree[i].feature >= 0) i = tree[i].right;
    return i + 1;
}

/* Sums of the leaves before each node. */
__device__ inline void sum_before(const ns_cuda_leaves &l, int32_t n)
{
    ns_cell carried = {0, 0, 0}, all;
    for (int32_t from = 0; from < n; from += NS_CUDA_THREADS) {
        int32_t i = from + (int32_t)threadIdx.x;
        bool is_leaf = i < n && l.tree[i].feature < 0;
        ns_cell own = is_leaf ? l.sums[i] : ns_cell{0, 0, 0}, before;
        before.g = carried.g + ns_block_before(own.g, &all.g);
        before.h = carried.h + ns_block_before(own.h, &all.h);
        before.n = carried.n + ns_block_before(own.n, &all.n);
        if (i < n) l.before[i] = before;
        carried = {carried.g + all.g, carried.h + all.h, carried.n + all.n};
    }
    if (threadIdx.x == 0) l.before[n] = carried;
    __syncthreads();
}

__device__ inline double step_of(const ns_cuda_leaves &l, int32_t i, const ns_cell *sum)
{
    if (l.found == NULL) return ns_leaf_step(sum, &l.turn->leaf, &l.rule);
    if (l.tree[i].feature >= 0) return 0.0; /* average_upwards */
    ns_cuda_quantile found = l.found[l.leaf_number[i]];
    return l.rule.learning_rate * (found.target > 0 ? (double)ns_value_of_key(found.prefix) : 0.0);
}

/* The lowest level is of leaves: nothing is read before its barrier. */
__device__ inline void average_upwards(const ns_cuda_leaves &l, int32_t n)
{
    for (int32_t depth = l.control->deepest; depth >= 0; depth--) {
        for (int32_t i = (int32_t)threadIdx.x; i < n; i += NS_CUDA_THREADS) {
            int32_t left = i + 1, right = l.tree[i].right;
            if (l.depth[i] != depth || l.tree[i].feature < 0) continue;
            l.step[i] = ns_leaf_mean(l.step[left], l.sums[left].n, l.step[right], l.sums[right].n);
        }
        __syncthreads();
    }
}

__device__ inline void bound_downwards(const ns_cuda_leaves &l, int32_t n)
{
    if (threadIdx.x == 0) l.bounds[0] = ns_leaf_no_bounds();
    for (int32_t depth = 0; depth <= l.control->deepest; depth++) {
        __syncthreads();
        for (int32_t i = (int32_t)threadIdx.x; i < n; i += NS_CUDA_THREADS)
            if (l.depth[i] == depth) ns_leaf_bound_node(l.tree, i, l.monotone, l.n_bins, l.bounds, l.step);
    }
}

__global__ void fill_leaves(ns_cuda_leaves l)
{
    int32_t n = l.control->n_tree_nodes;
    sum_before(l, n);
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += NS_CUDA_THREADS) {
        ns_cell first = l.before[i], last = l.before[end_of(l.tree, i)];
        ns_cell sum = {last.g - first.g, last.h - first.h, last.n - first.n};
        l.sums[i] = sum;
        l.step[i] = step_of(l, i, &sum);
    }
    /* Others' steps are read after the barriers of these two; a thread has the same nodes in each of the loops. */
    if (l.monotone != NULL && l.found != NULL) average_upwards(l, n);
    if (l.monotone != NULL) bound_downwards(l, n);
    for (int32_t i = (int32_t)threadIdx.x; i < n; i += NS_CUDA_THREADS) {
        int32_t value = l.tree[i].feature < 0 ? ns_leaf_units(l.step[i], l.k) : 0;
        l.value[i] = value;
        l.tree[i].leaf = value;
        l.tree[i].n_rows = l.sums[i].n;
    }
}

/* --- quantiles ------------------------------------------------------------------------------------------------------ */

__global__ void number_leaves(ns_cuda_leaves l)
{
    int32_t n = l.control->n_tree_nodes;
    int64_t carried = 0, here;
    for (int32_t from = 0; from < n; from += NS_CUDA_THREADS) {
        int32_t i = from + (int32_t)threadIdx.x;
        bool is_leaf = i < n && l.tree[i].feature < 0;
        int64_t number = carried + ns_block_before(is_leaf, &here);
        carried += here;
        if (i < n) l.leaf_number[i] = is_leaf ? (int32_t)number : -1;
        if (is_leaf) l.found[number] = {0, 0};
    }
}

/* A block to a leaf: the bin in which its weights reach the target. */
__global__ void residual_narrow(ns_cuda_residual_step s, double quantile)
{
    int32_t number = s.first + (int32_t)blockIdx.x, each = (1 << s.bits) / NS_CUDA_THREADS, bin = (int32_t)threadIdx.x * each;
    if (number >= *s.n_leaves) return;
    ns_cuda_quantile *found = &s.found[number];
    const int64_t *bins = s.table + ((int64_t)blockIdx.x << s.bits);
    int64_t own = 0, total;
    for (int32_t b = 0; b < each; b++) own += bins[bin + b];
    int64_t before = ns_block_before(own, &total);
    int64_t target = s.shift + s.bits == 32 ? ns_residual_target(total, quantile) : found->target;
    __syncthreads(); /* all have read it */
    if (target <= before || target > before + own) return; /* without weight the target is 0, and stays */
    target -= before;
    for (; bins[bin] < target; bin++) target -= bins[bin];
    found->target = target;
    found->prefix = found->prefix << s.bits | (uint32_t)bin;
}

} // namespace

extern "C" ns_status ns_cuda_number_leaves(ns_cuda *cuda, const ns_cuda_leaves *leaves)
{
    NS_LAUNCH(number_leaves, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *leaves);
    return ns_cuda_launched(cuda, "number_leaves");
}

extern "C" ns_status ns_cuda_residual_narrow(ns_cuda *cuda, const ns_cuda_residual_step *step, double quantile)
{
    NS_LAUNCH(residual_narrow, NS_RESIDUAL_GROUPS, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *step, quantile);
    return ns_cuda_launched(cuda, "residual_narrow");
}

extern "C" ns_status ns_cuda_fill_leaves(ns_cuda *cuda, const ns_cuda_leaves *leaves)
{
    NS_LAUNCH(fill_leaves, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *leaves);
    return ns_cuda_launched(cuda, "fill_leaves");
}
