#include "kernels/leaf.h"

void ns_leaf_bound(const ns_node *nodes, int32_t n_nodes, const int8_t *monotone, const int32_t *n_bins,
                   ns_leaf_bounds *bounds, double *step)
{
    bounds[0] = ns_leaf_no_bounds();
    for (int32_t i = 0; i < n_nodes; i++) ns_leaf_bound_node(nodes, i, monotone, n_bins, bounds, step);
}
