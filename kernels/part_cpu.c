#include "kernels/grow_state.h"

/* Parting the rows of a batch of leaves: chunks go left and right on their own, then find their places. */

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

/* With monotone constraints: the bounds of the children. */
static void bound_children(ns_grower *g, const ns_grow_node *node)
{
    if (g->plan.monotone == NULL) return;
    int32_t feature = node->split.feature;
    ns_split_column column = {.n_bins = g->plan.n_bins[feature],
                              .total = &node->total,
                              .bounds = &node->bounds,
                              .monotone = g->plan.monotone[feature]};
    ns_split_pass_bounds(&column, g->round.rule, &node->split, &g->node[node->left].bounds,
                         &g->node[node->right].bounds);
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
    bound_children(g, node);
    bool left_is_small = left->total.n <= right->total.n;
    left->is_packed = ns_grow_is_packed(g, left->total.n);
    right->is_packed = ns_grow_is_packed(g, right->total.n);
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
