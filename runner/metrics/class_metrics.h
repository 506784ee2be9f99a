#ifndef NIGHTSHIFT_RUNNER_METRICS_CLASS_METRICS_H
#define NIGHTSHIFT_RUNNER_METRICS_CLASS_METRICS_H
/*
 * Metrics of several classes, from the published float32 risks p[row][class] of n rows with class y:
 *   log_loss     mean of -log p[y]
 *   brier        mean over rows of the sum over classes of (p[c] - (c == y))^2: 0 to 2 (Brier, Monthly Weather Review 78, 1950)
 *   accuracy     share of rows whose class has the highest risk; of equal risks the first class counts
 *   auroc_macro  mean over classes of AUROC of one class against the rest, where it is defined (Provost and Domingos, 2000); the
 *                unweighted mean, each class counting alike however rare
 * and for each class all metrics of runner/metrics/metrics.h with that class as the event: AUROC with DeLong's interval, calibration
 * (observed/expected, slope, intercept), precision, capacity.
 *
 * Rows of 2^40 * the first two are rounded to integers and summed in 128 bits; accuracy is a count.
 *
 * What is told of patients: a class with fewer than min_cell patients has no metrics of its own, and where that is only one, the
 * smallest other class neither, since n would tell it. A cell of the confusion matrix (rows of true class a whose highest risk is
 * of class b) with 1 to min_cell - 1 patients is null, and with it the smallest other cell of its row, and of the diagonal, where
 * a sum that is told would tell it.
 */
#include "runner/metrics/measure.h"

enum { NS_MOST_CONFUSION = 50 }; /* classes; beyond, no confusion matrix is given */

/*
 * {"n", "log_loss", "brier", "accuracy", "auroc_macro", "undefined"}, with NS_DETAIL_ALL before the last
 *  "classes": [{"class", "suppressed": false, … as in metrics.h} or {"class", "suppressed": true}] in the classes' order,
 *  "confusion": [[rows of true class a with highest risk of class b, or null] for a], or null beyond NS_MOST_CONFUSION classes
 * Collective, as ns_measure.
 */
ns_status ns_class_metrics(json_t **out, const ns_outcomes *rows, ns_detail detail, int64_t min_cell, MPI_Comm comm);
#endif
