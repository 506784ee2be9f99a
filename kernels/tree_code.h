#ifndef NIGHTSHIFT_KERNELS_TREE_CODE_H
#define NIGHTSHIFT_KERNELS_TREE_CODE_H
/*
 * Finished trees as straight code for blocks of rows, which has no branch that a row could take.
 *
 * The leaves of a tree of at most 256 are numbered by bytes, from the left. The number of the leaf that a row
 * reaches below a split is a choice between those of the split's two sides,
 *     value(split) = goes left ? value(left) : value(right),
 * so one step per split, children before parents, computes it for all rows of a block, one byte a row: 64 rows
 * in one AVX-512 register. A step reads the bins of its feature and the bytes of its sides, which are in the
 * first-level cache; larger children come first, so that never more than 8 intermediate results are alive.
 * Trees of more leaves are walked, row by row.
 *
 * Numbers are binned again with only those of a model's cuts that some split uses: fewer cuts, a shorter
 * search. Split "bin <= threshold" of the trees (kernels/trees.h) is "x <= cut", so nothing changes by it.
 *
 * A category of more bins than a byte can tell apart becomes one or several columns of bytes: its splits are taken
 * in their order, and as long as they part the bins into at most 256 classes, bins of one class going the same way
 * at all of them, the class stands for the bin. At least 8 splits share a column.
 */
#include <stdint.h>

#include "kernels/take.h"
#include "kernels/trees.h"

enum { NS_CODE_ROWS = 256, NS_CODE_LEAVES = 256, NS_CODE_SLOTS = 8, NS_CODE_SET_BYTES = 32 };

/* Cuts as the search walks them: cut[h] is compared at step h, then 2h or 2h + 1 follows; cut[0] is unused,
   places without a cut hold +infinity. */
typedef struct ns_code_cuts {
    int32_t n_levels; /* 2^n_levels - 1 places */
    float cut[256];
} ns_code_cuts;

/* Where the values of a step's sides are: bits of ns_code_step.sides. */
enum { NS_LEFT_IN_SLOT = 1, NS_RIGHT_IN_SLOT = 2 };

enum { NS_TEST_NUMBER = -1 };

typedef struct ns_code_step {
    int32_t column;
    int32_t set;         /* index in set_bytes, or NS_TEST_NUMBER: left when (uint8_t)(bin - shift) <= last */
    uint8_t shift, last; /* shift 1 sends bin 0 right */
    uint8_t sides, left, right; /* a side is the number of a leaf or of a slot */
    uint8_t to;          /* slot of the result; may be that of a side */
} ns_code_step;

/* A node of a tree that is walked; preorder as in ns_node. */
typedef struct ns_code_node {
    int32_t right;  /* 0: a leaf */
    int32_t column; /* a leaf: its value */
    int32_t set;
    uint8_t shift, last;
} ns_code_node;

/* A column of bytes: the bins of a feature by the cuts in use, or classes of its bins. */
typedef struct ns_code_column {
    int32_t feature;
    ns_code_cuts *cuts; /* number */
    uint8_t *class;     /* [n_bins] category of more than 256 bins */
} ns_code_column;

typedef struct ns_code_tree {
    int32_t n_leaves; /* more than NS_CODE_LEAVES: walked */
    int64_t first;    /* of its n_leaves - 1 steps; walked: of its nodes */
    int64_t leaves;   /* index of its first value in leaf */
} ns_code_tree;

/* Trees of one output whose leaves cannot add up beyond 32 bits. */
typedef struct ns_code_group {
    int32_t output;
    int64_t first, last; /* trees */
} ns_code_group;

typedef struct ns_tree_code {
    int32_t n_columns;
    ns_code_column *column; /* [n_columns] */
    int64_t n_trees, n_groups;
    ns_code_tree *tree;   /* [n_trees] by output */
    ns_code_group *group; /* [n_groups] */
    ns_code_step *step;
    ns_code_node *node;
    int32_t *leaf;      /* values, each tree's begin at a multiple of 64 and are filled up with 0 */
    uint8_t *set_bytes; /* [][NS_CODE_SET_BYTES] bit b of a set is bit (b & 7) of byte b >> 3 */
} ns_tree_code;

/* What the trees mean by a feature. */
typedef struct ns_code_features {
    int32_t n_features;
    const ns_feature_kind *kind;
    const float *const *cuts; /* as in ns_scorer_plan */
    const int32_t *n_cuts, *n_bins;
} ns_code_features;

/*
 *   code      out  all zero before; freed with ns_tree_code_free, also after a failure, which taker tells
 *   trees     in   borrowed as long as code; tree t belongs to output t % n_outputs
 * Local.
 */
void ns_tree_code_make(ns_tree_code *code, const ns_trees *trees, const ns_code_features *features,
                       int32_t n_outputs, ns_taker *taker);
void ns_tree_code_free(ns_tree_code *code);

typedef struct ns_tree_code_loops {
    /* out[i] = isnan(x[i]) ? 0 : 1 + the number of cuts < x[i], for n values */
    void (*bin)(const ns_code_cuts *cuts, const float *x, int64_t n, uint8_t *out);
    /* sum[i] = what row i's leaves in the trees of a group add up to, for all rows of a block;
       bins: [n_columns][NS_CODE_ROWS] */
    void (*sum)(const ns_tree_code *code, const ns_code_group *group, const uint8_t *bins, int32_t *sum);
    /* out[i] = ns_risk(margin[i], unit), for n rows */
    void (*risks)(const int64_t *margin, int64_t n, double unit, float *out);
} ns_tree_code_loops;
extern const ns_tree_code_loops ns_tree_code_baseline, ns_tree_code_avx2, ns_tree_code_avx512;
#endif
