#ifndef NIGHTSHIFT_RUNNER_METRICS_MEASURE_TEXT_H
#define NIGHTSHIFT_RUNNER_METRICS_MEASURE_TEXT_H
/* Metrics (runner/metrics/measure.h) in words, for the summaries of train and evaluate. Undefined ones are left out. Local. */
#include <jansson.h>
#include <stdio.h>

#include "kernels/forest.h"

/* One line: "  test      9900 rows, RMSE 2.1, …". Nothing where metrics is NULL. */
void ns_measure_print_line(FILE *to, const char *part, const json_t *metrics, ns_objective objective);

/* Several lines, from "  rows      …" on. */
void ns_measure_print(FILE *to, const json_t *metrics, ns_objective objective);
#endif
