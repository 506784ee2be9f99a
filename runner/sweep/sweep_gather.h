#ifndef NIGHTSHIFT_RUNNER_SWEEP_SWEEP_GATHER_H
#define NIGHTSHIFT_RUNNER_SWEEP_SWEEP_GATHER_H
/*
 * The members of a sweep, settings against settings: RUN/sweep.json and the table of the summary. Both come from what the members
 * left alone, so they are the same however, where and in which order these were trained. All calls are local; rank 0 makes them.
 *
 * Over the members of a setting that are done: mean = sum / n in order of number, sd = sqrt(sum of (x - mean)^2 / (n - 1)). The best
 * setting is that with the best mean among those with the most members done, so that a setting whose hardest fold failed does not
 * win by that; of equal ones the first.
 */
#include <jansson.h>
#include <stdio.h>

#include "jobs/job.h"
#include "runner/sweep/sweep_plan.h"
#include "runner/sweep/sweep_record.h"

typedef struct ns_sweep_result {
    double mean, sd, least, most; /* of members done; sd: of at least two */
    int64_t n_done;
} ns_sweep_result;

typedef struct ns_sweep_gathered {
    const ns_sweep_plan *plan; /* borrowed */
    ns_member_record *records; /* [n_members] */
    ns_sweep_result *results;  /* [n_settings] */
    int64_t n_in[NS_N_MEMBER_STATES];
    int64_t best;              /* setting from 0, -1: no member is done */
} ns_sweep_gathered;

/*
 * Looks at every member.
 *   plan  in  borrowed for the life of out
 * NS_EINVAL: members done are of different data or numerics versions. NS_ENOMEM. Forget in either case.
 */
ns_status ns_sweep_gather(ns_sweep_gathered *out, const ns_sweep_plan *plan, const char *run_path);
void ns_sweep_gathered_forget(ns_sweep_gathered *gathered);

/* The part of it that compares: results and best from the records. Cannot fail. */
void ns_sweep_compare(ns_sweep_gathered *gathered);

/* sweep.json: "kind", "format", "name", "metric", "better", "numerics_version", "fingerprint", counts, "best" (null where there is
   none), "settings", "members". NULL with *status NS_ENOMEM. */
json_t *ns_sweep_json(ns_status *status, const ns_sweep_gathered *gathered, const ns_job *job);

/* The best setting as it stands in sweep.json; null where there is none. */
json_t *ns_sweep_best_json(ns_status *status, const ns_sweep_gathered *gathered);

/* Settings from the best down, at most 20, then failures, at most 5, then what to do with the best. NS_ENOMEM. */
ns_status ns_sweep_print(FILE *to, const ns_sweep_gathered *gathered, const char *run_path, const char *job_path);
#endif
