#ifndef NIGHTSHIFT_KERNELS_TREES_H
#define NIGHTSHIFT_KERNELS_TREES_H
/*
 * Trees as training makes them and scoring walks them: flat arrays, nodes of a tree in preorder.
 *
 * Bins. A number feature has bin 0 for missing and value bins 1..n_cuts+1: the bin of x is 1 + the number of
 * cuts < x, so bin b holds cuts[b-2] < x <= cuts[b-1]. -0 counts as +0. A category feature has bin 0 for
 * missing, bin 1 for "other" (rare in training or unseen) and bins 2..n_bins-1 for the levels that
 * data/encoding.h kept.
 *
 * A split sends a row left when
 *   number    bin == 0 ? missing_left : bin <= threshold           (the same as x <= cut[threshold-1])
 *             threshold is 1..n_cuts+1; at n_cuts+1, where there is no cut, every value goes left and the
 * missing go right category  bit `bin` of the node's set is 1                     (bins 0 and 1 have bits of
 * their own)
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_feature_kind { NS_NUMBER = 0, NS_CATEGORY = 1 } ns_feature_kind;

typedef struct ns_node {
    int32_t feature; /* -1: a leaf */
    int32_t
        right; /* index of the right child within its tree; the left child is the next node. 0 for a leaf */
    int32_t threshold;    /* number: the last bin that goes left. category: 0 */
    int32_t set;          /* category: index of the first word of its set in sets[]; number and leaf: -1 */
    int32_t missing_left; /* number: 1 when bin 0 goes left. category: the bit of bin 0 */
    int32_t leaf;         /* leaf: its value in units of 2^-k, learning rate included. 0 for a split */
    double gain;          /* split: its gain. 0 for a leaf */
    int64_t n_rows;       /* training rows that reached it, over all ranks */
} ns_node;

typedef struct ns_trees {
    int64_t n_trees, n_nodes, n_set_words;
    int64_t *first; /* [n_trees + 1] index of each tree's root in nodes; first[n_trees] = n_nodes */
    ns_node *nodes; /* [n_nodes] */
    uint32_t *sets; /* [n_set_words] bit b of a set is bit (b & 31) of word b >> 5; a set has (n_bins + 31) /
                       32 words */
    int64_t room_trees, room_nodes, room_set_words; /* allocated */
} ns_trees;

/* An empty forest. Fails with NS_ENOMEM; *out is NULL then. Freed with ns_trees_destroy. */
ns_status ns_trees_create(ns_trees **out);
void ns_trees_destroy(ns_trees **trees);

/*
 * Appends one tree; node indices and set indices in it count from its own start.
 *   nodes  in  [n_nodes] preorder
 *   sets   in  [n_set_words] may be NULL when 0
 * Fails with NS_ENOMEM and leaves trees as it was.
 */
ns_status ns_trees_append(ns_trees *trees, const ns_node *nodes, int64_t n_nodes, const uint32_t *sets,
                          int64_t n_set_words);

/* Makes room for one more tree of at most n_nodes and n_set_words, so that the next append of such a tree
   cannot fail. Fails with NS_ENOMEM (also beyond 2^31 - 1 set words in all) and leaves trees as it was. */
ns_status ns_trees_reserve(ns_trees *trees, int64_t n_nodes, int64_t n_set_words);

/* Appends copies of all trees of another forest. Fails with NS_ENOMEM and leaves trees as it was. */
ns_status ns_trees_append_all(ns_trees *trees, const ns_trees *from);

/* Drops all trees from n_trees on (early stopping, resuming). n_trees <= trees->n_trees. */
void ns_trees_truncate(ns_trees *trees, int64_t n_trees);
#endif
