/*
 * Order: category columns first, since the forest must know their bins when it is created; their codes are held (4 bytes a
 * row) until they are binned. Then number columns in batches: read, counted for cuts and quantiles, binned, dropped.
 */
#include "runner/training/training_data.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "data/patients.h"
#include "runner/training/bin_cache.h"
#include "runner/training/cache_features.h"
#include "runner/training/label.h"
#include "runner/training/load.h"

int64_t ns_load_rows_at(const ns_load *l, int64_t at)
{
    int64_t left = l->table->shard.first_row + l->table->shard.n_rows - at;
    return left < l->slab_rows ? left : l->slab_rows;
}

/* Training rows first, then validation rows, then test rows, each in the shard's order. */
static ns_status place_rows(ns_load *l)
{
    ns_table *table = l->table;
    ns_training_data *out = l->out;
    out->n_train = table->n_part_local[NS_PART_TRAIN];
    out->n_valid = table->n_part_local[NS_PART_VALID];
    out->n_held = table->n_part_local[NS_PART_TEST];
    l->n_local = out->n_train + out->n_valid + out->n_held;
    size_t room = (size_t)(out->n_train + out->n_valid) + 1;
    out->place = malloc(((size_t)table->n_kept + 1) * sizeof *out->place);
    l->row_number = malloc(room * sizeof *l->row_number);
    l->label = malloc(room * sizeof *l->label);
    float of_positives = ns_job_has(table->job, "model.positive_weight") ? (float)ns_job_number(table->job, "model.positive_weight") : 1.0f;
    bool weighs = table->weight != NULL || of_positives != 1.0f;
    l->weight = weighs ? malloc(room * sizeof *l->weight) : NULL;
    l->codes = calloc((size_t)table->features.n + 1, sizeof *l->codes);
    l->slab_rows = ns_cohort_stretch();
    l->slab = malloc((size_t)l->slab_rows * sizeof(uint64_t));
    out->distribution = calloc((size_t)table->features.n + 1, sizeof *out->distribution);
    NS_TRY(ns_forest_rows_create(&l->rows, table));
    if (out->place == NULL || l->row_number == NULL || l->label == NULL || l->codes == NULL || l->slab == NULL ||
        out->distribution == NULL || (weighs && l->weight == NULL))
        return ns_fail(NS_ENOMEM, "no memory for %lld rows", (long long)l->n_local);
    int64_t next[] = {[NS_PART_NONE] = -1, [NS_PART_TRAIN] = 0, [NS_PART_VALID] = out->n_train, [NS_PART_TEST] = out->n_train + out->n_valid};
    for (int64_t i = 0; i < table->n_kept; i++) {
        ns_part part = table->part[i];
        int64_t at = part == NS_PART_NONE ? -1 : next[part]++;
        out->place[i] = at;
        if (part != NS_PART_TRAIN && part != NS_PART_VALID) continue;
        l->row_number[at] = table->row[i];
        l->label[at] = table->label[i];
        if (weighs) l->weight[at] = (table->weight != NULL ? table->weight[i] : 1.0f) * (table->label[i] > 0 ? of_positives : 1.0f);
    }
    return NS_OK;
}

/* Patients of training rows, for as long as levels are learned, and the most rows of any. Collective. */
static ns_status find_patients(ns_load *l)
{
    ns_table *table = l->table;
    l->out->max_patient_rows = 1;
    if (table->group < 0) return NS_OK;
    l->patient = malloc(((size_t)l->out->n_train + 1) * sizeof *l->patient);
    NS_TRY(ns_agree(l->patient == NULL ? ns_fail(NS_ENOMEM, "no memory for the patients") : NS_OK, table->comm));
    for (int64_t i = 0; i < table->n_kept; i++)
        if (table->part[i] == NS_PART_TRAIN) l->patient[l->out->place[i]] = table->patient[i];
    return ns_max_rows_per_patient(l->patient, l->out->n_train, &l->out->max_patient_rows, table->comm);
}

static ns_status create_forest(ns_load *l)
{
    ns_table *table = l->table;
    int32_t n = table->features.n;
    ns_feature_kind *kind = calloc((size_t)n + 1, sizeof *kind);
    int32_t *n_bins = calloc((size_t)n + 1, sizeof *n_bins);
    int8_t *monotone = calloc((size_t)n + 1, sizeof *monotone);
    ns_forest_settings settings = *l->settings;
    settings.n_classes = (int32_t)table->classes.n;
    bool any_monotone = false;
    ns_status status = kind == NULL || n_bins == NULL || monotone == NULL ? ns_fail(NS_ENOMEM, "no memory for the features") : NS_OK;
    status = ns_agree(status, table->comm);
    if (status == NS_OK) {
        for (int32_t f = 0; f < n; f++) {
            monotone[f] = table->features.list[f].monotone;
            any_monotone |= monotone[f] != 0;
            kind[f] = table->features.list[f].kind;
            n_bins[f] = NS_BIN_FIRST_LEVEL + (int32_t)table->features.list[f].encoding.levels.n;
        }
        ns_forest_plan plan = {.settings = settings, .n_train = l->out->n_train, .n_valid = l->out->n_valid, .n_held = l->out->n_held,
                               .percent = ns_profile_percents, .n_percent = NS_N_PROFILE_PERCENTS,
                               .n_train_global = table->n_part_global[NS_PART_TRAIN], .n_features = n, .kind = kind,
                               .n_bins = n_bins, .row_number = l->row_number, .monotone = any_monotone ? monotone : NULL,
                               .label = l->label, .weight = l->weight};
        status = ns_agree(l->out->device->forest->create(&l->out->forest, l->out->device, &plan), table->comm);
    }
    free(kind);
    free(n_bins);
    free(monotone);
    return status;
}

/* --- from the bin cache --- */

/* As the features of an entry have it; *whole false: nothing was loaded. Collective. */
static ns_status load_entry(ns_load *l, const ns_cache_entry *entry, bool *whole)
{
    ns_table *table = l->table;
    ns_training_data *out = l->out;
    int64_t unfit = !ns_cache_features_set(entry, out, table);
    ns_max_i64(&unfit, 1, table->comm);
    *whole = unfit == 0;
    if (*whole) {
        NS_TRY(create_forest(l));
        ns_cache_features_put_cuts(entry, out, table);
        ns_bin_cache_read(&out->cache, entry, whole, out, table);
    }
    if (*whole) {
        ns_cache_features_know(entry, table);
        out->n_infinite = entry->n_infinite;
        return NS_OK;
    }
    if (out->forest != NULL) out->device->forest->destroy(&out->forest);
    ns_cache_features_forget(out, table);
    return NS_OK;
}

static ns_status load_cached(ns_load *l, bool *loaded)
{
    ns_cache_entry entry;
    NS_TRY(ns_bin_cache_open(&l->out->cache, l->table));
    ns_status status = ns_bin_cache_look(&l->out->cache, &entry, loaded, l->table);
    if (status == NS_OK && *loaded) status = load_entry(l, &entry, loaded);
    ns_cache_entry_free(&entry);
    return status;
}

/* --- the whole --- */

static ns_status load_columns(ns_load *l)
{
    ns_table *table = l->table;
    NS_TRY(ns_load_categories(l));
    free(l->patient);
    l->patient = NULL;
    NS_TRY(create_forest(l));
    NS_TRY(ns_agree(ns_load_category_bins(l), table->comm));
    NS_TRY(ns_load_numbers(l));
    ns_sum_i64(&l->out->n_infinite, 1, table->comm);
    return ns_cohort_check_exact(table->cohort, table->comm);
}

static ns_status load_all(ns_load *l)
{
    ns_table *table = l->table;
    bool cached = false;
    NS_TRY(ns_agree(place_rows(l), table->comm));
    NS_TRY(find_patients(l));
    NS_TRY(load_cached(l, &cached));
    if (!cached) NS_TRY(load_columns(l));
    NS_TRY(ns_table_fingerprint(table));
    NS_TRY(ns_cohort_unchanged(table->cohort, table->comm));
    if (!cached) ns_bin_cache_keep(&l->out->cache, l->out, table);
    return NS_OK;
}

ns_status ns_training_data_load(ns_training_data *out, ns_table *table, ns_device *device, const ns_forest_settings *settings)
{
    memset(out, 0, sizeof *out);
    out->device = device;
    out->n_features = table->features.n;
    ns_load l = {.out = out, .table = table, .settings = settings};
    ns_status status = load_all(&l);
    for (int32_t f = 0; l.codes != NULL && f < table->features.n; f++) free(l.codes[f]);
    free(l.codes);
    free(l.patient);
    ns_forest_rows_destroy(&l.rows);
    free(l.row_number);
    free(l.label);
    free(l.weight);
    free(l.slab);
    return status;
}

void ns_training_data_close(ns_training_data *data)
{
    if (data->device != NULL && data->forest != NULL) data->device->forest->destroy(&data->forest);
    for (int32_t f = 0; data->distribution != NULL && f < data->n_features; f++) free(data->distribution[f].level_rows);
    free(data->place);
    free(data->distribution);
    ns_bin_cache_close(&data->cache);
    memset(data, 0, sizeof *data);
}

int64_t ns_training_data_memory(const ns_table *table, const ns_forest_settings *settings, int64_t n_rows, int64_t n_global)
{
    int32_t n = table->features.n, n_numbers = 0;
    ns_feature_kind *kind = calloc((size_t)n + 1, sizeof *kind);
    int32_t *n_bins = calloc((size_t)n + 1, sizeof *n_bins);
    int64_t bytes = INT64_MAX;
    if (kind != NULL && n_bins != NULL) {
        for (int32_t f = 0; f < n; f++) {
            kind[f] = table->features.list[f].kind;
            n_numbers += kind[f] == NS_NUMBER;
            const ns_texts *levels = ns_cohort_column(table->cohort, table->features.list[f].column)->levels;
            int64_t most = levels != NULL ? levels->n : 0;
            n_bins[f] = NS_BIN_FIRST_LEVEL + (int32_t)(most < NS_MAX_LEVELS ? most : NS_MAX_LEVELS);
        }
        ns_forest_plan plan = {.settings = *settings, .n_train = n_rows, .n_train_global = n_global, .n_features = n,
                               .kind = kind, .n_bins = n_bins, .n_percent = NS_N_PROFILE_PERCENTS};
        if (table->objective == NS_MULTICLASS)
            plan.settings.n_classes = table->classes.n > 0 ? (int32_t)table->classes.n
                                                           : ns_label_expected_classes(table->job, table->cohort, table->label_column);
        float weighs = 1; /* only whether there are weights counts */
        if (table->weight_column >= 0 || ns_job_has(table->job, "model.positive_weight")) plan.weight = &weighs;
        int32_t batch = ns_load_batch(n_rows);
        if (batch > n_numbers) batch = n_numbers;
        int64_t table_bytes = n_rows * (int64_t)(sizeof(int64_t) * 2 + sizeof(float) * 2 + sizeof(ns_hash128) + 2);
        table_bytes += n_rows * (int64_t)sizeof(float) * ns_n_outputs(&plan.settings); /* risks, once trained */
        int64_t held = n_rows * (int64_t)sizeof(int32_t) * (n - n_numbers > batch ? n - n_numbers : batch);
        bytes = ns_forest_memory(&plan, batch, held) + table_bytes + NS_SLAB_ROWS * 64 + ns_cohort_stretch() * 16;
    }
    free(kind);
    free(n_bins);
    return bytes;
}
