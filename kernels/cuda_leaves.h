#ifndef NIGHTSHIFT_KERNELS_CUDA_LEAVES_H
#define NIGHTSHIFT_KERNELS_CUDA_LEAVES_H
/*
 * Values of a tree's leaves on a GPU, by the formulas of kernels/leaf.h and kernels/residual.h, in the same arithmetic. All calls
 * are queued.
 */
#include "kernels/cuda_rows.h"
#include "kernels/cuda_tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All pointers are to the device; [nodes]: of the largest tree. */
typedef struct ns_cuda_leaves {
    const ns_cuda_control *control;
    const ns_cuda_turn *turn;
    ns_node *tree;       /* [nodes] the finished tree; gets values and rows */
    const int32_t *depth; /* [nodes] */
    ns_cell *sums;       /* [nodes] of leaves, over all ranks; then of all nodes */
    ns_cell *before;     /* [nodes + 1] work */
    double *step;        /* [nodes] */
    ns_leaf_bounds *bounds; /* [nodes] */
    int32_t *value;      /* [nodes] leaves' values, 0 at inner nodes */
    const int8_t *monotone; /* [n_features] or NULL */
    const int32_t *n_bins;  /* [n_features] */
    int32_t *leaf_number;   /* [nodes] quantile: which of the leaves it is, -1: none */
    ns_cuda_quantile *found; /* [leaves] quantile, else NULL */
    ns_leaf_rule rule;
    int32_t k;
} ns_cuda_leaves;

/* leaf_number; found begins anew. */
ns_status ns_cuda_number_leaves(struct ns_cuda *cuda, const ns_cuda_leaves *leaves);

/* After a step of counting whose table has the sums over all ranks: what it tells of its leaves' quantiles. */
ns_status ns_cuda_residual_narrow(struct ns_cuda *cuda, const ns_cuda_residual_step *step, double quantile);

/* Sums of inner nodes, steps, bounds, values; tree's rows and leaves. */
ns_status ns_cuda_fill_leaves(struct ns_cuda *cuda, const ns_cuda_leaves *leaves);

#ifdef __cplusplus
}
#endif
#endif
