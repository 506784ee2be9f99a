#ifndef NIGHTSHIFT_KERNELS_LEAF_H
#define NIGHTSHIFT_KERNELS_LEAF_H
/*
 * Leaf values from all training rows, sampled or not, in a second and finer fixed point than the split
 * search: q = rne(x * 2^(bits - e)), bits = min(40, 62 - ceil(log2 n)), e the smallest integer with max <=
 * 2^e for g and h each with its own max (that of the round), n the training rows of all ranks: sums stay
 * below 2^62.
 *     step  = (learning_rate * -shrink(G, l1)) / (H + l2), 0 where H + l2 is not > 0
 *     value = rne(2^k * step), clamped to int32
 *     shrink(G, l1) = G > l1 ? G - l1 : G < -l1 ? G + l1 : 0
 *
 * Monotone constraints. Every node of the tree has a step; from the root down, where bounds are -infinity and
 * infinity, a step is clamped to its node's bounds, and children get these: after a split by a constrained
 * feature the middle of the children's steps (each clamped to the node's bounds) parts them, the side of the
 * larger values above it where predictions may only rise, below it where they may only fall; after any other
 * split, and after one of all values against the missing, the node's own. So whatever the steps are, two rows
 * that differ only in values of a constrained feature get leaves in its order, and rounding keeps it.
 */
#include <stdint.h>

#include "kernels/histogram.h"
#include "kernels/numerics.h"
#include "kernels/trees.h"

typedef struct ns_leaf_scales {
    double g, h; /* powers of two */
} ns_leaf_scales;

typedef struct ns_leaf_loops {
    /* sums[leaf[i]] += (rne(g[i] * scale g), rne(h[i] * scale h), 1) for rows [first, last) */
    void (*sum)(const double *g, const double *h, const int32_t *leaf, int64_t first, int64_t last,
                const ns_leaf_scales *scales, ns_cell *sums);
} ns_leaf_loops;
extern const ns_leaf_loops ns_leaf_baseline, ns_leaf_avx2, ns_leaf_avx512;

NS_INLINE double ns_leaf_scale_below(double max, int bits)
{
    if (max == 0.0) return 1.0;
    int e = bits - ns_ceil_log2(max);
    return ns_power_of_two(e < 1000 ? e : 1000);
}

/* Scales of a round; max_g and max_h may be 0. */
NS_INLINE ns_leaf_scales ns_leaf_scales_of(double max_g, double max_h, int64_t n_rows_global)
{
    int bits = 62 - ns_ceil_log2_i64(n_rows_global);
    if (bits > 40) bits = 40;
    ns_leaf_scales scales = {ns_leaf_scale_below(max_g, bits), ns_leaf_scale_below(max_h, bits)};
    return scales;
}

typedef struct ns_leaf_rule {
    double learning_rate, l1, l2;
} ns_leaf_rule;

/* The step of a node. */
NS_INLINE double ns_leaf_step(const ns_cell *sum, const ns_leaf_scales *scales, const ns_leaf_rule *rule)
{
    double g = (double)sum->g / scales->g; /* exact: a power of two */
    double h = (double)sum->h / scales->h;
    double shrunk = g > rule->l1 ? g - rule->l1 : g < -rule->l1 ? g + rule->l1 : 0.0;
    double below = h + rule->l2;
    return below > 0.0 ? rule->learning_rate * -shrunk / below : 0.0;
}

/* A step in units of 2^-k. */
NS_INLINE int32_t ns_leaf_units(double step, int32_t k)
{
    return ns_rne_i32(step * ns_power_of_two(k));
}

/* The step of an inner node whose leaves' are no sums (quantiles): the mean of its children's, by rows. */
NS_INLINE double ns_leaf_mean(double left, int64_t n_left, double right, int64_t n_right)
{
    int64_t n = n_left + n_right;
    return n == 0 ? 0.0 : (left * (double)n_left + right * (double)n_right) / (double)n;
}

typedef struct ns_leaf_bounds {
    double lower, upper;
} ns_leaf_bounds;

NS_INLINE double ns_leaf_clamp(double step, const ns_leaf_bounds *to)
{
    return ns_clamp(step, to->lower, to->upper);
}

NS_INLINE ns_leaf_bounds ns_leaf_no_bounds(void)
{
    double infinity = ns_from_bits(UINT64_C(0x7ff0000000000000));
    ns_leaf_bounds none = {-infinity, infinity};
    return none;
}

/* One node: its step is clamped to its bounds, its children get theirs. Parents come before their children. */
NS_INLINE void ns_leaf_bound_node(const ns_node *nodes, int32_t i, const int8_t *monotone, const int32_t *n_bins, ns_leaf_bounds *bounds,
                                  double *step)
{
    const ns_node *node = &nodes[i];
    step[i] = ns_leaf_clamp(step[i], &bounds[i]);
    if (node->feature < 0) return;
    int32_t left = i + 1, right = node->right;
    bounds[left] = bounds[right] = bounds[i];
    int parts_values = node->set < 0 && node->threshold < n_bins[node->feature] - 1;
    if (!parts_values || monotone[node->feature] == 0) return;
    double middle = 0.5 * ns_leaf_clamp(step[left], &bounds[i]) + 0.5 * ns_leaf_clamp(step[right], &bounds[i]);
    int rises = monotone[node->feature] > 0;
    *(rises ? &bounds[left].upper : &bounds[left].lower) = middle;
    *(rises ? &bounds[right].lower : &bounds[right].upper) = middle;
}

/*
 * Clamps the steps of all nodes of a tree to their bounds.
 *   nodes     in     [n_nodes] preorder
 *   monotone  in     [n_features] 1, -1 or 0
 *   n_bins    in     [n_features]
 *   bounds    work   [n_nodes]
 *   step      inout  [n_nodes]
 */
void ns_leaf_bound(const ns_node *nodes, int32_t n_nodes, const int8_t *monotone, const int32_t *n_bins,
                   ns_leaf_bounds *bounds, double *step);
#endif
