#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"

/*
 * The finished tree: nodes that best-first chose and their children, in preorder, by one block. Depths part the nodes into levels,
 * with a barrier between them: a few tens of levels of a few hundred nodes, where one thread alone would wait for memory node by node.
 */
namespace {

__device__ inline void write_node(const ns_cuda_grow &g, int32_t place)
{
    int32_t index = g.at_place[place];
    const ns_cuda_node *node = &g.node[index];
    ns_node *to = &g.tree[place];
    g.depth[place] = node->depth;
    *to = ns_node{-1, 0, 0, -1, 0, 0, 0.0, 0};
    if (!node->is_chosen) return;
    int32_t feature = node->split.feature;
    to->feature = feature;
    to->gain = node->split.gain;
    to->right = g.node[node->right].place;
    if (g.kind[feature] == NS_NUMBER) {
        to->threshold = node->split.threshold;
        to->missing_left = node->split.missing_left;
        return;
    }
    const uint32_t *set = g.set + (int64_t)index * g.words_per_set;
    to->missing_left = (int32_t)(set[0] & 1);
    to->set = g.set_at_place[place];
    for (int32_t w = 0; w < (g.n_bins[feature] + 31) / 32; w++) g.tree_sets[to->set + w] = set[w];
}

/* Nodes below each, level by level from the lowest up; *lowest: its depth. Ends with a barrier. */
__device__ inline void size_subtrees(const ns_cuda_grow &g, int32_t n_nodes, int32_t *lowest)
{
    int64_t depth = 0;
    for (int32_t i = (int32_t)threadIdx.x; i < n_nodes; i += NS_CUDA_THREADS) depth = g.node[i].depth > depth ? g.node[i].depth : depth;
    *lowest = (int32_t)ns_block_max(depth);
    for (int32_t d = *lowest; d >= 0; d--) {
        for (int32_t i = (int32_t)threadIdx.x; i < n_nodes; i += NS_CUDA_THREADS) {
            ns_cuda_node *node = &g.node[i];
            if (node->depth == d && node->is_chosen) node->size = 1 + g.node[node->left].size + g.node[node->right].size;
        }
        __syncthreads();
    }
}

/* One node's place in the finished tree, once its parent has one. Whether it is in the tree: best-first may not have chosen its parent. */
__device__ inline bool place_node(const ns_cuda_grow &g, int32_t i)
{
    ns_cuda_node *node = &g.node[i];
    if (node->parent < 0) {
        node->place = 0;
    } else {
        const ns_cuda_node *parent = &g.node[node->parent];
        node->place = !parent->is_chosen ? parent->place : parent->left == i ? parent->place + 1 : parent->place + 1 + g.node[parent->left].size;
        if (!parent->is_chosen) return false;
    }
    g.at_place[node->place] = i;
    return true;
}

/* Preorder: sizes from the lowest level up, then places from the root down. */
__device__ inline void place_nodes(const ns_cuda_grow &g, ns_cuda_control *c)
{
    int32_t n_nodes = c->n_nodes, lowest;
    int64_t n_leaves = 0, deepest = 0;
    size_subtrees(g, n_nodes, &lowest);
    for (int32_t d = 0; d <= lowest; d++) {
        for (int32_t i = (int32_t)threadIdx.x; i < n_nodes; i += NS_CUDA_THREADS) {
            if (g.node[i].depth != d || !place_node(g, i)) continue;
            n_leaves += !g.node[i].is_chosen;
            deepest = d;
        }
        __syncthreads();
    }
    n_leaves = ns_block_sum(n_leaves);
    deepest = ns_block_max(deepest);
    if (threadIdx.x != 0) return;
    c->n_leaves = (int32_t)n_leaves;
    c->deepest = (int32_t)deepest;
    c->n_tree_nodes = g.node[0].size;
}

/* Sets lie in the order of their nodes' places. Returns the words of all. */
__device__ inline int64_t place_sets(const ns_cuda_grow &g, int32_t n_tree_nodes)
{
    int64_t carried = 0, here;
    for (int32_t from = 0; from < n_tree_nodes; from += NS_CUDA_THREADS) {
        int32_t p = from + (int32_t)threadIdx.x;
        int64_t n_words = 0;
        if (p < n_tree_nodes) {
            const ns_cuda_node *node = &g.node[g.at_place[p]];
            if (node->is_chosen && g.kind[node->split.feature] == NS_CATEGORY) n_words = (g.n_bins[node->split.feature] + 31) / 32;
        }
        int64_t begin = carried + ns_block_before(n_words, &here);
        carried += here;
        if (p < n_tree_nodes) g.set_at_place[p] = n_words > 0 ? (int32_t)begin : -1;
    }
    return carried;
}

__global__ void finish(ns_cuda_grow g)
{
    place_nodes(g, g.control);
    __syncthreads();
    int32_t n_tree_nodes = g.control->n_tree_nodes;
    int64_t n_set_words = place_sets(g, n_tree_nodes);
    if (threadIdx.x == 0) g.control->n_set_words = n_set_words;
    for (int32_t p = (int32_t)threadIdx.x; p < n_tree_nodes; p += NS_CUDA_THREADS) write_node(g, p); /* whose set this thread placed */
}

} // namespace

extern "C" ns_status ns_cuda_finish(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(finish, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "finish");
}
