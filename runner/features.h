#ifndef NIGHTSHIFT_RUNNER_FEATURES_H
#define NIGHTSHIFT_RUNNER_FEATURES_H
/* Which columns of a cohort are features, numbered in bytewise order of name. */
#include "data/cohort.h"
#include "data/encoding.h"
#include "jobs/job.h"
#include "kernels/trees.h"

typedef struct ns_feature {
    int32_t column;       /* of the cohort */
    const char *name;     /* borrowed from the cohort */
    ns_feature_kind kind;
    ns_encoding encoding; /* category, once learned */
    int8_t monotone;      /* number: 1 where model.monotone.rising names it, -1 falling, else 0 */
} ns_feature;

typedef struct ns_features {
    int32_t n;
    ns_feature *list;
} ns_features;

/*
 * data.features of the job: columns that an include pattern names and no exclude pattern, of kind number or category.
 * Columns of id, group, time, label, weight and split stand out unless an include names them exactly (said as a warning).
 * Local. NS_EFORMAT: an exact name that the cohort has not, or of a kind that cannot be a feature; no feature at all; a column of
 * model.monotone that is no number feature. NS_ENOMEM.
 */
ns_status ns_features_select(ns_features *out, const ns_job *job, const ns_cohort *cohort);
/* Whether data.features of the job would take a column as a feature: also for one that training never saw. Pure. */
bool ns_features_takes(const ns_job *job, const ns_column *column);
void ns_features_destroy(ns_features *features);
#endif
