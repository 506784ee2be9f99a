#ifndef NIGHTSHIFT_RUNNER_METRICS_MEASURE_H
#define NIGHTSHIFT_RUNNER_METRICS_MEASURE_H
/* How good a model is on some rows, as its objective asks: from published float32 values and outcomes alone. */
#include <jansson.h>
#include <mpi.h>
#include <stdint.h>

#include "data/hash.h"
#include "data/texts.h"
#include "kernels/forest.h"
#include "runner/metrics/risk_table.h"

/* What a model says of some rows, and what happened. All borrowed. */
typedef struct ns_outcomes {
    ns_objective objective;
    int32_t n_outputs;         /* 0 or 1; multiclass: classes */
    double quantile;           /* quantile: in (0, 1) */
    const ns_texts *classes;   /* multiclass: [n_outputs] */
    int64_t n;                 /* this rank's rows */
    const float *value;        /* [n][n_outputs] as published: risks or predictions */
    const float *label;        /* [n] as kernels/forest.h has them */
    const uint8_t *use;        /* [n] 0: left out; NULL: all are used */
    const ns_hash128 *patient; /* [n] {0, 0}: a patient of its own; NULL: every row is */
} ns_outcomes;

typedef enum ns_detail {
    NS_DETAIL_ALL,     /* multiclass: with every class and the confusion matrix */
    NS_DETAIL_SUBGROUP /* without: with other subgroups they would tell small cells by subtraction */
} ns_detail;

/*
 * Metrics over all ranks' rows: metrics.h for binary, class_metrics.h for multiclass, number_metrics.h for the others.
 *   out       out  rank 0: a new object, owned by the caller; others, and on failure: NULL
 *   min_cell  in   >= 1: classes and cells with fewer patients are not told
 * Collective over comm: the same bytes for any number of ranks. NS_ENUMERIC: a value that no model publishes. NS_ENOMEM.
 */
ns_status ns_measure(json_t **out, const ns_outcomes *rows, ns_detail detail, int64_t min_cell, MPI_Comm comm);

/*
 * The risk table of all ranks' rows on rank 0 (others: empty): the risk of one class against all others.
 *   output  in  which column of value; a row is an event where its label is `output`, for binary where it is 1
 * Collective. NS_ENUMERIC, NS_ENOMEM.
 */
ns_status ns_outcomes_table(ns_risk_table *out, const ns_outcomes *rows, int32_t output, MPI_Comm comm);
#endif
