#ifndef NIGHTSHIFT_KERNELS_CUDA_ROWS_H
#define NIGHTSHIFT_KERNELS_CUDA_ROWS_H
/*
 * What is done to every row of a round on a GPU: the formulas of kernels/gradient.h, kernels/leaf.h, kernels/loss.h,
 * kernels/residual.h and kernels/walk.h, a thread to a row. All calls are queued on the compute stream.
 */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda_turn.h"
#include "kernels/forest.h"
#include "kernels/gradient.h"
#include "kernels/loss.h"
#include "kernels/residual.h"

struct ns_cuda;
struct ns_cuda_grow;

/* All pointers are to the device. Training rows come first. */
typedef struct ns_cuda_rows {
    int64_t n_train, n_rows, n_train_global;
    ns_cuda_turn *turn;
    ns_objective objective;
    int32_t n_outputs, output; /* output: the one whose tree is grown */
    int64_t *margin;           /* [n_outputs][n_rows] */
    const float *label, *weight; /* [n_rows]; weight NULL: 1 */
    const int64_t *row_number;   /* [n_rows] */
    double *top, *norm;          /* [n_rows] multiclass */
    double *g, *h;               /* [n_train] */
    void *word;                  /* [n_train] int32_t or int64_t */
    ns_width width;
    int32_t *leaf;               /* [n_rows] */
    uint32_t *key;               /* [n_train] quantile: keys of residuals */
    double unit;                 /* 2^-k */
    double quantile, weight_scale, loss_scale;
} ns_cuda_rows;

/* Begins the tree of rows->output: the turn's round, output and rows (n_grown: all, or 0 where they are sampled); maxima and
   losses become 0. */
ns_status ns_cuda_begin_turn(struct ns_cuda *cuda, const ns_cuda_rows *rows, int64_t round, int64_t n_grown);

/* g and h of training rows; the turn's maxima, of this rank. */
ns_status ns_cuda_gradients(struct ns_cuda *cuda, const ns_cuda_rows *rows);

/* The turn's scales from its maxima over all ranks. */
ns_status ns_cuda_set_scales(struct ns_cuda *cuda, const ns_cuda_rows *rows);

/* word from g and h. */
ns_status ns_cuda_round(struct ns_cuda *cuda, const ns_cuda_rows *rows, const ns_stream *stream);

/* The training rows whose word of the stream is below `below`, into row; the turn's n_grown: how many, 0 before; leaf
   becomes -1 for the others. */
ns_status ns_cuda_sample(struct ns_cuda *cuda, const ns_cuda_rows *rows, const ns_stream *stream, uint64_t below, uint32_t *row);

/* 0, 1, 2, … into row. */
ns_status ns_cuda_all_rows(struct ns_cuda *cuda, const ns_cuda_rows *rows, uint32_t *row);

/* leaf of the rows that the tree was grown from, from its nodes; sums: [tree's nodes] of them, 0 before. */
ns_status ns_cuda_leaves_grown(struct ns_cuda *cuda, const ns_cuda_rows *rows, const struct ns_cuda_grow *g, ns_cell *sums);

/* leaf of rows [first, n_rows) that have none (-1), by walking the tree; training rows among them are added to sums. */
ns_status ns_cuda_leaves_rest(struct ns_cuda *cuda, const ns_cuda_rows *rows, const struct ns_cuda_grow *g, int64_t first, ns_cell *sums);

/* margins += the leaf of one finished tree, whose nodes and sets lie at `nodes` and `sets`. */
ns_status ns_cuda_replay(struct ns_cuda *cuda, const ns_cuda_rows *rows, const struct ns_cuda_grow *g, const ns_node *nodes,
                         const uint32_t *sets);

/* margin[output] += value[leaf]; where this was the round's last output also top and norm, and the turn's losses. */
ns_status ns_cuda_advance(struct ns_cuda *cuda, const ns_cuda_rows *rows, const int32_t *value);

/* top and norm of all rows. */
ns_status ns_cuda_normalise(struct ns_cuda *cuda, const ns_cuda_rows *rows);

/* margin of all rows and outputs from base: [n_outputs]. */
ns_status ns_cuda_set_base(struct ns_cuda *cuda, const ns_cuda_rows *rows, const int64_t *base);

/* Keys of residuals of training rows. */
ns_status ns_cuda_residual_keys(struct ns_cuda *cuda, const ns_cuda_rows *rows);

/* What is known of a leaf's quantile. */
typedef struct ns_cuda_quantile {
    int64_t target;  /* weight to be reached within the prefix; 0: the leaf has none */
    uint32_t prefix; /* the higher bits of its key */
} ns_cuda_quantile;

/* One step of counting, for leaves [first, first + NS_RESIDUAL_GROUPS) of those numbered: weights of training rows into
   tables by the next `bits` bits of their keys, where the higher ones are the leaf's prefix. */
typedef struct ns_cuda_residual_step {
    const int32_t *leaf_number; /* [tree's nodes] -1: no leaf */
    const int32_t *n_leaves;
    ns_cuda_quantile *found;    /* [leaves] */
    int64_t *table;             /* [NS_RESIDUAL_GROUPS][1 << bits], 0 before */
    int32_t first;
    int shift, bits;
    double scale; /* weight to fixed point; without weights 1 each */
} ns_cuda_residual_step;
ns_status ns_cuda_residual_count(struct ns_cuda *cuda, const ns_cuda_rows *rows, const ns_cuda_residual_step *step);

#ifdef __cplusplus
}
#endif
#endif
