#include "kernels/cuda_score.h"
#include "kernels/cuda_state.h"
#include "kernels/numerics.h"

#include <float.h>

/*
 * Threads of a warp walk the same tree at the same time, so that its upper nodes come from one line of the first-level
 * cache; columns lie side by side in memory, so that rows of a warp that ask for the same column are one access.
 */
namespace {

__device__ inline bool goes_left(const ns_score_model &m, const ns_score_node &node, uint32_t value)
{
    if ((node.flags & NS_SCORE_CATEGORY) != 0) return (m.sets[node.test + (value >> 5)] >> (value & 31) & 1) != 0;
    float x = ns_from_bits_f32(value);
    if (x != x) return (node.flags & NS_SCORE_MISSING_LEFT) != 0;
    return (node.flags & NS_SCORE_ALL_LEFT) != 0 || x <= ns_from_bits_f32(node.test);
}

__device__ inline int64_t leaf_of(const ns_score_model &m, const ns_score_node *tree, const uint32_t *row, int64_t stride)
{
    int32_t at = 0;
    ns_score_node node = tree[0];
    while (node.column >= 0) {
        at = goes_left(m, node, row[node.column * stride]) ? at + 1 : node.right;
        node = tree[at];
    }
    return (int32_t)node.test;
}

/* kernels/prediction.h */
__device__ inline void predict(const ns_score_model &m, const int64_t *margin, float *out)
{
    double unit = ns_power_of_two(-m.k);
    if (m.objective == NS_BINARY)
        *out = ns_risk(*margin, unit);
    else if (m.objective == NS_MULTICLASS)
        ns_class_risks(margin, m.n_outputs, unit, out);
    else if (m.objective == NS_POISSON)
        *out = (float)ns_rate((double)*margin * unit);
    else
        *out = (float)ns_clamp((double)*margin * unit, -(double)FLT_MAX, (double)FLT_MAX);
}

__global__ void score(ns_score_model m, const uint32_t *columns, int64_t stride, int64_t n, int64_t *margin, float *out)
{
    for (int64_t i = (int64_t)blockIdx.x * NS_CUDA_THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * NS_CUDA_THREADS) {
        int64_t *own = margin + i * m.n_outputs;
        for (int32_t o = 0; o < m.n_outputs; o++) {
            int64_t sum = m.base[o];
            for (int64_t t = o; t < m.n_trees; t += m.n_outputs) sum += leaf_of(m, m.nodes + m.first[t], columns + i, stride);
            own[o] = sum;
        }
        predict(m, own, out + i * m.n_outputs);
    }
}

} // namespace

extern "C" ns_status ns_cuda_score(ns_cuda *cuda, const ns_score_model *model, const uint32_t *columns, int64_t stride, int64_t n,
                                   int64_t *margin, float *out)
{
    NS_LAUNCH(score, ns_cuda_blocks_for(n), NS_CUDA_THREADS, 0, ns_cuda_stream(cuda), *model, columns, stride, n, margin, out);
    return ns_cuda_launched(cuda, "score");
}
