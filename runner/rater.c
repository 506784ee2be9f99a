#include "runner/rater.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"
#include "runner/training/table.h"

/* Cells of one slab over all features stay near this; 65,536 rows of 256 features fill it. */

struct ns_rater {
    const ns_gbdt_model *model;
    ns_cohort *cohort;
    ns_device *device;
    ns_scorer *scorer;
    bool infinite_ok;
    int64_t slab_rows;
    int32_t *columns;        /* [n_features] of the cohort */
    int32_t **bin_of;        /* [n_features] category: bin of each of the cohort's levels */
    uint64_t **level_words;  /* [n_features] category: made when first hashed */
    int64_t **unknown;       /* [n_features] NULL or, where the cohort has such levels, rows by level that the model does not know */
    uint32_t *cells;         /* [n_features][slab_rows] float or int32 */
    const void **pointers;   /* [n_features] into cells */
    ns_rater_seconds seconds;
};

/* All files of a cohort have the same columns. */
static const char *first_file(const ns_cohort *cohort)
{
    int64_t first_row, n_rows, n_bytes;
    return ns_cohort_file(cohort, 0, &first_row, &n_rows, &n_bytes);
}

/* All that are lacking, as far as a line holds them. */
static ns_status fail_absent(const int32_t *columns, const ns_gbdt_model *model, const ns_cohort *cohort)
{
    char names[900];
    size_t at = 0;
    int32_t n = 0, n_named = 0;
    for (int32_t f = 0; f < model->n_features; f++) {
        if (columns[f] >= 0) continue;
        n++;
        int wrote = at + 200 < sizeof names ? snprintf(names + at, sizeof names - at, "%s'%.150s'", n > 1 ? ", " : "", model->names[f]) : 0;
        at += (size_t)wrote;
        n_named += wrote > 0;
    }
    if (n_named < n) snprintf(names + at, sizeof names - at, " and %d more", n - n_named);
    return ns_fail(NS_EFORMAT, "%s: has no column%s %s, which the model needs",
                   first_file(cohort), n > 1 ? "s" : "", names);
}

ns_status ns_rater_columns(int32_t *columns, const ns_gbdt_model *model, const ns_cohort *cohort, ns_absent absent)
{
    bool all = true;
    for (int32_t f = 0; f < model->n_features; f++) {
        columns[f] = ns_cohort_find(cohort, model->names[f]);
        all = all && columns[f] >= 0;
    }
    if (!all && absent == NS_ABSENT_ERROR) return fail_absent(columns, model, cohort);
    for (int32_t f = 0; f < model->n_features; f++) {
        const char *name = model->names[f];
        if (columns[f] < 0) continue;
        ns_column_kind want = model->kinds[f] == NS_NUMBER ? NS_COL_NUMBER : NS_COL_CATEGORY;
        ns_column_kind is = ns_cohort_column(cohort, columns[f])->kind;
        if (is != want)
            return ns_fail(NS_EFORMAT, "%s: column '%s' is of kind %s; the model was trained on a %s", first_file(cohort), name,
                           ns_column_kind_name(is), ns_column_kind_name(want));
    }
    return NS_OK;
}

/* Risks of several classes are cells too: they are held five times, by turns here, on a GPU and on their way to the file, and as others
   send them. */
static int64_t slab_rows_for(const ns_gbdt_model *model)
{
    int64_t n_cells = model->n_features + 5 * (int64_t)(model->n_outputs - 1);
    int64_t rows = NS_RATER_SLAB_BYTES / 4 / n_cells / NS_BLOCK_ROWS * NS_BLOCK_ROWS;
    return rows < NS_BLOCK_ROWS ? NS_BLOCK_ROWS : rows > NS_SLAB_ROWS ? NS_SLAB_ROWS : rows;
}

static ns_status map_levels(ns_rater *rater)
{
    for (int32_t f = 0; f < rater->model->n_features; f++) {
        if (rater->model->kinds[f] != NS_CATEGORY || rater->columns[f] < 0) continue;
        const ns_texts *levels = ns_cohort_column(rater->cohort, rater->columns[f])->levels;
        rater->bin_of[f] = malloc(((size_t)levels->n + 1) * sizeof **rater->bin_of);
        if (rater->bin_of[f] == NULL) return ns_fail(NS_ENOMEM, "no memory for the levels of '%s'", rater->model->names[f]);
        ns_encoding_map(&rater->model->encodings[f], levels, rater->bin_of[f]);
    }
    return NS_OK;
}

static ns_status create_scorer(ns_rater *rater)
{
    const ns_gbdt_model *model = rater->model;
    ns_scorer_plan plan = {.trees = model->trees, .n_features = model->n_features, .kind = model->kinds,
                           .cuts = (const float *const *)model->cuts, .n_cuts = model->n_cuts, .n_bins = model->n_bins,
                           .objective = model->objective, .n_outputs = model->n_outputs, .base = model->base, .k = model->k};
    return rater->device->scorer->create(&rater->scorer, rater->device, &plan);
}

ns_status ns_rater_create(ns_rater **out, const ns_gbdt_model *model, ns_cohort *cohort, const int32_t *columns, ns_device *device,
                          bool infinite_ok)
{
    *out = NULL;
    size_t n = (size_t)model->n_features;
    ns_rater *rater = calloc(1, sizeof *rater);
    if (rater == NULL) return ns_fail(NS_ENOMEM, "no memory to score");
    rater->model = model;
    rater->cohort = cohort;
    rater->device = device;
    rater->infinite_ok = infinite_ok;
    rater->slab_rows = slab_rows_for(model);
    rater->columns = malloc((n + 1) * sizeof *rater->columns);
    rater->bin_of = calloc(n + 1, sizeof *rater->bin_of);
    rater->level_words = calloc(n + 1, sizeof *rater->level_words);
    rater->unknown = calloc(n + 1, sizeof *rater->unknown);
    rater->cells = malloc((n * (size_t)rater->slab_rows + 1) * sizeof *rater->cells);
    rater->pointers = calloc(n + 1, sizeof *rater->pointers);
    ns_status status = NS_OK;
    if (rater->columns == NULL || rater->bin_of == NULL || rater->level_words == NULL || rater->unknown == NULL || rater->cells == NULL ||
        rater->pointers == NULL)
        status = ns_fail(NS_ENOMEM, "no memory to score");
    if (status == NS_OK) {
        memcpy(rater->columns, columns, n * sizeof *columns);
        for (size_t f = 0; f < n; f++) rater->pointers[f] = rater->cells + f * (size_t)rater->slab_rows;
        status = map_levels(rater);
    }
    if (status == NS_OK) status = create_scorer(rater);
    if (status != NS_OK) ns_rater_destroy(&rater);
    *out = rater;
    return status;
}

void ns_rater_destroy(ns_rater **out)
{
    ns_rater *rater = *out;
    if (rater == NULL) return;
    if (rater->scorer != NULL) rater->device->scorer->destroy(&rater->scorer);
    for (int32_t f = 0; f < rater->model->n_features; f++) {
        if (rater->bin_of != NULL) free(rater->bin_of[f]);
        if (rater->level_words != NULL) free(rater->level_words[f]);
        if (rater->unknown != NULL) free(rater->unknown[f]);
    }
    free(rater->columns);
    free(rater->bin_of);
    free(rater->level_words);
    free(rater->unknown);
    free(rater->cells);
    free(rater->pointers);
    free(rater);
    *out = NULL;
}

int32_t ns_rater_n_outputs(const ns_rater *rater)
{
    return rater->model->n_outputs;
}

int64_t ns_rater_slab_rows(const ns_rater *rater)
{
    return rater->slab_rows;
}

ns_status ns_rater_count_unknown(ns_rater *rater)
{
    for (int32_t f = 0; f < rater->model->n_features; f++) {
        if (rater->bin_of[f] == NULL || rater->unknown[f] != NULL) continue;
        int64_t n = ns_cohort_column(rater->cohort, rater->columns[f])->levels->n, n_unknown = 0;
        for (int64_t i = 0; i < n; i++) n_unknown += rater->bin_of[f][i] == NS_BIN_OTHER;
        if (n_unknown == 0) continue; /* as on most nights: then scoring takes no longer */
        rater->unknown[f] = calloc((size_t)n, sizeof **rater->unknown);
        if (rater->unknown[f] == NULL) return ns_fail(NS_ENOMEM, "no memory for the levels of '%s'", rater->model->names[f]);
    }
    return NS_OK;
}

int64_t *ns_rater_unknown(ns_rater *rater, int32_t feature)
{
    return rater->unknown[feature];
}

/* Rows [at, at + n) of the slab that begins at row `first` of the cohort; at most as many blocks as are hashed at once, so that
   a feature's cells are in the cache from one look at them to the next, and every thread has some to take. */
enum { TAKEN_ROWS = 8 * NS_BLOCK_ROWS };
typedef struct taken {
    int64_t first, at, n;
    const uint8_t *counts; /* of the slab, or NULL */
    uint8_t *infinite;     /* of the slab */
    ns_fingerprint *fingerprint;
} taken;

/* Threads share the counts; rows of unknown levels are few. */
static void count_unknown(int64_t *unknown, const int32_t *bin_of, const int32_t *codes, const taken *rows)
{
    for (int64_t i = 0; i < rows->n; i++) {
        int64_t row = rows->at + i;
        if (codes[i] < 0 || bin_of[codes[i]] != NS_BIN_OTHER || rows->infinite[row] || (rows->counts != NULL && rows->counts[row] != 0)) continue;
#pragma omp atomic
        unknown[codes[i]]++;
    }
}

static void take_category(const ns_rater *rater, int32_t f, int32_t index, const taken *rows)
{
    int32_t *codes = (int32_t *)(rater->cells + (size_t)f * (size_t)rater->slab_rows) + rows->at;
    if (rater->columns[f] < 0) {
        for (int64_t i = 0; i < rows->n; i++) codes[i] = NS_BIN_MISSING;
        return;
    }
    if (rows->fingerprint != NULL && index >= 0) {
        uint64_t words[TAKEN_ROWS];
        const uint64_t *word_of = rater->level_words[f];
        for (int64_t i = 0; i < rows->n; i++) words[i] = codes[i] < 0 ? 0 : word_of[codes[i]];
        ns_fingerprint_words(rows->fingerprint, index, rows->first + rows->at, rows->n, words);
    }
    if (rater->unknown[f] != NULL) count_unknown(rater->unknown[f], rater->bin_of[f], codes, rows);
    ns_encoding_apply(rater->bin_of[f], codes, rows->n, codes);
}

/* Threads that take other features of the same rows may find them infinite too. */
static void note_infinite(const ns_rater *rater, float *values, const taken *rows)
{
    for (int64_t i = 0; i < rows->n; i++) {
        if (!isinf(values[i])) continue;
        if (!rater->infinite_ok) {
            uint8_t *infinite = &rows->infinite[rows->at + i];
#pragma omp atomic write
            *infinite = 1;
        }
        values[i] = NAN;
    }
}

/* Without branches: a look at every cell costs little then, and infinite ones are few. */
static bool any_infinite(const float *values, int64_t n)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & 0x7fffffffu) == 0x7f800000u;
    }
    return found != 0;
}

static void take_number(const ns_rater *rater, int32_t f, int32_t index, const taken *rows)
{
    float *values = (float *)(rater->cells + (size_t)f * (size_t)rater->slab_rows) + rows->at;
    if (rater->columns[f] < 0) {
        for (int64_t i = 0; i < rows->n; i++) values[i] = NAN;
        return;
    }
    if (rows->fingerprint != NULL && index >= 0) ns_fingerprint_numbers(rows->fingerprint, index, rows->first + rows->at, rows->n, values);
    if (any_infinite(values, rows->n)) note_infinite(rater, values, rows);
}

/* All features of a kind, of all rows of the slab. */
static void take_kind(const ns_rater *rater, ns_feature_kind kind, const int32_t *index, const taken *slab)
{
    int64_t n_parts = (slab->n + TAKEN_ROWS - 1) / TAKEN_ROWS;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(rater->device->n_threads)
    for (int32_t f = 0; f < rater->model->n_features; f++)
        for (int64_t part = 0; part < n_parts; part++) {
            taken rows = *slab;
            if (rater->model->kinds[f] != kind) continue;
            rows.at = part * TAKEN_ROWS;
            rows.n = slab->n - rows.at < TAKEN_ROWS ? slab->n - rows.at : TAKEN_ROWS;
            if (kind == NS_CATEGORY)
                take_category(rater, f, index != NULL ? index[f] : -1, &rows);
            else
                take_number(rater, f, index != NULL ? index[f] : -1, &rows);
        }
}

/* What is hashed of a level, of all categories that go into the fingerprint. */
static ns_status make_level_words(ns_rater *rater, const int32_t *index)
{
    for (int32_t f = 0; index != NULL && f < rater->model->n_features; f++) {
        if (rater->model->kinds[f] != NS_CATEGORY || rater->columns[f] < 0 || index[f] < 0 || rater->level_words[f] != NULL) continue;
        NS_TRY(ns_level_words(&rater->level_words[f], ns_cohort_column(rater->cohort, rater->columns[f])->levels));
    }
    return NS_OK;
}

/* All columns at once: their chunks are decoded side by side. */
ns_status ns_rater_read(ns_rater *rater, int64_t first, int64_t n, const ns_column_read *beside, int32_t n_beside)
{
    const ns_gbdt_model *model = rater->model;
    double start = ns_seconds();
    ns_column_read *reads = malloc(((size_t)model->n_features + (size_t)n_beside + 1) * sizeof *reads);
    if (reads == NULL) return ns_fail(NS_ENOMEM, "no memory to read %d columns", model->n_features);
    int32_t n_reads = n_beside;
    if (n_beside > 0) memcpy(reads, beside, (size_t)n_beside * sizeof *reads);
    for (int pass = 0; pass < 2; pass++) /* numbers first, as they are taken */
        for (int32_t f = 0; f < model->n_features; f++) {
            ns_read_as as = model->kinds[f] == NS_CATEGORY ? NS_READ_CODES : NS_READ_NUMBER;
            if (rater->columns[f] < 0 || (as == NS_READ_CODES) != (pass == 1)) continue;
            reads[n_reads++] = (ns_column_read){
                .column = rater->columns[f], .as = as, .out = rater->cells + (size_t)f * (size_t)rater->slab_rows};
        }
    ns_status status = ns_cohort_read_columns(rater->cohort, reads, n_reads, first, n);
    free(reads);
    rater->seconds.read += ns_seconds() - start;
    return status;
}

ns_status ns_rater_rate(ns_rater *rater, int64_t first, int64_t n, const uint8_t *counts, ns_fingerprint *fingerprint,
                        const int32_t *index, float *risk, uint8_t *infinite)
{
    double start = ns_seconds();
    memset(infinite, 0, (size_t)n);
    if (fingerprint != NULL) NS_TRY(make_level_words(rater, index));
    taken slab = {.first = first, .n = n, .counts = counts, .infinite = infinite, .fingerprint = fingerprint};
    take_kind(rater, NS_NUMBER, index, &slab); /* numbers first: they tell which rows are infinite */
    take_kind(rater, NS_CATEGORY, index, &slab);
    double hashed = ns_seconds();
    ns_score_slab cells = {.n_rows = n, .columns = rater->pointers, .risk = risk};
    ns_status status = rater->device->scorer->score_slab(rater->scorer, &cells);
    rater->seconds.hash += hashed - start;
    rater->seconds.score += ns_seconds() - hashed;
    return status;
}

ns_status ns_rater_wait(ns_rater *rater, int64_t n_left)
{
    double start = ns_seconds();
    ns_status status = rater->device->scorer->wait(rater->scorer, n_left);
    rater->seconds.score += ns_seconds() - start;
    return status;
}

ns_status ns_rater_score(ns_rater *rater, int64_t first, int64_t n, const uint8_t *counts, ns_fingerprint *fingerprint,
                         const int32_t *index, float *risk, uint8_t *infinite)
{
    NS_TRY(ns_rater_read(rater, first, n, NULL, 0));
    NS_TRY(ns_rater_rate(rater, first, n, counts, fingerprint, index, risk, infinite));
    return ns_rater_wait(rater, 0);
}

ns_rater_seconds ns_rater_took(const ns_rater *rater)
{
    return rater->seconds;
}
