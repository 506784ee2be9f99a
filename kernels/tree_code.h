#ifndef NIGHTSHIFT_KERNELS_TREE_CODE_H
#define NIGHTSHIFT_KERNELS_TREE_CODE_H
/*
 * Finished trees as straight code for blocks of rows, which has no branch that a row could take.
 *
 * A plane is one bit of every row of a block: 512 rows, one AVX-512 register. Of each split there is a plane of the rows
 * that it would send left. The leaves of a tree of at most 256 are numbered from the right; bit j of the number of the
 * leaf that a row reaches below a split is a choice between those of the split's two sides,
 *     bit(split, j) = goes left ? bit(left, j) : bit(right, j),
 * one operation for 512 rows, and none where both sides are the same constant, or 1 and 0: then it is the plane of the split.
 * 31 leaves take about 70 choices. They stand in the order of the splits' heights, so that neighbours seldom wait for one
 * another. The planes of the tree's number, put together row by row, look up its leaves in registers.
 * Trees of more leaves are walked, row by row.
 *
 * Splits of numbers: "bin <= threshold" for all thresholds of a column is made of few planes. With h = bin >> low and
 * l = bin mod 2^low, at most 16 planes "h <= ..." and as many "l <= ...", made once for all trees,
 *     bin <= t   is   h <= t_h - 1  or  (h <= t_h  and  l <= t_l).
 * A split that sends missing values (bin 0) right asks instead for planes of h that leave bin 0 out.
 *
 * Numbers are binned again with only those of a model's cuts that some split uses: fewer cuts, a shorter
 * search. Split "bin <= threshold" of the trees (kernels/trees.h) is "x <= cut", so nothing changes by it.
 *
 * A category of more bins than a byte can tell apart becomes one or several columns of bytes: its splits are taken
 * in their order, and as long as they part the bins into at most 256 classes, bins of one class going the same way
 * at all of them, the class stands for the bin. At least 8 splits share a column.
 */
#include <stdbool.h>
#include <stdint.h>

#include "kernels/take.h"
#include "kernels/trees.h"

enum { NS_CODE_ROWS = 512, NS_CODE_WORDS = NS_CODE_ROWS / 64, NS_CODE_LEAVES = 256, NS_CODE_BITS = 8, NS_CODE_SET_BYTES = 32 };

/* Cuts as the search walks them: cut[h] is compared at step h, then 2h or 2h + 1 follows; cut[0] is unused,
   places without a cut hold +infinity. */
typedef struct ns_code_cuts {
    int32_t n_levels; /* 2^n_levels - 1 places */
    float cut[256];
} ns_code_cuts;

/* A plane of 512 rows; which bit is which row is a level's own affair. */
typedef struct ns_code_plane {
    uint64_t word[NS_CODE_WORDS];
} ns_code_plane;

/* The first of the planes of all trees and of those of a tree. */
enum { NS_PLANE_ZEROS = 0, NS_PLANE_ONES = 1, NS_PLANE_FIRST = 2 };

/* Of a number column: n_high planes bin < (i + 1) << low_bits, where `known` as many that leave bin 0 out, then
   2^low_bits - 1 planes (bin mod 2^low_bits) <= i. */
typedef struct ns_code_planes {
    int64_t first;
    int32_t n_high, low_bits;
    bool known;
} ns_code_planes;

/* A column of bytes: the bins of a feature by the cuts in use, or classes of its bins. */
typedef struct ns_code_column {
    int32_t feature;
    ns_code_cuts *cuts; /* number */
    uint8_t *class;     /* [n_bins] category of more than 256 bins */
    ns_code_planes planes; /* number */
} ns_code_column;

/* The plane of a split of a number: lower | (upper & low), of the planes of all trees. */
typedef struct ns_code_test {
    uint32_t lower, upper, low;
} ns_code_test;

/* m ? a : b, of the planes of a tree; in one word, so that it is read at once. */
typedef struct ns_code_choice {
    uint64_t m_a_b; /* m | a << 16 | b << 32 */
} ns_code_choice;

/* A node of a tree that is walked; preorder as in ns_node. A number goes left when (uint8_t)(bin - shift) <= last:
   shift 1 sends bin 0 right. */
typedef struct ns_code_node {
    int32_t right;  /* 0: a leaf */
    int32_t column; /* a leaf: its value */
    int32_t set;    /* index in set_bytes, or NS_TEST_NUMBER */
    uint8_t shift, last;
} ns_code_node;

enum { NS_TEST_NUMBER = -1 };

/* Planes of a tree: zeros, ones, of its sets, of its tests, of its choices, each in their order. */
typedef struct ns_code_tree {
    int32_t n_leaves; /* more than NS_CODE_LEAVES: walked */
    int32_t n_sets, n_tests, n_choices;
    int64_t first_set, first_test, first_choice;
    int64_t first_node;          /* walked */
    int64_t leaves;              /* index of its first value in leaf, from the right */
    uint16_t bit[NS_CODE_BITS];  /* planes of the number of the leaf; zeros beyond its bits */
} ns_code_tree;

/* Trees of one output whose leaves cannot add up beyond 32 bits. */
typedef struct ns_code_group {
    int32_t output;
    int64_t first, last; /* trees */
} ns_code_group;

typedef struct ns_tree_code {
    int32_t n_columns;
    ns_code_column *column; /* [n_columns] */
    int64_t n_planes;       /* of all trees: zeros, ones and those of number columns */
    int64_t n_tree_planes;  /* of a tree, at most */
    int64_t n_trees, n_groups;
    ns_code_tree *tree;   /* [n_trees] by output */
    ns_code_group *group; /* [n_groups] */
    ns_code_test *test;
    ns_code_choice *choice;
    ns_code_node *node;
    int32_t *leaf;       /* values, each tree's begin at a multiple of 64 and are filled up with 0 */
    uint8_t *set_bytes;  /* [][NS_CODE_SET_BYTES] bit b of a set is bit (b & 7) of byte b >> 3: goes left */
    int32_t *set_column; /* [] which column a set is of */
} ns_tree_code;

/* What a thread works with; blocks begin at multiples of 64 bytes. Rows beyond the last hold anything. */
typedef struct ns_code_block {
    uint8_t *bins;         /* [n_columns][NS_CODE_ROWS] */
    uint8_t *at, *bit;     /* [n_columns][NS_CODE_ROWS] of categories: where in a set a bin stands, as the level wants it */
    ns_code_plane *planes; /* [n_planes] */
    ns_code_plane *tree;   /* [n_tree_planes] */
    int32_t *sum;          /* [NS_CODE_ROWS] */
} ns_code_block;

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
    /* Bins and planes of the block of rows from `first` on, of which n_left are left. columns: as in ns_score_slab */
    void (*bin)(const ns_tree_code *code, const void *const *columns, int64_t first, int64_t n_left, const ns_code_block *block);
    /* sum[i] = what row i's leaves in the trees of a group add up to, for all rows of a block */
    void (*sum)(const ns_tree_code *code, const ns_code_group *group, const ns_code_block *block);
    /* out[i] = ns_risk(margin[i], unit), for n rows */
    void (*risks)(const int64_t *margin, int64_t n, double unit, float *out);
} ns_tree_code_loops;
extern const ns_tree_code_loops ns_tree_code_baseline, ns_tree_code_avx2, ns_tree_code_avx512;
#endif
