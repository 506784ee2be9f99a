#include "kernels/cuda_block.h"
#include "kernels/cuda_tree.h"
#include "kernels/numerics.h"
#include "kernels/philox.h"

#include <math.h>

/*
 * Which leaves are opened, by one block. Best-first is replayed over what is known: the best leaf of the strict tree is
 * chosen as long as it has been opened; the first that has not been is opened next, with the best others. All threads look
 * for the best among the nodes; ties go by path, which is walked only then. See grow_cpu.c for the budget.
 */
namespace {

/* --- the columns of trees and nodes --------------------------------------------------------------------------------- */

/* out[i] = 1 for the max(1, floor(fraction n + 0.5)) of the n columns with from[i] != 0 (NULL: all) that have the
   smallest (word of the stream, column), else 0; how many they are. out is not from. */
__device__ inline int32_t sample_columns(const ns_stream *stream, const uint8_t *from, int32_t n_features, int32_t n, double fraction,
                                         uint8_t *out)
{
    int32_t wanted = ns_floor_i32(fraction * (double)n + 0.5);
    wanted = wanted < 1 ? 1 : wanted > n ? n : wanted;
    for (int32_t f = (int32_t)threadIdx.x; f < n_features; f += NS_CUDA_THREADS) {
        bool is_in = from == NULL || from[f] != 0;
        int32_t before = 0;
        uint32_t own = ns_stream_word(stream, (uint64_t)f);
        for (int32_t other = 0; is_in && wanted < n && other < n_features; other++) {
            if (from != NULL && from[other] == 0) continue;
            uint32_t word = ns_stream_word(stream, (uint64_t)other);
            before += word < own || (word == own && other < f);
        }
        out[f] = is_in && before < wanted;
    }
    return n_features == 0 ? 0 : wanted;
}

/* A block to a child. */
__global__ void allow(ns_cuda_grow g)
{
    int32_t child = (int32_t)blockIdx.x, o = child / 2;
    if (o >= g.control->n_open) return;
    int32_t index = child % 2 == 0 ? g.opening[o].small : g.opening[o].large;
    if (index < 0) return; /* the root's own look */
    const ns_cuda_node *node = &g.node[index];
    ns_stream tree = ns_stream_of(g.seed, NS_RANDOM_COLUMNS_NODE, g.turn->round, g.turn->output), own = ns_stream_within(&tree, node->path);
    (void)sample_columns(&own, g.in_tree, g.n_features, g.control->n_columns, g.column_sample_node, g.may + (int64_t)child * g.n_features);
}

/* --- nodes ---------------------------------------------------------------------------------------------------------- */

__device__ inline bool can_be_split(const ns_cuda_grow &g, const ns_cuda_node *node)
{
    int64_t least = g.rule.min_rows > 1 ? g.rule.min_rows : 1;
    return node->total.n >= 2 * least && (g.max_depth == 0 || node->depth < g.max_depth) && g.control->n_columns > 0;
}

__device__ inline void clear_node(ns_cuda_node *node)
{
    node->left = node->right = -1;
    node->slot = -1;
    node->split.feature = -1;
    node->place = -1;
    node->size = 1;
    node->is_chosen = 0;
}

__global__ void begin_tree(ns_cuda_grow g)
{
    ns_cuda_control *c = g.control;
    ns_stream stream = ns_stream_of(g.seed, NS_RANDOM_COLUMNS_TREE, g.turn->round, g.turn->output);
    int32_t n_columns = sample_columns(&stream, NULL, g.n_features, g.n_features, g.column_sample, g.in_tree);
    for (int64_t s = threadIdx.x; s < g.n_slots; s += NS_CUDA_THREADS) g.free_slot[s] = g.n_slots - 1 - s;
    for (int64_t i = threadIdx.x; i < 3 * g.n_cells; i += NS_CUDA_THREADS) g.staging[i] = 0;
    if (threadIdx.x != 0) return;
    c->is_done = 0;
    c->n_nodes = 1;
    c->n_openings = 0;
    c->left = g.max_splits;
    c->n_open = n_columns > 0;
    c->looks = 1;
    c->n_columns = n_columns;
    c->n_chunks = 0;
    c->n_free = g.n_slots;
    c->histogram_rows = c->parted_rows = 0;
    ns_cuda_node *root = &g.node[0];
    clear_node(root);
    root->parent = -1;
    root->depth = 0;
    root->path = 1;
    root->begin = 0;
    root->n = g.turn->n_grown;
    root->total = {0, 0, 0};
    root->bounds = {-INFINITY, INFINITY};
    root->buffer = 0;
    ns_cuda_opening *o = &g.opening[0]; /* the root's own look */
    o->node = o->large = -1;
    o->small = 0;
    o->want_small = 1;
    o->want_large = 0;
    o->n_left = o->n_right = 0;
}

/* The root's sums: every row is in one bin of the first column. Then it is known whether to look at all. */
__global__ void total_root(ns_cuda_grow g)
{
    int32_t first = 0;
    if (g.control->n_open == 0) return;
    while (!g.in_tree[first]) first++;
    int64_t *planes = g.staging + 3 * g.offset[first];
    int32_t n_bins = g.n_bins[first];
    ns_cell sum = {0, 0, 0};
    for (int32_t b = (int32_t)threadIdx.x; b < n_bins; b += NS_CUDA_THREADS) {
        sum.g += planes[b];
        sum.h += planes[n_bins + b];
        sum.n += planes[2 * n_bins + b];
    }
    sum = ns_block_sum_cell(sum);
    if (threadIdx.x != 0) return;
    g.node[0].total = sum;
    g.control->histogram_rows = sum.n;
    if (can_be_split(g, &g.node[0]))
        g.node[0].slot = g.free_slot[--g.control->n_free];
    else
        g.opening[0].want_small = 0;
}

/* --- best-first ----------------------------------------------------------------------------------------------------- */

/* The smaller path: by depth; at one depth the one that is left of the other where they part. */
__device__ inline bool is_before(const ns_cuda_node *node, int32_t a, int32_t b)
{
    if (node[a].depth != node[b].depth) return node[a].depth < node[b].depth;
    if (a == b) return false;
    while (node[a].parent != node[b].parent) {
        a = node[a].parent;
        b = node[b].parent;
    }
    return node[node[a].parent].left == a;
}

/* Whether node a is to be preferred to b; -1 is nobody. */
__device__ inline bool is_preferred(const ns_cuda_node *node, int32_t a, int32_t b)
{
    if (a < 0 || b < 0) return a >= 0 && b < 0;
    if (node[a].split.gain != node[b].split.gain) return node[a].split.gain > node[b].split.gain;
    return is_before(node, a, b);
}

/* The best leaf of the strict tree, -1: none can be split. Between two calls there is a barrier. */
__device__ inline int32_t best_leaf(const ns_cuda_grow &g, int32_t n_nodes)
{
    NS_SHARED(int32_t, of_warp, [NS_CUDA_WARPS]);
    int32_t best = -1;
    for (int32_t i = (int32_t)threadIdx.x; i < n_nodes; i += NS_CUDA_THREADS) {
        const ns_cuda_node *node = &g.node[i];
        bool is_leaf = !node->is_chosen && node->split.feature >= 0 && (node->parent < 0 || g.node[node->parent].is_chosen);
        if (is_leaf && is_preferred(g.node, i, best)) best = i;
    }
    for (int d = 16; d > 0; d /= 2) {
        int32_t other = __shfl_xor_sync(0xffffffffu, best, d);
        if (is_preferred(g.node, other, best)) best = other;
    }
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = best;
    __syncthreads();
    for (int w = 0; w < NS_CUDA_WARPS; w++)
        if (is_preferred(g.node, of_warp[w], best)) best = of_warp[w];
    return best;
}

/* Leaves that were looked at and cannot be split give their histograms back; rows of the last batch's children are
   where part put them. By one thread. */
__device__ inline void close_batch(const ns_cuda_grow &g, ns_cuda_control *c)
{
    for (int32_t i = 0; i < c->n_open; i++) {
        const ns_cuda_opening *o = &g.opening[i];
        const int32_t children[2] = {o->small, o->large};
        for (int k = 0; k < 2; k++) {
            if (children[k] < 0) continue;
            ns_cuda_node *node = &g.node[children[k]];
            if (node->slot >= 0 && node->split.feature < 0) {
                g.free_slot[c->n_free++] = node->slot;
                node->slot = -1;
            }
        }
        if (o->node < 0) continue;
        const ns_cuda_node *parent = &g.node[o->node];
        ns_cuda_node *left = &g.node[parent->left], *right = &g.node[parent->right];
        left->begin = parent->begin;
        left->n = (int64_t)o->n_left;
        right->begin = parent->begin + left->n;
        right->n = parent->n - left->n;
    }
}

__device__ inline double value_of(const ns_cuda_grow &g, const ns_split_bounds &bounds, const ns_cell &sum)
{
    double s = (double)sum.g * g.turn->unit_g, h = (double)sum.h * g.turn->unit_h, l1 = g.rule.l1, below = h + g.rule.l2;
    double shrunk = s > l1 ? s - l1 : s < -l1 ? s + l1 : 0.0;
    return ns_clamp(below > 0.0 ? -shrunk / below : 0.0, bounds.lower, bounds.upper);
}

/* Bounds of the children of a split by a constrained feature meet in the middle of their values (kernels/split.h). */
__device__ inline void bound_children(const ns_cuda_grow &g, const ns_cuda_node *node)
{
    ns_cuda_node *left = &g.node[node->left], *right = &g.node[node->right];
    left->bounds = right->bounds = node->bounds;
    int32_t feature = node->split.feature;
    if (!g.is_bounded || g.monotone[feature] == 0 || node->split.threshold == g.n_bins[feature] - 1) return;
    double middle = 0.5 * value_of(g, node->bounds, left->total) + 0.5 * value_of(g, node->bounds, right->total);
    bool rises = g.monotone[feature] > 0;
    *(rises ? &left->bounds.upper : &left->bounds.lower) = middle;
    *(rises ? &right->bounds.lower : &right->bounds.upper) = middle;
}

__device__ inline void add_children(const ns_cuda_grow &g, ns_cuda_opening *o, int32_t first)
{
    ns_cuda_node *node = &g.node[o->node];
    for (int right = 0; right < 2; right++) {
        ns_cuda_node *child = &g.node[first + right];
        clear_node(child);
        child->parent = o->node;
        child->depth = node->depth + 1;
        child->path = ns_path_hash(node->path, right);
        child->buffer = (int8_t)(1 - node->buffer);
        child->begin = child->n = 0; /* once part has counted: close_batch */
    }
    node->left = first;
    node->right = first + 1;
    ns_cuda_node *left = &g.node[first], *right = &g.node[first + 1];
    left->total = node->split.left;
    right->total = {node->total.g - left->total.g, node->total.h - left->total.h, node->total.n - left->total.n};
    bound_children(g, node);
    bool left_is_small = left->total.n <= right->total.n;
    o->small = left_is_small ? first : first + 1;
    o->large = left_is_small ? first + 1 : first;
    o->n_left = o->n_right = 0;
    o->want_small = can_be_split(g, &g.node[o->small]);
    o->want_large = can_be_split(g, &g.node[o->large]);
}

/* Histograms of the children; by one thread. The larger child's takes its parent's place. */
__device__ inline void take_slots(const ns_cuda_grow &g, ns_cuda_control *c)
{
    for (int32_t i = 0; i < c->n_open; i++) {
        const ns_cuda_opening *o = &g.opening[i];
        ns_cuda_node *parent = &g.node[o->node];
        if (o->want_large && c->looks)
            g.node[o->large].slot = parent->slot;
        else
            g.free_slot[c->n_free++] = parent->slot;
        parent->slot = -1;
    }
    for (int32_t i = 0; i < c->n_open; i++)
        if (g.opening[i].want_small && c->looks) g.node[g.opening[i].small].slot = g.free_slot[--c->n_free];
}

/* How many leaves this step opens. */
__device__ inline int32_t batch_now(const ns_cuda_grow &g, const ns_cuda_control *c)
{
    int32_t n = g.batch, budget = g.max_openings - c->n_openings - c->left + 1;
    n = n < budget ? n : budget;
    n = n < c->left - 1 ? n : c->left - 1; /* the last split needs no opening */
    return n > 1 ? n : 1;
}

/* The leaves to open: `first`, then the best others, each in the place that its rank among them gives it. */
__device__ inline void pick(const ns_cuda_grow &g, int32_t n_nodes, int32_t first, int32_t n)
{
    for (int32_t i = (int32_t)threadIdx.x; i < n_nodes && n > 1; i += NS_CUDA_THREADS) {
        if (i == first || g.node[i].split.feature < 0 || g.node[i].left >= 0) continue;
        int32_t place = 1;
        for (int32_t j = 0; j < n_nodes && place < n; j++)
            if (j != first && j != i && g.node[j].split.feature >= 0 && g.node[j].left < 0) place += is_preferred(g.node, j, i);
        if (place >= n) continue;
        g.opening[place].node = i;
        atomicAdd(&g.control->n_open, 1);
    }
}

__global__ void choose(ns_cuda_grow g)
{
    ns_cuda_control *c = g.control;
    if (c->is_done) return;
    if (threadIdx.x == 0) close_batch(g, c); /* touches nothing that others look at before the next barrier */
    int32_t best = -1, n_nodes = c->n_nodes, left = c->left;
    for (; left > 0; left--) {
        best = best_leaf(g, n_nodes);
        if (best < 0 || g.node[best].left < 0) break;
        if (threadIdx.x == 0) g.node[best].is_chosen = 1; /* all have looked: best_leaf has a barrier after that */
        __syncthreads();
    }
    bool is_done = left == 0 || best < 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        c->left = left;
        c->is_done = is_done;
        c->looks = left > 1;
        c->n_open = is_done ? 0 : 1;
        c->n_chunks = 0;
        g.opening[0].node = best;
    }
    __syncthreads();
    if (is_done) return;
    pick(g, n_nodes, best, batch_now(g, c));
    __syncthreads();
    int32_t n_open = c->n_open;
    for (int32_t i = (int32_t)threadIdx.x; i < n_open; i += NS_CUDA_THREADS) add_children(g, &g.opening[i], n_nodes + 2 * i);
    __syncthreads();
    if (threadIdx.x != 0) return;
    c->n_nodes = n_nodes + 2 * n_open;
    c->n_openings += n_open;
    take_slots(g, c);
    for (int32_t i = 0; i < n_open; i++) {
        if (!c->looks) g.opening[i].want_small = g.opening[i].want_large = 0;
        if (g.opening[i].want_small || g.opening[i].want_large) c->histogram_rows += g.node[g.opening[i].small].total.n;
        c->parted_rows += g.node[g.opening[i].node].total.n;
        g.opening[i].first_chunk = c->n_chunks;
        c->n_chunks += (g.node[g.opening[i].node].n + NS_CUDA_CHUNK - 1) / NS_CUDA_CHUNK;
    }
}

} // namespace

extern "C" ns_status ns_cuda_begin_tree(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(begin_tree, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "begin_tree");
}

extern "C" ns_status ns_cuda_total_root(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(total_root, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    NS_TRY(ns_cuda_launched(cuda, "total_root"));
    NS_LAUNCH(allow, (unsigned)(2 * g->batch), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "allow");
}

extern "C" ns_status ns_cuda_choose(ns_cuda *cuda, const ns_cuda_grow *g)
{
    NS_LAUNCH(choose, 1, NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    NS_TRY(ns_cuda_launched(cuda, "choose"));
    NS_LAUNCH(allow, (unsigned)(2 * g->batch), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *g);
    return ns_cuda_launched(cuda, "allow");
}
