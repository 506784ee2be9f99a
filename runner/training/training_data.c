/*
 * Order: category columns first, since the forest must know their bins when it is created; their codes are held (4 bytes a
 * row) until they are binned. Then number columns in batches: read, counted for cuts and quantiles, binned, dropped.
 */
#include "runner/training/training_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/patients.h"
#include "runner/training/bin_cache.h"
#include "runner/training/cache_features.h"
#include "runner/training/label.h"

/* Floats of one batch of number columns, and counters of a batch, stay below these. */
static const int64_t BATCH_BYTES = 512 << 20;
enum { BATCH_MOST = 64 };

/* One load: what its steps share. */
typedef struct load {
    ns_training_data *out;
    ns_table *table;
    const ns_forest_settings *settings;
    int64_t n_local;            /* n_train + n_valid + n_held */
    int32_t **codes;            /* [features] category: codes, then bins, of the forest's rows */
    int64_t *row_number;
    float *label, *weight;      /* by forest row, training and validation rows only */
    int64_t slab_rows;          /* read at once, so that every thread has a chunk to decode */
    void *slab;                 /* [slab_rows] cells of 8 bytes */
} load;

static int64_t rows_at(const load *l, int64_t at)
{
    int64_t left = l->table->shard.first_row + l->table->shard.n_rows - at;
    return left < l->slab_rows ? left : l->slab_rows;
}

static bool missing_infinite(const ns_table *table)
{
    return strcmp(ns_job_text(table->job, "data.infinite"), "missing") == 0;
}

/* Training rows first, then validation rows, then test rows, each in the shard's order. */
static ns_status place_rows(load *l)
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

static ns_status find_max_patient_rows(load *l)
{
    ns_table *table = l->table;
    l->out->max_patient_rows = 1;
    if (table->group < 0) return NS_OK;
    ns_hash128 *patient = malloc(((size_t)l->out->n_train + 1) * sizeof *patient);
    ns_status status = ns_agree(patient == NULL ? ns_fail(NS_ENOMEM, "no memory for the patients") : NS_OK, table->comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < table->n_kept; i++)
            if (table->part[i] == NS_PART_TRAIN) patient[l->out->place[i]] = table->patient[i];
        status = ns_max_rows_per_patient(patient, l->out->n_train, &l->out->max_patient_rows, table->comm);
    }
    free(patient);
    return status;
}

/* --- categories --- */

/* Threads take a slab's rows in pieces that stay in the cache, of as many blocks as are hashed side by side. */
enum { PIECE_ROWS = 8 * NS_BLOCK_ROWS };

static int64_t piece_end(int64_t from, int64_t n)
{
    return n - from < PIECE_ROWS ? n : from + PIECE_ROWS;
}

static void take_codes(load *l, int32_t f, int32_t index, int64_t at, int64_t n, const uint64_t *level_words)
{
    ns_table *table = l->table;
    const int32_t *codes = l->slab;
#pragma omp parallel for num_threads(l->out->device->n_threads)
    for (int64_t from = 0; from < n; from += PIECE_ROWS) {
        int64_t to = piece_end(from, n);
        uint64_t words[PIECE_ROWS];
        for (int64_t i = from; i < to; i++) words[i - from] = codes[i] < 0 ? 0 : level_words[codes[i]];
        ns_fingerprint_words(table->fingerprint, index, at + from, to - from, words);
        for (int64_t k = ns_table_kept_from(table, at + from); k < table->n_kept && table->row[k] < at + to; k++)
            if (l->out->place[k] >= 0) l->codes[f][l->out->place[k]] = codes[table->row[k] - at];
    }
}

/* Reads a category column, hashes it, and keeps the codes of the forest's rows. */
static ns_status read_codes(load *l, int32_t f)
{
    ns_table *table = l->table;
    int32_t column = table->features.list[f].column, index = ns_table_used_index(table, column);
    l->codes[f] = malloc(((size_t)l->n_local + 1) * sizeof **l->codes);
    uint64_t *level_words = NULL;
    ns_status status = l->codes[f] == NULL ? ns_fail(NS_ENOMEM, "no memory for column '%s'", table->features.list[f].name) : NS_OK;
    if (status == NS_OK) status = ns_level_words(&level_words, ns_cohort_column(table->cohort, column)->levels);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int64_t at = table->shard.first_row; at < end && status == NS_OK; at += l->slab_rows) {
        int64_t n = rows_at(l, at);
        status = ns_stop_check();
        if (status == NS_OK) status = ns_cohort_read_codes(table->cohort, column, at, n, l->slab);
        if (status == NS_OK) take_codes(l, f, index, at, n, level_words);
    }
    free(level_words);
    return status;
}

/* Training patients of the levels whose rows do not prove on their own that there are enough. Collective. */
static ns_status count_level_patients(load *l, const int32_t *codes, const int64_t *rows, int64_t n_levels, int64_t *patients)
{
    ns_table *table = l->table;
    int64_t min_rows = ns_job_integer(table->job, "model.category_min_rows");
    int64_t min_cell = ns_job_integer(table->job, "evaluate.min_cell"), unsure = 0;
    for (int64_t i = 0; i < n_levels; i++) {
        bool sure = rows[i] < min_rows || rows[i] >= min_cell * l->out->max_patient_rows;
        patients[i] = sure ? (rows[i] + l->out->max_patient_rows - 1) / l->out->max_patient_rows : -1;
        unsure += !sure;
    }
    if (unsure == 0) return NS_OK; /* the same on all ranks: rows are global */

    int64_t n = 0, *exact = malloc(((size_t)n_levels + 1) * sizeof *exact);
    ns_hash128 *patient = malloc(((size_t)l->out->n_train + 1) * sizeof *patient);
    int32_t *cell = malloc(((size_t)l->out->n_train + 1) * sizeof *cell);
    ns_status status = ns_agree(exact == NULL || patient == NULL || cell == NULL ? ns_fail(NS_ENOMEM, "no memory for the patients of levels") : NS_OK, table->comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < table->n_kept; i++) {
            if (table->part[i] != NS_PART_TRAIN) continue;
            int32_t code = codes[l->out->place[i]];
            if (code < 0 || patients[code] >= 0) continue;
            patient[n] = table->patient[i];
            cell[n++] = code;
        }
        status = ns_count_patients(patient, cell, n, n_levels, exact, table->comm);
    }
    for (int64_t i = 0; i < n_levels && status == NS_OK; i++)
        if (patients[i] < 0) patients[i] = exact[i];
    free(exact);
    free(patient);
    free(cell);
    return status;
}

/* Which levels get bins of their own; codes become bins. Collective. */
static ns_status learn_category(load *l, int32_t f)
{
    ns_table *table = l->table;
    ns_feature *feature = &table->features.list[f];
    ns_distribution *d = &l->out->distribution[f];
    const ns_texts *levels = ns_cohort_column(table->cohort, feature->column)->levels;
    int64_t n_levels = levels->n, n_dropped = 0;
    int64_t *rows = calloc((size_t)n_levels + 1, sizeof *rows), *patients = calloc((size_t)n_levels + 1, sizeof *patients);
    int32_t *bin_of = malloc(((size_t)n_levels + 1) * sizeof *bin_of);
    ns_status status = ns_agree(rows == NULL || patients == NULL || bin_of == NULL ? ns_fail(NS_ENOMEM, "no memory for the levels of '%s'", feature->name) : NS_OK, table->comm);
    if (status != NS_OK) goto done;
    for (int64_t i = 0; i < l->out->n_train; i++) rows[l->codes[f][i] < 0 ? n_levels : l->codes[f][i]]++;
    ns_sum_i64(rows, n_levels + 1, table->comm);
    status = count_level_patients(l, l->codes[f], rows, n_levels, patients);
    if (status != NS_OK) goto done;
    status = ns_encoding_learn(&feature->encoding, levels, rows, patients, ns_job_integer(table->job, "model.category_min_rows"),
                               ns_job_integer(table->job, "evaluate.min_cell"), &n_dropped);
    if (status == NS_OK) {
        d->level_rows = calloc((size_t)feature->encoding.levels.n + 1, sizeof *d->level_rows);
        if (d->level_rows == NULL) status = ns_fail(NS_ENOMEM, "no memory for the levels of '%s'", feature->name);
    }
    status = ns_agree(status, table->comm);
    if (status != NS_OK) goto done;
    ns_encoding_map(&feature->encoding, levels, bin_of);
    d->n_missing = rows[n_levels];
    for (int64_t i = 0; i < n_levels; i++) {
        if (bin_of[i] == NS_BIN_OTHER) d->n_other += rows[i];
        else d->level_rows[bin_of[i] - NS_BIN_FIRST_LEVEL] = rows[i];
    }
    ns_encoding_apply(bin_of, l->codes[f], l->n_local, l->codes[f]);
    if (n_dropped > 0)
        ns_log_event(NS_LOG_WARN, "levels", "column=%s beyond_the_most=%lld most=%d", feature->name, (long long)n_dropped, NS_MAX_LEVELS);
done:
    free(rows);
    free(patients);
    free(bin_of);
    return status;
}

static ns_status create_forest(load *l)
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

static ns_status bin_categories(load *l)
{
    for (int32_t f = 0; f < l->table->features.n; f++) {
        if (l->codes[f] == NULL) continue;
        ns_slab slab = {.feature = f, .first_row = 0, .n_rows = l->n_local, .bin = l->codes[f]};
        NS_TRY(l->out->device->forest->bin_slab(l->out->forest, &slab));
        free(l->codes[f]);
        l->codes[f] = NULL;
    }
    return NS_OK;
}

/* --- numbers --- */

/* Hashes a slab of a number column and puts the forest's rows into values. Returns the first row whose value is infinite
   though the job does not say what that means, or -1. */
static int64_t take_numbers(load *l, int32_t index, int64_t at, int64_t n, float *values)
{
    ns_table *table = l->table;
    const float *slab = l->slab;
    int64_t n_infinite = 0, first_infinite = INT64_MAX;
#pragma omp parallel for num_threads(l->out->device->n_threads) reduction(+ : n_infinite) reduction(min : first_infinite)
    for (int64_t from = 0; from < n; from += PIECE_ROWS) {
        int64_t to = piece_end(from, n);
        ns_fingerprint_numbers(table->fingerprint, index, at + from, to - from, slab + from);
        for (int64_t k = ns_table_kept_from(table, at + from); k < table->n_kept && table->row[k] < at + to; k++) {
            float value = slab[table->row[k] - at];
            if (isinf(value)) {
                n_infinite++;
                if (table->row[k] < first_infinite) first_infinite = table->row[k];
                value = NAN;
            }
            if (l->out->place[k] >= 0) values[l->out->place[k]] = value;
        }
    }
    if (n_infinite > 0 && !missing_infinite(table)) return first_infinite;
    l->out->n_infinite += n_infinite;
    return -1;
}

/* Reads a number column, hashes it, and puts the forest's rows into values. */
static ns_status read_numbers(load *l, int32_t f, float *values)
{
    ns_table *table = l->table;
    int32_t column = table->features.list[f].column, index = ns_table_used_index(table, column);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int64_t at = table->shard.first_row; at < end; at += l->slab_rows) {
        int64_t n = rows_at(l, at);
        NS_TRY(ns_cohort_read_number(table->cohort, column, at, n, l->slab));
        int64_t infinite = take_numbers(l, index, at, n, values);
        if (infinite >= 0)
            return ns_cohort_bad_row(table->cohort, column, infinite, "the value is infinite; correct it, or set data.infinite: missing");
    }
    return NS_OK;
}

static void describe_number(load *l, int32_t f)
{
    ns_distribution *d = &l->out->distribution[f];
    const float *quantile;
    l->out->device->forest->quantiles(l->out->forest, f, &quantile, &d->n_values);
    memcpy(d->quantile, quantile, sizeof d->quantile);
    d->n_missing = l->table->n_part_global[NS_PART_TRAIN] - d->n_values;
}

/* One batch of number features: list[0..n) are feature indices, values[i] their floats. Collective. */
static ns_status learn_batch(load *l, const int32_t *list, int32_t n, float *const *values)
{
    const ns_forest_ops *ops = l->out->device->forest;
    MPI_Comm comm = l->table->comm;
    ns_status status = NS_OK;
    for (int32_t i = 0; i < n && status == NS_OK; i++) {
        status = ns_stop_check();
        if (status == NS_OK) status = read_numbers(l, list[i], values[i]);
        ns_log_progress("read", list[i] + 1, l->table->features.n, "unit=columns");
    }
    NS_TRY(ns_agree(status, comm));
    /* count_done speaks of a range of features: a batch is the number features between its first and its last. */
    int32_t first = list[0], span = list[n - 1] - list[0] + 1;
    for (bool more = true; more;) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(l->out->device->n_threads)
        for (int32_t i = 0; i < n; i++) {
            ns_slab slab = {.feature = list[i], .first_row = 0, .n_rows = l->out->n_train, .number = values[i]};
            ns_status mine = ops->count_slab(l->out->forest, &slab);
            if (mine == NS_OK) continue;
#pragma omp critical
            status = mine;
        }
        NS_TRY(ns_agree(status, comm));
        NS_TRY(ops->count_done(l->out->forest, first, span, &more));
    }
    for (int32_t i = 0; i < n && status == NS_OK; i++) {
        ns_slab slab = {.feature = list[i], .first_row = 0, .n_rows = l->n_local, .number = values[i]};
        status = ops->bin_slab(l->out->forest, &slab);
    }
    NS_TRY(ns_agree(status, comm));
    for (int32_t i = 0; i < n; i++) describe_number(l, list[i]);
    return NS_OK;
}

/* Number columns held at once: the same on all ranks, so it comes from the fullest one. */
static int32_t batch_size(int64_t most_rows)
{
    int64_t fits = BATCH_BYTES / (int64_t)sizeof(float) / (most_rows > 0 ? most_rows : 1);
    return fits < 1 ? 1 : fits > BATCH_MOST ? BATCH_MOST : (int32_t)fits;
}

static ns_status load_numbers(load *l)
{
    ns_table *table = l->table;
    int64_t most_rows = l->n_local;
    ns_max_i64(&most_rows, 1, table->comm);
    int32_t batch = batch_size(most_rows), list[BATCH_MOST], n = 0;
    l->out->batch = batch;
    float *values[BATCH_MOST] = {NULL};
    ns_status status = NS_OK;
    for (int32_t i = 0; i < batch && i < table->features.n && status == NS_OK; i++) {
        values[i] = malloc(((size_t)l->n_local + 1) * sizeof **values);
        if (values[i] == NULL) status = ns_fail(NS_ENOMEM, "no memory for %lld rows of a column", (long long)l->n_local);
    }
    status = ns_agree(status, table->comm);
    for (int32_t f = 0; f < table->features.n && status == NS_OK; f++) {
        if (table->features.list[f].kind == NS_NUMBER) list[n++] = f;
        bool last = f == table->features.n - 1;
        if (n == 0 || (n < batch && !last)) continue;
        status = learn_batch(l, list, n, values);
        n = 0;
    }
    for (int32_t i = 0; i < BATCH_MOST; i++) free(values[i]);
    return status;
}

/* --- from the bin cache --- */

/* As the features of an entry have it; *whole false: nothing was loaded. Collective. */
static ns_status load_entry(load *l, const ns_cache_entry *entry, bool *whole)
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

static ns_status load_cached(load *l, bool *loaded)
{
    ns_cache_entry entry;
    NS_TRY(ns_bin_cache_open(&l->out->cache, l->table));
    ns_status status = ns_bin_cache_look(&l->out->cache, &entry, loaded, l->table);
    if (status == NS_OK && *loaded) status = load_entry(l, &entry, loaded);
    ns_cache_entry_free(&entry);
    return status;
}

/* --- the whole --- */

static ns_status load_columns(load *l)
{
    ns_table *table = l->table;
    for (int32_t f = 0; f < table->features.n; f++) {
        if (table->features.list[f].kind != NS_CATEGORY) continue;
        NS_TRY(ns_agree(read_codes(l, f), table->comm));
        NS_TRY(learn_category(l, f));
    }
    NS_TRY(create_forest(l));
    NS_TRY(ns_agree(bin_categories(l), table->comm));
    NS_TRY(load_numbers(l));
    ns_sum_i64(&l->out->n_infinite, 1, table->comm);
    return ns_cohort_check_exact(table->cohort, table->comm);
}

static ns_status load_all(load *l)
{
    ns_table *table = l->table;
    bool cached = false;
    NS_TRY(ns_agree(place_rows(l), table->comm));
    NS_TRY(find_max_patient_rows(l));
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
    load l = {.out = out, .table = table, .settings = settings};
    ns_status status = load_all(&l);
    for (int32_t f = 0; l.codes != NULL && f < table->features.n; f++) free(l.codes[f]);
    free(l.codes);
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
        int32_t batch = batch_size(n_rows);
        if (batch > n_numbers) batch = n_numbers;
        int64_t table_bytes = n_rows * (int64_t)(sizeof(int64_t) * 2 + sizeof(float) * 2 + sizeof(ns_hash128) + 1);
        table_bytes += n_rows * (int64_t)sizeof(float) * ns_n_outputs(&plan.settings); /* risks, once trained */
        int64_t held = n_rows * (int64_t)sizeof(int32_t) * (n - n_numbers > batch ? n - n_numbers : batch);
        bytes = ns_forest_memory(&plan, batch, held) + table_bytes + NS_SLAB_ROWS * 64 + ns_cohort_stretch() * 16;
    }
    free(kind);
    free(n_bins);
    return bytes;
}
