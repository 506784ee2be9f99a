#ifndef NIGHTSHIFT_KERNELS_WALK_H
#define NIGHTSHIFT_KERNELS_WALK_H
/* Rows down one tree on their bins, by the rule of trees.h. */
#include <stdint.h>

#include "kernels/bin.h"
#include "kernels/trees.h"

/* One tree for walking. */
typedef struct ns_walk_tree {
    const ns_node *nodes; /* preorder */
    const uint32_t *sets; /* what ns_node.set counts in */
} ns_walk_tree;

typedef struct ns_walk_loops {
    /* leaf[i] = index in the tree of the leaf that row i reaches, for rows [first, last) */
    void (*leaves)(const ns_walk_tree *tree, const ns_bins *bins, int64_t first, int64_t last, int32_t *leaf);
    /* As leaves, only for rows where leaf[i] < 0 */
    void (*rest)(const ns_walk_tree *tree, const ns_bins *bins, int64_t first, int64_t last, int32_t *leaf);
} ns_walk_loops;
extern const ns_walk_loops ns_walk_baseline, ns_walk_avx2, ns_walk_avx512;

/* Whether a bin goes left at a split. */
static inline bool ns_goes_left(const ns_node *node, const uint32_t *sets, uint32_t bin)
{
    if (node->set >= 0) return (sets[(uint32_t)node->set + (bin >> 5)] >> (bin & 31) & 1) != 0;
    return bin == 0 ? node->missing_left != 0 : bin <= (uint32_t)node->threshold;
}
#endif
