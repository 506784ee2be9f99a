#ifndef NIGHTSHIFT_RUNNER_TRAINING_PROFILE_H
#define NIGHTSHIFT_RUNNER_TRAINING_PROFILE_H
/*
 * profile.json: the training distribution, that drift is measured against. It holds no extremes, and nothing
 * about fewer than min_cell patients that a reader could single out, also not by subtraction:
 *   counts     null where they concern 1 to min_cell - 1 patients (0 is told)
 *   quantiles  null where fewer than min_cell rows lie on one side of them, the quantile itself included
 *   levels     with fewer than min_cell patients are pooled, without names, as "other"; where the pool is too
 *              small, the smallest named level joins it; where missing is null, other is null too, and the
 *              reverse
 * Pure: the caller brings numbers that are the same on every rank.
 *
 * {"profile_version": 1, "rows", "label": {"events", "prevalence"}, "percent": [1, 5, …, 99],
 *  "features": [{"name", "kind": "number", "missing", "quantiles": […]},
 *               {"name", "kind": "category", "missing", "levels": [{"level", "rows"}], "other"}],
 *  "risk": {"quantiles": […]}}
 * with features in the order in which they were added. That is binary; for other objectives
 *   multiclass  "label": {"classes": [{"class", "rows"}]}, "risk": {"classes": [{"class", "quantiles": […]}]}
 *   others      "label": {"quantiles": […]}, "prediction": {"quantiles": […]}
 */
#include <jansson.h>
#include <stdint.h>

#include "data/texts.h"

enum { NS_N_PROFILE_PERCENTS = 9 };
extern const int32_t ns_profile_percents[NS_N_PROFILE_PERCENTS]; /* 1, 5, 10, 25, 50, 75, 90, 95, 99 */

/* Rows and the patients they belong to; a lower bound of the patients will do, and hides more. */
typedef struct ns_profile_count {
    int64_t n_rows, n_patients;
} ns_profile_count;

typedef struct ns_profile ns_profile;

/*
 * Begins a profile.
 *   out       out  destroyed with ns_profile_destroy; NULL on failure
 *   rows      in   training rows over all ranks
 *   events    in   those with label 1
 *   others    in   those with label 0
 *   min_cell  in   evaluate.min_cell, >= 1
 * Local. NS_ENOMEM.
 */
ns_status ns_profile_create(ns_profile **out, ns_profile_count rows, ns_profile_count events,
                            ns_profile_count others, int64_t min_cell);
void ns_profile_destroy(ns_profile **profile);

/*
 * Adds a number feature.
 *   quantile  in  [NS_N_PROFILE_PERCENTS] from ns_quantiles; NaN where there are no values
 *   values    in  rows that have a value
 *   missing   in  rows that have none
 * Local. NS_EFORMAT: the name is not UTF-8. NS_ENOMEM.
 */
ns_status ns_profile_add_number(ns_profile *profile, const char *name, const float *quantile,
                                ns_profile_count values, ns_profile_count missing);

/* The levels of one category feature. */
typedef struct ns_profile_levels {
    const ns_texts *texts;   /* sorted by bytes */
    const int64_t *rows;     /* [texts->n] */
    const int64_t *patients; /* [texts->n], or NULL: every level is known to have at least min_cell */
    ns_profile_count other;  /* rows of all levels that are not among texts */
} ns_profile_levels;

/* Adds a category feature. Local. NS_EFORMAT: the name or a named level is not UTF-8. NS_ENOMEM. */
ns_status ns_profile_add_category(ns_profile *profile, const char *name, const ns_profile_levels *levels,
                                  ns_profile_count missing);

/* The risks that the model gives to n_rows training rows. Local. NS_ENOMEM. */
ns_status ns_profile_set_risk(ns_profile *profile, const float *quantile, int64_t n_rows);

/* A label that is a number: its quantiles over n_rows training rows, in place of events. Local. NS_ENOMEM. */
ns_status ns_profile_set_label(ns_profile *profile, const float *quantile, int64_t n_rows);

/* The predictions that the model gives to n_rows training rows. Local. NS_ENOMEM. */
ns_status ns_profile_set_prediction(ns_profile *profile, const float *quantile, int64_t n_rows);

/*
 * One class of a multiclass label, in order: in place of events and of one risk. Each class has at least min_cell patients.
 *   rows      in  training rows of the class
 *   quantile  in  of its risk over all n_rows training rows
 * Local. NS_EFORMAT: the text is not UTF-8. NS_ENOMEM.
 */
typedef struct ns_profile_class {
    const char *text;
    int64_t n_bytes, rows;
} ns_profile_class;
ns_status ns_profile_add_class(ns_profile *profile, ns_profile_class class, const float *quantile, int64_t n_rows);

/* The document, owned by the caller; the profile is empty afterwards. NULL without memory. */
json_t *ns_profile_finish(ns_profile *profile);
#endif
