#include "kernels/grow_state.h"

#include <math.h>
#include <string.h>

#include "kernels/columns.h"

/*
 * Opening a batch of leaves. Rows are parted in chunks; the histogram of each leaf's smaller child is added
 * up in tasks of NS_HISTOGRAM_ROWS rows into packed sums of the thread, which are flushed under a lock into
 * one of the staging histograms; these lie side by side, so that one call sums all of them over ranks. Then,
 * column by column, the larger child's is the parent's less the smaller's, and both are searched while they
 * are warm.
 */

/* The tiles that hold columns of the tree, and their lanes that do. */
static void lay_out_tiles(ns_grower *g)
{
    const ns_bins *bins = g->plan.bins;
    int32_t tile_of = -1;
    g->n_tiles = 0;
    for (int32_t l = 0; l < bins->n_lanes; l++) {
        const ns_lane *lane = &bins->lane[l];
        bool is_used = false;
        for (int32_t k = 0; k < lane->n_columns; k++) is_used = is_used || g->column_of[lane->feature[k]] >= 0;
        if (!is_used) continue;
        if (l / NS_LANES != tile_of) {
            tile_of = l / NS_LANES;
            ns_tile_view *next = &g->tile[g->n_tiles++];
            *next = (ns_tile_view){.n_lanes = 0};
            next->bytes = ns_bins_tile(bins, tile_of, &next->step);
        }
        ns_tile_view *tile = &g->tile[g->n_tiles - 1];
        g->lane[(g->n_tiles - 1) * NS_LANES + tile->n_lanes] = lane;
        tile->lane[tile->n_lanes++] = (uint8_t)(l % NS_LANES);
    }
}

void ns_grow_lay_out(ns_grower *g)
{
    const ns_grow_plan *p = &g->plan;
    const ns_bins *bins = p->bins;
    ns_stream stream =
        ns_stream_of(p->settings->seed, NS_RANDOM_COLUMNS_TREE, g->round.round, g->round.output);
    g->node_stream = ns_stream_of(p->settings->seed, NS_RANDOM_COLUMNS_NODE, g->round.round, g->round.output);
    g->n_columns = ns_columns_sample(&stream, g->all_columns, bins->n_features, p->settings->column_sample,
                                     g->sample_keys, g->column);
    g->n_wide = 0;
    g->offset[0] = 0;
    for (int32_t f = 0; f < bins->n_features; f++) g->column_of[f] = -1;
    for (int32_t c = 0; c < g->n_columns; c++) {
        int32_t feature = g->column[c];
        g->column_of[feature] = c;
        g->offset[c + 1] = g->offset[c] + p->n_bins[feature];
        if (bins->place[feature] < 0) g->wide_column[g->n_wide++] = c;
    }
    lay_out_tiles(g);
}

static ns_grow_store *store_of(ns_grower *g, const ns_grow_node *node)
{
    return &g->store[node->is_packed];
}

static uint64_t *slot_words(ns_grower *g, const ns_grow_node *node)
{
    ns_grow_store *store = store_of(g, node);
    return store->words + node->slot * store->words_per_slot;
}

static void take_slot(ns_grower *g, ns_grow_node *node)
{
    ns_grow_store *store = store_of(g, node);
    node->slot = store->free_slots[--store->n_free];
}

static void give_slot(ns_grow_store *store, int64_t *slot)
{
    store->free_slots[store->n_free++] = *slot;
    *slot = -1;
}

static int64_t n_cells(const ns_grower *g)
{
    return g->offset[g->n_columns];
}

static int32_t bins_of(const ns_grower *g, int32_t c)
{
    return (int32_t)(g->offset[c + 1] - g->offset[c]);
}

/* Sums of a column into the histogram of a node at `words`; the sums become 0. */
static void flush(const ns_grower *g, const ns_grow_node *node, uint64_t *words, int32_t c, uint64_t *sums)
{
    const ns_histogram_loops *loops = g->plan.level->histogram;
    int32_t n_bins = bins_of(g, c);
    uint64_t *cells = words + ns_grow_words(node) * g->offset[c];
    if (node->is_packed)
        loops->flush_packed(sums, n_bins, cells);
    else if (g->plan.width == NS_NARROW)
        loops->flush_narrow(sums, n_bins, ns_planes_in((int64_t *)cells, n_bins));
    else
        loops->flush_wide(sums, n_bins, ns_planes_in((int64_t *)cells, n_bins));
}

/* As flush, for the columns of a lane. */
static void flush_lane(const ns_grower *g, const ns_grow_node *node, uint64_t *words, const ns_lane *lane, uint64_t *sums)
{
    const ns_histogram_loops *loops = g->plan.level->histogram;
    if (lane->n_columns == 1) {
        flush(g, node, words, g->column_of[lane->feature[0]], sums);
        return;
    }
    bool narrow = g->plan.width == NS_NARROW;
    uint64_t *folded = g->thread[omp_get_thread_num()].folded;
    for (int32_t k = 0; k < lane->n_columns; k++) {
        int32_t c = g->column_of[lane->feature[k]];
        if (c < 0) continue;
        (narrow ? loops->fold_narrow : loops->fold_wide)(sums, lane->n_bins, lane->stride[k], bins_of(g, c), folded);
        flush(g, node, words, c, folded);
    }
    memset(sums, 0, (size_t)lane->n_bins * (narrow ? 1 : 2) * sizeof *sums);
}

/* Rows [first, first + n) of a node into its staging histogram; n <= NS_HISTOGRAM_ROWS. */
static void add_rows(ns_grower *g, int64_t staged, int64_t first, int64_t n)
{
    const ns_histogram_loops *loops = g->plan.level->histogram;
    const ns_grow_thread *thread = &g->thread[omp_get_thread_num()];
    const ns_grow_node *node = &g->node[g->staged[staged].node];
    const uint32_t *row = g->row + first;
    uint64_t *words = g->staging + g->staged[staged].first_word;
    omp_lock_t *lock = &g->lock[staged * (g->n_tiles + g->n_wide)];
    bool narrow = g->plan.width == NS_NARROW;
    if (narrow)
        loops->gather_narrow(g->round.word, row, n, thread->add);
    else
        loops->gather_wide(g->round.word, row, n, thread->add);
    for (int32_t t = 0; t < g->n_tiles; t++, lock++) {
        const ns_tile_view *tile = &g->tile[t];
        (narrow ? loops->tile_narrow : loops->tile_wide)(tile, row, thread->add, n, thread->sums);
        omp_set_lock(lock);
        for (int32_t l = 0; l < tile->n_lanes; l++)
            flush_lane(g, node, words, g->lane[t * NS_LANES + l], thread->sums + (narrow ? 1 : 2) * l * NS_BYTE_BINS);
        omp_unset_lock(lock);
    }
    for (int32_t w = 0; w < g->n_wide; w++, lock++) {
        int32_t c = g->wide_column[w];
        const uint16_t *bin = ns_bins_wide(g->plan.bins, g->column[c]);
        (narrow ? loops->column_narrow : loops->column_wide)(bin, row, thread->add, n, thread->sums);
        omp_set_lock(lock);
        flush(g, node, words, c, thread->sums);
        omp_unset_lock(lock);
    }
}

static int64_t pieces_of(int64_t n)
{
    return (n + NS_HISTOGRAM_ROWS - 1) / NS_HISTOGRAM_ROWS;
}

/* Histograms of the n_staged nodes in g->staged, side by side in staging and summed over ranks. A task is a
 * piece of a node's rows. */
static void build(ns_grower *g, int64_t n_staged)
{
    int64_t n_words = 0, n_tasks = 0;
    for (int64_t s = 0; s < n_staged; s++) {
        const ns_grow_node *node = &g->node[g->staged[s].node];
        g->staged[s].first_word = n_words;
        n_words += ns_grow_words(node) * n_cells(g);
        n_tasks += pieces_of(node->n);
    }
    memset(g->staging, 0, (size_t)n_words * sizeof *g->staging);
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads) if (n_tasks > 1)
    for (int64_t task = 0; task < n_tasks; task++) {
        int64_t s = 0, piece = task;
        while (piece >= pieces_of(g->node[g->staged[s].node].n)) piece -= pieces_of(g->node[g->staged[s++].node].n);
        const ns_grow_node *node = &g->node[g->staged[s].node];
        int64_t from = piece * NS_HISTOGRAM_ROWS;
        int64_t n = node->n - from < NS_HISTOGRAM_ROWS ? node->n - from : NS_HISTOGRAM_ROWS;
        add_rows(g, s, node->begin + from, n);
    }
    g->plan.link->sum_i64(g->plan.link->context, (int64_t *)g->staging, n_words);
}

/* Which of the tree's columns a node may use: a byte for each. */
static void allow_columns(ns_grower *g, const ns_grow_node *node, uint8_t *may)
{
    if (g->plan.settings->column_sample_node >= 1.0) {
        memset(may, 1, (size_t)g->n_columns);
        return;
    }
    ns_stream stream = ns_stream_within(&g->node_stream, node->path);
    int32_t n = ns_columns_sample(&stream, g->column, g->n_columns, g->plan.settings->column_sample_node,
                                  g->sample_keys, g->node_columns);
    int32_t next = 0;
    for (int32_t c = 0; c < g->n_columns; c++) {
        may[c] = next < n && g->column[c] == g->node_columns[next];
        next += may[c];
    }
}

static void search(ns_grower *g, const ns_grow_node *node, int32_t c, ns_planes cells, ns_split *found)
{
    const int8_t *monotone = g->plan.monotone;
    ns_split_column column = {.cells = cells,
                              .n_bins = bins_of(g, c),
                              .feature = g->column[c],
                              .total = &node->total,
                              .bounds = monotone == NULL ? NULL : &node->bounds,
                              .monotone = monotone == NULL ? 0 : monotone[g->column[c]]};
    if (g->plan.kind[column.feature] == NS_NUMBER && monotone == NULL)
        g->plan.level->split->number(&column, g->round.rule, found);
    else if (g->plan.kind[column.feature] == NS_NUMBER)
        ns_split_number(&column, g->round.rule, found);
    else
        ns_split_category(&column, g->round.rule, &g->thread[omp_get_thread_num()].sort, found);
}

/* A column of a histogram of the node's kind, unpacked into room where it is packed. */
static ns_planes planes_of(const ns_grower *g, const ns_grow_node *node, uint64_t *words, int32_t c, int64_t *room)
{
    int32_t n_bins = bins_of(g, c);
    uint64_t *cells = words + ns_grow_words(node) * g->offset[c];
    if (!node->is_packed) return ns_planes_in((int64_t *)cells, n_bins);
    ns_planes planes = ns_planes_in(room, n_bins);
    g->plan.level->histogram->unpack(cells, n_bins, planes);
    return planes;
}

/* The best of a node's columns; for a category also its set. */
static void settle(ns_grower *g, ns_grow_node *node, const ns_split *found, const uint8_t *may)
{
    int32_t best = -1;
    for (int32_t c = 0; c < g->n_columns; c++)
        if (may[c] && found[c].feature >= 0 && (best < 0 || ns_split_is_better(&found[c], &found[best])))
            best = c;
    node->split = (ns_split){.feature = -1};
    if (best < 0) {
        give_slot(store_of(g, node), &node->slot);
        return;
    }
    node->split = found[best];
    if (g->plan.kind[node->split.feature] == NS_NUMBER) return;
    ns_split_column column = {.cells = planes_of(g, node, slot_words(g, node), best, g->thread[0].large),
                              .n_bins = bins_of(g, best),
                              .feature = node->split.feature,
                              .total = &node->total};
    ns_split_set(&column, g->round.rule, &g->thread[0].sort, &node->split,
                 ns_grow_set(g, (int32_t)(node - g->node)));
}

static bool can_be_split(const ns_grower *g, const ns_grow_node *node)
{
    const ns_forest_settings *s = g->plan.settings;
    int64_t least = s->min_rows > 1 ? s->min_rows : 1;
    return node->total.n >= 2 * least && (s->max_depth == 0 || node->depth < s->max_depth) &&
           g->n_columns > 0;
}

void ns_grow_root(ns_grower *g)
{
    ns_grow_node *root = &g->node[0];
    *root = (ns_grow_node){.parent = -1,
                           .left = -1,
                           .right = -1,
                           .path = 1,
                           .n = g->round.n_rows,
                           .slot = -1,
                           .split = {.feature = -1},
                           .bounds = {-INFINITY, INFINITY},
                           .place = -1,
                           .is_packed = ns_grow_is_packed(g, g->plan.n_train_global)};
    g->n_nodes = 1;
    for (int k = 0; k < 2; k++) {
        g->store[k].n_free = 0;
        for (int64_t s = g->store[k].n_slots; s > 0; s--) g->store[k].free_slots[g->store[k].n_free++] = s - 1;
    }
    if (g->n_columns == 0) return;
    g->staged[0].node = 0;
    build(g, 1);
    ns_planes first = planes_of(g, root, g->staging, 0, g->thread[0].large);
    for (int64_t b = 0; b < g->offset[1]; b++) { /* every row is in one bin of the first column */
        root->total.g += first.g[b];
        root->total.h += first.h[b];
        root->total.n += first.n[b];
    }
    if (!can_be_split(g, root)) return;
    take_slot(g, root);
    memcpy(slot_words(g, root), g->staging, (size_t)(ns_grow_words(root) * n_cells(g)) * sizeof *g->staging);
    allow_columns(g, root, g->may);
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads)
    for (int32_t c = 0; c < g->n_columns; c++)
        if (g->may[c])
            search(g, root, c, planes_of(g, root, g->staging, c, g->thread[omp_get_thread_num()].large), &g->found[c]);
    settle(g, root, g->found, g->may);
}

/* Which children are looked at, where the smaller ones are built, and where the larger ones will be. */
static int64_t stage(ns_grower *g, int32_t n)
{
    int64_t n_staged = 0;
    for (int32_t i = 0; i < n; i++) {
        ns_opening *o = &g->opening[i];
        ns_grow_node *parent = &g->node[o->node], *large = &g->node[o->large];
        o->want_small = can_be_split(g, &g->node[o->small]);
        o->want_large = can_be_split(g, large);
        o->staged = o->parent_slot = -1;
        if (!o->want_large) { /* then the smaller is not wanted either: it has fewer rows and the same depth
                               */
            give_slot(store_of(g, parent), &parent->slot);
            continue;
        }
        o->staged = n_staged;
        g->staged[n_staged++].node = o->small;
        if (large->is_packed == parent->is_packed) {
            large->slot = parent->slot;
        } else {
            take_slot(g, large);
            o->parent_slot = parent->slot;
        }
    }
    /* Slots are taken after all that fall free: there are never more than nodes that can be split. */
    for (int32_t i = 0; i < n; i++)
        if (g->opening[i].want_small) take_slot(g, &g->node[g->opening[i].small]);
    return n_staged;
}

/* One column of one opening: the larger child's cells by subtraction, the smaller's into its slot, both
 * searched. */
static void look_at(ns_grower *g, int32_t i, int32_t c)
{
    const ns_opening *o = &g->opening[i];
    const ns_histogram_loops *loops = g->plan.level->histogram;
    const ns_grow_thread *thread = &g->thread[omp_get_thread_num()];
    const ns_grow_node *small = &g->node[o->small], *large = &g->node[o->large], *parent = &g->node[o->node];
    int64_t at_small = (int64_t)(2 * i) * g->n_columns + c, at_large = at_small + g->n_columns;
    int32_t n = bins_of(g, c);
    uint64_t *staged = g->staging + g->staged[o->staged].first_word;
    uint64_t *cells = staged + ns_grow_words(small) * g->offset[c];
    uint64_t *held = g->store[parent->is_packed].words + parent->slot * g->store[parent->is_packed].words_per_slot;
    uint64_t *above = held + ns_grow_words(parent) * g->offset[c];
    ns_planes small_planes = planes_of(g, small, staged, c, thread->small), large_planes;
    if (parent->is_packed) {
        loops->subtract(above, cells, n);
        large_planes = planes_of(g, large, held, c, thread->large);
    } else {
        large_planes = ns_planes_in((int64_t *)above, n);
        loops->subtract(above, (const uint64_t *)small_planes.g, 3 * (int64_t)n);
        if (large->is_packed) loops->pack(large_planes, n, slot_words(g, large) + g->offset[c]);
    }
    if (g->may[at_large]) search(g, large, c, large_planes, &g->found[at_large]);
    if (!o->want_small) return;
    memcpy(slot_words(g, small) + ns_grow_words(small) * g->offset[c], cells,
           (size_t)(ns_grow_words(small) * n) * sizeof *cells);
    if (g->may[at_small]) search(g, small, c, small_planes, &g->found[at_small]);
}

/* Parents give their slots back, or have left them to their larger children. */
static void leave_slots(ns_grower *g, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        ns_opening *o = &g->opening[i];
        if (o->parent_slot >= 0) give_slot(&g->store[0], &o->parent_slot);
        g->node[o->node].slot = -1;
    }
}

void ns_grow_look(ns_grower *g, int32_t n)
{
    int64_t n_staged = stage(g, n);
    if (n_staged == 0) return;
    build(g, n_staged);
    for (int32_t i = 0; i < n; i++) {
        const ns_opening *o = &g->opening[i];
        uint8_t *may = g->may + (int64_t)(2 * i) * g->n_columns;
        if (o->want_small) allow_columns(g, &g->node[o->small], may);
        if (o->want_large) allow_columns(g, &g->node[o->large], may + g->n_columns);
    }
    int64_t n_tasks = (int64_t)n * g->n_columns;
#pragma omp parallel for schedule(dynamic, 4) num_threads(g->plan.n_threads)
    for (int64_t task = 0; task < n_tasks; task++) {
        int32_t i = (int32_t)(task / g->n_columns);
        if (g->opening[i].staged >= 0) look_at(g, i, (int32_t)(task % g->n_columns));
    }
    leave_slots(g, n);
    for (int32_t i = 0; i < n; i++) {
        const ns_opening *o = &g->opening[i];
        int64_t at = (int64_t)(2 * i) * g->n_columns;
        if (o->want_small) settle(g, &g->node[o->small], g->found + at, g->may + at);
        if (o->want_large)
            settle(g, &g->node[o->large], g->found + at + g->n_columns, g->may + at + g->n_columns);
    }
}
