#ifndef NIGHTSHIFT_JOBS_JOB_PARTS_H
#define NIGHTSHIFT_JOBS_JOB_PARTS_H
/* What job.c (layers and answers), job_read.c (files to values) and echo.c share: the values of a job. */
#include "jobs/job.h"
#include "jobs/problems.h"
#include "jobs/sweep.h"
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
    ns_sweep_axis *axes; /* [n_axes] what a sweep tries (jobs/sweep.h) */
    int32_t n_axes;
    bool axis_broken; /* a source gave an axis that was refused */
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

/* The part of it that the section sweep needs. NS_ENOMEM. */
ns_status ns_job_check_sweep(const ns_job *job, ns_problems *problems);

/* Whether a key speaks of an axis of a sweep: sweep.grid, sweep.grid.KEY, or sweep.random.KEY for a KEY that is no row's. */
bool ns_sweep_is_axis(const char *key);

/*
 * An axis from its entry; where the entry unsets it, one without values, and for the section itself, with option -1.
 * NS_EINVAL with *problem set: KEY is no option or may not be swept, no list, an empty one, a value out of its option's range, one
 * that stands twice, a range that is none. NS_ENOMEM. *out is empty then.
 */
ns_status ns_sweep_axis_read(ns_sweep_axis *out, const char *key, const ns_yaml_entry *entry, ns_yaml_problem *problem);
void ns_sweep_axis_clear(ns_sweep_axis *axis);

/* Puts an axis among those of the job, for the one of its option and section that is there; one without values removes that. Takes the
 * axis over, also on failure. NS_ENOMEM. */
ns_status ns_sweep_put(ns_job *job, ns_sweep_axis *axis);
#endif
