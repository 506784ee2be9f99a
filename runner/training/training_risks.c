/*
 * Rows are taken in the table's order, a slab at a time. Those of one part follow one another in the forest, so a slab is at
 * most three runs of forest rows: training rows, then validation rows, then test rows. Where the forest's margins are the
 * model's, only test rows are scored, since the forest keeps no margins of them. In a column to be scored a number is stood for
 * by the cut that ends its bin (x <= cut), by infinity above the last cut, by NaN where it is missing.
 */
#include "runner/training/training_risks.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/stop.h"
#include "kernels/bin.h"
#include "kernels/prediction.h"
#include "kernels/scorer.h"

/* Cells of a slab over all features stay near this. */
static const int64_t SLAB_BYTES = 64 << 20;
enum { N_PARTS = 4, PREDICT_ROWS = 4096 };

typedef struct slab {
    const ns_training_data *data;
    const ns_gbdt_model *model;
    int first_scored;      /* this part of the split and those behind it are scored; the ones before have their margins */
    int64_t most_rows;
    uint32_t *cells;       /* [n_features][most_rows] float or int32 */
    const void **columns;  /* [n_features] into cells */
    int64_t *margin;       /* [most_rows][n_outputs] */
    float *risk;           /* [most_rows][n_outputs] */
    uint16_t *bins;        /* [n_threads][most_rows], or bytes */
    int64_t first[N_PARTS], n[N_PARTS]; /* forest rows of each part in this slab */
} slab;

static ns_status take_slab(slab *s)
{
    size_t n = (size_t)s->model->n_features;
    int64_t rows = SLAB_BYTES / 4 / (s->model->n_features + s->model->n_outputs);
    s->most_rows = rows < NS_BLOCK_ROWS ? NS_BLOCK_ROWS : rows > NS_SLAB_ROWS ? NS_SLAB_ROWS : rows;
    s->cells = malloc(n * (size_t)s->most_rows * sizeof *s->cells);
    s->columns = malloc(n * sizeof *s->columns);
    size_t n_values = (size_t)s->most_rows * (size_t)s->model->n_outputs;
    s->margin = s->first_scored > NS_PART_TRAIN ? malloc(n_values * sizeof *s->margin) : NULL;
    s->risk = malloc(n_values * sizeof *s->risk);
    s->bins = malloc((size_t)s->data->device->n_threads * (size_t)s->most_rows * sizeof *s->bins);
    if (s->cells == NULL || s->columns == NULL || s->risk == NULL || s->bins == NULL || (s->first_scored > NS_PART_TRAIN && s->margin == NULL))
        return ns_fail(NS_ENOMEM, "no memory for a slab of risks");
    for (size_t f = 0; f < n; f++) s->columns[f] = s->cells + f * (size_t)s->most_rows;
    return NS_OK;
}

static void free_slab(slab *s)
{
    free(s->cells);
    free(s->columns);
    free(s->margin);
    free(s->risk);
    free(s->bins);
}

/* The cells of one feature; wide: memory for its bins. */
static ns_status fill_feature(const slab *s, int32_t f, uint16_t *wide)
{
    const ns_gbdt_model *model = s->model;
    uint32_t *to = s->cells + (size_t)f * (size_t)s->most_rows;
    int64_t n = 0;
    bool is_byte = model->n_bins[f] <= NS_BYTE_BINS;
    uint8_t *bytes = (uint8_t *)wide;
    for (int p = s->first_scored; p <= NS_PART_TEST; p++) {
        NS_TRY(s->data->device->forest->read_bins(s->data->forest, f, s->first[p], s->n[p], is_byte ? (void *)(bytes + n) : (void *)(wide + n)));
        n += s->n[p];
    }
    if (model->kinds[f] == NS_CATEGORY) {
        for (int64_t i = 0; i < n; i++) to[i] = is_byte ? bytes[i] : wide[i];
        return NS_OK;
    }
    float value[NS_BYTE_BINS];
    value[0] = NAN;
    for (int32_t b = 0; b < model->n_cuts[f]; b++) value[b + 1] = model->cuts[f][b];
    value[model->n_cuts[f] + 1] = INFINITY;
    for (int64_t i = 0; i < n; i++) memcpy(&to[i], &value[bytes[i]], sizeof *to);
    return NS_OK;
}

/* Rows of the parts [low, high) in this slab. */
static int64_t rows_of(const slab *s, int low, int high)
{
    int64_t n = 0;
    for (int p = low; p < high; p++) n += s->n[p];
    return n;
}

/* Risks of the parts that have margins, one part's after the other. */
static ns_status predict_known(const slab *s)
{
    ns_device *device = s->data->device;
    int64_t n_outputs = s->model->n_outputs, n = rows_of(s, NS_PART_TRAIN, s->first_scored), at = 0;
    for (int p = NS_PART_TRAIN; p < s->first_scored; p++) {
        if (s->n[p] > 0) NS_TRY(device->forest->read_margins(s->data->forest, s->first[p], s->n[p], s->margin + at * n_outputs));
        at += s->n[p];
    }
    ns_prediction kind = {s->model->objective, s->model->n_outputs, s->model->k};
#pragma omp parallel for schedule(dynamic) num_threads(device->n_threads)
    for (int64_t from = 0; from < n; from += PREDICT_ROWS) {
        int64_t rows = n - from < PREDICT_ROWS ? n - from : PREDICT_ROWS;
        ns_predict_with(device->loops, &kind, s->margin + from * n_outputs, rows, s->risk + from * n_outputs);
    }
    return NS_OK;
}

/* Risks of the other parts, behind them. */
static ns_status score_rest(const slab *s, ns_scorer *scorer)
{
    ns_score_slab rows = {.n_rows = rows_of(s, s->first_scored, N_PARTS), .columns = s->columns,
                          .risk = s->risk + rows_of(s, NS_PART_TRAIN, s->first_scored) * s->model->n_outputs};
    if (rows.n_rows == 0) return NS_OK;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(s->data->device->n_threads) reduction(| : failed)
    for (int32_t f = 0; f < s->model->n_features; f++)
        failed |= fill_feature(s, f, s->bins + omp_get_thread_num() * s->most_rows) != NS_OK;
    if (failed != 0) return ns_last_error()->code; /* a GPU was lost */
    NS_TRY(s->data->device->scorer->score_slab(scorer, &rows));
    return s->data->device->scorer->wait(scorer, 0);
}

/* Kept rows [from, to) of the table. */
static ns_status rate(slab *s, ns_scorer *scorer, const ns_table *table, int64_t from, int64_t to, float *risk)
{
    size_t n_outputs = (size_t)s->model->n_outputs;
    memset(s->n, 0, sizeof s->n);
    for (int64_t i = from; i < to; i++) {
        int part = table->part[i];
        if (s->n[part]++ == 0) s->first[part] = s->data->place[i];
    }
    NS_TRY(predict_known(s));
    NS_TRY(score_rest(s, scorer));
    int64_t at[N_PARTS] = {[NS_PART_VALID] = s->n[NS_PART_TRAIN], [NS_PART_TEST] = s->n[NS_PART_TRAIN] + s->n[NS_PART_VALID]};
    for (int64_t i = from; i < to; i++) {
        float *out = risk + (size_t)i * n_outputs;
        int part = table->part[i];
        for (size_t o = 0; o < n_outputs && part == NS_PART_NONE; o++) out[o] = NAN;
        if (part != NS_PART_NONE) memcpy(out, s->risk + (size_t)at[part]++ * n_outputs, n_outputs * sizeof *out);
    }
    return NS_OK;
}

static ns_status rate_all(slab *s, const ns_table *table, float *risk)
{
    const ns_gbdt_model *model = s->model;
    ns_device *device = s->data->device;
    ns_scorer *scorer = NULL;
    ns_scorer_plan plan = {.trees = model->trees, .n_features = model->n_features, .kind = model->kinds,
                           .cuts = (const float *const *)model->cuts, .n_cuts = model->n_cuts, .n_bins = model->n_bins,
                           .objective = model->objective, .n_outputs = model->n_outputs, .base = model->base, .k = model->k};
    NS_TRY(take_slab(s));
    ns_status status = device->scorer->create(&scorer, device, &plan);
    for (int64_t at = 0; at < table->n_kept && status == NS_OK; at += s->most_rows) {
        int64_t end = table->n_kept - at < s->most_rows ? table->n_kept : at + s->most_rows;
        status = ns_stop_check();
        if (status == NS_OK) status = rate(s, scorer, table, at, end, risk);
        ns_log_progress("evaluate", end, table->n_kept, "unit=rows");
    }
    if (scorer != NULL) device->scorer->destroy(&scorer);
    return status;
}

ns_status ns_training_risks(const ns_training_data *data, const ns_table *table, const ns_gbdt_model *model, ns_margins margins,
                            float *risk)
{
    slab s = {.data = data, .model = model, .first_scored = margins == NS_MARGINS_OF_MODEL ? NS_PART_TEST : NS_PART_TRAIN};
    ns_status status = rate_all(&s, table, risk);
    free_slab(&s);
    return ns_agree(status, table->comm);
}
