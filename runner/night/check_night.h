#ifndef NIGHTSHIFT_RUNNER_NIGHT_CHECK_NIGHT_H
#define NIGHTSHIFT_RUNNER_NIGHT_CHECK_NIGHT_H
/*
 * The score part of a job, looked at before the night: its date, the bundle, where the scores go, the cohort with what is
 * expected of it, the columns that model, score.where and score.keep need. Nothing is written, no row is read.
 */
#include "runner/context.h"

/*
 * Adds "night" to the summary, null where the job has not both score.cohort and score.out. Without a date the cohort of a dated
 * job is not looked at, and another's may still be lacking, with what is expected of it; a bundle of the job's own run may still
 * be to come.
 *   device   in  opened
 *   problem  in  is called for each problem, the failure being on record; it clears it
 * Collective.
 */
void ns_check_night(ns_context *context, const ns_job *job, ns_device *device, void (*problem)(void *to, ns_status status), void *to);
#endif
