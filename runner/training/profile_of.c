#include "runner/training/profile_of.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
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

/* Quantiles of one of n_outputs columns of values, or of the labels (values is NULL), over training rows. Collective. */
static ns_status training_quantiles(float *quantile, const ns_table *table, const ns_training_data *data, const float *values, int32_t output,
                                    float *room)
{
    int32_t n_outputs = ns_table_outputs(table);
    int64_t n_values;
    for (int64_t i = 0; i < table->n_kept; i++)
        if (table->part[i] == NS_PART_TRAIN) room[data->place[i]] = values != NULL ? values[i * n_outputs + output] : table->label[i];
    return ns_quantiles(room, data->n_train, ns_profile_percents, NS_N_PROFILE_PERCENTS, quantile, &n_values, &data->device->link);
}

/* Quantiles of labels (last) and of all outputs, and the classes' rows. */
typedef struct outputs {
    float (*quantile)[NS_N_PROFILE_PERCENTS]; /* [n_outputs + 1] */
    int64_t *class_rows;                      /* [n_outputs] */
    float *room;                              /* [n_train] */
} outputs;

static void free_outputs(outputs *o)
{
    free(o->quantile);
    free(o->class_rows);
    free(o->room);
}

/* Collective. */
static ns_status learn_outputs(outputs *o, const ns_table *table, const ns_training_data *data, const float *risk)
{
    int32_t n = ns_table_outputs(table);
    *o = (outputs){calloc((size_t)n + 1, sizeof *o->quantile), calloc((size_t)n + 1, sizeof *o->class_rows),
                   malloc(((size_t)data->n_train + 1) * sizeof *o->room)};
    bool whole = o->quantile != NULL && o->class_rows != NULL && o->room != NULL;
    NS_TRY(ns_agree(whole ? NS_OK : ns_fail(NS_ENOMEM, "no memory for the profile"), table->comm));
    for (int32_t c = 0; c < n; c++) NS_TRY(training_quantiles(o->quantile[c], table, data, risk, c, o->room));
    if (table->objective == NS_BINARY) return NS_OK;
    if (table->objective != NS_MULTICLASS) return training_quantiles(o->quantile[n], table, data, NULL, 0, o->room);
    for (int64_t i = 0; i < table->n_kept; i++)
        if (table->part[i] == NS_PART_TRAIN) o->class_rows[(int32_t)table->label[i]]++;
    ns_sum_i64(o->class_rows, n, table->comm);
    return NS_OK;
}

static ns_status set_outputs(ns_profile *profile, const ns_table *table, const outputs *o)
{
    int64_t n = table->n_part_global[NS_PART_TRAIN];
    if (table->objective == NS_BINARY) return ns_profile_set_risk(profile, o->quantile[0], n);
    if (table->objective != NS_MULTICLASS) {
        NS_TRY(ns_profile_set_label(profile, o->quantile[1], n));
        return ns_profile_set_prediction(profile, o->quantile[0], n);
    }
    const ns_texts *classes = &table->classes;
    for (int64_t c = 0; c < classes->n; c++) {
        ns_profile_class class = {classes->bytes + classes->offset[c], classes->offset[c + 1] - classes->offset[c], o->class_rows[c]};
        NS_TRY(ns_profile_add_class(profile, class, o->quantile[c], n));
    }
    return NS_OK;
}

ns_status ns_profile_of(json_t **out, const ns_table *table, const ns_training_data *data, const float *risk)
{
    *out = NULL;
    int64_t n = table->n_part_global[NS_PART_TRAIN], events = table->n_events_global[NS_PART_TRAIN];
    ns_profile *profile = NULL;
    outputs o;
    int rank;
    MPI_Comm_rank(table->comm, &rank);
    ns_status status = learn_outputs(&o, table, data, risk);
    if (status == NS_OK && rank == 0) {
        status = ns_profile_create(&profile, count_of(n, data), count_of(events, data), count_of(n - events, data),
                                   ns_job_integer(table->job, "evaluate.min_cell"));
        if (status == NS_OK) status = add_features(profile, table, data);
        if (status == NS_OK) status = set_outputs(profile, table, &o);
        if (status == NS_OK && (*out = ns_profile_finish(profile)) == NULL) status = ns_fail(NS_ENOMEM, "no memory for the profile");
        ns_profile_destroy(&profile);
    }
    free_outputs(&o);
    return ns_agree(status, table->comm);
}
