#include "runner/profile_of.h"

#include <stdlib.h>

#include "cluster/agree.h"
#include "kernels/quantile.h"

/* A lower bound of the patients behind so many rows: it can only hide more. */
static ns_profile_count count_of(int64_t n_rows, const ns_training_data *data)
{
    return (ns_profile_count){.n_rows = n_rows, .n_patients = (n_rows + data->max_patient_rows - 1) / data->max_patient_rows};
}

static ns_status add_features(ns_profile *profile, const ns_table *table, const ns_training_data *data)
{
    for (int32_t f = 0; f < table->features.n; f++) {
        const ns_feature *feature = &table->features.list[f];
        const ns_distribution *d = &data->distribution[f];
        ns_profile_count missing = count_of(d->n_missing, data);
        if (feature->kind == NS_NUMBER) {
            NS_TRY(ns_profile_add_number(profile, feature->name, d->quantile, count_of(d->n_values, data), missing));
            continue;
        }
        ns_profile_levels levels = {.texts = &feature->encoding.levels, .rows = d->level_rows, .other = count_of(d->n_other, data)};
        NS_TRY(ns_profile_add_category(profile, feature->name, &levels, missing));
    }
    return NS_OK;
}

ns_status ns_profile_of(json_t **out, const ns_table *table, const ns_training_data *data, const float *risk)
{
    *out = NULL;
    float *train_risk = malloc(((size_t)data->n_train + 1) * sizeof *train_risk), quantile[NS_N_PROFILE_PERCENTS];
    int64_t n_values = 0, n = table->n_part_global[NS_PART_TRAIN], events = table->n_events_global[NS_PART_TRAIN];
    ns_profile *profile = NULL;
    ns_status status = ns_agree(train_risk == NULL ? ns_fail(NS_ENOMEM, "no memory for the profile") : NS_OK, table->comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < table->n_kept; i++)
            if (table->part[i] == NS_PART_TRAIN) train_risk[data->place[i]] = risk[i];
        status = ns_quantiles(train_risk, data->n_train, ns_profile_percents, NS_N_PROFILE_PERCENTS, quantile, &n_values, &data->device->link);
    }
    int rank;
    MPI_Comm_rank(table->comm, &rank);
    if (status == NS_OK && rank == 0) {
        status = ns_profile_create(&profile, count_of(n, data), count_of(events, data), count_of(n - events, data),
                                   ns_job_integer(table->job, "evaluate.min_cell"));
        if (status == NS_OK) status = add_features(profile, table, data);
        if (status == NS_OK) status = ns_profile_set_risk(profile, quantile, n_values);
        if (status == NS_OK && (*out = ns_profile_finish(profile)) == NULL) status = ns_fail(NS_ENOMEM, "no memory for the profile");
        ns_profile_destroy(&profile);
    }
    free(train_risk);
    return ns_agree(status, table->comm);
}
