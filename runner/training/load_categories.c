/*
 * Codes of all category columns are held, 4 bytes a row of the forest, until the forest exists: it must know their bins when it is
 * created.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/patients.h"
#include "runner/training/load.h"

/* --- reading --- */

static void take_codes(ns_load *l, int32_t f, int32_t index, int64_t at, int64_t n, const uint64_t *level_words)
{
    ns_table *table = l->table;
    const int32_t *codes = l->slab;
#pragma omp parallel for num_threads(l->out->device->n_threads)
    for (int64_t from = 0; from < n; from += NS_LOAD_PIECE) {
        int64_t rows = n - from < NS_LOAD_PIECE ? n - from : NS_LOAD_PIECE;
        uint64_t words[NS_LOAD_PIECE];
        for (int64_t i = 0; i < rows; i++) { /* without branches: missing cells stand anywhere */
            int32_t code = codes[from + i];
            uint64_t word = level_words[code < 0 ? 0 : code];
            words[i] = code < 0 ? 0 : word;
        }
        ns_fingerprint_words(table->fingerprint, index, at + from, rows, words);
        ns_forest_rows_put(&l->rows, at + from, rows, codes + from, l->codes[f]);
    }
}

/* Reads a category column, hashes it, and keeps the codes of the forest's rows. */
static ns_status read_codes(ns_load *l, int32_t f)
{
    ns_table *table = l->table;
    int32_t column = table->features.list[f].column, index = ns_table_used_index(table, column);
    l->codes[f] = malloc(((size_t)l->n_local + 1) * sizeof **l->codes);
    uint64_t *level_words = NULL;
    ns_status status = l->codes[f] == NULL ? ns_fail(NS_ENOMEM, "no memory for column '%s'", table->features.list[f].name) : NS_OK;
    if (status == NS_OK) status = ns_level_words(&level_words, ns_cohort_column(table->cohort, column)->levels);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int64_t at = table->shard.first_row; at < end && status == NS_OK; at += l->slab_rows) {
        int64_t n = ns_load_rows_at(l, at);
        status = ns_stop_check();
        if (status == NS_OK) status = ns_cohort_read_codes(table->cohort, column, at, n, l->slab);
        if (status == NS_OK) take_codes(l, f, index, at, n, level_words);
    }
    free(level_words);
    return status;
}

/* --- learning --- */

/* Rows of each code, those without one in rows[n_levels]. Neighbours often have the same code, and a count waits for the one
   before it: four lists of few counts take turns. */
static ns_status count_codes(int64_t *rows, const int32_t *codes, int64_t n, int64_t n_levels)
{
    enum { LISTS = 4, FEW = 4096 };
    int64_t width = n_levels + 1, i = 0;
    int64_t *lists = calloc((size_t)(n_levels < FEW ? LISTS * width : 1), sizeof *lists);
    if (lists == NULL) return ns_fail(NS_ENOMEM, "no memory for %lld levels", (long long)n_levels);
    for (; n_levels < FEW && i + LISTS <= n; i += LISTS)
        for (int k = 0; k < LISTS; k++) lists[k * width + codes[i + k] + 1]++;
    for (int64_t j = 0; n_levels < FEW && j < LISTS * width; j++) rows[j % width == 0 ? n_levels : j % width - 1] += lists[j];
    for (; i < n; i++) rows[codes[i] < 0 ? n_levels : codes[i]]++;
    free(lists);
    return NS_OK;
}

/* Training patients of the levels whose rows do not prove on their own that there are enough. Collective. */
static ns_status count_level_patients(ns_load *l, const int32_t *codes, const int64_t *rows, int64_t n_levels, int64_t *patients)
{
    ns_table *table = l->table;
    int64_t min_rows = ns_job_integer(table->job, "model.category_min_rows");
    int64_t min_cell = ns_job_integer(table->job, "evaluate.min_cell"), n_unsure = 0, room = 0;
    for (int64_t i = 0; i < n_levels; i++) {
        bool sure = rows[i] < min_rows || rows[i] >= min_cell * l->out->max_patient_rows;
        patients[i] = sure ? (rows[i] + l->out->max_patient_rows - 1) / l->out->max_patient_rows : -1;
        n_unsure += !sure;
        room += sure ? 0 : rows[i];
    }
    if (n_unsure == 0) return NS_OK; /* the same on all ranks: rows are global */

    if (room > l->out->n_train) room = l->out->n_train;
    int64_t n = 0, *exact = malloc(((size_t)n_levels + 1) * sizeof *exact);
    ns_hash128 *patient = malloc(((size_t)room + 1) * sizeof *patient);
    int32_t *cell = malloc(((size_t)room + 1) * sizeof *cell);
    uint8_t *unsure = calloc((size_t)n_levels + 1, 1); /* by code + 1 */
    bool whole = exact != NULL && patient != NULL && cell != NULL && unsure != NULL;
    ns_status status = ns_agree(whole ? NS_OK : ns_fail(NS_ENOMEM, "no memory for the patients of levels"), table->comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < n_levels; i++) unsure[i + 1] = patients[i] < 0;
        for (int64_t i = 0; i < l->out->n_train; i++) {
            if (!unsure[codes[i] + 1]) continue;
            patient[n] = l->patient != NULL ? l->patient[i] : (ns_hash128){0, 0};
            cell[n++] = codes[i];
        }
        status = ns_count_patients(patient, cell, n, n_levels, exact, table->comm);
    }
    for (int64_t i = 0; i < n_levels && status == NS_OK; i++)
        if (patients[i] < 0) patients[i] = exact[i];
    free(exact);
    free(patient);
    free(cell);
    free(unsure);
    return status;
}

/* Which levels get bins of their own; codes become bins. Collective. */
static ns_status learn_category(ns_load *l, int32_t f)
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
    status = ns_agree(count_codes(rows, l->codes[f], l->out->n_train, n_levels), table->comm);
    if (status != NS_OK) goto done;
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

ns_status ns_load_categories(ns_load *l)
{
    for (int32_t f = 0; f < l->table->features.n; f++) {
        if (l->table->features.list[f].kind != NS_CATEGORY) continue;
        NS_TRY(ns_agree(read_codes(l, f), l->table->comm));
        NS_TRY(learn_category(l, f));
    }
    return NS_OK;
}

ns_status ns_load_category_bins(ns_load *l)
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
