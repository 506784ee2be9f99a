#ifndef NIGHTSHIFT_KERNELS_CUDA_SCORE_H
#define NIGHTSHIFT_KERNELS_CUDA_SCORE_H
/* Rows down finished trees on a GPU: a thread to a row, on the values themselves. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/forest.h"

enum { NS_SCORE_MISSING_LEFT = 1, NS_SCORE_CATEGORY = 2, NS_SCORE_ALL_LEFT = 4 };

/* Preorder: the left child is the next node. */
typedef struct ns_score_node {
    int32_t column; /* -1: a leaf */
    int32_t right;  /* index within its tree */
    uint32_t test;  /* number: bits of the cut; category: first word of its set; leaf: its value */
    uint32_t flags;
} ns_score_node;

/* All pointers are to the device. */
typedef struct ns_score_model {
    const ns_score_node *nodes;
    const int64_t *first; /* [n_trees + 1] */
    const uint32_t *sets;
    const int64_t *base; /* [n_outputs] */
    int64_t n_trees;
    int32_t n_outputs, k;
    ns_objective objective;
} ns_score_model;

/* What a scorer takes on the device for the slabs under way, beside the trees. */
int64_t ns_cuda_scoring_bytes(int32_t n_columns, int32_t n_outputs);

struct ns_cuda;

/* columns: [n_columns][stride] bits of floats, or bins; margin, out: [n][n_outputs]. Queued. */
ns_status ns_cuda_score(struct ns_cuda *cuda, const ns_score_model *model, const uint32_t *columns, int64_t stride, int64_t n,
                        int64_t *margin, float *out);

#ifdef __cplusplus
}
#endif
#endif
