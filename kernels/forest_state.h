#ifndef NIGHTSHIFT_KERNELS_FOREST_STATE_H
#define NIGHTSHIFT_KERNELS_FOREST_STATE_H
/* What the two sources of the cpu forest share: forest_cpu.c prepares, round_cpu.c trains. */
#include "kernels/cuts.h"
#include "kernels/forest.h"
#include "kernels/grow.h"

enum {
    NS_FOREST_PIECE = 8192, /* rows of a task */
    NS_MARGIN_K = 26        /* margins of binary models are in units of 2^-26 */
};

struct ns_forest {
    ns_device *device;
    ns_forest_settings settings;
    int64_t n_train, n_valid, n_rows, n_train_global;
    int32_t n_features;

    ns_feature_kind *kind;
    int32_t *n_bins;           /* number features: once their cuts are known */
    ns_tally **tally;          /* [n_features] while a number feature is counted */
    uint8_t *has_cuts;         /* [n_features] */
    float (*cut)[NS_MAX_CUTS]; /* [n_features] */
    int32_t *n_cuts;

    int64_t *row_number, *margin; /* [n_rows] */
    float *label, *weight;        /* [n_rows]; weight NULL: 1 */
    double *g, *h;                /* [n_train] */
    void *word;                   /* [n_train] rounded gradients, int32_t or int64_t */
    int32_t *leaf;                /* [n_rows] */
    ns_bins bins;

    ns_width width;
    double weight_scale; /* w' = weight * weight_scale */
    ns_i128 train_weight, valid_weight;
    int64_t base;

    ns_grower *grower;
    ns_cell *leaf_sums;  /* [n_threads + 1][max nodes]: each thread's, then their sum */
    int32_t *leaf_value; /* [max nodes] */
    ns_node *nodes;      /* [max nodes] the tree with its values */
};

/* Rows [from, to) of a task. */
static inline int64_t ns_forest_piece_end(int64_t from, int64_t last)
{
    return last - from < NS_FOREST_PIECE ? last : from + NS_FOREST_PIECE;
}

/*
 * One status for all ranks: the highest code of any. `doing` words it on ranks that did not fail themselves.
 * Collective over the link.
 */
ns_status ns_forest_agree(ns_status mine, const char *doing, const ns_link *link);

/* One round (see ns_forest_ops). */
ns_status ns_forest_round(ns_forest *forest, int64_t round, ns_trees *trees, ns_round *result);
#endif
