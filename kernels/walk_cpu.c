#include "kernels/walk.h"

#include "kernels/level_name.h"

static inline int32_t reached(const ns_walk_tree *tree, const ns_bins *bins, int64_t row)
{
    int32_t at = 0;
    while (tree->nodes[at].feature >= 0) {
        const ns_node *node = &tree->nodes[at];
        uint32_t bin = ns_bins_at(bins, node->feature, row);
        at = ns_goes_left(node, tree->sets, bin) ? at + 1 : node->right;
    }
    return at;
}

static void leaves(const ns_walk_tree *tree, const ns_bins *bins, int64_t first, int64_t last, int32_t *leaf)
{
    for (int64_t i = first; i < last; i++) leaf[i] = reached(tree, bins, i);
}

static void rest(const ns_walk_tree *tree, const ns_bins *bins, int64_t first, int64_t last, int32_t *leaf)
{
    for (int64_t i = first; i < last; i++)
        if (leaf[i] < 0) leaf[i] = reached(tree, bins, i);
}

const ns_walk_loops NS_AT_LEVEL(ns_walk) = {.leaves = leaves, .rest = rest};
