#include <stdlib.h>

#include "kernels/cuda_forest.h"
#include "kernels/cuda_score.h"
#include "kernels/take.h"

/*
 * A prepared forest, whose bins are on the GPU, is made ready to train: sizes, tables of columns, rows, room for trees, the margins of
 * earlier trees. Where the GPU has too little memory, packed rows go to the host, and if that does not suffice the columns
 * of bins do too: histograms then read at most 55 GB/s. Of 10,000,000 x 50 a tree reads each row about three times, 2 GB: 40 ms
 * instead of half a millisecond; what remains is the time of the wire.
 */

/* A block on the device with what the host has in `from`; queued. */
static const void *take_copy(ns_cuda_forest *c, const void *from, int64_t n, size_t size, ns_status *status)
{
    void *to = ns_cuda_take(&c->memory, n, size);
    if (to != NULL && *status == NS_OK) *status = ns_cuda_copy_in(c->cuda, to, from, (size_t)n * size);
    return to;
}

/* As the cpu backend's grower sizes itself, but that all histograms are planes, and that half as many leaves again may be opened for
   nothing: a step is a sequence of launches, dearer than they are (255 leaves of 42,000 rows: 28 steps a tree instead of 63, with 6 %
   more rows in histograms). */
static void size_tree(const ns_forest *f, ns_cuda_grow *g)
{
    const ns_forest_settings *s = &f->settings;
    int64_t least = s->min_rows > 1 ? s->min_rows : 1, most = f->n_train_global / least > 1 ? f->n_train_global / least : 1;
    int64_t splits = s->max_leaves - 1 < most - 1 ? s->max_leaves - 1 : most - 1;
    int64_t batch = s->batch < splits ? s->batch : splits, openings;
    if (batch < 1) batch = 1;
    openings = splits + (batch > 1 ? splits / 2 + 2 * batch : 0);
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
    g->rule = ns_forest_split_rule(s);
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
    ns_cuda_bins bins = ns_cuda_columns_bins(c->columns);
    g->bytes = bins.bytes;
    g->wide = bins.wide;
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
    r->n_train_global = f->n_train_global;
    r->width = f->width;
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
    g->packed = (c->rows_on_host ? ns_cuda_take_pinned : ns_cuda_take)(m, f->n_train * g->row_words, sizeof *g->packed);
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
    g->depth = ns_cuda_take(m, c->max_nodes, sizeof *g->depth);
    g->turn = c->rows.turn = ns_cuda_take(m, 1, sizeof *g->turn);
}

/* What fill_leaves works with; for quantiles also the tables they are counted in. */
static void take_leaves(const ns_forest *f, ns_cuda_forest *c)
{
    ns_cuda_memory *m = &c->memory;
    ns_cuda_leaves *l = &c->leaves;
    const ns_forest_settings *s = &f->settings;
    *l = (ns_cuda_leaves){.control = c->grow.control, .turn = c->grow.turn, .tree = c->grow.tree, .depth = c->grow.depth, .monotone = c->grow.monotone,
                          .n_bins = c->grow.n_bins, .rule = {.learning_rate = s->learning_rate, .l1 = s->l1, .l2 = s->l2}, .k = f->k};
    l->sums = ns_cuda_take(m, c->max_nodes, sizeof *l->sums);
    l->before = ns_cuda_take(m, c->max_nodes + 1, sizeof *l->before);
    l->step = ns_cuda_take(m, c->max_nodes, sizeof *l->step);
    l->bounds = ns_cuda_take(m, c->max_nodes, sizeof *l->bounds);
    l->value = ns_cuda_take(m, c->max_nodes, sizeof *l->value);
    if (s->objective != NS_QUANTILE) return;
    l->leaf_number = ns_cuda_take(m, c->max_nodes, sizeof *l->leaf_number);
    l->found = ns_cuda_take(m, (int64_t)c->grow.max_splits + 1, sizeof *l->found);
    c->table = ns_cuda_take(m, (int64_t)NS_RESIDUAL_GROUPS << NS_RESIDUAL_MOST_BITS, sizeof *c->table);
}

static void take_mirror(const ns_forest *f, ns_cuda_forest *c)
{
    ns_cuda_memory *m = &c->memory;
    const ns_cuda_grow *g = &c->grow;
    ns_cuda_mirror *mirror = c->mirror = ns_cuda_take_pinned(m, 1, sizeof *c->mirror);
    for (int i = 0; i < 2 && mirror != NULL; i++) {
        mirror->parcel[i].tree = ns_cuda_take_pinned(m, c->max_nodes, sizeof(ns_node));
        mirror->parcel[i].sets = ns_cuda_take_pinned(m, (int64_t)g->max_splits * g->words_per_set, sizeof(uint32_t));
    }
    if (f->device->link.n_ranks == 1) return;
    int64_t staged = (int64_t)g->batch * 3 * g->n_cells, sums = 3 * c->max_nodes, most = staged > sums ? staged : sums;
    int64_t counters = f->settings.objective == NS_QUANTILE ? (int64_t)NS_RESIDUAL_GROUPS << NS_RESIDUAL_MOST_BITS : 0;
    c->exchange = ns_cuda_take_pinned(m, most > counters ? most : counters, sizeof *c->exchange);
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

static ns_status take_all(const ns_forest *f, ns_cuda_forest *c, const tables *t)
{
    NS_TRY(copy_tables(f, c, t));
    NS_TRY(copy_rows(f, c));
    take_rows(f, c);
    take_tree(c);
    take_leaves(f, c);
    take_mirror(f, c);
    return NS_OK;
}

/* On the device, but for what does not fit; there must be room to score besides. */
static ns_status take_what_fits(ns_forest *f, const tables *t)
{
    ns_cuda_forest *c = f->cuda;
    c->rows_on_host = ns_cuda_columns_bins(c->columns).on_host || ns_cuda_is_to_stream("rows");
    for (;;) {
        ns_cuda_memory scoring = {.cuda = c->cuda};
        (void)ns_cuda_take(&scoring, ns_cuda_scoring_bytes(f->n_features, f->n_outputs), 1);
        ns_status status = take_all(f, c, t);
        bool fits = !c->memory.failed && !scoring.failed;
        int64_t n_bytes = c->memory.n_bytes + scoring.n_bytes;
        ns_cuda_give_all(&scoring);
        NS_TRY(status);
        if (fits) break;
        ns_cuda_give_all(&c->memory);
        if (ns_cuda_columns_bins(c->columns).on_host)
            return ns_fail(NS_ENOMEM, "GPU: not enough memory for %lld rows of %d features, though their bins are on the host: %lld bytes are needed; use more GPUs, or run.device: cpu",
                           (long long)f->n_rows, (int)f->n_features, (long long)n_bytes);
        if (c->rows_on_host) NS_TRY(ns_cuda_columns_to_host(f));
        c->rows_on_host = true;
    }
    if (c->rows_on_host) ns_cuda_say_streams("rows", f->n_train * c->grow.row_words * (int64_t)sizeof *c->grow.packed);
    return NS_OK;
}

ns_status ns_cuda_seal(ns_forest *f, const ns_trees *trees)
{
    ns_cuda_forest *c = f->cuda;
    tables t = {0};
    ns_cuda_columns_end(c->columns, f->n_features);
    size_tree(f, &c->grow);
    set_rule(f, &c->grow);
    c->max_nodes = 2 * (int64_t)c->grow.max_splits + 1;
    ns_status status = make_tables(f, &c->grow, &t, ns_cuda_histogram_cells(c->cuda, f->width == NS_WIDE));
    if (status == NS_OK) status = take_what_fits(f, &t);
    if (status == NS_OK) status = ns_cuda_pack_rows(c->cuda, &c->grow);
    if (status == NS_OK) status = replay(f, trees);
    free_tables(&t); /* what was copied of them has arrived */
    return status;
}
