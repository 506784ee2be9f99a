#ifndef NIGHTSHIFT_RUNNER_BUNDLE_H
#define NIGHTSHIFT_RUNNER_BUNDLE_H
/* A published model as every rank holds it: the model, the job that made it, and its name. */
#include <mpi.h>

#include "jobs/job.h"
#include "runner/models/gbdt_file.h"

typedef struct ns_bundle {
    char id[65];          /* SHA-256 of its manifest.json */
    char *job_text;       /* bundle/job.yaml */
    ns_job *job;          /* parsed from it */
    ns_gbdt_model *model;
} ns_bundle;

/*
 * Rank 0 reads and verifies every file; all ranks get model and job.
 *   path  in  the bundle's folder, the same on all ranks
 * Collective. NS_EINVAL (no bundle there, newer format), NS_EVERIFY (altered), NS_ENOMEM. Close in either case.
 */
ns_status ns_bundle_load(ns_bundle *out, const char *path, MPI_Comm comm);
void ns_bundle_close(ns_bundle *bundle);
#endif
