#ifndef NIGHTSHIFT_JOBS_SWEEP_H
#define NIGHTSHIFT_JOBS_SWEEP_H
/*
 * The options that a sweep tries: sweep.grid.KEY and sweep.random.KEY of a job, where KEY is an option of the table. The rows
 * sweep.* of the table say the rest.
 *
 *   sweep:
 *     grid: {model.max_leaves: [15, 31], model.learning_rate: [0.05, 0.1]}    # every combination
 *     random: {members: 20, model.l2: [0.1, 10, log], model.min_rows: [5, 50]}   # drawn from a range, for choices from a list
 *
 * KEY may stand with its dot or as sections. May be swept: options of model and train that take one number, choice or flag and leave the
 * question as it is, so not model.objective and model.quantile, nor train.seed, which sweep.seeds counts up.
 */
#include "jobs/job.h"

enum { NS_SWEEP_MOST = 9999 }; /* members: they have four digits */

typedef struct ns_sweep_axis {
    int32_t option;  /* its row in the table */
    bool is_random;  /* of sweep.random, else of sweep.grid */
    bool is_range;   /* random, a number: drawn from least to most, both included */
    bool is_log;     /* a range: its logarithm is drawn; least > 0 */
    double least, most;
    char **words;    /* [n_words] no range: the values, as shortest text that reads back, all different */
    int64_t n_words;
    int32_t source, line;
    char *place;     /* as ns_job_place */
} ns_sweep_axis;

/* The axes of a job: those of the grid before those of random, each in the order of the option table. *axes is borrowed. */
int32_t ns_job_sweep(const ns_job *job, const ns_sweep_axis **axes);

/* Settings times seeds times folds: as many members has the sweep of a job, at least 1 and at most NS_SWEEP_MOST + 1. */
int64_t ns_job_sweep_members(const ns_job *job);
#endif
