#include <string.h>

#include "kernels/cuda_forest.h"

/*
 * Values of a tree's leaves: a few hundred numbers, so they are worked out on the host, from sums that the GPU took, by
 * the functions that the cpu backend uses. Quantiles are found as kernels/residual.h says; the GPU counts.
 */

enum { N_STEPS = 3, MOST_BITS = 11 };
static const int bits_of_step[N_STEPS] = {11, 11, 10};

/* What is known of one group. */
typedef struct search {
    uint32_t prefix;
    int64_t target;
} search;

static int64_t target_of(int64_t total, double quantile)
{
    ns_i128 billionths = (ns_i128)ns_rne_i64(ns_clamp(quantile * 1e9, 1.0, 999999999.0));
    return (int64_t)((billionths * total + 999999999) / 1000000000);
}

/* One step's tables of n groups, over all ranks, in c->host_table. */
static ns_status count(ns_forest *f, const ns_cuda_residual_step *step, int32_t n)
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    size_t n_bytes = ((size_t)n << step->bits) * sizeof *c->table;
    ns_status status = ns_cuda_copy_in(c->cuda, c->prefix, c->host_prefix, (size_t)n * sizeof *c->prefix);
    if (status == NS_OK) status = ns_cuda_zero(c->cuda, c->table, n_bytes);
    if (status == NS_OK) status = ns_cuda_residual_count(c->cuda, &c->rows, step);
    if (status == NS_OK) status = ns_cuda_copy_out(c->cuda, c->host_table, c->table, n_bytes);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(ns_forest_agree(status, "training on a GPU", link));
    link->sum_i64(link->context, c->host_table, (int64_t)n << step->bits);
    return NS_OK;
}

/* The quantiles of n <= NS_RESIDUAL_GROUPS leaves into c->step. */
static ns_status find_some(ns_forest *f, const int32_t *leaf, int32_t n)
{
    ns_cuda_forest *c = f->cuda;
    search found[NS_RESIDUAL_GROUPS] = {{0, 0}};
    int most = 62 - ns_ceil_log2_i64(f->n_train_global);
    ns_cuda_residual_step s = {.place = c->place,
                               .prefix = c->prefix,
                               .table = c->table,
                               .shift = 32,
                               .scale = f->weight_scale * ns_power_of_two(most < 40 ? most : 40)};
    for (int64_t i = 0; i < c->max_nodes; i++) c->host_place[i] = -1;
    for (int32_t i = 0; i < n; i++) c->host_place[leaf[i]] = i;
    ns_status status = ns_cuda_copy_in(c->cuda, c->place, c->host_place, (size_t)c->max_nodes * sizeof *c->place);
    NS_TRY(ns_forest_agree(status, "training on a GPU", &f->device->link));
    for (int i = 0; i < N_STEPS; i++) {
        s.bits = bits_of_step[i];
        s.shift -= s.bits;
        for (int32_t k = 0; k < n; k++) c->host_prefix[k] = found[k].prefix;
        NS_TRY(count(f, &s, n));
        for (int32_t k = 0; k < n; k++) {
            const int64_t *bins = c->host_table + ((int64_t)k << s.bits);
            int64_t total = 0;
            int32_t b = 0;
            for (int32_t j = 0; i == 0 && j < 1 << s.bits; j++) total += bins[j];
            if (i == 0) found[k].target = target_of(total, f->settings.quantile);
            for (; found[k].target > 0 && bins[b] < found[k].target; b++) found[k].target -= bins[b];
            found[k].prefix = found[k].prefix << s.bits | (uint32_t)b;
        }
    }
    for (int32_t k = 0; k < n; k++) c->step[leaf[k]] = found[k].target > 0 ? (double)ns_value_of_key(found[k].prefix) : 0.0;
    return NS_OK;
}

static ns_status find_quantiles(ns_forest *f, int32_t n_nodes)
{
    ns_cuda_forest *c = f->cuda;
    int32_t leaf[NS_RESIDUAL_GROUPS], n = 0;
    ns_status status = ns_cuda_residual_keys(c->cuda, &c->rows);
    NS_TRY(ns_forest_agree(status, "training on a GPU", &f->device->link));
    for (int32_t i = 0; i < n_nodes; i++) {
        if (c->host_tree[i].feature < 0) leaf[n++] = i;
        if (n == 0 || (n < NS_RESIDUAL_GROUPS && i + 1 < n_nodes)) continue;
        NS_TRY(find_some(f, leaf, n));
        n = 0;
    }
    for (int32_t i = n_nodes - 1; i >= 0; i--) { /* inner nodes: the means of their leaves, by rows */
        const ns_cell *sums = c->host_sums;
        int32_t left = i + 1, right = c->host_tree[i].right;
        if (c->host_tree[i].feature < 0)
            c->step[i] = f->settings.learning_rate * c->step[i];
        else
            c->step[i] = sums[i].n == 0 ? 0.0
                                        : (c->step[left] * (double)sums[left].n + c->step[right] * (double)sums[right].n) /
                                              (double)sums[i].n;
    }
    return NS_OK;
}

ns_status ns_cuda_fill_leaves(ns_forest *f, int32_t n_nodes, const ns_leaf_scales *scales)
{
    ns_cuda_forest *c = f->cuda;
    ns_cell *sums = c->host_sums;
    ns_leaf_rule rule = {.learning_rate = f->settings.learning_rate, .l1 = f->settings.l1, .l2 = f->settings.l2};
    for (int32_t i = n_nodes - 1; i >= 0; i--) { /* children come after their parents */
        if (c->host_tree[i].feature < 0) continue;
        const ns_cell *left = &sums[i + 1], *right = &sums[c->host_tree[i].right];
        sums[i] = (ns_cell){left->g + right->g, left->h + right->h, left->n + right->n};
    }
    if (f->settings.objective == NS_QUANTILE)
        NS_TRY(find_quantiles(f, n_nodes));
    else
        for (int32_t i = 0; i < n_nodes; i++) c->step[i] = ns_leaf_step(&sums[i], scales, &rule);
    if (f->monotone != NULL) ns_leaf_bound(c->host_tree, n_nodes, f->monotone, f->n_bins, c->bounds, c->step);
    for (int32_t i = 0; i < n_nodes; i++) {
        bool is_leaf = c->host_tree[i].feature < 0;
        c->host_value[i] = is_leaf ? ns_leaf_units(c->step[i], f->k) : 0;
        c->host_tree[i].n_rows = sums[i].n;
        c->host_tree[i].leaf = c->host_value[i];
    }
    return NS_OK;
}
