#ifndef NIGHTSHIFT_RUNNER_TRAINING_PLAN_H
#define NIGHTSHIFT_RUNNER_TRAINING_PLAN_H
/* What a training would take, before it is tried: options that must be there, the run folder, memory of each rank. */
#include "jobs/job.h"
#include "kernels/forest.h"
#include "runner/context.h"
#include "runner/training/table.h"

/* Options that train needs beyond the ranges of jobs/options.c. Local. NS_EINVAL with the option's place. */
ns_status ns_plan_train_options(const ns_job *job);

/* run.out, or runs/NAME beside the job file. Freed by the caller. NS_ENOMEM. */
ns_status ns_plan_run_path(char **out, const ns_job *job);

/* run.cache, where the job has it, is a folder that can be written. Local, rank 0. NS_EINVAL with the option's place. NS_ENOMEM. */
ns_status ns_plan_check_cache(const ns_job *job);

/* PATH.1, or the first number that is free or a second name of the same file: a life that was killed gave it. Freed by the
   caller. NS_ENOMEM. */
ns_status ns_plan_free_name(char **out, const char *path);

typedef struct ns_memory_plan {
    int64_t needed;    /* bytes of the fullest rank */
    int64_t available; /* bytes that each rank of this node may use */
    const char *from;  /* "run.memory" or "this machine" */
} ns_memory_plan;

/*
 * Memory of a training of this table, were every row to belong (that is known only after a look at the rows).
 * Collective over the context's ranks; the fullest rank and the smallest machine count.
 */
ns_memory_plan ns_plan_memory(const ns_table *table, const ns_forest_settings *settings, ns_context *context);

/* NS_EINVAL on all ranks where the plan needs more than there is. Collective. */
ns_status ns_plan_check_memory(const ns_table *table, const ns_forest_settings *settings, ns_context *context);
#endif
