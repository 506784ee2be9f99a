#include "runner/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/patients.h"
#include "kernels/numerics.h"
#include "runner/json.h"
#include "runner/metrics/measure.h"
#include "runner/metrics/metrics_gather.h"
#include "runner/objective.h"
#include "runner/rater.h"
#include "runner/metrics/subgroups.h"

/* --- risks --- */

/* Where each of the model's features stands in the table's fingerprint. */
static void index_features(const ns_table *table, const int32_t *columns, int32_t n, int32_t *index)
{
    for (int32_t f = 0; f < n; f++) index[f] = ns_table_used_index(table, columns[f]);
}

/* Features of the table that the model does not use: hashed here, since nobody reads them. */
static ns_status hash_unused(ns_table *table, const int32_t *columns, int32_t n)
{
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int32_t j = 0; j < table->features.n; j++) {
        bool used = false;
        for (int32_t f = 0; f < n; f++) used |= columns[f] == table->features.list[j].column;
        if (used) continue;
        int32_t column = table->features.list[j].column, index = ns_table_used_index(table, column);
        for (int64_t at = table->shard.first_row; at < end; at += NS_SLAB_ROWS)
            NS_TRY(ns_hash_column(table->fingerprint, index, table->cohort, column, at, end - at < NS_SLAB_ROWS ? end - at : NS_SLAB_ROWS));
    }
    return NS_OK;
}

/* One slab: risks of the rows [first, first + n) that are kept; *k is the next kept row. */
static ns_status rate_slab(ns_table *table, ns_rater *rater, const int32_t *index, int64_t first, int64_t n, float *slab_risk,
                           uint8_t *infinite, int64_t *k, float *risk)
{
    int32_t n_outputs = ns_rater_n_outputs(rater);
    NS_TRY(ns_stop_check());
    NS_TRY(ns_rater_score(rater, first, n, NULL, table->fingerprint, index, slab_risk, infinite));
    for (; *k < table->n_kept && table->row[*k] < first + n; (*k)++) {
        int64_t i = table->row[*k] - first;
        if (infinite[i])
            return ns_cohort_bad_row(table->cohort, -1, table->row[*k], "a feature is infinite; correct it, or set data.infinite: missing");
        memcpy(risk + *k * n_outputs, slab_risk + i * n_outputs, (size_t)n_outputs * sizeof *risk);
    }
    return NS_OK;
}

static ns_status rate_shard(ns_table *table, ns_rater *rater, const int32_t *index, float *risk)
{
    int64_t rows = ns_rater_slab_rows(rater), end = table->shard.first_row + table->shard.n_rows, k = 0;
    float *slab_risk = malloc((size_t)rows * (size_t)ns_rater_n_outputs(rater) * sizeof *slab_risk);
    uint8_t *infinite = malloc((size_t)rows);
    ns_status status = slab_risk == NULL || infinite == NULL ? ns_fail(NS_ENOMEM, "no memory for a slab of risks") : NS_OK;
    for (int64_t at = table->shard.first_row; at < end && status == NS_OK; at += rows) {
        int64_t n = end - at < rows ? end - at : rows;
        status = rate_slab(table, rater, index, at, n, slab_risk, infinite, &k, risk);
        ns_log_progress("evaluate", at - table->shard.first_row, table->shard.n_rows, "unit=rows");
    }
    free(slab_risk);
    free(infinite);
    return status;
}

ns_status ns_table_risks(ns_table *table, const ns_gbdt_model *model, ns_device *device, float *risk)
{
    int32_t n = model->n_features;
    int32_t *columns = calloc((size_t)n + 1, sizeof *columns), *index = calloc((size_t)n + 1, sizeof *index);
    ns_rater *rater = NULL;
    ns_status status = columns == NULL || index == NULL ? ns_fail(NS_ENOMEM, "no memory to evaluate") : NS_OK;
    if (status == NS_OK) status = ns_rater_columns(columns, model, table->cohort, NS_ABSENT_ERROR);
    status = ns_agree(status, table->comm);
    /* The columns were prepared with the table's; a model may need ones that the job does not name. */
    if (status == NS_OK) status = ns_cohort_prepare(table->cohort, columns, n, table->comm);
    if (status == NS_OK) {
        bool infinite_ok = strcmp(ns_job_text(table->job, "data.infinite"), "missing") == 0;
        index_features(table, columns, n, index);
        status = ns_rater_create(&rater, model, table->cohort, columns, device, infinite_ok);
        if (status == NS_OK) status = rate_shard(table, rater, index, risk);
        if (status == NS_OK) status = hash_unused(table, columns, n);
        status = ns_agree(status, table->comm);
    }
    ns_rater_destroy(&rater);
    free(columns);
    free(index);
    return status;
}

/* --- metrics --- */

/* The rows of one part: risks, label and patient side by side. */
typedef struct part_rows {
    int64_t n;
    int64_t *kept;      /* index among the table's kept rows */
    float *risk;        /* [n][n_outputs] */
    float *label;
    ns_hash128 *patient;
} part_rows;

static void free_part(part_rows *p)
{
    free(p->kept);
    free(p->risk);
    free(p->label);
    free(p->patient);
}

static ns_status take_part(part_rows *p, const ns_table *table, const float *risk, ns_part part)
{
    memset(p, 0, sizeof *p);
    size_t room = (size_t)table->n_part_local[part] + 1, n_outputs = (size_t)ns_table_outputs(table);
    p->kept = malloc(room * sizeof *p->kept);
    p->risk = malloc(room * n_outputs * sizeof *p->risk);
    p->label = malloc(room * sizeof *p->label);
    p->patient = malloc(room * sizeof *p->patient);
    if (p->kept == NULL || p->risk == NULL || p->label == NULL || p->patient == NULL)
        return ns_fail(NS_ENOMEM, "no memory to evaluate %lld rows", (long long)table->n_part_local[part]);
    for (int64_t i = 0; i < table->n_kept; i++) {
        if (table->part[i] != part) continue;
        p->kept[p->n] = i;
        memcpy(p->risk + (size_t)p->n * n_outputs, risk + (size_t)i * n_outputs, n_outputs * sizeof *risk);
        p->label[p->n] = table->label[i];
        p->patient[p->n++] = table->patient[i];
    }
    return NS_OK;
}

static ns_outcomes outcomes_of(const ns_table *table, const part_rows *p)
{
    return (ns_outcomes){.objective = table->objective, .n_outputs = ns_table_outputs(table), .quantile = ns_quantile_of(table->job),
                         .classes = &table->classes, .n = p->n, .value = p->risk, .label = p->label,
                         .patient = table->group >= 0 ? p->patient : NULL};
}

/* Codes of a category column for the rows of a part. */
static ns_status read_codes(ns_table *table, int32_t column, const part_rows *p, int32_t *code)
{
    int32_t *slab = malloc(NS_SLAB_ROWS * sizeof *slab);
    ns_status status = slab == NULL ? ns_fail(NS_ENOMEM, "no memory for a slab of codes") : NS_OK;
    int64_t end = table->shard.first_row + table->shard.n_rows, k = 0;
    for (int64_t at = table->shard.first_row; at < end && status == NS_OK; at += NS_SLAB_ROWS) {
        int64_t n = end - at < NS_SLAB_ROWS ? end - at : NS_SLAB_ROWS;
        status = ns_cohort_read_codes(table->cohort, column, at, n, slab);
        for (; status == NS_OK && k < p->n && table->row[p->kept[k]] < at + n; k++) code[k] = slab[table->row[p->kept[k]] - at];
    }
    free(slab);
    return status;
}

/* Codes of every subgroup column for the part's rows, then the metrics of their cells. */
static ns_status all_subgroups(json_t **out, ns_table *table, const part_rows *p)
{
    const char *const *names;
    int64_t n = ns_job_list(table->job, "evaluate.subgroups", &names);
    ns_subgroup_column *columns = calloc((size_t)n + 1, sizeof *columns);
    int32_t *codes = malloc(((size_t)n * (size_t)p->n + 1) * sizeof *codes);
    ns_status status = columns == NULL || codes == NULL ? ns_fail(NS_ENOMEM, "no memory for the subgroups") : NS_OK;
    for (int64_t i = 0; i < n && status == NS_OK; i++) {
        int32_t column = ns_cohort_find(table->cohort, names[i]), *code = codes + i * p->n;
        columns[i] = (ns_subgroup_column){.name = names[i], .code = code, .levels = ns_cohort_column(table->cohort, column)->levels};
        status = read_codes(table, column, p, code);
    }
    status = ns_agree(status, table->comm);
    if (status == NS_OK) {
        ns_outcomes rows = outcomes_of(table, p);
        status = ns_subgroups_evaluate(out, &rows, columns, (int32_t)n, ns_job_integer(table->job, "evaluate.min_cell"), table->comm);
    }
    free(columns);
    free(codes);
    return status;
}

ns_status ns_table_metrics(json_t **out, ns_table *table, const float *risk, ns_part part)
{
    *out = NULL;
    part_rows p;
    json_t *subgroups = NULL;
    ns_status status = ns_agree(take_part(&p, table, risk, part), table->comm);
    ns_outcomes rows = outcomes_of(table, &p);
    if (status == NS_OK) status = ns_measure(out, &rows, NS_DETAIL_ALL, ns_job_integer(table->job, "evaluate.min_cell"), table->comm);
    if (status == NS_OK) status = all_subgroups(&subgroups, table, &p);
    if (status == NS_OK && *out != NULL) json_object_set(*out, "subgroups", subgroups);
    json_decref(subgroups);
    free_part(&p);
    if (status != NS_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

ns_status ns_valid_placements(ns_i128 *out, const ns_table *table, const ns_training_data *data)
{
    int64_t n = data->n_valid, base;
    int32_t k;
    int64_t *margin = malloc(((size_t)n + 1) * sizeof *margin);
    float *risk = malloc(((size_t)n + 1) * sizeof *risk);
    uint8_t *label = malloc((size_t)n + 1);
    ns_risk_table risks = {0};
    ns_status status = margin == NULL || risk == NULL || label == NULL ? ns_fail(NS_ENOMEM, "no memory for the validation rows") : NS_OK;
    if (status == NS_OK) status = data->device->forest->read_margins(data->forest, data->n_train, n, margin);
    if (status == NS_OK) {
        data->device->forest->base(data->forest, &base, &k);
        for (int64_t i = 0; i < n; i++) risk[i] = ns_risk(margin[i], ns_power_of_two(-k));
        for (int64_t i = 0; i < table->n_kept; i++)
            if (table->part[i] == NS_PART_VALID) label[data->place[i] - data->n_train] = table->label[i] > 0;
        status = ns_risk_table_build(&risks, risk, label, NULL, n);
    }
    status = ns_agree(status, table->comm);
    if (status == NS_OK) status = ns_risk_table_gather(&risks, table->comm);
    *out = 0;
    ns_i128 below = 0; /* rank 0 holds all rows, the others none */
    for (int64_t i = 0; i < risks.n; i++) {
        *out += (ns_i128)risks.positive[i] * (2 * below + risks.negative[i]);
        below += risks.negative[i];
    }
    if (status == NS_OK) ns_sum_i128(out, 1, table->comm);
    ns_risk_table_destroy(&risks);
    free(margin);
    free(risk);
    free(label);
    return status;
}
