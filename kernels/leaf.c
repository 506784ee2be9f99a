#include "kernels/leaf.h"

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

int32_t ns_leaf_value(const ns_cell *sum, const ns_leaf_scales *scales, const ns_leaf_rule *rule)
{
    double g = (double)sum->g / scales->g; /* exact: a power of two */
    double h = (double)sum->h / scales->h;
    double shrunk = g > rule->l1 ? g - rule->l1 : g < -rule->l1 ? g + rule->l1 : 0.0;
    double below = h + rule->l2;
    if (!(below > 0.0)) return 0;
    double value = rule->learning_rate * -shrunk / below;
    return ns_rne_i32(value * ns_power_of_two(rule->k));
}
