#ifndef NIGHTSHIFT_RUNNER_NIGHT_NIGHT_JOB_H
#define NIGHTSHIFT_RUNNER_NIGHT_NIGHT_JOB_H
/*
 * What a job says about one night: its date, its paths, what is expected of its cohort. Used by `score`, and by `check` the
 * evening before. All calls are local.
 */
#include "data/texts.h"
#include "jobs/job.h"
#include "runner/cli.h"

enum { NS_MOST_KEEP = 64 };

typedef struct ns_night_job {
    const ns_job *job;
    const char *as_of;     /* NULL: the night has no date */
    char *out, *temporary, *manifest;
    char *csv, *csv_temporary; /* beside out: .csv for .h5; csv_wanted: score.csv */
    bool csv_wanted;
    char **cohort;         /* [n_cohort] paths and patterns */
    int64_t n_cohort;
    char *ready;           /* NULL: nothing is waited for */
    char *bundle;          /* score.bundle, else the bundle of the job's own run; links in it are not followed */
    char *record;          /* RUN/nights/DATE-xxxxxxxx (runner/night/night_record.h) */
} ns_night_job;

/*
 * The date of the night from --as-of, else NIGHTSHIFT_AS_OF; never from the clock.
 *   out  out  borrowed from the command line or the environment; NULL where neither is given
 * NS_EINVAL: no date of the calendar such as 2026-11-20 or 2026-11-20T06.
 */
ns_status ns_night_date(const char **out, const ns_args *args);

/*
 *   as_of  in  borrowed; NULL: none
 * NS_EINVAL: an option is lacking, {as_of} stands in a path and no date is given. NS_ENOMEM. Close in either case.
 */
ns_status ns_night_job_open(ns_night_job *out, const ns_job *job, const char *as_of);

/* The cohort's files, with score.expect.ready and score.expect.files. NS_EFORMAT: not as expected, a pattern matches nothing.
   NS_ENOMEM. */
ns_status ns_night_job_files(ns_texts *files, const ns_night_job *night);

/* score.expect.min_rows. NS_EFORMAT. */
ns_status ns_night_job_rows(const ns_night_job *night, int64_t n_rows);
void ns_night_job_close(ns_night_job *night);
#endif
