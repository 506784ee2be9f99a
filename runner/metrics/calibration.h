#ifndef NIGHTSHIFT_RUNNER_METRICS_CALIBRATION_H
#define NIGHTSHIFT_RUNNER_METRICS_CALIBRATION_H
/* Whether risks mean what they say. Undefined numbers are NaN and have a reason. */
#include "runner/metrics/risk_table.h"

enum { NS_N_ECE_BINS = 10 };

typedef struct ns_calibration {
    /* Logistic recalibration: logit P(event) = intercept + slope * logit(risk), maximum likelihood. */
    double intercept, slope;
    double citl;              /* calibration in the large: the intercept where the slope is held at 1 */
    double observed_expected; /* events / sum of risks */
    /* Expected calibration error: sum over ten bins of |events - sum of risks| / n. A row with b rows of
       lower risk is in bin floor(10 b / n), so rows of equal risk are never parted and a bin may be empty. */
    double ece;
    /* NULL where defined; else why not. Static texts. */
    const char *slope_reason, *citl_reason, *observed_expected_reason, *ece_reason;
} ns_calibration;

/*
 * Newton's method on sums of per-row terms rounded to 2^-36; steps are shortened so that no row's log-odds
 * move by more than 1, which makes every step go uphill; done when a step is below 1e-10, given up after 50.
 * Local. NS_ENOMEM.
 */
ns_status ns_calibration_compute(ns_calibration *out, const ns_risk_table *table);
#endif
