/*
 * Cells are the levels of a column and, as the last, its missing rows. All ranks know the patients of every
 * cell, so they decide alike which cells are told; each of those is gathered and evaluated on rank 0.
 */
#include "runner/metrics/subgroups.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "data/patients.h"
#include "runner/json.h"

/* One column at work. */
typedef struct work {
    const ns_outcomes *rows;
    const ns_subgroup_column *column;
    int64_t n_cells, min_cell;
    int32_t *cell;       /* [n] of each row, -1: not used */
    int32_t *pool;       /* [n] 0: its cell is suppressed, else -1 */
    uint8_t *use;        /* [n] rows of the cell being evaluated */
    ns_hash128 *patient; /* [n] all {0, 0}, where the rows bring none */
    int64_t *patients;   /* [n_cells] */
    uint8_t *hidden;     /* [n_cells] */
    MPI_Comm comm;
    int rank;
} work;

void ns_suppress_small(uint8_t *hidden, const int64_t *patients, int64_t n_cells, int64_t min_cell)
{
    for (int64_t c = 0; c < n_cells; c++) hidden[c] = patients[c] > 0 && patients[c] < min_cell;
}

void ns_suppress_more(uint8_t *hidden, const int64_t *patients, int64_t n_cells, int64_t hidden_patients,
                      int64_t min_cell)
{
    int64_t n_hidden = 0, smallest = -1;
    for (int64_t c = 0; c < n_cells; c++) {
        n_hidden += hidden[c];
        if (!hidden[c] && patients[c] > 0 && (smallest < 0 || patients[c] <= patients[smallest]))
            smallest = c;
    }
    if (n_hidden == 0 || (n_hidden > 1 && hidden_patients >= min_cell) || smallest < 0) return;
    hidden[smallest] = 1;
}

static void free_work(work *w)
{
    free(w->cell);
    free(w->pool);
    free(w->use);
    free(w->patient);
    free(w->patients);
    free(w->hidden);
}

static ns_status begin(work *w)
{
    size_t n = (size_t)w->rows->n + 1;
    w->n_cells = w->column->levels->n + 1;
    w->cell = malloc(n * sizeof *w->cell);
    w->pool = malloc(n * sizeof *w->pool);
    w->use = malloc(n * sizeof *w->use);
    w->patient = w->rows->patient == NULL ? calloc(n, sizeof *w->patient) : NULL;
    w->patients = malloc((size_t)w->n_cells * sizeof *w->patients);
    w->hidden = malloc((size_t)w->n_cells * sizeof *w->hidden);
    if (w->cell == NULL || w->pool == NULL || w->use == NULL || w->patients == NULL || w->hidden == NULL ||
        (w->rows->patient == NULL && w->patient == NULL))
        return ns_fail(NS_ENOMEM, "no memory for the subgroups of '%s'", w->column->name);
    for (int64_t i = 0; i < w->rows->n; i++) {
        bool used = w->rows->use == NULL || w->rows->use[i] != 0;
        int32_t code = w->column->code[i];
        w->cell[i] = !used ? -1 : code < 0 ? (int32_t)w->n_cells - 1 : code;
    }
    return NS_OK;
}

/* Patients in all suppressed cells together. Collective. */
static ns_status count_pool(work *w, int64_t *n_patients)
{
    const ns_hash128 *patient = w->patient != NULL ? w->patient : w->rows->patient;
    for (int64_t i = 0; i < w->rows->n; i++) w->pool[i] = w->cell[i] >= 0 && w->hidden[w->cell[i]] ? 0 : -1;
    return ns_count_patients(patient, w->pool, w->rows->n, 1, n_patients, w->comm);
}

/* Decides which cells are told, the same on every rank. Collective. */
static ns_status hide(work *w, int64_t *pool_patients)
{
    const ns_hash128 *patient = w->patient != NULL ? w->patient : w->rows->patient;
    NS_TRY(ns_count_patients(patient, w->cell, w->rows->n, w->n_cells, w->patients, w->comm));
    ns_suppress_small(w->hidden, w->patients, w->n_cells, w->min_cell);
    NS_TRY(count_pool(w, pool_patients));
    ns_suppress_more(w->hidden, w->patients, w->n_cells, *pool_patients, w->min_cell);
    return count_pool(w, pool_patients);
}

/* The rows where select[i] == want. */
static ns_outcomes rows_where(work *w, const int32_t *select, int32_t want)
{
    ns_outcomes some = *w->rows;
    for (int64_t i = 0; i < some.n; i++) w->use[i] = select[i] == want;
    some.use = w->use;
    return some;
}

/* The level's text; null for the missing cell. NULL with *status set where it is not UTF-8. */
static json_t *level_json(ns_status *status, const work *w, int64_t cell)
{
    const ns_texts *levels = w->column->levels;
    if (cell == levels->n) return json_null();
    const char *text = levels->bytes + levels->offset[cell];
    size_t n_bytes = (size_t)(levels->offset[cell + 1] - levels->offset[cell]);
    json_t *json = json_stringn(text, n_bytes);
    if (json != NULL || *status != NS_OK) return json;
    json_t *unchecked = json_stringn_nocheck(text, n_bytes);
    *status = unchecked == NULL
                  ? ns_fail(NS_ENOMEM, "no memory for the subgroups of '%s'", w->column->name)
                  : ns_fail(NS_EFORMAT,
                            "column '%s' has a level that is not UTF-8, so its subgroup cannot be named",
                            w->column->name);
    json_decref(unchecked);
    return NULL;
}

static json_t *begin_entry(ns_status *status, const work *w, json_t *level, bool missing, bool suppressed)
{
    json_t *entry = json_object();
    ns_json_add(status, entry, "column", json_string(w->column->name));
    ns_json_add(status, entry, "level", level);
    ns_json_add(status, entry, "missing", json_boolean(missing));
    ns_json_add(status, entry, "suppressed", json_boolean(suppressed));
    return entry;
}

static ns_status add_cell(json_t *array, const work *w, int64_t cell, const json_t *metrics)
{
    ns_status status = NS_OK;
    json_t *entry =
        begin_entry(&status, w, level_json(&status, w, cell), cell == w->column->levels->n, false), *value;
    const char *key;
    ns_json_add(&status, entry, "patients", json_integer(w->patients[cell]));
    json_object_foreach((json_t *)metrics, key, value) ns_json_add(&status, entry, key, json_incref(value));
    ns_json_append(&status, array, entry);
    return status;
}

/* Rows and events of all ranks where pool is 0. Collective. */
static void count_rows(const work *w, int64_t counts[2])
{
    counts[0] = counts[1] = 0;
    for (int64_t i = 0; i < w->rows->n; i++) {
        if (w->pool[i] != 0) continue;
        counts[0]++;
        counts[1] += w->rows->label[i] == 1.0f;
    }
    ns_sum_i64(counts, 2, w->comm);
}

static ns_status add_pool(json_t *array, const work *w, int64_t n_patients, const int64_t counts[2])
{
    int64_t n_hidden = 0;
    for (int64_t c = 0; c < w->n_cells; c++) n_hidden += w->hidden[c];
    bool few = n_patients < w->min_cell;
    ns_status status = NS_OK;
    json_t *entry = begin_entry(&status, w, json_null(), false, true);
    ns_json_add(&status, entry, "cells", json_integer(n_hidden));
    ns_json_add(&status, entry, "patients", few ? json_null() : json_integer(n_patients));
    ns_json_add(&status, entry, "n", few ? json_null() : json_integer(counts[0]));
    if (w->rows->objective == NS_BINARY)
        ns_json_add(&status, entry, "events", few ? json_null() : json_integer(counts[1]));
    ns_json_append(&status, array, entry);
    return status;
}

/* All entries of one column. Collective. */
static ns_status evaluate_column(json_t *array, work *w)
{
    int64_t pool_patients = 0;
    NS_TRY(ns_agree(begin(w), w->comm));
    NS_TRY(hide(w, &pool_patients));
    for (int64_t c = 0; c < w->n_cells; c++) {
        if (w->patients[c] == 0 || w->hidden[c]) continue;
        ns_outcomes some = rows_where(w, w->cell, (int32_t)c);
        json_t *metrics = NULL;
        NS_TRY(ns_measure(&metrics, &some, NS_DETAIL_SUBGROUP, w->min_cell, w->comm));
        ns_status status = w->rank == 0 ? add_cell(array, w, c, metrics) : NS_OK;
        json_decref(metrics);
        NS_TRY(ns_agree(status, w->comm));
    }
    if (pool_patients == 0) return NS_OK;
    int64_t counts[2];
    count_rows(w, counts);
    return ns_agree(w->rank == 0 ? add_pool(array, w, pool_patients, counts) : NS_OK, w->comm);
}

ns_status ns_subgroups_evaluate(json_t **out, const ns_outcomes *rows, const ns_subgroup_column *columns,
                                int32_t n_columns, int64_t min_cell, MPI_Comm comm)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    json_t *array = rank == 0 ? json_array() : NULL;
    ns_status status = rank == 0 && array == NULL ? ns_fail(NS_ENOMEM, "no memory for subgroups") : NS_OK;
    status = ns_agree(status, comm);
    for (int32_t i = 0; i < n_columns && status == NS_OK; i++) {
        work w = {.rows = rows, .column = &columns[i], .min_cell = min_cell, .comm = comm, .rank = rank};
        status = evaluate_column(array, &w);
        free_work(&w);
    }
    if (status != NS_OK) {
        json_decref(array);
        array = NULL;
    }
    *out = array;
    return status;
}
