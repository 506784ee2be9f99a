#include "runner/night/score_output.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* The work beside: HDF5 is left alone (data/scores.h). */
static ns_status write_block(void *context)
{
    ns_score_output *out = context;
    NS_TRY(ns_scores_writer_append(out->writer, &out->block));
    return out->csv != NULL ? ns_score_csv_add(out->csv, &out->block) : NS_OK;
}

ns_status ns_score_output_open(ns_score_output *out, ns_night *night, const char *path, const char *csv, const char *as_of)
{
    out->night = night;
    ns_keep_column keep[NS_MOST_KEEP];
    for (int32_t i = 0; i < night->n_keep; i++) {
        const ns_column *column = ns_cohort_column(night->cohort, night->keep[i]);
        keep[i] = (ns_keep_column){.name = column->name, .kind = column->kind, .is_text = column->is_text, .levels = column->levels,
                                   .text_bytes = night->keep_bytes[i] > 0 ? night->keep_bytes[i] : 1};
        out->cells[i] = malloc((size_t)night->stripes.slab_rows * sizeof(int64_t));
        if (out->cells[i] == NULL) return ns_fail(NS_ENOMEM, "no memory for column '%s'", column->name);
    }
    out->id_ints = malloc((size_t)night->stripes.slab_rows * sizeof *out->id_ints);
    if (out->id_ints == NULL) return ns_fail(NS_ENOMEM, "no memory for a slab of ids");
    const ns_gbdt_model *model = night->bundle->model;
    ns_scores_setup setup = {.path = path, .classes = model->objective == NS_MULTICLASS ? &model->classes : NULL,
                             .kind = model->objective == NS_MULTICLASS ? NS_SCORE_CLASS_RISKS
                                     : model->objective == NS_BINARY   ? NS_SCORE_RISK
                                                                       : NS_SCORE_PREDICTION, .n_rows = night->stripes.n_rows,
                             .id_is_text = night->id >= 0 && ns_cohort_column(night->cohort, night->id)->is_text,
                             .id_bytes = night->id_bytes > 0 ? night->id_bytes : 1, .name = ns_job_text(night->bundle->job, "name"),
                             .version = "", .bundle_id = night->bundle->id, .as_of = as_of, .keep = keep, .n_keep = night->n_keep};
    NS_TRY(ns_scores_writer_open(&out->writer, &setup));
    if (csv != NULL) NS_TRY(ns_score_csv_open(&out->csv, csv, &setup));
    return ns_beside_open(&out->writing, write_block, out, omp_get_max_threads() == 1);
}

static ns_status read_kept(ns_score_output *out, int32_t i, int64_t first, int64_t n)
{
    ns_cohort *cohort = out->night->cohort;
    int32_t column = out->night->keep[i];
    const ns_column *what = ns_cohort_column(cohort, column);
    switch (what->kind) {
    case NS_COL_NUMBER: return ns_cohort_read_number(cohort, column, first, n, out->cells[i]);
    case NS_COL_CATEGORY: return ns_cohort_read_codes(cohort, column, first, n, out->cells[i]);
    case NS_COL_TIME: return ns_cohort_read_time(cohort, column, first, n, out->cells[i]);
    case NS_COL_ID: break;
    }
    if (!what->is_text) return ns_cohort_read_id_int(cohort, column, first, n, out->cells[i]);
    ns_texts_clear(&out->keep_texts[i]);
    return ns_cohort_read_id_text(cohort, column, first, n, &out->keep_texts[i]);
}

/* The ids of rows, from the night or, where another rank had them, read here. */
static ns_status take_ids(ns_score_output *out, const ns_night_rows *rows, ns_scores_block *block)
{
    ns_night *night = out->night;
    block->id_int = rows->id_int;
    block->id_text = rows->id_text;
    block->id_word = rows->id_word;
    if (block->id_int != NULL || block->id_text != NULL) return NS_OK;
    if (night->id >= 0 && ns_cohort_column(night->cohort, night->id)->is_text) {
        ns_texts_clear(&out->id_texts);
        block->id_text = &out->id_texts;
        return ns_cohort_read_id_text(night->cohort, night->id, rows->first, rows->n, &out->id_texts);
    }
    block->id_int = out->id_ints;
    if (night->id >= 0) return ns_cohort_read_id_int(night->cohort, night->id, rows->first, rows->n, out->id_ints);
    for (int64_t i = 0; i < rows->n; i++) out->id_ints[i] = rows->first + i;
    return NS_OK;
}

ns_status ns_score_output_take(void *context, const ns_night_rows *rows)
{
    ns_score_output *out = context;
    ns_night *night = out->night;
    NS_TRY(ns_beside_wait(out->writing));
    if (rows == NULL) return NS_OK;
    out->block = (ns_scores_block){.n_rows = rows->n, .status = rows->status, .risk = rows->risk, .keep = out->keep};
    NS_TRY(take_ids(out, rows, &out->block));
    for (int32_t i = 0; i < night->n_keep; i++) {
        NS_TRY(read_kept(out, i, rows->first, rows->n));
        const ns_column *column = ns_cohort_column(night->cohort, night->keep[i]);
        out->keep[i] = column->kind == NS_COL_ID && column->is_text ? (const void *)&out->keep_texts[i] : out->cells[i];
    }
    ns_beside_start(out->writing);
    return NS_OK;
}

ns_status ns_score_output_finish(ns_score_output *out, char content[65])
{
    return ns_scores_writer_finish(out->writer, content);
}

void ns_score_output_close(ns_score_output *out)
{
    ns_beside_close(&out->writing);
    ns_scores_writer_close(&out->writer);
    ns_score_csv_close(&out->csv);
    for (int32_t i = 0; i < NS_MOST_KEEP; i++) {
        free(out->cells[i]);
        ns_texts_destroy(&out->keep_texts[i]);
    }
    ns_texts_destroy(&out->id_texts);
    free(out->id_ints);
    memset(out, 0, sizeof *out);
}
