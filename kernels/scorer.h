#ifndef NIGHTSHIFT_KERNELS_SCORER_H
#define NIGHTSHIFT_KERNELS_SCORER_H
/*
 * Scoring rows with finished trees. The margin of an output is its base + the sum of the leaves that a row
 * reaches in that output's trees (tree t belongs to output t % n_outputs), in units of 2^-k; integers, so
 * neither the order of trees nor of rows matters. Risks and predictions follow from margins as
 * kernels/prediction.h says.
 */
#include "kernels/device.h"
#include "kernels/forest.h"
#include "kernels/trees.h"

typedef struct ns_scorer_plan {
    const ns_trees *trees; /* borrowed until destroy */
    int32_t n_features;
    const ns_feature_kind *kind; /* [n_features] borrowed until destroy, as are the next two */
    const float *const *cuts;    /* [n_features] ascending cuts of number features */
    const int32_t *n_cuts;       /* [n_features] */
    const int32_t *n_bins;       /* [n_features] category: bins */
    ns_objective objective;
    int32_t n_outputs;   /* multiclass: classes; else 1 */
    const int64_t *base; /* [n_outputs] borrowed until destroy */
    int32_t k;
} ns_scorer_plan;

/* Columns of some rows. columns[f] is const float * for a number feature, const int32_t * (bins) for a
 * category. What is out must stay until it was waited for. */
typedef struct ns_score_slab {
    int64_t n_rows;
    const void *const *columns; /* [n_features][n_rows] */
    int64_t *margin;            /* out [n_rows][n_outputs], or NULL */
    float *risk;                /* out [n_rows][n_outputs] risks or predictions, or NULL */
} ns_score_slab;

typedef struct ns_scorer ns_scorer;

typedef struct ns_scorer_ops {
    const char *name;
    /* Local. NS_ENOMEM, NS_EDEVICE. */
    ns_status (*create)(ns_scorer **out, ns_device *device, const ns_scorer_plan *plan);
    /* Takes the slab's columns, which are the caller's again on return, and scores its rows: on the cpu before it returns, on a GPU
       while the caller goes on. Local. Cannot fail on the cpu; scratch is taken in create. NS_EDEVICE: a GPU was lost. */
    ns_status (*score_slab)(ns_scorer *scorer, const ns_score_slab *slab);
    /* Until no slabs but the last n_left that were given have rows without their results. Local. NS_EDEVICE. */
    ns_status (*wait)(ns_scorer *scorer, int64_t n_left);
    void (*destroy)(ns_scorer **scorer);
} ns_scorer_ops;

/* The cpu backend. */
extern const ns_scorer_ops ns_scorer_cpu;
#endif
