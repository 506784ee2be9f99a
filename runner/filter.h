#ifndef NIGHTSHIFT_RUNNER_FILTER_H
#define NIGHTSHIFT_RUNNER_FILTER_H
/* A `where` expression over the rows of a cohort. */
#include "data/cohort.h"
#include "jobs/job.h"

typedef struct ns_filter ns_filter;

/*
 * Parses option `key` of the job ("data.where", "score.where"); where it is unset, every row passes.
 * Local. NS_EINVAL (syntax), NS_EFORMAT (a column the cohort has not), NS_ENOMEM.
 */
ns_status ns_filter_open(ns_filter **out, const ns_job *job, const char *key, const ns_cohort *cohort);
void ns_filter_close(ns_filter **filter);

/* The columns it reads. */
int32_t ns_filter_n_columns(const ns_filter *filter);
int32_t ns_filter_column(const ns_filter *filter, int32_t i);

/* After ns_cohort_prepare of its columns. Local. NS_EFORMAT: a value of the wrong kind for its column. */
ns_status ns_filter_bind(ns_filter *filter, const ns_cohort *cohort);

/* pass[i] = 1 where row first + i belongs. Local. NS_EFORMAT, NS_ENOMEM. */
ns_status ns_filter_rows(ns_filter *filter, ns_cohort *cohort, int64_t first, int64_t n, uint8_t *pass);
#endif
