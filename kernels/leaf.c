#include "kernels/leaf.h"

#include <math.h>
#include <stdbool.h>

#include "kernels/numerics.h"

static double scale_below(double max, int bits)
{
    if (max == 0.0) return 1.0;
    int e = bits - ns_ceil_log2(max);
    return ns_power_of_two(e < 1000 ? e : 1000);
}

ns_leaf_scales ns_leaf_scales_of(double max_g, double max_h, int64_t n_rows_global)
{
    int bits = 62 - ns_ceil_log2_i64(n_rows_global);
    if (bits > 40) bits = 40;
    return (ns_leaf_scales){scale_below(max_g, bits), scale_below(max_h, bits)};
}

double ns_leaf_step(const ns_cell *sum, const ns_leaf_scales *scales, const ns_leaf_rule *rule)
{
    double g = (double)sum->g / scales->g; /* exact: a power of two */
    double h = (double)sum->h / scales->h;
    double shrunk = g > rule->l1 ? g - rule->l1 : g < -rule->l1 ? g + rule->l1 : 0.0;
    double below = h + rule->l2;
    return below > 0.0 ? rule->learning_rate * -shrunk / below : 0.0;
}

int32_t ns_leaf_units(double step, int32_t k)
{
    return ns_rne_i32(step * ns_power_of_two(k));
}

static double clamped(double step, const ns_leaf_bounds *to)
{
    return ns_clamp(step, to->lower, to->upper);
}

void ns_leaf_bound(const ns_node *nodes, int32_t n_nodes, const int8_t *monotone, const int32_t *n_bins,
                   ns_leaf_bounds *bounds, double *step)
{
    bounds[0] = (ns_leaf_bounds){-INFINITY, INFINITY};
    for (int32_t i = 0; i < n_nodes; i++) {
        const ns_node *node = &nodes[i];
        step[i] = clamped(step[i], &bounds[i]);
        if (node->feature < 0) continue;
        int32_t left = i + 1, right = node->right;
        bounds[left] = bounds[right] = bounds[i];
        bool parts_values = node->set < 0 && node->threshold < n_bins[node->feature] - 1;
        if (!parts_values || monotone[node->feature] == 0) continue;
        double middle = 0.5 * clamped(step[left], &bounds[i]) + 0.5 * clamped(step[right], &bounds[i]);
        bool rises = monotone[node->feature] > 0;
        *(rises ? &bounds[left].upper : &bounds[left].lower) = middle;
        *(rises ? &bounds[right].lower : &bounds[right].upper) = middle;
    }
}
