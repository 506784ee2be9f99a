#include "runner/metrics/class_metrics.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "data/patients.h"
#include "kernels/numerics.h"
#include "runner/metrics/exact.h"
#include "runner/json.h"
#include "runner/metrics/metrics.h"
#include "runner/metrics/subgroups.h"

/* Rows of this rank that are used: class, and class of the highest risk. */
typedef struct work {
    const ns_outcomes *rows;
    int32_t k;             /* classes */
    int64_t min_cell;
    MPI_Comm comm;
    int rank;
    int64_t n, n_correct;
    ns_i128 sums[2];       /* log loss, Brier */
    int32_t *cell;         /* [rows] -1: not used */
    ns_hash128 *nobody;    /* [rows] where the rows bring no patients */
    int64_t *patients;     /* [cells] */
    int64_t *counts;       /* [cells] */
    uint8_t *hidden;       /* [cells] */
} work;

static ns_status begin(work *w, int64_t n_cells)
{
    size_t n = (size_t)w->rows->n + 1;
    w->cell = malloc(n * sizeof *w->cell);
    w->nobody = w->rows->patient == NULL ? calloc(n, sizeof *w->nobody) : NULL;
    w->patients = calloc((size_t)n_cells + 1, sizeof *w->patients);
    w->counts = calloc((size_t)n_cells + 1, sizeof *w->counts);
    w->hidden = calloc((size_t)n_cells + 1, 1);
    bool whole = w->cell != NULL && (w->rows->patient != NULL || w->nobody != NULL) && w->patients != NULL && w->counts != NULL && w->hidden != NULL;
    return whole ? NS_OK : ns_fail(NS_ENOMEM, "no memory for the metrics of %lld rows", (long long)w->rows->n);
}

static void end(work *w)
{
    free(w->cell);
    free(w->nobody);
    free(w->patients);
    free(w->counts);
    free(w->hidden);
}

static bool is_used(const ns_outcomes *rows, int64_t i)
{
    return rows->use == NULL || rows->use[i] != 0;
}

static int32_t class_of(const ns_outcomes *rows, int64_t i)
{
    return (int32_t)rows->label[i];
}

static int32_t highest(const float *risk, int32_t k)
{
    int32_t best = 0;
    for (int32_t c = 1; c < k; c++)
        if (risk[c] > risk[best]) best = c;
    return best;
}

/* One row: its terms of log loss and Brier score. */
static ns_status add_row(work *w, int64_t i)
{
    const float *risk = w->rows->value + i * w->k;
    int32_t y = class_of(w->rows, i);
    double square = 0;
    for (int32_t c = 0; c < w->k; c++) {
        if (!(risk[c] > 0.0f && risk[c] < 1.0f))
            return ns_fail(NS_ENUMERIC, "row %lld of the rows evaluated has no risk above 0 and below 1", (long long)i);
        double gap = (double)risk[c] - (c == y ? 1.0 : 0.0);
        square += gap * gap;
    }
    w->n++;
    w->n_correct += highest(risk, w->k) == y;
    w->sums[0] += ns_rne_i64(-ns_log((double)risk[y]) * 0x1p40);
    w->sums[1] += ns_rne_i64(square * 0x1p40);
    return NS_OK;
}

/* The sums over all ranks. Collective. */
static ns_status sum_rows(work *w)
{
    ns_status status = NS_OK;
    for (int64_t i = 0; i < w->rows->n && status == NS_OK; i++)
        if (is_used(w->rows, i)) status = add_row(w, i);
    NS_TRY(ns_agree(status, w->comm));
    int64_t counts[2] = {w->n, w->n_correct};
    ns_sum_i64(counts, 2, w->comm);
    w->n = counts[0];
    w->n_correct = counts[1];
    ns_sum_i128(w->sums, 2, w->comm);
    return NS_OK;
}

/* Patients and rows of each cell. Collective. */
static ns_status count_cells(work *w, int64_t n_cells)
{
    for (int64_t i = 0; i < w->rows->n; i++)
        if (w->cell[i] >= 0) w->counts[w->cell[i]]++;
    ns_sum_i64(w->counts, n_cells, w->comm);
    return ns_count_patients(w->rows->patient != NULL ? w->rows->patient : w->nobody, w->cell, w->rows->n, n_cells, w->patients, w->comm);
}

/* --- classes --- */

/* Which classes are told. Patients of several hidden classes may be the same ones: the most of any is all that is sure. */
static int64_t most_hidden(const uint8_t *hidden, const int64_t *patients, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        if (hidden[i] && patients[i] > most) most = patients[i];
    return most;
}

static ns_status hide_classes(work *w)
{
    NS_TRY(ns_agree(begin(w, w->k), w->comm));
    for (int64_t i = 0; i < w->rows->n; i++) w->cell[i] = is_used(w->rows, i) ? class_of(w->rows, i) : -1;
    NS_TRY(count_cells(w, w->k));
    ns_suppress_small(w->hidden, w->patients, w->k, w->min_cell);
    ns_suppress_more(w->hidden, w->patients, w->k, most_hidden(w->hidden, w->patients, w->k), w->min_cell);
    return NS_OK;
}

static json_t *class_text(ns_status *status, const ns_texts *classes, int32_t c)
{
    const char *text = classes->bytes + classes->offset[c];
    size_t n = (size_t)(classes->offset[c + 1] - classes->offset[c]);
    json_t *json = json_stringn(text, n);
    if (json != NULL || *status != NS_OK) return json;
    *status = ns_fail(NS_EFORMAT, "class %d of the label column is not UTF-8, so its metrics cannot be named", (int)c);
    return NULL;
}

static json_t *class_json(ns_status *status, const work *w, int32_t c, const ns_metrics *metrics)
{
    json_t *entry = json_object();
    ns_json_add(status, entry, "class", class_text(status, w->rows->classes, c));
    ns_json_add(status, entry, "suppressed", json_boolean(w->hidden[c]));
    if (!w->hidden[c]) ns_metrics_add_json(status, entry, metrics);
    return entry;
}

/* Each class against the rest; list may be NULL. *macro is NaN where no AUROC is defined. Collective. */
static ns_status measure_classes(work *w, json_t *list, double *macro)
{
    double sum = 0;
    int32_t n_defined = 0;
    for (int32_t c = 0; c < w->k; c++) {
        ns_risk_table table;
        NS_TRY(ns_outcomes_table(&table, w->rows, c, w->comm));
        ns_metrics metrics;
        ns_status status = ns_metrics_compute(&metrics, &table);
        ns_risk_table_destroy(&table);
        if (status == NS_OK && metrics.auroc_reason == NULL) {
            sum += metrics.auroc;
            n_defined++;
        }
        if (status == NS_OK && list != NULL && w->rank == 0) ns_json_append(&status, list, class_json(&status, w, c, &metrics));
        NS_TRY(ns_agree(status, w->comm));
    }
    *macro = n_defined > 0 ? sum / (double)n_defined : ns_from_bits(UINT64_C(0x7ff8000000000000));
    return NS_OK;
}

/* --- confusion --- */

/* One line of cells, stride apart, whose sum is told: no single hidden cell may remain. Whether anything changed. */
static bool hide_in_line(work *w, int64_t first, int64_t stride)
{
    uint8_t hidden[NS_MOST_CONFUSION];
    int64_t patients[NS_MOST_CONFUSION];
    bool changed = false;
    for (int32_t i = 0; i < w->k; i++) {
        hidden[i] = w->hidden[first + i * stride];
        patients[i] = w->patients[first + i * stride];
    }
    ns_suppress_more(hidden, patients, w->k, most_hidden(hidden, patients, w->k), w->min_cell);
    for (int32_t i = 0; i < w->k; i++) {
        changed |= hidden[i] != w->hidden[first + i * stride];
        w->hidden[first + i * stride] = hidden[i];
    }
    return changed;
}

/* hidden_class: [k] whose rows are not told at all. Collective. */
static ns_status hide_cells(work *w, const uint8_t *hidden_class)
{
    int64_t n_cells = (int64_t)w->k * w->k;
    NS_TRY(ns_agree(begin(w, n_cells), w->comm));
    for (int64_t i = 0; i < w->rows->n; i++)
        w->cell[i] = is_used(w->rows, i) ? class_of(w->rows, i) * w->k + highest(w->rows->value + i * w->k, w->k) : -1;
    NS_TRY(count_cells(w, n_cells));
    ns_suppress_small(w->hidden, w->patients, n_cells, w->min_cell);
    for (int64_t i = 0; i < n_cells; i++)
        if (hidden_class[i / w->k] && w->patients[i] > 0) w->hidden[i] = 1;
    for (bool changed = true; changed;) {
        changed = hide_in_line(w, 0, w->k + 1); /* the diagonal: accuracy tells its sum */
        for (int32_t a = 0; a < w->k; a++)
            if (!hidden_class[a]) changed |= hide_in_line(w, (int64_t)a * w->k, 1);
    }
    return NS_OK;
}

static json_t *confusion_json(ns_status *status, const work *w)
{
    json_t *matrix = json_array();
    for (int32_t a = 0; a < w->k; a++) {
        json_t *line = json_array();
        for (int32_t b = 0; b < w->k; b++) {
            int64_t at = (int64_t)a * w->k + b;
            ns_json_append(status, line, w->hidden[at] ? json_null() : json_integer(w->counts[at]));
        }
        ns_json_append(status, matrix, line);
    }
    return matrix;
}

/* Rank 0: *out; collective. */
static ns_status measure_confusion(json_t **out, const work *all)
{
    *out = all->rank == 0 ? json_null() : NULL;
    if (all->k > NS_MOST_CONFUSION) return NS_OK;
    work w = {.rows = all->rows, .k = all->k, .min_cell = all->min_cell, .comm = all->comm, .rank = all->rank};
    ns_status status = hide_cells(&w, all->hidden);
    if (status == NS_OK && w.rank == 0) *out = confusion_json(&status, &w);
    end(&w);
    return ns_agree(status, all->comm);
}

/* --- the whole --- */

static json_t *whole_json(ns_status *status, const work *w, double macro, json_t *classes, json_t *confusion)
{
    json_t *object = json_object(), *undefined = json_object();
    const char *none = "no rows";
    double unit = (double)w->n * 0x1p40;
    bool any = w->n > 0;
    ns_json_add(status, object, "n", json_integer(w->n));
    ns_json_add(status, object, "log_loss", any ? ns_json_real(ns_i128_to_double(w->sums[0]) / unit) : json_null());
    ns_json_add(status, object, "brier", any ? ns_json_real(ns_i128_to_double(w->sums[1]) / unit) : json_null());
    ns_json_add(status, object, "accuracy", any ? ns_json_real((double)w->n_correct / (double)w->n) : json_null());
    ns_json_add(status, object, "auroc_macro", ns_json_real(macro));
    if (!any) {
        ns_json_add(status, undefined, "log_loss", json_string(none));
        ns_json_add(status, undefined, "brier", json_string(none));
        ns_json_add(status, undefined, "accuracy", json_string(none));
    }
    if (macro != macro) ns_json_add(status, undefined, "auroc_macro", json_string(any ? "all rows are of one class" : none));
    if (classes != NULL) {
        ns_json_add(status, object, "classes", json_incref(classes));
        ns_json_add(status, object, "confusion", json_incref(confusion));
    }
    ns_json_add(status, object, "undefined", undefined);
    return object;
}

ns_status ns_class_metrics(json_t **out, const ns_outcomes *rows, ns_detail detail, int64_t min_cell, MPI_Comm comm)
{
    *out = NULL;
    work w = {.rows = rows, .k = rows->n_outputs, .min_cell = min_cell, .comm = comm};
    MPI_Comm_rank(comm, &w.rank);
    json_t *classes = detail == NS_DETAIL_ALL && w.rank == 0 ? json_array() : NULL, *confusion = NULL;
    double macro = 0;
    ns_status status = sum_rows(&w);
    if (status == NS_OK) status = hide_classes(&w);
    if (status == NS_OK) status = measure_classes(&w, classes, &macro);
    if (status == NS_OK && detail == NS_DETAIL_ALL) status = measure_confusion(&confusion, &w);
    if (status == NS_OK && w.rank == 0) *out = whole_json(&status, &w, macro, classes, confusion);
    json_decref(classes);
    json_decref(confusion);
    end(&w);
    return ns_agree(status, comm);
}
