#include <stdlib.h>
#include <string.h>

#include "kernels/cuda_forest.h"
#include "kernels/take.h"

/*
 * Trees on a GPU. Up to seal a forest is one of the cpu backend: it counts, finds cuts, the base and bins, and they are the
 * same by construction. seal takes rows and bins to the GPU and gives back what only the cpu's rounds need. In a round
 * nothing is done row by row on the host: it queues kernels, adds up over ranks, and works out the values of a tree's
 * leaves from their sums.
 *
 * A rank whose GPU fails still takes part in the next agreement, so that all ranks end alike.
 */

/* --- the round ------------------------------------------------------------------------------------------------------ */

static ns_status agree(const ns_forest *f, ns_status mine)
{
    return ns_forest_agree(mine, "training on a GPU", &f->device->link);
}

/* Histograms in staging become sums over all ranks. n_open: of the step. Collective. */
static ns_status sum_staging(ns_forest *f, int32_t n_open)
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    int64_t n = (int64_t)n_open * 3 * c->grow.n_cells;
    size_t n_bytes = (size_t)n * sizeof(int64_t);
    if (link->n_ranks == 1) return NS_OK;
    ns_status status = ns_cuda_copy_out(c->cuda, c->host_staging, c->grow.staging, n_bytes);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    link->sum_i64(link->context, c->host_staging, n);
    return ns_cuda_copy_in(c->cuda, c->grow.staging, c->host_staging, n_bytes);
}

static ns_status look_at_root(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    ns_status status = ns_cuda_begin_tree(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_histogram(c->cuda, &c->grow);
    NS_TRY(agree(f, status));
    status = sum_staging(f, c->grow.n_features > 0);
    if (status == NS_OK) status = ns_cuda_total_root(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_look(c->cuda, &c->grow);
    if (status == NS_OK) status = ns_cuda_settle(c->cuda, &c->grow);
    return agree(f, status);
}

static ns_status choose(ns_cuda_forest *c, ns_cuda_control *to)
{
    NS_TRY(ns_cuda_choose(c->cuda, &c->grow));
    return ns_cuda_copy_out(c->cuda, to, c->grow.control, sizeof *to);
}

static ns_status part_and_add_up(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_part(c->cuda, &c->grow));
    return ns_cuda_histogram(c->cuda, &c->grow);
}

static ns_status look_and_settle(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_look(c->cuda, &c->grow));
    return ns_cuda_settle(c->cuda, &c->grow);
}

/* One rank: whether the tree is done is read one step late, so that the GPU never waits for the host. The step after
   the last finds nothing to do. */
static ns_status grow_alone(ns_cuda_forest *c)
{
    ns_cuda_control *control = c->mirror->control;
    for (int64_t step = 0;; step++) {
        int now = (int)(step % 2), before = 1 - now;
        NS_TRY(choose(c, &control[now]));
        NS_TRY(ns_cuda_mark(c->cuda, now));
        NS_TRY(part_and_add_up(c));
        NS_TRY(look_and_settle(c));
        if (step == 0) continue;
        NS_TRY(ns_cuda_wait_mark(c->cuda, before));
        if (control[before].is_done) return NS_OK;
    }
}

static ns_status grow_together(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    ns_cuda_control *control = c->mirror->control;
    for (;;) {
        ns_status status = choose(c, control);
        if (status == NS_OK) status = ns_cuda_wait(c->cuda);
        if (status == NS_OK && !control->is_done) status = part_and_add_up(c);
        NS_TRY(agree(f, status));
        if (control->is_done) return NS_OK;
        status = sum_staging(f, control->n_open);
        if (status == NS_OK) status = look_and_settle(c);
        NS_TRY(agree(f, status));
    }
}

/* g and h at the present margins and the largest of them over all ranks; `mine`: what went wrong before. */
static ns_status take_gradients(ns_forest *f, ns_status mine, double max[2])
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    ns_status status = mine;
    if (status == NS_OK) status = ns_cuda_zero(c->cuda, c->max, 2 * sizeof *c->max);
    if (status == NS_OK) status = ns_cuda_gradients(c->cuda, &c->rows, c->max);
    if (status == NS_OK) status = ns_cuda_copy_out(c->cuda, c->mirror->max, c->max, 2 * sizeof *c->max);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    int64_t bounds[2] = {c->mirror->max[0], c->mirror->max[1]};
    link->max_i64(link->context, bounds, 2);
    for (int i = 0; i < 2; i++) max[i] = ns_from_bits((uint64_t)bounds[i]);
    return NS_OK;
}

/* The rows to grow from, in row[0]. */
static ns_status choose_rows(ns_forest *f, int64_t round, uint32_t output)
{
    ns_cuda_forest *c = f->cuda;
    uint64_t below = (uint64_t)(f->settings.row_sample * 0x1p32);
    ns_stream stream = ns_stream_of(f->settings.seed, NS_RANDOM_ROWS, round, output);
    c->grow.n_grown = f->n_train;
    if (below >= UINT64_C(1) << 32) return ns_cuda_all_rows(c->cuda, &c->rows, c->grow.row[0]);
    NS_TRY(ns_cuda_zero(c->cuda, c->n_sampled, sizeof *c->n_sampled));
    NS_TRY(ns_cuda_sample(c->cuda, &c->rows, &stream, below, c->grow.row[0], c->n_sampled));
    NS_TRY(ns_cuda_copy_out(c->cuda, &c->mirror->n_sampled, c->n_sampled, sizeof *c->n_sampled));
    NS_TRY(ns_cuda_wait(c->cuda));
    c->grow.n_grown = (int64_t)c->mirror->n_sampled;
    return NS_OK;
}

static ns_status prepare_tree(ns_forest *f, int64_t round, int32_t output, const double max[2])
{
    ns_cuda_forest *c = f->cuda;
    bool narrow = f->width == NS_NARROW;
    ns_rounding how = {.scale_g = ns_scale_within(max[0], narrow ? 12 : 30),
                       .scale_h = ns_scale_within(max[1], narrow ? 12 : 24),
                       .stream = ns_stream_of(f->settings.seed, NS_RANDOM_GRADIENT, round, (uint32_t)output)};
    c->grow.rule.unit_g = 1.0 / how.scale_g;
    c->grow.rule.unit_h = 1.0 / how.scale_h;
    c->grow.round = round;
    c->grow.output = (uint32_t)output;
    NS_TRY(ns_cuda_round(c->cuda, &c->rows, &how, f->width));
    return choose_rows(f, round, (uint32_t)output);
}

/* The finished tree and its leaves' sums of this rank, on the host. */
static ns_status fetch_tree(ns_forest *f, const ns_leaf_scales *scales)
{
    ns_cuda_forest *c = f->cuda;
    ns_cuda_control *control = c->mirror->control;
    int64_t first = c->grow.n_grown == f->n_train ? f->n_train : 0;
    size_t n = (size_t)c->max_nodes;
    NS_TRY(ns_cuda_finish(c->cuda, &c->grow));
    NS_TRY(ns_cuda_zero(c->cuda, c->sums, n * sizeof *c->sums));
    NS_TRY(ns_cuda_leaves_grown(c->cuda, &c->rows, &c->grow, scales, c->sums));
    NS_TRY(ns_cuda_leaves_rest(c->cuda, &c->rows, &c->grow, scales, first, c->sums));
    NS_TRY(ns_cuda_copy_out(c->cuda, control, c->grow.control, sizeof *control));
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_sums, c->sums, n * sizeof *c->sums));
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_tree, c->grow.tree, n * sizeof *c->host_tree));
    NS_TRY(ns_cuda_wait(c->cuda));
    if (control->n_set_words == 0) return NS_OK;
    NS_TRY(ns_cuda_copy_out(c->cuda, c->host_sets, c->grow.tree_sets, (size_t)control->n_set_words * sizeof *c->host_sets));
    return ns_cuda_wait(c->cuda);
}

/* The tree of one output, added to trees and margins; after the round's last output its losses. Collective. */
static ns_status grow_output(ns_forest *f, int64_t round, int32_t output, ns_trees *trees, ns_round *result)
{
    ns_cuda_forest *c = f->cuda;
    const ns_link *link = &f->device->link;
    double max[2];
    c->rows.output = output;
    ns_status status = ns_trees_reserve(trees, c->max_nodes, (int64_t)c->grow.max_splits * c->grow.words_per_set);
    NS_TRY(take_gradients(f, status, max));
    NS_TRY(agree(f, prepare_tree(f, round, output, max)));
    NS_TRY(look_at_root(f));
    NS_TRY(link->n_ranks == 1 ? grow_alone(c) : grow_together(f));
    ns_leaf_scales scales = ns_leaf_scales_of(max[0], max[1], f->n_train_global);
    NS_TRY(agree(f, fetch_tree(f, &scales)));
    const ns_cuda_control *control = c->mirror->control;
    int32_t n_nodes = control->n_tree_nodes;
    link->sum_i64(link->context, (int64_t *)c->host_sums, (int64_t)n_nodes * 3);
    NS_TRY(ns_cuda_fill_leaves(f, n_nodes, &scales));
    status = ns_cuda_copy_in(c->cuda, c->leaf_value, c->host_value, (size_t)n_nodes * sizeof *c->leaf_value);
    if (status == NS_OK) status = ns_cuda_zero(c->cuda, c->losses, 4 * sizeof *c->losses);
    if (status == NS_OK) status = ns_cuda_advance(c->cuda, &c->rows, c->leaf_value, c->losses);
    if (status == NS_OK) status = ns_cuda_copy_out(c->cuda, c->mirror->losses, c->losses, 4 * sizeof *c->losses);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    NS_TRY(agree(f, status));
    const int64_t *sum = c->mirror->losses;
    result->train_loss = (ns_i128)sum[1] * (INT64_C(1) << 32) + sum[0];
    result->valid_loss = (ns_i128)sum[3] * (INT64_C(1) << 32) + sum[2];
    result->n_leaves += control->n_leaves;
    return ns_trees_append(trees, c->host_tree, n_nodes, c->host_sets, control->n_set_words);
}

static ns_status round_one(ns_forest *f, int64_t round, ns_trees *trees, ns_round *result)
{
    int64_t before = trees->n_trees;
    *result = (ns_round){.train_weight = f->train_weight, .valid_weight = f->valid_weight, .loss_unit = f->loss_unit};
    for (int32_t output = 0; output < f->n_outputs; output++) {
        ns_status status = grow_output(f, round, output, trees, result);
        if (status == NS_OK) continue;
        ns_trees_truncate(trees, before);
        return status;
    }
    ns_i128 losses[2] = {result->train_loss, result->valid_loss};
    f->device->link.sum_i128(f->device->link.context, losses, 2);
    result->train_loss = losses[0];
    result->valid_loss = losses[1];
    return NS_OK;
}

/* --- to the GPU ----------------------------------------------------------------------------------------------------- */

/* A block on the device with what the host has in `from`; queued. */
static const void *take_copy(ns_cuda_forest *c, const void *from, int64_t n, size_t size, ns_status *status)
{
    void *to = ns_cuda_take(&c->memory, n, size);
    if (to != NULL && *status == NS_OK) *status = ns_cuda_copy_in(c->cuda, to, from, (size_t)n * size);
    return to;
}

/* As the cpu backend's grower sizes itself, but that all histograms are planes. */
static void size_tree(const ns_forest *f, ns_cuda_grow *g)
{
    const ns_forest_settings *s = &f->settings;
    int64_t least = s->min_rows > 1 ? s->min_rows : 1, most = f->n_train_global / least > 1 ? f->n_train_global / least : 1;
    int64_t splits = s->max_leaves - 1 < most - 1 ? s->max_leaves - 1 : most - 1;
    int64_t batch = s->batch < splits ? s->batch : splits, openings;
    if (batch < 1) batch = 1;
    openings = splits + (batch > 1 ? 2 * batch : 0);
    if (openings > most - 1) openings = most - 1;
    int64_t splittable = f->n_train_global / (2 * least);
    g->max_splits = (int32_t)splits;
    g->batch = (int32_t)batch;
    g->max_openings = (int32_t)openings;
    g->room_nodes = (int32_t)(2 * openings + 1);
    g->n_slots = openings + 1 < splittable ? openings + 1 : splittable;
    if (g->n_slots < 1) g->n_slots = 1;
    int32_t widest = 0;
    for (int32_t i = 0; i < f->n_features; i++)
        if (f->kind[i] == NS_CATEGORY && f->n_bins[i] > widest) widest = f->n_bins[i];
    g->words_per_set = (widest + 31) / 32;
    g->sort_room = 1;
    while (g->sort_room < widest) g->sort_room *= 2;
}

static void set_rule(const ns_forest *f, ns_cuda_grow *g)
{
    const ns_forest_settings *s = &f->settings;
    g->rule = (ns_split_rule){.l1 = s->l1,
                              .l2 = s->l2,
                              .min_gain = s->min_gain,
                              .min_hessian = s->min_hessian,
                              .min_rows = s->min_rows,
                              .category_smoothing = s->category_smoothing,
                              .category_l2 = s->category_l2,
                              .category_split_rows = s->category_split_rows,
                              .category_max_levels = s->category_max_levels};
    g->max_depth = s->max_depth;
    g->column_sample = s->column_sample;
    g->column_sample_node = s->column_sample_node;
    g->seed = s->seed;
    g->is_bounded = f->monotone != NULL;
    g->gradients_wide = f->width == NS_WIDE;
}

/* Tables of the columns, made on the host. */
typedef struct tables {
    int32_t *kind, *category, *byte_feature, *byte_cell, *wide_feature;
    int64_t *offset;
    ns_cuda_group *group;
} tables;

static void free_tables(tables *t)
{
    void *blocks[] = {t->kind, t->category, t->byte_feature, t->byte_cell, t->wide_feature, t->offset, t->group};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
}

/* Words of four columns join a group as long as their cells and threads suffice. */
static void make_groups(ns_cuda_grow *g, tables *t, int32_t most_cells)
{
    g->n_groups = 0;
    for (int32_t w = 0; w < g->row_words; w++) {
        int32_t cells = t->byte_cell[4 * w + 4] - t->byte_cell[4 * w];
        ns_cuda_group *open = g->n_groups == 0 ? NULL : &t->group[g->n_groups - 1];
        if (open == NULL || open->n_cells + cells > most_cells || open->n_words == NS_CUDA_GROUP_WORDS) {
            open = &t->group[g->n_groups++];
            *open = (ns_cuda_group){.first_word = w, .first_cell = t->byte_cell[4 * w]};
        }
        open->n_words++;
        open->n_columns += 4;
        open->n_cells += cells;
    }
}

static ns_status make_tables(const ns_forest *f, ns_cuda_grow *g, tables *t, int32_t most_cells)
{
    int32_t n = f->n_features;
    ns_taker taken = {0};
    g->n_features = n;
    g->n_bytes = f->bins.n_bytes;
    g->n_wide = f->bins.n_wide;
    g->row_words = (g->n_bytes + 3) / 4;
    g->n_categories = 0;
    g->n_cells = 0;
    t->kind = ns_take(&taken, n, sizeof *t->kind);
    t->category = ns_take(&taken, n, sizeof *t->category);
    t->byte_feature = ns_take(&taken, 4 * (int64_t)g->row_words, sizeof *t->byte_feature);
    t->byte_cell = ns_take(&taken, 4 * (int64_t)g->row_words + 1, sizeof *t->byte_cell);
    t->wide_feature = ns_take(&taken, g->n_wide, sizeof *t->wide_feature);
    t->offset = ns_take(&taken, (int64_t)n + 1, sizeof *t->offset);
    t->group = ns_take(&taken, g->row_words, sizeof *t->group);
    if (taken.failed) return ns_fail(NS_ENOMEM, "not enough memory to describe %d columns to a GPU", (int)n);
    for (int32_t c = 0; c < 4 * g->row_words; c++) t->byte_feature[c] = -1;
    for (int32_t i = 0; i < n; i++) {
        int32_t place = f->bins.place[i];
        t->kind[i] = (int32_t)f->kind[i];
        if (f->kind[i] == NS_CATEGORY) t->category[g->n_categories++] = i;
        *(place >= 0 ? &t->byte_feature[place] : &t->wide_feature[-1 - place]) = i;
        t->offset[i + 1] = g->n_cells += f->n_bins[i];
    }
    for (int32_t c = 0; c < 4 * g->row_words; c++)
        t->byte_cell[c + 1] = t->byte_cell[c] + (t->byte_feature[c] < 0 ? 0 : f->n_bins[t->byte_feature[c]]);
    make_groups(g, t, most_cells);
    return NS_OK;
}

static ns_status copy_tables(const ns_forest *f, ns_cuda_forest *c, const tables *t)
{
    ns_cuda_grow *g = &c->grow;
    ns_status status = NS_OK;
    g->kind = take_copy(c, t->kind, g->n_features, sizeof *t->kind, &status);
    g->n_bins = take_copy(c, f->n_bins, g->n_features, sizeof *f->n_bins, &status);
    g->place = take_copy(c, f->bins.place, g->n_features, sizeof *f->bins.place, &status);
    g->category = take_copy(c, t->category, g->n_categories, sizeof *t->category, &status);
    g->offset = take_copy(c, t->offset, g->n_features + 1, sizeof *t->offset, &status);
    if (f->monotone != NULL) g->monotone = take_copy(c, f->monotone, g->n_features, sizeof *f->monotone, &status);
    g->byte_feature = take_copy(c, t->byte_feature, 4 * g->row_words, sizeof *t->byte_feature, &status);
    g->byte_cell = take_copy(c, t->byte_cell, 4 * g->row_words + 1, sizeof *t->byte_cell, &status);
    g->wide_feature = take_copy(c, t->wide_feature, g->n_wide, sizeof *t->wide_feature, &status);
    g->group = take_copy(c, t->group, g->n_groups, sizeof *t->group, &status);
    return status;
}

static ns_status copy_rows(const ns_forest *f, ns_cuda_forest *c)
{
    ns_cuda_grow *g = &c->grow;
    ns_cuda_rows *r = &c->rows;
    ns_status status = NS_OK;
    g->n_rows = f->bins.n_rows;
    g->n_train = f->n_train;
    g->bytes = take_copy(c, f->bins.bytes, g->n_bytes * g->n_rows, 1, &status);
    g->wide = take_copy(c, f->bins.wide, g->n_wide * g->n_rows, sizeof *g->wide, &status);
    r->label = take_copy(c, f->label, f->n_rows, sizeof *r->label, &status);
    if (f->weight != NULL) r->weight = take_copy(c, f->weight, f->n_rows, sizeof *r->weight, &status);
    r->row_number = take_copy(c, f->row_number, f->n_rows, sizeof *r->row_number, &status);
    c->dev_base = (int64_t *)take_copy(c, f->base, f->n_outputs, sizeof *f->base, &status);
    return status;
}

static void take_rows(const ns_forest *f, ns_cuda_forest *c)
{
    ns_cuda_grow *g = &c->grow;
    ns_cuda_rows *r = &c->rows;
    ns_cuda_memory *m = &c->memory;
    r->n_train = f->n_train;
    r->n_rows = f->n_rows;
    r->objective = f->settings.objective;
    r->n_outputs = f->n_outputs;
    r->unit = ns_power_of_two(-f->k);
    r->quantile = f->settings.quantile;
    r->weight_scale = f->weight_scale;
    r->loss_scale = 0x1p40 / f->loss_unit;
    r->margin = ns_cuda_take(m, f->n_outputs * f->n_rows, sizeof *r->margin);
    if (r->objective == NS_MULTICLASS) {
        r->top = ns_cuda_take(m, f->n_rows, sizeof *r->top);
        r->norm = ns_cuda_take(m, f->n_rows, sizeof *r->norm);
    }
    if (r->objective == NS_QUANTILE) r->key = ns_cuda_take(m, f->n_train, sizeof *r->key);
    r->g = ns_cuda_take(m, f->n_train, sizeof *r->g);
    r->h = ns_cuda_take(m, f->n_train, sizeof *r->h);
    r->word = ns_cuda_take(m, f->n_train, f->width == NS_WIDE ? sizeof(int64_t) : sizeof(int32_t));
    r->leaf = ns_cuda_take(m, f->n_rows, sizeof *r->leaf);
    g->word = r->word;
    for (int i = 0; i < 2; i++) g->row[i] = ns_cuda_take(m, f->n_train, sizeof *g->row[i]);
    g->packed = ns_cuda_take(m, f->n_train * g->row_words, sizeof *g->packed);
}

static void take_tree(ns_cuda_forest *c)
{
    ns_cuda_grow *g = &c->grow;
    ns_cuda_memory *m = &c->memory;
    int64_t scratch = 2 * g->batch > NS_CUDA_SORT_BLOCKS ? 2 * g->batch : NS_CUDA_SORT_BLOCKS;
    if (g->n_categories == 0) scratch = 0;
    g->control = ns_cuda_take(m, 1, sizeof *g->control);
    g->node = ns_cuda_take(m, g->room_nodes, sizeof *g->node);
    g->set = ns_cuda_take(m, (int64_t)g->room_nodes * g->words_per_set, sizeof *g->set);
    g->opening = ns_cuda_take(m, g->batch, sizeof *g->opening);
    g->in_tree = ns_cuda_take(m, g->n_features, sizeof *g->in_tree);
    g->may = ns_cuda_take(m, 2 * (int64_t)g->batch * g->n_features, sizeof *g->may);
    g->found = ns_cuda_take(m, 2 * (int64_t)g->batch * g->n_features, sizeof *g->found);
    g->free_slot = ns_cuda_take(m, g->n_slots, sizeof *g->free_slot);
    g->store = ns_cuda_take(m, g->n_slots * 3 * g->n_cells, sizeof *g->store);
    g->staging = ns_cuda_take(m, (int64_t)g->batch * 3 * g->n_cells, sizeof *g->staging);
    g->sort_key = ns_cuda_take(m, scratch * g->sort_room, sizeof *g->sort_key);
    g->sort_bin = ns_cuda_take(m, scratch * g->sort_room, sizeof *g->sort_bin);
    g->tree = ns_cuda_take(m, c->max_nodes, sizeof *g->tree);
    g->tree_sets = ns_cuda_take(m, (int64_t)g->max_splits * g->words_per_set, sizeof *g->tree_sets);
    g->at_place = ns_cuda_take(m, c->max_nodes, sizeof *g->at_place);
    g->set_at_place = ns_cuda_take(m, c->max_nodes, sizeof *g->set_at_place);
    c->max = ns_cuda_take(m, 2, sizeof *c->max);
    c->losses = ns_cuda_take(m, 4, sizeof *c->losses);
    c->n_sampled = ns_cuda_take(m, 1, sizeof *c->n_sampled);
    c->sums = ns_cuda_take(m, c->max_nodes, sizeof *c->sums);
    c->leaf_value = ns_cuda_take(m, c->max_nodes, sizeof *c->leaf_value);
}

static void take_mirror(const ns_forest *f, ns_cuda_forest *c)
{
    ns_cuda_memory *m = &c->memory;
    const ns_cuda_grow *g = &c->grow;
    c->mirror = ns_cuda_take_pinned(m, 1, sizeof *c->mirror);
    c->host_sums = ns_cuda_take_pinned(m, c->max_nodes, sizeof *c->host_sums);
    c->host_tree = ns_cuda_take_pinned(m, c->max_nodes, sizeof *c->host_tree);
    c->host_sets = ns_cuda_take_pinned(m, (int64_t)g->max_splits * g->words_per_set, sizeof *c->host_sets);
    c->host_value = ns_cuda_take_pinned(m, c->max_nodes, sizeof *c->host_value);
    if (f->device->link.n_ranks > 1)
        c->host_staging = ns_cuda_take_pinned(m, (int64_t)g->batch * 3 * g->n_cells, sizeof *c->host_staging);
    if (f->settings.objective != NS_QUANTILE) return;
    int64_t cells = (int64_t)NS_RESIDUAL_GROUPS << 11;
    c->place = ns_cuda_take(m, c->max_nodes, sizeof *c->place);
    c->prefix = ns_cuda_take(m, NS_RESIDUAL_GROUPS, sizeof *c->prefix);
    c->table = ns_cuda_take(m, cells, sizeof *c->table);
    c->host_place = ns_cuda_take_pinned(m, c->max_nodes, sizeof *c->host_place);
    c->host_prefix = ns_cuda_take_pinned(m, NS_RESIDUAL_GROUPS, sizeof *c->host_prefix);
    c->host_table = ns_cuda_take_pinned(m, cells, sizeof *c->host_table);
}

/* margins = base + trees. */
static ns_status replay(ns_forest *f, const ns_trees *trees)
{
    ns_cuda_forest *c = f->cuda;
    ns_cuda_memory m = {.cuda = c->cuda};
    NS_TRY(ns_cuda_set_base(c->cuda, &c->rows, c->dev_base));
    ns_node *nodes = ns_cuda_take(&m, trees->n_nodes, sizeof *nodes);
    uint32_t *sets = ns_cuda_take(&m, trees->n_set_words, sizeof *sets);
    ns_status status = NS_OK;
    if (m.failed) status = ns_fail(NS_ENOMEM, "GPU: not enough memory for the trees made so far: %lld bytes", (long long)m.n_bytes);
    if (status == NS_OK) status = ns_cuda_copy_in(c->cuda, nodes, trees->nodes, (size_t)trees->n_nodes * sizeof *nodes);
    if (status == NS_OK) status = ns_cuda_copy_in(c->cuda, sets, trees->sets, (size_t)trees->n_set_words * sizeof *sets);
    for (int64_t t = 0; t < trees->n_trees && status == NS_OK; t++) {
        c->rows.output = (int32_t)(t % f->n_outputs);
        status = ns_cuda_replay(c->cuda, &c->rows, &c->grow, nodes + trees->first[t], sets);
    }
    if (status == NS_OK && f->settings.objective == NS_MULTICLASS) status = ns_cuda_normalise(c->cuda, &c->rows);
    if (status == NS_OK) status = ns_cuda_wait(c->cuda);
    ns_cuda_give_all(&m);
    return status;
}

static ns_status seal_here(ns_forest *f, const ns_trees *trees)
{
    ns_cuda_forest *c = f->cuda = calloc(1, sizeof *c);
    tables t = {0};
    if (c == NULL) return ns_fail(NS_ENOMEM, "not enough memory for training on a GPU");
    c->cuda = f->device->state;
    c->memory.cuda = c->cuda;
    size_tree(f, &c->grow);
    set_rule(f, &c->grow);
    c->max_nodes = 2 * (int64_t)c->grow.max_splits + 1;
    ns_taker taken = {0};
    c->step = ns_take(&taken, c->max_nodes, sizeof *c->step);
    c->bounds = ns_take(&taken, c->max_nodes, sizeof *c->bounds);
    if (taken.failed) return ns_fail(NS_ENOMEM, "not enough memory for the leaves of a tree");
    ns_status status = make_tables(f, &c->grow, &t, ns_cuda_histogram_cells(c->cuda, f->width == NS_WIDE));
    if (status == NS_OK) status = copy_tables(f, c, &t);
    if (status == NS_OK) status = copy_rows(f, c);
    if (status == NS_OK) take_rows(f, c);
    if (status == NS_OK) take_tree(c);
    if (status == NS_OK) take_mirror(f, c);
    if (status == NS_OK && c->memory.failed)
        status = ns_fail(NS_ENOMEM, "GPU: not enough memory for %lld rows of %d features: %lld bytes are needed; use more GPUs, or run.device: cpu",
                         (long long)f->n_rows, (int)f->n_features, (long long)c->memory.n_bytes);
    if (status == NS_OK) status = ns_cuda_pack_rows(c->cuda, &c->grow, (uint32_t *)c->grow.packed);
    if (status == NS_OK) status = replay(f, trees);
    free_tables(&t); /* what was copied of them has arrived */
    return status;
}

/* What only the cpu's rounds need. */
static void give_back(ns_forest *f)
{
    free(f->margin);
    free(f->g);
    free(f->h);
    free(f->word);
    free(f->leaf);
    free(f->top);
    free(f->norm);
    f->margin = NULL;
    f->g = f->h = f->top = f->norm = NULL;
    f->word = NULL;
    f->leaf = NULL;
    ns_residuals_destroy(&f->residuals);
}

static ns_status seal(ns_forest *f, const ns_trees *trees)
{
    ns_status status = ns_forest_agree(seal_here(f, trees), "memory for training on a GPU", &f->device->link);
    if (status == NS_OK) give_back(f);
    return status;
}

static ns_status read_margins(ns_forest *f, int64_t first, int64_t n, int64_t *margins)
{
    ns_cuda_forest *c = f->cuda;
    int64_t *plane = malloc((size_t)(n > 0 ? n : 1) * sizeof *plane);
    if (plane == NULL) return ns_fail(NS_ENOMEM, "not enough memory to read margins");
    ns_status status = NS_OK;
    for (int32_t o = 0; o < f->n_outputs && status == NS_OK; o++) {
        status = ns_cuda_copy_out(c->cuda, plane, c->rows.margin + o * f->n_rows + first, (size_t)n * sizeof *plane);
        if (status == NS_OK) status = ns_cuda_wait(c->cuda);
        for (int64_t i = 0; i < n && status == NS_OK; i++) margins[i * f->n_outputs + o] = plane[i];
    }
    free(plane);
    return status;
}

static void destroy(ns_forest **forest)
{
    if (*forest != NULL && (*forest)->cuda != NULL) {
        ns_cuda_forest *c = (*forest)->cuda;
        ns_cuda_give_all(&c->memory);
        free(c->step);
        free(c->bounds);
        free(c);
        (*forest)->cuda = NULL;
    }
    ns_forest_cpu.destroy(forest);
}

const ns_forest_ops *ns_forest_cuda(void);
const ns_forest_ops *ns_forest_cuda(void)
{
    static ns_forest_ops ops;
    ops = ns_forest_cpu; /* all that comes before seal */
    ops.name = "cuda";
    ops.seal = seal;
    ops.round = round_one;
    ops.read_margins = read_margins;
    ops.destroy = destroy;
    return &ops;
}
