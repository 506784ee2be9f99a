#include "runner/metrics/measure.h"

#include <stdlib.h>

#include "cluster/agree.h"
#include "runner/metrics/class_metrics.h"
#include "runner/metrics/metrics.h"
#include "runner/metrics/metrics_gather.h"
#include "runner/metrics/number_metrics.h"

/* Risks and labels of one output, side by side. */
static ns_status build_table(ns_risk_table *out, const ns_outcomes *rows, int32_t output)
{
    int32_t n_outputs = rows->objective == NS_MULTICLASS ? rows->n_outputs : 1;
    float event = rows->objective == NS_MULTICLASS ? (float)output : 1.0f;
    uint8_t *label = malloc((size_t)rows->n + 1);
    float *risk = n_outputs == 1 ? NULL : malloc(((size_t)rows->n + 1) * sizeof *risk);
    ns_status status = label == NULL || (n_outputs > 1 && risk == NULL)
                           ? ns_fail(NS_ENOMEM, "no memory for the metrics of %lld rows", (long long)rows->n)
                           : NS_OK;
    for (int64_t i = 0; i < rows->n && status == NS_OK; i++) {
        label[i] = rows->label[i] == event;
        if (n_outputs > 1) risk[i] = rows->value[i * n_outputs + output];
    }
    if (status == NS_OK) status = ns_risk_table_build(out, n_outputs > 1 ? risk : rows->value, label, rows->use, rows->n);
    free(label);
    free(risk);
    return status;
}

ns_status ns_outcomes_table(ns_risk_table *out, const ns_outcomes *rows, int32_t output, MPI_Comm comm)
{
    *out = (ns_risk_table){0};
    ns_status status = ns_agree(build_table(out, rows, output), comm);
    if (status == NS_OK) status = ns_risk_table_gather(out, comm);
    if (status != NS_OK) ns_risk_table_destroy(out);
    return status;
}

static ns_status measure_binary(json_t **out, const ns_outcomes *rows, MPI_Comm comm)
{
    ns_risk_table table;
    NS_TRY(ns_outcomes_table(&table, rows, 0, comm));
    int rank;
    MPI_Comm_rank(comm, &rank);
    ns_status status = NS_OK;
    if (rank == 0) {
        ns_metrics metrics;
        status = ns_metrics_compute(&metrics, &table);
        if (status == NS_OK && (*out = ns_metrics_json(&metrics)) == NULL) status = ns_fail(NS_ENOMEM, "no memory for the metrics");
    }
    ns_risk_table_destroy(&table);
    return ns_agree(status, comm);
}

ns_status ns_measure(json_t **out, const ns_outcomes *rows, ns_detail detail, int64_t min_cell, MPI_Comm comm)
{
    *out = NULL;
    ns_status status = rows->objective == NS_BINARY       ? measure_binary(out, rows, comm)
                       : rows->objective == NS_MULTICLASS ? ns_class_metrics(out, rows, detail, min_cell, comm)
                                                          : ns_number_metrics(out, rows, comm);
    if (status != NS_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}
