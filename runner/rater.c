#include "runner/rater.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runner/table.h"

/* Cells of one slab over all features stay near this; 65,536 rows of 256 features fill it. */
static const int64_t SLAB_BYTES = 64 << 20;

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
    uint32_t *cells;         /* [n_features][slab_rows] float or int32 */
    const void **pointers;   /* [n_features] into cells */
    uint64_t *words;         /* [slab_rows] */
};

/* All files of a cohort have the same columns. */
static const char *first_file(const ns_cohort *cohort)
{
    int64_t first_row, n_rows, n_bytes;
    return ns_cohort_file(cohort, 0, &first_row, &n_rows, &n_bytes);
}

ns_status ns_rater_columns(int32_t *columns, const ns_gbdt_model *model, const ns_cohort *cohort)
{
    for (int32_t f = 0; f < model->n_features; f++) {
        const char *name = model->names[f];
        columns[f] = ns_cohort_find(cohort, name);
        if (columns[f] < 0) return ns_fail(NS_EFORMAT, "%s: has no column '%s', which the model needs", first_file(cohort), name);
        ns_column_kind want = model->kinds[f] == NS_NUMBER ? NS_COL_NUMBER : NS_COL_CATEGORY;
        ns_column_kind is = ns_cohort_column(cohort, columns[f])->kind;
        if (is != want)
            return ns_fail(NS_EFORMAT, "%s: column '%s' is of kind %s; the model was trained on a %s", first_file(cohort), name,
                           ns_column_kind_name(is), ns_column_kind_name(want));
    }
    return NS_OK;
}

static int64_t slab_rows_for(int32_t n_features)
{
    int64_t rows = SLAB_BYTES / 4 / (n_features > 0 ? n_features : 1) / NS_BLOCK_ROWS * NS_BLOCK_ROWS;
    return rows < NS_BLOCK_ROWS ? NS_BLOCK_ROWS : rows > NS_SLAB_ROWS ? NS_SLAB_ROWS : rows;
}

int64_t ns_rater_memory(int32_t n_features)
{
    return slab_rows_for(n_features) * ((int64_t)n_features * 8 + 64);
}

static ns_status map_levels(ns_rater *rater)
{
    for (int32_t f = 0; f < rater->model->n_features; f++) {
        if (rater->model->kinds[f] != NS_CATEGORY) continue;
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
                           .objective = model->objective, .n_outputs = 1, .base = &model->base, .k = model->k};
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
    rater->slab_rows = slab_rows_for(model->n_features);
    rater->columns = malloc((n + 1) * sizeof *rater->columns);
    rater->bin_of = calloc(n + 1, sizeof *rater->bin_of);
    rater->level_words = calloc(n + 1, sizeof *rater->level_words);
    rater->cells = malloc((n * (size_t)rater->slab_rows + 1) * sizeof *rater->cells);
    rater->pointers = calloc(n + 1, sizeof *rater->pointers);
    rater->words = malloc((size_t)rater->slab_rows * sizeof *rater->words);
    ns_status status = NS_OK;
    if (rater->columns == NULL || rater->bin_of == NULL || rater->level_words == NULL || rater->cells == NULL ||
        rater->pointers == NULL || rater->words == NULL)
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
    }
    free(rater->columns);
    free(rater->bin_of);
    free(rater->level_words);
    free(rater->cells);
    free(rater->pointers);
    free(rater->words);
    free(rater);
    *out = NULL;
}

int64_t ns_rater_slab_rows(const ns_rater *rater)
{
    return rater->slab_rows;
}

static ns_status take_category(ns_rater *rater, int32_t f, int64_t first, int64_t n, ns_fingerprint *fingerprint, int32_t index)
{
    int32_t *codes = (int32_t *)(rater->cells + (size_t)f * (size_t)rater->slab_rows);
    NS_TRY(ns_cohort_read_codes(rater->cohort, rater->columns[f], first, n, codes));
    if (fingerprint != NULL && index >= 0) {
        const ns_texts *levels = ns_cohort_column(rater->cohort, rater->columns[f])->levels;
        if (rater->level_words[f] == NULL) NS_TRY(ns_level_words(&rater->level_words[f], levels));
        for (int64_t i = 0; i < n; i++) rater->words[i] = codes[i] < 0 ? 0 : rater->level_words[f][codes[i]];
        ns_fingerprint_words(fingerprint, index, first, n, rater->words);
    }
    ns_encoding_apply(rater->bin_of[f], codes, n, codes);
    return NS_OK;
}

static ns_status take_number(ns_rater *rater, int32_t f, int64_t first, int64_t n, ns_fingerprint *fingerprint, int32_t index,
                             uint8_t *infinite)
{
    float *values = (float *)(rater->cells + (size_t)f * (size_t)rater->slab_rows);
    NS_TRY(ns_cohort_read_number(rater->cohort, rater->columns[f], first, n, values));
    if (fingerprint != NULL && index >= 0) ns_fingerprint_numbers(fingerprint, index, first, n, values);
    for (int64_t i = 0; i < n; i++) {
        if (!isinf(values[i])) continue;
        if (!rater->infinite_ok) infinite[i] = 1;
        values[i] = NAN;
    }
    return NS_OK;
}

ns_status ns_rater_score(ns_rater *rater, int64_t first, int64_t n, ns_fingerprint *fingerprint, const int32_t *index, float *risk,
                         uint8_t *infinite)
{
    memset(infinite, 0, (size_t)n);
    for (int32_t f = 0; f < rater->model->n_features; f++) {
        int32_t at = index != NULL ? index[f] : -1;
        if (rater->model->kinds[f] == NS_CATEGORY) NS_TRY(take_category(rater, f, first, n, fingerprint, at));
        else NS_TRY(take_number(rater, f, first, n, fingerprint, at, infinite));
    }
    ns_score_slab slab = {.n_rows = n, .columns = rater->pointers, .risk = risk};
    return rater->device->scorer->score_slab(rater->scorer, &slab);
}
