#ifndef NIGHTSHIFT_RUNNER_SLURM_SUBMIT_DATE_H
#define NIGHTSHIFT_RUNNER_SLURM_SUBMIT_DATE_H
/* The date of a submitted night: fixed when it is submitted, whenever it may run. */
#include "jobs/job.h"
#include "runner/cli.h"

enum { NS_DATE_ROOM = 16 };

/*
 * --as-of or NIGHTSHIFT_AS_OF as score takes it, and yesterday and today in run.time_zone (the system's where unset).
 *   out  out  "2026-11-20", "2026-11-20T06"; "" where no date is given
 * Local. NS_EINVAL: no date, no such zone.
 */
ns_status ns_submit_date(char out[NS_DATE_ROOM], const ns_args *args, const ns_job *job);

/* The day at this moment in a zone (NULL: the system's), and the day before it. Changes TZ of this process. NS_EINVAL, NS_EIO. */
typedef enum ns_which_day { NS_TODAY, NS_YESTERDAY } ns_which_day;
ns_status ns_day_of(char out[NS_DATE_ROOM], int64_t seconds, const char *zone, ns_which_day day);
#endif
