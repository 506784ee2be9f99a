#include <omp.h>
#include <string.h>

#include "kernels/forest_state.h"

/*
 * Values of a tree's leaves from all training rows: one sum over ranks for gradients and rows of each leaf;
 * for quantiles also those of kernels/residual.h. Inner nodes have the sums of their leaves. With monotone
 * constraints, inner nodes get values as well, and bounds go down from the root (kernels/leaf.h).
 */

/* Sums per node index of the tree, over all ranks. */
static ns_cell *sum_leaves(ns_forest *f, const ns_leaf_scales *scales, const ns_grown *tree)
{
    int n_threads = f->device->n_threads;
    int32_t n_nodes = tree->n_nodes;
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
    for (int32_t i = n_nodes - 1; i >= 0; i--) { /* children come after their parents */
        if (tree->nodes[i].feature < 0) continue;
        const ns_cell *left = &sums[i + 1], *right = &sums[tree->nodes[i].right];
        sums[i] = (ns_cell){left->g + right->g, left->h + right->h, left->n + right->n};
    }
    return sums;
}

void ns_forest_find_quantiles(ns_forest *f, int32_t n_wanted)
{
    ns_residual_rows rows = {.margin = f->margin,
                             .label = f->label,
                             .weight = f->weight,
                             .weight_scale = f->weight_scale,
                             .unit = ns_power_of_two(-f->k),
                             .group = f->leaf};
    ns_residual_quantiles(f->residuals, &rows, f->wanted, n_wanted, f->settings.quantile, &f->device->link,
                          f->value);
}

/* f->value of all nodes before any bound: leaves' quantiles; inner nodes' means of their leaves, by rows. */
static void take_quantiles(ns_forest *f, const ns_grown *tree, const ns_cell *sums)
{
    int32_t n = 0;
    for (int32_t i = 0; i < tree->n_nodes; i++)
        if (tree->nodes[i].feature < 0) f->wanted[n++] = i;
    ns_forest_find_quantiles(f, n);
    for (int32_t i = tree->n_nodes - 1; i >= 0; i--) {
        int32_t left = i + 1, right = tree->nodes[i].right;
        if (tree->nodes[i].feature < 0)
            f->value[i] = f->settings.learning_rate * f->value[i];
        else
            f->value[i] = ns_leaf_mean(f->value[left], sums[left].n, f->value[right], sums[right].n);
    }
}

void ns_forest_fill_leaves(ns_forest *f, const ns_grown *tree, const double max[2])
{
    ns_leaf_scales scales = ns_leaf_scales_of(max[0], max[1], f->n_train_global);
    const ns_cell *sums = sum_leaves(f, &scales, tree);
    ns_leaf_rule rule = {
        .learning_rate = f->settings.learning_rate, .l1 = f->settings.l1, .l2 = f->settings.l2};
    if (f->settings.objective == NS_QUANTILE)
        take_quantiles(f, tree, sums);
    else
        for (int32_t i = 0; i < tree->n_nodes; i++) f->value[i] = ns_leaf_step(&sums[i], &scales, &rule);
    if (f->monotone != NULL)
        ns_leaf_bound(tree->nodes, tree->n_nodes, f->monotone, f->n_bins, f->bounds, f->value);
    for (int32_t i = 0; i < tree->n_nodes; i++) {
        bool is_leaf = tree->nodes[i].feature < 0;
        f->nodes[i] = tree->nodes[i];
        f->nodes[i].n_rows = sums[i].n;
        f->leaf_value[i] = is_leaf ? ns_leaf_units(f->value[i], f->k) : 0;
        f->nodes[i].leaf = f->leaf_value[i];
    }
}
