#ifndef NIGHTSHIFT_KERNELS_FOREST_STATE_H
#define NIGHTSHIFT_KERNELS_FOREST_STATE_H
/*
 * What the sources of a forest share: forest_cpu.c prepares, round_cpu.c trains on the cpu, forest_cuda.c on a GPU, and round.c
 * has what a round is on either.
 */
#include "kernels/cuts.h"
#include "kernels/forest.h"
#include "kernels/grow.h"
#include "kernels/residual.h"

enum {
    NS_FOREST_PIECE = 8192, /* rows of a task */
    NS_MARGIN_BITS = 26     /* units of a margin of 1, or of the largest distance of a label from the base */
};

struct ns_forest {
    ns_device *device;
    ns_forest_settings settings;
    int64_t n_train, n_valid, n_rows, n_train_global; /* held rows are in bins.n_rows alone */
    int32_t n_features, n_outputs;

    ns_feature_kind *kind;
    int8_t *monotone;          /* [n_features]; NULL: no feature is constrained */
    int32_t *n_bins;           /* number features: once their cuts are known */
    ns_tally **tally;          /* [n_features] while a number feature is counted */
    uint8_t *has_cuts;         /* [n_features] */
    float (*cut)[NS_MAX_CUTS]; /* [n_features] */
    int32_t *n_cuts;
    int32_t *percent, n_percent;
    float *quantile;           /* [n_features][n_percent] */
    int64_t *n_values;         /* [n_features] */

    int64_t *row_number;   /* [n_rows] */
    int64_t *margin;       /* [n_outputs][n_rows] */
    double *top, *norm;    /* [n_rows] multiclass: see ns_loss_rows; of the margins after the last round */
    float *label, *weight; /* [n_rows]; weight NULL: 1 */
    double *g, *h;         /* [n_train] */
    void *word;            /* [n_train] rounded gradients, int32_t or int64_t */
    int32_t *leaf;         /* [n_rows] */
    ns_bins bins;

    ns_width width;
    double weight_scale; /* w' = weight * weight_scale */
    ns_i128 train_weight, valid_weight;
    ns_i128 *class_weight; /* [n_outputs] */
    int64_t *base;         /* [n_outputs] */
    int32_t k;
    double loss_unit;

    ns_grower *grower;
    ns_cell *leaf_sums;      /* [n_threads + 1][max nodes]: each thread's, then their sum */
    double *value;           /* [most nodes] steps of the tree's nodes (kernels/leaf.h) */
    int32_t *leaf_value;     /* [max nodes] */
    ns_leaf_bounds *bounds;  /* [max nodes] with monotone constraints */
    ns_residuals *residuals; /* quantile */
    int32_t *wanted;         /* [most nodes] quantile: the leaves */
    ns_node *nodes;          /* [max nodes] the tree with its values */

    struct ns_cuda_forest *cuda; /* the cuda backend's; NULL on the cpu */
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

/* Where the rows of a forest are binned and trained: elsewhere means that the host keeps no bins, and of margins and
   gradients only what the base is found with. */
typedef enum ns_forest_home { NS_HOME_HOST, NS_HOME_ELSEWHERE } ns_forest_home;

/* As ns_forest_ops.create. */
ns_status ns_forest_create(ns_forest **out, ns_device *device, const ns_forest_plan *plan, ns_forest_home home);

/* Whether count_done of a range is about this feature. Local. */
bool ns_forest_is_counted(const ns_forest *forest, int32_t feature);

/* Tallies for all features of a range that are counted. Local. NS_ENOMEM. */
ns_status ns_forest_take_tallies(ns_forest *forest, int32_t first, int32_t n);

/* The rest of count_done, once the tallies hold this rank's counts; mine: how counting went on this rank. Collective. */
ns_status ns_forest_end_pass(ns_forest *forest, int32_t first, int32_t n, ns_status mine, bool *more);

/* Weights, base margins, k, the unit of losses and the width of gradients, from the labels and weights of all
   ranks. Collective. NS_ENUMERIC as ns_forest_ops.create. */
ns_status ns_forest_learn_base(ns_forest *forest);

/* g and h of all training rows for one output at the present margins; max[0] and max[1]: the bits of the
   largest |g| and h of this rank. Local. */
void ns_forest_take_gradients(ns_forest *forest, int32_t output, int64_t max[2]);

/* Values and rows of the nodes of a tree whose leaves f->leaf tells, into f->nodes and f->leaf_value; max:
   the round's largest |g| and h. Collective. */
void ns_forest_fill_leaves(ns_forest *forest, const ns_grown *tree, const double max[2]);

/* Quantile: those of the groups in f->wanted, rows grouped by f->leaf, into f->value. Collective. */
void ns_forest_find_quantiles(ns_forest *forest, int32_t n_wanted);

/* Multiclass: top and norm of all rows at the present margins. Local. */
void ns_forest_normalise(ns_forest *forest);

/* The rule of splits without the units of sums, which change each round. Local. */
ns_split_rule ns_forest_split_rule(const ns_forest_settings *settings);

/* How gradients of one output are rounded in a round; max: the largest |g| and h of all ranks. Local. */
ns_rounding ns_forest_rounding(const ns_forest *forest, int64_t round, int32_t output, const double max[2]);

/* A backend's tree of one output, added to trees and margins; after the round's last output this rank's losses. Collective. */
typedef ns_status ns_grow_output(ns_forest *forest, int64_t round, int32_t output, ns_trees *trees, ns_round *result);

/* One round, output by output (see ns_forest_ops); where an output fails, trees is as it was before. Collective. */
ns_status ns_forest_grow_outputs(ns_forest *forest, int64_t round, ns_trees *trees, ns_round *result, ns_grow_output *grow);

/* One round on the cpu. */
ns_status ns_forest_round(ns_forest *forest, int64_t round, ns_trees *trees, ns_round *result);
#endif
