#ifndef NIGHTSHIFT_KERNELS_CUDA_TREE_H
#define NIGHTSHIFT_KERNELS_CUDA_TREE_H
/*
 * Growing one tree on a GPU. All that decides lies on the device: the host queues the same sequence of kernels again and
 * again, and reads one word (is the tree done?) one step late. A step opens up to `batch` leaves:
 *
 *   choose      best-first is replayed over what is known; the next leaves to open; their children   1 block
 *   part        the leaves' rows go to their children's places; staging histograms become 0
 *   histogram   of the smaller child of each leaf, in staging
 *               sums over ranks
 *   look        the larger child's by subtraction; the best split of both by every column
 *   settle      the best column of each child
 *
 * What cannot be known on the host is read by the kernels from `control`; kernels with nothing to do return at once.
 * No result depends on the order of rows in a node, so blocks take places for rows as they come.
 */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda_turn.h"
#include "kernels/forest.h"
#include "kernels/gradient.h"
#include "kernels/split.h"

/* A node, on the device. */
typedef struct ns_cuda_node {
    int32_t parent, left, right; /* -1: none */
    int32_t depth;
    uint64_t path;    /* ns_path_hash */
    int64_t begin, n; /* its rows on this rank: row[buffer][begin .. begin + n) */
    int64_t slot;     /* its histogram, -1: none */
    ns_cell total;
    ns_split split; /* feature -1: none, or not looked for */
    ns_split_bounds bounds;
    int32_t place; /* in the finished tree: its own, or for what best-first never chose that of the leaf above it */
    int32_t size;  /* nodes of the finished tree below it, itself included */
    int8_t is_chosen, buffer;
} ns_cuda_node;

/* A leaf that is being opened. For the root's own look node is -1. */
typedef struct ns_cuda_opening {
    int32_t node, small, large;
    int8_t want_small, want_large;
    int64_t first_chunk; /* of its rows among the batch's, for part */
    unsigned long long n_left, n_right; /* places taken so far */
} ns_cuda_opening;

/* What kernels tell one another; one of it. */
typedef struct ns_cuda_control {
    int32_t is_done;
    int32_t n_nodes, n_openings, left; /* left: splits that best-first may still choose */
    int32_t n_open;                    /* of this step */
    int32_t looks;                     /* 0: the last split, whose children nobody looks at */
    int32_t n_columns;                 /* of the tree */
    int32_t n_tree_nodes, n_leaves, deepest; /* deepest: depth of its lowest leaf */
    int64_t n_set_words;
    int64_t n_chunks, n_free;
    int64_t histogram_rows, parted_rows; /* of all steps, over all ranks */
} ns_cuda_control;

/* Columns that one block adds up in shared memory: whole words of four columns. */
typedef struct ns_cuda_group {
    int32_t first_word, n_words, n_columns;
    int32_t first_cell, n_cells;
} ns_cuda_group;

enum { NS_CUDA_CHUNK = 2048, NS_CUDA_SORT_BLOCKS = 64, NS_CUDA_GROUP_WORDS = 64 };

/* Everything that the kernels need; passed by value. All pointers are to the device. */
typedef struct ns_cuda_grow {
    /* Sizes */
    int64_t n_rows, n_train; /* of this rank */
    int32_t n_features, n_bytes, n_wide, n_groups, row_words; /* row_words: of four byte columns */
    int32_t batch, max_splits, max_openings, room_nodes, words_per_set, n_categories;
    int64_t n_cells, n_slots, sort_room;
    int32_t gradients_wide, is_bounded, max_depth;
    double column_sample, column_sample_node;
    uint64_t seed;
    ns_split_rule rule; /* but for its units: they are the turn's */

    /* Features: [n_features] */
    const int32_t *kind, *n_bins, *place; /* place as in ns_bins */
    const int32_t *category;              /* [n_categories] features */
    const int64_t *offset;                /* [n_features + 1] its cells */
    const int8_t *monotone;
    const int32_t *byte_feature; /* [4 * row_words] feature of a byte column; -1: filled up */
    const int32_t *byte_cell;    /* [4 * row_words + 1] cells of the byte columns before it */
    const int32_t *wide_feature; /* [n_wide] */
    const ns_cuda_group *group;  /* [n_groups] */

    /* Rows */
    const uint8_t *bytes;   /* [n_bytes][n_rows] */
    const uint16_t *wide;   /* [n_wide][n_rows] */
    const uint32_t *packed; /* [n_train][row_words] */
    const void *word;       /* [n_train] rounded gradients, int32_t or int64_t */
    uint32_t *row[2];       /* [n_train] */

    /* The tree */
    ns_cuda_control *control;
    const ns_cuda_turn *turn;
    ns_cuda_node *node;       /* [room_nodes] */
    uint32_t *set;            /* [room_nodes][words_per_set] */
    ns_cuda_opening *opening; /* [batch] */
    uint8_t *in_tree;         /* [n_features] columns of the tree */
    uint8_t *may;             /* [2 batch][n_features] columns that a child may use */
    ns_split *found;          /* [2 batch][n_features] small children's at even places */
    int64_t *free_slot;       /* [n_slots] */
    int64_t *store;           /* [n_slots][3 n_cells] planes of each column, at 3 * offset */
    int64_t *staging;         /* [batch][3 n_cells] */
    uint64_t *sort_key;       /* [NS_CUDA_SORT_BLOCKS or 2 batch][sort_room] */
    uint32_t *sort_bin;

    /* The finished tree: */
    int32_t *at_place, *set_at_place; /* [2 max_splits + 1] the node of each place; where its set begins, -1: none */
    int32_t *depth;                   /* [2 max_splits + 1] */
    ns_node *tree;       /* [2 max_splits + 1] */
    uint32_t *tree_sets; /* [max_splits * words_per_set] */
} ns_cuda_grow;

struct ns_cuda;

/* Queues one step's kernels each; see above. n_blocks of histogram follow from the device. */
ns_status ns_cuda_begin_tree(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_choose(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_part(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_histogram(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_total_root(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_look(struct ns_cuda *cuda, const ns_cuda_grow *g);
ns_status ns_cuda_settle(struct ns_cuda *cuda, const ns_cuda_grow *g);

/* The chosen nodes in preorder into tree and tree_sets; every node's place. */
ns_status ns_cuda_finish(struct ns_cuda *cuda, const ns_cuda_grow *g);

/* Cells of byte columns that a block may hold in shared memory. */
int32_t ns_cuda_histogram_cells(const struct ns_cuda *cuda, int gradients_wide);

/* packed from bytes: rows of words. Queued. */
ns_status ns_cuda_pack_rows(struct ns_cuda *cuda, const ns_cuda_grow *g);

#ifdef __cplusplus
}
#endif
#endif
