#include "kernels/forest_state.h"

ns_split_rule ns_forest_split_rule(const ns_forest_settings *settings)
{
    return (ns_split_rule){.l1 = settings->l1,
                           .l2 = settings->l2,
                           .min_gain = settings->min_gain,
                           .min_hessian = settings->min_hessian,
                           .min_rows = settings->min_rows,
                           .category_smoothing = settings->category_smoothing,
                           .category_l2 = settings->category_l2,
                           .category_split_rows = settings->category_split_rows,
                           .category_max_levels = settings->category_max_levels};
}

ns_rounding ns_forest_rounding(const ns_forest *forest, int64_t round, int32_t output, const double max[2])
{
    bool narrow = forest->width == NS_NARROW;
    return (ns_rounding){.scale_g = ns_scale_within(max[0], narrow ? NS_NARROW_BITS : NS_WIDE_G_BITS),
                         .scale_h = ns_scale_within(max[1], narrow ? NS_NARROW_BITS : NS_WIDE_H_BITS),
                         .stream = ns_stream_of(forest->settings.seed, NS_RANDOM_GRADIENT, round, (uint32_t)output)};
}

ns_status ns_forest_grow_outputs(ns_forest *forest, int64_t round, ns_trees *trees, ns_round *result, ns_grow_output *grow)
{
    const ns_link *link = &forest->device->link;
    int64_t before = trees->n_trees;
    *result = (ns_round){.train_weight = forest->train_weight, .valid_weight = forest->valid_weight, .loss_unit = forest->loss_unit};
    for (int32_t output = 0; output < forest->n_outputs; output++) {
        ns_status status = grow(forest, round, output, trees, result);
        if (status == NS_OK) continue;
        ns_trees_truncate(trees, before);
        return status;
    }
    ns_i128 losses[2] = {result->train_loss, result->valid_loss};
    link->sum_i128(link->context, losses, 2);
    result->train_loss = losses[0];
    result->valid_loss = losses[1];
    return NS_OK;
}
