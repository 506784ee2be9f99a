#ifndef NIGHTSHIFT_RUNNER_CONTEXT_H
#define NIGHTSHIFT_RUNNER_CONTEXT_H
/* What every verb is given: its ranks, its command line, and where its summary goes. */
#include <jansson.h>
#include <mpi.h>
#include <stdio.h>

#include "cluster/status.h"
#include "cluster/usage.h"
#include "jobs/job.h"
#include "kernels/device.h"
#include "runner/cli.h"

typedef struct ns_context {
    MPI_Comm comm;
    int rank, n_ranks;
    const ns_args *args;
    char life[17];     /* hex id of this process start, the same on all ranks */
    double started;    /* ns_seconds() */
    ns_usage used_before; /* of this process when it started: nothing, but where a verb runs others */
    json_t *summary;   /* --json: what the verb adds beside verb, status, exit, seconds. Rank 0's is printed */
    FILE *text;        /* the summary for people, without --json. Rank 0's is printed */
    char counts[200];  /* key=value pairs for the log's last line */
    const struct ns_job_texts *texts; /* files that were read already, for a verb that runs another; NULL: they are read */
} ns_context;

/* One function per verb, each in the file of its name. Collective over the context's ranks: the same status on all. */
ns_status ns_verb_train(ns_context *context);
ns_status ns_verb_score(ns_context *context);
ns_status ns_verb_evaluate(ns_context *context);
ns_status ns_verb_check(ns_context *context);
ns_status ns_verb_verify(ns_context *context);
ns_status ns_verb_inspect(ns_context *context);
ns_status ns_verb_synth(ns_context *context);
ns_status ns_verb_import(ns_context *context);
ns_status ns_verb_submit(ns_context *context);
ns_status ns_verb_sweep(ns_context *context);

/*
 * The job of the command line: rank 0 reads job and site file, all ranks get the texts and parse the same. Sets umask,
 * log format and the options' consequences for this process.
 *   out      out  destroyed by the caller
 * Collective. NS_EINVAL: see ns_job_parse; the job file cannot be read.
 */
ns_status ns_context_job(ns_job **out, ns_context *context);

/* As the sources of ns_context_job, for check: texts owned by the block, freed with ns_job_texts_free. Collective. */
typedef struct ns_job_texts {
    ns_job_sources sources;
    void *blocks[6];
} ns_job_texts;
ns_status ns_context_sources(ns_job_texts *out, ns_context *context);
void ns_job_texts_free(ns_job_texts *texts);

/* The log of this life as the job asks, under the context's verb; NULL: as text. Local. */
void ns_context_log(const ns_context *context, const ns_job *job);

/* The device of this rank as the job asks, linked to the other ranks. Closed with ns_device_close. Collective. */
ns_status ns_context_device(ns_device **out, ns_context *context, const ns_job *job);

/* "0.1.0" */
const char *ns_program_version(void);
#endif
