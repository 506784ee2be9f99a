#ifndef NIGHTSHIFT_KERNELS_GROW_H
#define NIGHTSHIFT_KERNELS_GROW_H
/*
 * One tree, grown strictly best-first: always the leaf whose best split gains most, ties to the smaller path
 * (depth, then left before right at the first parting). Up to `batch` leaves are opened at once: the one that
 * best-first waits for, and the best of the others while those taken have too few rows to keep all threads of
 * all ranks busy; opening parts the leaf's rows and finds the best splits
 * of its two children. What was opened but never chosen stays a leaf, so neither the batch nor the memory for
 * opening ahead changes a tree.
 *
 * Sums over ranks: one call of sum_i64 for the root and one for each batch.
 */
#include "kernels/forest.h"
#include "kernels/gradient.h"
#include "kernels/level.h"
#include "kernels/split.h"

typedef struct ns_grower ns_grower;

/* What stays the same for all trees; all pointers are borrowed until destroy. */
typedef struct ns_grow_plan {
    const ns_forest_settings *settings;
    const ns_level *level;
    const ns_link *link;
    int n_threads;
    int most_threads; /* of any rank, the same on all: how many rows are worth a step */
    const ns_bins *bins;
    const ns_feature_kind *kind; /* [n_features] */
    const int8_t *monotone;      /* [n_features] 1, -1 or 0; NULL: no feature is constrained */
    const int32_t *n_bins;       /* [n_features] of number features only where cuts are known */
    bool cuts_known;             /* else number features are taken to have max_bins value bins */
    int64_t n_train, n_train_global;
    ns_width width;
} ns_grow_plan;

/* What one tree is grown from. */
typedef struct ns_grow_round {
    const void *word; /* [n_train] rounded gradients, narrow or wide */
    const ns_split_rule *rule;
    int64_t round;
    uint32_t output; /* tree of the round */
    int64_t n_rows;  /* rows that ns_grower_rows holds */
} ns_grow_round;

/* Local. NS_ENOMEM. */
ns_status ns_grower_create(ns_grower **out, const ns_grow_plan *plan);
void ns_grower_destroy(ns_grower **grower);

/* Bytes that create takes; with either width where cuts are not known. Of bins, only n_features, n_tiles and
   n_wide are read. */
int64_t ns_grower_memory(const ns_grow_plan *plan);

/* Most nodes and set words of a tree. */
int64_t ns_grower_max_nodes(const ns_grower *grower);
int64_t ns_grower_max_set_words(const ns_grower *grower);

/* The row indices the tree is grown from, to be filled before each tree: [n_train]. */
uint32_t *ns_grower_rows(ns_grower *grower);

/* A finished tree; valid until the next one is grown. */
typedef struct ns_grown {
    const ns_node *nodes; /* preorder, leaf values and n_rows still 0; sets count from the tree's own start */
    int32_t n_nodes, n_leaves;
    const uint32_t *sets;
    int64_t n_set_words;
} ns_grown;

/*
 *   leaf  out  [n_train] for each row given: the index of its leaf's node; other rows are not touched
 * Collective over the link. Cannot fail.
 */
void ns_grower_tree(ns_grower *grower, const ns_grow_round *round, ns_grown *tree, int32_t *leaf);
#endif
