#ifndef NIGHTSHIFT_JOBS_JOB_PARTS_H
#define NIGHTSHIFT_JOBS_JOB_PARTS_H
/* What job.c (layers and answers), job_read.c (files to values) and echo.c share: the values of a job. */
#include "jobs/job.h"
#include "jobs/problems.h"
#include "jobs/value.h"

/* The value of one option and where it came from. */
typedef struct job_slot {
    ns_value value;
    bool set;    /* has a value: given, or by the table's default */
    bool given;  /* by a file or --set */
    bool broken; /* a source gave something that was refused: checks across options pass it over */
    int32_t source, line;
    char *place; /* NULL: the default */
} job_slot;

struct ns_job {
    job_slot *slots; /* [ns_n_options] in table order */
    char *folder;    /* of the job file, absolute */
};

/* The row of a key in the table, -1 where there is none. */
int32_t ns_option_find(const char *key);

/* Reads defaults, site file, job file and --set in this order into job, and notes what is wrong with each.
 * NS_ENOMEM. */
ns_status ns_job_read(ns_job *job, const ns_job_sources *sources, ns_problems *problems);

/* What must hold between options; shares of the split that were not given become 0 where one was,
 * and unset where parts do not come from shares. NS_ENOMEM.
 */
ns_status ns_job_cross_check(ns_job *job, ns_problems *problems);

/* The part of it that model.objective decides: which options go with which objective. NS_ENOMEM. */
ns_status ns_job_check_objective(ns_job *job, ns_problems *problems);
#endif
