#ifndef NIGHTSHIFT_RUNNER_METRICS_METRICS_H
#define NIGHTSHIFT_RUNNER_METRICS_METRICS_H
/*
 * How good risks are: all metrics of binary models, from the published float32 risks alone (design.md,
 * section 11). Sums are integers of 64 or 128 bits and every double is made from them by one formula, so that
 * equal rows give equal bits on any number of ranks and with any compiler. A metric that is undefined is NaN
 * and has a reason in words.
 */
#include <jansson.h>

#include "runner/metrics/calibration.h"
#include "runner/metrics/risk_table.h"

enum { NS_N_CAPACITIES = 3 };
extern const int32_t ns_capacity_percent[NS_N_CAPACITIES]; /* 1, 5, 10 */

/* What flagging the c percent of rows at highest risk finds. Ratios without a denominator are NaN. */
typedef struct ns_capacity {
    int64_t k;          /* max(1, floor(n * c / 100)); 0 where there are no rows */
    double threshold;   /* the k-th highest risk */
    int64_t n_flagged;  /* all rows at or above it, so at least k */
    int64_t n_true;     /* events among them */
    double sensitivity; /* n_true / events */
    double specificity; /* others not flagged / others */
    double ppv, npv;    /* events among flagged; others among not flagged */
    double nne;         /* 1 / ppv: rows to look at for one event */
} ns_capacity;

typedef struct ns_metrics {
    int64_t n, n_events;
    double prevalence; /* n_events / n */
    /* Concordance, ties half; DeLong, DeLong and Clarke-Pearson (1988): variance = S10 / events + S01 /
       others, interval auroc +- 1.959963984540054 * sqrt(variance), clipped to [0, 1]. */
    double auroc, auroc_variance, auroc_low, auroc_high;
    double auprc;    /* average precision: sum over falling risks of precision * change in recall */
    double log_loss; /* mean of -log(risk given to what happened) */
    double brier;    /* mean of (risk - label)^2 */
    ns_calibration calibration;
    ns_capacity capacity[NS_N_CAPACITIES];
    /* NULL where defined; else why not. Static texts. */
    const char *no_rows_reason, *auroc_reason, *interval_reason, *auprc_reason;
} ns_metrics;

/*
 *   out    out  every member is set
 *   table  in   of all rows, at most 2^32 of them (beyond, AUROC's variance is undefined)
 * Local. NS_ENOMEM.
 */
ns_status ns_metrics_compute(ns_metrics *out, const ns_risk_table *table);

/*
 * {"n", "events", "prevalence", "auroc", "auroc_low", "auroc_high", "auroc_variance", "auprc", "log_loss",
 *  "brier",
 *  "calibration": {"intercept", "slope", "citl", "observed_expected", "ece"},
 *  "capacity": [{"percent", "k", "threshold", "flagged", "true_positives",
 *                "sensitivity", "specificity", "ppv", "npv", "nne"}],
 *  "undefined": {metric: reason}}
 * Keys always stand in this order; an undefined number is null. NULL without memory.
 */
json_t *ns_metrics_json(const ns_metrics *metrics);

/* Adds the same keys at the end of an object. status as in runner/json.h. */
void ns_metrics_add_json(ns_status *status, json_t *object, const ns_metrics *metrics);
#endif
