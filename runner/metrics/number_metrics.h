#ifndef NIGHTSHIFT_RUNNER_METRICS_NUMBER_METRICS_H
#define NIGHTSHIFT_RUNNER_METRICS_NUMBER_METRICS_H
/*
 * Metrics of predicted numbers, from the published float32 predictions p and the outcomes y (float32) of n rows.
 *
 * All:         mean_observed, mean_predicted; mae = mean |y - p|
 * Regression:  bias = mean (p - y); rmse = sqrt(mean (y - p)^2); r2 = 1 - sum (y - p)^2 / sum (y - mean y)^2;
 *              correlation (Pearson) of y and p; calibration: y = intercept + slope * p by least squares (1 and 0 where predictions mean
 *              what they say; Steyerberg, Clinical Prediction Models, ch. 15)
 * Quantile:    pinball_loss = mean of quantile * (y - p) where y > p, else (1 - quantile) * (p - y) (Koenker and Bassett,
 *              Econometrica 46, 1978); coverage = share of rows with y <= p, which should be `quantile`; coverage_low and
 *              coverage_high: Wilson's 95 % interval (JASA 22, 1927), rows taken for independent
 * Poisson:     observed_expected = sum y / sum p; deviance = mean of 2 * (y log(y / p) - (y - p)), log term 0 where y is 0
 *              (McCullagh and Nelder, Generalized Linear Models, 2.3); deviance_explained = 1 - deviance / that of p = mean y
 *
 * Sums are of integers: y and p in units of 2^-e, the power of two that brings the largest |y| or |p| of all ranks to B bits,
 * B = min(40, 62 - ceil(log2 n)), so that no product with n passes 126 bits; deviance terms in units that bring the largest to 52
 * bits. Differences of sums (bias, r2, slope) are taken before any rounding to double.
 */
#include "runner/metrics/measure.h"

/*
 * regression: {"n", "mean_observed", "mean_predicted", "bias", "mae", "rmse", "r2", "correlation", "calibration": {"intercept", "slope"},
 *              "undefined"}
 * quantile:   {"n", "mean_observed", "mean_predicted", "quantile", "pinball_loss", "coverage", "coverage_low", "coverage_high", "mae",
 *              "undefined"}
 * poisson:    {"n", "mean_observed", "mean_predicted", "observed_expected", "deviance", "deviance_explained", "mae", "undefined"}
 * Keys always stand in this order; an undefined number is null and has its reason. Collective, as ns_measure.
 */
ns_status ns_number_metrics(json_t **out, const ns_outcomes *rows, MPI_Comm comm);
#endif
