#ifndef NIGHTSHIFT_RUNNER_SLURM_NIGHTLY_H
#define NIGHTSHIFT_RUNNER_SLURM_NIGHTLY_H
/* submit --nightly: lines for crontab and scrontab that submit a job every night. */
#include <stdbool.h>

#include "cluster/status.h"

typedef struct ns_nightly {
    const char *when;    /* "30 3 * * *" */
    const char *program; /* absolute */
    const char *const *words; /* NULL-terminated: what follows the program */
    const char *partition, *account; /* NULL: the site's defaults */
} ns_nightly;

/*
 * The five fields of cron: minute, hour, day of month, month, day of week; each *, numbers, ranges, lists and steps, months and
 * days also by their three letters.
 *   clock_change  out  whether it begins between 01:00 and 02:59, hours that a change of clocks leaves out or repeats
 * Pure. NS_EINVAL: none of these.
 */
ns_status ns_nightly_check(bool *clock_change, const char *when);

/* Both lines, each with a comment before it; freed by the caller. NS_EINVAL: a word with a line end, NS_ENOMEM. */
ns_status ns_nightly_lines(char **out, const ns_nightly *nightly);
#endif
