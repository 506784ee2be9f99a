#ifndef NIGHTSHIFT_KERNELS_GROW_STATE_H
#define NIGHTSHIFT_KERNELS_GROW_STATE_H
/* What the sources of the grower share: grow_cpu.c decides which leaves to open, part_cpu.c parts
   their rows, open_cpu.c looks at the children.
 */
#include <omp.h>

#include "kernels/grow.h"

/* A leaf, or what was one until it was opened. */
typedef struct ns_grow_node {
    int32_t parent, left, right; /* indices of nodes; -1: none */
    int32_t depth;
    uint64_t path;    /* ns_path_hash */
    int64_t begin, n; /* its rows on this rank: row[begin .. begin + n) */
    ns_cell total;    /* over all ranks, of the rows the tree is grown from */
    int64_t slot;     /* its histogram in the store of its kind, -1: none */
    ns_split split;   /* its best split; feature -1: none, or not looked for */
    ns_split_bounds bounds;
    int32_t place;    /* its index in the finished tree; -1: not in it */
    int8_t is_chosen;
    int8_t is_packed; /* narrow, and so few rows over all ranks that its histogram is packed words */
} ns_grow_node;

/* Histograms of one kind, each of all columns: three planes of 64-bit integers for each column (ns_planes_in),
 * or, packed, one word for each bin. */
typedef struct ns_grow_store {
    uint64_t *words;
    int64_t words_per_slot;
    int64_t n_slots, n_free, *free_slots;
} ns_grow_store;

/* A histogram being built: the smaller child of an opening, or the root. */
typedef struct ns_staged {
    int32_t node;
    int64_t first_word; /* in staging */
} ns_staged;

/* A leaf that is being opened. */
typedef struct ns_opening {
    int32_t node;
    int32_t small, large;        /* its children by rows over all ranks, ties: left is small */
    bool want_small, want_large; /* can they be split at all */
    int64_t staged;              /* which staging histogram holds the small child's, -1: none */
    int64_t parent_slot;         /* to be given back once both children are known, -1: none */
    int64_t first_chunk;         /* of its rows among the batch's */
    int64_t n_left;              /* rows on this rank */
} ns_opening;

typedef struct ns_grow_thread {
    uint64_t *add;  /* [2 * NS_HISTOGRAM_ROWS] */
    uint64_t *sums; /* [NS_LANES][256][2] or [bins of the widest category][2], all zero between uses */
    uint64_t folded[2 * NS_BYTE_BINS]; /* a column out of a lane of several */
    int64_t *small, *large; /* [3][256 or bins of the widest category] a column of the children, unpacked */
    ns_split_scratch sort;
} ns_grow_thread;

struct ns_grower {
    ns_grow_plan plan;
    ns_grow_round round;
    ns_stream node_stream; /* column sampling per node */

    /* Columns of the tree, ascending, and where each one's cells begin in a histogram. */
    int32_t n_columns, n_tiles;
    int32_t *column, *all_columns;
    int64_t *offset;      /* [n_columns + 1] */
    ns_tile_view *tile;   /* [n_tiles] */
    const ns_lane **lane; /* [n_tiles][NS_LANES] those of the tiles in use */
    int32_t *column_of;   /* [n_features] index into column, -1: not a column of the tree */
    int32_t *wide_column; /* [n_wide] index into column */
    int32_t n_wide;
    uint64_t *sample_keys;

    /* Rows */
    uint32_t *row, *parted; /* [n_train] */
    int64_t *chunk_left;    /* rows that go left in each chunk of the batch */

    /* Nodes */
    ns_grow_node *node;
    int32_t n_nodes, room_nodes;
    int32_t max_splits, max_openings, n_openings;
    int64_t words_per_set;
    uint32_t *set; /* [room_nodes][words_per_set] */
    int32_t *heap, n_heap;
    int32_t *stack;

    /* Histograms */
    int64_t max_cells; /* of one histogram with all columns */
    ns_grow_store store[2]; /* of planes, of packed words */
    uint64_t *staging;      /* [batch][3][max_cells] at most */
    ns_staged *staged;      /* [batch] */

    /* The batch */
    ns_opening *opening; /* [batch] */
    ns_split *found;     /* [2 * batch][n_features] best split of each child by each column */
    uint8_t *may;        /* [2 * batch][n_features] columns that each child may use */
    int32_t *node_columns;
    uint8_t (*goes_left)[NS_BYTE_BINS]; /* [batch] */
    omp_lock_t *lock;                   /* [batch][n_tiles + n_wide] */
    int32_t n_locks;
    ns_grow_thread *thread;

    /* The finished tree */
    ns_node *tree;
    uint32_t *tree_sets;
};

/* Rows of a task of partition. */
enum { NS_PARTITION_CHUNK = 8192 };

/* Chooses the tree's columns and lays out its histograms. */
void ns_grow_lay_out(ns_grower *g);

/* The root over the rows of the round, with its best split. Collective. */
void ns_grow_root(ns_grower *g);

/* Parts the rows of n leaves; g->opening[i].node is set. Makes the children. Local. */
void ns_grow_part(ns_grower *g, int32_t n);

/* After ns_grow_part: histograms of the children that can be split, and their best splits. Collective. */
void ns_grow_look(ns_grower *g, int32_t n);

/* Words of a cell of a node's histogram. */
static inline int64_t ns_grow_words(const ns_grow_node *node)
{
    return node->is_packed ? 1 : 3;
}

/* Whether a node of so many rows has its histogram packed. */
static inline bool ns_grow_is_packed(const ns_grower *g, int64_t n_rows_global)
{
    return g->plan.width == NS_NARROW && n_rows_global <= NS_HISTOGRAM_ROWS;
}

static inline uint32_t *ns_grow_set(const ns_grower *g, int32_t node)
{
    return g->set + (int64_t)node * g->words_per_set;
}
#endif
