#ifndef NIGHTSHIFT_KERNELS_CUDA_FOREST_H
#define NIGHTSHIFT_KERNELS_CUDA_FOREST_H
/* What the C sources of the cuda forest share: seal_cuda.c takes a forest to the GPU, forest_cuda.c trains it, leaves_cuda.c
   gives leaves values. */
#include "kernels/cuda_columns.h"
#include "kernels/cuda_leaves.h"
#include "kernels/cuda_ranks.h"
#include "kernels/cuda_rows.h"
#include "kernels/cuda_state.h"
#include "kernels/cuda_tree.h"
#include "kernels/forest_state.h"

/* A finished tree on its way to the host: [2] of them, as the tree of an output is read while that of the next one grows. */
typedef struct ns_cuda_parcel {
    ns_cuda_control control;
    ns_cuda_turn turn;
    ns_node *tree;  /* [max_nodes] pinned, as the next */
    uint32_t *sets; /* [max_splits * words_per_set] */
} ns_cuda_parcel;

/* On the host where it cannot be paged, so that copies need no detour. */
typedef struct ns_cuda_mirror {
    ns_cuda_control control[2]; /* of this step and of the one before */
    ns_cuda_parcel parcel[2];
} ns_cuda_mirror;

typedef struct ns_cuda_forest {
    ns_cuda *cuda;
    ns_cuda_columns *columns;
    ns_cuda_memory memory; /* from seal on */
    bool rows_on_host;     /* packed rows did not fit on the device */
    ns_cuda_grow grow;     /* the same for all trees */
    ns_cuda_rows rows;     /* but for the output */
    ns_cuda_leaves leaves;
    int64_t max_nodes;
    ns_status mine; /* what went wrong on this rank since the last agreement */

    ns_cuda_sequence *step; /* a step of growing, NULL: not recorded */
    bool has_grown, tried_to_record;

    /* On the device: */
    int64_t *table;    /* quantile: [NS_RESIDUAL_GROUPS][2^11] */
    int64_t *dev_base; /* [n_outputs] */

    /* On the host, pinned: */
    ns_cuda_mirror *mirror;
    int64_t *exchange; /* several ranks: what is added up over them, the largest of it */
} ns_cuda_forest;

/* Takes everything that training needs, on the GPU; margins = base + trees. What does not fit there stays on the host where kernels
   can read it: first the packed rows, then the bins too. What was taken before a failure is given back with the forest. Local. NS_ENOMEM, NS_EDEVICE. */
ns_status ns_cuda_seal(ns_forest *forest, const ns_trees *trees);

/* Quantiles of the leaves of the finished tree, whose rows' leaves are known, into c->leaves.found; what goes
   wrong on this rank into c->mine. Collective; fails as ns_cuda_reduce does. */
ns_status ns_cuda_find_quantiles(ns_forest *forest);
#endif
