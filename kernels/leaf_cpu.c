#include "kernels/leaf.h"

#include "kernels/level_name.h"

static void sum(const double *g, const double *h, const int32_t *leaf, int64_t first, int64_t last,
                const ns_leaf_scales *scales, ns_cell *sums)
{
    for (int64_t i = first; i < last; i++) {
        ns_cell *cell = &sums[leaf[i]];
        cell->g += ns_small_rne_i64(g[i] * scales->g); /* at most 2^40 */
        cell->h += ns_small_rne_i64(h[i] * scales->h);
        cell->n += 1;
    }
}

const ns_leaf_loops NS_AT_LEVEL(ns_leaf) = {.sum = sum};
