#ifndef NIGHTSHIFT_KERNELS_CUDA_FOREST_H
#define NIGHTSHIFT_KERNELS_CUDA_FOREST_H
/* What the C sources of the cuda forest share: seal_cuda.c takes a forest to the GPU, forest_cuda.c trains it, leaves_cuda.c
   gives leaves values. */
#include "kernels/cuda_rows.h"
#include "kernels/cuda_state.h"
#include "kernels/cuda_tree.h"
#include "kernels/forest_state.h"

/* On the host where it cannot be paged, so that copies need no detour. */
typedef struct ns_cuda_mirror {
    ns_cuda_control control[2]; /* of this step and of the one before */
    int64_t max[2], losses[4];
    unsigned long long n_sampled;
} ns_cuda_mirror;

typedef struct ns_cuda_forest {
    ns_cuda *cuda;
    ns_cuda_memory memory;
    ns_cuda_grow grow;
    ns_cuda_rows rows;
    int64_t max_nodes;

    /* On the device: */
    int64_t *max, *losses;        /* [2], [4] */
    unsigned long long *n_sampled;
    ns_cell *sums;                /* [max_nodes] */
    int32_t *leaf_value, *place;  /* [max_nodes] */
    uint32_t *prefix;             /* [NS_RESIDUAL_GROUPS] */
    int64_t *table;               /* quantile: [NS_RESIDUAL_GROUPS][2^11] */
    int64_t *dev_base;            /* [n_outputs] */

    /* On the host, pinned: */
    ns_cuda_mirror *mirror;
    ns_cell *host_sums;           /* [max_nodes] */
    ns_node *host_tree;           /* [max_nodes] */
    uint32_t *host_sets;          /* [max_splits * words_per_set] */
    int32_t *host_value, *host_place; /* [max_nodes] */
    uint32_t *host_prefix;
    int64_t *host_table;
    int64_t *host_staging;        /* several ranks: [batch][3 n_cells] */

    double *step;                 /* [max_nodes] */
    ns_leaf_bounds *bounds;       /* [max_nodes] */
} ns_cuda_forest;

/* Makes forest->cuda: everything that training needs, on the GPU, margins = base + trees. What was taken before a failure is
   given back with the forest. Local. NS_ENOMEM, NS_EDEVICE. */
ns_status ns_cuda_seal(ns_forest *forest, const ns_trees *trees);

/*
 * Values and rows of the nodes of the tree in c->host_tree, whose rows' leaves are known: into c->host_tree, and leaf
 * values into c->host_value. sums of leaves are in c->host_sums, over all ranks.
 * Collective. NS_EDEVICE on all ranks where a GPU failed on one.
 */
ns_status ns_cuda_fill_leaves(ns_forest *forest, int32_t n_nodes, const ns_leaf_scales *scales);
#endif
