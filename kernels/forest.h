#ifndef NIGHTSHIFT_KERNELS_FOREST_H
#define NIGHTSHIFT_KERNELS_FOREST_H
/*
 * Training of boosted trees on one device of each rank. One object, in this order:
 *
 *   create                        memory for rows, labels, weights; category features know their bins already
 *   for batches of number features, as many as memory for their floats allows:
 *       repeat  count_slab (every slab of every feature of the batch, training rows)
 *               count_done        sums over ranks; says whether the batch needs another pass
 *   for every feature: bin_slab   (training, validation and held rows)
 *   seal                          rows ready; margins set from trees made earlier (resume) or the base
 *   round, round, …               one tree per output each, with its sums over ranks
 *   read_margins, read_bins, destroy
 *
 * Where cuts and bins are known from an earlier forest of the same rows, put_cuts stands for the counting and
 * bin_slab takes what read_bins gave.
 *
 * Local rows: [0, n_train) are training rows, [n_train, n_train + n_valid) validation rows, then n_held rows of
 * which only the bins are kept; row_number names each row's global number, the only identity that sampling and
 * rounding use. Results depend on the multiset
 * of (row_number, values, label, weight, set) and the settings alone, never on ranks, threads, order of local
 * rows, slabs or batch.
 *
 * All trees of a round follow from the margins at its start. Their random numbers are keyed by (round,
 * output): each tree has its own sample of rows and columns. A class without training rows is taken to have a
 * share of 2^-24.
 *
 * A row of weight 0 adds nothing to gradients, losses or the base, but counts as a row (cuts, min_rows,
 * n_rows of nodes). With row_sample below 1 the split search, its min_rows and min_hessian see the sampled
 * rows; leaf values and n_rows of nodes are those of all training rows. max_depth counts splits on a path.
 * Formulas, ties and constants: design.md sections 7 and 10; each operation's header in this folder.
 */
#include "kernels/device.h"
#include "kernels/trees.h"

/*
 * What is learned. A round makes one tree per output; tree t of a forest belongs to output t % n_outputs.
 * Margins of row i are margin[i * n_outputs + output], whole numbers of 2^-k.
 *                  label of a row                    prediction                    outputs
 *   NS_BINARY      0 or 1                            sigmoid(margin)               1
 *   NS_MULTICLASS  class 0, 1, ..., n_classes - 1    softmax over the outputs      n_classes
 *   NS_REGRESSION  finite                            margin                        1
 *   NS_POISSON     finite, >= 0                      exp(margin)                   1
 *   NS_QUANTILE    finite                            margin, the `quantile`        1
 */
typedef enum ns_objective {
    NS_BINARY = 0,
    NS_MULTICLASS = 1,
    NS_REGRESSION = 2,
    NS_POISSON = 3,
    NS_QUANTILE = 4
} ns_objective;

typedef struct ns_forest_settings {
    ns_objective objective;
    int32_t n_classes; /* multiclass: 3..; else 0 */
    double quantile;   /* quantile: in (0, 1), for leaves and base to the nearest 10^-9; else 0 */
    uint64_t seed;
    double learning_rate;
    int32_t max_leaves; /* >= 2 */
    int32_t max_depth;  /* 0: no limit */
    double l1, l2;
    double min_gain;             /* a split's gain must exceed it */
    int64_t min_rows;            /* on each side */
    double min_hessian;          /* on each side */
    int32_t max_bins;            /* value bins of a number feature, 2..255 */
    double category_smoothing;   /* 200 */
    double category_l2;          /* 10 */
    int64_t category_split_rows; /* 20: rows a level needs at a node to be sorted */
    int32_t category_max_levels; /* 16: most sorted levels on the smaller side of a split; 0: no limit */
    double row_sample;           /* (0, 1] */
    double column_sample;        /* (0, 1] per tree */
    double column_sample_node;   /* (0, 1] per node, of the tree's columns */
    int32_t gradient_bits;       /* 0: chosen by the rule of design.md; 12: narrow; 30: wide */
    int32_t batch;               /* leaves opened ahead per step, >= 1; never changes a byte */
} ns_forest_settings;

typedef struct ns_forest_plan {
    ns_forest_settings settings;
    int64_t n_train, n_valid; /* this rank's */
    int64_t n_held;           /* this rank's; no label, weight or row_number is asked of them */
    int64_t n_train_global;   /* over all ranks, > 0 */
    int32_t n_features;
    const ns_feature_kind *kind; /* [n_features] copied */
    const int32_t *n_bins;       /* [n_features] category: its bins, 2..65536; number: ignored. copied */
    const int64_t *row_number;   /* [n_train + n_valid] copied */
    const int8_t *monotone; /* [n_features] 0; 1: predictions may only rise with it, -1: only fall (numbers
                               only, not with multiclass); or NULL for all 0. copied */
    const float *label;     /* [n_train + n_valid] see ns_objective. copied */
    const float *weight;    /* [n_train + n_valid] finite, >= 0, or NULL for 1. copied */
    const int32_t *percent;      /* [n_percent] ascending, 1..99: quantiles that counting finds on the way. copied */
    int32_t n_percent;
} ns_forest_plan;

/* Values of one feature for some rows; exactly one of number, bin and stored is set. Borrowed for the call. */
typedef struct ns_slab {
    int32_t feature;
    int64_t first_row, n_rows; /* local rows */
    const float *number; /* [n_rows] NaN is missing, no infinities unless the caller means them as values */
    const int32_t *bin;  /* [n_rows] category bins, see trees.h */
    const void *stored;  /* [n_rows] bins as read_bins gives them, below the feature's number of bins */
} ns_slab;

/* What one round gives, the same on every rank. Losses are sums over rows of rne(2^40 * w' * loss /
   loss_unit), w' the weight divided by the power of two that brings the largest weight of the table to (0.5,
   1], no row adding more than 2^62; the mean is loss_unit * loss / weight sum. The loss of a row is the log
   loss for binary and multiclass, (y - prediction)^2 for regression, half the deviance for poisson:
   prediction - y + (y > 0 ? y * log(y / prediction) : 0), the pinball loss for quantile. */
typedef struct ns_round {
    ns_i128 train_loss, valid_loss;     /* after this round's trees */
    ns_i128 train_weight, valid_weight; /* sums of rne(2^40 * w') */
    double loss_unit; /* a power of two, the same in all rounds; 1 for binary and multiclass */
    int32_t n_leaves; /* of all of this round's trees */
} ns_round;

/* Trees of a round: n_classes for multiclass, else 1. */
static inline int32_t ns_n_outputs(const ns_forest_settings *settings)
{
    return settings->objective == NS_MULTICLASS ? settings->n_classes : 1;
}

typedef struct ns_forest ns_forest;

typedef struct ns_forest_ops {
    const char *name;
    /* Takes all memory that does not depend on cuts. Collective over the link (base margin, largest weight).
       NS_ENOMEM; NS_ENUMERIC (binary, multiclass: training labels of one class only, also where all weight is
       on one class; poisson: all 0; weights that sum to 0); NS_EINVAL (2^32 - 1 rows or more on one rank). */
    ns_status (*create)(ns_forest **out, ns_device *device, const ns_forest_plan *plan);
    /* Counts the slab's values for the feature's current pass. Training rows of number features only. Local;
       threads of the caller may count different features at once. NS_ENOMEM, NS_EDEVICE. */
    ns_status (*count_slab)(ns_forest *forest, const ns_slab *slab);
    /* Ends a pass over features [first, first + n), categories among them passed over. *more: they need one
       more pass over the same slabs, five at most; those that need none are not counted again. Collective.
       NS_ENOMEM, NS_EDEVICE. */
    ns_status (*count_done)(ns_forest *forest, int32_t first, int32_t n, bool *more);
    /* Stores the slab's bins. A number feature's cuts must be known (count_done said no more, or put_cuts); what was counted is
       binned from the same values. Each row once. Local; threads of the caller may store different features at once, and, of
       what is stored, different rows of one. NS_ENOMEM, NS_EDEVICE. */
    ns_status (*bin_slab)(ns_forest *forest, const ns_slab *slab);
    /* Cuts of a number feature that are known already: ascending, n_cuts <= max_bins - 1. Copied. Local. */
    void (*put_cuts)(ns_forest *forest, int32_t feature, const float *cuts, int32_t n_cuts);
    /* Bins of local rows [first, first + n), held ones too, as they are stored: uint8_t where the feature has at most
       NS_BYTE_BINS bins (kernels/bin.h), else uint16_t. Local; threads of the caller may read at once. NS_EDEVICE. */
    ns_status (*read_bins)(const ns_forest *forest, int32_t feature, int64_t first, int64_t n, void *out);
    /* All rows are binned: takes the rest of the memory; margins = base + the given trees (may be empty).
       Collective. NS_ENOMEM, NS_EDEVICE. */
    ns_status (*seal)(ns_forest *forest, const ns_trees *trees);
    /* One boosting round; appends its trees. round counts from 0 and keys the random numbers. Collective.
       NS_ENOMEM, NS_EDEVICE (a GPU was lost): nothing is appended then. */
    ns_status (*round)(ns_forest *forest, int64_t round, ns_trees *trees, ns_round *result);
    /* Margins of local rows [first, first + n) in units of 2^-k, base included: [n][n_outputs]. Local. */
    ns_status (*read_margins)(ns_forest *forest, int64_t first, int64_t n, int64_t *margins);
    /* The cuts of a number feature: *cuts is borrowed until destroy, *n_cuts <= max_bins - 1; 0 for a
     * category. Local. */
    void (*cuts)(const ns_forest *forest, int32_t feature, const float **cuts, int32_t *n_cuts);
    /* What counting a number feature found: *quantile is [n_percent], as kernels/quantile.h defines them, borrowed until
       destroy; *n_values the training rows of all ranks that are not NaN. Local. */
    void (*quantiles)(const ns_forest *forest, int32_t feature, const float **quantile, int64_t *n_values);
    /* Base margins in units of 2^-k: [n_outputs]; and k. Local. */
    void (*base)(const ns_forest *forest, int64_t *base, int32_t *k);
    void (*destroy)(ns_forest **forest);
} ns_forest_ops;

/* The cpu backend. The cuda backend (forest_cuda.c) finds the base on the host, counts and bins on the GPU (prepare_cuda.c), and
   trains there. */
extern const ns_forest_ops ns_forest_cpu;

/* Bytes that create, seal and the largest batch of n_count_features count passes take at most on one rank,
   with as many threads as OpenMP would use, and with them what the caller holds until it has binned all features and gives
   back before seal; for check's plan. Of the plan's arrays only kind and n_bins are read, and of weight only whether it
   is NULL. */
int64_t ns_forest_memory(const ns_forest_plan *plan, int32_t n_count_features, int64_t held_until_binned);
#endif
