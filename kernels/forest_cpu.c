#include "kernels/forest.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/forest_state.h"
#include "kernels/quantile.h"
#include "kernels/take.h"

/*
 * Everything up to the first round: memory, the base margin, cuts, bins, margins of earlier trees. Loops over
 * rows are parted in pieces of NS_FOREST_PIECE rows; all that they add up are integers, so threads may take
 * pieces in any order.
 */

ns_status ns_forest_agree(ns_status mine, const char *doing, const ns_link *link)
{
    int64_t code = (int64_t)mine;
    link->max_i64(link->context, &code, 1);
    if (code == NS_OK || mine != NS_OK) return (ns_status)code;
    return ns_fail((ns_status)code, "%s: another rank failed", doing);
}

/* Numbers and narrow categories share tiles, in order of features; wide categories have columns of their own.
 */
static bool is_wide(const ns_forest_plan *plan, int32_t feature)
{
    return plan->kind[feature] == NS_CATEGORY && plan->n_bins[feature] > NS_BYTE_BINS;
}

static ns_bins count_columns(const ns_forest_plan *plan)
{
    ns_bins bins = {
        .n_rows = plan->n_train + plan->n_valid + plan->n_held, .n_train = plan->n_train, .n_features = plan->n_features};
    for (int32_t i = 0; i < plan->n_features; i++) bins.n_wide += is_wide(plan, i);
    bins.n_bytes = plan->n_features - bins.n_wide;
    bins.n_tiles =
        (bins.n_bytes + NS_LANES - 1) / NS_LANES; /* at most: until cuts say which columns share lanes */
    return bins;
}

/* Whether any feature has a monotone constraint. */
static bool is_constrained(const ns_forest_plan *plan)
{
    for (int32_t i = 0; plan->monotone != NULL && i < plan->n_features; i++)
        if (plan->monotone[i] != 0) return true;
    return false;
}

/* Of a tree: its leaves are no more than rows. */
static int64_t most_nodes(const ns_forest_plan *plan)
{
    int64_t leaves = plan->settings.max_leaves;
    if (leaves > plan->n_train_global) leaves = plan->n_train_global;
    return 2 * leaves;
}

static ns_residual_plan residual_plan(const ns_forest_plan *plan, int n_threads)
{
    return (ns_residual_plan){.n_rows = plan->n_train,
                              .n_rows_global = plan->n_train_global,
                              .max_groups = (int32_t)most_nodes(plan),
                              .n_threads = n_threads};
}

/* Whether the base is found from gradients: see widen in base_cpu.c. */
static bool widens(const ns_forest_settings *settings)
{
    return settings->gradient_bits == 0 && (settings->objective == NS_REGRESSION || settings->objective == NS_POISSON);
}

/* Rows that are trained elsewhere: what the base is found with. */
static void take_for_base(ns_forest *f, const ns_forest_plan *plan, ns_taker *t)
{
    int64_t rows = plan->n_train + plan->n_valid;
    if (plan->settings.objective == NS_QUANTILE) f->leaf = ns_take(t, rows, sizeof *f->leaf);
    if (plan->settings.objective == NS_QUANTILE || widens(&plan->settings)) f->margin = ns_take(t, rows, sizeof *f->margin);
    if (!widens(&plan->settings)) return;
    f->g = ns_take(t, plan->n_train, sizeof *f->g);
    f->h = ns_take(t, plan->n_train, sizeof *f->h);
}

static void take_for_training(ns_forest *f, const ns_forest_plan *plan, ns_taker *t)
{
    int64_t rows = plan->n_train + plan->n_valid;
    f->margin = ns_take(t, ns_n_outputs(&plan->settings) * rows, sizeof *f->margin);
    if (plan->settings.objective == NS_MULTICLASS) {
        f->top = ns_take(t, rows, sizeof *f->top);
        f->norm = ns_take(t, rows, sizeof *f->norm);
    }
    f->g = ns_take(t, plan->n_train, sizeof *f->g);
    f->h = ns_take(t, plan->n_train, sizeof *f->h);
    f->leaf = ns_take(t, rows, sizeof *f->leaf);
    f->bins.bytes = ns_take(t, f->bins.n_bytes * f->bins.n_rows, 1);
    f->bins.lane = ns_take(t, f->bins.n_bytes, sizeof *f->bins.lane);
    f->bins.wide = ns_take(t, f->bins.n_wide * f->bins.n_rows, sizeof *f->bins.wide);
}

static void take_rows(ns_forest *f, const ns_forest_plan *plan, ns_taker *t, ns_forest_home home)
{
    int64_t features = plan->n_features, rows = plan->n_train + plan->n_valid;
    int64_t outputs = ns_n_outputs(&plan->settings);
    f->kind = ns_take(t, features, sizeof *f->kind);
    f->n_bins = ns_take(t, features, sizeof *f->n_bins);
    if (is_constrained(plan)) f->monotone = ns_take(t, features, sizeof *f->monotone);
    f->tally = ns_take(t, features, sizeof *f->tally);
    f->has_cuts = ns_take(t, features, sizeof *f->has_cuts);
    f->cut = ns_take(t, features, sizeof *f->cut);
    f->n_cuts = ns_take(t, features, sizeof *f->n_cuts);
    f->percent = ns_take(t, plan->n_percent, sizeof *f->percent);
    f->quantile = ns_take(t, features * plan->n_percent, sizeof *f->quantile);
    f->n_values = ns_take(t, features, sizeof *f->n_values);
    f->bins.place = ns_take(t, features, sizeof *f->bins.place);
    f->row_number = ns_take(t, rows, sizeof *f->row_number);
    f->base = ns_take(t, outputs, sizeof *f->base);
    f->class_weight = ns_take(t, outputs, sizeof *f->class_weight);
    f->value = ns_take(t, most_nodes(plan), sizeof *f->value);
    if (plan->settings.objective == NS_QUANTILE) f->wanted = ns_take(t, most_nodes(plan), sizeof *f->wanted);
    f->label = ns_take(t, rows, sizeof *f->label);
    f->weight = plan->weight == NULL ? NULL : ns_take(t, rows, sizeof *f->weight);
    if (home == NS_HOME_HOST) take_for_training(f, plan, t);
    else take_for_base(f, plan, t);
}

static void copy_plan(ns_forest *f, const ns_forest_plan *plan)
{
    int32_t bytes = 0, wide = 0;
    for (int32_t i = 0; i < f->n_features; i++) {
        f->kind[i] = plan->kind[i];
        f->n_bins[i] = plan->kind[i] == NS_CATEGORY ? plan->n_bins[i] : 0;
        if (f->monotone != NULL) {
            assert(plan->monotone[i] == 0 || plan->kind[i] == NS_NUMBER);
            f->monotone[i] = plan->monotone[i];
        }
        f->bins.place[i] = is_wide(plan, i) ? -1 - wide++ : bytes++;
    }
    f->n_percent = plan->n_percent;
    for (int32_t i = 0; i < plan->n_percent; i++) f->percent[i] = plan->percent[i];
    if (f->n_rows == 0) return;
    size_t rows = (size_t)f->n_rows;
    memcpy(f->row_number, plan->row_number, rows * sizeof *f->row_number);
    memcpy(f->label, plan->label, rows * sizeof *f->label);
    if (plan->weight != NULL) memcpy(f->weight, plan->weight, rows * sizeof *f->weight);
}

static void destroy(ns_forest **forest)
{
    ns_forest *f = *forest;
    if (f == NULL) return;
    for (int32_t i = 0; f->tally != NULL && i < f->n_features; i++) ns_tally_destroy(&f->tally[i]);
    ns_grower_destroy(&f->grower);
    ns_residuals_destroy(&f->residuals);
    void *blocks[] = {f->kind,         f->n_bins,     f->tally,     f->has_cuts,   f->cut,
                      f->n_cuts,       f->bins.place, f->label,     f->row_number, f->margin,
                      f->weight,       f->g,          f->h,         f->word,       f->leaf,
                      f->bins.tiles,   f->bins.bytes, f->bins.lane, f->bins.wide,  f->leaf_sums,
                      f->leaf_value,   f->nodes,      f->base,      f->top,        f->norm,
                      f->class_weight, f->value,      f->monotone,  f->bounds,     f->wanted,
                      f->percent,      f->quantile,   f->n_values};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    free(f);
    *forest = NULL;
}

static ns_status create_here(ns_forest **out, ns_device *device, const ns_forest_plan *plan, ns_forest_home home)
{
    int64_t n_rows = plan->n_train + plan->n_valid;
    *out = NULL;
    if (n_rows >= UINT32_MAX)
        return ns_fail(NS_EINVAL, "%lld rows on one rank, must be below 2^32 - 1: use more ranks",
                       (long long)n_rows);
    ns_forest *f = calloc(1, sizeof *f);
    ns_taker taken = {.n_bytes = (int64_t)sizeof *f, .failed = f == NULL};
    if (f != NULL) {
        *f = (ns_forest){.device = device,
                         .settings = plan->settings,
                         .n_train = plan->n_train,
                         .n_valid = plan->n_valid,
                         .n_rows = n_rows,
                         .n_train_global = plan->n_train_global,
                         .n_features = plan->n_features,
                         .n_outputs = ns_n_outputs(&plan->settings),
                         .bins = count_columns(plan)};
        take_rows(f, plan, &taken, home);
    }
    if (taken.failed) {
        destroy(&f);
        return ns_fail(NS_ENOMEM,
                       "not enough memory for %lld rows of %d features: %lld bytes and more are needed",
                       (long long)n_rows, (int)plan->n_features, (long long)taken.n_bytes);
    }
    copy_plan(f, plan);
    *out = f;
    if (plan->settings.objective != NS_QUANTILE) return NS_OK;
    ns_residual_plan residuals = residual_plan(plan, device->n_threads);
    ns_status status = ns_residuals_create(&f->residuals, &residuals);
    if (status != NS_OK) destroy(out);
    return status;
}

ns_status ns_forest_create(ns_forest **out, ns_device *device, const ns_forest_plan *plan, ns_forest_home home)
{
    ns_forest *f = NULL;
    *out = NULL;
    ns_status status = ns_forest_agree(create_here(&f, device, plan, home), "memory for a forest", &device->link);
    if (status == NS_OK) status = ns_forest_learn_base(f);
    if (status == NS_OK && home == NS_HOME_HOST) {
        ns_taker taken = {0};
        f->word = ns_take(&taken, f->n_train, f->width == NS_NARROW ? sizeof(int32_t) : sizeof(int64_t));
        if (taken.failed)
            status =
                ns_fail(NS_ENOMEM, "not enough memory for gradients: %lld bytes", (long long)taken.n_bytes);
        status = ns_forest_agree(status, "memory for a forest", &device->link);
    }
    if (status != NS_OK) destroy(&f);
    *out = f;
    return status;
}

static ns_status create(ns_forest **out, ns_device *device, const ns_forest_plan *plan)
{
    return ns_forest_create(out, device, plan, NS_HOME_HOST);
}

static ns_status count_slab(ns_forest *f, const ns_slab *slab)
{
    assert(f->kind[slab->feature] == NS_NUMBER && slab->number != NULL);
    assert(slab->first_row >= 0 && slab->first_row + slab->n_rows <= f->n_train);
    if (f->has_cuts[slab->feature]) return NS_OK;
    ns_tally **tally = &f->tally[slab->feature];
    if (*tally == NULL) NS_TRY(ns_tally_create(tally));
    ns_tally_add(*tally, slab->number, slab->n_rows);
    return NS_OK;
}

bool ns_forest_is_counted(const ns_forest *f, int32_t feature)
{
    return f->kind[feature] == NS_NUMBER && !f->has_cuts[feature];
}

/* The quantiles of a counted feature, as far as they are known: the tables of the others are asked for. */
static bool find_quantiles(ns_forest *f, int32_t feature)
{
    int64_t n = f->n_values[feature] = ns_tally_total(f->tally[feature]);
    bool known = true;
    for (int32_t i = 0; i < f->n_percent; i++)
        known &= ns_quantile_at(f->tally[feature], n, f->percent[i], &f->quantile[feature * f->n_percent + i]);
    return known;
}

/* A rank without training rows may have counted nothing. */
ns_status ns_forest_take_tallies(ns_forest *f, int32_t first, int32_t n)
{
    for (int32_t i = first; i < first + n; i++)
        if (ns_forest_is_counted(f, i) && f->tally[i] == NULL) NS_TRY(ns_tally_create(&f->tally[i]));
    return NS_OK;
}

ns_status ns_forest_end_pass(ns_forest *f, int32_t first, int32_t n, ns_status mine, bool *more)
{
    const ns_link *link = &f->device->link;
    ns_status status = NS_OK;
    *more = false;
    NS_TRY(ns_forest_agree(mine, "counting values", link));
    for (int32_t i = first; i < first + n; i++) {
        if (!ns_forest_is_counted(f, i)) continue;
        ns_tally_collect(f->tally[i], link);
        bool has_cuts = ns_cuts_find(f->tally[i], f->settings.max_bins, f->cut[i], &f->n_cuts[i]);
        if (!find_quantiles(f, i) || !has_cuts) {
            *more = true;
            if (status == NS_OK) status = ns_tally_status(f->tally[i]);
            continue;
        }
        f->has_cuts[i] = 1;
        f->n_bins[i] = f->n_cuts[i] + 2;
        ns_tally_destroy(&f->tally[i]);
    }
    return ns_forest_agree(status, "memory to count values", link);
}

static ns_status count_done(ns_forest *f, int32_t first, int32_t n, bool *more)
{
    return ns_forest_end_pass(f, first, n, ns_forest_take_tallies(f, first, n), more);
}

static ns_status bin_slab(ns_forest *f, const ns_slab *slab)
{
    int32_t feature = slab->feature;
    assert(slab->first_row >= 0 && slab->first_row + slab->n_rows <= f->bins.n_rows);
    assert(slab->stored != NULL || (slab->number != NULL) == (f->kind[feature] == NS_NUMBER));
    assert(f->kind[feature] == NS_CATEGORY || f->has_cuts[feature]);
    const ns_bin_loops *loops = f->device->loops->bin;
    ns_padded_cuts cuts;
    ns_pad_cuts(&cuts, f->cut[feature], f->n_cuts[feature]);
    bool is_byte = f->bins.place[feature] >= 0;
    uint8_t *bytes = is_byte ? ns_bins_bytes(&f->bins, feature) + slab->first_row : NULL;
    uint16_t *wide = is_byte ? NULL : ns_bins_wide(&f->bins, feature) + slab->first_row;
#pragma omp parallel for num_threads(f->device->n_threads)
    for (int64_t from = 0; from < slab->n_rows; from += NS_FOREST_PIECE) {
        int64_t to = ns_forest_piece_end(from, slab->n_rows);
        if (slab->stored != NULL) {
            size_t n = (size_t)(to - from);
            if (is_byte)
                memcpy(bytes + from, (const uint8_t *)slab->stored + from, n);
            else
                memcpy(wide + from, (const uint16_t *)slab->stored + from, n * sizeof *wide);
            continue;
        }
        if (slab->number != NULL) {
            loops->number(&cuts, slab->number + from, to - from, bytes + from, 1);
            continue;
        }
        for (int64_t i = from; i < to; i++) {
            assert(slab->bin[i] >= 0 && slab->bin[i] < f->n_bins[feature]);
            if (is_byte)
                bytes[i] = (uint8_t)slab->bin[i];
            else
                wide[i] = (uint16_t)slab->bin[i];
        }
    }
    return NS_OK;
}

static void put_cuts(ns_forest *f, int32_t feature, const float *cuts, int32_t n_cuts)
{
    assert(f->kind[feature] == NS_NUMBER && n_cuts >= 0 && n_cuts < f->settings.max_bins);
    for (int32_t i = 0; i < n_cuts; i++) f->cut[feature][i] = cuts[i];
    f->n_cuts[feature] = n_cuts;
    f->n_bins[feature] = n_cuts + 2;
    f->has_cuts[feature] = 1;
}

static ns_status read_bins(const ns_forest *f, int32_t feature, int64_t first, int64_t n, void *out)
{
    assert(first >= 0 && first + n <= f->bins.n_rows);
    if (f->bins.place[feature] >= 0)
        memcpy(out, ns_bins_bytes(&f->bins, feature) + first, (size_t)n);
    else
        memcpy(out, ns_bins_wide(&f->bins, feature) + first, (size_t)n * sizeof(uint16_t));
    return NS_OK;
}

static void take_tiles(ns_bins *bins, ns_taker *t)
{
    bins->tiles = ns_take(t, (int64_t)bins->n_tiles * bins->n_train * NS_LANES, 1);
}

/* The tiles of the training rows, from their columns. */
static ns_status fill_tiles(ns_forest *f)
{
    ns_taker taken = {0};
    ns_bins_share_lanes(&f->bins, f->n_bins);
    take_tiles(&f->bins, &taken);
    if (taken.failed)
        return ns_fail(NS_ENOMEM, "not enough memory for %lld rows: %lld bytes are needed",
                       (long long)f->n_train, (long long)taken.n_bytes);
#pragma omp parallel for schedule(dynamic) num_threads(f->device->n_threads)
    for (int64_t from = 0; from < f->n_train; from += NS_FOREST_PIECE)
        for (int32_t t = 0; t < f->bins.n_tiles; t++)
            f->device->loops->bin->tile(&f->bins, t, from, ns_forest_piece_end(from, f->n_train));
    return NS_OK;
}

static ns_status seal_here(ns_forest *f, int64_t most_threads)
{
    ns_give_freed_back(); /* counters, and what reading left */
    NS_TRY(fill_tiles(f));
    ns_grow_plan plan = {.settings = &f->settings,
                         .level = f->device->loops,
                         .link = &f->device->link,
                         .n_threads = f->device->n_threads,
                         .most_threads = (int)most_threads,
                         .bins = &f->bins,
                         .kind = f->kind,
                         .n_bins = f->n_bins,
                         .monotone = f->monotone,
                         .cuts_known = true,
                         .n_train = f->n_train,
                         .n_train_global = f->n_train_global,
                         .width = f->width};
    NS_TRY(ns_grower_create(&f->grower, &plan));
    int64_t n_nodes = ns_grower_max_nodes(f->grower);
    ns_taker taken = {0};
    f->leaf_sums = ns_take(&taken, (f->device->n_threads + 1) * n_nodes, sizeof *f->leaf_sums);
    f->leaf_value = ns_take(&taken, n_nodes, sizeof *f->leaf_value);
    if (f->monotone != NULL) f->bounds = ns_take(&taken, n_nodes, sizeof *f->bounds);
    f->nodes = ns_take(&taken, n_nodes, sizeof *f->nodes);
    if (!taken.failed) return NS_OK;
    return ns_fail(NS_ENOMEM, "not enough memory for the leaves of a tree: %lld bytes",
                   (long long)taken.n_bytes);
}

/* margins = base + trees, for rows [from, to). */
static void replay(ns_forest *f, const ns_trees *trees, int64_t from, int64_t to)
{
    for (int32_t o = 0; o < f->n_outputs; o++)
        for (int64_t i = from; i < to; i++) f->margin[o * f->n_rows + i] = f->base[o];
    for (int64_t t = 0; t < trees->n_trees; t++) {
        ns_walk_tree tree = {trees->nodes + trees->first[t], trees->sets};
        int64_t *margin = f->margin + t % f->n_outputs * f->n_rows;
        f->device->loops->walk->leaves(&tree, &f->bins, from, to, f->leaf);
        for (int64_t i = from; i < to; i++) margin[i] += tree.nodes[f->leaf[i]].leaf;
    }
}

static ns_status seal(ns_forest *f, const ns_trees *trees)
{
    int64_t most_threads = f->device->n_threads;
    f->device->link.max_i64(f->device->link.context, &most_threads, 1);
    NS_TRY(ns_forest_agree(seal_here(f, most_threads), "memory for training", &f->device->link));
#pragma omp parallel for schedule(dynamic) num_threads(f->device->n_threads)
    for (int64_t from = 0; from < f->n_rows; from += NS_FOREST_PIECE)
        replay(f, trees, from, ns_forest_piece_end(from, f->n_rows));
    ns_forest_normalise(f);
    return NS_OK;
}

static ns_status read_margins(ns_forest *f, int64_t first, int64_t n, int64_t *margins)
{
    assert(first >= 0 && first + n <= f->n_rows);
    for (int32_t o = 0; o < f->n_outputs; o++)
        for (int64_t i = 0; i < n; i++) margins[i * f->n_outputs + o] = f->margin[o * f->n_rows + first + i];
    return NS_OK;
}

static void cuts_of(const ns_forest *f, int32_t feature, const float **cuts, int32_t *n_cuts)
{
    *cuts = f->cut[feature];
    *n_cuts = f->n_cuts[feature];
}

static void quantiles_of(const ns_forest *f, int32_t feature, const float **quantile, int64_t *n_values)
{
    *quantile = f->quantile + (int64_t)feature * f->n_percent;
    *n_values = f->n_values[feature];
}

static void base_of(const ns_forest *f, int64_t *base, int32_t *k)
{
    memcpy(base, f->base, (size_t)f->n_outputs * sizeof *base);
    *k = f->k;
}

const ns_forest_ops ns_forest_cpu = {
    .name = "cpu",
    .create = create,
    .count_slab = count_slab,
    .count_done = count_done,
    .bin_slab = bin_slab,
    .put_cuts = put_cuts,
    .read_bins = read_bins,
    .seal = seal,
    .round = ns_forest_round,
    .read_margins = read_margins,
    .cuts = cuts_of,
    .quantiles = quantiles_of,
    .base = base_of,
    .destroy = destroy,
};

int64_t ns_forest_memory(const ns_forest_plan *plan, int32_t n_count_features, int64_t held_until_binned)
{
    int n_threads = omp_get_max_threads();
    ns_forest none = {.bins = count_columns(plan)};
    ns_taker counted = {.n_bytes = (int64_t)sizeof none, .count_only = true};
    take_rows(&none, plan, &counted, NS_HOME_HOST);
    ns_take(&counted, plan->n_train, sizeof(int64_t)); /* as if wide */
    ns_grow_plan grow = {.settings = &plan->settings,
                         .n_threads = n_threads,
                         .bins = &none.bins,
                         .kind = plan->kind,
                         .n_bins = plan->n_bins,
                         .n_train = plan->n_train,
                         .n_train_global = plan->n_train_global};
    int64_t nodes = 2 * (int64_t)plan->settings.max_leaves;
    int64_t leaves = nodes * ((n_threads + 1) * (int64_t)sizeof(ns_cell) +
                              (int64_t)(sizeof(ns_node) + sizeof(int32_t) + sizeof(ns_leaf_bounds)));
    ns_residual_plan residuals = residual_plan(plan, n_threads);
    if (plan->settings.objective == NS_QUANTILE) counted.n_bytes += ns_residuals_memory(&residuals);
    ns_taker tiles = {.count_only = true};
    take_tiles(&none.bins, &tiles);
    int64_t counting = n_count_features * ns_cuts_memory(plan->settings.max_bins, plan->n_percent) + held_until_binned;
    int64_t training = ns_grower_memory(&grow) + leaves + tiles.n_bytes;
    /* Counters are given back before seal takes what training needs. */
    return counted.n_bytes + (counting > training ? counting : training);
}
