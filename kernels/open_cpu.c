#include "kernels/grow_state.h"

#include <string.h>

#include "kernels/columns.h"

/*
 * Opening a batch of leaves. Rows are parted in chunks; the histogram of each leaf's smaller child is added
 * up in tasks of NS_HISTOGRAM_ROWS rows into packed sums of the thread, which are flushed under a lock into
 * one of the staging histograms; these lie side by side, so that one call sums all of them over ranks. Then,
 * column by column, the larger child's is the parent's less the smaller's, and both are searched while they
 * are warm.
 */

void ns_grow_lay_out(ns_grower *g)
{
    const ns_grow_plan *p = &g->plan;
    const ns_bins *bins = p->bins;
    ns_stream stream =
        ns_stream_of(p->settings->seed, NS_RANDOM_COLUMNS_TREE, g->round.round, g->round.output);
    g->node_stream = ns_stream_of(p->settings->seed, NS_RANDOM_COLUMNS_NODE, g->round.round, g->round.output);
    g->n_columns = ns_columns_sample(&stream, g->all_columns, bins->n_features, p->settings->column_sample,
                                     g->sample_keys, g->column);
    g->n_tiles = g->n_wide = 0;
    int32_t tile_of = -1;
    g->offset[0] = 0;
    for (int32_t c = 0; c < g->n_columns; c++) {
        int32_t feature = g->column[c], place = bins->place[feature];
        g->offset[c + 1] = g->offset[c] + p->n_bins[feature];
        if (place < 0) {
            g->wide_column[g->n_wide++] = c;
            continue;
        }
        if (place / NS_LANES !=
            tile_of) { /* places ascend with features, so a tile's columns come together */
            tile_of = place / NS_LANES;
            g->tile[g->n_tiles++] = (ns_tile_view){.bytes = ns_bins_bytes(bins, feature) - place % NS_LANES};
        }
        ns_tile_view *tile = &g->tile[g->n_tiles - 1];
        g->tile_column[(g->n_tiles - 1) * NS_LANES + tile->n_lanes] = c;
        tile->lane[tile->n_lanes++] = (uint8_t)(place % NS_LANES);
    }
}

static ns_cell *slot_cells(const ns_grower *g, int64_t slot)
{
    return g->slots + slot * g->max_cells;
}

static int64_t n_cells(const ns_grower *g)
{
    return g->offset[g->n_columns];
}

/* Rows [first, first + n) of a node into one staging histogram; n <= NS_HISTOGRAM_ROWS. */
static void add_rows(ns_grower *g, int64_t staged, int64_t first, int64_t n)
{
    const ns_histogram_loops *loops = g->plan.level->histogram;
    const ns_grow_thread *thread = &g->thread[omp_get_thread_num()];
    const uint32_t *row = g->row + first;
    ns_cell *cells = g->staging + staged * n_cells(g);
    bool narrow = g->plan.width == NS_NARROW;
    if (narrow)
        loops->gather_narrow(g->round.word, row, n, thread->add);
    else
        loops->gather_wide(g->round.word, row, n, thread->add);
    for (int32_t t = 0; t < g->n_tiles; t++) {
        const ns_tile_view *tile = &g->tile[t];
        omp_lock_t *lock = &g->lock[staged * g->n_tiles + t];
        if (narrow)
            loops->tile_narrow(tile, row, thread->add, n, thread->sums);
        else
            loops->tile_wide(tile, row, thread->add, n, thread->sums);
        omp_set_lock(lock);
        for (int32_t l = 0; l < tile->n_lanes; l++) {
            int32_t c = g->tile_column[t * NS_LANES + l];
            int32_t n_bins = (int32_t)(g->offset[c + 1] - g->offset[c]);
            if (narrow)
                loops->flush_narrow(thread->sums + l * NS_BYTE_BINS, n_bins, cells + g->offset[c]);
            else
                loops->flush_wide(thread->sums + 2 * l * NS_BYTE_BINS, n_bins, cells + g->offset[c]);
        }
        omp_unset_lock(lock);
    }
}

static void add_wide_column(ns_grower *g, int64_t staged, int32_t c, const ns_grow_node *node)
{
    const ns_histogram_loops *loops = g->plan.level->histogram;
    ns_cell *cells = g->staging + staged * n_cells(g) + g->offset[c];
    const uint16_t *bin = ns_bins_wide(g->plan.bins, g->column[c]);
    if (g->plan.width == NS_NARROW)
        loops->column_narrow(bin, g->round.word, g->row + node->begin, node->n, cells);
    else
        loops->column_wide(bin, g->round.word, g->row + node->begin, node->n, cells);
}

static int64_t pieces_of(int64_t n)
{
    return (n + NS_HISTOGRAM_ROWS - 1) / NS_HISTOGRAM_ROWS;
}

/*
 * Histograms of n_staged nodes into staging, summed over ranks. Tasks are numbered: first the wide columns of
 * each node, then the pieces of each node's rows.
 */
static void build(ns_grower *g, const int32_t *nodes, int64_t n_staged)
{
    memset(g->staging, 0, (size_t)(n_staged * n_cells(g)) * sizeof *g->staging);
    int64_t n_wide_tasks = n_staged * g->n_wide, n_tasks = n_wide_tasks;
    if (g->n_tiles > 0)
        for (int64_t s = 0; s < n_staged; s++) n_tasks += pieces_of(g->node[nodes[s]].n);
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads) if (n_tasks > 1)
    for (int64_t task = 0; task < n_tasks; task++) {
        if (task < n_wide_tasks) {
            int64_t s = task / g->n_wide;
            add_wide_column(g, s, g->wide_column[task % g->n_wide], &g->node[nodes[s]]);
            continue;
        }
        int64_t s = 0, piece = task - n_wide_tasks;
        while (piece >= pieces_of(g->node[nodes[s]].n)) piece -= pieces_of(g->node[nodes[s++]].n);
        const ns_grow_node *node = &g->node[nodes[s]];
        int64_t from = piece * NS_HISTOGRAM_ROWS;
        int64_t n = node->n - from < NS_HISTOGRAM_ROWS ? node->n - from : NS_HISTOGRAM_ROWS;
        add_rows(g, s, node->begin + from, n);
    }
    g->plan.link->sum_i64(g->plan.link->context, (int64_t *)g->staging, n_staged * n_cells(g) * 3);
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

static ns_split_column column_of(const ns_grower *g, const ns_grow_node *node, int32_t c)
{
    return (ns_split_column){.cells = slot_cells(g, node->slot) + g->offset[c],
                             .n_bins = (int32_t)(g->offset[c + 1] - g->offset[c]),
                             .feature = g->column[c],
                             .total = &node->total};
}

static void search(ns_grower *g, const ns_grow_node *node, int32_t c, ns_split *found)
{
    ns_split_column column = column_of(g, node, c);
    if (g->plan.kind[column.feature] == NS_NUMBER)
        ns_split_number(&column, g->round.rule, found);
    else
        ns_split_category(&column, g->round.rule, &g->thread[omp_get_thread_num()].sort, found);
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
        g->free_slots[g->n_free++] = node->slot;
        node->slot = -1;
        return;
    }
    node->split = found[best];
    if (g->plan.kind[node->split.feature] == NS_NUMBER) return;
    ns_split_column column = column_of(g, node, best);
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
                           .place = -1};
    g->n_nodes = 1;
    g->n_free = 0;
    for (int64_t s = g->n_slots; s > 0; s--) g->free_slots[g->n_free++] = s - 1;
    if (g->n_columns == 0) return;
    int32_t nodes[1] = {0};
    build(g, nodes, 1);
    for (int64_t b = 0; b < g->offset[1]; b++) { /* every row is in one bin of the first column */
        root->total.g += g->staging[b].g;
        root->total.h += g->staging[b].h;
        root->total.n += g->staging[b].n;
    }
    if (!can_be_split(g, root)) return;
    root->slot = g->free_slots[--g->n_free];
    memcpy(slot_cells(g, root->slot), g->staging, (size_t)n_cells(g) * sizeof *g->staging);
    allow_columns(g, root, g->may);
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads)
    for (int32_t c = 0; c < g->n_columns; c++)
        if (g->may[c]) search(g, root, c, &g->found[c]);
    settle(g, root, g->found, g->may);
}

/* Bytes go by a table, so that numbers and categories are parted by the same loop. */
static void fill_table(const ns_grower *g, int32_t index, uint8_t *table)
{
    const ns_split *split = &g->node[index].split;
    if (g->plan.bins->place[split->feature] < 0) return;
    if (g->plan.kind[split->feature] == NS_NUMBER) {
        table[0] = split->missing_left != 0;
        for (int32_t b = 1; b < NS_BYTE_BINS; b++) table[b] = b <= split->threshold;
        return;
    }
    const uint32_t *set = ns_grow_set(g, index);
    for (int32_t b = 0; b < g->plan.n_bins[split->feature]; b++) table[b] = set[b >> 5] >> (b & 31) & 1;
}

static int64_t chunks_of(int64_t n)
{
    return (n + NS_PARTITION_CHUNK - 1) / NS_PARTITION_CHUNK;
}

/* One chunk of the batch's rows: of which opening, from which of its rows, how many. */
typedef struct chunk {
    int32_t opening;
    int64_t index, from, n;
} chunk;

static chunk chunk_at(const ns_grower *g, int32_t n_openings, int64_t at)
{
    int32_t o = 0;
    while (o + 1 < n_openings && g->opening[o + 1].first_chunk <= at) o++;
    const ns_grow_node *node = &g->node[g->opening[o].node];
    int64_t index = at - g->opening[o].first_chunk;
    int64_t from = index * NS_PARTITION_CHUNK;
    int64_t n = node->n - from < NS_PARTITION_CHUNK ? node->n - from : NS_PARTITION_CHUNK;
    return (chunk){o, index, from, n};
}

static int64_t part_chunk(ns_grower *g, const chunk *c)
{
    const ns_partition_loops *loops = g->plan.level->partition;
    int32_t index = g->opening[c->opening].node;
    const ns_grow_node *node = &g->node[index];
    int32_t feature = node->split.feature;
    const uint32_t *row = g->row + node->begin + c->from;
    uint32_t *out = g->parted + node->begin + c->from;
    if (g->plan.bins->place[feature] >= 0)
        return loops->bytes(ns_bins_bytes(g->plan.bins, feature), g->goes_left[c->opening], row, c->n, out);
    return loops->wide(ns_bins_wide(g->plan.bins, feature), ns_grow_set(g, index), row, c->n, out);
}

static int32_t add_child(ns_grower *g, int32_t parent, int right)
{
    const ns_grow_node *from = &g->node[parent];
    g->node[g->n_nodes] = (ns_grow_node){.parent = parent,
                                         .left = -1,
                                         .right = -1,
                                         .depth = from->depth + 1,
                                         .path = ns_path_hash(from->path, right),
                                         .slot = -1,
                                         .split = {.feature = -1},
                                         .place = -1};
    return g->n_nodes++;
}

static void add_children(ns_grower *g, ns_opening *o)
{
    ns_grow_node *node = &g->node[o->node];
    node->left = add_child(g, o->node, 0);
    node->right = add_child(g, o->node, 1);
    ns_grow_node *left = &g->node[node->left], *right = &g->node[node->right];
    left->begin = node->begin;
    left->n = o->n_left;
    left->total = node->split.left;
    right->begin = node->begin + o->n_left;
    right->n = node->n - o->n_left;
    right->total = (ns_cell){node->total.g - left->total.g, node->total.h - left->total.h,
                             node->total.n - left->total.n};
    bool left_is_small = left->total.n <= right->total.n;
    o->small = left_is_small ? node->left : node->right;
    o->large = left_is_small ? node->right : node->left;
}

void ns_grow_part(ns_grower *g, int32_t n)
{
    int64_t n_chunks = 0;
    for (int32_t o = 0; o < n; o++) {
        g->opening[o].first_chunk = n_chunks;
        n_chunks += chunks_of(g->node[g->opening[o].node].n);
        fill_table(g, g->opening[o].node, g->goes_left[o]);
    }
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads) if (n_chunks > 1)
    for (int64_t at = 0; at < n_chunks; at++) {
        chunk c = chunk_at(g, n, at);
        g->chunk_left[at] = part_chunk(g, &c);
    }
    /* Counts become places: how many rows of the node go left before each chunk. */
    for (int32_t o = 0; o < n; o++) {
        int64_t sum = 0, end = o + 1 < n ? g->opening[o + 1].first_chunk : n_chunks;
        for (int64_t at = g->opening[o].first_chunk; at < end; at++) {
            int64_t here = g->chunk_left[at];
            g->chunk_left[at] = sum;
            sum += here;
        }
        g->opening[o].n_left = sum;
    }
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads) if (n_chunks > 1)
    for (int64_t at = 0; at < n_chunks; at++) {
        chunk c = chunk_at(g, n, at);
        const ns_grow_node *node = &g->node[g->opening[c.opening].node];
        int64_t n_left = g->opening[c.opening].n_left, before = g->chunk_left[at];
        bool is_last = c.from + c.n == node->n;
        int64_t here = (is_last ? n_left : g->chunk_left[at + 1]) - before;
        uint32_t *row = g->row + node->begin;
        g->plan.level->partition->place(g->parted + node->begin + c.from, c.n, here, row + before,
                                        row + n_left + (c.from - before));
    }
    for (int32_t o = 0; o < n; o++) add_children(g, &g->opening[o]);
}

/* Which children are looked at, and in which staging histogram each opening's smaller child is built. */
static int64_t stage(ns_grower *g, int32_t n, int32_t *nodes)
{
    int64_t n_staged = 0;
    for (int32_t i = 0; i < n; i++) {
        ns_opening *o = &g->opening[i];
        ns_grow_node *parent = &g->node[o->node];
        o->want_small = can_be_split(g, &g->node[o->small]);
        o->want_large = can_be_split(g, &g->node[o->large]);
        o->staged = -1;
        if (!o->want_large) { /* then the smaller is not wanted either: it has fewer rows and the same depth
                               */
            g->free_slots[g->n_free++] = parent->slot;
            parent->slot = -1;
            continue;
        }
        o->staged = n_staged;
        nodes[n_staged++] = o->small;
        g->node[o->large].slot = parent->slot;
        parent->slot = -1;
    }
    /* Slots are taken after all that fall free: there are never more than nodes that can be split. */
    for (int32_t i = 0; i < n; i++)
        if (g->opening[i].want_small) g->node[g->opening[i].small].slot = g->free_slots[--g->n_free];
    return n_staged;
}

/* One column of one opening: the larger child's cells by subtraction, the smaller's into its slot, both
 * searched. */
static void look_at(ns_grower *g, int32_t i, int32_t c)
{
    const ns_opening *o = &g->opening[i];
    const ns_cell *staged = g->staging + o->staged * n_cells(g) + g->offset[c];
    int64_t n = g->offset[c + 1] - g->offset[c];
    const ns_grow_node *small = &g->node[o->small], *large = &g->node[o->large];
    int64_t at_small = (int64_t)(2 * i) * g->n_columns + c, at_large = at_small + g->n_columns;
    g->plan.level->histogram->subtract(slot_cells(g, large->slot) + g->offset[c], staged, n);
    if (g->may[at_large]) search(g, large, c, &g->found[at_large]);
    if (!o->want_small) return;
    memcpy(slot_cells(g, small->slot) + g->offset[c], staged, (size_t)n * sizeof *staged);
    if (g->may[at_small]) search(g, small, c, &g->found[at_small]);
}

void ns_grow_look(ns_grower *g, int32_t n)
{
    int64_t n_staged = stage(g, n, g->stack);
    if (n_staged == 0) return;
    build(g, g->stack, n_staged);
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
    for (int32_t i = 0; i < n; i++) {
        const ns_opening *o = &g->opening[i];
        int64_t at = (int64_t)(2 * i) * g->n_columns;
        if (o->want_small) settle(g, &g->node[o->small], g->found + at, g->may + at);
        if (o->want_large)
            settle(g, &g->node[o->large], g->found + at + g->n_columns, g->may + at + g->n_columns);
    }
}
