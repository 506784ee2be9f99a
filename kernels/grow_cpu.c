#include "kernels/grow.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/columns.h"
#include "kernels/grow_state.h"
#include "kernels/take.h"

/*
 * Best-first is replayed over what is known: a heap holds the leaves of the strict tree that have a split.
 * Its top is chosen at once if it has been opened; if not, a batch is opened first. The last split of a tree
 * needs no look at its children, so its rows are only parted.
 *
 * Opening ahead may be for nothing, so it has a budget: n_openings + splits still to come <= max_openings,
 * always. That bounds nodes and histograms; where the budget is spent, batches shrink to the one leaf that
 * best-first waits for.
 */

/* Sizes that create takes and ns_grower_memory counts. */
typedef struct sizes {
    int64_t n_features, batch, max_splits, max_openings, room_nodes, words_per_set;
    int64_t max_cells, n_planes, n_packed, n_chunks, n_tiles, n_wide, widest, widest_category, n_threads, n_train;
} sizes;

static sizes sizes_of(const ns_grow_plan *p)
{
    const ns_forest_settings *s = p->settings;
    sizes z = {.n_features = p->bins->n_features,
               .n_tiles = p->bins->n_tiles,
               .n_wide = p->bins->n_wide,
               .n_threads = p->n_threads,
               .n_train = p->n_train};
    int64_t least = s->min_rows > 1 ? s->min_rows : 1;
    /* A tree has no more leaves than rows allow: each holds at least `least`, and each node that is opened
     * two of them. */
    int64_t most_leaves = p->n_train_global / least > 1 ? p->n_train_global / least : 1;
    z.max_splits = s->max_leaves - 1 < most_leaves - 1 ? s->max_leaves - 1 : most_leaves - 1;
    z.batch = s->batch < z.max_splits ? s->batch : z.max_splits;
    if (z.batch < 1) z.batch = 1;
    z.max_openings = z.max_splits + (z.batch > 1 ? 2 * z.batch : 0);
    if (z.max_openings > most_leaves - 1) z.max_openings = most_leaves - 1;
    z.room_nodes = 2 * z.max_openings + 1;
    for (int64_t f = 0; f < z.n_features; f++) {
        z.max_cells += p->kind[f] == NS_NUMBER && !p->cuts_known ? s->max_bins + 1 : p->n_bins[f];
        if (p->kind[f] == NS_CATEGORY && p->n_bins[f] > z.widest_category) z.widest_category = p->n_bins[f];
    }
    z.words_per_set = (z.widest_category + 31) / 32;
    z.widest = z.widest_category > NS_BYTE_BINS ? z.widest_category : NS_BYTE_BINS;
    int64_t splittable = p->n_train_global / (2 * least);
    int64_t n_slots = z.max_openings + 1 < splittable ? z.max_openings + 1 : splittable;
    if (n_slots < 1) n_slots = 1;
    /* Nodes that hold histograms have no rows in common, so few of them are too large to be packed. */
    int64_t most_large = p->n_train_global / (NS_HISTOGRAM_ROWS + 1);
    bool narrow = p->width == NS_NARROW;
    z.n_planes = narrow && most_large < n_slots ? most_large : n_slots;
    z.n_packed = narrow ? n_slots : 0;
    z.n_chunks = z.n_train / NS_PARTITION_CHUNK + z.batch + 1;
    return z;
}

int64_t ns_grower_max_nodes(const ns_grower *grower)
{
    return 2 * (int64_t)grower->max_splits + 1;
}

int64_t ns_grower_max_set_words(const ns_grower *grower)
{
    return grower->max_splits * grower->words_per_set;
}

uint32_t *ns_grower_rows(ns_grower *grower)
{
    return grower->row;
}

static void take_threads(ns_grower *g, const sizes *z, ns_taker *t)
{
    g->thread = ns_take(t, z->n_threads, sizeof *g->thread);
    for (int64_t i = 0; i < z->n_threads; i++) {
        ns_grow_thread own = {0};
        own.add = ns_take(t, 2 * (int64_t)NS_HISTOGRAM_ROWS, sizeof *own.add);
        int64_t n_sums = NS_LANES * NS_BYTE_BINS > z->widest ? NS_LANES * NS_BYTE_BINS : z->widest;
        own.sums = ns_take(t, n_sums * 2, sizeof *own.sums);
        own.small = ns_take(t, 3 * z->widest, sizeof *own.small);
        own.large = ns_take(t, 3 * z->widest, sizeof *own.large);
        own.sort.key = ns_take(t, z->widest_category, sizeof *own.sort.key);
        own.sort.other_key = ns_take(t, z->widest_category, sizeof *own.sort.other_key);
        own.sort.bin = ns_take(t, z->widest_category, sizeof *own.sort.bin);
        own.sort.other_bin = ns_take(t, z->widest_category, sizeof *own.sort.other_bin);
        if (g->thread != NULL) g->thread[i] = own;
    }
}

static void take_store(ns_grow_store *store, int64_t n_slots, int64_t words_per_slot, ns_taker *t)
{
    store->n_slots = n_slots;
    store->words_per_slot = words_per_slot;
    store->words = ns_take(t, n_slots * words_per_slot, sizeof *store->words);
    store->free_slots = ns_take(t, n_slots, sizeof *store->free_slots);
}

static void take_all(ns_grower *g, const sizes *z, ns_taker *t)
{
    g->column = ns_take(t, z->n_features, sizeof *g->column);
    g->all_columns = ns_take(t, z->n_features, sizeof *g->all_columns);
    g->node_columns = ns_take(t, z->n_features, sizeof *g->node_columns);
    g->offset = ns_take(t, z->n_features + 1, sizeof *g->offset);
    g->tile = ns_take(t, z->n_tiles, sizeof *g->tile);
    g->lane = ns_take(t, z->n_tiles * NS_LANES, sizeof *g->lane);
    g->column_of = ns_take(t, z->n_features, sizeof *g->column_of);
    g->wide_column = ns_take(t, z->n_wide, sizeof *g->wide_column);
    g->sample_keys = ns_take(t, 2 * z->n_features, sizeof *g->sample_keys);
    g->row = ns_take(t, z->n_train, sizeof *g->row);
    g->parted = ns_take(t, z->n_train, sizeof *g->parted);
    g->chunk_left = ns_take(t, z->n_chunks, sizeof *g->chunk_left);
    g->node = ns_take(t, z->room_nodes, sizeof *g->node);
    g->set = ns_take(t, z->room_nodes * z->words_per_set, sizeof *g->set);
    g->heap = ns_take(t, z->room_nodes, sizeof *g->heap);
    g->stack = ns_take(t, z->room_nodes + z->batch, sizeof *g->stack);
    take_store(&g->store[0], z->n_planes, 3 * z->max_cells, t);
    take_store(&g->store[1], z->n_packed, z->max_cells, t);
    g->staging = ns_take(t, z->batch * 3 * z->max_cells, sizeof *g->staging);
    g->staged = ns_take(t, z->batch, sizeof *g->staged);
    g->opening = ns_take(t, z->batch, sizeof *g->opening);
    g->found = ns_take(t, 2 * z->batch * z->n_features, sizeof *g->found);
    g->may = ns_take(t, 2 * z->batch * z->n_features, sizeof *g->may);
    g->goes_left = ns_take(t, z->batch, sizeof *g->goes_left);
    g->lock = ns_take(t, z->batch * (z->n_tiles + z->n_wide), sizeof *g->lock);
    g->tree = ns_take(t, 2 * z->max_splits + 1, sizeof *g->tree);
    g->tree_sets = ns_take(t, z->max_splits * z->words_per_set, sizeof *g->tree_sets);
    take_threads(g, z, t);
}

static int64_t memory_of(const ns_grow_plan *plan)
{
    ns_grower none = {0};
    sizes z = sizes_of(plan);
    ns_taker t = {.n_bytes = (int64_t)sizeof none, .count_only = true};
    take_all(&none, &z, &t);
    return t.n_bytes;
}

int64_t ns_grower_memory(const ns_grow_plan *plan)
{
    ns_grow_plan other = *plan;
    other.width = plan->width == NS_NARROW ? NS_WIDE : NS_NARROW;
    int64_t this_way = memory_of(plan), that_way = plan->cuts_known ? 0 : memory_of(&other);
    return this_way > that_way ? this_way : that_way;
}

ns_status ns_grower_create(ns_grower **out, const ns_grow_plan *plan)
{
    ns_grower *g = calloc(1, sizeof *g);
    *out = g;
    if (g == NULL) return ns_fail(NS_ENOMEM, "not enough memory to grow trees: %zu bytes", sizeof *g);
    sizes z = sizes_of(plan);
    ns_taker t = {.n_bytes = (int64_t)sizeof *g};
    g->plan = *plan;
    take_all(g, &z, &t);
    if (t.failed) {
        ns_grower_destroy(out);
        return ns_fail(
            NS_ENOMEM,
            "not enough memory to grow trees: %lld bytes are needed; fewer leaves or bins need less",
            (long long)ns_grower_memory(plan));
    }
    g->words_per_set = z.words_per_set;
    g->max_cells = z.max_cells;
    g->max_splits = (int32_t)z.max_splits;
    g->max_openings = (int32_t)z.max_openings;
    for (int32_t f = 0; f < plan->bins->n_features; f++) g->all_columns[f] = f;
    g->n_locks = (int32_t)(z.batch * (z.n_tiles + z.n_wide));
    for (int32_t i = 0; i < g->n_locks; i++) omp_init_lock(&g->lock[i]);
    return NS_OK;
}

void ns_grower_destroy(ns_grower **grower)
{
    ns_grower *g = *grower;
    if (g == NULL) return;
    for (int32_t i = 0; i < g->n_locks; i++) omp_destroy_lock(&g->lock[i]);
    for (int i = 0; g->thread != NULL && i < g->plan.n_threads; i++) {
        ns_grow_thread *own = &g->thread[i];
        void *blocks[] = {own->add,      own->sums,           own->small,    own->large,
                          own->sort.key, own->sort.other_key, own->sort.bin, own->sort.other_bin};
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) free(blocks[b]);
    }
    void *blocks[] = {g->column,      g->all_columns, g->node_columns, g->offset,  g->tile,
                      g->lane, g->column_of, g->wide_column, g->sample_keys,  g->row,     g->parted,
                      g->chunk_left,  g->node,        g->set,          g->heap,    g->stack,
                      g->staging,     g->staged,      g->opening,     g->found,   g->may,
                      g->goes_left,   g->lock,        g->tree,        g->tree_sets, g->thread,
                      g->store[0].words, g->store[0].free_slots, g->store[1].words, g->store[1].free_slots};
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) free(blocks[b]);
    free(g);
    *grower = NULL;
}

/* The smaller path: by depth; at one depth the one that is left of the other where they part. Any depth: no
   path value is ever formed. */
static bool is_before(const ns_grow_node *node, int32_t a, int32_t b)
{
    if (node[a].depth != node[b].depth) return node[a].depth < node[b].depth;
    if (a == b) return false;
    while (node[a].parent != node[b].parent) {
        a = node[a].parent;
        b = node[b].parent;
    }
    return node[node[a].parent].left == a;
}

static bool is_preferred(const ns_grow_node *node, int32_t a, int32_t b)
{
    if (node[a].split.gain != node[b].split.gain) return node[a].split.gain > node[b].split.gain;
    return is_before(node, a, b);
}

static void heap_push(ns_grower *g, int32_t node)
{
    int32_t at = g->n_heap++;
    while (at > 0 && is_preferred(g->node, node, g->heap[(at - 1) / 2])) {
        g->heap[at] = g->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    g->heap[at] = node;
}

static void heap_pop(ns_grower *g)
{
    int32_t moved = g->heap[--g->n_heap], at = 0;
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= g->n_heap) break;
        if (child + 1 < g->n_heap && is_preferred(g->node, g->heap[child + 1], g->heap[child])) child++;
        if (!is_preferred(g->node, g->heap[child], moved)) break;
        g->heap[at] = g->heap[child];
        at = child;
    }
    g->heap[at] = moved;
}

/* Rows that keep every thread of every rank busy for a step; from global numbers, so that all ranks open the
 * same leaves. With more, opening ahead is work that may be for nothing (31 leaves of 1,000,000 rows on one
 * thread: 10 %). */
static int64_t enough_rows(const ns_grower *g)
{
    return (int64_t)g->plan.link->n_ranks * g->plan.most_threads * 4 * NS_HISTOGRAM_ROWS;
}

/* Opens `first` and the best other leaves, up to n in all. */
static void open_best(ns_grower *g, int32_t first, int32_t n)
{
    int32_t taken = 1;
    g->opening[0].node = first;
    for (int32_t i = 0; i < g->n_nodes && n > 1; i++) {
        if (i == first || g->node[i].split.feature < 0 || g->node[i].left >= 0) continue;
        int32_t at = taken;
        while (at > 1 && is_preferred(g->node, i, g->opening[at - 1].node)) at--;
        if (at >= n) continue;
        if (taken < n) taken++;
        for (int32_t j = taken - 1; j > at; j--) g->opening[j].node = g->opening[j - 1].node;
        g->opening[at].node = i;
    }
    int64_t n_rows = 0, enough = enough_rows(g);
    for (int32_t i = 0; i < taken; i++) {
        n_rows += g->node[g->opening[i].node].total.n;
        if (n_rows >= enough) taken = i + 1;
    }
    g->n_openings += taken;
    ns_grow_part(g, taken);
    ns_grow_look(g, taken);
}

static void choose(ns_grower *g, int32_t node)
{
    g->node[node].is_chosen = 1;
    int32_t children[2] = {g->node[node].left, g->node[node].right};
    for (int i = 0; i < 2; i++)
        if (g->node[children[i]].split.feature >= 0) heap_push(g, children[i]);
}

static void grow(ns_grower *g)
{
    g->n_heap = 0;
    g->n_openings = 0;
    if (g->node[0].split.feature >= 0) heap_push(g, 0);
    for (int32_t left = g->max_splits; left > 0 && g->n_heap > 0; left--) {
        int32_t top = g->heap[0];
        if (g->node[top].left < 0 && left == 1) {
            g->opening[0].node = top;
            ns_grow_part(g, 1);
        } else if (g->node[top].left < 0) {
            int32_t n = g->plan.settings->batch, budget = g->max_openings - g->n_openings - left + 1;
            if (n > budget) n = budget;
            if (n > left - 1) n = left - 1; /* the last split needs no opening */
            open_best(g, top, n > 1 ? n : 1);
        }
        heap_pop(g);
        choose(g, top);
    }
}

/* The chosen nodes and the leaves below them in preorder. */
static void finish(ns_grower *g, ns_grown *tree)
{
    int32_t n_stack = 0;
    *tree = (ns_grown){.nodes = g->tree, .sets = g->tree_sets};
    g->stack[n_stack++] = 0;
    while (n_stack > 0) {
        ns_grow_node *node = &g->node[g->stack[--n_stack]];
        ns_node *to = &g->tree[tree->n_nodes];
        node->place = tree->n_nodes++;
        /* A right child comes when its sibling's nodes are done: it tells the parent where it is. */
        if (node->parent >= 0 && g->node[node->parent].right == node - g->node)
            g->tree[g->node[node->parent].place].right = node->place;
        *to = (ns_node){.feature = -1, .set = -1};
        if (!node->is_chosen) {
            tree->n_leaves++;
            continue;
        }
        g->stack[n_stack++] = node->right;
        g->stack[n_stack++] = node->left;
        to->feature = node->split.feature;
        to->gain = node->split.gain;
        if (g->plan.kind[to->feature] == NS_NUMBER) {
            to->threshold = node->split.threshold;
            to->missing_left = node->split.missing_left;
            continue;
        }
        const uint32_t *set = ns_grow_set(g, (int32_t)(node - g->node));
        int64_t n_words = (g->plan.n_bins[to->feature] + 31) / 32;
        to->missing_left = (int32_t)(set[0] & 1);
        to->set = (int32_t)tree->n_set_words;
        memcpy(g->tree_sets + tree->n_set_words, set, (size_t)n_words * sizeof *set);
        tree->n_set_words += n_words;
    }
}

void ns_grower_tree(ns_grower *grower, const ns_grow_round *round, ns_grown *tree, int32_t *leaf)
{
    ns_grower *g = grower;
    g->round = *round;
    ns_grow_lay_out(g);
    ns_grow_root(g);
    grow(g);
    finish(g, tree);
#pragma omp parallel for schedule(dynamic) num_threads(g->plan.n_threads)
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const ns_grow_node *node = &g->node[i];
        if (node->place < 0 || node->is_chosen) continue;
        for (int64_t r = node->begin; r < node->begin + node->n; r++) leaf[g->row[r]] = node->place;
    }
}
