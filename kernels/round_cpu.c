#include "kernels/forest_state.h"

#include <omp.h>
#include <string.h>

/*
 * One round: gradients and their maxima; rounding; the rows to grow from; the tree; leaf values from all
 * rows; margins and losses. Calls over ranks: one maximum, the sums of the grower, one sum for the leaves,
 * one for the losses. Memory for the tree is had before the first of them, and a lack of it rides in the
 * maximum.
 */

static ns_gradient_rows gradient_rows(const ns_forest *f)
{
    return (ns_gradient_rows){.margin = f->margin,
                              .label = f->label,
                              .weight = f->weight,
                              .row_number = f->row_number,
                              .unit = ns_power_of_two(-NS_MARGIN_K),
                              .g = f->g,
                              .h = f->h};
}

/* g and h of all training rows; max[0] and max[1] over this rank's. */
static void take_gradients(ns_forest *f, int64_t max[2])
{
    ns_gradient_rows rows = gradient_rows(f);
    max[0] = max[1] = 0;
#pragma omp parallel num_threads(f->device->n_threads)
    {
        int64_t mine[2] = {0, 0};
#pragma omp for schedule(dynamic)
        for (int64_t from = 0; from < f->n_train; from += NS_FOREST_PIECE)
            f->device->loops->gradient->binary(&rows, from, ns_forest_piece_end(from, f->n_train), mine);
#pragma omp critical(ns_gradient_max)
        for (int i = 0; i < 2; i++)
            if (mine[i] > max[i]) max[i] = mine[i];
    }
}

static void round_gradients(ns_forest *f, const ns_rounding *how)
{
    ns_gradient_rows rows = gradient_rows(f);
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
static int64_t sample_rows(ns_forest *f, int64_t round)
{
    uint32_t *out = ns_grower_rows(f->grower);
    uint64_t below = (uint64_t)(f->settings.row_sample * 0x1p32);
    ns_stream stream = ns_stream_of(f->settings.seed, NS_RANDOM_ROWS, round, 0);
    bool all = below >= UINT64_C(1) << 32;
    int64_t n = 0;
#pragma omp parallel for schedule(static) num_threads(f->device->n_threads)
    for (int64_t i = 0; i < f->n_train; i++)
        f->leaf[i] = all || ns_stream_word(&stream, (uint64_t)f->row_number[i]) < below ? 0 : -1;
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

/* Sums of all training rows per node index of the tree, over all ranks; nodes that are no leaves have none.
 */
static ns_cell *sum_leaves(ns_forest *f, const ns_leaf_scales *scales, int32_t n_nodes)
{
    int n_threads = f->device->n_threads;
    ns_cell *sums = f->leaf_sums + (int64_t)n_threads * n_nodes;
    memset(f->leaf_sums, 0, (size_t)(n_threads + 1) * (size_t)n_nodes * sizeof *sums);
#pragma omp parallel for schedule(dynamic) num_threads(n_threads)
    for (int64_t from = 0; from < f->n_train; from += NS_FOREST_PIECE)
        f->device->loops->leaf->sum(f->g, f->h, f->leaf, from, ns_forest_piece_end(from, f->n_train), scales,
                                    f->leaf_sums + (int64_t)omp_get_thread_num() * n_nodes);
    for (int t = 0; t < n_threads; t++)
        for (int32_t i = 0; i < n_nodes; i++) {
            const ns_cell *part = f->leaf_sums + (int64_t)t * n_nodes + i;
            sums[i].g += part->g;
            sums[i].h += part->h;
            sums[i].n += part->n;
        }
    f->device->link.sum_i64(f->device->link.context, (int64_t *)sums, (int64_t)n_nodes * 3);
    return sums;
}

/* The tree with values and row counts, into f->nodes and f->leaf_value. */
static void fill_leaves(ns_forest *f, const ns_grown *tree, const double max[2])
{
    ns_leaf_scales scales = ns_leaf_scales_of(max[0], max[1], f->n_train_global);
    const ns_cell *sums = sum_leaves(f, &scales, tree->n_nodes);
    ns_leaf_rule rule = {.learning_rate = f->settings.learning_rate,
                         .l1 = f->settings.l1,
                         .l2 = f->settings.l2,
                         .k = NS_MARGIN_K};
    for (int32_t i = tree->n_nodes - 1; i >= 0; i--) { /* children come after their parents */
        f->nodes[i] = tree->nodes[i];
        f->leaf_value[i] = 0;
        if (f->nodes[i].feature >= 0) {
            f->nodes[i].n_rows = f->nodes[i + 1].n_rows + f->nodes[f->nodes[i].right].n_rows;
            continue;
        }
        f->nodes[i].n_rows = sums[i].n;
        f->nodes[i].leaf = f->leaf_value[i] = ns_leaf_value(&sums[i], &scales, &rule);
    }
}

/* Margins of rows [first, last) with the new tree, and the sum of their losses. */
static ns_i128 advance(ns_forest *f, int64_t first, int64_t last)
{
    const ns_loss_loops *loops = f->device->loops->loss;
    ns_loss_rows rows = {.margin = f->margin,
                         .label = f->label,
                         .weight = f->weight,
                         .weight_scale = f->weight_scale,
                         .unit = ns_power_of_two(-NS_MARGIN_K)};
    ns_i128 total = 0;
#pragma omp parallel num_threads(f->device->n_threads)
    {
        ns_loss_sum mine = {0, 0};
#pragma omp for schedule(dynamic)
        for (int64_t from = first; from < last; from += NS_FOREST_PIECE) {
            int64_t to = ns_forest_piece_end(from, last);
            loops->add(f->margin, f->leaf, f->leaf_value, from, to);
            loops->binary(&rows, from, to, &mine);
        }
#pragma omp critical(ns_loss_total)
        total += (ns_i128)mine.high * (INT64_C(1) << 32) + mine.low;
    }
    return total;
}

static ns_split_rule split_rule(const ns_forest_settings *s, const ns_rounding *how)
{
    return (ns_split_rule){.l1 = s->l1,
                           .l2 = s->l2,
                           .min_gain = s->min_gain,
                           .min_hessian = s->min_hessian,
                           .min_rows = s->min_rows,
                           .category_smoothing = s->category_smoothing,
                           .category_l2 = s->category_l2,
                           .category_split_rows = s->category_split_rows,
                           .unit_g = 1.0 / how->scale_g,
                           .unit_h = 1.0 / how->scale_h};
}

ns_status ns_forest_round(ns_forest *f, int64_t round, ns_trees *trees, ns_round *result)
{
    const ns_link *link = &f->device->link;
    ns_status status =
        ns_trees_reserve(trees, ns_grower_max_nodes(f->grower), ns_grower_max_set_words(f->grower));
    int64_t bounds[3];
    take_gradients(f, bounds);
    bounds[2] = (int64_t)status;
    link->max_i64(link->context, bounds, 3);
    if (bounds[2] != NS_OK)
        return ns_fail((ns_status)bounds[2], "not enough memory for another tree on one of the ranks");
    double max[2] = {ns_from_bits((uint64_t)bounds[0]), ns_from_bits((uint64_t)bounds[1])};

    bool narrow = f->width == NS_NARROW;
    ns_rounding how = {.scale_g = ns_scale_within(max[0], narrow ? 12 : 30),
                       .scale_h = ns_scale_within(max[1], narrow ? 12 : 24),
                       .stream = ns_stream_of(f->settings.seed, NS_RANDOM_GRADIENT, round, 0)};
    round_gradients(f, &how);
    ns_split_rule rule = split_rule(&f->settings, &how);
    int64_t n_rows = sample_rows(f, round);
    ns_grow_round grow = {.word = f->word, .rule = &rule, .round = round, .n_rows = n_rows};
    ns_grown tree;
    ns_grower_tree(f->grower, &grow, &tree, f->leaf);
    ns_walk_tree walk = {tree.nodes, tree.sets};
    place_rest(f, &walk, n_rows);
    fill_leaves(f, &tree, max);

    ns_i128 losses[2] = {advance(f, 0, f->n_train), advance(f, f->n_train, f->n_rows)};
    link->sum_i128(link->context, losses, 2);
    *result = (ns_round){.train_loss = losses[0],
                         .valid_loss = losses[1],
                         .train_weight = f->train_weight,
                         .valid_weight = f->valid_weight,
                         .n_leaves = tree.n_leaves};
    return ns_trees_append(trees, f->nodes, tree.n_nodes, tree.sets, tree.n_set_words);
}
