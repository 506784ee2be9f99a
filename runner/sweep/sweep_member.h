#ifndef NIGHTSHIFT_RUNNER_SWEEP_SWEEP_MEMBER_H
#define NIGHTSHIFT_RUNNER_SWEEP_SWEEP_MEMBER_H
/* One member of a sweep, trained in this process as `train` would with the member's settings as --set. */
#include <jansson.h>
#include <stdio.h>

#include "jobs/job.h"
#include "runner/context.h"
#include "runner/sweep/sweep_plan.h"

/* What members have in common; all borrowed. */
typedef struct ns_sweep {
    ns_context *context; /* its texts are set: the job's files are not read again */
    const ns_job *job;
    const ns_sweep_plan *plan;
    const char *path;    /* RUN */
} ns_sweep;

/*
 * Trains a member; what it would print is thrown away. The log is the sweep's again afterwards.
 * Collective: the status of the training, with its message on record.
 */
ns_status ns_sweep_train_quietly(const ns_sweep *sweep, const ns_sweep_member *member);

/*
 * Begins a member, or goes on with it, and notes in its folder how it ended.
 *   failure  out    why the member failed, with its message on record; NS_OK where it is done
 *   summary  inout  what train adds to its --json; text: its summary. Both NULL: thrown away
 * Collective. Returns what ends the sweep: NS_ESTOPPED and NS_ESTUCK of the training, which are no failure of the member; NS_EIO,
 * NS_ENOMEM where the note cannot be written.
 */
ns_status ns_sweep_try_member(const ns_sweep *sweep, int64_t number, ns_status *failure, json_t *summary, FILE *text);
#endif
