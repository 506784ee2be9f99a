#ifndef NIGHTSHIFT_RUNNER_SWEEP_SWEEP_RECORD_H
#define NIGHTSHIFT_RUNNER_SWEEP_SWEEP_RECORD_H
/*
 * What members of a sweep left in their run folders, RUN/members/NNNN: a bundle, or failed.json where the last try failed. All calls
 * are local; rank 0 makes them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "jobs/job.h"
#include "runner/sweep/sweep_plan.h"

typedef enum ns_member_state {
    NS_MEMBER_MISSING = 0, /* was never begun */
    NS_MEMBER_UNFINISHED,  /* was begun, or killed: it goes on from its checkpoint */
    NS_MEMBER_FAILED,
    NS_MEMBER_DONE,
    NS_N_MEMBER_STATES
} ns_member_state;

typedef struct ns_member_record {
    ns_member_state state;
    int exit;          /* failed: its exit code */
    char *message;     /* failed: why, one line; owned */
    double metric;     /* done */
    int64_t rounds, best_round;
    int numerics_version;
    char bundle_id[65], fingerprint[65];
} ns_member_record;

const char *ns_member_state_name(ns_member_state state); /* "missing", "unfinished", "failed", "done" */

/* RUN/members, and RUN/members/0007; freed by the caller, NULL without memory. */
char *ns_sweep_members_path(const char *run_path);
char *ns_sweep_member_path(const char *run_path, int64_t number);

/*
 * What is in a member's folder. A bundle that does not verify, or whose validation rows give no value of the metric, is a member
 * that failed.
 *   metric  in  as metrics.json names it
 * NS_ENOMEM. Forget in either case.
 */
ns_status ns_member_look(ns_member_record *out, const char *path, const char *metric);
void ns_member_forget(ns_member_record *record);

/* failed.json of a member: written with the failure that is on record, which is forgotten then; removed. NS_EIO, NS_ENOMEM. */
ns_status ns_member_keep_failure(const char *path, ns_status failure);
ns_status ns_member_drop_failure(const char *path);

/*
 * A member's folder must be of this sweep: its job.yaml, where there is one, decides the same model.
 *   sources  in  of the sweep's job
 * NS_EINVAL naming the first key that differs. NS_ENOMEM.
 */
ns_status ns_member_check(const char *path, const ns_sweep_plan *plan, const ns_sweep_member *member, const ns_job_sources *sources);
#endif
