#include "kernels/forest_state.h"

/*
 * One round, output by output: gradients and their maxima; rounding; the rows to grow from; the tree; leaf
 * values from all rows; margins. After the last output the losses. Calls over ranks: for each output one
 * maximum, the sums of the grower and one for the leaves (quantile: and three for every NS_RESIDUAL_GROUPS
 * leaves); for the round one for the losses. Memory for a tree is had before its maximum, in which a lack of
 * it rides.
 *
 * Multiclass: the tree of an output moves that output's margins alone, and top and norm are those of the
 * round's start until its losses are taken; so every output's gradients follow from the margins at the start.
 */

static ns_gradient_rows gradient_rows(const ns_forest *f, int32_t output)
{
    return (ns_gradient_rows){.margin = f->margin + output * f->n_rows,
                              .label = f->label,
                              .weight = f->weight,
                              .row_number = f->row_number,
                              .unit = ns_power_of_two(-f->k),
                              .g = f->g,
                              .h = f->h,
                              .output = output,
                              .n_outputs = f->n_outputs,
                              .top = f->top,
                              .norm = f->norm,
                              .quantile = f->settings.quantile};
}

static ns_gradient_loop *gradient_loop(const ns_forest *f)
{
    const ns_gradient_loops *loops = f->device->loops->gradient;
    switch (f->settings.objective) {
    case NS_BINARY:
        break;
    case NS_MULTICLASS:
        return loops->multiclass;
    case NS_REGRESSION:
        return loops->regression;
    case NS_POISSON:
        return loops->poisson;
    case NS_QUANTILE:
        return loops->quantile;
    }
    return loops->binary;
}

static ns_loss_loop *loss_loop(const ns_forest *f)
{
    const ns_loss_loops *loops = f->device->loops->loss;
    switch (f->settings.objective) {
    case NS_BINARY:
        break;
    case NS_MULTICLASS:
        return loops->multiclass;
    case NS_REGRESSION:
        return loops->regression;
    case NS_POISSON:
        return loops->poisson;
    case NS_QUANTILE:
        return loops->quantile;
    }
    return loops->binary;
}

void ns_forest_take_gradients(ns_forest *f, int32_t output, int64_t max[2])
{
    ns_gradient_rows rows = gradient_rows(f, output);
    ns_gradient_loop *loop = gradient_loop(f);
    max[0] = max[1] = 0;
#pragma omp parallel num_threads(f->device->n_threads)
    {
        int64_t mine[2] = {0, 0};
#pragma omp for schedule(dynamic)
        for (int64_t from = 0; from < f->n_train; from += NS_FOREST_PIECE)
            loop(&rows, from, ns_forest_piece_end(from, f->n_train), mine);
#pragma omp critical(ns_gradient_max)
        for (int i = 0; i < 2; i++)
            if (mine[i] > max[i]) max[i] = mine[i];
    }
}

static void round_gradients(ns_forest *f, int32_t output, const ns_rounding *how)
{
    ns_gradient_rows rows = gradient_rows(f, output);
    const ns_gradient_loops *loops = f->device->loops->gradient;
#pragma omp parallel for schedule(dynamic) num_threads(f->device->n_threads)
    for (int64_t from = 0; from < f->n_train; from += NS_FOREST_PIECE) {
        int64_t to = ns_forest_piece_end(from, f->n_train);
        if (f->width == NS_NARROW)
            loops->round_narrow(&rows, how, from, to, f->word);
        else
            loops->round_wide(&rows, how, from, to, f->word);
    }
}

/* The rows to grow from, in local order: those whose word is below floor(row_sample * 2^32). Returns how
 * many. */
static int64_t sample_rows(ns_forest *f, int64_t round, uint32_t output)
{
    uint32_t *out = ns_grower_rows(f->grower);
    uint64_t below = (uint64_t)(f->settings.row_sample * 0x1p32);
    ns_stream stream = ns_stream_of(f->settings.seed, NS_RANDOM_ROWS, round, output);
    int64_t n = 0;
    if (below >= UINT64_C(1) << 32) { /* all; the tree will give each of them a leaf */
#pragma omp parallel for schedule(static) num_threads(f->device->n_threads)
        for (int64_t i = 0; i < f->n_train; i++) out[i] = (uint32_t)i;
        return f->n_train;
    }
#pragma omp parallel for schedule(static) num_threads(f->device->n_threads)
    for (int64_t i = 0; i < f->n_train; i++)
        f->leaf[i] = ns_stream_word(&stream, (uint64_t)f->row_number[i]) < below ? 0 : -1;
    for (int64_t i = 0; i < f->n_train; i++) {
        out[n] = (uint32_t)i;
        n += f->leaf[i] == 0;
    }
    return n;
}

/* Leaves of the rows that the tree was not grown from: training rows left out of the sample, validation rows.
 */
static void place_rest(ns_forest *f, const ns_walk_tree *tree, int64_t n_grown)
{
    const ns_walk_loops *loops = f->device->loops->walk;
    int64_t first = n_grown == f->n_train ? f->n_train : 0;
    for (int64_t i = f->n_train; i < f->n_rows; i++) f->leaf[i] = -1;
#pragma omp parallel for schedule(dynamic) num_threads(f->device->n_threads)
    for (int64_t from = first; from < f->n_rows; from += NS_FOREST_PIECE)
        loops->rest(tree, &f->bins, from, ns_forest_piece_end(from, f->n_rows), f->leaf);
}

static ns_loss_rows loss_rows(const ns_forest *f)
{
    return (ns_loss_rows){.margin = f->margin,
                          .label = f->label,
                          .weight = f->weight,
                          .weight_scale = f->weight_scale,
                          .unit = ns_power_of_two(-f->k),
                          .scale = 0x1p40 / f->loss_unit,
                          .n_outputs = f->n_outputs,
                          .stride = f->n_rows,
                          .top = f->top,
                          .norm = f->norm,
                          .quantile = f->settings.quantile};
}

void ns_forest_normalise(ns_forest *f)
{
    ns_loss_rows rows = loss_rows(f);
    if (f->settings.objective != NS_MULTICLASS) return;
#pragma omp parallel for schedule(dynamic) num_threads(f->device->n_threads)
    for (int64_t from = 0; from < f->n_rows; from += NS_FOREST_PIECE) {
        ns_loss_sum unused = {0, 0};
        f->device->loops->loss->multiclass(&rows, from, ns_forest_piece_end(from, f->n_rows), &unused);
    }
}

/* Margins of rows [first, last) with the new tree; after the round's last one also the sum of their losses.
 */
static ns_i128 advance(ns_forest *f, int32_t output, int64_t first, int64_t last)
{
    const ns_loss_loops *loops = f->device->loops->loss;
    ns_loss_loop *loss = output + 1 == f->n_outputs ? loss_loop(f) : NULL;
    int64_t *margin = f->margin + output * f->n_rows;
    ns_loss_rows rows = loss_rows(f);
    ns_i128 total = 0;
#pragma omp parallel num_threads(f->device->n_threads)
    {
        ns_loss_sum mine = {0, 0};
#pragma omp for schedule(dynamic)
        for (int64_t from = first; from < last; from += NS_FOREST_PIECE) {
            int64_t to = ns_forest_piece_end(from, last);
            loops->add(margin, f->leaf, f->leaf_value, from, to);
            if (loss != NULL) loss(&rows, from, to, &mine);
        }
#pragma omp critical(ns_loss_total)
        total += (ns_i128)mine.high * (INT64_C(1) << 32) + mine.low;
    }
    return total;
}

/* The tree of one output, added to trees and margins; losses: this rank's, after the round's last output.
 * Collective. */
static ns_status grow_output(ns_forest *f, int64_t round, int32_t output, ns_trees *trees, ns_round *result)
{
    const ns_link *link = &f->device->link;
    ns_status status =
        ns_trees_reserve(trees, ns_grower_max_nodes(f->grower), ns_grower_max_set_words(f->grower));
    int64_t bounds[3];
    ns_forest_take_gradients(f, output, bounds);
    bounds[2] = (int64_t)status;
    link->max_i64(link->context, bounds, 3);
    if (bounds[2] != NS_OK)
        return ns_fail((ns_status)bounds[2], "not enough memory for another tree on one of the ranks");
    double max[2] = {ns_from_bits((uint64_t)bounds[0]), ns_from_bits((uint64_t)bounds[1])};

    uint32_t tree_of_round = (uint32_t)output;
    ns_rounding how = ns_forest_rounding(f, round, output, max);
    round_gradients(f, output, &how);
    ns_split_rule rule = ns_forest_split_rule(&f->settings);
    rule.unit_g = 1.0 / how.scale_g;
    rule.unit_h = 1.0 / how.scale_h;
    int64_t n_rows = sample_rows(f, round, tree_of_round);
    ns_grow_round grow = {
        .word = f->word, .rule = &rule, .round = round, .output = tree_of_round, .n_rows = n_rows};
    ns_grown tree;
    ns_grower_tree(f->grower, &grow, &tree, f->leaf);
    ns_walk_tree walk = {tree.nodes, tree.sets};
    place_rest(f, &walk, n_rows);
    ns_forest_fill_leaves(f, &tree, max);
    result->train_loss = advance(f, output, 0, f->n_train);
    result->valid_loss = advance(f, output, f->n_train, f->n_rows);
    result->n_leaves += tree.n_leaves;
    return ns_trees_append(trees, f->nodes, tree.n_nodes, tree.sets, tree.n_set_words);
}

ns_status ns_forest_round(ns_forest *f, int64_t round, ns_trees *trees, ns_round *result)
{
    return ns_forest_grow_outputs(f, round, trees, result, grow_output);
}
