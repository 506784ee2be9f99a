#ifndef NIGHTSHIFT_RUNNER_IDENTITY_H
#define NIGHTSHIFT_RUNNER_IDENTITY_H
/*
 * What a model was made from: the part of the job that decides it, the content of the table, and the numerics version.
 * Checkpoints and bundles carry it; a run continues only where all of it is equal (design.md, section 6).
 */
#include <jansson.h>

#include "cluster/status.h"

typedef struct ns_identity {
    const char *job;         /* bundle echo of the job (jobs/job.h) */
    const char *fingerprint; /* of the table, 64 hex */
    json_t *columns;         /* column name -> digest, in name order */
    int numerics_version;
} ns_identity;

/* {"job_sha256", "fingerprint", "columns", "numerics_version"}; the job's text itself travels beside it. NULL without memory. */
json_t *ns_identity_json(const ns_identity *identity);

typedef enum ns_compare { NS_COMPARE_ALL, NS_COMPARE_BUT_ROUNDS } ns_compare;

/*
 * Compares with what a checkpoint or bundle carries.
 *   job      in   its job text
 *   lineage  in   its identity JSON
 *   what     in   "checkpoint 'PATH'", for the message
 * NS_EINVAL naming the first key or column that differs. NS_COMPARE_BUT_ROUNDS passes over model.rounds.
 */
ns_status ns_identity_compare(const ns_identity *mine, const char *job, const json_t *lineage, const char *what, ns_compare how);

/* job without its model.rounds line; freed by the caller, NULL without memory. */
char *ns_job_without_rounds(const char *job);
#endif
