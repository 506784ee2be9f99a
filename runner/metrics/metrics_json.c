#include "runner/metrics/metrics.h"

#include "runner/json.h"

static json_t *calibration_json(ns_status *status, const ns_calibration *calibration)
{
    json_t *object = json_object();
    ns_json_add(status, object, "intercept", ns_json_real(calibration->intercept));
    ns_json_add(status, object, "slope", ns_json_real(calibration->slope));
    ns_json_add(status, object, "citl", ns_json_real(calibration->citl));
    ns_json_add(status, object, "observed_expected", ns_json_real(calibration->observed_expected));
    ns_json_add(status, object, "ece", ns_json_real(calibration->ece));
    return object;
}

static json_t *capacity_json(ns_status *status, const ns_capacity *capacity, int32_t percent)
{
    json_t *object = json_object();
    ns_json_add(status, object, "percent", json_integer(percent));
    ns_json_add(status, object, "k", json_integer(capacity->k));
    ns_json_add(status, object, "threshold", ns_json_real(capacity->threshold));
    ns_json_add(status, object, "flagged", json_integer(capacity->n_flagged));
    ns_json_add(status, object, "true_positives", json_integer(capacity->n_true));
    ns_json_add(status, object, "sensitivity", ns_json_real(capacity->sensitivity));
    ns_json_add(status, object, "specificity", ns_json_real(capacity->specificity));
    ns_json_add(status, object, "ppv", ns_json_real(capacity->ppv));
    ns_json_add(status, object, "npv", ns_json_real(capacity->npv));
    ns_json_add(status, object, "nne", ns_json_real(capacity->nne));
    return object;
}

static void add_reason(ns_status *status, json_t *object, const char *metric, const char *reason)
{
    if (reason != NULL) ns_json_add(status, object, metric, json_string(reason));
}

static json_t *reasons_json(ns_status *status, const ns_metrics *metrics)
{
    json_t *object = json_object();
    add_reason(status, object, "prevalence", metrics->no_rows_reason);
    add_reason(status, object, "auroc", metrics->auroc_reason);
    add_reason(status, object, "auroc_variance", metrics->interval_reason);
    add_reason(status, object, "auprc", metrics->auprc_reason);
    add_reason(status, object, "log_loss", metrics->no_rows_reason);
    add_reason(status, object, "brier", metrics->no_rows_reason);
    add_reason(status, object, "slope", metrics->calibration.slope_reason);
    add_reason(status, object, "citl", metrics->calibration.citl_reason);
    add_reason(status, object, "observed_expected", metrics->calibration.observed_expected_reason);
    add_reason(status, object, "ece", metrics->calibration.ece_reason);
    return object;
}

void ns_metrics_add_json(ns_status *status, json_t *object, const ns_metrics *metrics)
{
    ns_json_add(status, object, "n", json_integer(metrics->n));
    ns_json_add(status, object, "events", json_integer(metrics->n_events));
    ns_json_add(status, object, "prevalence", ns_json_real(metrics->prevalence));
    ns_json_add(status, object, "auroc", ns_json_real(metrics->auroc));
    ns_json_add(status, object, "auroc_low", ns_json_real(metrics->auroc_low));
    ns_json_add(status, object, "auroc_high", ns_json_real(metrics->auroc_high));
    ns_json_add(status, object, "auroc_variance", ns_json_real(metrics->auroc_variance));
    ns_json_add(status, object, "auprc", ns_json_real(metrics->auprc));
    ns_json_add(status, object, "log_loss", ns_json_real(metrics->log_loss));
    ns_json_add(status, object, "brier", ns_json_real(metrics->brier));
    ns_json_add(status, object, "calibration", calibration_json(status, &metrics->calibration));
    json_t *capacities = json_array();
    for (int c = 0; c < NS_N_CAPACITIES; c++)
        ns_json_append(status, capacities,
                       capacity_json(status, &metrics->capacity[c], ns_capacity_percent[c]));
    ns_json_add(status, object, "capacity", capacities);
    ns_json_add(status, object, "undefined", reasons_json(status, metrics));
}

json_t *ns_metrics_json(const ns_metrics *metrics)
{
    ns_status status = NS_OK;
    json_t *object = json_object();
    ns_metrics_add_json(&status, object, metrics);
    if (status == NS_OK) return object;
    json_decref(object);
    return NULL;
}
