#ifndef NIGHTSHIFT_RUNNER_RATER_H
#define NIGHTSHIFT_RUNNER_RATER_H
/* A model over the rows of a cohort, slab by slab: reads the features it needs, bins them its own way, gives risks. */
#include "data/cohort.h"
#include "data/fingerprint.h"
#include "kernels/scorer.h"
#include "runner/models/gbdt_file.h"

typedef struct ns_rater ns_rater;

#define NS_RATER_SLAB_BYTES (INT64_C(64) << 20) /* a slab's cells take no more */

typedef enum ns_absent { NS_ABSENT_ERROR, NS_ABSENT_MISSING } ns_absent;

/*
 * The columns of a cohort that a model needs, in the order of its features.
 *   columns  out  [model->n_features] of the cohort; -1 with NS_ABSENT_MISSING where it has none: every value is missing then
 * Local. NS_EFORMAT: columns are absent (all are named), or one is of another kind.
 */
ns_status ns_rater_columns(int32_t *columns, const ns_gbdt_model *model, const ns_cohort *cohort, ns_absent absent);

/*
 *   columns      in  from ns_rater_columns, prepared (ns_cohort_prepare); copied
 *   infinite_ok  in  data.infinite: missing: an infinite value counts as missing
 * model, cohort and device are borrowed until destroy. Local. NS_ENOMEM.
 */
ns_status ns_rater_create(ns_rater **out, const ns_gbdt_model *model, ns_cohort *cohort, const int32_t *columns, ns_device *device,
                          bool infinite_ok);
void ns_rater_destroy(ns_rater **rater);

/* Numbers that it gives for a row: classes of a multiclass model, else 1. */
int32_t ns_rater_n_outputs(const ns_rater *rater);

/* Rows that one call may score: a multiple of NS_BLOCK_ROWS, the same on every rank. */
int64_t ns_rater_slab_rows(const ns_rater *rater);

/*
 * Counts, from now on, rows by the levels that the model does not know: never seen in training, or in fewer rows than
 * model.category_min_rows. Local. NS_ENOMEM.
 */
ns_status ns_rater_count_unknown(ns_rater *rater);

/* [levels of feature f's column] rows that this rank scored, 0 at levels that the model knows; NULL: nothing is counted,
   f is no category, or the model knows every level. The same on all ranks but for the counts. */
int64_t *ns_rater_unknown(ns_rater *rater, int32_t feature);

/*
 * Scores rows [first, first + n), n <= ns_rater_slab_rows.
 *   counts              in   NULL: all, or [n] the rows whose unknown levels count are those with 0 here; infinite ones never do
 *   fingerprint, index  in   NULL, or where feature f's rows are added as column index[f]; index[f] < 0: not added
 *   risk                out  [n][model->n_outputs] risks or predictions
 *   infinite            out  [n] 1 where a feature is infinite and infinite_ok is false (its risk is meaningless then)
 * Local. NS_EFORMAT: cannot be read.
 */
ns_status ns_rater_score(ns_rater *rater, int64_t first, int64_t n, const uint8_t *counts, ns_fingerprint *fingerprint,
                         const int32_t *index, float *risk, uint8_t *infinite);

/*
 * The parts of ns_rater_score, for a caller that has something to do between them: first the features' cells are read, then they are
 * rated, once (the cells are spent by it, and may be read anew). On a GPU risks come later: ns_rater_wait returns when those of all
 * calls of ns_rater_rate are there but of the last n_left; until then `risk` must stay.
 *   beside  in  [n_beside] columns that are read at the same time, into the caller's memory
 * Local. NS_EFORMAT: cannot be read. NS_ENOMEM. NS_EDEVICE.
 */
ns_status ns_rater_read(ns_rater *rater, int64_t first, int64_t n, const ns_column_read *beside, int32_t n_beside);
ns_status ns_rater_rate(ns_rater *rater, int64_t first, int64_t n, const uint8_t *counts, ns_fingerprint *fingerprint,
                        const int32_t *index, float *risk, uint8_t *infinite);
ns_status ns_rater_wait(ns_rater *rater, int64_t n_left);

/* Seconds that all calls of ns_rater_score and its halves took so far: reading and decoding the features; hashing their cells and mapping
   levels; binning and scoring. */
typedef struct ns_rater_seconds {
    double read, hash, score;
} ns_rater_seconds;
ns_rater_seconds ns_rater_took(const ns_rater *rater);
#endif
